"""The last part of a boot, replayed apart from the first: on what that hands over, and with a rough memory.

It sees of the boot what is handed over here and nothing else, so boots that hand over the same have the same rest.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from memplan.boot.context import Boot
from memplan.boot.panic import BootPanic
from memplan.boot.parameters import Parameters
from memplan.boot.replay import in_step, run
from memplan.boot.steps.handover import memblock_free_all
from memplan.boot.steps.hash_tables import memblock_find_dma_reserve
from memplan.boot.steps.numa import bring_nodes_up, initmem_init
from memplan.boot.steps.sparse import sparse_init
from memplan.boot.steps.zones import free_area_init
from memplan.errors import NotCoveredError
from memplan.memblock.flags import MEMBLOCK_HOTPLUG
from memplan.ranges import RangeSet
from memplan.sweep.rough import Open, RoughMemory, Taken, questions
from memplan.sweep.unknown import Amount
from memplan.sweep.vague import Undecided, Vague, limits
from memplan.units import GIB, MIB, SECTION_SIZE, round_down, round_up

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from memplan.boot.results import ZoneLayout
    from memplan.machine.model import Machine

#: The rest begins with the first of these: what comes before decides about nodes, marks and the crash kernel.
_FIRST = frozenset({sparse_init.__name__, free_area_init.__name__})
#: The hand-over to the page allocator is no part of it.
_BEHIND = memblock_free_all.__name__
#: Reservations at an unknown place that lie no further apart are counted as one.
_NEAR = 2 << 20
#: To multiples of which that is rounded up which is told of reserved regions: their bytes, and how many they are; and
#: to which the pages below 16 MiB, where that is not known.
_RESERVED, _REGIONS, _PAGES = 1 << 20, 16, 1024
#: So many ways of requests that may find room or not are tried.
_MOST_WAYS = 12
#: What steps of the rest ask of a boot, and of its nodes, as it is; of what else they ask nothing is known.
_NUMBERS = ("dma_reserve", "hugetlb_cma", "max_low_pfn", "max_pfn", "max_possible_pfn", "new_log_buf")
_OF_NODES = ("initiators", "online", "possible")
#: The step that counts what is reserved below 16 MiB.
_COUNTED, _DMA_END = memblock_find_dma_reserve.__name__, 16 * MIB

_Span: TypeAlias = tuple[int, int]


class End(NamedTuple):
    """What the rest leads to: the zones, where blocks may lie, as parts of regions of memory, nodes with NODE_DATA."""

    zones: ZoneLayout
    touched: frozenset[_Span]
    nodes: frozenset[int]


class Told(Enum):
    """What a common rest is told of what is reserved by now; the less it is, the more boots have a rest in common."""

    #: How much it is, before nodes get their NODE_DATA; and not which nodes with movable_node have kept their marks.
    BEFORE_NODES = auto()
    #: How much it is; of NODE_DATA the section and region of memory.
    SIZE = auto()
    #: Where it lies, where that is known; of all else that it lies in memory.
    KNOWN_PLACES = auto()
    #: Where it lies, and of what lies at an unknown place the region of memory.
    REGIONS = auto()


def first_step(steps: Sequence[str]) -> int:
    """At which of a version's steps the rest begins."""
    return next(index for index, name in enumerate(steps) if name in _FIRST)


class _Given:
    """Something of which only the attributes that were set are known."""

    def __getattr__(self, name: str) -> Any:
        raise Undecided


