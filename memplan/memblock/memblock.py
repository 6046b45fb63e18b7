"""memblock: the allocator that hands out memory until the page allocator is up (mm/memblock.c).

It knows regions, nodes, flags and its direction, and nothing of machines or boot steps.  Methods bear the kernel's
names; addresses and sizes are in bytes.  A nid of None means any node in a request and no node on a region; an int is
taken as the kernel takes it, so that a number which is no node means what it means in that version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from memplan.memblock.allocations import Allocations, Run
from memplan.memblock.changes import MemblockPanic
from memplan.memblock.flags import (
    MEMBLOCK_NOMAP,
    MEMBLOCK_RSRV_HUGETLB,
    MEMBLOCK_RSRV_KERN,
    MEMBLOCK_RSRV_NOINIT,
)
from memplan.memblock.search import NUMA_NO_NODE, pfn_up_wrapping
from memplan.units import PAGE_SHIFT, U64_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.memblock.regions import RegionArray

__all__ = ["FreeAll", "Memblock", "MemblockPanic", "Run"]

_MAX_ORDER = 10


class FreeAll(NamedTuple):
    """What free_all hands over: `pages` in all, blocks (pfn, order), and the ranges that stay reserved."""

    pages: int
    freed: list[tuple[int, int]]
    kept: list[tuple[int, int]]


class Memblock(Allocations):
    """All that is done with memblock."""

    # -- questions ------------------------------------------------------------------------------------------------

    def is_memory(self, address: int) -> bool:
        """Whether the address lies in memory."""
        return self.memory.search(address) >= 0

    def is_reserved(self, address: int) -> bool:
        """Whether the address is reserved."""
        return self.reserved.search(address) >= 0

    def is_map_memory(self, address: int) -> bool:
        """Whether the address lies in memory that the direct map covers."""
        index = self.memory.search(address)
        return index >= 0 and not self.memory.region(index)[2][1] & MEMBLOCK_NOMAP

    def is_region_memory(self, base: int, size: int) -> bool:
        """Whether one region of memory holds the whole range."""
        index = self.memory.search(base)
        return index >= 0 and self.memory.region(index)[1] >= min(base + size, U64_MAX)

    def is_region_reserved(self, base: int, size: int) -> bool:
        """Whether any part of the range is reserved."""
        return self.reserved.overlap(base, min(base + size, U64_MAX)) >= 0

    def overlaps_region(self, array: RegionArray, base: int, size: int) -> int:
        """The index of the first region of `array` that overlaps the range, or -1."""
        end = base + size
        return array.overlap(base, min(end, U64_MAX) if self.rules.overlap_is_capped else end & U64_MAX)

    def search_pfn_nid(self, pfn: int) -> tuple[int | None, int, int] | None:
        """(nid, first pfn, end pfn) of the region that holds the page, None where there is none."""
        memory = self.memory
        index = memory.search((pfn << PAGE_SHIFT) & U64_MAX)
        if index < 0:
            return None
        base, end, (nid, _) = memory.region(index)
        return nid, base >> PAGE_SHIFT, end >> PAGE_SHIFT

    def phys_mem_size(self) -> int:
        """The kernel's running total of memory."""
        return self.memory.total_size

    def reserved_size(self) -> int:
        """The kernel's running total of reservations."""
        return self.reserved.total_size

    def reserved_kern_size(self, limit: int, nid: int | None) -> int:
        """Bytes below `limit` that are reserved for the kernel's own use, of one node or of all."""
        return self._size_of(MEMBLOCK_RSRV_KERN, limit, nid)

    def reserved_hugetlb_size(self, limit: int, nid: int | None) -> int:
        """Bytes below `limit` that are reserved for gigantic pages, of one node or of all."""
        return self._size_of(MEMBLOCK_RSRV_HUGETLB, limit, nid)

    def estimated_nr_free_pages(self) -> int:
        """Pages of memory minus reservations, or minus those for the kernel's own use, by the version."""
        taken = self.reserved.total_size
        if self.rules.estimate_counts_kern:
            taken = self.reserved_kern_size(U64_MAX, None)
        return ((self.memory.total_size - taken) & U64_MAX) >> PAGE_SHIFT

    def start_of_DRAM(self) -> int:  # noqa: N802 - the kernel's name
        """Where memory begins."""
        return self.memory.bases[0] if self.memory else 0

    def end_of_DRAM(self) -> int:  # noqa: N802 - the kernel's name
        """Where memory ends."""
        return self.memory.region(-1)[1] if self.memory else 0

    def mem_size_below_pfn(self, limit_pfn: int) -> int:
        """Bytes of memory in whole pages below a pfn (memblock_mem_size, until 5.11)."""
        pages = 0
        for base, size, _, _ in self.memory:
            pages += min((base + size) >> PAGE_SHIFT, limit_pfn) - min(pfn_up_wrapping(base), limit_pfn)
        return pages << PAGE_SHIFT & U64_MAX

    def validate_numa_coverage(self, threshold: int) -> bool:
        """Whether little enough memory, by `threshold` bytes, lacks a node; says so where more does."""
        counts = self.rules.coverage
        pages = 0
        for first, end, nid in self.pfn_ranges(None):
            if nid == NUMA_NO_NODE if counts == "no node, from the threshold" else not self._is_node(nid):
                pages += end - first
        uncovered = (pages << PAGE_SHIFT) & U64_MAX
        if uncovered < threshold + (counts == "no valid node, above it"):
            return True
        total = self.memory.total_size >> 20
        self.listener.message(f"NUMA: no nodes coverage for {uncovered >> 20}MB of {total}MB RAM", True)
        return False

    def reserved_array(self) -> tuple[int, int]:
        """Address and size of the reserved array's own storage, zeros where it is the built-in one."""
        return _storage(self.reserved)

    # -- hand-over ------------------------------------------------------------------------------------------------

    def free_all(self) -> FreeAll:
        """Hands free memory to the page allocator (free_low_memory_core_early)."""
        if self.rules.hotplug_skipped != "downwards":
            self.clear_hotplug(0, U64_MAX)
        self.scratch_only = False
        kept = self._kept()
        ranges = [(start, end) for start, end, _ in self.free_ranges(None)]
        frees = self.rules.free_all_frees
        arrays = {"reserved array": [self.reserved], "both arrays": [self.reserved, self.memory], "nothing": []}
        ranges += [(start, start + size) for start, size in map(_storage, arrays[frees])]
        freed: list[tuple[int, int]] = []
        for start, end in ranges:
            freed.extend(_blocks(pfn_up_wrapping(start), min(end >> PAGE_SHIFT, self.max_low_pfn)))
        return FreeAll(sum(1 << order for _, order in freed), freed, kept if self.rules.free_all_tells else [])

    def set_reserved_nodes(self) -> int:
        """Gives reserved regions the nodes of their memory, as free_all does; in how many passes.

        Each growth of the array on the way leads to one more, in versions that look at a region of memory alone.
        """
        nodes = self.rules.free_all_nodes
        passes = 0
        while True:
            passes += 1
            room = self.reserved.max
            if nodes == "exact":
                for base, size, nid, _ in list(self.memory):
                    self.set_node_reserved(base, size, nid)
            elif nodes == "up to the end":
                for base, size, nid in self._nodes_up_to_the_end():
                    self.set_node_reserved(base, size, nid)
            if nodes != "exact" or room == self.reserved.max:
                return passes

    def _nodes_up_to_the_end(self) -> list[tuple[int, int, int | None]]:
        """Where each node is set, as base, size and node, if the end of a region of memory is taken for its size.

        What lies behind the next region's start gets that one's node next, so this one need not reach there; but
        where the reserved array could grow on the way, it does, as the regions that it makes and merges count.
        """
        memory, reserved = list(self.memory), self.reserved
        behind = [base for base, *_ in memory[1:]] + [U64_MAX]
        short = [
            (base, min(base + size, after - base), nid)
            for (base, size, nid, _), after in zip(memory, behind, strict=True)
        ]
        edges = (edge for base, size, _ in short for edge in (base, base + size))
        cuts = sum((index := reserved.search(edge)) >= 0 and reserved.bases[index] < edge for edge in edges)
        if reserved.cnt + cuts + 3 <= reserved.max:
            return short
        return [(base, base + size, nid) for base, size, nid, _ in memory]

    def _size_of(self, flag: int, limit: int, nid: int | None) -> int:
        """Bytes below `limit` that are reserved with that flag, of one node or of all."""
        total = 0
        for base, size, region_nid, flags in self.reserved:
            if flags & flag and base <= limit and (not self._is_node(nid) or nid == region_nid):
                total += min(size, limit - base)
        return total

    def _kept(self) -> list[tuple[int, int]]:
        keeps = self.rules.free_all_keeps
        nomap = [(base, base + size) for base, size, _, flags in self.memory if flags & MEMBLOCK_NOMAP]
        if keeps == "nomap then reserved":
            nomap *= self.set_reserved_nodes()
        told = [(base, base + size) for base, size, _, flags in self.reserved if not flags & MEMBLOCK_RSRV_NOINIT]
        reserved = told if self.reserved else self.reserved_ranges()
        return {
            "nothing said": [],
            "reserved": reserved,
            "reserved then nomap": reserved + nomap,
            "nomap then reserved": nomap + reserved,
        }[keeps]


def _storage(array: RegionArray) -> tuple[int, int]:
    return (0, 0) if array.storage is None else (array.storage, array.storage_size(array.max))


def _blocks(first: int, end: int) -> Iterator[tuple[int, int]]:
    """(pfn, order) of the largest aligned blocks that make up the pages ``[first, end)``."""
    while first < end:
        order = min(_MAX_ORDER, (first & -first).bit_length() - 1) if first else _MAX_ORDER
        while first + (1 << order) > end:
            order -= 1
        yield first, order
        first += 1 << order
