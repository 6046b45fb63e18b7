"""Kernels by name, by file and by a log's release, against what the logs of their boots say."""

from __future__ import annotations

from pathlib import Path

import pytest

from memplan.errors import InputError, UsageError
from memplan.kernel.builds import _text, build_rules, is_known, known_builds, match_release, with_rules
from memplan.kernel.load import find_kernel, is_kernel, kernel_of, override
from memplan.kernel.names import nearest
from memplan.kernel.shipped import kernel_names
from memplan.kernel.version import KernelVersion, Release
from memplan.machine.model import KernelImage
from memplan.units import PAGE_SIZE, round_up

DEBIAN_6_1 = "debian-6.1.0-55-amd64"
DEBIAN_6_12 = "debian-6.12.107+deb12-amd64"


def test_kernels_that_come_along() -> None:
    assert kernel_names() == [
        "lab-3.13.10",
        "lab-4.19.72",
        "lab-5.4.273",
        "debian-5.10.0-46-amd64",
        "lab-5.10.89",
        "lab-5.15.135",
        DEBIAN_6_1,
        "lab-6.6.87",
        DEBIAN_6_12,
        "debian-6.16.12+deb13-amd64",
        "debian-6.17.13+deb13-amd64",
        "lab-6.18.8",
        "debian-6.18.15+deb13-amd64",
        "debian-6.19.14+deb13-amd64",
        "debian-7.0.13+deb13-amd64",
        "lab-7.1.5",
        "debian-7.1.13+deb13-amd64",
        "debian-7.2.13+deb14-amd64",
        "debian-7.3.4+deb13-amd64",
    ]


@pytest.mark.parametrize(
    ("name", "text", "brk", "end"),
    [
        (DEBIAN_6_1, 0x1000000, 0x4400000, 0x4430000),
        ("lab-3.13.10", 0x1000000, 0x1773000, 0x1799000),
        ("lab-5.10.89", 0x1000000, 0x1E00000, 0x1E2C000),
    ],
)
def test_where_the_image_lies(name: str, text: int, brk: int, end: int) -> None:
    """The first dumps of these kernels' boots: [_text, _end of what is reserved), and System.map's _end."""
    kernel = find_kernel(name)
    assert kernel.fact("image.load_address") == text
    assert text + kernel.fact("image.kernel_reserve_end") == brk
    assert text + kernel.fact("image.brk_start") == brk
    assert text + kernel.fact("image.end") == end


@pytest.mark.parametrize(
    ("name", "percpu", "node_data", "real_mode"),
    [
        # "percpu: Embedded … s217088", "NODE_DATA(0) allocated" with its size, the trampoline's reservation
        (DEBIAN_6_1, 217088, 0x2B000, 0x7000),
        (DEBIAN_6_12, 233472, 0x2A980, 0x7000),
        ("lab-4.19.72", 125720, 0x22000, 0x6000),
        ("lab-5.10.89", 151512, 0x4000, 0x6000),
        ("lab-5.15.135", 155648, 0x22000, 0x6000),
        ("lab-6.18.8", 134296, 0x3DC0, 0x7000),
        ("lab-7.1.5", 136088, 0x4040, 0x7000),
        ("lab-3.13.10", 72344, 0x5000, 0x6000),
    ],
)
def test_sizes_that_boots_show(name: str, percpu: int, node_data: int, real_mode: int) -> None:
    kernel = find_kernel(name)
    assert kernel.fact("image.percpu_static") == percpu
    assert round_up(kernel.fact("struct.pglist_data"), kernel.rules.node_data_round) == node_data
    assert kernel.fact("image.real_mode_size") == real_mode
    assert real_mode % PAGE_SIZE == 0


@pytest.mark.parametrize("name", kernel_names())
def test_every_fact_has_a_source(name: str) -> None:
    kernel = find_kernel(name)
    assert set(kernel.sources) == set(kernel.facts)
    assert all(kernel.sources.values())


