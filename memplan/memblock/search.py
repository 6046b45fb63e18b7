"""How memblock looks for free memory, and the kernel's walks over its arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from memplan.memblock.flags import (
    MEMBLOCK_DRIVER_MANAGED,
    MEMBLOCK_HOTPLUG,
    MEMBLOCK_KHO_SCRATCH,
    MEMBLOCK_MIRROR,
    MEMBLOCK_NOMAP,
)
from memplan.memblock.gaps import LEAST_ALIGN, Criteria, Gaps, Placement
from memplan.memblock.regions import Attributes, RegionArray
from memplan.memblock.requests import Candidate, Search
from memplan.units import PAGE_SHIFT, PAGE_SIZE, U64_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from memplan.memblock.listener import Listener
    from memplan.memblock.requests import Attempt, Refusal, Walk
    from memplan.memblock.rules import MemblockRules

NUMA_NO_NODE = -1

_FLAG_REFUSALS: tuple[tuple[int, Refusal], ...] = (
    (MEMBLOCK_HOTPLUG, "hot-pluggable"),
    (MEMBLOCK_MIRROR, "not mirrored"),
    (MEMBLOCK_NOMAP, "not mapped"),
    (MEMBLOCK_DRIVER_MANAGED, "driver managed"),
    (MEMBLOCK_KHO_SCRATCH, "no scratch area"),
)


class Offer(NamedTuple):
    """A free range with its memory's attributes, and where in it a block would lie, None where it can't."""

    start: int
    end: int
    attributes: Attributes
    found: Placement | None


class Searches:
    """Both arrays, the settings that guide a search, and the searches; nothing here changes an array."""

    def __init__(self, rules: MemblockRules, *, max_numnodes: int, listener: Listener) -> None:
        self.rules = rules
        self._each_its_own = rules.allocations == "each its own"
        self._within_limit = rules.allocations == "one core within the limit"
        self._warns_of_max = rules.any_node == "none"
        self._any_is_invalid = rules.any_node == "invalid"
        self._marks = rules.marks_allocations
        #: The (node, flags) of a reservation that is no allocation.
        self._plain: Attributes = (NUMA_NO_NODE if rules.marks_allocations else None, 0)
        self.max_numnodes = max_numnodes
        self.listener = listener
        self.memory, self.reserved = (
            RegionArray(name, empty_counts_one=rules.empty_counts_one, region_size=rules.region_size)
            for name in ("memory", "reserved")
        )
        self.bottom_up = False
        self.current_limit = U64_MAX
        #: The physical _end; bottom-up searches of some versions begin above it.
        self.kernel_end = 0
        self.movable_node = False
        self.mirrored_kernelcore = False
        self.has_mirror = False
        #: Allocations take memory of KHO's scratch areas alone.
        self.scratch_only = False
        self.max_low_pfn = U64_MAX >> PAGE_SHIFT
        self.slab_is_available = False
        self._can_resize = False
        self._warned: set[tuple[str, str]] = set()
        self._gaps: Gaps | None = None
        self._kinds: dict[tuple[int | None, int, bool, bool], Criteria] = {}
        self._pages: dict[int | None, list[tuple[int, int, int | None]]] | None = None

    # -- searches -------------------------------------------------------------------------------------------------

    def find(self, start: int, end: int, size: int, align: int) -> int:
        """A free block on any node, in mirrored memory if it can be (memblock_find_in_range)."""
        return self._place_for(Search(size, align, start, end))

    def find_node(self, start: int, end: int, size: int, align: int, nid: int | None, flags: int = 0) -> int:
        """A free block on a node (memblock_find_in_range_node).  An `end` of 0 means the current limit."""
        found, _ = self._search((start, end, nid, flags, False), size, align)
        return found[0] if found else 0

    def candidates(self, request: Search) -> Iterator[Candidate]:
        """The free ranges at which an allocation looks, in order, each with why it is passed over; the last is taken.

        Where none will do, the last is refused too.  Nothing is changed by it, and nothing said.
        """
        size, align = request.size, request.align or self.rules.default_align
        for number, (start, end, nid, flags, _) in enumerate(self._attempts(*request[2:])):
            for walk in self._walks(start, end):
                _, _, descending = walk
                kind = self._kind(nid, flags, descending)
                for offer in self._offers(walk, size, align, kind):
                    address = self._result(offer.found[0], descending) if offer.found else 0
                    refusal = None if address else _refusal(offer, walk, size, align, kind)
                    yield Candidate(offer.start, offer.end, *offer.attributes, number, address, refusal)
                    if address:
                        return
                    if offer.found:
                        break

    def scopes(self, request: Search) -> Iterator[tuple[Walk, Criteria]]:
        """The walks of the searches that an allocation makes one after the other, each with the memory it looks for."""
        for start, end, nid, flags, _ in self._attempts(*request[2:]):
            for walk in self._walks(start, end):
                _, _, descending = walk
                yield walk, self._kind(nid, flags, descending)

    # -- walks ----------------------------------------------------------------------------------------------------

    def free_ranges(self, nid: int | None, flags: int = 0) -> list[tuple[int, int, int | None]]:
        """(start, end, nid) of free memory, upwards (for_each_free_mem_range).

        As in the kernel, there is an empty range between two reserved regions that touch.
        """
        return self._free_ranges(self._requested(nid, "__next_mem_range"), flags, False)

    def free_ranges_rev(self, nid: int | None, flags: int = 0) -> list[tuple[int, int, int | None]]:
        """As free_ranges, downwards."""
        return self._free_ranges(self._requested(nid, "__next_mem_range_rev"), flags, True)[::-1]

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
        if nid is None or (self._any_is_invalid and not self._is_node(nid)):
            nid = self.max_numnodes
        return self._pages.get(nid, [])

    # -- how searches are made ------------------------------------------------------------------------------------

    def forget_answers(self) -> None:
        """Drops what was worked out from the arrays, as it must be where memory changes; it is worked out anew."""
        self._gaps = None
        self._pages = None

    def _place_for(self, request: Search) -> int:
        """The address that a request's searches find; 0 where there is none."""
        for attempt in self._attempts(*request[2:]):
            found, _ = self._search(attempt, request.size, request.align)
            if found:
                return found[0]
        return 0

    def _attempts(
        self, start: int, end: int, nid: int | None, exact: bool, drops_minimum: bool, prefers_mirror: bool
    ) -> list[Attempt]:
        """The searches that a :class:`Search` makes until one finds a place."""
        if drops_minimum:
            end = min(end, self.current_limit)
        alone = exact or self._any_node(nid)
        preferred = self._preferred_flags() if prefers_mirror else 0
        low = 0 if drops_minimum else start
        attempts: list[Attempt] = []
        if not preferred:
            attempts.append((start, end, nid, 0, False))
            if not alone:
                attempts.append((start, end, None, 0, False))
            if low != start:
                attempts += [(low, end, node, 0, False) for _, _, node, _, _ in attempts]
            return attempts
        nodes = (nid,) if alone else (nid, None)
        flags = (preferred, preferred & ~MEMBLOCK_MIRROR)
        if self._each_its_own:
            order = dict.fromkeys([(start, flags[0]), (low, flags[0]), (low, flags[1])])
        else:
            order = dict.fromkeys((bottom, wanted) for bottom in (start, low) for wanted in flags)
        before = 0
        for bottom, wanted in order:
            attempts.append((bottom, end, nid, wanted, bool(before & ~wanted & MEMBLOCK_MIRROR)))
            attempts += [(bottom, end, node, wanted, False) for node in nodes[1:]]
            before = wanted
        return attempts

    def _search(self, attempt: Attempt, size: int, align: int) -> tuple[Placement | None, bool]:
        """What a search finds, and whether it searched downwards."""
        start, end, nid, flags, without_mirror = attempt
        if without_mirror:
            self.listener.message(f"Could not allocate {size:#018x} bytes of mirrored memory", True)
        gaps = None
        if size and align >= LEAST_ALIGN and not align & (align - 1):
            gaps = self._gaps or self._index()
        fell_back = False
        for low, high, descending in self._walks(start, end):
            if fell_back:
                text = f"memblock: bottom-up allocation failed, {self.rules.bottom_up_warning}"
                self._warn_once(text, "memblock_find_in_range_node")
            node = nid
            if self._warns_of_max:
                node = self._requested(nid, "__next_mem_range_rev" if descending else "__next_mem_range")
            kind = self._kind(node, flags, descending)
            if gaps is None:
                # The index does not know of requests of no bytes, which find places between ranges too, nor of small or
                # odd alignments.
                offers = self._offers((low, high, descending), size, align, kind)
                found = next((offer.found for offer in offers if offer.found), None)
            elif descending:
                found = gaps.highest(size, align, low, high, kind)
            else:
                found = gaps.lowest(size, align, low, high, kind)
            if found:
                if not descending:
                    found = self._result(found[0], descending), *found[1:]
                if found[0]:
                    return found, descending
            fell_back = True
        return None, descending

    def _index(self) -> Gaps:
        """The free ranges, which are kept from here on until memory changes."""
        self._gaps = Gaps(self.memory, self.reserved)
        return self._gaps

    def _walks(self, start: int, end: int) -> tuple[Walk, ...]:
        """The walks of a search within ``[start, end)``, the second for when the first finds nothing."""
        if end == 0 or (end == 1 and self.rules.end_one_is_accessible):
            end = self.current_limit
        if start < PAGE_SIZE:
            start = PAGE_SIZE
        if end < start:
            end = start
        if not self.bottom_up:
            return ((start, end, True),)
        if not self.rules.bottom_up_above_kernel:
            return ((start, end, False),)
        if end <= self.kernel_end:
            return ((start, end, True),)
        return (max(start, self.kernel_end), end, False), (start, end, True)

    def _result(self, address: int, descending: bool) -> int:
        """The address that a search returns for the one that a walk found."""
        return address if descending or not self.rules.bottom_up_int else _through_int(address)

    def _offers(self, walk: Walk, size: int, align: int, kind: Criteria) -> Iterator[Offer]:
        """The free ranges as the kernel walks over them, and where in each the block would lie."""
        ranges = self._free_ranges_of(self.memory.regions())
        _, _, descending = walk
        for low, high, attributes in ranges[::-1] if descending else ranges:
            found = _place(low, high, walk, size, align) if kind.takes(attributes) else None
            yield Offer(low, high, attributes, found)

    def _free_ranges(self, nid: int | None, flags: int, descending: bool) -> list[tuple[int, int, int | None]]:
        kind = self._kind(nid, flags, descending)
        eligible = (region for region in self.memory.regions() if kind.takes(region[2]))
        return [(low, high, attributes[0]) for low, high, attributes in self._free_ranges_of(eligible)]

    def _free_ranges_of(self, memory: Iterable[tuple[int, int, Attributes]]) -> list[tuple[int, int, Attributes]]:
        starts = [0, *(end for _, end, _ in self.reserved.regions())]
        stops = [*self.reserved.bases, U64_MAX]
        ranges = []
        index = 0
        for base, end, attributes in memory:
            while stops[index] <= base:
                index += 1
            gap = index
            while gap < len(starts) and starts[gap] < end:
                ranges.append((max(base, starts[gap]), min(end, stops[gap]), attributes))
                gap += 1
        return ranges

    def _kind(self, nid: int | None, flags: int, descending: bool) -> Criteria:
        """Memory is eligible where its flags, as far as they matter, equal those needed (should_skip_region)."""
        key = nid, flags, descending, self.movable_node
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = self._new_kind(nid, flags, descending)
        return kind

    def _new_kind(self, nid: int | None, flags: int, descending: bool) -> Criteria:
        care = MEMBLOCK_NOMAP | MEMBLOCK_DRIVER_MANAGED
        care &= ~flags
        skipped = self.rules.hotplug_skipped
        wanted = flags & MEMBLOCK_HOTPLUG and skipped == "both ways unless wanted"
        if self.movable_node and (descending or skipped != "downwards") and not wanted:
            care |= MEMBLOCK_HOTPLUG
        need = flags & (MEMBLOCK_MIRROR | MEMBLOCK_KHO_SCRATCH)
        any_node = self._any_node(nid)
        return Criteria(any_node, None if any_node else nid, care | need, need)

    def _preferred_flags(self) -> int:
        if self.scratch_only:
            return MEMBLOCK_KHO_SCRATCH
        return MEMBLOCK_MIRROR if self.has_mirror else 0

    # -- nodes ----------------------------------------------------------------------------------------------------

    def _is_node(self, nid: int | None) -> bool:
        return nid is not None and 0 <= nid < self.max_numnodes

    def _stored(self, nid: int | None) -> int | None:
        return None if nid == self.max_numnodes else nid

    def _any_node(self, nid: int | None) -> bool:
        """Whether a request for `nid` is one for any node."""
        if nid is None:
            return True
        if self._any_is_invalid:
            return not 0 <= nid < self.max_numnodes
        return nid == self.max_numnodes or (nid == NUMA_NO_NODE and self.rules.any_node == "none")

    def _requested(self, nid: int | None, site: str) -> int | None:
        """The node that a request at `site` is for, which may warn of how it says that any will do."""
        if self._warns_of_max and nid == self.max_numnodes:
            self._warn_once("Usage of MAX_NUMNODES is deprecated. Use NUMA_NO_NODE instead", site)
            return None
        return nid

    # -- what the kernel says -------------------------------------------------------------------------------------

    def _warn_once(self, text: str, site: str) -> None:
        if (text, site) not in self._warned:
            self._warned.add((text, site))
            self.listener.message(text, True)


def _refusal(offer: Offer, walk: Walk, size: int, align: int, kind: Criteria) -> Refusal:
    """Why a walk passes over a free range."""
    nid, flags = offer.attributes
    if not kind.any_node and nid != kind.nid:
        return "wrong node"
    wrong = (flags ^ kind.need) & kind.care
    for flag, refusal in _FLAG_REFUSALS:
        if wrong & flag:
            return refusal
    start, end, descending = walk
    if offer.end <= start:
        return "below the minimum"
    if offer.start >= end:
        return "above the limit"
    if offer.end - offer.start < size:
        return "too small"
    if not _place(offer.start, offer.end, (0, U64_MAX, descending), size, align):
        return "too small once aligned"
    return "above the limit" if offer.end > end else "below the minimum"


def _place(low: int, high: int, walk: Walk, size: int, align: int) -> Placement | None:
    """Where a block lies in the part of the free range ``[low, high)`` that is within the walk's limits."""
    start, end, descending = walk
    low = min(max(low, start), end)
    high = min(max(high, start), end)
    if descending:
        address = (high - size) & -align
        return (address, low, high) if high >= size and address >= low else None
    address = round_up_wrapping(low, align)
    return (address, low, high) if address < high and high - address >= size else None


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
