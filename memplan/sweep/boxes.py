"""Sets of places, as intervals of x mod m for some moduli: what is in them, where there is much of it."""

from __future__ import annotations

from math import lcm
from typing import TYPE_CHECKING

from memplan.ranges import RangeSet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.kaslr.places import Places
    from memplan.sweep.unknown import Box

#: After so many steps through a box it is asked whether it is empty, so that they come to an end.
_LONG = 100


def first_place(box: Box, places: Places) -> int | None:
    """The lowest place in `box`; None where it holds none."""
    for area in places.areas:
        found = _next(box, area.start, area.start + area.slots * places.align)
        if found is not None:
            return found
    return None


def common(one: Box, other: Box) -> Box | None:
    """What is in both; None where an interval of it is empty."""
    if one[0][0] >= other[0][1] or other[0][0] >= one[0][1]:
        return None
    both = dict(one)
    for modulus, (low, high) in other.items():
        first, behind = both.get(modulus, (low, high))
        both[modulus] = max(low, first), min(high, behind)
        if both[modulus][0] >= both[modulus][1]:
            return None
    return both


def extent(box: Box) -> float:
    """About how many numbers are in `box`: exact where each interval lies in a period of the next larger modulus."""
    low, high = box[0]
    share = 1.0
    for modulus, (first, behind) in box.items():
        if not modulus:
            continue
        period = low // modulus * modulus
        if high <= period + modulus:
            low, high = max(low, period + first), min(high, period + behind)
        else:
            share *= (behind - first) / modulus
    return max(0, high - low) * share


def merged(boxes: list[Box]) -> list[Box]:
    """Boxes with the same places, fewer where some of those differ in one interval alone, and touch there."""
    # An interval of all that there is tells nothing, and would tell boxes apart.
    boxes = [{modulus: own for modulus, own in box.items() if own != (0, modulus)} for box in boxes]
    count = -1
    while count != len(boxes):
        count = len(boxes)
        for modulus in {modulus for box in boxes for modulus in box}:
            boxes = _merged_along(boxes, modulus)
    return boxes


def _merged_along(boxes: list[Box], modulus: int) -> list[Box]:
    intervals: dict[frozenset[tuple[int, tuple[int, int]]], RangeSet] = {}
    for box in boxes:
        others = frozenset([own for own in box.items() if own[0] != modulus])
        intervals.setdefault(others, RangeSet()).add(*box.get(modulus, (0, modulus)))
    return [
        dict(others) if interval == (0, modulus) else {**dict(others), modulus: interval}
        for others, joined in intervals.items()
        for interval in joined
    ]


def pieces(box: Box, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of ``[start, end)`` that are in `box`, upwards."""
    at = _next(box, start, end)
    while at is not None:
        stop = min(end, *(at - (at % modulus if modulus else at) + high for modulus, (_, high) in box.items()))
        yield at, stop
        at = _next(box, stop, end)


def _next(box: Box, start: int, end: int) -> int | None:
    """The lowest number of ``[start, end)`` that is in `box`."""
    at = max(start, box[0][0])
    # What is not in one common period of the moduli is in none.
    end = min(end, box[0][1], at + lcm(*filter(None, box)))
    steps = 0
    while at < end and not (steps == _LONG and _is_empty(box)):
        before = at
        for modulus, (low, high) in box.items():
            rest = at % modulus if modulus else at
            if low <= rest < high:
                continue
            if not modulus:
                return None
            at += low - rest if rest < low else modulus - rest + low
        if at == before:
            return at
        steps += 1
    return None


def _is_empty(box: Box) -> bool:
    """Whether two intervals of `box` exclude each other, the one of a modulus that divides the other's."""
    for modulus, (low, high) in box.items():
        for inner, (first, behind) in box.items():
            if not inner or modulus % inner:
                continue
            # The numbers of the interval modulo `inner` begin here, and may go on in a second period.
            begin = low % inner
            if not any(begin < behind + more and first + more < begin + high - low for more in (0, inner)):
                return True
    return False
