"""One of memblock's two arrays: regions in ascending order that never overlap."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, TypeAlias

from memplan.units import PAGE_SIZE, U64_MAX, round_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: A region's (nid, flags); a nid of None stands for MAX_NUMNODES, no node.
Attributes: TypeAlias = tuple[int | None, int]

#: Regions that the built-in arrays hold (INIT_MEMBLOCK_REGIONS).
INIT_REGIONS = 128


class RegionArray:
    """A memblock_type: the regions' bases, ends and attributes, each in a list, all in order.

    A look-up is a bisection.  Room and growth are the business of the owner: the methods here take it that there is
    room.
    """

    __slots__ = (
        "_attributes",
        "_empty_cnt",
        "_ends",
        "bases",
        "max",
        "name",
        "region_size",
        "storage",
        "total",
        "unmerged",
    )

    def __init__(self, name: str, *, empty_counts_one: bool, region_size: int) -> None:
        self.name = name
        #: Bytes that a region takes in the array.
        self.region_size = region_size
        self.bases: list[int] = []
        self._ends: list[int] = []
        self._attributes: list[Attributes] = []
        self.max = INIT_REGIONS
        #: The running total before it wraps around at 2^64; trimming does not correct it, so that it can.
        self.total = 0
        #: Where the array lies itself, once it has grown (None: built in, or in slab).
        self.storage: int | None = None
        #: A split may have left neighbours that could be merged.
        self.unmerged = False
        self._empty_cnt = 1 if empty_counts_one else 0

    def __len__(self) -> int:
        return len(self.bases)

    def __iter__(self) -> Iterator[tuple[int, int, int | None, int]]:
        """(base, size, nid, flags) of each region."""
        for base, end, (nid, flags) in self.regions():
            yield base, end - base, nid, flags

    def regions(self) -> Iterator[tuple[int, int, Attributes]]:
        """(base, end, attributes) of each region."""
        return zip(self.bases, self._ends, self._attributes, strict=True)

    def region(self, index: int) -> tuple[int, int, Attributes]:
        """(base, end, attributes) of the region at `index`."""
        return self.bases[index], self._ends[index], self._attributes[index]

    @property
    def cnt(self) -> int:
        """The kernel's own count, which may be one for an empty array."""
        return len(self.bases) or self._empty_cnt

    @property
    def total_size(self) -> int:
        """The kernel's running total of the regions' sizes."""
        return self.total & U64_MAX

    def storage_size(self, room: int) -> int:
        """Bytes of an array with room for so many regions, in whole pages."""
        return round_up(room * self.region_size, PAGE_SIZE)

    # -- questions ----------------------------------------------------------------------------------------------

    def search(self, address: int) -> int:
        """The index of the region that holds `address`, or -1 (memblock_search)."""
        index = bisect_right(self.bases, address) - 1
        return index if index >= 0 and address < self._ends[index] else -1

    def first_above(self, address: int) -> int:
        """The index of the first region that ends above `address`."""
        return bisect_right(self._ends, address)

    def overlap(self, base: int, end: int) -> int:
        """The index of the first region that overlaps ``[base, end)``, or -1 (memblock_overlaps_region)."""
        index = self.first_above(base)
        return index if index < len(self.bases) and self.bases[index] < end else -1

    def uncovered(self, base: int, end: int) -> list[tuple[int, int, int]]:
        """The parts of ``[base, end)`` in no region, each as (index at which it belongs, start, end)."""
        first = bisect_right(self._ends, base)
        behind = bisect_left(self.bases, end, first)
        if first == behind and base < end:
            return [(first, base, end)]
        pieces = []
        for index in range(first, behind):
            start = self.bases[index]
            if start > base:
                pieces.append((index, base, start))
            base = self._ends[index]
        if base < end:
            pieces.append((behind, base, end))
        return pieces

    # -- changes ------------------------------------------------------------------------------------------------

    def insert(self, pieces: list[tuple[int, int, int]], attributes: Attributes) -> None:
        """Inserts what :meth:`uncovered` found and merges it with its neighbours."""
        if len(pieces) > 1:
            for index, base, end in reversed(pieces):
                self._insert(index, base, end, attributes)
                self.total += end - base
            self.merge(pieces[0][0], pieces[-1][0] + len(pieces))
            return
        ((index, base, end),) = pieces
        bases, ends, own = self.bases, self._ends, self._attributes
        self.total += end - base
        above = index < len(bases) and bases[index] == end and own[index] == attributes
        below = index > 0 and ends[index - 1] == base and own[index - 1] == attributes
        if below and above:
            ends[index - 1] = ends[index]
            self.delete(index, index + 1)
        elif below:
            ends[index - 1] = end
        elif above:
            bases[index] = base
        else:
            self._insert(index, base, end, attributes)

    def isolate(self, base: int, end: int) -> tuple[int, int]:
        """Makes borders at `base` and `end`; the slice of regions between them, (0, 0) where there are none."""
        first = self.first_above(base)
        behind = bisect_left(self.bases, end)
        if behind <= first:
            return 0, 0
        if self.bases[first] < base:
            _, stop, attributes = self.region(first)
            self._ends[first] = base
            first += 1
            behind += 1
            self._insert(first, base, stop, attributes)
        if self._ends[behind - 1] > end:
            _, stop, attributes = self.region(behind - 1)
            self._ends[behind - 1] = end
            self._insert(behind, end, stop, attributes)
        return first, behind

    def cut(self, base: int, end: int) -> int:
        """Takes ``[base, end)`` out; how many bytes of it there were."""
        first = self.first_above(base)
        behind = bisect_left(self.bases, end)
        if behind <= first:
            return 0
        bases, ends = self.bases, self._ends
        low, high, attributes = bases[first], ends[behind - 1], self._attributes[behind - 1]
        if behind == first + 1:
            size = min(high, end) - max(low, base)
        else:
            size = sum(ends[first:behind]) - sum(bases[first:behind]) - max(base - low, 0) - max(high - end, 0)
        self.total -= size
        if low < base:
            ends[first] = base
            first += 1
        if high > end:
            if first < behind:
                behind -= 1
                bases[behind] = end
            else:
                self._insert(first, end, high, attributes)
        self.delete(first, behind)
        return size

    def replace(self, index: int, base: int, end: int, attributes: Attributes) -> None:
        """Puts another region in the place of the one at `index`."""
        self.bases[index], self._ends[index], self._attributes[index] = base, end, attributes

    def change(self, first: int, behind: int, change: Callable[[Attributes], Attributes]) -> None:
        """Changes the attributes of a slice of regions and merges it, within itself and with its neighbours."""
        self._attributes[first:behind] = map(change, self._attributes[first:behind])
        if first < behind:
            self.merge(first, behind)

    def mark_tails(self, index: int, blocks: range, head: int, attributes: Attributes) -> None:
        """Gives each of `blocks`, which lie in the region at `index`, other attributes but for its first bytes."""
        base, end, own = self.region(index)
        bases = [base]
        for start in blocks:
            bases += (start + head, start + blocks.step)
        if bases[-1] == end:
            bases.pop()
        self.bases[index : index + 1] = bases
        self._ends[index : index + 1] = [*bases[1:], end]
        self._attributes[index : index + 1] = [attributes if number % 2 else own for number in range(len(bases))]
        self.merge(index, index + len(bases))

    def delete(self, first: int, behind: int) -> None:
        """Drops the regions from `first` up to `behind`, without a look at the total."""
        del self.bases[first:behind], self._ends[first:behind], self._attributes[first:behind]

    def merge(self, first: int, behind: int) -> None:
        """Merges equal neighbours from the region before `first` to the one at `behind`."""
        bases, ends, own = self.bases, self._ends, self._attributes
        index = max(first, 1)
        last = min(behind, len(bases) - 1)
        while index <= last:
            if ends[index - 1] == bases[index] and own[index - 1] == own[index]:
                ends[index - 1] = ends[index]
                self.delete(index, index + 1)
                last -= 1
            else:
                index += 1

    def merge_all(self) -> None:
        """Merges equal neighbours everywhere."""
        if self.unmerged:
            self.merge(0, len(self.bases))
            self.unmerged = False

    def _insert(self, index: int, base: int, end: int, attributes: Attributes) -> None:
        # Where much has to move, a slice is twice as fast as list.insert.
        self.bases[index:index] = (base,)
        self._ends[index:index] = (end,)
        self._attributes[index:index] = (attributes,)
