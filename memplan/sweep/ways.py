"""The ways that a boot can take while one number is unknown: each is replayed once, for all numbers that lead there."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar, cast

from memplan.progress import unheard
from memplan.sweep.boxes import common, extent, first_place, pieces, without
from memplan.sweep.unknown import Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping

    from memplan.kaslr.places import Places
    from memplan.sweep.unknown import Amount, Box

Result = TypeVar("Result")
_ALL: Mapping[int, tuple[int, int]] = {}


class Way(NamedTuple, Generic[Result]):
    """Places that lead through the same steps, all those of `box`, to the same result."""

    box: Box
    result: Result


class Begun(NamedTuple, Generic[Result]):
    """A replay that is half-way: what it has come to, and how it goes on.

    Replays with equal states have the same result for the same number, whatever led to the state; None equals no
    other.  It is asked for once, and before the end, which is that of the example that the unknown then has.
    """

    state: Callable[[], Hashable | None]
    end: Callable[[], Result]


def ways(
    replay: Callable[[int], Result],
    places: Places,
    only: Mapping[int, tuple[int, int]] = _ALL,
    heard: Callable[[float], None] = unheard,
) -> Iterator[Way[Result]]:
    """The ways of `replay` over all `places`, each of which is in exactly one of their boxes.

    Of the places those count that are `only` in these intervals, by the modulus.

    `replay` is called with an :class:`~memplan.sweep.unknown.Amount`, with which it computes as with any number.
    `heard` hears before each replay which share of the places, about, is answered for.
    """
    # Boxes of places of which nothing is known yet, each with the share of all places that it is, about.
    left: list[tuple[Box, float]] = [({**only, **_whole(places)}, 1.0)]
    done = 0.0
    while left:
        box, share = left.pop()
        example = first_place(box, places)
        if example is None:
            done += share
            continue
        heard(done)
        unknown = Unknown(example, places.align, box)
        result = replay(cast("int", unknown.amount()))
        extents = [extent(part) for part in (unknown.box, *unknown.cut)]
        rate = share / sum(extents)
        own, *shares = (size * rate for size in extents)
        left += reversed([*zip(unknown.cut, shares, strict=True)])
        done += own
        yield Way(unknown.box, result)


def ways_in_two_parts(
    begin: Callable[[int], Begun[Result]], places: Places, heard: Callable[[float], None] = unheard
) -> Iterator[Way[Result]]:
    """As :func:`ways`, with the second part of the replays gone through once for all that come to it in one state.

    So there are as many replays as ways of the first part and of the second, not as many as of both together.
    """
    whole = _whole(places)
    states: dict[Hashable, _State[Result]] = {}

    def first_part(address: int) -> tuple[Unknown, Begun[Result], Hashable | None]:
        begun = begin(address)
        key = begun.state()
        if key is None:
            # It equals no other: the second part belongs to this replay, and narrows its places too.
            result = begun.end()
            begun = Begun(lambda: None, lambda: result)
        return cast("Amount", address).unknown, begun, key

    for box, (unknown, begun, key) in ways(first_part, places, heard=lambda share: heard(share / 2)):
        if key is None:
            yield Way(box, begun.end())
        else:
            state = states.setdefault(key, _State(whole))
            state.add(box)
            end = state.unknown_end(places)
            if end is not None:
                state.go_on(unknown, begun, end)
    pending = sum(state.pending for state in states.values())
    left = pending
    for key, state in states.items():
        left -= state.pending
        while (end := state.unknown_end(places)) is not None:
            heard(1 - min(1.0, (left + state.pending) / pending) / 2)
            unknown = Unknown(end.example, places.align, end.box)
            begun = begin(cast("int", unknown.amount()))
            if begun.state() == key:
                state.go_on(unknown, begun, end)
            else:
                # It is the same state, but in the terms of the few places that are asked about.
                result = begun.end()
                state.drop(unknown.box)
                yield Way(unknown.box, result)
        yield from state.ways()


class _UnknownEnd(NamedTuple):
    """Places in one state of which it is not known what they come to: `box`, one of them, and more of the state."""

    box: Box
    example: int
    more: Box


class _State(Generic[Result]):
    """A state in which replays are half-way.

    `sources` are boxes of the places that lead to it.  What comes of it is a matter of the state and the place alone,
    so a replay that is in it goes on for any place, and the second part's ways are those of all places, wherever they
    lead.
    """

    def __init__(self, whole: Box) -> None:
        self.sources: list[Box] = []
        #: Sources of which it may not be known yet what all their places come to.
        self._open: list[Box] = []
        self._ends: list[Way[Result]] = []
        self._left = [whole]

    @property
    def pending(self) -> int:
        """How many of the sources may hold places of which it is not known yet what they come to."""
        return len(self._open)

    def add(self, source: Box) -> None:
        """The places of `source` lead here."""
        self.sources.append(source)
        self._open.append(source)

    def go_on(self, unknown: Unknown, begun: Begun[Result], end: _UnknownEnd) -> None:
        """Goes through the second part of a replay that is in this state, for `end`, wherever its first part was."""
        unknown.go_on(end.example, end.more)
        result = begun.end()
        self._ends.append(Way(unknown.box, result))
        self._left.remove(end.more)
        self._left += unknown.cut

    def unknown_end(self, places: Places) -> _UnknownEnd | None:
        """Places that lead here of which it is not known yet what they come to."""
        while self._open:
            for more in self._left:
                box = common(self._open[-1], more)
                example = first_place(box, places) if box is not None else None
                if box is not None and example is not None:
                    return _UnknownEnd(box, example, more)
            self._open.pop()
        return None

    def drop(self, box: Box) -> None:
        """The places of `box` are answered for."""
        self.sources = [part for source in self.sources for part in without(source, box)]
        self._open = [part for source in self._open for part in without(source, box)]

    def ways(self) -> Iterator[Way[Result]]:
        """The ways of the places that lead here."""
        for source in self.sources:
            for own in self._ends:
                box = common(source, own.box)
                if box is not None:
                    yield Way(box, own.result)


def _whole(places: Places) -> Box:
    first, last = places.areas[0], places.areas[-1]
    return {0: (first.start, last.start + last.slots * places.align)}


def stretches(found: list[Way[Result]], places: Places) -> Iterator[tuple[int, int, Result]]:
    """Ranges of places with one result each, which together are all places."""
    borders = sorted({border for way in found for border in way.box[0]})
    # Those that come yet, the next one last, and those that have begun.
    later, begun = sorted(found, key=lambda way: way.box[0][0], reverse=True), []
    for area in places.areas:
        end = area.start + area.slots * places.align
        for low, high in pairwise([area.start, *(border for border in borders if area.start < border < end), end]):
            while later and later[-1].box[0][0] <= low:
                begun.append(later.pop())
            begun = [way for way in begun if way.box[0][1] > low]
            results = {way.result for way in begun}
            if len(results) == 1:
                yield low, high, results.pop()
            else:
                yield from ((start, stop, way.result) for way in begun for start, stop in pieces(way.box, low, high))
