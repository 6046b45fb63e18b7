"""Distributions: which rules a release string stands for, and what is said of what isn't known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from memplan.errors import InputError, UsageError
from memplan.kernel import distributions
from memplan.kernel.builds import match_release, with_rules
from memplan.kernel.distributions import Target, distribution_names, find_distribution, target, target_of
from memplan.kernel.load import find_kernel, is_kernel
from memplan.kernel.resolve import rules_for


@pytest.mark.parametrize(
    ("name", "distribution", "version"),
    [
        ("4.18.0-372.9.1.el8.x86_64", "rhel-8", "4.18.0"),
        ("4.18.0-147.8.1.el8_1.x86_64", "rhel-8", "4.18.0"),
        ("rhel-8", "rhel-8", "4.18.0"),
        ("3.10.0-1160.el7.x86_64", "rhel-7", "3.13"),
        ("5.14.0-362.8.1.el9_3.x86_64", "rhel-9", "5.14.0"),
        ("rhel-9", "rhel-9", "5.14.0"),
        ("6.12.0-55.9.1.el10_0.x86_64", "rhel-10", "6.12.0"),
        ("5.15.0-91-generic", "ubuntu-22.04", "5.15.85"),
        ("5.15.0-124-lowlatency", "ubuntu-22.04", "5.15.163"),
        ("5.15.0-1063-aws", "ubuntu-22.04", "5.15.189"),
        ("ubuntu-22.04", "ubuntu-22.04", "5.15.189"),
        ("5.4.0-26-generic", "ubuntu-20.04", "5.4.30"),
        ("6.8.0-31-generic", "ubuntu-24.04", "6.8.1"),
        ("4.15.0-20-generic", "ubuntu-18.04", "4.15.17"),
        ("4.4.0-21-generic", "ubuntu-16.04", "4.4.13"),
        ("6.1.0-9-amd64", "debian-12", "6.1"),
        ("6.1.0-9-cloud-amd64", "debian-12", "6.1"),
        ("debian-12", "debian-12", "6.1"),
        ("5.14.21-150500.55.7-default", "sles-15-sp5", "5.14.21"),
        ("6.4.0-150600.23.7-default", "sles-15-sp6", "6.4.0"),
        ("4.12.14-122.37-default", "sles-12-sp5", "4.12.14"),
        ("6.8.9-300.fc40.x86_64", None, "6.8.9"),
        ("5.15.135", None, "5.15.135"),
        ("7.1-rc3", None, "7.1"),
    ],
)
def test_release_strings(name: str, distribution: str | None, version: str) -> None:
    found = target(name)
    assert (found.distribution, str(found.version)) == (distribution, version)
    assert is_kernel(name)
    assert find_kernel(name).rules == rules_for(found.version, found.overlay)


def test_a_vendors_string_without_overlay_is_told() -> None:
    assert target("6.8.9-300.fc40.x86_64").notes == (
        "what 6.8.9-300.fc40.x86_64 has that isn't in Linux 6.8.9 is not known",
    )
    assert any("fc40" in note for note in find_kernel("6.8.9-300.fc40.x86_64").notes)


@pytest.mark.parametrize("name", distribution_names())
def test_every_distribution_says_what_is_not_known(name: str) -> None:
    distribution = find_distribution(name)
    assert distribution.unknown
    assert any(distribution.unknown in note for note in find_kernel(name).notes)


@pytest.mark.parametrize(
    ("build", "low", "first_mib", "tables"),
    [("80", 0, False, False), ("147", 4096, False, False), ("240", 4096, False, False), ("348", 65536, True, True)],
)
def test_red_hats_back_ports_by_build(build: str, low: int, first_mib: bool, tables: bool) -> None:
    """As the sources of 4.18.0-147, -240 and -348 have them; of what was before -147 it is told that it's in doubt."""
    found = target(f"4.18.0-{build}.el8.x86_64")
    rules = rules_for(found.version, found.overlay)
    if build == "80":
        assert "low_reserve" in rules.doubts
    else:
        assert rules.low_reserve == low
    assert rules.reserve_first_mib is first_mib
    assert ("acpi_boot_table_init" in rules.steps) is tables
    assert "map_vsyscall" not in rules.steps


