"""The rest of a boot, replayed without a look at where in free memory its blocks lie.

Once the nodes are known and allocations keep away from hot-pluggable memory, most of what a boot still allocates has no
bearing on what can be removed: a block lies somewhere in memory that stays, and the boot goes on.  So the steps run
with a :class:`RoughMemory`, which answers each request with a place of which only limits are known.  Searches go
downwards, so that of each free range it is known how deep blocks can have come by now, whatever lies in it at unknown
places: while there is room below, a request is granted.  Where that can't be told, or a step asks for more than is
known, it raises Undecided, and the boot has to be replayed exactly.
"""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from memplan.boot.memory import Memory
from memplan.boot.record import Recorder
from memplan.events import Call
from memplan.memblock.flags import MEMBLOCK_HOTPLUG
from memplan.memblock.memblock import Run
from memplan.memblock.requests import Search
from memplan.owner import CRASH_KERNEL, Owner, Purpose
from memplan.ranges import RangeSet
from memplan.sweep.vague import Undecided, Vague, limits, window, windows_within
from memplan.units import GIB, PAGE_SHIFT, PAGE_SIZE, round_down, round_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from memplan.boot.context import Boot
    from memplan.events import Request
    from memplan.memblock.gaps import Criteria
    from memplan.memblock.memblock import Memblock
    from memplan.memblock.regions import Attributes
    from memplan.memblock.requests import Walk

#: Requests that may find room or not, after which a boot is left undecided.
_MOST_ASSUMPTIONS = 8
#: What a step may ask memblock itself: of memory, which does not change any more, and of settings.
_QUESTIONS = frozenset(
    {
        "bottom_up",
        "has_mirror",
        "memory",
        "mirrored_kernelcore",
        "movable_node",
        "pfn_ranges",
        "phys_mem_size",
        "search_pfn_nid",
    }
)
#: What is reserved where later steps, or what can be removed, depend on it.
_PLACED = CRASH_KERNEL | {Purpose.CMA, Purpose.GIGANTIC_PAGES}
#: At each end of a block that is not made of whole pages, less than two of them may stay free.
_ODD_ENDS = 4 * PAGE_SIZE


class Open(NamedTuple):
    """Regions of memory of which it is not told whether they are marked hot-pluggable, nor where in them is reserved.

    One is not marked that is as long as `unmarked`, and lies whole GiB away from there; without that it may be none.
    """

    regions: frozenset[tuple[int, int]] = frozenset()
    unmarked: tuple[int, int] | None = None


class Taken(NamedTuple):
    """Reserved regions, at most so many, of `size` bytes in all at most, that lie somewhere within ``[low, high)``."""

    low: int
    high: int
    size: int
    regions: int = 1


class _Blocks(NamedTuple):
    """What a request asks for: blocks of `size` bytes at multiples of `align`, above `low` and below `high`.

    The limits are those of which it is certain, and `least` and `most` what they can be.  Where they don't `fill` it,
    what is free above others may stay so.
    """

    size: int
    align: int
    low: int
    high: int
    least: int
    most: int
    fill: bool = True

    def wider(self, other: _Blocks) -> _Blocks:
        """The blocks of two requests for the same, of which the second is made where the first finds no room."""
        size, align, high = max(self.size, other.size), max(self.align, other.align), min(self.high, other.high)
        least, most = min(self.least, other.least), max(self.most, other.most)
        return _Blocks(size, align, min(self.low, other.low), high, least, most, self.fill)

    @property
    def room(self) -> int:
        """The bytes that each takes where they lie one beside the other."""
        return round_up(self.size, self.align)

    @property
    def odd(self) -> int:
        """The bytes that may stay free at the ends of each where it is not made of whole pages."""
        return 0 if self.size % PAGE_SIZE == self.align % PAGE_SIZE == 0 else _ODD_ENDS


class _Block(Vague):
    """Where a block lies that was taken from a rough memory."""

    __slots__ = ()


