"""Kernels of which no build is known, and what is computed of a build that does not tell: against builds that do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from memplan.kernel.builds import known_builds
from memplan.kernel.facts import FactValue
from memplan.kernel.generic import _of_a_distribution, _with_options_of, complete
from memplan.kernel.load import find_kernel
from memplan.kernel.model import Kernel
from memplan.kernel.shipped import kernel_names
from memplan.kernel.structures import _lists, decided_sizes, node_data_size
from memplan.kernel.version import Release

BUILDS = [name for name in kernel_names() if not find_kernel(name).borrowed]


@pytest.mark.parametrize("name", BUILDS)
def test_sizes_that_version_and_configuration_decide(name: str) -> None:
    """As type information, or a compiler, has them for every build that is known."""
    build = find_kernel(name)
    decided = decided_sizes(build.rules.structs, build.facts)
    told = {fact: build.facts[fact] for fact in decided if not build.sources[fact].startswith(("computed", "no such"))}
    assert len(told) > 6
    assert {fact: decided[fact] for fact in told} == told
    assert build.rules.structs.doubts == ()


@pytest.mark.parametrize(
    ("name", "like"),
    [
        ("lab-5.10.89", "debian-5.10.0-46-amd64"),
        ("debian-5.10.0-46-amd64", "lab-5.10.89"),
        ("lab-5.15.135", "lab-5.10.89"),
        ("lab-5.10.89", "lab-5.15.135"),
        ("debian-6.16.12+deb13-amd64", "debian-6.18.15+deb13-amd64"),
    ],
)
def test_size_of_node_data_follows_from_the_configuration(name: str, like: str) -> None:
    """15,616 bytes for 64 nodes' and 138,240 for 1,024: the lists of zones are nearly all of it."""
    own, other = find_kernel(name), find_kernel(like)
    size = node_data_size(own.rules.structs, own.facts, other.rules.structs, other.facts)
    assert size == own.fact("struct.pglist_data")


