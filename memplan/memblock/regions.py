"""One of memblock's two arrays: regions in ascending order that never overlap."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Size of struct memblock_region.
REGION_SIZE = 24
#: Regions that the built-in arrays hold (INIT_MEMBLOCK_REGIONS).
INIT_REGIONS = 128


class RegionArray:
    """A memblock_type: parallel lists of the regions' bases, ends and (nid, flags), so that a look-up is a bisection.

    A nid of None stands for MAX_NUMNODES, no node.  Room and growth are the business of the owner: the methods here
    take it that there is room.
    """

    __slots__ = (
        "_empty_cnt",
        "attributes",
        "bases",
        "ends",
        "in_slab",
        "max",
        "name",
        "storage",
        "total_size",
        "unmerged",
    )

    def __init__(self, name: str, *, empty_counts_one: bool) -> None:
        self.name = name
        self.bases: list[int] = []
        self.ends: list[int] = []
        self.attributes: list[tuple[int | None, int]] = []
        self.max = INIT_REGIONS
        #: The kernel's running total; trimming does not correct it.
        self.total_size = 0
        #: Where the array lies itself, once it has grown.
        self.storage: int | None = None
        self.in_slab = False
        #: A split may have left neighbours that could be merged.
        self.unmerged = False
        self._empty_cnt = 1 if empty_counts_one else 0

    def __len__(self) -> int:
        return len(self.bases)

    def __iter__(self) -> Iterator[tuple[int, int, int | None, int]]:
        """(base, size, nid, flags) of each region."""
        for base, end, (nid, flags) in zip(self.bases, self.ends, self.attributes, strict=True):
            yield base, end - base, nid, flags

    @property
    def cnt(self) -> int:
        """The kernel's own count, which may be one for an empty array."""
        return len(self.bases) or self._empty_cnt

    @property
    def storage_size(self) -> int:
        """Bytes of the array itself, in whole pages."""
        return -(-self.max * REGION_SIZE // 4096) * 4096

    # -- questions ----------------------------------------------------------------------------------------------

    def search(self, address: int) -> int:
        """The index of the region that holds `address`, or -1 (memblock_search)."""
        index = bisect_right(self.bases, address) - 1
        return index if index >= 0 and address < self.ends[index] else -1

    def overlap(self, base: int, end: int) -> int:
        """The index of the first region that overlaps ``[base, end)``, or -1 (memblock_overlaps_region)."""
        index = bisect_right(self.ends, base)
        return index if index < len(self.bases) and self.bases[index] < end else -1

    def uncovered(self, base: int, end: int) -> list[tuple[int, int, int]]:
        """The parts of ``[base, end)`` in no region, each as (index at which it belongs, start, end)."""
        bases, ends = self.bases, self.ends
        index = bisect_right(ends, base)
        pieces = []
        while index < len(bases) and bases[index] < end:
            if bases[index] > base:
                pieces.append((index, base, bases[index]))
            base = ends[index]
            index += 1
        if base < end:
            pieces.append((index, base, end))
        return pieces

    # -- changes ------------------------------------------------------------------------------------------------

    def insert(self, pieces: list[tuple[int, int, int]], attributes: tuple[int | None, int]) -> None:
        """Inserts what :meth:`uncovered` found and merges it with its neighbours."""
        if len(pieces) == 1:
            self._insert_merged(*pieces[0], attributes)
            return
        for index, base, end in reversed(pieces):
            self._insert(index, base, end, attributes)
            self.total_size += end - base
        self.merge(pieces[0][0], pieces[-1][0] + len(pieces))

    def isolate(self, base: int, end: int) -> tuple[int, int]:
        """Makes borders at `base` and `end`; the slice of regions between them, (0, 0) where there are none."""
        bases, ends = self.bases, self.ends
        first = bisect_right(ends, base)
        if first < len(bases) and bases[first] < base:
            self._insert(first, bases[first], base, self.attributes[first])
            first += 1
            bases[first] = base
        last = bisect_left(bases, end) - 1
        if last < first:
            return 0, 0
        if ends[last] > end:
            self._insert(last, bases[last], end, self.attributes[last])
            bases[last + 1] = end
        return first, last + 1

    def cut(self, base: int, end: int) -> int:
        """Takes ``[base, end)`` out; how many bytes of it there were."""
        bases, ends = self.bases, self.ends
        first = bisect_right(ends, base)
        last = bisect_left(bases, end) - 1
        if last < first:
            return 0
        low, high = bases[first], ends[last]
        if first == last:
            size = min(high, end) - max(low, base)
        else:
            size = sum(ends[first : last + 1]) - sum(bases[first : last + 1])
            size -= max(base - low, 0) + max(high - end, 0)
        self.total_size -= size
        if low < base:
            if high > end and first == last:
                self._insert(first + 1, end, high, self.attributes[first])
                ends[first] = base
                return size
            ends[first] = base
            first += 1
        if high > end:
            bases[last] = end
            last -= 1
        if first <= last:
            self.delete(first, last + 1)
        return size

    def delete(self, first: int, behind: int) -> None:
        """Drops the regions from `first` up to `behind`, without a look at the total."""
        del self.bases[first:behind], self.ends[first:behind], self.attributes[first:behind]

    def merge(self, first: int, behind: int) -> None:
        """Merges equal neighbours from the region before `first` to the one at `behind`."""
        bases, ends, attributes = self.bases, self.ends, self.attributes
        index = max(first - 1, 0)
        last = min(behind, len(bases) - 1)
        while index < last:
            if ends[index] == bases[index + 1] and attributes[index] == attributes[index + 1]:
                ends[index] = ends[index + 1]
                self.delete(index + 1, index + 2)
                last -= 1
            else:
                index += 1

    def merge_all(self) -> None:
        """Merges equal neighbours everywhere."""
        if self.unmerged:
            self.merge(0, len(self.bases))
            self.unmerged = False

    def _insert(self, index: int, base: int, end: int, attributes: tuple[int | None, int]) -> None:
        self.bases.insert(index, base)
        self.ends.insert(index, end)
        self.attributes.insert(index, attributes)

    def _insert_merged(self, index: int, base: int, end: int, attributes: tuple[int | None, int]) -> None:
        bases, ends = self.bases, self.ends
        self.total_size += end - base
        below = index > 0 and ends[index - 1] == base and self.attributes[index - 1] == attributes
        above = index < len(bases) and bases[index] == end and self.attributes[index] == attributes
        if below and above:
            ends[index - 1] = ends[index]
            self.delete(index, index + 1)
        elif below:
            ends[index - 1] = end
        elif above:
            bases[index] = base
        else:
            self._insert(index, base, end, attributes)