class _Gap:
    """A range of memory ``[low, high)`` in which nothing is reserved at a known place, and what has come to it by now.

    Memory may begin as low as `least` and end as high as `most`.

    Two things are known of the blocks in it.  How deep they have come: each lies at the highest place that is free, so
    no deeper than right below all others.  `_mark` is where that leads with nothing else there.  Small blocks, of a
    page at most, fill what is free above before they go deeper, so all of them together take others deeper by their
    size; an obstacle at an unknown place by its own, and by what is lost above it, which is less than a block that did
    not fit there.  As a multiple of all alignments, the sum of that leaves the others' rounding as it is.

    And how many windows, at multiples of their size, they touch at most: in each of the others a block finds room.
    """

    def __init__(self, low: int, high: int, least: int, most: int, attributes: Attributes) -> None:
        self.low = low
        self.high = high
        self.least = least
        self.most = most
        self.attributes = attributes
        #: The bytes of obstacles, of which there are so many, and bytes that are taken in it for certain.
        self.obstructed = 0
        self.obstacles = 0
        self.taken = 0
        self._mark = high
        #: How many blocks of each size and alignment may be in it; the largest with its alignment.
        self._counts: dict[tuple[int, int], int] = {}
        self._largest = 0
        self._align = PAGE_SIZE
        #: Bytes that may be free between blocks that are not made of whole pages.
        self._odd = 2 * _ODD_ENDS

    def is_small(self, blocks: _Blocks) -> bool:
        """Whether each of `blocks` takes the highest free page of the gap, or a part of it."""
        return blocks.fill and blocks.size <= PAGE_SIZE and blocks.align <= PAGE_SIZE and blocks.high >= self.high

    def depth(self, blocks: _Blocks, count: int, small: int) -> int | None:
        """The lowest address that `count` of `blocks` may have; None where they may find no room below the others.

        `small` bytes are taken by small blocks, wherever; these are among them.
        """
        largest, align = max(self._largest, blocks.size + blocks.align), max(self._align, blocks.align)
        each = largest + align + _ODD_ENDS
        others = small + self._odd + blocks.odd * count + self.obstructed + self.obstacles * each
        deepest = self._marked(blocks, count) - round_up(others, align)
        return deepest if deepest >= max(self.low, blocks.low) else None

    def room(self, blocks: _Blocks, small: int) -> int:
        """For how many of `blocks` there is room for certain, wherever all others lie."""
        size, align = blocks.size, blocks.align
        width = max(window(size, align), PAGE_SIZE)
        free = windows_within(max(self.low, blocks.low), min(self.high, blocks.high), width)
        free -= self.obstructed // width + 2 * self.obstacles + small // width + 2
        if free <= 0:
            return 0
        free -= sum(count * _spoils(*own, width) for own, count in self._counts.items())
        return max(0, -(-free // _spoils(size, align, width)))

    def take(self, blocks: _Blocks, count: int) -> None:
        """`count` of `blocks` are in it, or higher up."""
        self._mark = self._marked(blocks, count)
        self._largest, self._align = max(self._largest, blocks.size + blocks.align), max(self._align, blocks.align)
        self._odd += blocks.odd * count
        if not self.is_small(blocks):
            own = blocks.size, blocks.align
            self._counts[own] = self._counts.get(own, 0) + count

    def may_hold(self, blocks: _Blocks, freed: int) -> bool:
        """Whether there may be room for one of `blocks`; `freed` bytes were given back, wherever."""
        start, end = max(self.least, blocks.least), min(self.most, blocks.most)
        return min(end - start, self.most - self.least - self.taken + freed) >= blocks.size

    def _marked(self, blocks: _Blocks, count: int) -> int:
        if self.is_small(blocks):
            return self._mark
        highest = round_down(min(self._mark, blocks.high) - blocks.size, blocks.align)
        return highest - (count - 1) * blocks.room


class _StandIn(_Gap):
    """A gap for one as long that lies whole GiB away, it is not known where.  No window of that length counts."""

    def room(self, _blocks: _Blocks, _small: int) -> int:
        """For none, as far as windows tell."""
        return 0


class _Part(NamedTuple):
    """`count` blocks at most lie within ``[low, high)``."""

    blocks: _Blocks
    count: int  # type: ignore[assignment]  # in the place of tuple's method
    low: int
    high: int


class _Eligible(NamedTuple):
    """From what a kind of search takes: gaps, downwards; and from where to where memory is `open`.

    Gaps lie above it, amid it and below it.
    """

    any_node: bool
    open: tuple[int, int] | None
    above: list[_Gap]
    amid: list[_Gap]
    below: list[_Gap]


class _Places:
    """Where `count` blocks of a request may lie, by gaps; for how many of them it is not certain that there is room.

    Any may be in `open` memory, within such limits; `everywhere` says that they may be where they are not looked for
    any more.
    """

    def __init__(self, count: int, *, everywhere: bool = False) -> None:
        self.count = count
        self.left = count
        self.found: dict[_Gap, _Part] = {}
        self.open: list[tuple[int, int]] = []
        self.blocks: _Blocks
        self.everywhere = everywhere

    @property
    def are_known(self) -> bool:
        """Whether there are no more of them."""
        return not self.left and not self.everywhere


class _Questions:
    """Memblock for steps that only ask of memory."""

    def __init__(self, memblock: Memblock) -> None:
        self._memblock = memblock

    def __getattr__(self, name: str) -> Any:
        if name not in _QUESTIONS:
            raise Undecided
        return getattr(self._memblock, name)


class RoughMemory(Memory):
    """A boot's memory from here on, with blocks at places of which only limits are known.

    By now `fixed` is reserved, and `loose` is, which lies at unknown places: so many `regions` at most.  Of some memory
    it is `open` whether it is marked hot-pluggable.
    """

    #: Small blocks count together, whenever they come.
    ordered = False

    def __init__(
        self,
        memory: Memory,
        fixed: Iterable[tuple[int, int]],
        loose: Iterable[Taken],
        regions: int,
        open_memory: Open,
        assumptions: list[bool],
    ) -> None:
        memblock = memory.memblock
        self.rules = memory.rules
        self.recorder = Recorder(tells=False)
        self.memblock = memblock
        #: Parts of memory in which blocks may lie, and kinds of searches for blocks that may lie wherever those look.
        self._touched: set[tuple[int, int]] = set()
        self._with_pages: dict[Criteria, _Eligible] = {}
        self._taken = sum(end - start for start, end in fixed)
        known = [own for own in memblock.memory.regions() if own[:2] not in open_memory.regions]
        self._gaps = list(_gaps(known, RangeSet(fixed)))
        self._open = [own for own in memblock.memory.regions() if own[:2] in open_memory.regions]
        unmarked = [own for own in self._open if own[:2] == open_memory.unmarked]
        self._stand_ins = [_StandIn(low, high, low, high, attributes) for low, high, attributes in unmarked]
        self._eligible: dict[Criteria, _Eligible] = {}
        #: Whether the next block may lie where it is not looked for any more.
        self._everywhere = False
        #: The bytes of small blocks, and bytes that were given back.
        self._small = 0
        self._freed = 0
        #: What is assumed of requests that may find room or not, in their order.
        self.assumptions = assumptions
        self._asked = 0
        self._regions = regions
        self._room = memblock.reserved.max
        self._pages_lost = 2 * (self._regions + memblock.memory.cnt)
        for low, high, size, regions in loose:
            self._taken += size
            for gap in (*self._gaps, *self._stand_ins):
                if gap.least < high and gap.most > low:
                    gap.obstructed += size
                    gap.obstacles += regions

    def touched(self) -> frozenset[tuple[int, int]]:
        """Where blocks may lie by now, as parts of regions of memory; of open memory with what lies between."""
        kinds = self._with_pages.values()
        gaps = [(gap.least, gap.most) for own in kinds for gap in (*own.above, *own.amid, *own.below)]
        return frozenset(RangeSet(self._touched.union(gaps, [own.open for own in kinds if own.open])))

    # -- what a step can ask and do -----------------------------------------------------------------------------

    def free_pages(self) -> int:
        """The whole free pages, between limits."""
        least, most = limits(sum(size for _, size, _, _ in self.memblock.memory))
        low = (least - self._taken >> PAGE_SHIFT) - self._pages_lost
        return cast("int", Vague(max(low, 0), most >> PAGE_SHIFT))

    def free_gaps(self) -> Iterator[tuple[int, int]]:
        """Not known any more."""
        raise Undecided

    def spread(self, blocks: Sequence[tuple[int, int]]) -> int:
        """Within limits, by those of all starts and ends."""
        starts, ends = ([limits(at) for at in own] for own in zip(*blocks, strict=True))
        (least, first), (last, most) = map(min, zip(*starts, strict=True)), map(max, zip(*ends, strict=True))
        return cast("int", Vague(max(0, last - first), most - least))

    def lie_within(self, blocks: Sequence[tuple[int, int]], size: int) -> bool:
        """As Memory's; where that can't be told, both are tried."""
        try:
            return super().lie_within(blocks, size)
        except Undecided:
            return self._assumed()

    def is_multiple(self, address: int, align: int) -> bool:
        """Whether that is certain: steps take more memory for a block that is not aligned, never less."""
        return isinstance(address, Vague) and not address.unit % align

    def reserve(self, *_: int, **__: object) -> None:
        """Not counted."""
        raise Undecided

    def free(self, start: int, end: int, **__: object) -> None:
        """Blocks at an unknown place go on counting as taken; that is on the safe side."""
        if not isinstance(start, Vague):
            raise Undecided
        self._freed += max(limits(end - start)[1], 0)
        self._grow(1)

    def free_run(self, run: Run, **__: object) -> None:
        """As :meth:`free`."""
        self.free(run.start, run.end)

    def alloc_beside(
        self, place: int, size: int, unit: int, node_of: Callable[[int], int], *, owner: Owner | Purpose, caller: str
    ) -> int:
        """As Memory's; where it is not known in which unit a block is that was taken here, this may lie in any gap.

        That block is lower than its unit's end.  So what is free right below all others in its gap is so too, and this
        comes no deeper there than any does that does not fill what is free above; nor elsewhere, as no gap begins in
        the middle of that unit.
        """
        low, high = (round_down(end, unit) for end in limits(place))
        if low == high or not isinstance(place, _Block):
            known = low if low == high else place
            return super().alloc_beside(known, size, unit, node_of, owner=owner, caller=caller)
        begins = [gap.low for gap in self._gaps if gap.low > low] + [gap.low for gap in self._stand_ins]
        if any(begin % unit for begin in begins):
            raise Undecided
        self._everywhere = True
        found = self.alloc(size, owner=owner, caller=caller)
        self._everywhere = False
        return found

    def hand_over(self) -> None:
        """The array's last growth, as each region of memory may cut two reserved ones."""
        self._grow(2 * len(self.memblock.memory))

    def _allocate(self, request: Request, owner: Owner | Purpose, *_: object) -> list[Run]:
        size, count = index(request.size), index(request.count)
        if size <= 0 or count <= 0 or Owner.of(owner).kind in _PLACED:
            raise Undecided
        if size is not request.size:
            request = request._replace(size=size)
        found = self._place(self.searches(request), _Places(count, everywhere=self._everywhere))
        if found is None:
            if request.call is Call.BASE:
                raise Undecided
            return []
        self._grow(count)
        start = cast("int", found)
        return [Run(start, start + size, count, True)]

    def _allocate_one(self, request: Request, owner: Owner | Purpose, *_: object) -> int:
        runs = self._allocate(request, owner)
        return runs[0].start if runs else 0

    # -- how places are found -----------------------------------------------------------------------------------

    def _place(self, searches: Sequence[Search], places: _Places) -> Vague | None:
        """Where the blocks of a request lie; None where there is room for none of them."""
        for search in searches:
            align = search.align or self.memblock.rules.default_align
            if align & (align - 1):
                raise Undecided
            for walk, kind in self.memblock.scopes(search):
                eligible = self._of_kind(kind)
                if search.size <= PAGE_SIZE:
                    # Of blocks between which pages come in, it is told in bulk, when the pages are there.
                    self._with_pages[kind] = eligible
                elif places.are_known:
                    break
                if not places.are_known:
                    self._walk(walk, eligible, search.size, align, places)
        if places.left and not places.found and not places.open:
            return None
        if places.left and places.count > 1:
            raise Undecided
        return self._settled(places) if not places.left or self._assumed() else None

    def _walk(self, walk: Walk, eligible: _Eligible, size: int, align: int, places: _Places) -> None:
        """Finds the gaps in which a walk may find room for what is left of a request."""
        (least, low), (high, most) = limits(walk[0]), limits(walk[1])
        blocks = places.blocks = _Blocks(size, align, low, high, least, most, not places.everywhere)
        self._look_into_gaps(eligible.above, blocks, places)
        if eligible.open is not None and not places.are_known:
            self._look_into_open(eligible, eligible.open, blocks, places)
            self._look_into_gaps(eligible.below, blocks, places)

    def _look_into_gaps(self, gaps: list[_Gap], blocks: _Blocks, places: _Places) -> None:
        """As :meth:`_look_into`, for gaps downwards."""
        for gap in gaps:
            if gap.most <= blocks.least or places.are_known:
                break
            if gap.least < blocks.most and gap.may_hold(blocks, self._freed):
                self._look_into(gap, blocks, places)

    def _look_into_open(self, eligible: _Eligible, span: tuple[int, int], blocks: _Blocks, places: _Places) -> None:
        """As :meth:`_look_into`, for open memory and the gaps amid it: blocks may be in these or in that."""
        left = in_open = places.left
        low, high = max(span[0], blocks.least), min(span[1], blocks.most)
        if high - low >= blocks.size:
            places.open.append((low, high))
            if blocks.low > span[0] or blocks.high < span[1] or blocks.align > GIB:
                # How deep they come in what a gap stands in for can't be told.
                self._stand_ins.clear()
            for stand_in in self._stand_ins:
                self._look_into(stand_in, blocks, places)
            in_open = places.left
            places.left = left
        self._look_into_gaps(eligible.amid, blocks, places)
        if eligible.any_node:
            places.left = min(places.left, in_open)

    def _look_into(self, gap: _Gap, blocks: _Blocks, places: _Places) -> None:
        """Finds how many of `blocks` have room in a gap, and where."""
        low, high = max(gap.least, blocks.least), min(gap.most, blocks.most)
        count = places.count if places.everywhere else places.left
        before = places.found.get(gap)
        if before is not None:
            # Another walk has been here, with other limits.
            blocks = blocks.wider(before.blocks)
            low, high, count = min(low, before.low), max(high, before.high), before.count
        small = self._small + (count * blocks.room if gap.is_small(blocks) else 0)
        deepest = gap.depth(blocks, count, small)
        if deepest is None:
            places.found[gap] = _Part(blocks, count, low, high)
            places.left = min(places.left, max(0, count - gap.room(blocks, small)))
        else:
            places.found[gap] = _Part(blocks, count, deepest if before is None else min(deepest, low), high)
            places.left = 0

    def _settled(self, places: _Places) -> Vague:
        """Notes blocks at such places; where they lie."""
        for gap, (blocks, count, _, _) in places.found.items():
            gap.take(blocks, count)
        if len(places.found) == 1 and not places.left and not places.open:
            gap.taken += blocks.size * places.count
        blocks = places.blocks
        self._taken += blocks.size * places.count
        self._pages_lost += 2 * places.count
        if any(gap.is_small(blocks) for gap, (blocks, _, _, _) in places.found.items()):
            self._small += (blocks.room + blocks.odd) * places.count
        parts = [*((low, high) for _, _, low, high in places.found.values()), *places.open]
        self._touched.update(parts)
        return _Block(min(low for low, _ in parts), max(high for _, high in parts) - blocks.size, blocks.align)

    def _assumed(self) -> bool:
        """Whether a request that may find room, or may not, is taken to find it; each way is tried in turn."""
        index, self._asked = self._asked, self._asked + 1
        if index == len(self.assumptions):
            if index == _MOST_ASSUMPTIONS:
                raise Undecided
            self.assumptions.append(True)
        return self.assumptions[index]

    def _of_kind(self, kind: Criteria) -> _Eligible:
        """From what a search of this kind takes."""
        found = self._eligible.get(kind)
        if found is None:
            gaps = [gap for gap in reversed(self._gaps) if kind.takes(gap.attributes)]
            spans = [(low, high) for low, high, attributes in self._open if kind.takes(_unmarked(attributes))]
            if spans and not kind.care & MEMBLOCK_HOTPLUG:
                raise Undecided
            low, high = (spans[0][0], spans[-1][1]) if spans else (0, 0)
            above = [gap for gap in gaps if gap.least >= high]
            below = [gap for gap in gaps if gap.most <= low]
            amid = [gap for gap in gaps if low < gap.most and gap.least < high]
            found = _Eligible(kind.any_node, (low, high) if spans else None, above, amid, below)
            self._eligible[kind] = found
        return found

    def _grow(self, regions: int) -> None:
        """So many regions more at most; the array's storage, where it has to grow for them, is memory taken too."""
        self._regions += regions
        while self._regions + 2 > self._room:
            self._room *= 2
            size = self.memblock.reserved.storage_size(self._room)
            walk, kind = next(self.memblock.scopes(Search(size, PAGE_SIZE, 0, self.memblock.current_limit)))
            places = _Places(1)
            self._walk(walk, self._of_kind(kind), size, PAGE_SIZE, places)
            if places.left:
                raise Undecided
            self._settled(places)
            self._regions += 2


def _gaps(memory: Iterable[tuple[int, int, Attributes]], fixed: RangeSet) -> Iterator[_Gap]:
    """What of memory is not reserved at a known place, upwards."""
    for base, end, attributes in memory:
        (least, low), (high, most) = limits(base), limits(end)
        for start, stop in fixed.outside(low, high) if low < high else ():
            yield _Gap(start, stop, least if start == low else start, most if stop == high else stop, attributes)


def questions(boot: Boot) -> Memblock:
    """Memblock for steps that run with a rough memory."""
    return cast("Memblock", _Questions(boot.memblock))


def _unmarked(attributes: Attributes) -> Attributes:
    nid, flags = attributes
    return nid, flags & ~MEMBLOCK_HOTPLUG


def _spoils(size: int, align: int, width: int) -> int:
    """How many aligned windows of `width` bytes a block touches at most."""
    if size <= align:
        return -(-size // width)
    return (size - 1) // width + 2
