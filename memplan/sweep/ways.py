"""The ways that a boot can take while one number is unknown: each is replayed once, for all numbers that lead there."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar, cast

from memplan.sweep.boxes import first_place, pieces
from memplan.sweep.unknown import Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from memplan.kaslr.places import Places
    from memplan.sweep.unknown import Box

Result = TypeVar("Result")
_ALL: Mapping[int, tuple[int, int]] = {}


class Way(NamedTuple, Generic[Result]):
    """Places that lead through the same steps, all those of `box`, to the same result."""

    box: Box
    result: Result


def ways(
    replay: Callable[[int], Result], places: Places, only: Mapping[int, tuple[int, int]] = _ALL
) -> Iterator[Way[Result]]:
    """The ways of `replay` over all `places`, each of which is in exactly one of their boxes.

    Of the places those count that are `only` in these intervals, by the modulus.

    `replay` is called with an :class:`~memplan.sweep.unknown.Amount`, with which it computes as with any number.
    """
    first, last = places.areas[0], places.areas[-1]
    left: list[Box] = [{**only, 0: (first.start, last.start + last.slots * places.align)}]
    while left:
        box = left.pop()
        example = first_place(box, places)
        if example is None:
            continue
        unknown = Unknown(example, places.align, box)
        result = replay(cast("int", unknown.amount()))
        left += reversed(unknown.cut)
        yield Way(unknown.box, result)


def stretches(found: list[Way[Result]], places: Places) -> Iterator[tuple[int, int, Result]]:
    """Ranges of places with one result each, which together are all places."""
    borders = sorted({border for way in found for border in way.box[0]})
    by_start = sorted(found, key=lambda way: way.box[0][0])
    for area in places.areas:
        end = area.start + area.slots * places.align
        for low, high in pairwise([area.start, *(border for border in borders if area.start < border < end), end]):
            there = [way for way in _begun(by_start, low) if way.box[0][1] >= high]
            results = {way.result for way in there}
            if len(results) == 1:
                yield low, high, results.pop()
            else:
                yield from ((start, stop, way.result) for way in there for start, stop in pieces(way.box, low, high))


def _begun(by_start: list[Way[Result]], low: int) -> Iterator[Way[Result]]:
    for way in by_start:
        if way.box[0][0] > low:
            return
        yield way
