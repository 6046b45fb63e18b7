"""memplan.yaml: what it may say, where it is found, and what is said of its mistakes."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

import pytest

from memplan.checks.config import Settings, find_settings, forget, load_profile, profile_names
from memplan.checks.expectations import read_expectations
from memplan.checks.rules import all_rules
from memplan.checks.run import Options, check_input
from memplan.errors import InputError, UsageError
from memplan.machine.places import Place
from tests.checks.stubs import MACHINE, RULES


def settings_of(text: str, folder: Path) -> Settings:
    (folder / "memplan.yaml").write_text(text)
    forget()
    return find_settings(folder / "m.yaml", None, None)


def test_all_that_it_may_say(stubs: Path) -> None:
    settings = settings_of(
        """\
profile: strict
kernel: "6.1"
severities: {MP701: info, MP1xx: error}
off:
  MP702: it is broken
expect: ["movable:node1,node2", crashkernel]
suppress:
- {fingerprint: 0123456789abcdef, until: 2027-01-31, reason: mended soon}
""",
        stubs,
    )
    assert (settings.kernel, settings.fail_on) == ("6.1", "warning")
    assert [settings.severity(rule) for rule in RULES.values()] == ["error", "error", "info", "warning"]
    assert settings.off == {"MP702": "it is broken"}
    assert [(own.what, own.target, own.place.line) for own in settings.expectations] == [
        ("movable", "node1", 6),
        ("movable", "node2", 6),
        ("crashkernel", "", 6),
    ]
    (suppression,) = settings.suppressions.values()
    assert suppression.until == datetime.date(2027, 1, 31)
    assert (suppression.reason, suppression.place) == ("mended soon", Place("memplan.yaml", 8, 3, "suppress[0]"))


def test_a_rule_that_is_off_does_not_run(stubs: Path) -> None:
    (stubs / "m.yaml").write_text(MACHINE)
    settings_of("off: {MP701: loud machines are fine, MP2xx: for now}", stubs)
    report = check_input("m.yaml", Options())
    assert report.ran == ("MP702",)
    assert report.findings == ()


def test_the_nearest_configuration_upwards_counts(stubs: Path) -> None:
    below = stubs / "a" / "b"
    below.mkdir(parents=True)
    (stubs / "memplan.yaml").write_text("fail_on: info")
    assert find_settings(below / "m.yaml", None, None).fail_on == "info"
    (stubs / "a" / "memplan.yaml").write_text("fail_on: warning")
    (stubs / "other.yaml").write_text("profile: strict")
    forget()
    assert find_settings(Path("a/b/m.yaml"), None, None).fail_on == "warning"
    assert find_settings(Path("m.yaml"), None, None).fail_on == "info"
    assert find_settings(below / "m.yaml", "other.yaml", None).fail_on == "warning"
    assert find_settings(below / "m.yaml", "other.yaml", "default").fail_on == "error"


def test_a_group_gives_way_to_a_single_rule(stubs: Path) -> None:
    for text in ("{MP7xx: error, MP702: info}", "{MP702: info, MP7xx: error}"):
        assert settings_of(f"severities: {text}", stubs).severities == {"MP701": "error", "MP702": "info"}


def test_a_profile_of_ones_own(stubs: Path) -> None:
    (stubs / "base.yaml").write_text("severities: {MP701: error}\noff: {MP101: none of our concern}")
    settings = settings_of("profile: base.yaml\nseverities: {MP702: info}", stubs)
    assert settings.severities == {"MP701": "error", "MP702": "info"}
    assert settings.off == {"MP101": "none of our concern"}


MISTAKES = [
    ("profle: strict", "1:1: profle: unknown key, expected one of profile, kernel,", "(did you mean profile?)"),
    ("profile: strickt", "1:10: profile: there is no profile 'strickt'", "strict"),
    ("profile: [a]", "1:10: profile: expected a profile's name (", "or a file"),
    ("kernel: 7.77", "1:9: kernel: there is no kernel '7.77'", ""),
    ("fail_on: fatal", "1:10: fail_on: found 'fatal', expected error, warning or info", ""),
    ("severities: error", "1:13: severities: expected a mapping of rule ids", ""),
    ("severities:\n  MP703: error", "2:3: severities.MP703: there is no rule MP703", "MP70"),
    ("severities: {MP5xx: error}", "1:14: severities.MP5xx: there is no rule MP5xx", ""),
    ("severities: {Mxx: error}", "1:14: severities.Mxx: there is no rule Mxx", ""),
    ("severities: {MP701: bad}", "1:21: severities.MP701: found 'bad', expected error, warning or info", ""),
    ("severities: {MP701: info, MP701: error}", "1:27: severities.MP701: this key is given a second time", ""),
    ("off: {MP701: }", "1:7: off.MP701: the reason why MP701 is off is missing", ""),
    ("off: [MP701]", "1:6: off: expected a mapping of rule ids and reasons", ""),
    ("expect: [movable]", "1:10: expect[0]: found the expectation 'movable', expected movable:node1,node2", ""),
    ("expect: node1", "1:9: expect: found the expectation 'node1', expected movable:node1,node2", ""),
    ("expect:\n- movable: node1\n- movable: x", "3:3: expect[1]: found the expectation 'movable:x'", ""),
    ("suppress: 0123456789abcdef", "1:11: suppress: expected a list of mappings of fingerprint, until, reason", ""),
    ("suppress: [x]", "1:12: suppress[0]: expected a mapping of fingerprint, until, reason", ""),
    ("suppress:\n- {until: 2027-01-01, reason: r}", "2:3: suppress[0]: the key fingerprint is missing", ""),
    (
        "suppress:\n- {fingerprint: 0123456789abcdef, until: 2027-01-01, reason: }",
        "2:3: suppress[0]: the key reason is missing",
        "",
    ),
    (
        "suppress:\n- {fingerprint: 0123, until: 2027-01-01, reason: r}",
        "2:17: suppress[0].fingerprint: found '0123', expected the sixteen hexadecimal digits",
        "",
    ),
    (
        "suppress:\n- {fingerprint: 0123456789abcdef, until: 31.1.2027, reason: r}",
        "2:42: suppress[0].until: found '31.1.2027', expected a day such as 2027-01-31",
        "",
    ),
    (
        "suppress:\n- {fingerprint: 0123456789abcdef, untill: 2027-01-01, until: 2027-01-01, reason: r}",
        "2:35: suppress[0].untill: unknown key, expected one of fingerprint, until, reason",
        "(did you mean until?)",
    ),
    ("- a", ": is no configuration: expected a mapping of profile, kernel,", ""),
    ("a: [", ":1:4: not YAML", ""),
]


@pytest.mark.parametrize(("text", "message", "end"), MISTAKES)
def test_mistakes_have_their_places(stubs: Path, text: str, message: str, end: str) -> None:
    with pytest.raises(InputError) as raised:
        settings_of(text, stubs)
    (line,) = str(raised.value).splitlines()
    assert line.startswith(f"memplan.yaml:{message}".replace("::", ":"))
    assert end in line[len(message) :]


def test_all_mistakes_are_told_together(stubs: Path) -> None:
    with pytest.raises(InputError) as raised:
        settings_of("fail_on: fatal\nexpcet: x\noff: {MP1: no}", stubs)
    assert [problem.line for problem in raised.value.problems] == [1, 2, 3]


def test_a_profile_that_builds_on_itself(stubs: Path) -> None:
    (stubs / "base.yaml").write_text("profile: base.yaml")
    with pytest.raises(InputError, match="builds on itself"):
        settings_of("profile: base.yaml", stubs)


def test_files_that_are_none(stubs: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.yaml: can't be read: No such file"):
        find_settings(Path("m.yaml"), "gone.yaml", None)
    (stubs / "memplan.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"memplan\.yaml: not UTF-8 text: byte 0"):
        find_settings(Path("m.yaml"), None, None)
    with pytest.raises(UsageError, match="there is no profile 'default2'; did you mean default"):
        find_settings(Path("/m.yaml"), None, "default2")


def test_what_is_found_and_can_not_be_read_is_not_passed_over(stubs: Path) -> None:
    found = stubs / "memplan.yaml"
    os.mkfifo(found)
    with pytest.raises(InputError, match=r"^memplan\.yaml: is a FIFO, expected a configuration"):
        find_settings(Path("m.yaml"), None, None)
    found.unlink()
    found.symlink_to("/dev/zero")
    with pytest.raises(InputError, match=r"^memplan\.yaml: is a character device"):
        find_settings(Path("m.yaml"), None, None)
    found.unlink()
    found.symlink_to("gone.yaml")
    with pytest.raises(InputError, match=r"^memplan\.yaml: can't be read: No such file"):
        find_settings(Path("m.yaml"), None, None)


def test_nothing_is_told_of_what_a_link_leads_to_unless_it_is_a_configuration(stubs: Path) -> None:
    (stubs / "secret").write_text("root:*:20228:0:99999:7::: \ndaemon:*:1: \n")
    (stubs / "memplan.yaml").symlink_to("secret")
    with pytest.raises(InputError, match="is no configuration") as raised:
        find_settings(Path("m.yaml"), None, None)
    assert "root" not in str(raised.value)
    (stubs / "secret").write_text("fail_on: info")
    assert find_settings(Path("m.yaml"), None, None).fail_on == "info"


@pytest.mark.parametrize("name", ["default", "strict", "hotplug-server", "cxl"])
def test_every_profile_that_is_shipped_can_be_read(name: str) -> None:
    settings = load_profile(name)
    assert settings.fail_on == ("error" if name in ("default", "cxl") else "warning")
    assert set(settings.severities) <= set(all_rules())
    assert name in profile_names()


def test_the_example_can_be_read() -> None:
    file = Path(__file__).parents[2] / "examples" / "ci" / "memplan.yaml"
    settings = find_settings(file, None, None)
    assert (settings.kernel, settings.fail_on, settings.severities["MP902"]) == ("6.12", "warning", "warning")
    assert [own.target for own in settings.expectations] == ["", "node1", "node2"]
    (suppression,) = settings.suppressions.values()
    assert suppression.until == datetime.date(2027, 1, 31)


def test_expectations() -> None:
    place = Place("--expect")
    assert [own.target for own in read_expectations(" movable:node1, 2,node03 ", place)] == ["node1", "node2", "node3"]
    assert [own.what for own in read_expectations("crashkernel", place)] == ["crashkernel"]
    for text in ("", "movable", "movable:", "movable:node1,", "movable:nodeX", "crashkernel:1", "removable:node1"):
        with pytest.raises(InputError, match="--expect: found the expectation"):
            read_expectations(text, place)


@pytest.mark.parametrize("name", ["9" * 5000, "9" * 5000 + ".yaml", "../default", "a\\0b.yaml", "/dev/zero"])
def test_a_profile_of_any_name_is_a_problem_with_its_place(name: str, stubs: Path) -> None:
    (stubs / "memplan.yaml").write_text(f'profile: "{name}"\n')
    with pytest.raises(InputError) as raised:
        find_settings(stubs / "m.yaml", None, None)
    assert str(raised.value).startswith("memplan.yaml:1:10: profile: there is no profile ")
