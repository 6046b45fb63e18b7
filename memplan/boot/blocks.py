"""Memory blocks, the units of hot removal, and which of them can go off-line (drivers/base/memory.c)."""

from __future__ import annotations

from bisect import bisect_right
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING

from memplan.ranges import RangeSet
from memplan.units import GIB, MIB, PAGE_SHIFT, PAGE_SIZE, SECTION_SIZE, round_down, round_up

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from memplan.boot.context import Boot
    from memplan.plan import Zone

_LARGE_MACHINE = 64 * GIB
_LARGEST_BLOCK = 2 * GIB


def block_size(boot: Boot) -> int:
    """A memory block's size in bytes (probe_memory_block_size of x86); rules.memory_block_size names the way.

    128 MiB on small machines; on large ones 2 GiB, or the largest size up to that by which RAM's end divides.
    """
    end, kind = boot.max_pfn << PAGE_SHIFT, boot.rules.memory_block_size
    large = end >= _LARGE_MACHINE
    if kind == "2G from 64G of RAM on":
        if boot.memblock.phys_mem_size() >= _LARGE_MACHINE:
            return _LARGEST_BLOCK
    elif kind == "2G from 64G on" or (kind == "2G on bare metal from 64G on" and not boot.machine.cpus.hypervisor):
        return _LARGEST_BLOCK if large else SECTION_SIZE
    if kind == "128M" or not large:
        return SECTION_SIZE
    size = _LARGEST_BLOCK
    while size > 128 * MIB and end % size:
        size >>= 1
    return size


def movable_ranges(boot: Boot) -> list[tuple[int, int, int]]:
    """``(nid, start, end)`` of the memory blocks in ZONE_MOVABLE that can go off-line, neighbours as one.

    A block can where all of it is RAM of one node and one zone, and nothing in it is reserved at the hand-over.
    """
    size = block_size(boot)
    reserved = boot.memblock.reserved_ranges()
    of_node: dict[int, list[Zone]] = {}
    for zone in boot.zones.zones:
        of_node.setdefault(zone.nid, []).append(zone)
    return [
        (zone.nid, low, high)
        for zone in boot.zones.zones
        if zone.name == "Movable"
        for start, end in _alone(boot, zone, of_node[zone.nid])
        for low, high in _whole_blocks(start, end, size, reserved)
    ]


def _alone(boot: Boot, zone: Zone, zones: Sequence[Zone]) -> Iterator[tuple[int, int]]:
    """The zone's RAM without holes, in bytes: neighbouring regions joined, what others of its node's `zones` span too
    left out.
    """
    start, end = zone.span
    ram = RangeSet((first << PAGE_SHIFT, last << PAGE_SHIFT) for first, last, _ in boot.memblock.pfn_ranges(zone.nid))
    others = RangeSet(z.span for z in zones if z is not zone and z.present)
    for low, high in ram.within(start, end):
        yield from others.outside(low, high)


def _whole_blocks(start: int, end: int, size: int, reserved: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The parts of ``[start, end)`` that are whole blocks without a page of `reserved` (sorted)."""
    at, end = round_up(start, size), round_down(end, size)
    for low, high in islice(reserved, bisect_right(reserved, at, key=itemgetter(1)), None):
        if low >= end:
            break
        first = round_down(round_down(low, PAGE_SIZE), size)
        last = round_up(round_up(high, PAGE_SIZE), size)
        if at < first:
            yield at, first
        at = max(at, last)
    if at < end:
        yield at, end