@pytest.mark.parametrize(
    ("build", "ranges"),
    [
        ("147", "1G-64G:160M,64G-1T:256M,1T-:512M"),
        ("553", "1G-4G:160M,4G-64G:192M,64G-1T:256M,1T-:512M"),
    ],
)
def test_red_hats_own_crash_kernel(build: str, ranges: str) -> None:
    found = target(f"4.18.0-{build}.el8.x86_64")
    assert rules_for(found.version, found.overlay).crashkernel_auto == ranges
    assert find_kernel("4.18.0").rules.crashkernel_auto == ""


def test_the_line_of_the_log_tells_the_stable_release() -> None:
    line = "Linux version 5.15.0-91-generic (buildd@x) (gcc) #101-Ubuntu SMP (Ubuntu 5.15.0-91.101-generic 5.15.131)"
    assert match_release("5.15.0-91-generic", line)[0] == "5.15.131"
    line = "Linux version 5.10.0-30-amd64 (debian-kernel@x) (gcc-10) #1 SMP Debian 5.10.218-1 (2024-06-01)"
    assert match_release("5.10.0-30-amd64", line)[0] == "5.10.218"
    line = "Linux version 4.18.0-348.el8.x86_64 (mockbuild@x) (gcc) #1 SMP Tue Oct 19 15:14:17 UTC 2021"
    assert match_release("4.18.0-348.el8.x86_64", line)[0] == "4.18.0-348.el8.x86_64"


def test_a_misspelt_name() -> None:
    with pytest.raises(UsageError, match=r"no kernel 'ubunti-22\.04'; did you mean ubuntu-22\.04"):
        find_kernel("ubunti-22.04")


