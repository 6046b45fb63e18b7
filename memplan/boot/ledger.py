"""Who owns each reserved byte at the end of a boot: the reservations laid over one another in their order."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Generic, TypeVar

from memplan.events import Change
from memplan.plan import Reservation
from memplan.units import U64_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from memplan.events import Event, Region


#: What says whose a range is.
_Holder = TypeVar("_Holder")


class Ledger(Generic[_Holder]):
    """Who has which ``[start, end)``, disjoint and sorted.  A byte belongs to whoever reserved it first."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._holders: list[_Holder] = []

    def __iter__(self) -> Iterator[tuple[int, int, _Holder]]:
        return zip(self._starts, self._ends, self._holders, strict=True)

    def reserve(self, start: int, end: int, holder: _Holder) -> None:
        """Give `holder` what nobody has yet of ``[start, end)``."""
        first, last = bisect_right(self._ends, start), bisect_left(self._starts, end)
        if first == last:
            self._starts.insert(first, start)
            self._ends.insert(first, end)
            self._holders.insert(first, holder)
            return
        gaps = []
        at = start
        for index in range(first, last):
            if at < self._starts[index]:
                gaps.append((at, self._starts[index]))
            at = self._ends[index]
        if at < end:
            gaps.append((at, end))
        merged = [*gaps, *zip(self._starts[first:last], self._ends[first:last], strict=True)]
        holders = [holder] * len(gaps) + self._holders[first:last]
        order = sorted(range(len(merged)), key=merged.__getitem__)
        self._put(first, last, [merged[i] for i in order], [holders[i] for i in order])

    def free(self, start: int, end: int) -> None:
        """Nobody has anything of ``[start, end)`` any more."""
        first, last = bisect_right(self._ends, start), bisect_left(self._starts, end)
        pieces, holders = [], []
        for index in range(first, last):
            for low, high in ((self._starts[index], start), (end, self._ends[index])):
                if low < high:
                    pieces.append((low, high))
                    holders.append(self._holders[index])
        self._put(first, last, pieces, holders)

    def _put(self, first: int, last: int, ranges: Sequence[tuple[int, int]], holders: list[_Holder]) -> None:
        self._starts[first:last] = [start for start, _ in ranges]
        self._ends[first:last] = [end for _, end in ranges]
        self._holders[first:last] = holders


def reservations(events: Iterable[Event], memory: Sequence[Region]) -> tuple[Reservation, ...]:
    """What stays reserved after `events`, cut where `memory` changes its node; equal neighbours are one.

    Reserved ranges outside RAM have no node.
    """
    ledger: Ledger[Change] = Ledger()
    for event in events:
        if isinstance(event, Change) and event.start < event.end:
            end = min(event.end, U64_MAX)
            if event.op == "reserve":
                ledger.reserve(event.start, end, event)
            elif event.op == "free":
                ledger.free(event.start, end)
    found: list[Reservation] = []
    index = 0
    for start, end, holder in ledger:
        claim = holder.owner, holder.step, holder.before_srat
        while index < len(memory) and memory[index].end <= start:
            index += 1
        for low, high, nid in _by_node(start, end, memory, index):
            if found and found[-1].end == low and found[-1][2:] == (nid, *claim):
                low = found.pop().start
            found.append(Reservation(low, high, nid, *claim))
    return tuple(found)


def _by_node(start: int, end: int, memory: Sequence[Region], index: int) -> Iterable[tuple[int, int, int | None]]:
    """``[start, end)`` cut into pieces of one node each (None outside RAM); the regions before `index` lie below."""
    if index < len(memory) and memory[index].start <= start and end <= memory[index].end:
        return ((start, end, memory[index].nid),)
    return _cut_by_node(start, end, memory, index)


def _cut_by_node(start: int, end: int, memory: Sequence[Region], index: int) -> Iterator[tuple[int, int, int | None]]:
    while start < end:
        while index < len(memory) and memory[index].end <= start:
            index += 1
        if index == len(memory) or memory[index].start >= end:
            yield start, end, None
            return
        region = memory[index]
        if start < region.start:
            yield start, region.start, None
            start = region.start
        stop = min(end, region.end)
        yield start, stop, region.nid
        start = stop