@pytest.mark.parametrize("shift", [7, 10])
def test_zone_lists_with_their_caches(shift: int) -> None:
    """Until 4.3 each list has, behind its zones, a pointer, two bytes and a bit for each zone, and a time."""
    build = find_kernel("lab-3.13.10")
    assert build.fact("config.NODES_SHIFT") == 6
    own = {**build.facts, "config.NODES_SHIFT": shift}
    zones = 2 + build.config("ZONE_DMA") + build.config("ZONE_DMA32")

    def lists(shift: int) -> int:
        count = zones << shift
        return 2 * (16 * (count + 1) + 8 + 2 * count + count // 8 + 8)

    size = node_data_size(build.rules.structs, own, build.rules.structs, build.facts)
    like = build.fact("struct.pglist_data")
    assert size is not None
    assert 0 <= size - (like - lists(6) + lists(shift)) < 64
    assert size % 64 == 0
    plain = build.rules.structs._replace(zonelist_caches=False)
    without = node_data_size(plain, own, plain, build.facts)
    assert without is not None
    caches = 2 * ((2 + 1 / 8) * zones * ((1 << shift) - (1 << 6)))
    assert abs(size - without - caches) < 64


def test_node_data_that_can_not_be_told() -> None:
    build = find_kernel("lab-5.10.89")
    rules, facts = build.rules.structs, dict(build.facts)
    assert node_data_size(rules, facts, rules, facts) == -(-build.fact("struct.pglist_data") // 64) * 64
    for name in ("struct.zone", "struct.pglist_data", "config.NODES_SHIFT"):
        less = {fact: value for fact, value in facts.items() if fact != name}
        assert node_data_size(rules, facts, rules, less) is None
    assert node_data_size(rules, {**facts, "config.NODES_SHIFT": True}, rules, facts) is None


@pytest.mark.parametrize("name", BUILDS)
def test_node_data_without_type_information_is_off_by_a_page_at_most(name: str) -> None:
    build = find_kernel(name)
    facts = {fact: value for fact, value in build.facts.items() if not fact.startswith("struct.")}

    def others(release: Release) -> list[object]:
        return [other for other in known_builds(release) if other.name != name]

    found = complete(facts, build.rules, others)  # type: ignore[arg-type]
    assert found.guesses == ("struct.zone", "struct.pglist_data")
    size = found.facts["struct.pglist_data"]
    assert isinstance(size, int)
    assert abs(size - build.fact("struct.pglist_data")) < 4096
    assert set(found.facts) >= set(decided_sizes(build.rules.structs, facts))


@pytest.mark.parametrize(
    "name", ["3.13", "4.4", "4.15.18", "4.18", "5.4.0", "5.10", "5.14", "5.15", "6.1", "6.8", "6.12", "6.19", "7.1"]
)
def test_generic_kernels_are_of_a_distributions_kind(name: str) -> None:
    kernel = find_kernel(name)
    assert kernel.version == name
    assert kernel.fact("config.NR_CPUS") == 8192
    assert kernel.config("MODULES")
    assert 0x26000 <= kernel.fact("struct.pglist_data") <= 0x2B000
    assert "so places may be off by as much" in kernel.notes[0]
    assert set(kernel.sources) == set(kernel.facts)
    build = find_kernel("lab-6.18.8")
    assert not [own for own in ("image.end", "image.percpu_static") if kernel.facts[own] == build.facts[own]]


def test_generic_kernel_of_a_known_version_has_its_builds_facts() -> None:
    build, kernel = find_kernel("debian-6.12.107+deb12-amd64"), find_kernel("6.12")
    assert {name: kernel.facts[name] for name in build.facts} == dict(build.facts)


def test_options_are_those_of_the_version() -> None:
    old, new = find_kernel("4.4"), find_kernel("6.8")
    assert old.config("MOVABLE_NODE")
    assert old.fact("config.X86_RESERVE_LOW") == 64
    assert not old.config("X86_5LEVEL")
    assert "config.X86_RESERVE_LOW" not in new.facts
    assert not new.config("MOVABLE_NODE")


def test_structures_that_a_version_does_not_have_are_not_asked_for(tmp_path: Path) -> None:
    """A size that an earlier file took from another version's kernel makes way for the version's own."""
    path = tmp_path / "old.yaml"
    path.write_text(
        "version: '4.19'\nrelease: 4.19.72\nfacts:\n- source: System.map\n"
        "  image: {load_address: 0x1000000, kernel_reserve_end: 0xe00000, brk_start: 0xe00000, end: 0xe2c000}\n"
        "  struct: {pcpu_chunk: 112}\n"
        "- source: 'generic 5.10, as this build does not tell'\n  struct: {mem_section_usage: 8, zone: 1664}\n"
        "- source: configuration\n  config: {NUMA: true, NODES_SHIFT: 10, ZONE_DMA: true, ZONE_DMA32: true}\n"
    )
    kernel = find_kernel(str(path))
    assert kernel.fact("struct.mem_section_usage") == 0
    assert kernel.fact("struct.pcpu_chunk") == 112
    assert kernel.fact("struct.pglist_data") == 138432
    assert kernel.notes[0].startswith(
        "struct.zone, struct.pglist_data, image.real_mode_size, image.percpu_static: this"
    )


@pytest.mark.parametrize("text", ["3.16", "4.8", "5.12", "6.1", "6.9", "6.13"])
def test_the_note_tells_how_far_the_nearest_build_is_and_how_much_images_differ(text: str) -> None:
    release = Release.parse(text)

    def of_a_distribution(build: Kernel) -> bool:
        return build.fact("config.NR_CPUS") >= 256 and build.config("MODULES")

    near = [build for build in known_builds(release) if of_a_distribution(build)][:3]
    away = abs(near[0].rules.version.release.ordinal - release.ordinal)
    (note,) = (note for note in find_kernel(text).notes if note.startswith("no build of "))
    but = f", {away} release{'s' if away != 1 else ''} away, but for those that the version decides" if away else ""
    assert f"are those of Debian's {near[0].release}{but}; its image has " in note
    sizes = [round(build.fact("image.end") / 1048576) for build in near]
    assert f"its image has {sizes[0]} MiB here" in note
    assert f"nearest to it have {min(sizes)} MiB to {max(sizes)} MiB" in note


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"config.NUMA": False},
        {"struct.zone": 0x800},
        {"config.NODES_SHIFT": 3},
        {"config.ZONE_DEVICE": True},
        {"config.ZONE_DMA": False, "config.ZONE_DMA32": False},
    ],
)
def test_node_data_by_its_parts(facts: dict[str, FactValue]) -> None:
    """The zones, one or two lists of all nodes' zones, and the same rest, in whole cache lines."""
    build = find_kernel("lab-5.10.89")
    rules = build.rules.structs
    own = {**build.facts, **facts}

    def parts(of: Mapping[str, FactValue]) -> int:
        zones = 2 + sum(of.get(f"config.ZONE_{name}") is True for name in ("DMA", "DMA32", "DEVICE"))
        zone, shift = of["struct.zone"], of["config.NODES_SHIFT"]
        assert isinstance(zone, int)
        assert isinstance(shift, int)
        numa = of["config.NUMA"] is True
        entries = zones << shift if numa else zones
        return zones * zone + (2 if numa else 1) * 16 * (entries + 1)

    rest = build.fact("struct.pglist_data") - parts(build.facts)
    size = node_data_size(rules, own, rules, build.facts)
    assert size == -(-(parts(own) + rest) // 64) * 64


def test_what_no_build_tells_is_said_by_its_source() -> None:
    build = find_kernel("debian-6.12.107+deb12-amd64")
    facts = {name: value for name, value in build.facts.items() if not name.startswith("struct.")}
    found = complete(facts, build.rules, known_builds)
    assert found.sources["struct.page"] == f"computed for Linux {build.rules.version}"
    assert found.sources["struct.zone"] == f"that of {found.like}, as nothing tells it"
    assert found.sources["struct.pglist_data"] == f"computed for the configuration, after {found.like}"
    missing = [name for name, size in found.facts.items() if not size]
    assert missing
    assert {found.sources[name] for name in missing} == {f"no such structure in {build.rules.version}"}
    told = complete({**facts, **dict.fromkeys(missing, 8)}, build.rules, known_builds)
    assert {told.facts[name] for name in missing} == {0}
    own = complete({**facts, "struct.page": 72}, build.rules, known_builds)
    assert "struct.page" not in own.facts
    whole = complete(build.facts, build.rules, known_builds)
    assert (whole.guesses, whole.like) == ((), "")


@pytest.mark.parametrize(("option", "sign"), [("LRU_GEN", True), ("LRU_GEN", False)])
def test_the_build_that_is_like_it(option: str, sign: bool) -> None:
    """The nearest one that has that option as this kernel has it, as it makes a zone larger."""
    build = find_kernel("debian-6.12.107+deb12-amd64")
    facts = {name: value for name, value in build.facts.items() if name != "struct.zone"}
    facts[f"config.{option}"] = sign
    wanted = next(own for own in known_builds(build.rules.version.release) if own.config(option) == sign)
    found = complete(facts, build.rules, known_builds)
    assert (found.like, found.guesses) == (wanted.name, ("struct.zone",))
    assert found.facts["struct.zone"] == wanted.fact("struct.zone")


@pytest.mark.parametrize(
    ("release", "names"),
    [
        (
            "3.14",
            "ACPI_INITRD_TABLE_OVERRIDE DEBUG_RODATA DIRECT_GBPAGES KVM_GUEST MEMCG_KMEM MOVABLE_NODE X86_RESERVE_LOW",
        ),
        ("4.1", "ACPI_INITRD_TABLE_OVERRIDE DEBUG_RODATA KVM_GUEST MEMCG_KMEM MOVABLE_NODE X86_RESERVE_LOW"),
        ("4.10", "DEBUG_RODATA KVM_GUEST MEMCG_KMEM MOVABLE_NODE X86_RESERVE_LOW"),
        ("4.12", "KVM_GUEST MEMCG_KMEM MOVABLE_NODE X86_RESERVE_LOW"),
        ("5.12", "KVM_GUEST MEMCG_KMEM PAGE_TABLE_ISOLATION X86_RESERVE_LOW"),
        ("5.13", "KVM_GUEST MEMCG_KMEM PAGE_TABLE_ISOLATION"),
        ("6.10", "KVM_GUEST MEMCG_KMEM"),
        ("6.11", "KVM_GUEST"),
    ],
)
def test_options_that_distributions_set_while_there_were_such(release: str, names: str) -> None:
    """All on, and 64 KiB of low memory reserved; what a build says of its own stays."""
    facts: dict[str, FactValue] = {"config.GONE": True}
    told = _with_options_of(Release.parse(release), facts)
    wanted = {f"config.{name}": 64 if name == "X86_RESERVE_LOW" else True for name in names.split()}
    assert facts == {"config.GONE": True, **wanted}
    assert set(told) == set(wanted)
    own: dict[str, FactValue] = dict.fromkeys(wanted, 4)
    assert _with_options_of(Release.parse(release), own) == []
    assert own == dict.fromkeys(wanted, 4)


@pytest.mark.parametrize(("option", "release", "there"), [("KFENCE", "5.11", False), ("KFENCE", "5.12", True)])
def test_options_that_came_later(option: str, release: str, there: bool) -> None:
    facts: dict[str, FactValue] = {f"config.{option}": True}
    _with_options_of(Release.parse(release), facts)
    assert (f"config.{option}" in facts) is there


@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        ({"config.NR_CPUS": 256, "config.MODULES": True}, True),
        ({"config.NR_CPUS": 255, "config.MODULES": True}, False),
        ({"config.NR_CPUS": 256}, False),
        ({"config.MODULES": True}, False),
    ],
)
def test_what_is_of_a_distribution_s_kind(facts: dict[str, FactValue], kind: bool) -> None:
    assert _of_a_distribution(find_kernel("lab-5.10.89")._replace(facts=facts)) is kind


