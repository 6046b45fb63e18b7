"""The free ranges (memory minus reservations), kept so that a search need not walk all of them.

The ranges lie in chunks of a few dozen, and the chunks in groups.  For each alignment and kind of memory (node, flags)
every chunk and group has a bound: no range in it offers more bytes than this.  A search passes over those whose bound
is too small, and lowers the bound of a chunk in which it looked in vain.  Taking memory leaves the bounds true, giving
memory back raises those of one chunk.

Nearly all that is asked for lies at multiples of a cache line.  So ranges without one are left out: small blocks leave
many of them behind, and every search would pass over all of these.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from memplan.memblock.regions import Attributes, RegionArray
from memplan.units import U64_MAX, round_up

if TYPE_CHECKING:
    from collections.abc import Iterator

_Gap: TypeAlias = tuple[int, int, Attributes]

#: No search for less than this alignment finds its place among the ranges.
LEAST_ALIGN = 64
_FILL = 24
_FULL = 48
_GROUP = 16
_KINDS = 32


class Criteria(NamedTuple):
    """Which memory a request looks for: its node, and the flags that matter to it.

    `nid` is None for any node.  A range is eligible where its flags, as far as they are in `care`, equal `need`.
    """

    any_node: bool
    nid: int | None
    care: int
    need: int

    def takes(self, attributes: Attributes) -> bool:
        """Whether a range of memory with these (nid, flags) is eligible."""
        return attributes[1] & self.care == self.need and (self.any_node or attributes[0] == self.nid)


class _Eligible(NamedTuple):
    """The memory that meets criteria: what its regions have as (nid, flags), and from where to where they lie.

    A search looks at nothing that lies around these.
    """

    attributes: frozenset[Attributes]
    low: int
    high: int


#: An answer: the block's address, and the free range ``[low, high)``, cut to the search's limits, in which it lies.
Placement: TypeAlias = tuple[int, int, int]


class Bounds:
    """For each chunk, and for each group of chunks, a number of bytes that no range in it exceeds."""

    __slots__ = ("_chunks", "_groups")

    def __init__(self, chunks: list[int]) -> None:
        self._chunks = chunks
        self._groups: list[int] = []
        self._regroup()

    def copy(self) -> Bounds:
        """The same bounds, to be changed on their own."""
        return Bounds(self._chunks.copy())

    def raise_to(self, index: int, size: int) -> None:
        """Chunk `index` has a range of `size` bytes."""
        if self._chunks[index] < size:
            self._chunks[index] = size
            self._groups[index // _GROUP] = max(self._groups[index // _GROUP], size)

    def lower_to(self, index: int, size: int) -> None:
        """Chunk `index` has nothing beyond `size` bytes."""
        self._chunks[index] = size
        first = index // _GROUP * _GROUP
        self._groups[index // _GROUP] = max(self._chunks[first : first + _GROUP])

    def split(self, index: int) -> None:
        """Chunk `index` is two now."""
        self._chunks.insert(index, self._chunks[index])
        self._regroup()

    def drop(self, index: int) -> None:
        """Chunk `index` is gone."""
        del self._chunks[index]
        self._regroup()

    def downwards(self, size: int, first: int, behind: int) -> Iterator[int]:
        """The chunks from the one before `behind` down to `first` that may have `size` bytes."""
        for group in range((behind - 1) // _GROUP, first // _GROUP - 1, -1):
            if self._groups[group] >= size:
                top = min((group + 1) * _GROUP, behind)
                for index in range(top - 1, max(group * _GROUP, first) - 1, -1):
                    if self._chunks[index] >= size:
                        yield index

    def upwards(self, size: int, first: int, behind: int) -> Iterator[int]:
        """The chunks from `first` to the one before `behind` that may have `size` bytes."""
        for group in range(first // _GROUP, (behind - 1) // _GROUP + 1):
            if self._groups[group] >= size:
                top = min((group + 1) * _GROUP, behind)
                for index in range(max(group * _GROUP, first), top):
                    if self._chunks[index] >= size:
                        yield index

    def _regroup(self) -> None:
        chunks = self._chunks
        self._groups = [max(chunks[first : first + _GROUP]) for first in range(0, len(chunks), _GROUP)]


class Gaps:
    """The free ranges of `memory` minus `reserved` that hold a multiple of LEAST_ALIGN, in ascending order.

    Each lies in one region of memory.
    """

    __slots__ = ("_alike", "_bounds", "_chunks", "_eligible", "_firsts", "_lengths", "_memory", "_reserved")

    def __init__(self, memory: RegionArray, reserved: RegionArray) -> None:
        self._memory = memory
        self._reserved = reserved
        #: The first and the last region of each node that have the same attributes.
        self._alike: dict[int | None, dict[Attributes, tuple[int, int]]] = {}
        gaps: list[_Gap] = []
        for index, (base, end, attributes) in enumerate(memory.regions()):
            free = reserved.uncovered(base, end)
            gaps.extend([(low, high, attributes) for _, low, high in free if _counts(low, high)])
            alike = self._alike.setdefault(attributes[0], {})
            first, _ = alike.get(attributes, (index, index))
            alike[attributes] = first, index
        self._chunks: list[list[_Gap]] = [gaps[i : i + _FILL] for i in range(0, len(gaps), _FILL)]
        #: The first address of each chunk.
        self._firsts = [chunk[0][0] for chunk in self._chunks]
        #: The bound of each chunk for requests of any kind.
        self._lengths = Bounds([max(high - low for low, high, _ in chunk) for chunk in self._chunks])
        self._bounds: dict[tuple[int, Criteria], Bounds] = {}
        self._eligible: dict[Criteria, _Eligible] = {}

    # -- changes ------------------------------------------------------------------------------------------------

    def take(self, low: int, high: int) -> None:
        """``[low, high)`` is no longer free."""
        firsts = self._firsts
        index = max(bisect_right(firsts, low) - 1, 0)
        while index < len(firsts):
            chunk = self._chunks[index]
            at = bisect_left(chunk, (low + 1,))
            if at and chunk[at - 1][1] > low:
                at -= 1
            elif at == len(chunk):
                index += 1
                continue
            start, end, attributes = chunk[at]
            if start >= high:
                return
            if end == high and low - start >= LEAST_ALIGN:
                # Most blocks are taken from the end of a range.
                chunk[at] = start, low, attributes
                return
            kept: list[_Gap] = []
            if _counts(start, low):
                kept.append((start, low, attributes))
            if _counts(high, end):
                kept.append((high, end, attributes))
            chunk[at : at + 1] = kept
            if not chunk:
                self._drop(index)
            else:
                firsts[index] = chunk[0][0]
                if len(chunk) > _FULL:
                    self._split(index)
            if end >= high:
                return

    def give(self, low: int, high: int) -> None:
        """Nothing in ``[low, high)`` is reserved any more, so what is memory there is free."""
        memory, reserved = self._memory, self._reserved
        behind = reserved.first_above(low)
        bottom = reserved.region(behind - 1)[1] if behind else 0
        top = reserved.bases[behind] if behind < len(reserved) else U64_MAX
        index = memory.first_above(low)
        while index < len(memory) and memory.bases[index] < high:
            base, end, attributes = memory.region(index)
            self._add(max(base, bottom), min(end, top), attributes)
            index += 1

    def _add(self, low: int, high: int, attributes: Attributes) -> None:
        """Adds the range, in the place of those that are parts of it."""
        self.take(low, high)
        if not _counts(low, high):
            return
        if not self._chunks:
            self._chunks.append([])
            self._firsts.append(low)
            self._lengths = Bounds([0])
            self._bounds.clear()
        index = max(bisect_right(self._firsts, low) - 1, 0)
        chunk = self._chunks[index]
        chunk.insert(bisect_left(chunk, (low,)), (low, high, attributes))
        self._firsts[index] = chunk[0][0]
        size = high - low
        for bounds in (self._lengths, *self._bounds.values()):
            bounds.raise_to(index, size)
        if len(chunk) > _FULL:
            self._split(index)

    def _drop(self, index: int) -> None:
        del self._chunks[index], self._firsts[index]
        for bounds in (self._lengths, *self._bounds.values()):
            bounds.drop(index)

    def _split(self, index: int) -> None:
        chunk = self._chunks[index]
        self._chunks.insert(index + 1, chunk[_FILL:])
        del chunk[_FILL:]
        self._firsts.insert(index + 1, self._chunks[index + 1][0][0])
        for bounds in (self._lengths, *self._bounds.values()):
            bounds.split(index)

    # -- searches -----------------------------------------------------------------------------------------------

    def highest(self, size: int, align: int, start: int, end: int, kind: Criteria) -> Placement | None:
        """The highest block of `size` > 0 bytes at a multiple of `align`, a power of two, within ``[start, end)``."""
        eligible, low, high = self._eligible.get(kind) or self._look_for(kind)
        low, high = (low if low > start else start), (high if high < end else end)
        if low >= high:
            return None
        if len(self._chunks) == 1:
            return _highest_of(self._chunks[0], size, align, low, high, eligible)
        bounds = self._bounds_of(align, kind)
        first = max(bisect_right(self._firsts, low) - 1, 0)
        for index in bounds.downwards(size, first, bisect_left(self._firsts, high)):
            chunk = self._chunks[index]
            found = _highest_of(chunk, size, align, low, high, eligible)
            if found is not None:
                return found
            if chunk[-1][1] <= end:
                bounds.lower_to(index, _most_of(chunk, align, eligible))
        return None

    def lowest(self, size: int, align: int, start: int, end: int, kind: Criteria) -> Placement | None:
        """The lowest block of `size` > 0 bytes at a multiple of `align`, a power of two, within ``[start, end)``."""
        eligible, low, high = self._eligible.get(kind) or self._look_for(kind)
        low, high = (low if low > start else start), (high if high < end else end)
        if low >= high:
            return None
        if len(self._chunks) == 1:
            return _lowest_of(self._chunks[0], size, align, low, high, eligible)
        bounds = self._bounds_of(align, kind)
        first = max(bisect_right(self._firsts, low) - 1, 0)
        for index in bounds.upwards(size, first, bisect_left(self._firsts, high)):
            chunk = self._chunks[index]
            found = _lowest_of(chunk, size, align, low, high, eligible)
            if found is not None:
                return found
            if chunk[0][0] >= start:
                bounds.lower_to(index, _most_of(chunk, align, eligible))
        return None

    def _look_for(self, kind: Criteria) -> _Eligible:
        """Finds the memory that meets `kind`, and remembers it."""
        nodes = self._alike.values() if kind.any_node else (self._alike.get(kind.nid, {}),)
        own = {attributes: span for alike in nodes for attributes, span in alike.items() if kind.takes(attributes)}
        eligible = _Eligible(frozenset(), U64_MAX, 0)
        if own:
            first, _, _ = self._memory.region(min(first for first, _ in own.values()))
            _, end, _ = self._memory.region(max(last for _, last in own.values()))
            eligible = _Eligible(frozenset(own), first, end)
        self._eligible[kind] = eligible
        return eligible

    def _bounds_of(self, align: int, kind: Criteria) -> Bounds:
        key = align, kind
        bounds = self._bounds.get(key)
        if bounds is None:
            if len(self._bounds) >= _KINDS:
                self._bounds.clear()
            bounds = self._bounds[key] = self._lengths.copy()
        return bounds


def _counts(low: int, high: int) -> bool:
    """Whether a free range holds a multiple of LEAST_ALIGN; of all but short ones that is clear without rounding."""
    return high - low >= LEAST_ALIGN or round_up(low, LEAST_ALIGN) < high


def _most_of(chunk: list[_Gap], align: int, eligible: frozenset[Attributes]) -> int:
    """The most bytes that an eligible range of `chunk` offers."""
    offers = [high - ((low + align - 1) & -align) for low, high, attributes in chunk if attributes in eligible]
    return max(offers, default=0)


def _highest_of(
    chunk: list[_Gap], size: int, align: int, start: int, end: int, eligible: frozenset[Attributes]
) -> Placement | None:
    """The highest block of `size` bytes within ``[start, end)`` in eligible ranges of `chunk`, aligned to `align`."""
    mask = -align
    for low, high, attributes in reversed(chunk[: bisect_left(chunk, (end,))]):
        if high - low < size:
            continue
        top = high if high < end else end
        address = (top - size) & mask
        if address < low:
            continue
        if address < start:
            break
        if attributes in eligible:
            return address, (low if low > start else start), top
    return None


def _lowest_of(
    chunk: list[_Gap], size: int, align: int, start: int, end: int, eligible: frozenset[Attributes]
) -> Placement | None:
    """The lowest block of `size` bytes within ``[start, end)`` in eligible ranges of `chunk`, aligned to `align`."""
    mask, spare = -align, align - 1
    for low, high, attributes in chunk[max(bisect_left(chunk, (start,)) - 1, 0) :]:
        if high - low < size:
            continue
        bottom = low if low > start else start
        address = (bottom + spare) & mask
        stop = address + size
        if stop > high:
            continue
        if stop > end:
            break
        if attributes in eligible:
            return address, bottom, min(high, end)
    return None
