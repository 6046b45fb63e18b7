"""memblock: the allocator that hands out memory until the page allocator is up (mm/memblock.c).

It knows regions, nodes, flags and its direction, and nothing of machines or boot steps.  Methods bear the kernel's
names; addresses and sizes are in bytes.  A nid of None means any node in a request and no node on a region; an int is
taken as the kernel takes it, so that a number which is no node means what it means in that version.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from memplan.memblock.gaps import Found, Gaps, Kind
from memplan.memblock.regions import RegionArray
from memplan.units import PAGE_SHIFT, PAGE_SIZE, U64_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from memplan.memblock.rules import MemblockRules

MEMBLOCK_HOTPLUG = 1
MEMBLOCK_MIRROR = 2
MEMBLOCK_NOMAP = 4
MEMBLOCK_DRIVER_MANAGED = 8
MEMBLOCK_RSRV_NOINIT = 16

ENOMEM = 12

_MAX_ORDER = 10


class MemblockPanic(Exception):
    """The kernel stops in memblock; the text is what it says."""


class Listener(Protocol):
    """Who is told what memblock does, in the moment in which the kernel would print it."""

    def changed(self, op: str, base: int, size: int, count: int, descending: bool) -> None:
        """`op` (add, remove, reserve, free) begins; `size` bytes in `count` equal pieces, one beside the other."""

    def message(self, text: str, warning: bool) -> None:
        """A line.  Of a WARN_ON or a stack dump, which print many, it is the macro's and the function's name."""

    def array_growth(self, name: str) -> None:
        """The changes that come next are made for the new storage of the array `name`."""

    def array_grown(self) -> None:
        """The changes for the innermost growing array are over."""


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


class Memblock:
    """Both arrays and everything that is done with them.

    Changes return 0, or -ENOMEM where the array is full and can't grow.  Searches and allocations return an address,
    0 where there is none.
    """

    def __init__(self, rules: MemblockRules, *, max_numnodes: int, listener: Listener) -> None:
        self.rules = rules
        self.max_numnodes = max_numnodes
        self.listener = listener
        self.memory = RegionArray("memory", empty_counts_one=rules.empty_counts_one)
        self.reserved = RegionArray("reserved", empty_counts_one=rules.empty_counts_one)
        self.bottom_up = False
        self.current_limit = U64_MAX
        #: The physical _end; bottom-up searches of some versions begin above it.
        self.kernel_end = 0
        self.movable_node = False
        self.mirrored_kernelcore = False
        self.has_mirror = False
        self.max_low_pfn = U64_MAX >> PAGE_SHIFT
        self.slab_is_available = False
        self._can_resize = False
        self._warned: set[tuple[str, str]] = set()
        self._gaps: Gaps | None = None

    def allow_resize(self) -> None:
        """From now on the arrays may grow."""
        self._can_resize = True

    # -- add, reserve, remove, free ---------------------------------------------------------------------------

    def add(self, base: int, size: int) -> int:
        """Registers memory without a node."""
        self.listener.changed("add", base, size, 1, True)
        return self._add_range(self.memory, base, size, None, 0)

    def add_node(self, base: int, size: int, nid: int | None, flags: int = 0) -> int:
        """Registers memory of a node."""
        self.listener.changed("add", base, size, 1, True)
        return self._add_range(self.memory, base, size, nid, flags)

    def reserve(self, base: int, size: int) -> int:
        """Reserves a range, be it memory or not."""
        self.listener.changed("reserve", base, size, 1, True)
        return self._add_range(self.reserved, base, size, None, 0)

    def remove(self, base: int, size: int) -> int:
        """Takes memory away."""
        self.listener.changed("remove", base, size, 1, True)
        return self._remove_range(self.memory, base, size)

    def free(self, base: int, size: int) -> int:
        """Ends reservations (memblock_free, memblock_phys_free from 5.16)."""
        self.listener.changed("free", base, size, 1, True)
        return self._remove_range(self.reserved, base, size)

    # -- nodes and flags --------------------------------------------------------------------------------------

    def set_node(self, base: int, size: int, nid: int | None) -> int:
        """Gives memory its node."""
        return self._set_node(self.memory, base, size, nid)

    def set_node_reserved(self, base: int, size: int, nid: int | None) -> int:
        """Gives reserved regions their node."""
        return self._set_node(self.reserved, base, size, nid)

    def mark_hotplug(self, base: int, size: int) -> int:
        """Marks memory hot-pluggable."""
        return self._set_flag(self.memory, base, size, MEMBLOCK_HOTPLUG, True)

    def clear_hotplug(self, base: int, size: int) -> int:
        """Takes the hot-plug mark off."""
        return self._set_flag(self.memory, base, size, MEMBLOCK_HOTPLUG, False)

    def mark_mirror(self, base: int, size: int) -> int:
        """Marks memory mirrored; from now on allocations prefer it."""
        if self.rules.mirror_needs_kernelcore and not self.mirrored_kernelcore:
            return 0
        self.has_mirror = True
        return self._set_flag(self.memory, base, size, MEMBLOCK_MIRROR, True)

    def mark_nomap(self, base: int, size: int) -> int:
        """Marks memory that the direct map leaves out."""
        return self._set_flag(self.memory, base, size, MEMBLOCK_NOMAP, True)

    def clear_nomap(self, base: int, size: int) -> int:
        """Takes the mark of mark_nomap off."""
        return self._set_flag(self.memory, base, size, MEMBLOCK_NOMAP, False)

    def reserved_mark_noinit(self, base: int, size: int) -> int:
        """Marks reserved regions whose struct pages are not initialised."""
        return self._set_flag(self.reserved, base, size, MEMBLOCK_RSRV_NOINIT, True)

    # -- cutting memory ---------------------------------------------------------------------------------------

    def trim_memory(self, align: int) -> None:
        """Rounds each region of memory inwards and drops what becomes empty; the total keeps what was shaved off."""
        memory = self.memory
        self._gaps = None
        index = 0
        while index < len(memory):
            base, end = memory.bases[index], memory.ends[index]
            start, stop = _round_up(base, align), end & -align
            if start < stop:
                memory.bases[index], memory.ends[index] = start, stop
                index += 1
            else:
                memory.total_size -= end - base
                memory.delete(index, index + 1)
                self._check_emptied(memory)

    def enforce_memory_limit(self, limit: int) -> None:
        """Cuts both arrays above the address below which `limit` bytes of memory lie."""
        end = self._address_after(limit)
        if limit and end != U64_MAX:
            self._remove_range(self.memory, end, U64_MAX)
            self._remove_range(self.reserved, end, U64_MAX)

    def cap_memory_range(self, base: int, size: int) -> None:
        """Keeps only the memory in the range (and nomap regions), and only the reservations in it."""
        memory = self.memory
        if not size:
            return
        if self.rules.cap_needs_memory and not memory.total_size:
            self.listener.message("memblock_cap_memory_range: No memory registered yet", True)
            return
        kept = self._isolate(memory, base, size)
        if kept is None:
            return
        self._gaps = None
        memory.unmerged = True
        for index in range(len(memory) - 1, -1, -1):
            if not kept[0] <= index < kept[1] and not memory.attributes[index][1] & MEMBLOCK_NOMAP:
                memory.total_size -= memory.ends[index] - memory.bases[index]
                memory.delete(index, index + 1)
                self._check_emptied(memory)
        self._remove_range(self.reserved, 0, base)
        self._remove_range(self.reserved, (base + size) & U64_MAX, U64_MAX)

    def mem_limit_remove_map(self, limit: int) -> None:
        """Keeps the lowest `limit` bytes of memory, and nomap regions."""
        end = self._address_after(limit)
        if limit and end != U64_MAX:
            self.cap_memory_range(0, end)

    # -- searches ---------------------------------------------------------------------------------------------

    def find(self, start: int, end: int, size: int, align: int) -> int:
        """A free block on any node, in mirrored memory if it can be (memblock_find_in_range)."""
        flags = self._preferred_flags()
        found = self.find_node(start, end, size, align, None, flags)
        if not found and flags:
            self._no_mirror(size)
            found = self.find_node(start, end, size, align, None)
        return found

    def find_node(self, start: int, end: int, size: int, align: int, nid: int | None, flags: int = 0) -> int:
        """A free block on a node (memblock_find_in_range_node).  An `end` of 0 means the current limit."""
        found = self._search(start, end, size, align, nid, flags)[0]
        return found.address if found else 0

    # -- allocations ------------------------------------------------------------------------------------------

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

    # -- allocations in bulk ----------------------------------------------------------------------------------

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

    # -- walks ------------------------------------------------------------------------------------------------

    def free_ranges(self, nid: int | None, flags: int = 0) -> list[tuple[int, int, int | None]]:
        """(start, end, nid) of free memory, upwards (for_each_free_mem_range).

        As in the kernel, there is an empty range between two reserved regions that touch.
        """
        return list(self._free_ranges(*self._requested(nid, "__next_mem_range"), flags))

    def free_ranges_rev(self, nid: int | None, flags: int = 0) -> list[tuple[int, int, int | None]]:
        """As free_ranges, downwards."""
        return list(self._free_ranges(*self._requested(nid, "__next_mem_range_rev"), flags))[::-1]

    def mem_ranges(self) -> list[tuple[int, int]]:
        """(start, end) of memory, hot-pluggable or not, without nomap regions (for_each_mem_range)."""
        memory = self.memory
        ranges = [
            (base, end)
            for base, end, (_, flags) in zip(memory.bases, memory.ends, memory.attributes, strict=True)
            if not flags & MEMBLOCK_NOMAP
        ]
        return ranges if memory else [(0, 0)] * memory.cnt

    def reserved_ranges(self) -> list[tuple[int, int]]:
        """(start, end) of the reserved regions (for_each_reserved_mem_range)."""
        reserved = self.reserved
        return list(zip(reserved.bases, reserved.ends, strict=True)) or [(0, 0)] * reserved.cnt

    def pfn_ranges(self, nid: int | None) -> Iterator[tuple[int, int, int | None]]:
        """(first pfn, end pfn, nid) of memory that holds whole pages (for_each_mem_pfn_range)."""
        every = nid is None or nid == self.max_numnodes or (self.rules.any_node == "invalid" and not self._is_node(nid))
        for base, size, region_nid, _ in self.memory:
            first, end = _pfn_up(base), (base + size) >> PAGE_SHIFT
            if first < end and (every or region_nid == nid):
                yield first, end, region_nid

    # -- questions --------------------------------------------------------------------------------------------

    def is_memory(self, address: int) -> bool:
        """Whether the address lies in memory."""
        return self.memory.search(address) >= 0

    def is_reserved(self, address: int) -> bool:
        """Whether the address is reserved."""
        return self.reserved.search(address) >= 0

    def is_map_memory(self, address: int) -> bool:
        """Whether the address lies in memory that the direct map covers."""
        index = self.memory.search(address)
        return index >= 0 and not self.memory.attributes[index][1] & MEMBLOCK_NOMAP

    def is_region_memory(self, base: int, size: int) -> bool:
        """Whether one region of memory holds the whole range."""
        index = self.memory.search(base)
        return index >= 0 and self.memory.ends[index] >= min(base + size, U64_MAX)

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
        return memory.attributes[index][0], memory.bases[index] >> PAGE_SHIFT, memory.ends[index] >> PAGE_SHIFT

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
        return self.memory.ends[-1] if self.memory else 0

    def mem_size_below_pfn(self, limit_pfn: int) -> int:
        """Bytes of memory in whole pages below a pfn (memblock_mem_size, until 5.11)."""
        pages = 0
        for base, size, _, _ in self.memory:
            pages += min((base + size) >> PAGE_SHIFT, limit_pfn) - min(_pfn_up(base), limit_pfn)
        return pages << PAGE_SHIFT & U64_MAX

    def validate_numa_coverage(self, threshold: int) -> bool:
        """Whether no more than `threshold` bytes of memory lack a node; says so where more do."""
        pages = sum(end - first for first, end, nid in self.pfn_ranges(None) if not self._is_node(nid))
        if pages << PAGE_SHIFT <= threshold:
            return True
        total = self.memory.total_size >> 20
        self.listener.message(f"NUMA: no nodes coverage for {pages >> 8}MB of {total}MB RAM", True)
        return False

    def reserved_array(self) -> tuple[int, int]:
        """Address and size of the reserved array's own storage, zeros where it is the built-in one."""
        return (0, 0) if self.reserved.storage is None else (self.reserved.storage, self.reserved.storage_size)

    # -- hand-over --------------------------------------------------------------------------------------------

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
        if keeps == "nothing said" and self.reserved.storage is not None:
            ranges.append((self.reserved.storage, self.reserved.storage + self.reserved.storage_size))
        for start, end in ranges:
            freed.extend(_blocks(_pfn_up(start), min(end >> PAGE_SHIFT, self.max_low_pfn)))
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

    # -- how changes are made ---------------------------------------------------------------------------------

    def _add_range(self, array: RegionArray, base: int, size: int, nid: int | None, flags: int) -> int:
        size = min(size, U64_MAX - base)
        if not size:
            return 0
        end = base + size
        attributes = (self._stored(nid), flags)
        if not array:
            if array.total_size:
                self._warn_on(self.rules.add_function)
            array.total_size = 0
            array.insert([(0, base, end)], attributes)
            self._taken(array, base, end)
            return 0
        single_pass = self._fits_one_pass(array)
        pieces = array.uncovered(base, end)
        self._warn_about_mixture(array, pieces, end, attributes)
        if not pieces and not self.rules.merges_when_covered:
            return 0
        if pieces and not single_pass:
            count = len(pieces)
            while array.cnt + count > array.max:
                if not self._double_array(array, base, size):
                    return -ENOMEM
                pieces = array.uncovered(base, end)
            self._warn_about_mixture(array, pieces, end, attributes)
        if pieces:
            array.insert(pieces, attributes)
            if array is self.memory or self._gaps is None:
                self._gaps = None
            else:
                for _, start, stop in pieces:
                    self._gaps.take(start, stop)
        if self.rules.merges_whole_array:
            array.merge_all()
        return 0

    def _taken(self, array: RegionArray, base: int, end: int) -> None:
        if array is self.memory:
            self._gaps = None
        elif self._gaps is not None:
            self._gaps.take(base, end)

    def _remove_range(self, array: RegionArray, base: int, size: int) -> int:
        size = min(size, U64_MAX - base)
        if not size:
            return 0
        if not self._make_room_for_split(array, base, size):
            return -ENOMEM
        if array.cut(base, base + size):
            self._check_emptied(array)
            if array is self.memory:
                self._gaps = None
            elif self._gaps is not None:
                self._gaps.give(base, base + size)
        return 0

    def _set_node(self, array: RegionArray, base: int, size: int, nid: int | None) -> int:
        nid = self._stored(nid)
        return self._set_attributes(array, base, size, lambda old: (nid, old[1]))

    def _set_flag(self, array: RegionArray, base: int, size: int, flag: int, on: bool) -> int:
        if on:
            return self._set_attributes(array, base, size, lambda old: (old[0], old[1] | flag))
        return self._set_attributes(array, base, size, lambda old: (old[0], old[1] & ~flag))

    def _set_attributes(
        self,
        array: RegionArray,
        base: int,
        size: int,
        change: Callable[[tuple[int | None, int]], tuple[int | None, int]],
    ) -> int:
        isolated = self._isolate(array, base, size)
        if isolated is None:
            return -ENOMEM
        first, behind = isolated
        array.attributes[first:behind] = map(change, array.attributes[first:behind])
        if array is self.memory:
            self._gaps = None
        if first < behind:
            array.merge(first, behind)
        if self.rules.merges_whole_array:
            array.merge_all()
        return 0

    def _isolate(self, array: RegionArray, base: int, size: int) -> tuple[int, int] | None:
        size = min(size, U64_MAX - base)
        if not size:
            return 0, 0
        if not self._make_room_for_split(array, base, size):
            return None
        return array.isolate(base, base + size)

    def _make_room_for_split(self, array: RegionArray, base: int, size: int) -> bool:
        while array.cnt + 2 > array.max:
            if not self._double_array(array, base, size):
                return False
        return True

    def _fits_one_pass(self, array: RegionArray) -> bool:
        most = array.max - (self.rules.single_pass == "below half")
        return self.rules.single_pass != "never" and 2 * array.cnt + 1 <= most

    def _double_array(self, array: RegionArray, base: int, size: int) -> bool:
        """Doubles the array; its storage keeps clear of ``[base, base + size)``, which waits to be reserved."""
        if not self._can_resize:
            if self.rules.refused_growth_panics:
                raise MemblockPanic(f"memblock: cannot resize {array.name} array")
            return False
        old_size = array.storage_size
        array.max *= 2
        new_size = array.storage_size
        address: int | None = None
        if not self.slab_is_available:
            address = self._find_storage(array, base, size, new_size)
            if not address:
                array.max //= 2
                self.listener.message(
                    f"memblock: Failed to double {array.name} array from {array.max} to {array.max * 2} entries !", True
                )
                return False
        self.listener.array_growth(array.name)
        if address is not None:
            last = address + array.max * 24 - 1
            self.listener.message(
                f"memblock: {array.name} is doubled to {array.max} at [{address:#018x}-{last:#018x}]", False
            )
        old_storage, old_in_slab = array.storage, array.in_slab
        array.storage, array.in_slab = address, self.slab_is_available
        if old_storage is not None and not old_in_slab:
            self.free(old_storage, old_size)
        if address is not None:
            self.reserve(address, new_size)
        self.listener.array_grown()
        return True

    def _find_storage(self, array: RegionArray, base: int, size: int, new_size: int) -> int:
        if array is self.memory:
            base = size = 0
        found = self.find(base + size, self.current_limit, new_size, PAGE_SIZE)
        if not found and size:
            found = self.find(0, min(base, self.current_limit), new_size, PAGE_SIZE)
        return found

    def _address_after(self, limit: int) -> int:
        """The address below which `limit` bytes of memory lie; all ones where there are fewer."""
        for base, size, _, _ in self.memory:
            if limit <= size:
                return base + limit
            limit -= size
        return U64_MAX

    # -- how searches are made --------------------------------------------------------------------------------

    def _search(
        self, start: int, end: int, size: int, align: int, nid: int | None, flags: int
    ) -> tuple[Found | None, bool]:
        """What find_node finds, and whether it searched downwards."""
        if end == 0 or (end == 1 and self.rules.end_one_is_accessible):
            end = self.current_limit
        start = max(start, PAGE_SIZE)
        end = max(start, end)
        site = "__next_mem_range" if self.bottom_up else "__next_mem_range_rev"
        any_node, nid = self._requested(nid, site)
        care, need = self._flag_test(flags)
        kind = Kind(align, any_node, nid, care, need)
        if self.bottom_up and (not self.rules.bottom_up_above_kernel or end > self.kernel_end):
            low = max(start, self.kernel_end) if self.rules.bottom_up_above_kernel else start
            found = self._lookup(low, end, size, kind, False)
            if found and self.rules.bottom_up_int:
                found = found._replace(address=_through_int(found.address))
            if (found and found.address) or not self.rules.bottom_up_above_kernel:
                return found, False
            text = "memblock: bottom-up allocation failed, memory hotunplug may be affected"
            self._warn_once(text, "memblock_find_in_range_node")
        return self._lookup(start, end, size, kind, True), True

    def _lookup(self, start: int, end: int, size: int, kind: Kind, descending: bool) -> Found | None:
        if not size or kind.align & (kind.align - 1):
            return self._walk(start, end, size, kind, descending)
        if self._gaps is None:
            self._gaps = Gaps(self.memory, self.reserved)
        search = self._gaps.highest if descending else self._gaps.lowest
        return search(size, start, end, kind)

    def _walk(self, start: int, end: int, size: int, kind: Kind, descending: bool) -> Found | None:
        """The search as the kernel makes it, range by range; needed for what the index does not know.

        That are requests of no bytes, which find places between ranges too, and odd alignments.
        """
        flags = self._free_ranges_of(kind)
        for low, high, _ in flags[::-1] if descending else flags:
            low = min(max(low, start), end)
            high = min(max(high, start), end)
            if descending:
                if high >= size and (address := (high - size) & -kind.align) >= low:
                    return Found(address, low, high)
            elif (address := _round_up(low, kind.align)) < high and high - address >= size:
                return Found(address, low, high)
        return None

    def _free_ranges(self, any_node: bool, nid: int | None, flags: int) -> list[tuple[int, int, int | None]]:
        return self._free_ranges_of(Kind(1, any_node, nid, *self._flag_test(flags)))

    def _free_ranges_of(self, kind: Kind) -> list[tuple[int, int, int | None]]:
        memory, reserved = self.memory, self.reserved
        starts = [0, *reserved.ends]
        stops = [*reserved.bases, U64_MAX]
        ranges = []
        index = 0
        for base, end, attributes in zip(memory.bases, memory.ends, memory.attributes, strict=True):
            if not kind.takes(attributes):
                continue
            while stops[index] <= base < U64_MAX:
                index += 1
            gap = index
            while gap < len(starts) and starts[gap] < end:
                ranges.append((max(base, starts[gap]), min(end, stops[gap]), attributes[0]))
                gap += 1
        return ranges

    def _flag_test(self, flags: int) -> tuple[int, int]:
        """(care, need): memory is eligible where its flags & care == need (should_skip_region)."""
        care = MEMBLOCK_NOMAP | MEMBLOCK_DRIVER_MANAGED | (MEMBLOCK_HOTPLUG if self.movable_node else 0)
        care &= ~flags
        need = flags & MEMBLOCK_MIRROR
        return care | need, need

    # -- how allocations are made -----------------------------------------------------------------------------

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
        size = _round_up(size, align)
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
                if found and found.low <= found.address < found.high:
                    address = found.address
                    room = address + size - found.low if descending else found.high - address
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

    def _has_room_for_run(self, address: int, size: int, descending: bool) -> bool:
        """Whether neither the first block of a run nor those after it, which merge with it, make the array grow."""
        reserved = self.reserved
        index = reserved.search(address + size if descending else address - 1)
        touches = index >= 0 and reserved.attributes[index] == (None, 0)
        return reserved.cnt + (1 if touches else 2) <= reserved.max

    def _preferred_flags(self) -> int:
        return MEMBLOCK_MIRROR if self.has_mirror else 0

    # -- nodes ------------------------------------------------------------------------------------------------

    def _is_node(self, nid: int | None) -> bool:
        return nid is not None and 0 <= nid < self.max_numnodes

    def _stored(self, nid: int | None) -> int | None:
        return None if nid == self.max_numnodes else nid

    def _requested(self, nid: int | None, site: str) -> tuple[bool, int | None]:
        """(whether any node will do, else which), as the version takes `nid`."""
        if nid is None:
            return True, None
        any_node = self.rules.any_node
        if any_node == "invalid":
            return not self._is_node(nid), nid
        if any_node == "none" and nid == self.max_numnodes:
            self._warn_once("Usage of MAX_NUMNODES is deprecated. Use NUMA_NO_NODE instead", site)
            return True, None
        return nid == (self.max_numnodes if any_node == "max" else -1), nid

    # -- what the kernel says ---------------------------------------------------------------------------------

    def _warn_on(self, function: str) -> None:
        self.listener.message(f"WARN_ON: {function}", True)

    def _warn_once(self, text: str, site: str) -> None:
        if (text, site) not in self._warned:
            self._warned.add((text, site))
            self.listener.message(text, True)

    def _no_mirror(self, size: int) -> None:
        self.listener.message(f"Could not allocate {size:#018x} bytes of mirrored memory", True)

    def _warn_about_mixture(
        self, array: RegionArray, pieces: list[tuple[int, int, int]], end: int, attributes: tuple[int | None, int]
    ) -> None:
        if not self.rules.warns_about_mixture:
            return
        for index, _, stop in pieces:
            if stop < end:
                nid, flags = array.attributes[index]
                for _ in range((nid != attributes[0]) + (flags != attributes[1])):
                    self._warn_on(self.rules.add_function)

    def _check_emptied(self, array: RegionArray) -> None:
        if not array and array.total_size:
            self._warn_on("memblock_remove_region")


def _round_up(value: int, align: int) -> int:
    """The kernel's round_up, which wraps around at the end of the address space."""
    return (((value - 1) | (align - 1)) + 1) & U64_MAX


def _pfn_up(address: int) -> int:
    return ((address + PAGE_SIZE - 1) & U64_MAX) >> PAGE_SHIFT


def _through_int(address: int) -> int:
    """An address after it was kept in a signed 32-bit number."""
    low = address & 0xFFFFFFFF
    return (low - (1 << 32)) & U64_MAX if low >> 31 else low


def _blocks(first: int, end: int) -> Iterator[tuple[int, int]]:
    """(pfn, order) of the largest aligned blocks that make up the pages ``[first, end)``."""
    while first < end:
        order = min(_MAX_ORDER, (first & -first).bit_length() - 1) if first else _MAX_ORDER
        while first + (1 << order) > end:
            order -= 1
        yield first, order
        first += 1 << order