@pytest.mark.parametrize("name", [DEBIAN_6_1, DEBIAN_6_12])
def test_boot_options_as_the_logs_show(name: str) -> None:
    """ "Unknown kernel command line parameters "nokaslr debug_pagealloc=on"" in logs with all of these words."""
    options = find_kernel(name).options
    assert options is not None
    assert {
        "console",
        "earlyprintk",
        "panic",
        "memblock",
        "movable_node",
        "crashkernel",
        "hugepagesz",
        "acpi",
    } <= options
    assert not {"nokaslr", "debug_pagealloc", "splash"} & options


def test_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no kernel 'debian-6\.1\.0-amd64'; did you mean debian-6\.1\.0-55-amd64"):
        find_kernel("debian-6.1.0-amd64")


def test_missing_file() -> None:
    with pytest.raises(InputError, match=r"^/no/kernel\.yaml: can't be read: No such file"):
        find_kernel("/no/kernel.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('version: "6.1"\nbased_on: kernel\n', "is based on itself"),
        (
            'version: "2.6"\nbased_on: "6.1"\n',
            r"kernel\.yaml: version: no rules for Linux 2\.6; there are rules for 3\.13",
        ),
        ('version: "6.20"\nbased_on: "6.1"\n', r"kernel\.yaml: version: '6\.20' is no kernel version"),
        ('version: "6.1"\nbased_on: "6.20"\n', r"based_on: there is no kernel '6\.20'"),
        (
            'version: "6.1"\nbased_on: "6.1"\nfacts: [{source: x, image: {end: 0x1000}}]\n',
            r"facts: image\.brk_limit \(0x3430000\) lies above image\.end \(0x1000\)",
        ),
    ],
)
def test_files_that_do_not_fit(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "kernel.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        find_kernel(str(path))


def test_file_based_on_another(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text('based_on: "6.1"\nversion: "6.1"\nfacts:\n  - source: me\n    struct: {page: 80}\n')
    kernel, base = find_kernel(str(path)), find_kernel("6.1")
    assert kernel.name == "mine"
    assert kernel.fact("struct.page") == 80
    assert kernel.sources["struct.page"] == "me"
    assert kernel.fact("struct.zone") == base.fact("struct.zone")
    assert kernel.options == base.options


def test_override() -> None:
    base = find_kernel("6.1")
    kernel = override(base, {"struct.page": 80, "config.CMA": True})
    assert kernel.fact("struct.page") == 80
    assert kernel.config("CMA")
    assert not base.config("CMA")
    assert kernel.sources["struct.page"] == "given by the user"
    assert "struct.page=80" in kernel.notes[-1]
    assert override(base, {}) is base


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("struct.pages", 1, r"no fact 'struct\.pages'; did you mean struct\.page"),
        ("struct.page", "big", r"struct\.page should be a number from 8 to 1024, a multiple of 8, found 'big'"),
        ("config.NODES_SHIFT", True, r"config\.NODES_SHIFT should be a number from 0 to 10, found true"),
        ("config.NUMA", 3, r"config\.NUMA should be true or false, found 3"),
        ("config.CMDLINE", 3, r"config\.CMDLINE should be text of at most 2048 characters, found 3"),
        ("config.NODES_SHIFT", 1 << 9999, r"NODES_SHIFT should be a number from 0 to 10, found 0x[0-9a-f]{58}…$"),
        ("config.LOG_BUF_SHIFT", 0, r"config\.LOG_BUF_SHIFT should be a number from 12 to 25, found 0"),
        ("struct.mem_section", 0, r"struct\.mem_section should be a power of two from 8 to 4096, found 0"),
        ("struct.mem_section", 5000, r"struct\.mem_section should be a power of two from 8 to 4096, found 5000"),
        ("image.load_address", 1 << 68, r"image\.load_address should be a number from 0 to 0xfffffc0000000, a mult"),
        ("image.brk_limit", 0x100, r"image\.brk_start \(0x3400000\) would lie above image\.brk_limit \(0x100\)"),
    ],
)
def test_override_of_what_is_no_fact(name: str, value: int | str | bool, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        override(find_kernel("6.1"), {name: value})


def test_rules_of_another_version() -> None:
    kernel = with_rules(find_kernel("6.1"), "6.12")
    assert (kernel.version, str(kernel.rules.version)) == ("6.12", "6.12.117")
    assert kernel.fact("struct.page") == find_kernel("6.1").fact("struct.page")
    assert "rules of Linux 6.12 with the facts of 6.1" in kernel.notes[-2]
    assert "6.12 means 6.12.117" in kernel.notes[-1]
    with pytest.raises(UsageError, match=r"no rules for Linux 3\.12; there are rules for 3\.13 and later"):
        with_rules(kernel, "3.12")


def test_release_of_a_known_build() -> None:
    line = "Linux version 6.1.0-55-amd64 (x) (gcc-12) #1 SMP PREEMPT_DYNAMIC Debian 6.1.192-1 (2026-11-14)"
    assert match_release("6.1.0-55-amd64", line) == (DEBIAN_6_1, "")


def test_release_of_a_known_name_but_another_build() -> None:
    name, note = match_release("6.1.0-55-amd64", "Linux version 6.1.0-55-amd64 (x) #1 SMP Debian 6.1.191-1")
    assert name == DEBIAN_6_1
    assert "another build" in note


def test_release_of_an_unknown_build() -> None:
    name, note = match_release("6.6.13", "Linux version 6.6.13")
    assert name == "6.6.13"
    assert note.startswith("no build 6.6.13 is known; sizes and options of other builds")
    assert match_release("6.1.9", "")[0] == "6.1.9"
    with pytest.raises(UsageError, match=r"no rules for Linux 2\.6\.32"):
        match_release("2.6.32-754.el6", "")
    with pytest.raises(UsageError, match="no kernel release"):
        match_release("banana", "")


def test_facts_that_a_machine_overrides_go_with_its_own_build() -> None:
    image = KernelImage(DEBIAN_6_1, overrides={"image.percpu_static": 4096})
    own, named, other = (kernel_of(image, kernel) for kernel in (None, DEBIAN_6_1, DEBIAN_6_12))
    assert own.fact("image.percpu_static") == named.fact("image.percpu_static") == 4096
    assert other.facts == find_kernel(DEBIAN_6_12).facts
    assert other.notes[-1].startswith("facts that the machine overrides (image.percpu_static) are those of its own")
    plain = KernelImage(DEBIAN_6_1)
    assert kernel_of(plain, DEBIAN_6_12) == find_kernel(DEBIAN_6_12)
    assert kernel_of(image, find_kernel(DEBIAN_6_12)).facts == find_kernel(DEBIAN_6_12).facts


def test_what_the_user_gives_is_borrowed_no_more() -> None:
    base = find_kernel("6.7")
    assert base.borrowed
    name = min(name for name in base.borrowed if isinstance(base.facts.get(name), int))
    assert override(base, {name: base.facts[name]}).borrowed == base.borrowed - {name}
    own = find_kernel(DEBIAN_6_1)
    assert override(own, {"struct.page": 64}).borrowed == own.borrowed


@pytest.mark.parametrize("text", ["3.13", "4.8", "5.2", "5.12", "6.1", "6.4", "6.18", "7.0", "7.9"])
def test_builds_by_how_near_they_are(text: str) -> None:
    """Nearer ones first, of two as near the older one; what is based on another build is none of its own."""
    release = Release.parse(text)
    found = list(known_builds(release))
    own = [KernelVersion.at_head_of(build.release).release.ordinal for build in found]
    order = [(abs(ordinal - release.ordinal), ordinal) for ordinal in own]
    assert order == sorted(order)
    assert {build.name for build in found} == {name for name in kernel_names() if not find_kernel(name).borrowed}


@pytest.mark.parametrize("hops", [8, 9])
def test_how_deep_files_may_be_based_on_one_another(hops: int, tmp_path: Path) -> None:
    for number in range(hops):
        (tmp_path / f"k{number}.yaml").write_text(f'version: "6.1"\nbased_on: k{number + 1}\n')
    (tmp_path / f"k{hops}.yaml").write_text('version: "6.1"\nbased_on: "6.1"\n')
    if hops == 8:
        assert find_kernel(str(tmp_path / "k0.yaml")).facts == find_kernel("6.1").facts
    else:
        with pytest.raises(InputError, match=r"k8\.yaml: based_on: is based on itself, 8 files deep"):
            find_kernel(str(tmp_path / "k0.yaml"))


@pytest.mark.parametrize(
    ("release", "build", "version"),
    [
        ("5.15.135", "", "5.15.135"),
        ("6.6.13", "#1 SMP Debian 6.6.15-1", "6.6.13"),
        ("6.1.0-9-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.27-1 (2023-05-08)", "6.1.27"),
        ("6.1.0-9-amd64", "#1 SMP PREEMPT_DYNAMIC", "6.1.180"),
    ],
)
def test_the_stable_release_of_a_build(release: str, build: str, version: str) -> None:
    found = build_rules(release, build).version
    if version == "6.1.180":
        # Nothing tells it, so that the newest one that is known is meant.
        assert found == find_kernel("6.1").rules.version
    else:
        assert str(found) == version


@pytest.mark.parametrize(
    ("release", "build", "version"),
    [
        ("6.1.77-tiny", "", "6.1.77"),
        ("6.1.0-9-amd64", "#1 SMP Debian 6.1.27-1", "6.1.27"),
        ("6.1.0-own", "#1 SMP", "6.1"),
        ("6.10.5", "", "6.1"),
        ("6.1.05", "", "6.1"),
    ],
)
def test_a_file_s_version_without_sublevel(release: str, build: str, version: str, tmp_path: Path) -> None:
    """The release, or the build's text, may tell the sublevel; "0" there tells none."""
    path = tmp_path / "kernel.yaml"
    path.write_text(f"version: '6.1'\nrelease: {release}\nbuild: '{build}'\nbased_on: '6.1'\n")
    newest = find_kernel("6.1").rules.version
    assert find_kernel(str(path)).rules.version == (newest if version == "6.1" else KernelVersion.parse(version))


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("3.13", True),
        ("3.12", False),
        ("rhel-8", True),
        ("3.10.0-1160.el7.x86_64", True),
        ("2.6.32-1", False),
        ("x", False),
    ],
)
def test_what_has_rules(name: str, known: bool) -> None:
    assert is_known(name) is known


