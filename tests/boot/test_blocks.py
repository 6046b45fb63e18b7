"""Memory blocks: their size, and which of them really went off-line."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memplan.boot.blocks import block_size, movable_ranges
from memplan.boot.steps.zones import free_area_init
from memplan.machine.model import Cpus, MemoryAffinity, Srat
from memplan.units import GIB, MIB, PAGE_SIZE
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