GOOD = "title: T\nrelease: '4\\.2\\.0-(\\d+)\\.t'\nbase: '4.2'\nunknown: all\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title: T\n", r"d.yaml:1:1: release: is missing"),
        (GOOD.replace("'4.2'", "four"), r"d.yaml:3:7: base: 'four' is no kernel version"),
        (GOOD.replace("(", ""), r"d.yaml:2:10: release: is no regular expression"),
        (GOOD.replace("t'", "(t)'"), r"release: should have one group at most"),
        (GOOD + "backports: [{build: 1}]\n", r"d.yaml:5:13: backports: each should have build, and as_of or values"),
        (GOOD + "backports: [{build: x, as_of: '4.4'}]\n", r"build: should be a number, or a range"),
        (GOOD + "backports: [{build: 1, as_of: '4.4', rules: [low_reserv]}]\n", r"rules: there is none of the name"),
        (GOOD + "backports: [{build: 1, as_of: '4.4', steps: [low_reserve]}]\n", r"steps: there is none of the name"),
        (GOOD + "sublevel: {}\n", r"d.yaml:5:11: sublevel: is no field here"),
    ],
)
def test_broken_files(text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d.yaml").write_text(text)
    monkeypatch.setattr(distributions, "_folder", lambda: str(tmp_path))
    find_distribution.cache_clear()
    with pytest.raises(InputError, match=message):
        find_distribution("d")
    find_distribution.cache_clear()


OWN = (
    GOOD.replace("all", "much")
    + "sublevels: {10: 5, 20: 7, 30: 7}\n"
    + "backports:\n"
    + "- {build: 8..12, as_of: '4.9', rules: [low_reserve], steps: [map_vsyscall]}\n"
    + "- {build: 14, as_of: '4.14', rules: [low_reserve]}\n"
    + "- {build: 14..16, values: {low_reserve: 8192, e820_prefix: own}}\n"
)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "d.yaml").write_text(OWN)
    monkeypatch.setattr(distributions, "_folder", lambda: str(tmp_path))
    find_distribution.cache_clear()
    yield
    find_distribution.cache_clear()


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("build", "version", "note"),
    [
        # Before the first build of which the stable release is known, that one's is taken.
        (5, "4.2.5", ""),
        (10, "4.2.5", ""),
        (11, "4.2.5", "build 11 of T follows Linux 4.2.5 to 4.2.7; 4.2.5 is taken"),
        (19, "4.2.5", "build 19 of T follows Linux 4.2.5 to 4.2.7; 4.2.5 is taken"),
        (20, "4.2.7", ""),
        (25, "4.2.7", ""),
        (30, "4.2.7", ""),
        (31, "4.2.7", "build 31 of T follows Linux 4.2.7 to a later one; 4.2.7 is taken"),
    ],
)
def test_the_stable_release_that_a_build_follows(build: int, version: str, note: str) -> None:
    found = target(f"4.2.0-{build}.t")
    assert str(found.version) == version
    assert found.notes == (*([note] if note else []), "T: much")


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("build", "rules", "steps", "values"),
    [
        (7, {}, {}, {}),
        (8, {"low_reserve": ("4.9", True)}, {"map_vsyscall": ("4.9", True)}, {}),
        (11, {"low_reserve": ("4.9", True)}, {"map_vsyscall": ("4.9", True)}, {}),
        (12, {"low_reserve": ("4.9", False)}, {"map_vsyscall": ("4.9", False)}, {}),
        (
            14,
            {"low_reserve": ("4.14", False)},
            {"map_vsyscall": ("4.9", False)},
            {"low_reserve": (8192, True), "e820_prefix": ("own", True)},
        ),
        (
            None,
            {"low_reserve": ("4.14", False)},
            {"map_vsyscall": ("4.9", False)},
            {"low_reserve": (8192, False), "e820_prefix": ("own", False)},
        ),
    ],
)
def test_back_ports_from_a_build_on(
    build: int | None, rules: dict[str, object], steps: dict[str, object], values: dict[str, object]
) -> None:
    """The newest build where none is told; between two builds, of which one has it, that is in doubt."""
    overlay = target("d" if build is None else f"4.2.0-{build}.t").overlay
    if not rules:
        assert overlay is None
        return
    assert overlay is not None
    assert {name: (str(as_of), doubt) for name, as_of, doubt in overlay.rules} == rules
    assert {name: (str(as_of), doubt) for name, as_of, doubt in overlay.steps} == steps
    assert {name: (value, doubt) for name, value, doubt in overlay.values} == values


@pytest.mark.usefixtures("own")
def test_without_a_build_the_base_is_taken() -> None:
    found = target("d")
    assert (str(found.version), found.distribution, found.notes) == ("4.2", "d", ("T: much",))


@pytest.mark.parametrize(
    ("values", "message"), [("{low_reserve: x}", "should be a number, found 'x'"), ("{no: 1}", "")]
)
def test_values_of_their_own_are_checked(
    values: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "d.yaml").write_text(GOOD + f"backports: [{{build: 1, values: {values}}}]\n")
    monkeypatch.setattr(distributions, "_folder", lambda: str(tmp_path))
    find_distribution.cache_clear()
    with pytest.raises(InputError, match=rf"d.yaml:5:\d+: .*{message or 'no: is no field here'}"):
        find_distribution("d")
    find_distribution.cache_clear()


@pytest.mark.parametrize("name", ["5.15.0-91-generic", "rhel-8", "6.12", "6.8.9-300.fc40.x86_64"])
def test_a_kernel_has_the_rules_that_its_name_stands_for(name: str) -> None:
    found = find_kernel(name)
    assert target_of(found) == target(name)
    # Under the rules of another version its name says nothing, as one that is no version's does.
    for other in (with_rules(found, "6.1"), found._replace(name="own")):
        assert target_of(other) == Target(other.rules.version)