def test_words_that_are_near() -> None:
    """Up to twenty names are all told where none is near; versions are near by how many releases lie between."""
    names = [f"name-{letter}" for letter in "abcdefghijklmnopqrst"]
    assert nearest("zzzz", names) == f"; did you mean {' or '.join(names)}?"
    assert nearest("zzzz", [*names, "name-u"]) == ""
    assert nearest("name-", names).count("name-") == 3
    assert nearest("6.13", ["3.13", "6.12", "6.16"]) == "; did you mean 6.12?"
    both = ("; did you mean 6.12 or 6.14?", "; did you mean 6.14 or 6.12?")
    assert nearest("6.13", ["6.12", "6.14", "6.16"]) in both
    # 6.0 came after 5.19.
    assert nearest("5.19", ["5.17", "6.0", "4.19"]) == "; did you mean 6.0?"
    assert nearest("6.13", [f"6.12.{number}" for number in range(5)]).count("6.12.") == 3
    assert nearest("6.13", ["rhel-8", "own"]) == "; did you mean rhel-8 or own?"


@pytest.mark.parametrize(
    ("name", "known"),
    [
        (DEBIAN_6_1, True),
        ("lab-7.1.5", True),
        ("3.13", True),
        ("3.12", False),
        ("rhel-8", True),
        ("6.20", False),
        ("x", False),
    ],
)
def test_names_of_kernels(name: str, known: bool) -> None:
    assert is_kernel(name) is known


def test_files_that_can_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"/none\.yaml: can't be read: No such file or directory$"):
        _text(str(tmp_path / "none.yaml"))
    (tmp_path / "own.yaml").write_bytes(b"abc\xff")
    with pytest.raises(InputError, match=r"/own\.yaml: is not text: byte 3 is no UTF-8$"):
        _text(str(tmp_path / "own.yaml"))