class Rest:
    """What `boot`, which comes to the rest next, hands over.  It is looked at only, and can go on by itself.

    As `common` it is what many boots hand over: the machine is one that stands for all of theirs, and of what is
    reserved only so much is `told`; before nodes get their NODE_DATA, that comes next.  Raises Undecided where the boot
    is of a kind of which this does not speak.
    """

    def __init__(self, boot: Boot, common: Machine | None = None, told: Told = Told.REGIONS) -> None:
        memblock = boot.memblock
        if memblock.bottom_up or memblock.has_mirror or memblock.scratch_only:
            raise Undecided
        self._boot = boot
        self._common = common
        self._told = told
        self._memory = tuple(memblock.memory.regions())
        if common is not None and not _is_known(self._memory):
            raise Undecided
        self._numbers = {name: getattr(boot, name) for name in _NUMBERS}
        self._mapped = boot.direct_map.max_pfn_mapped
        self._open = Open()
        if told is Told.BEFORE_NODES:
            self._look_ahead()
        if common is not None and isinstance(self._numbers["dma_reserve"], Amount):
            # How many page tables lie below 16 MiB depends on the place.
            low, high = limits(self._numbers["dma_reserve"])
            self._numbers["dma_reserve"] = Vague(round_down(low, _PAGES), round_up(high, _PAGES))
        self._maps = {name: tuple(getattr(boot, name)) for name in ("e820", "e820_firmware")}
        self._nodes = {name: frozenset(getattr(boot.nodes, name)) for name in _OF_NODES}
        places = boot.nodes.node_data.items()
        self._node_data = {nid: self._somewhere(start, end) for nid, (start, end) in places}
        self._fixed: list[_Span] = []
        self._loose: list[Taken] = []
        self._regions = memblock.reserved.cnt
        if told in (Told.BEFORE_NODES, Told.SIZE):
            self._forget_places()
        else:
            self._sort_reserved()

    @property
    def key(self) -> Hashable:
        """Equal for boots with the same common rest; Undecided where it depends on the unknown."""
        boot, nodes = self._boot, self._boot.nodes
        # Without movable_node nobody asks what is hot-pluggable any more.
        care = -1 if boot.params.movable_node else ~MEMBLOCK_HOTPLUG
        key = (
            self._told.name,
            tuple(
                (base, end, nid, flags & care | (MEMBLOCK_HOTPLUG if (base, end) in self._open.regions else 0))
                for base, end, (nid, flags) in self._memory
            ),
            self._told_numbers(),
            tuple(self._maps.values()),
            tuple(self._nodes.values()),
            tuple((nid, limits(start), limits(end)) for nid, (start, end) in self._node_data.items()),
            tuple((block.start, block.end, block.nid) for block in nodes.meminfo.blocks),
            tuple(nodes.cpu_to_node),
            tuple(nodes.apic_to_node.items()),
            tuple(nodes.distances.values.items()),
            tuple((nid, *spans) for nid, spans in boot.hugetlb_areas.items()),
            self._open.unmarked and (self._open.unmarked[1] - self._open.unmarked[0], self._open.unmarked[0] % GIB),
            (self._mapped, boot.memblock.current_limit, boot.memblock.movable_node, boot.memblock.mirrored_kernelcore),
            (tuple(self._fixed), tuple(self._loose), self._regions, boot.memblock.reserved.max),
        )
        if not _is_known(key):
            raise Undecided
        return key

    def _told_numbers(self) -> tuple[Hashable, ...]:
        """The numbers, those that are vague as limits."""
        return tuple([limits(own) if isinstance(own, Vague) else own for own in self._numbers.values()])

    def end(self) -> End:
        """What becomes of it; Undecided where that can't be told."""
        assumptions: list[bool] = []
        found: End | None = None
        for _ in range(_MOST_WAYS):
            own = self._replayed(assumptions)
            if found is not None:
                if (own.zones.zones, own.nodes) != (found.zones.zones, found.nodes):
                    raise Undecided
                own = own._replace(touched=own.touched | found.touched)
            found = own
            while assumptions and not assumptions[-1]:
                assumptions.pop()
            if not assumptions:
                return found
            assumptions[-1] = False
        raise Undecided

    def own_end(self, end: End, layouts: dict[Hashable, ZoneLayout]) -> End:
        """What becomes of this boot, where `end` is that of boots with the same key.

        `layouts` keeps the zones, which depend on the marks.  Undecided where these tell what the rest is like.
        """
        if not self._open.regions:
            return end
        key = self._memory, self._told_numbers(), tuple(self._nodes.values()), end.nodes
        layout = layouts.get(key)
        if layout is None:
            view = self._view(self._rough([]))
            view.nodes.node_data = dict.fromkeys(end.nodes, (0, 0))
            free_area_init(view)
            layout = layouts[key] = view.zones
        pages = [(limits(own.nr_kernel_pages), limits(own.nr_all_pages)) for own in (layout, end.zones)]
        # Where they don't come of the zones they are counted in the rest itself.
        if self._boot.rules.zones_tell_kernel_pages and pages[0] != pages[1]:
            raise Undecided
        # No search takes memory that is marked.
        unmarked = [(base, stop) for base, stop, (_, flags) in self._memory if not flags & MEMBLOCK_HOTPLUG]
        return End(layout, frozenset(unmarked), end.nodes)

    def _replayed(self, assumptions: list[bool]) -> End:
        rough = self._rough(assumptions)
        view = self._view(rough)
        names = self._boot.rules.steps
        nodes, first, behind = names.index(initmem_init.__name__), first_step(names), names.index(_BEHIND)
        try:
            if self._told is Told.BEFORE_NODES:
                in_step(view, names[nodes], bring_nodes_up)
                deque(run(view, [name for name in names[nodes + 1 : first] if name != _COUNTED]), maxlen=0)
                if any(low < _DMA_END for low, _ in rough.touched()):
                    raise Undecided
            deque(run(view, names[first:behind]), maxlen=0)
        except (BootPanic, NotCoveredError):
            raise Undecided from None
        rough.hand_over()
        return End(view.zones, rough.touched(), frozenset(view.nodes.node_data))

    def _rough(self, assumptions: list[bool]) -> RoughMemory:
        return RoughMemory(self._boot.memory, self._fixed, self._loose, self._regions, self._open, assumptions)

    def _view(self, rough: RoughMemory) -> Boot:
        """The boot as the rest sees it, with what steps change being its own."""
        boot, nodes = self._boot, _Given()
        view: Any = _Given()
        view.kernel, view.rules, view.wording = boot.kernel, boot.rules, boot.wording
        view.machine, view.params, view.cmdline = boot.machine, boot.params, boot.cmdline
        if self._common is not None:
            view.machine, view.params = self._common, Parameters(self._common, boot.kernel)
        view.recorder, view.memory, view.memblock = rough.recorder, rough, questions(boot)
        view.printk = partial(Boot.printk, view)
        view.hugetlb_areas = boot.hugetlb_areas
        view.direct_map = _Given()
        view.direct_map.max_pfn_mapped = self._mapped
        vars(view).update(self._numbers, **self._maps)
        vars(nodes).update({name: set(own) for name, own in self._nodes.items()})
        vars(nodes).update(
            node_data=dict(self._node_data),
            cpu_to_node=list(boot.nodes.cpu_to_node),
            apic_to_node=boot.nodes.apic_to_node,
            distances=boot.nodes.distances,
            meminfo=boot.nodes.meminfo,
            nr_node_ids=boot.nodes.nr_node_ids,
        )
        view.nodes = nodes
        return cast("Boot", view)

    def _look_ahead(self) -> None:
        """What there is to know of the steps between NODE_DATA and the rest."""
        boot, rules = self._boot, self._boot.rules
        if rules.marks_go_behind_node_data:
            raise Undecided
        if boot.params.movable_node and boot.memblock.movable_node:
            if rules.zone_wait_tables:
                raise Undecided
            marks = RangeSet(boot.nodes.hotplug)
            regions = [own for own in self._memory if marks.within(*own[:2])]
            unmarked = [(base, end) for base, end, (_, flags) in regions if not flags & MEMBLOCK_HOTPLUG]
            largest = max(unmarked, key=lambda span: span[1] - span[0], default=None)
            self._open = Open(frozenset([own[:2] for own in regions]), largest)
        if _COUNTED in rules.steps:
            view: Any = _Given()
            view.memory, view.memblock = boot.memory, boot.memblock
            memblock_find_dma_reserve(view)
            self._numbers["dma_reserve"] = view.dma_reserve

    def _forget_places(self) -> None:
        """All that is reserved is told by how much it is at most."""
        size = limits(sum(size for _, size, _, _ in self._boot.memblock.reserved))[1]
        self._regions = round_up(self._regions, _REGIONS)
        low, high = self._memory[0][0], self._memory[-1][1]
        self._loose.append(Taken(low, high, round_up(size, _RESERVED), self._regions))

    def _sort_reserved(self) -> None:
        """Sorts what is reserved by now into what lies at a known place and what does not."""
        at: tuple[Any, Any] | None = None
        for base, end, _ in self._boot.memblock.reserved.regions():
            if isinstance(base, int) and isinstance(end, int):
                self._fixed.append((base, end))
                continue
            gap = base - at[1] if at is not None else None
            if at is not None and isinstance(gap, int) and gap < _NEAR and isinstance(end - at[0], int):
                at = at[0], end
                continue
            self._note_loose(at)
            at = base, end
        self._note_loose(at)

    def _note_loose(self, place: tuple[Any, Any] | None) -> None:
        if place is not None:
            low, high = self._within(limits(place[0])[0], limits(place[1])[1])
            if self._told is Told.KNOWN_PLACES:
                low, high = min(low, self._memory[0][0]), max(high, self._memory[-1][1])
            size = limits(place[1] - place[0])[1]
            self._loose.append(Taken(low, high, size if self._common is None else round_up(size, _RESERVED)))

    def _somewhere(self, start: int, end: int) -> tuple[int, int]:
        """A range as the rest sees it."""
        if self._common is None or (isinstance(start, int) and self._told is not Told.SIZE):
            return start, end
        # Usage maps come into the same section.
        low, high = limits(start)[0], limits(end)[1]
        base, stop = self._within(low, high)
        base, stop = max(base, round_down(low, SECTION_SIZE)), min(stop, round_up(high, SECTION_SIZE))
        size, _ = limits(end - start)
        return cast("int", Vague(base, stop - size)), cast("int", Vague(base + size, stop))

    def _within(self, low: int, high: int) -> _Span:
        """The range, or for a common rest the region of memory that holds it."""
        if self._common is not None:
            for base, end, _ in self._memory:
                if base <= low and high <= end:
                    return base, end
        return low, high


def _is_known(own: object) -> bool:
    """Whether nothing in `own`, tuples within tuples, depends on the unknown."""
    if isinstance(own, tuple):
        return all(map(_is_known, own))
    return not isinstance(own, Amount | Vague)
