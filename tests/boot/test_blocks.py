"""Memory blocks: their size, and which of them really went off-line."""

import re
from itertools import pairwise
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memplan.boot.blocks import block_size, movable_ranges
from memplan.boot.context import Boot
from memplan.boot.steps.zones import free_area_init
from memplan.kernel.load import find_kernel
from memplan.machine.model import Cpus, MemoryAffinity, Srat
from memplan.plan import Zone
from memplan.units import GIB, MIB, PAGE_SHIFT, PAGE_SIZE
from tests.boot import real
from tests.boot.steps.test_numa import booted, machine

BLOCK = re.compile(r"block (\d+) node(\d+) zones '(\w*)[^']*' was online (\w+)")
SIZE = "/sys/devices/system/memory/block_size_bytes: "
#: Before 3.18 sysfs does not tell a block's zones, so these logs don't show which blocks were tried.
NAMES = [name for name in real.NAMES if name.startswith("user-") and not name.endswith("3.13")]


@pytest.mark.parametrize("name", [name for name in real.NAMES if name.startswith("user-")])
def test_blocks_have_the_size_that_sysfs_tells(name: str) -> None:
    told = next(line for line in real.lines(name) if line.startswith(SIZE))
    assert real.plan(name).block_size == int(told.removeprefix(SIZE), 16)