@pytest.mark.parametrize("shift", range(11))
@pytest.mark.parametrize(
    "options", [(), ("ZONE_DMA",), ("ZONE_DMA", "ZONE_DMA32"), ("ZONE_DMA", "ZONE_DMA32", "ZONE_DEVICE")]
)
def test_bytes_of_the_lists_of_zones(shift: int, options: tuple[str, ...]) -> None:
    """16 for each zone of each node, and for the end; with NUMA two lists; until 4.3 a cache behind each.

    The cache has two bytes and one bit for each zone, the bits in whole words, a pointer to it, and a time.
    """
    rules = find_kernel("lab-3.13.10").rules.structs
    facts: dict[str, FactValue] = {f"config.{option}": True for option in options}
    facts |= {"config.NUMA": True, "config.NODES_SHIFT": shift}
    zones = (2 + len(options)) * 2**shift
    bits = next(words for words in range(zones + 1) if words * 64 >= zones) * 8
    assert _lists(rules._replace(zonelist_caches=False), facts) == 2 * 16 * (zones + 1)
    assert _lists(rules, facts) == 2 * (16 * (zones + 1) + 8 + 2 * zones + bits + 8)
    facts["config.NUMA"] = False
    assert _lists(rules, facts) == 16 * (2 + len(options) + 1)


