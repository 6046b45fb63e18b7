"""A set of integers kept as disjoint ranges: which table units exist, which page frames are mapped."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class RangeSet:
    """Half-open ranges, sorted, never touching; each change is one operation whatever its length."""

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        """The set of all numbers of `ranges`, which may overlap, touch, be empty and come in any order."""
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in ranges:
            if start < end:
                self.add(start, end)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._starts, self._ends, strict=True)

    def __bool__(self) -> bool:
        return bool(self._starts)

    def add(self, start: int, end: int) -> int:
        """Put ``[start, end)`` in; how many of its numbers are new."""
        starts, ends = self._starts, self._ends
        if not ends or start > ends[-1]:
            starts.append(start)
            ends.append(end)
            return end - start
        if start >= starts[-1]:
            # What comes in order has to do with the last range alone.
            new = end - ends[-1]
            if new <= 0:
                return 0
            ends[-1] = end
            return new
        first, last = bisect_left(ends, start), bisect_right(starts, end)
        if first == last:
            starts.insert(first, start)
            ends.insert(first, end)
            return end - start
        joined, there = starts[first:last], ends[first:last]
        start, end = min(start, joined[0]), max(end, there[-1])
        starts[first:last] = [start]
        ends[first:last] = [end]
        return end - start - (sum(there) - sum(joined))

    def within(self, start: int, end: int) -> list[tuple[int, int]]:
        """The parts of ``[start, end)`` that are in the set."""
        first, last = bisect_right(self._ends, start), bisect_left(self._starts, end)
        if first >= last:
            return []
        pairs = zip(self._starts[first:last], self._ends[first:last], strict=True)
        return [(max(start, low), min(end, high)) for low, high in pairs]

    def outside(self, start: int, end: int) -> list[tuple[int, int]]:
        """The parts of ``[start, end)`` that are not in the set."""
        gaps = []
        for low, high in self.within(start, end):
            if start < low:
                gaps.append((start, low))
            start = high
        if start < end:
            gaps.append((start, end))
        return gaps

    def holds(self, number: int) -> bool:
        """Whether `number` is in the set."""
        index = bisect_right(self._starts, number) - 1
        return index >= 0 and number < self._ends[index]

    def covers(self, start: int, end: int) -> bool:
        """Whether one range of the set holds all of ``[start, end)``."""
        index = bisect_right(self._starts, start) - 1
        return index >= 0 and end <= self._ends[index]
