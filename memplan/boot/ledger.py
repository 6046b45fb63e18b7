"""Who owns each reserved byte at the end of a boot: the reservations laid over one another in their order."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import islice
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from memplan.events import Change
from memplan.plan import Reservation
from memplan.units import U64_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from memplan.events import Event, Region
    from memplan.owner import Owner

    #: What a reservation is for, the step that made it, and whether that was before the SRAT was read.
    _Claim: TypeAlias = tuple[Owner, str, bool]


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

    Reserved ranges have no node outside RAM, and where that has none.
    """
    ledger: Ledger[_Claim] = Ledger()
    for event in events:
        if type(event) is Change:
            op, start, end, step, owner = event[:5]
            if start < end and op == "reserve":
                ledger.reserve(start, min(end, U64_MAX), (owner, step, event.before_srat))
            elif start < end and op == "free":
                ledger.free(start, min(end, U64_MAX))
    nodes = _joined((start, end, nid) for start, end, nid, _ in memory if nid is not None)
    return tuple(_by_node(_joined(ledger), nodes))


def _joined(ranges: Iterable[tuple[int, int, _Holder]]) -> list[tuple[int, int, _Holder]]:
    """Sorted `ranges`, those of one holder that touch as one."""
    joined: list[tuple[int, int, _Holder]] = []
    last = None
    for own in ranges:
        if last is not None and last[1] == own[0] and last[2] == own[2]:
            last = joined[-1] = last[0], own[1], own[2]
        else:
            joined.append(own)
            last = own
    return joined


def _by_node(claims: Iterable[tuple[int, int, _Claim]], nodes: Sequence[tuple[int, int, int]]) -> Iterator[Reservation]:
    """The reservations of sorted `claims`, cut where `nodes` begin and end."""
    index = 0
    for start, end, claim in claims:
        while index < len(nodes) and nodes[index][1] <= start:
            index += 1
        for low, high, nid in islice(nodes, index, None):
            if low >= end:
                break
            if start < low:
                yield Reservation(start, low, None, *claim)
                start = low
            if end <= high:
                yield tuple.__new__(Reservation, (start, end, nid, *claim))
                start = end
                break
            yield Reservation(start, high, nid, *claim)
            start = high
        if start < end:
            yield Reservation(start, end, None, *claim)
