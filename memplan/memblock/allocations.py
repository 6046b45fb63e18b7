"""How memory is allocated, one block at a time and in bulk."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from memplan.memblock.changes import Changes, MemblockPanic
from memplan.memblock.flags import MEMBLOCK_RSRV_HUGETLB
from memplan.memblock.requests import Search
from memplan.memblock.search import round_up_wrapping

if TYPE_CHECKING:
    from collections.abc import Callable

    from memplan.memblock.gaps import Placement
    from memplan.memblock.regions import Attributes


class Run(NamedTuple):
    """`count` blocks that were taken one beside the other: together ``[start, end)``."""

    start: int
    end: int
    count: int  # type: ignore[assignment]  # in the place of tuple's method
    descending: bool


class Allocations(Changes):
    """The allocations; each returns an address, 0 where there is no room."""

    # -- for callers that want a physical address ---------------------------------------------------------------

    def alloc_range_nid(self, size: int, align: int, start: int, end: int, nid: int | None, exact: bool) -> int:
        """A block within ``[start, end)`` on the node, else on any unless `exact` (memblock_alloc_range_nid)."""
        if self._each_its_own:
            return self._alloc_once(size, align, start, end, nid)
        if self._warns_of_max:
            nid = self._requested(nid, "memblock_alloc_range_nid")
        align = align or self._sound_align("memblock_alloc_range_nid")
        if self._within_limit:
            end = min(end, self.current_limit)
        return self._allocate(size, align, start, end, nid, exact)

    def phys_alloc_range(self, size: int, align: int, start: int, end: int) -> int:
        """A block within a caller's own limits."""
        return self.alloc_range_nid(size, align, start, end, None, False)

    def phys_alloc(self, size: int, align: int) -> int:
        """A block anywhere below the current limit; until 5.0 a panic where there is none."""
        if self._each_its_own:
            return self.alloc_base(size, align, 0)
        return self.phys_alloc_range(size, align, 0, 0)

    def phys_alloc_try_nid(self, size: int, align: int, nid: int | None) -> int:
        """A block on the node, else on any; until 5.0 a panic where there is none."""
        if self._each_its_own:
            return self.alloc_nid(size, align, nid) or self.alloc_base(size, align, 0)
        return self.alloc_range_nid(size, align, 0, 0, nid, False)

    def alloc_nid(self, size: int, align: int, nid: int | None) -> int:
        """A block on the node alone (memblock_alloc_nid, until 5.0)."""
        preferred = self._preferred_flags()
        found = self._alloc_once(size, align, 0, 0, nid, preferred)
        return found if found or not preferred else self._alloc_once(size, align, 0, 0, nid)

    def alloc_base_nopanic(self, size: int, align: int, max_addr: int) -> int:
        """A block below `max_addr` (__memblock_alloc_base, until 5.0)."""
        return self._alloc_once(size, align, 0, max_addr, None)

    def alloc_base(self, size: int, align: int, max_addr: int) -> int:
        """As alloc_base_nopanic, with a panic where nothing is found (memblock_alloc_base)."""
        found = self.alloc_base_nopanic(size, align, max_addr)
        if not found:
            width = 18 if self.rules.padded_panic else 0
            raise MemblockPanic(f"ERROR: Failed to allocate {size:#0{width}x} bytes below {max_addr:#0{width}x}.")
        return found

    # -- for the kernel's own structures ------------------------------------------------------------------------

    def alloc_try_nid(self, size: int, align: int, min_addr: int, max_addr: int, nid: int | None) -> int:
        """A block on the node, else on any, above `min_addr`, else anywhere."""
        return self.alloc_internal(size, align, min_addr, max_addr, nid, False)

    def alloc_try_nid_raw(self, size: int, align: int, min_addr: int, max_addr: int, nid: int | None) -> int:
        """As alloc_try_nid; the kernel does not clear the block."""
        return self.alloc_internal(size, align, min_addr, max_addr, nid, False)

    def alloc_exact_nid_raw(self, size: int, align: int, min_addr: int, max_addr: int, nid: int | None) -> int:
        """A block on this node only, above `min_addr`, else anywhere on it."""
        return self.alloc_internal(size, align, min_addr, max_addr, nid, True)

    def alloc_internal(self, size: int, align: int, min_addr: int, max_addr: int, nid: int | None, exact: bool) -> int:
        """The one way of these (memblock_alloc_internal, memblock_virt_alloc_internal before 4.20)."""
        if self._each_its_own:
            nid = self._requested(nid, "memblock_alloc_internal")
            align = align or self._sound_align("memblock_alloc_internal")
            return self._allocate(size, align, min_addr, max_addr, nid, exact, drops_minimum=True)
        max_addr = min(max_addr, self.current_limit)
        found = self.alloc_range_nid(size, align, min_addr, max_addr, nid, exact)
        if not found and min_addr:
            found = self.alloc_range_nid(size, align, 0, max_addr, nid, exact)
        return found

    def alloc_hugetlb(self, size: int, nid: int | None, exact: bool) -> int:
        """A gigantic page on the node, else on any unless `exact`, in memory that need not be mirrored."""
        for attempt in self._attempts(0, 0, nid, exact, False, False):
            found, _ = self._search(attempt, size, size)
            if found:
                refused = self._reserve(found[0], size, self._allocated(attempt[2], MEMBLOCK_RSRV_HUGETLB))
                return 0 if refused else found[0]
        return 0

    def alloc_memory_core_early(self, nid: int | None, size: int, align: int, goal: int, limit: int) -> int:
        """The core of bootmem's calls (mm/nobootmem.c, until 4.19)."""
        request = Search(size, align, goal, min(limit, self.current_limit), nid, exact=True)
        found = self._place_for(request)
        if found:
            self.reserve(found, size)
        return found

    # -- how allocations are made -------------------------------------------------------------------------------

    def _allocate(
        self,
        size: int,
        align: int,
        start: int,
        end: int,
        nid: int | None,
        exact: bool,
        drops_minimum: bool = False,
    ) -> int:
        """Reserves the first place that a :class:`Search` finds and that can be reserved."""
        for attempt in self._attempts(start, end, nid, exact, drops_minimum, True):
            found, _ = self._search(attempt, size, align)
            if found and (
                not self._reserve(found[0], size, self._allocated(attempt[2])) or self.rules.keeps_unreserved
            ):
                return found[0]
        return 0

    def _alloc_once(self, size: int, align: int, start: int, end: int, nid: int | None, flags: int = 0) -> int:
        """One search, as each kind of allocation makes it in versions in which they have no core."""
        align = align or self._sound_align("memblock_alloc_range_nid")
        if self.rules.rounds_sizes:
            size = round_up_wrapping(size, align)
        found = self.find_node(start, end, size, align, nid, flags)
        return found if found and not self.reserve(found, size) else 0

    def _sound_align(self, function: str) -> int:
        """What stands in for an alignment of 0."""
        if self.rules.zero_align_says == "warning":
            self._warn_on("memblock_alloc_base_nid")
        elif self.rules.zero_align_says == "stack dump":
            self.listener.message(f"dump_stack: {function}", True)
        return self.rules.default_align

    # -- allocations in bulk --------------------------------------------------------------------------------------

    def phys_alloc_range_run(self, size: int, align: int, start: int, end: int, count: int) -> list[Run]:
        """`count` times phys_alloc_range, fewer where memory runs out; blocks side by side are one run."""
        limit = min(end, self.current_limit) if self._within_limit else end
        request = Search(size, align, start, limit, prefers_mirror=not self._each_its_own)
        return self._take_runs(request, count, lambda: self.phys_alloc_range(size, align, start, end))

    def find_reserve_run(self, size: int, align: int, start: int, end: int, count: int) -> list[Run]:
        """`count` times find and reserve, as callers up to 5.14 do."""

        def take() -> int:
            found = self.find(start, end, size, align)
            if found:
                self.reserve(found, size)
            return found

        return self._take_runs(Search(size, align, start, end), count, take, plain=True)

    def alloc_run(
        self, size: int, align: int, min_addr: int, max_addr: int, nid: int | None, count: int, *, exact: bool = False
    ) -> list[Run]:
        """`count` times alloc_try_nid, or alloc_exact_nid_raw where `exact`."""
        if count == 1:
            return self._single(self.alloc_internal(size, align, min_addr, max_addr, nid, exact), size)
        request = Search(size, align, min_addr, max_addr, nid, exact, drops_minimum=True)
        return self._take_runs(request, count, lambda: self.alloc_internal(size, align, min_addr, max_addr, nid, exact))

    def alloc_hugetlb_run(self, size: int, nid: int | None, count: int, *, exact: bool) -> list[Run]:
        """`count` times alloc_hugetlb."""
        request = Search(size, size, nid=nid, exact=exact, prefers_mirror=False)
        take = partial(self.alloc_hugetlb, size, nid, exact)
        return self._take_runs(request, count, take, flags=MEMBLOCK_RSRV_HUGETLB)

    def alloc_memory_core_early_run(
        self, nid: int | None, size: int, align: int, goal: int, limit: int, count: int
    ) -> list[Run]:
        """`count` times alloc_memory_core_early."""
        request = Search(size, align, goal, min(limit, self.current_limit), nid, exact=True)
        take = partial(self.alloc_memory_core_early, nid, size, align, goal, limit)
        return self._take_runs(request, count, take, plain=True)

    def _take_runs(
        self, request: Search, count: int, take: Callable[[], int], *, plain: bool = False, flags: int = 0
    ) -> list[Run]:
        """`count` times `take`, each at the place that the request's searches find; few reservations, one a run.

        `take` reserves what it finds as an allocation (with `flags`), or as any other range where `plain`.  While the
        blocks lie in one free range, one beside the other, and the array has room without growing, the reservation of
        all of them has the same result as theirs one by one.
        """
        size, align = request.size, request.align
        if count == 1:
            return self._single(take(), size)
        runs: list[Run] = []
        contiguous = size and align and not size % align
        while count > 0:
            blocks = 0
            if contiguous:
                found, descending, nid = self._first_found(request)
                attributes = self._plain if plain else self._allocated(nid, flags)
                if found:
                    address, lowest, highest = found
                    if not lowest <= address < highest:
                        # The address was cut short on its way: every further request would get this one again.
                        count = 1
                    elif self._has_room_for_run(address, size, descending, attributes):
                        room = address + size - lowest if descending else self._sound_end(highest) - address
                        blocks = count if count * size <= room else room // size
            if blocks > 1:
                low = address - (blocks - 1) * size if descending else address
                self.listener.changed("reserve", low, blocks * size, blocks, descending, *attributes)
                self._add_range(self.reserved, low, blocks * size, attributes)
                run = Run(low, low + blocks * size, blocks, descending)
            else:
                address = take()
                if not address:
                    break
                run = Run(address, address + size, 1, not self.bottom_up)
            runs.append(run)
            count -= run.count
        return runs

    def _single(self, address: int, size: int) -> list[Run]:
        """The block at `address` as a run of its own; none where that is 0."""
        return [Run(address, address + size, 1, not self.bottom_up)] if address else []

    def _first_found(self, request: Search) -> tuple[Placement | None, bool, int | None]:
        """What the request's searches find, whether downwards, and the node asked for.

        Not with those that go on to memory that is not mirrored, as each request says so.
        """
        for attempt in self._attempts(*request[2:]):
            _, _, nid, _, without_mirror = attempt
            if without_mirror:
                break
            found, descending = self._search(attempt, request.size, request.align)
            if found:
                return found, descending, nid
        return None, True, None

    def _sound_end(self, end: int) -> int:
        """Up to where, `end` at most, an upward search gives addresses as it finds them."""
        return min(end, 1 << 31) if self.rules.bottom_up_int else end

    def _has_room_for_run(self, address: int, size: int, descending: bool, attributes: Attributes) -> bool:
        """Whether neither the first block of a run nor those after it, which merge with it, make the array grow."""
        reserved = self.reserved
        room = reserved.max - reserved.cnt
        if room != 1:
            return room > 1
        index = reserved.search(address + size if descending else address - 1)
        return index >= 0 and reserved.region(index)[2] == attributes
