"""Kernels of which no build is known, and what is computed of a build that does not tell: against builds that do."""

from __future__ import annotations

from pathlib import Path

import pytest

from memplan.kernel.builds import known_builds
from memplan.kernel.generic import complete
from memplan.kernel.load import find_kernel
from memplan.kernel.shipped import kernel_names
from memplan.kernel.structures import decided_sizes, node_data_size
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
