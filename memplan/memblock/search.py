"""How memblock looks for free memory, and the kernel's walks over its arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.memblock.gaps import Found, Gaps, Kind
from memplan.memblock.regions import RegionArray
from memplan.units import PAGE_SHIFT, PAGE_SIZE, U64_MAX

if TYPE_CHECKING:
    from memplan.memblock.listener import Listener
    from memplan.memblock.rules import MemblockRules

MEMBLOCK_HOTPLUG = 1
MEMBLOCK_MIRROR = 2
MEMBLOCK_NOMAP = 4
MEMBLOCK_DRIVER_MANAGED = 8
MEMBLOCK_RSRV_NOINIT = 16


class Searches:
    """Both arrays, the settings that guide a search, and the searches; nothing here changes an array."""

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
        self._pages: dict[int | None, list[tuple[int, int, int | None]]] | None = None

    # -- searches -------------------------------------------------------------------------------------------------

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

    # -- walks ----------------------------------------------------------------------------------------------------

    def free_ranges(self, nid: int | None, flags: int = 0) -> list[tuple[int, int, int | None]]:
        """(start, end, nid) of free memory, upwards (for_each_free_mem_range).

        As in the kernel, there is an empty range between two reserved regions that touch.
        """
        return self._free_ranges(*self._requested(nid, "__next_mem_range"), flags)

    def free_ranges_rev(self, nid: int | None, flags: int = 0) -> list[tuple[int, int, int | None]]:
        """As free_ranges, downwards."""
        return self._free_ranges(*self._requested(nid, "__next_mem_range_rev"), flags)[::-1]

    def mem_ranges(self) -> list[tuple[int, int]]:
        """(start, end) of memory, hot-pluggable or not, without nomap regions (for_each_mem_range)."""
        ranges = [(base, end) for base, end, (_, flags) in self.memory.regions() if not flags & MEMBLOCK_NOMAP]
        return ranges if self.memory else [(0, 0)] * self.memory.cnt

    def reserved_ranges(self) -> list[tuple[int, int]]:
        """(start, end) of the reserved regions (for_each_reserved_mem_range)."""
        return [(base, end) for base, end, _ in self.reserved.regions()] or [(0, 0)] * self.reserved.cnt

    def pfn_ranges(self, nid: int | None) -> list[tuple[int, int, int | None]]:
        """(first pfn, end pfn, nid) of memory that holds whole pages (for_each_mem_pfn_range)."""
        if self._pages is None:
            every: list[tuple[int, int, int | None]] = []
            self._pages = {self.max_numnodes: every}
            for base, size, region_nid, _ in self.memory:
                first, end = pfn_up_wrapping(base), (base + size) >> PAGE_SHIFT
                if first < end:
                    every.append((first, end, region_nid))
                    self._pages.setdefault(region_nid, []).append((first, end, region_nid))
        if nid is None or (self.rules.any_node == "invalid" and not self._is_node(nid)):
            nid = self.max_numnodes
        return self._pages.get(nid, [])

    # -- how searches are made ------------------------------------------------------------------------------------

    def _memory_changed(self) -> None:
        """What was worked out from the array of memory holds no longer."""
        self._gaps = None
        self._pages = None

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
        ranges = self._free_ranges_of(kind)
        for low, high, _ in ranges[::-1] if descending else ranges:
            low = min(max(low, start), end)
            high = min(max(high, start), end)
            if descending:
                if high >= size and (address := (high - size) & -kind.align) >= low:
                    return Found(address, low, high)
            elif (address := round_up_wrapping(low, kind.align)) < high and high - address >= size:
                return Found(address, low, high)
        return None

    def _free_ranges(self, any_node: bool, nid: int | None, flags: int) -> list[tuple[int, int, int | None]]:
        return self._free_ranges_of(Kind(1, any_node, nid, *self._flag_test(flags)))

    def _free_ranges_of(self, kind: Kind) -> list[tuple[int, int, int | None]]:
        starts = [0, *(end for _, end, _ in self.reserved.regions())]
        stops = [*self.reserved.bases, U64_MAX]
        ranges = []
        index = 0
        for base, end, attributes in self.memory.regions():
            if not kind.takes(attributes):
                continue
            while stops[index] <= base:
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

    def _preferred_flags(self) -> int:
        return MEMBLOCK_MIRROR if self.has_mirror else 0

    # -- nodes ----------------------------------------------------------------------------------------------------

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

    # -- what the kernel says -------------------------------------------------------------------------------------

    def _warn_once(self, text: str, site: str) -> None:
        if (text, site) not in self._warned:
            self._warned.add((text, site))
            self.listener.message(text, True)

    def _no_mirror(self, size: int) -> None:
        self.listener.message(f"Could not allocate {size:#018x} bytes of mirrored memory", True)


def round_up_wrapping(value: int, align: int) -> int:
    """The kernel's round_up, which wraps around at the end of the address space."""
    return (((value - 1) | (align - 1)) + 1) & U64_MAX


def pfn_up_wrapping(address: int) -> int:
    """The kernel's PFN_UP, which wraps around at the end of the address space."""
    return ((address + PAGE_SIZE - 1) & U64_MAX) >> PAGE_SHIFT


def _through_int(address: int) -> int:
    """An address after it was kept in a signed 32-bit number."""
    low = address & 0xFFFFFFFF
    return (low - (1 << 32)) & U64_MAX if low >> 31 else low