@pytest.mark.parametrize("name", NAMES)
def test_just_those_blocks_are_movable_that_went_off_line(name: str) -> None:
    plan = real.plan(name)
    tried = {int(b[1]): (int(b[2]), b[4] == "offlined") for b in map(BLOCK.match, real.lines(name)) if b}
    assert tried
    size = plan.block_size
    planned = {block: nid for nid, start, end in plan.movable for block in range(start // size, end // size)}
    assert planned == {block: nid for block, (nid, went) in tried.items() if went}


@pytest.mark.parametrize(
    ("version", "hypervisor", "end", "size"),
    [
        ("3.13", False, 128 * GIB, 128 * MIB),
        ("6.1", False, 64 * GIB - 128 * MIB, 128 * MIB),
        ("6.1", False, 64 * GIB, 2 * GIB),
        ("6.12", False, 65 * GIB + 64 * MIB, 2 * GIB),
        ("5.10", True, 66 * GIB, 2 * GIB),
        ("6.12", True, 65 * GIB, GIB),
        ("6.1", True, 64 * GIB + 768 * MIB, 256 * MIB),
        ("6.1", True, 64 * GIB + 32 * MIB, 128 * MIB),
    ],
)
def test_block_sizes_by_the_end_of_ram(version: str, hypervisor: bool, end: int, size: int) -> None:
    cpus = Cpus(hypervisor=hypervisor)
    assert block_size(booted(version, machine([(MIB, 2 * GIB), (4 * GIB, end)], None, cpus))) == size


@given(
    version=st.sampled_from(["3.13", "3.16", "3.19", "4.5", "4.6", "4.16", "4.17", "5.8", "5.9", "6.12"]),
    end=st.integers(60 * 64, 70 * 64) | st.sampled_from([64 * 64 - 1, 64 * 64, 65 * 64, 66 * 64, 66 * 64 + 32]),
    hole=st.integers(0, 4 * 64),
    hypervisor=st.booleans(),
)
def test_block_sizes_by_version(version: str, end: int, hole: int, hypervisor: bool) -> None:
    """In 16 MiB: RAM's end and the holes below it.  Where nothing else is said, the largest block divides the end."""
    kernel = find_kernel(version)
    fake = SimpleNamespace(
        max_pfn=end * 16 * MIB >> PAGE_SHIFT,
        rules=kernel.rules,
        memblock=SimpleNamespace(phys_mem_size=lambda: (end - hole) * 16 * MIB),
        machine=SimpleNamespace(cpus=Cpus(hypervisor=hypervisor)),
    )
    number = kernel.rules.version.release
    large = end * 16 * MIB >= 64 * GIB
    wanted = next((size for size in (2048, 1024, 512, 256) if end * 16 % size == 0), 128) * MIB if large else 128 * MIB
    by_amount = (3, 19) <= number < (4, 6) and (end - hole) * 16 * MIB >= 64 * GIB
    by_end = large and ((4, 6) <= number < (4, 17) or (number >= (5, 9) and not hypervisor))
    if number < (3, 16):
        wanted = 128 * MIB
    elif by_amount or by_end:
        wanted = 2 * GIB
    assert block_size(cast(Boot, fake)) == wanted


@given(
    border=st.integers(4 * GIB // PAGE_SIZE, 7 * GIB // PAGE_SIZE),
    taken=st.lists(st.integers(4 * GIB // PAGE_SIZE, 8 * GIB // PAGE_SIZE - 1), max_size=5),
)
def test_movable_blocks_are_whole_and_hold_nothing(border: int, taken: list[int]) -> None:
    """Whatever is reserved later, each block is named once, lies in the hot-pluggable node and is free."""
    marked = Srat(
        memory=(
            MemoryAffinity(0, 0, border * PAGE_SIZE),
            MemoryAffinity(1, border * PAGE_SIZE, 8 * GIB - border * PAGE_SIZE, hotplug=True),
        )
    )
    boot = booted("6.12", machine([(MIB, 2 * GIB), (4 * GIB, 8 * GIB)], marked, cmdline="movable_node"))
    free_area_init(boot)
    for pfn in taken:
        boot.memblock.reserve(pfn * PAGE_SIZE, 1)
    size = block_size(boot)
    found = movable_ranges(boot)
    wanted = {
        block
        for block in range(8 * GIB // size)
        if block * size >= border * PAGE_SIZE and not any(block == pfn * PAGE_SIZE // size for pfn in taken)
    }
    # ZONE_MOVABLE begins on a 4 MiB border, which may spoil the first block but never makes one.
    first = -(-border * PAGE_SIZE // (4 * MIB)) * 4 * MIB
    wanted -= {block for block in wanted if block * size < first}
    assert {block for _, start, end in found for block in range(start // size, end // size)} == wanted
    assert all(nid == 1 and start % size == end % size == 0 for nid, start, end in found)
    assert all(before[2] < after[1] for before, after in pairwise(found))


#: A node, how many quarters of a memory block of RAM it has there, and how many of a hole are behind it.
PIECES = st.lists(st.tuples(st.integers(0, 1), st.integers(1, 9), st.integers(0, 3)), min_size=1, max_size=8)


@given(PIECES, st.lists(st.integers(0, 100), max_size=4), st.integers(0, 40), st.integers(0, 40))
def test_a_block_is_movable_where_every_page_of_it_is(
    layout: list[tuple[int, int, int]], taken: list[int], movable: int, normal: int
) -> None:
    """Held against looking at each quarter of each block: RAM of the node, in no other zone, and nothing reserved."""
    size, quarter = 128 * MIB, 32 * MIB
    pages = quarter >> PAGE_SHIFT
    ranges, at = [], 0
    for nid, quarters, hole in layout:
        ranges.append((at * pages, (at + quarters) * pages, nid))
        at += quarters + hole
    zones = [
        Zone(nid, name, first * pages, last * pages - first * pages, last * pages - first * pages)
        for nid in (0, 1)
        for name, first, last in (("Normal", normal, normal + 6), ("Movable", movable, at))
        if first < last
    ]
    reserved = sorted((own * quarter + 4096, own * quarter + 8192) for own in set(taken))
    memblock = SimpleNamespace(
        phys_mem_size=lambda: sum(end - start for start, end, _ in ranges) << PAGE_SHIFT,
        reserved_ranges=lambda: reserved,
        pfn_ranges=lambda nid: [own for own in ranges if own[2] == nid],
    )
    boot = booted("6.12", machine([(MIB, 2 * GIB)], None))
    fake = cast(
        Boot,
        SimpleNamespace(
            memblock=memblock,
            max_pfn=at * pages,
            rules=boot.rules,
            machine=boot.machine,
            zones=SimpleNamespace(zones=zones),
        ),
    )
    assert block_size(fake) == size

    def free(nid: int, number: int) -> bool:
        ram = any(start <= number * pages < end and own == nid for start, end, own in ranges)
        zoned = [zone.name for zone in zones if zone.nid == nid and zone.span[0] <= number * quarter < zone.span[1]]
        return ram and zoned == ["Movable"] and number not in taken

    wanted = [
        (nid, block) for nid in (0, 1) for block in range(at // 4) if all(free(nid, block * 4 + n) for n in range(4))
    ]
    found = movable_ranges(fake)
    assert [(nid, block) for nid, start, end in found for block in range(start // size, end // size)] == wanted
    assert all(start < end for _, start, end in found)
    assert all(one[0] < two[0] or one[2] < two[1] for one, two in pairwise(found))


def test_what_is_taken_at_the_ends_leaves_no_empty_range() -> None:
    """The first and the last block are taken, then all."""
    marked = Srat(memory=(MemoryAffinity(0, 0, 6 * GIB), MemoryAffinity(1, 6 * GIB, 2 * GIB, hotplug=True)))
    boot = booted("6.12", machine([(MIB, 2 * GIB), (4 * GIB, 8 * GIB)], marked, cmdline="movable_node"))
    free_area_init(boot)
    assert movable_ranges(boot) == [(1, 6 * GIB, 8 * GIB)]
    boot.memblock.reserve(6 * GIB, 1)
    boot.memblock.reserve(8 * GIB - 1, 1)
    assert movable_ranges(boot) == [(1, 6 * GIB + 128 * MIB, 8 * GIB - 128 * MIB)]
    boot.memblock.reserve(6 * GIB, 2 * GIB)
    assert movable_ranges(boot) == []


def test_what_another_zone_of_the_node_spans_too_can_not_go_off_line() -> None:
    """kernelcore=mirror lets node 1's ZONE_NORMAL span all of the node, beside which node 0's is not there."""
    srat = Srat(memory=(MemoryAffinity(0, 0, 5 * GIB), MemoryAffinity(1, 5 * GIB, 4 * GIB)))
    boot = booted("6.12", machine([(MIB, 3 * GIB), (4 * GIB, 9 * GIB)], srat, cmdline="kernelcore=mirror"))
    boot.memblock.mirrored_kernelcore = True
    boot.memblock.mark_mirror(0, 3 * GIB)
    boot.memblock.mark_mirror(5 * GIB, GIB)
    free_area_init(boot)
    assert {zone.nid for zone in boot.zones.zones if zone.name == "Movable"} == {0, 1}
    # Node 0 keeps its NODE_DATA in its last block.
    assert movable_ranges(boot) == [(0, 4 * GIB, 5 * GIB - 128 * MIB)]
