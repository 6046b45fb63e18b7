"""Memory blocks, the units of hot removal, and which of them can go off-line (drivers/base/memory.c)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.units import GIB, MIB, PAGE_SHIFT, PAGE_SIZE, SECTION_SIZE, round_down, round_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.boot.context import Boot
    from memplan.plan import Zone

_LARGE_MACHINE = 64 * GIB
_LARGEST_BLOCK = 2 * GIB


def block_size(boot: Boot) -> int:
    """A memory block's size in bytes (probe_memory_block_size of x86).

    128 MiB; from 64 GiB on (4.x) 2 GiB, or under a hypervisor the largest that divides the end of RAM.
    """
    end = boot.max_pfn << PAGE_SHIFT
    if not boot.rules.large_memory_blocks or end < _LARGE_MACHINE:
        return SECTION_SIZE
    if not boot.machine.cpus.hypervisor:
        return _LARGEST_BLOCK
    size = _LARGEST_BLOCK
    while size > 128 * MIB and end % size:
        size >>= 1
    return size


def movable_ranges(boot: Boot) -> list[tuple[int, int, int]]:
    """``(nid, start, end)`` of the memory blocks in ZONE_MOVABLE that can go off-line, neighbours as one.

    A block can where all of it is RAM of one node and one zone, and nothing in it is reserved at the hand-over.
    """
    size = block_size(boot)
    found: list[tuple[int, int, int]] = []
    reserved = boot.memblock.reserved_ranges()
    for zone in boot.zones.zones:
        if zone.name != "Movable":
            continue
        for start, end in _alone(boot, zone):
            for low, high in _whole_blocks(start, end, size, reserved):
                if found and found[-1][0] == zone.nid and found[-1][2] == low:
                    found[-1] = zone.nid, found[-1][1], high
                else:
                    found.append((zone.nid, low, high))
    return found


def _alone(boot: Boot, zone: Zone) -> Iterator[tuple[int, int]]:
    """The zone's RAM without holes, in bytes: neighbouring regions joined, what other zones span too left out."""
    start, end = zone.start_pfn << PAGE_SHIFT, (zone.start_pfn + zone.spanned) << PAGE_SHIFT
    joined: list[list[int]] = []
    for first, last, _ in boot.memblock.pfn_ranges(zone.nid):
        low, high = max(first << PAGE_SHIFT, start), min(last << PAGE_SHIFT, end)
        if low >= high:
            continue
        if joined and joined[-1][1] == low:
            joined[-1][1] = high
        else:
            joined.append([low, high])
    others = [z for z in boot.zones.zones if z.nid == zone.nid and z is not zone and z.present]
    for low, high in joined:
        at = low
        for other in sorted(others, key=lambda z: z.start_pfn):
            other_start, other_end = other.start_pfn << PAGE_SHIFT, (other.start_pfn + other.spanned) << PAGE_SHIFT
            if other_end <= at or other_start >= high:
                continue
            if at < other_start:
                yield at, other_start
            at = max(at, other_end)
        if at < high:
            yield at, high


def _whole_blocks(start: int, end: int, size: int, reserved: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The parts of ``[start, end)`` that are whole blocks without a page of `reserved` (sorted)."""
    at, end = round_up(start, size), round_down(end, size)
    for low, high in reserved:
        if high <= at:
            continue
        if low >= end:
            break
        first = round_down(round_down(low, PAGE_SIZE), size)
        last = round_up(round_up(high, PAGE_SIZE), size)
        if at < first:
            yield at, first
        at = max(at, last)
    if at < end:
        yield at, end
