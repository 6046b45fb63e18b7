"""Memory as the steps see it: memblock, with each change recorded under its step, its owner and what was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVarTuple

from memplan.boot.panic import BootPanic
from memplan.errors import NotCoveredError
from memplan.events import Call, Request
from memplan.memblock.flags import MEMBLOCK_HOTPLUG, MEMBLOCK_MIRROR
from memplan.memblock.memblock import Memblock, Run
from memplan.memblock.requests import Search
from memplan.units import PAGE_SHIFT, TIB, U64_MAX, pfn_down, pfn_up, round_down, round_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from memplan.boot.record import Recorder
    from memplan.kernel.model import Kernel
    from memplan.owner import Owner, Purpose
    from memplan.ranges import RangeSet

_Ts = TypeVarTuple("_Ts")

#: Functions of arch/x86 that stayed with bootmem's calls when the others went over to memblock_virt_alloc.
_ARCH_CALLERS = frozenset(
    {
        "acpi_parse_hpet",
        "e820__reserve_resources",
        "eager_fpu_init_bp",
        "io_apic_init_mappings",
        "pcpu_fc_alloc",
        "setup_init_fpu_buf",
        "setup_xstate_features",
        "spp_getpage",
    }
)


#: Above this the fault handler of early boot maps nothing (MAXMEM).
_MAXMEM = 64 * TIB


class Memory:
    """What steps do to memory: set aside, give back, allocate.  Addresses and sizes are in bytes.

    An `owner` is what the memory is for, a `caller` the kernel function that asks memblock.
    """

    #: Whether it matters in which order blocks are taken.
    ordered = True

    def __init__(self, kernel: Kernel, recorder: Recorder) -> None:
        self.rules = kernel.rules
        self.recorder = recorder
        #: Addresses that are found upwards may be cut short on their way.
        self._cut_short = kernel.rules.memblock.bottom_up_int
        #: What the direct map maps; until it is there (None) the fault handler maps what is touched below 64 TiB.
        self.mapped: RangeSet | None = None
        self.memblock = Memblock(kernel.rules.memblock, max_numnodes=kernel.max_numnodes, listener=recorder)

    # -- changes without a search -------------------------------------------------------------------------------

    def add(self, start: int, end: int, *, owner: Owner | Purpose, caller: str) -> None:
        """memblock_add of ``[start, end)``."""
        self.recorder.tag(owner, caller)
        self.memblock.add(start, end - start)

    def reserve(self, start: int, end: int, *, owner: Owner | Purpose, caller: str, kern: bool = False) -> None:
        """memblock_reserve of ``[start, end)``, memblock_reserve_kern where `kern`: for the kernel's own use."""
        self.recorder.tag(owner, caller)
        (self.memblock.reserve_kern if kern else self.memblock.reserve)(start, end - start)

    def free(self, start: int, end: int, *, owner: Owner | Purpose, caller: str) -> None:
        """Give ``[start, end)`` back (memblock_free, memblock_phys_free from 5.16)."""
        self.recorder.tag(owner, caller)
        self.memblock.free(start, end - start)

    def free_run(self, run: Run, *, owner: Owner | Purpose, caller: str) -> None:
        """Give the blocks of `run` back one by one, the last one taken first."""
        self.recorder.tag(owner, caller)
        self.memblock.free_run(run.start, run.end - run.start, run.count, not run.descending)

    # -- nodes and flags ----------------------------------------------------------------------------------------

    def set_node(self, start: int, end: int, nid: int | None) -> None:
        """Gives memory in ``[start, end)`` its node (memblock_set_node)."""
        self.recorder.mark("memory", start, end, nid=nid)
        self.memblock.set_node(start, end - start, nid)

    def set_node_reserved(self, start: int, end: int, nid: int | None) -> None:
        """Gives reserved memory in ``[start, end)`` its node."""
        self.recorder.mark("reserved", start, end, nid=nid)
        self.memblock.set_node_reserved(start, end - start, nid)

    def mark_hotplug(self, start: int, end: int) -> None:
        """Marks memory hot-pluggable (memblock_mark_hotplug)."""
        self.recorder.mark("memory", start, end, flag=MEMBLOCK_HOTPLUG)
        self.memblock.mark_hotplug(start, end - start)

    def clear_hotplug(self, start: int, end: int) -> None:
        """Takes hot-plug marks off (memblock_clear_hotplug)."""
        self.recorder.mark("memory", start, end, flag=MEMBLOCK_HOTPLUG, on=False)
        self.memblock.clear_hotplug(start, end - start)

    def mark_mirror(self, start: int, end: int) -> None:
        """Marks memory mirrored (memblock_mark_mirror); which versions do it depends on kernelcore=mirror."""
        self.recorder.mark("memory", start, end, flag=MEMBLOCK_MIRROR)
        self.memblock.mark_mirror(start, end - start)

    # -- allocations at a caller's own limits -------------------------------------------------------------------

    def phys_alloc_range(
        self, size: int, align: int, start: int, end: int, *, owner: Owner | Purpose, caller: str
    ) -> int:
        """A block within ``[start, end)`` at a caller's own limits; its address, 0 where there is none.

        memblock_phys_alloc_range from 5.15 (commit a7259df76702); before that each caller searched and reserved by
        itself, so only the reservation is printed.  An `end` of 0 is the limit in force.
        """
        return _first(self.phys_alloc_range_run(size, align, start, end, 1, owner=owner, caller=caller))

    def phys_alloc_range_run(
        self, size: int, align: int, start: int, end: int, count: int, *, owner: Owner | Purpose, caller: str
    ) -> list[Run]:
        """`count` equal blocks as by as many calls of :meth:`phys_alloc_range`; fewer where no more are free."""
        request = self._request(Call.PHYS_RANGE, size, align, start, end, count=count)
        take = self.memblock.phys_alloc_range_run if self.rules.phys_alloc_range else self.memblock.find_reserve_run
        return self._allocate(request, owner, caller, lambda _: take(size, align, start, end, count))

    def phys_alloc(self, size: int, align: int, *, owner: Owner | Purpose, caller: str) -> int:
        """A block anywhere below the limit in force (memblock_phys_alloc); its address, 0 where there is none."""
        return self.phys_alloc_range(size, align, 0, 0, owner=owner, caller=caller)

    def alloc_range_nid(
        self, size: int, align: int, start: int, end: int, nid: int | None, *, owner: Owner | Purpose, caller: str
    ) -> int:
        """A block within ``[start, end)`` on exactly that node; only its reservation is printed."""
        request = self._request(Call.RANGE_NID, size, align, start, end, nid, exact=True)
        return self._allocate_one(
            request, owner, caller, self.memblock.alloc_range_nid, size, align, start, end, nid, True
        )

    def alloc_base(self, size: int, align: int, *, owner: Owner | Purpose, caller: str) -> int:
        """A block below the limit in force as 3.13's early code takes it (memblock_alloc); it panics without one."""
        request = self._request(Call.BASE, size, align, 0, 0)
        return self._allocate_one(request, owner, caller, self.memblock.alloc_base, size, align, 0)

    def phys_alloc_try_nid(
        self, size: int, align: int, nid: int, *, any_node: bool, owner: Owner | Purpose, caller: str
    ) -> int:
        """A block on the node, else on any where `any_node`; only its reservation is printed."""
        request = self._request(Call.PHYS_TRY_NID, size, align, 0, 0, nid, exact=not any_node)
        return self._allocate_one(request, owner, caller, self._take_try_nid, size, align, nid, any_node)

    # -- allocations for the kernel's own use -------------------------------------------------------------------

    def alloc(
        self,
        size: int,
        align: int = 64,
        *,
        owner: Owner | Purpose,
        caller: str,
        min_addr: int = 0,
        max_addr: int = 0,
        nid: int | None = None,
        raw: bool = False,
        exact: bool = False,
        panics: bool = False,
    ) -> int:
        """A block for the kernel's own use (memblock_alloc and its kin); its address, 0 where there is none.

        Falls back from the node to any node and from `min_addr` to 0, in the order of memblock's rules or in that of
        bootmem's calls.  `exact` stays on the node; a call that `panics` may have another name.
        """
        call = Call.EXACT_NID_RAW if exact else Call.TRY_NID_RAW if raw else Call.TRY_NID
        if call is Call.TRY_NID and self.rules.calls_without_panic and not panics:
            call = Call.TRY_NID_NOPANIC
        if self._goes_through_bootmem(caller):
            request = self._request(Call.BOOTMEM, size, align, min_addr, max_addr, nid, exact=exact)
            return _first(self._alloc_run(request, owner, caller))
        request = self._request(call, size, align, min_addr, max_addr, nid, exact=exact)
        take = self.memblock.alloc_internal
        return self._allocate_one(request, owner, caller, take, size, align, min_addr, max_addr, nid, exact)

    def alloc_run(
        self,
        count: int,
        size: int,
        align: int,
        *,
        owner: Owner | Purpose,
        caller: str,
        min_addr: int = 0,
        max_addr: int = 0,
        nid: int | None = None,
        raw: bool = False,
    ) -> int:
        """`count` equal blocks as by as many calls of :meth:`alloc`; how many there were before one failed."""
        runs = self.alloc_runs(
            count,
            size,
            align,
            owner=owner,
            caller=caller,
            min_addr=min_addr,
            max_addr=max_addr,
            nid=nid,
            raw=raw,
        )
        return sum([run.count for run in runs])

    def alloc_runs(
        self,
        count: int,
        size: int,
        align: int,
        *,
        owner: Owner | Purpose,
        caller: str,
        min_addr: int = 0,
        max_addr: int = 0,
        nid: int | None = None,
        raw: bool = False,
        exact: bool = False,
    ) -> list[Run]:
        """The blocks of :meth:`alloc_run`, those side by side as one; `exact` stays on the node."""
        call = Call.EXACT_NID_RAW if exact else Call.TRY_NID_RAW if raw else Call.TRY_NID
        if self._goes_through_bootmem(caller):
            call = Call.BOOTMEM
        request = self._request(call, size, align, min_addr, max_addr, nid, exact=exact, count=count)
        return self._alloc_run(request, owner, caller)

    def alloc_hugetlb(
        self, count: int, size: int, nid: int | None, *, exact: bool, owner: Owner | Purpose, caller: str
    ) -> list[Run]:
        """`count` gigantic pages on the node, else on any unless `exact` (memblock_alloc_hugetlb); fewer without room.

        Mirrored memory is not taken first.
        """
        request = self._request(Call.HUGETLB, size, size, 0, 0, nid, exact=exact, count=count)
        take = self.memblock.alloc_hugetlb_run
        return self._allocate(request, owner, caller, lambda _: take(size, nid, count, exact=exact))

    def alloc_or_panic(
        self,
        size: int,
        align: int = 64,
        *,
        owner: Owner | Purpose,
        caller: str,
        min_addr: int = 0,
        max_addr: int = 0,
        nid: int | None = None,
    ) -> int:
        """As :meth:`alloc`, for callers that can't go on without; BootPanic where nothing is left."""
        found = self.alloc(
            size, align, owner=owner, caller=caller, min_addr=min_addr, max_addr=max_addr, nid=nid, panics=True
        )
        if not found:
            text = f"{caller}: Failed to allocate {size} bytes align={align:#x}"
            if self._goes_through_bootmem(caller):
                text = f"bootmem alloc of {size} bytes failed!"
            elif self.rules.calls_without_panic:
                place = f"nid={-1 if nid is None else nid} from={min_addr:#x} max_addr={max_addr:#x}"
                name = f"{self.rules.allocation_calls}_try_nid"
                text = f"{name}: Failed to allocate {size} bytes align={align:#x} {place}"
            raise BootPanic(text, f"no free memory is left for {owner} ({size} bytes)")
        return found

    def alloc_beside(
        self, place: int, size: int, unit: int, node_of: Callable[[int], int], *, owner: Owner | Purpose, caller: str
    ) -> int:
        """A block in the same `unit` of addresses as the block at `place`, or where there is none anywhere; 0 for none.

        Both are looked for first on the node that `node_of` tells of the unit's first address.
        """
        goal = round_down(place, unit)
        nid = node_of(goal)
        for limit in (goal + unit, 0):
            found = self.alloc(size, owner=owner, caller=caller, min_addr=goal, max_addr=limit, nid=nid)
            if found:
                return found
        return 0

    # -- questions ----------------------------------------------------------------------------------------------

    def free_gaps(self) -> Iterator[tuple[int, int]]:
        """The free ranges of memory, upwards."""
        return ((start, end) for start, end, _ in self.memblock.free_ranges(None, 0))

    def free_pages(self) -> int:
        """The whole pages of the free ranges."""
        return sum(max(0, pfn_down(end) - pfn_up(start)) for start, end in self.free_gaps())

    def spread(self, blocks: Sequence[tuple[int, int]]) -> int:
        """The bytes from the start of the lowest of the blocks to the end of the highest."""
        return max(end for _, end in blocks) - min(start for start, _ in blocks)

    def lie_within(self, blocks: Sequence[tuple[int, int]], size: int) -> bool:
        """Whether the blocks have no more than `size` bytes from the start of the lowest to the end of the highest."""
        return self.spread(blocks) <= size

    def is_multiple(self, address: int, align: int) -> bool:
        """Whether a block's address is a multiple of `align`."""
        return not address % align

    def searches(self, request: Request) -> list[Search]:
        """What memblock is asked to search for by `request`, one search after the other until one finds a place."""
        size, align, low, high, nid = request.size, request.align, request.min_addr, request.max_addr, request.nid
        alone = self.rules.memblock.allocations == "each its own"
        if (
            alone
            and self.rules.memblock.rounds_sizes
            and request.call in (Call.RANGE_NID, Call.BASE, Call.PHYS_TRY_NID)
        ):
            size = round_up(size, align)
        if request.call is Call.BASE:
            return [Search(size, align, end=high, prefers_mirror=False)]
        if request.call is Call.PHYS_RANGE:
            return [Search(size, align, low, high, prefers_mirror=not (alone and self.rules.phys_alloc_range))]
        if request.call is Call.PHYS_TRY_NID and alone:
            on_node = Search(size, align, nid=nid, exact=True)
            return [on_node] if request.exact else [on_node, Search(size, align, prefers_mirror=False)]
        if request.call in (Call.RANGE_NID, Call.PHYS_TRY_NID):
            return [Search(size, align, low, high, nid, request.exact or alone, prefers_mirror=not alone)]
        if request.call is Call.HUGETLB:
            return [Search(size, align, low, high, nid, request.exact, prefers_mirror=False)]
        if request.call is not Call.BOOTMEM:
            return [Search(size, align, low, high, nid, request.exact, drops_minimum=True)]
        limit = min(high or U64_MAX, self.memblock.current_limit)
        return [Search(size, align, goal, limit, node, exact=True) for goal, node in _bootmem_tries(request)]

    # -- how allocations are recorded ---------------------------------------------------------------------------

    def _request(
        self,
        call: Call,
        size: int,
        align: int,
        min_addr: int,
        max_addr: int,
        nid: int | None = None,
        *,
        exact: bool = False,
        count: int = 1,
    ) -> Request:
        memblock = self.memblock
        flags = MEMBLOCK_MIRROR if memblock.has_mirror and call is not Call.HUGETLB else 0
        upwards, avoids = memblock.bottom_up, memblock.movable_node
        asked = call, size, align, min_addr, max_addr, nid, exact, upwards, flags, avoids, count
        # Made as a tuple is, which takes half the time of a named tuple's own constructor.
        return tuple.__new__(Request, asked)

    def _take_try_nid(self, size: int, align: int, nid: int, any_node: bool) -> int:
        if self.rules.memblock.allocations != "each its own":
            return self.memblock.alloc_range_nid(size, align, 0, 0, nid, exact=not any_node)
        found = self.memblock.alloc_nid(size, align, nid)
        return self.memblock.alloc_base_nopanic(size, align, 0) if any_node and not found else found

    def _alloc_run(self, request: Request, owner: Owner | Purpose, caller: str) -> list[Run]:
        return self._allocate(
            request, owner, caller, self._bootmem if request.call is Call.BOOTMEM else self._memblock_alloc
        )

    def _memblock_alloc(self, request: Request) -> list[Run]:
        _, size, align, low, high, nid, exact, _, _, _, count = request
        return self.memblock.alloc_run(size, align, low, high, nid, count, exact=exact)

    def _goes_through_bootmem(self, caller: str) -> bool:
        """Whether `caller` uses bootmem's calls: all do in 3.13, those of arch/x86 up to 4.19."""
        calls = self.rules.allocation_calls
        return calls == "bootmem" or (calls == "memblock_virt_alloc" and caller in _ARCH_CALLERS)

    def _bootmem(self, request: Request) -> list[Run]:
        """The order of mm/nobootmem.c: node and goal, any node and goal, then both without the goal."""
        runs: list[Run] = []
        limit = request.max_addr or U64_MAX
        for goal, node in _bootmem_tries(request):
            rest = request.count - sum(run.count for run in runs)
            runs += self.memblock.alloc_memory_core_early_run(node, request.size, request.align, goal, limit, rest)
        return runs

    def _allocate(
        self, request: Request, owner: Owner | Purpose, caller: str, allocate: Callable[[Request], list[Run]]
    ) -> list[Run]:
        """Runs an allocation of several blocks under its request, and notes where it fails."""
        self.recorder.tag(owner, caller, request)
        before = self.memblock.reserved.total
        runs = allocate(request)
        if not runs or (request.count > 1 and sum([run.count for run in runs]) < request.count):
            self.recorder.refused()
        if self._cut_short:
            self._touch(owner, request, before, runs)
        return runs

    def _allocate_one(
        self, request: Request, owner: Owner | Purpose, caller: str, allocate: Callable[[*_Ts], int], *args: *_Ts
    ) -> int:
        """As :meth:`_allocate`, for the block that ``allocate(*args)`` takes."""
        self.recorder.tag(owner, caller, request)
        before = self.memblock.reserved.total
        found = allocate(*args)
        if not found:
            self.recorder.refused()
        elif self._cut_short:
            self._touch(owner, request, before, [Run(found, found + request.size, 1, True)])
        return found

    def _touch(self, owner: Owner | Purpose, request: Request, before: int, runs: list[Run]) -> None:
        """The kernel writes to what it was given; that ends badly where the address was cut short on its way.

        Bottom-up searches of 3.13 return their address through an int.  `before` is how much was reserved before the
        allocation.  Contiguous areas (CMA) are not written to as they are reserved.
        """
        if not self.memblock.bottom_up or request.call is Call.RANGE_NID:
            return
        for run in runs:
            mapped = run.start < _MAXMEM if self.mapped is None else self.mapped.holds(run.start >> PAGE_SHIFT)
            if not mapped:
                raise BootPanic(
                    "PANIC: early exception 0e",
                    f"memory for {owner} was found above 2 GiB, and this version keeps such an address in 32 bits: "
                    f"it came out as {run.start:#x}",
                )
        size = sum(run.end - run.start for run in runs)
        fresh = self.memblock.reserved.total - before >= size
        for run in runs:
            if not fresh or not self.memblock.is_region_memory(run.start, run.end - run.start):
                raise NotCoveredError(
                    f"memory for {owner} was found above 4 GiB, and Linux of this version keeps such an address in 32 "
                    f"bits: it writes to {run.start:#x} instead, which is in use; what happens then is not replayed"
                )


def _bootmem_tries(request: Request) -> list[tuple[int, int | None]]:
    """Goal and node of each try of 3.13's bootmem calls."""
    return [
        (goal, node) for goal in dict.fromkeys((request.min_addr, 0)) for node in dict.fromkeys((request.nid, None))
    ]


def _first(runs: list[Run]) -> int:
    return runs[0].start if runs else 0
