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
    """A memblock_type: the regions' bases in order, and behind each base its region's end and attributes.

    A look-up is a bisection, and a change moves one list.  Room and growth are the business of the owner: the methods
    here take it that there is room.
    """

    __slots__ = ("_empty_cnt", "_regions", "bases", "max", "name", "region_size", "storage", "total", "unmerged")

    def __init__(self, name: str, *, empty_counts_one: bool, region_size: int) -> None:
        self.name = name
        #: Bytes that a region takes in the array.
        self.region_size = region_size
        self.bases: list[int] = []
        self._regions: dict[int, tuple[int, Attributes]] = {}
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
        for base in self.bases:
            yield base, *self._regions[base]

    def region(self, index: int) -> tuple[int, int, Attributes]:
        """(base, end, attributes) of the region at `index`."""
        base = self.bases[index]
        return base, *self._regions[base]

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
        return index if index >= 0 and address < self._regions[self.bases[index]][0] else -1

    def first_above(self, address: int) -> int:
        """The index of the first region that ends above `address`."""
        index = bisect_right(self.bases, address)
        return index - 1 if index and self._regions[self.bases[index - 1]][0] > address else index

    def overlap(self, base: int, end: int) -> int:
        """The index of the first region that overlaps ``[base, end)``, or -1 (memblock_overlaps_region)."""
        index = self.first_above(base)
        return index if index < len(self.bases) and self.bases[index] < end else -1

    def uncovered(self, base: int, end: int) -> list[tuple[int, int, int]]:
        """The parts of ``[base, end)`` in no region, each as (index at which it belongs, start, end)."""
        index = self.first_above(base)
        behind = bisect_left(self.bases, end, index)
        if behind == index:
            return [(index, base, end)]
        pieces = []
        for start in self.bases[index:behind]:
            if start > base:
                pieces.append((index, base, start))
            base = self._regions[start][0]
            index += 1
        if base < end:
            pieces.append((index, base, end))
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
        bases, regions = self.bases, self._regions
        self.total += end - base
        above = index < len(bases) and bases[index] == end and regions[end][1] == attributes
        stop = regions.pop(end)[0] if above else end
        if index and regions[below := bases[index - 1]] == (base, attributes):
            regions[below] = stop, attributes
            if above:
                del bases[index]
            return
        if above:
            bases[index] = base
            regions[base] = stop, attributes
        else:
            self._insert(index, base, end, attributes)

    def isolate(self, base: int, end: int) -> tuple[int, int]:
        """Makes borders at `base` and `end`; the slice of regions between them, (0, 0) where there are none."""
        first = self.first_above(base)
        behind = bisect_left(self.bases, end)
        if behind <= first:
            return 0, 0
        start, stop, attributes = self.region(first)
        if start < base:
            self._regions[start] = base, attributes
            first += 1
            behind += 1
            self._insert(first, base, stop, attributes)
        start, stop, attributes = self.region(behind - 1)
        if stop > end:
            self._regions[start] = end, attributes
            self._insert(behind, end, stop, attributes)
        return first, behind

    def cut(self, base: int, end: int) -> int:
        """Takes ``[base, end)`` out; how many bytes of it there were."""
        first = self.first_above(base)
        behind = bisect_left(self.bases, end)
        if behind <= first:
            return 0
        low, stop, attributes = self.region(first)
        if behind == first + 1:
            size = min(stop, end) - max(low, base)
            high, above = stop, attributes
        else:
            _, high, above = self.region(behind - 1)
            size = sum(self._regions[start][0] - start for start in self.bases[first:behind])
            size -= max(base - low, 0) + max(high - end, 0)
        self.total -= size
        if low < base:
            self._regions[low] = base, attributes
            first += 1
        if high > end:
            if first < behind:
                self.replace(behind - 1, end, high, above)
                behind -= 1
            else:
                self._insert(first, end, high, above)
        if first < behind:
            self.delete(first, behind)
        return size

    def replace(self, index: int, base: int, end: int, attributes: Attributes) -> None:
        """Puts another region in the place of the one at `index`."""
        del self._regions[self.bases[index]]
        self.bases[index] = base
        self._regions[base] = end, attributes

    def change(self, first: int, behind: int, change: Callable[[Attributes], Attributes]) -> None:
        """Changes the attributes of a slice of regions and merges it, within itself and with its neighbours."""
        for base in self.bases[first:behind]:
            end, attributes = self._regions[base]
            self._regions[base] = end, change(attributes)
        if first < behind:
            self.merge(first, behind)

    def mark_tails(self, index: int, blocks: range, head: int, attributes: Attributes) -> None:
        """Gives each of `blocks`, which lie in the region at `index`, other attributes but for its first bytes."""
        base, end, own = self.region(index)
        size = blocks.step
        bases = [base]
        self._regions[base] = blocks[0] + head, own
        for start in blocks:
            bases += (start + head, start + size)
            self._regions[start + head] = start + size, attributes
            self._regions[start + size] = start + size + head, own
        last = bases[-1]
        if last < end:
            self._regions[last] = end, own
        else:
            del self._regions[bases.pop()]
        self.bases[index : index + 1] = bases
        self.merge(index, index + len(bases))

    def delete(self, first: int, behind: int) -> None:
        """Drops the regions from `first` up to `behind`, without a look at the total."""
        for base in self.bases[first:behind]:
            del self._regions[base]
        del self.bases[first:behind]

    def merge(self, first: int, behind: int) -> None:
        """Merges equal neighbours from the region before `first` to the one at `behind`."""
        bases, regions = self.bases, self._regions
        index = max(first - 1, 0)
        last = min(behind, len(bases) - 1)
        if index >= last:
            return
        base = bases[index]
        end, attributes = regions[base]
        while index < last:
            start = bases[index + 1]
            stop, others = regions[start]
            if end == start and attributes == others:
                regions[base] = stop, attributes
                self.delete(index + 1, index + 2)
                last -= 1
            else:
                index += 1
                base, attributes = start, others
            end = stop

    def merge_all(self) -> None:
        """Merges equal neighbours everywhere."""
        if self.unmerged:
            self.merge(0, len(self.bases))
            self.unmerged = False

    def _insert(self, index: int, base: int, end: int, attributes: Attributes) -> None:
        # Where much has to move, a slice is twice as fast as list.insert.
        self.bases[index:index] = (base,)
        self._regions[base] = end, attributes
