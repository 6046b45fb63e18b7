"""memblock: the allocator that hands out memory until the page allocator is up (mm/memblock.c).

It knows regions, nodes, flags and its direction, and nothing of machines or boot steps.  Methods bear the kernel's
names; addresses and sizes are in bytes.  A nid of None means any node in a request and no node on a region; an int is
taken as the kernel takes it, so that a number which is no node means what it means in that version.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from memplan.memblock.changes import Changes, MemblockPanic
from memplan.memblock.regions import storage_size
from memplan.memblock.search import MEMBLOCK_NOMAP, MEMBLOCK_RSRV_NOINIT, pfn_up_wrapping, round_up_wrapping
from memplan.units import PAGE_SHIFT, U64_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from memplan.memblock.gaps import Found
    from memplan.memblock.regions import RegionArray

__all__ = ["FreeAll", "Memblock", "MemblockPanic", "Run"]

_MAX_ORDER = 10


@dataclass(frozen=True, slots=True)
class Run:
    """`count` blocks that were taken one beside the other: together ``[start, end)``."""

    start: int
    end: int
    count: int
    descending: bool


class FreeAll(NamedTuple):
    """What free_all hands over: `pages` in all, blocks (pfn, order), and the ranges that stay reserved."""

    pages: int
    freed: list[tuple[int, int]]
    kept: list[tuple[int, int]]


class Memblock(Changes):
    """All that is done with memblock.  Allocations return an address, 0 where there is no room."""

    # -- allocations ----------------------------------------------------------------------------------------------

    def alloc_range_nid(self, size: int, align: int, start: int, end: int, nid: int | None, exact: bool) -> int:
        """The core of all allocations from 5.x on: the node, any node unless `exact`, both again without mirror."""
        if not align:
            self.listener.message("dump_stack: memblock_alloc_range_nid", True)
            align = self.rules.default_align
        any_node, nid = self._requested(nid, "memblock_alloc_range_nid")
        flags = self._preferred_flags()
        while True:
            for node in (nid,) if any_node or exact else (nid, None):
                found = self.find_node(start, end, size, align, node, flags)
                if found and not self.reserve(found, size):
                    return found
            if not flags:
                return 0
            flags = 0
            self._no_mirror(size)

    def phys_alloc_range(self, size: int, align: int, start: int, end: int) -> int:
        """A block within a caller's own limits."""
        return self.alloc_range_nid(size, align, start, end, None, False)

    def phys_alloc(self, size: int, align: int) -> int:
        """A block anywhere below the current limit."""
        if self.rules.rounds_sizes:
            return self.alloc_base(size, align, 0)
        return self.phys_alloc_range(size, align, 0, 0)

    def phys_alloc_try_nid(self, size: int, align: int, nid: int | None) -> int:
        """A block on the node, else on any."""
        if self.rules.rounds_sizes:
            return self.alloc_nid(size, align, nid) or self.alloc_base(size, align, 0)
        return self.alloc_range_nid(size, align, 0, 0, nid, False)

    def alloc_try_nid(self, size: int, align: int, min_addr: int, max_addr: int, nid: int | None) -> int:
        """A block on the node, else on any, above `min_addr`, else anywhere."""
        return self._alloc_internal(size, align, min_addr, max_addr, nid, False)

    def alloc_try_nid_raw(self, size: int, align: int, min_addr: int, max_addr: int, nid: int | None) -> int:
        """As alloc_try_nid; the kernel does not clear the block."""
        return self._alloc_internal(size, align, min_addr, max_addr, nid, False)

    def alloc_exact_nid_raw(self, size: int, align: int, min_addr: int, max_addr: int, nid: int | None) -> int:
        """A block on this node only, above `min_addr`, else anywhere on it."""
        return self._alloc_internal(size, align, min_addr, max_addr, nid, True)

    def alloc_nid(self, size: int, align: int, nid: int | None) -> int:
        """3.13's memblock_alloc_nid."""
        return self._alloc_base_nid(size, align, 0, nid)

    def alloc_base_nopanic(self, size: int, align: int, max_addr: int) -> int:
        """3.13's __memblock_alloc_base."""
        return self._alloc_base_nid(size, align, max_addr, None)

    def alloc_base(self, size: int, align: int, max_addr: int) -> int:
        """3.13's memblock_alloc_base, which panics where nothing is found."""
        found = self._alloc_base_nid(size, align, max_addr, None)
        if not found:
            raise MemblockPanic(f"ERROR: Failed to allocate {size:#x} bytes below {max_addr:#x}.")
        return found

    def alloc_memory_core_early(self, nid: int | None, size: int, align: int, goal: int, limit: int) -> int:
        """The core of 3.13's bootmem calls (mm/nobootmem.c)."""
        found = self.find_node(goal, min(limit, self.current_limit), size, align, nid)
        if found:
            self.reserve(found, size)
        return found

    # -- allocations in bulk --------------------------------------------------------------------------------------

    def phys_alloc_range_run(self, size: int, align: int, start: int, end: int, count: int) -> list[Run]:
        """`count` times phys_alloc_range, fewer where memory runs out; blocks side by side are one run."""
        place = (start, end, None)
        return self._take_runs(size, align, (place,), count, lambda: self.phys_alloc_range(size, align, start, end))

    def find_reserve_run(self, size: int, align: int, start: int, end: int, count: int) -> list[Run]:
        """`count` times find and reserve, as callers up to 5.14 do."""

        def take() -> int:
            found = self.find(start, end, size, align)
            if found:
                self.reserve(found, size)
            return found

        return self._take_runs(size, align, ((start, end, None),), count, take)

    def alloc_run(
        self, size: int, align: int, min_addr: int, max_addr: int, nid: int | None, count: int, *, exact: bool = False
    ) -> list[Run]:
        """`count` times alloc_try_nid, or alloc_exact_nid_raw where `exact`."""
        end = min(max_addr, self.current_limit)
        nodes = dict.fromkeys((nid,) if exact else (nid, None))
        # Without mirrored memory each request comes to the same place in the same order; with it, requests that go on
        # to other memory say so.
        starts = (min_addr,) if self.has_mirror else dict.fromkeys((min_addr, 0))
        places = [(start, end, node) for start in starts for node in nodes]
        return self._take_runs(
            size, align, places, count, lambda: self._alloc_internal(size, align, min_addr, max_addr, nid, exact)
        )

    def alloc_memory_core_early_run(
        self, nid: int | None, size: int, align: int, goal: int, limit: int, count: int
    ) -> list[Run]:
        """`count` times alloc_memory_core_early."""
        places = [(goal, min(limit, self.current_limit), nid)]
        return self._take_runs(
            size, align, places, count, lambda: self.alloc_memory_core_early(nid, size, align, goal, limit)
        )

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

    def estimated_nr_free_pages(self) -> int:
        """Pages of memory minus reservations, by the totals."""
        return ((self.memory.total_size - self.reserved.total_size) & U64_MAX) >> PAGE_SHIFT

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
        """Whether no more than `threshold` bytes of memory lack a node; says so where more do."""
        pages = sum(end - first for first, end, nid in self.pfn_ranges(None) if not self._is_node(nid))
        uncovered = (pages << PAGE_SHIFT) & U64_MAX
        if uncovered <= threshold:
            return True
        total = self.memory.total_size >> 20
        self.listener.message(f"NUMA: no nodes coverage for {uncovered >> 20}MB of {total}MB RAM", True)
        return False

    def reserved_array(self) -> tuple[int, int]:
        """Address and size of the reserved array's own storage, zeros where it is the built-in one."""
        reserved = self.reserved
        return (0, 0) if reserved.storage is None else (reserved.storage, storage_size(reserved.max))

    # -- hand-over ------------------------------------------------------------------------------------------------

    def free_all(self) -> FreeAll:
        """Hands free memory to the page allocator (free_low_memory_core_early)."""
        keeps = self.rules.free_all_keeps
        kept: list[tuple[int, int]] = []
        if keeps != "nothing said":
            self.clear_hotplug(0, U64_MAX)
            nomap = [(base, base + size) for base, size, _, flags in self.memory if flags & MEMBLOCK_NOMAP]
            if keeps == "nomap then reserved":
                kept += nomap * self._set_reserved_nodes()
                kept += [(b, b + s) for b, s, _, flags in self.reserved if not flags & MEMBLOCK_RSRV_NOINIT]
            else:
                kept += self.reserved_ranges()
                kept += nomap if keeps == "reserved then nomap" else []
        freed: list[tuple[int, int]] = []
        ranges = [(start, end) for start, end, _ in self.free_ranges(None)]
        if keeps == "nothing said":
            storage, size = self.reserved_array()
            ranges.append((storage, storage + size))
        for start, end in ranges:
            freed.extend(_blocks(pfn_up_wrapping(start), min(end >> PAGE_SHIFT, self.max_low_pfn)))
        return FreeAll(sum(1 << order for _, order in freed), freed, kept)

    def _set_reserved_nodes(self) -> int:
        """Gives reserved regions the nodes of their memory; in how many passes (each time the array grows adds one)."""
        passes = 0
        while True:
            passes += 1
            room = self.reserved.max
            for base, size, nid, _ in list(self.memory):
                self.set_node_reserved(base, size, nid)
            if room == self.reserved.max:
                return passes

    # -- how allocations are made ------------------------------------------------------------------------------------

    def _alloc_internal(self, size: int, align: int, min_addr: int, max_addr: int, nid: int | None, exact: bool) -> int:
        max_addr = min(max_addr, self.current_limit)
        found = self.alloc_range_nid(size, align, min_addr, max_addr, nid, exact)
        if not found and min_addr:
            found = self.alloc_range_nid(size, align, 0, max_addr, nid, exact)
        return found

    def _alloc_base_nid(self, size: int, align: int, max_addr: int, nid: int | None) -> int:
        if not align:
            self._warn_on("memblock_alloc_base_nid")
            align = self.rules.default_align
        size = round_up_wrapping(size, align)
        found = self.find_node(0, max_addr, size, align, nid)
        return found if found and not self.reserve(found, size) else 0

    def _take_runs(
        self, size: int, align: int, places: Sequence[tuple[int, int, int | None]], count: int, take: Callable[[], int]
    ) -> list[Run]:
        """`count` times `take`, each at the place that a search would find; as few reservations as there are runs.

        `places` are the (start, end, nid) in which `take` searches, one after the other.
        While the blocks lie in one free range, one beside the other, and the array has room without growing, the
        reservation of all of them has the same result as theirs one by one.
        """
        runs: list[Run] = []
        contiguous = size and align and not size % align
        while count > 0:
            blocks = 0
            if contiguous:
                found, descending = self._first_found(size, align, places)
                if found and not found.low <= found.address < found.high:
                    # The address was cut short on its way: every further request would get this one again.
                    count = 1
                elif found:
                    address = found.address
                    room = address + size - found.low if descending else self._sound_end(found.high) - address
                    blocks = min(room // size, count) if self._has_room_for_run(address, size, descending) else 0
            if blocks > 1:
                low = address - (blocks - 1) * size if descending else address
                self.listener.changed("reserve", low, blocks * size, blocks, descending)
                self._add_range(self.reserved, low, blocks * size, None, 0)
                run = Run(low, low + blocks * size, blocks, descending)
            else:
                address = take()
                if not address:
                    break
                run = Run(address, address + size, 1, not self.bottom_up)
            runs.append(run)
            count -= run.count
        return runs

    def _first_found(
        self, size: int, align: int, places: Sequence[tuple[int, int, int | None]]
    ) -> tuple[Found | None, bool]:
        for start, end, nid in places:
            found, descending = self._search(start, end, size, align, nid, self._preferred_flags())
            if found and found.address:
                return found, descending
        return None, True

    def _sound_end(self, end: int) -> int:
        """Up to where, `end` at most, an upward search gives addresses as it finds them."""
        return min(end, 1 << 31) if self.rules.bottom_up_int else end

    def _has_room_for_run(self, address: int, size: int, descending: bool) -> bool:
        """Whether neither the first block of a run nor those after it, which merge with it, make the array grow."""
        reserved = self.reserved
        index = reserved.search(address + size if descending else address - 1)
        touches = index >= 0 and reserved.region(index)[2] == (None, 0)
        return reserved.cnt + (1 if touches else 2) <= reserved.max


def _blocks(first: int, end: int) -> Iterator[tuple[int, int]]:
    """(pfn, order) of the largest aligned blocks that make up the pages ``[first, end)``."""
    while first < end:
        order = min(_MAX_ORDER, (first & -first).bit_length() - 1) if first else _MAX_ORDER
        while first + (1 << order) > end:
            order -= 1
        yield first, order
        first += 1 << order
