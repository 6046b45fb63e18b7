"""The rest of a boot, replayed without a look at where in free memory its blocks lie.

Once the nodes are known and allocations keep away from hot-pluggable memory, most of what a boot still allocates has no
bearing on what can be removed: a block lies somewhere in memory that stays, and the boot goes on.  So the steps run
with a :class:`RoughMemory`, which answers each request with a place of which only limits are known.  It counts windows:
of the free windows that would hold a block, whatever is taken at an unknown place spoils so many at most; while others
are left, the request is granted wherever all those blocks lie.  Where that can't be told, or a step asks for more than
is known, it raises Undecided, and the boot has to be replayed exactly.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import chain
from operator import index
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from memplan.boot.memory import Memory
from memplan.boot.record import Recorder
from memplan.events import Call
from memplan.memblock.memblock import Run
from memplan.memblock.requests import Search
from memplan.owner import CRASH_KERNEL, Owner, Purpose
from memplan.ranges import RangeSet
from memplan.sweep.vague import Undecided, Vague, limits, window, windows_within
from memplan.units import PAGE_SHIFT, PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from memplan.boot.context import Boot
    from memplan.events import Request
    from memplan.memblock.gaps import Criteria
    from memplan.memblock.memblock import Memblock
    from memplan.memblock.requests import Walk

#: It is told of a block that it lies within this of the end of free memory, or a power of two of it.
_LEAST_REACH = 32 << 20
#: Requests that may find room or not, after which a boot is left undecided.
_MOST_ASSUMPTIONS = 8
#: What a step may ask memblock itself: of memory, which does not change any more, and of settings.
_QUESTIONS = frozenset({"bottom_up", "has_mirror", "memory", "mirrored_kernelcore", "movable_node", "pfn_ranges"})


#: Memory as the parts of its regions.
_Ram: TypeAlias = tuple[tuple[int, int], ...]


class _Eligible(NamedTuple):
    """The memory that a search takes from: what of it is there for certain, what may be, and where it ends."""

    sure: _Ram
    possible: _Ram
    end: int


class Taken(NamedTuple):
    """Blocks of `size` bytes, at multiples of `align`, each somewhere within ``[low, high)``."""

    low: int
    high: int
    size: int
    align: int


class _Blocks:
    """How many blocks of each kind were taken, by the regions of memory in which they lie.

    `borders` are the regions' first addresses, the lowest that they can be.
    """

    def __init__(self, borders: list[int]) -> None:
        self._borders = borders
        #: Those of each region; the first ones lie below all regions, the last ones in several.
        self._counts: list[dict[Taken, int]] = [{} for _ in range(len(borders) + 2)]

    def __iter__(self) -> Iterator[tuple[Taken, int]]:
        return chain.from_iterable(counts.items() for counts in self._counts)

    def add(self, taken: Taken, count: int) -> None:
        """`count` more of `taken`."""
        index = bisect_right(self._borders, taken.low)
        if index < len(self._borders) and taken.high > self._borders[index]:
            index = -1
        counts = self._counts[index]
        counts[taken] = counts.get(taken, 0) + count

    def near(self, low: int, high: int) -> Iterator[tuple[Taken, int]]:
        """All those that may lie within ``[low, high)``, and others."""
        first, behind = bisect_right(self._borders, low), bisect_left(self._borders, high) + 1
        regions = (*self._counts[first:behind], self._counts[-1])
        return chain.from_iterable(counts.items() for counts in regions)


class _Again(NamedTuple):
    """What a request led to, for when the same is asked for again: the part of memory (`where`) that had room, where
    the blocks lie, and the memory of which they are the highest free ones.
    """

    where: tuple[_Ram, int, int]
    place: Vague
    low: int
    high: int
    align: int
    packed: _Ram


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

    By now `fixed` is reserved, and `loose` is, which lies at unknown places.
    """

    #: Blocks of a page at most are only known to lie somewhere, and those that need windows are told of in bulk: pages
    #: that come in between find room where the last of these blocks does.
    ordered = False

    def __init__(
        self, memory: Memory, fixed: Iterable[tuple[int, int]], loose: Iterable[Taken], assumptions: list[bool]
    ) -> None:
        memblock = memory.memblock
        self.rules = memory.rules
        self.recorder = Recorder(tells=False)
        self.memblock = memblock
        #: Where blocks may lie, as parts of regions of memory.
        self.touched: set[tuple[int, int]] = set()
        self._fixed = RangeSet(fixed)
        self._taken = _Blocks([limits(base)[0] for base in memblock.memory.bases])
        #: Blocks of a page at most, each the highest free one of the memory that its search goes through.
        self._small: dict[tuple[int, int], int] = {}
        self._packings: set[_Ram] = set()
        #: All blocks in their order, and for parts of memory how many windows were left when so many had come.
        self._log: list[tuple[Taken, int]] = []
        self._left: dict[tuple[int, int, int, int], tuple[int, int]] = {}
        self._free: dict[tuple[int, int, int, int], int] = {}
        self._rams: dict[tuple[bool, int | None, int, int], _Eligible] = {}
        self._again: dict[Request, _Again] = {}
        #: Addresses above which there may be room, the most hopeful last; what was found full once stays so.
        self._cuts: dict[tuple[int, int, int, int], list[int]] = {}
        #: What is assumed of requests that may find room or not, in their order.
        self.assumptions = assumptions
        self._asked = 0
        self._regions = memblock.reserved.cnt
        self._room = memblock.reserved.max
        self._pages_lost = 2 * (self._regions + memblock.memory.cnt)
        for taken in loose:
            self._note(taken, 1)

    # -- what a step can ask and do -----------------------------------------------------------------------------

    def free_pages(self) -> int:
        """The whole free pages, between limits."""
        least, most = limits(sum(size for _, size, _, _ in self.memblock.memory))
        blocks = sum(count * own.size for own, count in self._taken)
        blocks += sum(count * size for (size, _), count in self._small.items())
        fixed = sum(end - start for start, end in self._fixed)
        low = (least - blocks - fixed >> PAGE_SHIFT) - self._pages_lost
        return cast("int", Vague(max(low, 0), most >> PAGE_SHIFT))

    def free_gaps(self) -> Iterator[tuple[int, int]]:
        """Not known any more."""
        raise Undecided

    def is_multiple(self, address: int, align: int) -> bool:
        """Whether that is certain: steps take more memory for a block that is not aligned, never less."""
        return isinstance(address, Vague) and not address.unit % align

    def reserve(self, *_: int, **__: object) -> None:
        """Not counted."""
        raise Undecided

    def free(self, start: int, *_: int, **__: object) -> None:
        """Blocks at an unknown place go on counting as taken; that is on the safe side."""
        if not isinstance(start, Vague):
            raise Undecided
        self._grow(1)

    def free_run(self, run: Run, **__: object) -> None:
        """As :meth:`free`."""
        self.free(run.start)

    def hand_over(self) -> None:
        """The array's last growth, as each region of memory may cut two reserved ones."""
        self._grow(2 * len(self.memblock.memory))

    def _allocate(self, request: Request, owner: Owner | Purpose, *_: object) -> list[Run]:
        kind = Owner.of(owner).kind
        if kind in CRASH_KERNEL or kind in (Purpose.CMA, Purpose.GIGANTIC_PAGES):
            raise Undecided
        size, count = index(request.size), index(request.count)
        if size <= 0 or count <= 0:
            raise Undecided
        request = request._replace(size=size, count=count)
        plain = isinstance(request.min_addr, int) and isinstance(request.max_addr, int)
        again = self._again.get(request) if plain else None
        if again is not None and self._has_room(*again.where, size, again.align, count):
            self._note_blocks(again.low, again.high, size, again.align, count, again.packed)
            found: Vague | None = again.place
        else:
            found = self._place(request, count)
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

    # -- how places are counted ---------------------------------------------------------------------------------

    def _note(self, taken: Taken, count: int) -> None:
        if taken.size > 0:
            self._taken.add(taken, count)
            self._pages_lost += 2 * count

    def _place(self, request: Request, count: int) -> Vague | None:
        """Where the blocks of a request lie; None where there is room for none of them."""
        possible: list[tuple[int, int]] = []
        for search in self.searches(request):
            align = search.align or self.memblock.rules.default_align
            if align & (align - 1):
                raise Undecided
            for walk, kind in self.memblock.scopes(search):
                start, stop, _ = walk
                eligible = self._eligible(kind)
                ram = eligible.sure
                low, high = limits(start)[0], limits(stop)[1]
                parts = [
                    (max(base, low), min(end, high)) for base, end in eligible.possible if base < high and end > low
                ]
                if not any(end - base >= search.size for base, end in parts):
                    continue
                sure = self._surely(walk, ram, search.size, align, count)
                if sure is None:
                    possible += parts
                    continue
                packed = ram if not possible and stop >= eligible.end else None
                if packed is None or not _is_small(search.size, align):
                    parts = [(max(base, sure), end) for base, end in parts if end > sure]
                place = self._settle(possible + parts, search.size, align, count, packed=packed)
                if packed is not None and search.size == request.size and isinstance(request.min_addr, int):
                    where = ram, max(sure, limits(start)[1]), ram[-1][1]
                    low, high = place.low, place.high + search.size
                    self._again[request] = _Again(where, place, low, high, align, packed)
                return place
        if not possible:
            return None
        if count > 1:
            raise Undecided
        return self._settle(possible, request.size, max(request.align, 1), count) if self._assumed() else None

    def _assumed(self) -> bool:
        """Whether a request that may find room, or may not, is taken to find it; each way is tried in turn."""
        index, self._asked = self._asked, self._asked + 1
        if index == len(self.assumptions):
            if index == _MOST_ASSUMPTIONS:
                raise Undecided
            self.assumptions.append(True)
        return self.assumptions[index]

    def _eligible(self, kind: Criteria) -> _Eligible:
        """The memory that a search of this kind takes from, whatever of it is reserved."""
        key = kind.any_node, kind.nid, kind.care, kind.need
        found = self._rams.get(key)
        if found is None:
            ram = [(base, end) for base, end, own in self.memblock.memory.regions() if kind.takes(own)]
            borders = [(limits(base), limits(end)) for base, end in ram]
            found = self._rams[key] = _Eligible(
                tuple((base[1], end[0]) for base, end in borders if base[1] < end[0]),
                tuple((base[0], end[1]) for base, end in borders),
                ram[-1][1] if ram else 0,
            )
        return found

    def _surely(self, walk: Walk, ram: _Ram, size: int, align: int, count: int) -> int | None:
        """The lowest address at which blocks that a walk surely finds may lie; None where it may find none.

        Searches go downwards: where there is room above an address, no block lies below it.
        """
        start, stop, _ = walk
        low, high = limits(start)[1], limits(stop)[0]
        if not ram or low >= high:
            return None
        if high < ram[-1][1]:
            # A little less than the whole range, so that ranges with ends near each other are looked at once.
            high &= -(1 << max((high - low).bit_length() - 6, 0))
        # What lies elsewhere takes no room here.
        low, high = max(low, ram[0][0]), min(high, ram[-1][1])
        key = id(ram), low, high, window(size, align)
        cuts = self._cuts.get(key)
        if cuts is None:
            cuts = self._cuts[key] = [*_cuts(ram, low, high, key[3])][::-1]
        while cuts:
            if self._has_room(ram, cuts[-1], high, size, align, count):
                return cuts[-1]
            cuts.pop()
        return limits(start)[0] if self._has_room(ram, low, high, size, align, count) else None

    def _has_room(self, ram: _Ram, low: int, high: int, size: int, align: int, count: int) -> bool:
        """Whether `count` blocks find room in `ram` within ``[low, high)`` wherever everything else lies."""
        width = window(size, align)
        key = id(ram), low, high, width
        needed = (count - 1) * _spoils(size, align, width)
        # What was left when it was last counted, less all that came since, is mostly enough.
        left, counted = self._left.get(key, (0, 0))
        if left > needed:
            for (first, behind, block, unit), number in self._log[counted:]:
                if first < high and behind > low:
                    left -= number * _spoils(block, unit, width)
        if left <= needed:
            free = self._free.get(key)
            if free is None:
                free = self._free[key] = sum(windows_within(*gap, width) for gap in self._gaps(ram, low, high))
            left = free - self._spoilt(low, high, width)
        self._left[key] = left, len(self._log)
        return left > needed

    def _spoilt(self, low: int, high: int, width: int) -> int:
        """How many windows of `width` bytes within ``[low, high)`` what lies at an unknown place touches at most."""
        spoilt = 0
        narrow = RangeSet()
        for (first, behind, size, align), number in self._taken.near(low, high):
            if first >= high or behind <= low:
                continue
            start, end = max(first, low), min(behind, high)
            each = number * _spoils(size, align, width)
            if each > (end - start) // width + 2:
                narrow.add(start, end)
            else:
                spoilt += each
        spoilt += sum((end - 1) // width - start // width + 1 for start, end in narrow)
        if width < PAGE_SIZE:
            return spoilt + sum(number * _spoils(*own, width) for own, number in self._small.items())
        if not self._small:
            return spoilt
        # Small blocks fill one window before they begin another one: above the first there is no free page left.
        pages = sum(number * _spoils(*own, PAGE_SIZE) for own, number in self._small.items())
        begun = sum(1 for ram in self._packings if ram[0][0] < high and ram[-1][1] > low)
        return spoilt + pages // (width >> PAGE_SHIFT) + begun

    def _gaps(self, ram: _Ram, low: int, high: int) -> Iterator[tuple[int, int]]:
        """`ram` within ``[low, high)`` without what is reserved at a known place."""
        for base, end in ram:
            if base < high and end > low:
                yield from self._fixed.outside(max(base, low), min(end, high))

    def _settle(
        self,
        parts: list[tuple[int, int]],
        size: int,
        align: int,
        count: int,
        *,
        packed: _Ram | None = None,
    ) -> Vague:
        """Notes blocks that lie in `parts`, where `packed` is given as the highest free ones of that memory."""
        self.touched.update(parts)
        low, high = min(low for low, _ in parts), max(high for _, high in parts)
        self._note_blocks(low, high, size, align, count, packed)
        return Vague(low, high - size, align)

    def _note_blocks(self, low: int, high: int, size: int, align: int, count: int, packed: _Ram | None) -> None:
        taken = Taken(low, high, size, align)
        self._log.append((taken, count))
        if packed is not None and _is_small(size, align):
            self._packings.add(packed)
            self._small[size, align] = self._small.get((size, align), 0) + count
            self._pages_lost += 2 * count
        else:
            self._note(taken, count)

    def _grow(self, regions: int) -> None:
        """So many regions more at most; the array's storage, where it has to grow for them, is memory taken too."""
        self._regions += regions
        while self._regions + 2 > self._room:
            self._room *= 2
            size = self.memblock.reserved.storage_size(self._room)
            high = limits(self.memblock.current_limit)[0]
            for walk, kind in self.memblock.scopes(Search(size, PAGE_SIZE, 0, high)):
                eligible = self._eligible(kind)
                sure = self._surely(walk, eligible.sure, size, PAGE_SIZE, 1)
                if sure is None:
                    raise Undecided
                parts = [(max(base, sure), end) for base, end in eligible.possible if base < high and end > sure]
                self._settle(parts, size, PAGE_SIZE, 1)
                self._regions += 2
                break


def _cuts(ram: _Ram, low: int, high: int, width: int) -> Iterator[int]:
    """Addresses ever further below the ends of `ram` within ``[low, high)``."""
    for base, end in reversed(ram):
        top, reach = min(end, high), max(width, _LEAST_REACH)
        while top - reach > max(base, low):
            yield top - reach
            reach *= 2


def questions(boot: Boot) -> Memblock:
    """Memblock for steps that run with a rough memory."""
    return cast("Memblock", _Questions(boot.memblock))


def _is_small(size: int, align: int) -> bool:
    return size <= PAGE_SIZE and align <= PAGE_SIZE


def _spoils(size: int, align: int, width: int) -> int:
    """How many aligned windows of `width` bytes a block touches at most."""
    if size <= align:
        return -(-size // width)
    return (size - 1) // width + 2