def test_sizes_that_configuration_decides() -> None:
    """What a kernel has of its own of each structure is as its options say."""
    rules = find_kernel("6.12").rules.structs
    facts: dict[str, FactValue] = {}
    rules = rules._replace(
        kfence_metadata=192, kfence_metadata_memcg=200, printk_info=100, pcpu_chunk=80, pcpu_chunk_memcg=88
    )
    plain = decided_sizes(rules, facts)
    assert (plain["struct.kfence_metadata"], plain["struct.printk_info"], plain["struct.pcpu_chunk"]) == (192, 100, 80)
    for option in ("MEMCG", "MEMCG_KMEM"):
        facts = {f"config.{option}": True, "config.PRINTK_EXECUTION_CTX": True}
        own = decided_sizes(rules, facts)
        assert (own["struct.kfence_metadata"], own["struct.printk_info"], own["struct.pcpu_chunk"]) == (200, 124, 88)
    none = decided_sizes(rules._replace(kfence_metadata=0, printk_info=0), {"config.PRINTK_EXECUTION_CTX": True})
    assert (none["struct.kfence_metadata"], none["struct.printk_info"]) == (0, 0)
    assert not [name for name in none if name.endswith("_memcg") or "doubled" in name or "caches" in name]


@pytest.mark.parametrize("by", ["MEMCG", "PAGE_EXTENSION"])
def test_sections_that_an_option_doubles(by: str) -> None:
    rules = find_kernel("6.12").rules.structs._replace(mem_section=16, mem_section_doubled_by=by)  # type: ignore[arg-type]
    sizes = [decided_sizes(rules, {f"config.{own}": True})["struct.mem_section"] for own in ("MEMCG", "PAGE_EXTENSION")]
    assert sizes == ([32, 16] if by == "MEMCG" else [16, 32])
