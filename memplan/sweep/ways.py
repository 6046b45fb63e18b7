"""The ways that a boot can take while one number is unknown: each is replayed once, for all numbers that lead there."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar, cast

from memplan.progress import unheard
from memplan.sweep.boxes import common, extent, first_place, merged, pieces
from memplan.sweep.unknown import Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping

    from memplan.kaslr.places import Places
    from memplan.sweep.unknown import Box, Cut

Result = TypeVar("Result")
_ALL: Mapping[int, tuple[int, int]] = {}


class Way(NamedTuple, Generic[Result]):
    """Places that lead through the same steps, all those of `box`, to the same result."""

    box: Box
    result: Result


class Begun(NamedTuple, Generic[Result]):
    """A replay at the end of one of its parts: what it has come to, and how it goes on.

    Replays with equal states come to the same for the same number, whatever led to the state; None equals no other.
    It is asked for once, before the replay goes on, which it can do again and again: each time from the state, with the
    example that the unknown then has, to the end of the next part, or to the result.
    """

    state: Callable[[], Hashable | None]
    go_on: Callable[[], Begun[Result] | Result]


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
        cut = [part.box for part in unknown.cut]
        extents = [extent(part) for part in (unknown.box, *cut)]
        rate = share / sum(extents)
        own, *shares = (size * rate for size in extents)
        left += reversed([*zip(cut, shares, strict=True)])
        done += own
        yield Way(unknown.box, result)


def ways_in_parts(
    begin: Callable[[int], Begun[Result] | Result],
    places: Places,
    heard: Callable[[float], None] = unheard,
) -> Iterator[Way[Result]]:
    """As :func:`ways`, with each part of the replays gone through once for all that come to it in one state.

    So there are as many parts to replay as each has ways, not as many as there are ways of all together.
    """
    return _Parts(begin, places, heard).ways()


class _Region(Generic[Result]):
    """Places of which nothing is known; or of which some go a known `way`, and others are other regions.

    Those were cut off one after the other, each `parts` with the box that it was a part of until then.
    """

    def __init__(self, box: Box) -> None:
        self.box = box
        self.way: Way[_State[Result] | Result] | None = None
        self.parts: list[tuple[_Region[Result], Box]] = []


class _State(Generic[Result]):
    """A state in which replays are at the end of a part, that of such a number.

    `sources` are boxes of places that lead to it.  What comes of it is a matter of the state and the place alone, so a
    replay that is in it goes on for any place, and the ways of the next part are those of all places, wherever they
    lead: to further states, or to results.
    """

    def __init__(self, number: int, whole: Box, go_on: Callable[[], Begun[Result] | Result]) -> None:
        self.number = number
        self.go_on = go_on
        self.sources: list[Box] = []
        #: The regions of which nothing is known, and all that there ever were, parts behind what they are parts of.
        self._left: list[_Region[Result]] = [_Region(whole)]
        self._regions = [*self._left]

    def unknown(self, places: Places) -> Iterator[tuple[int, _Region[Result]]]:
        """Places that lead here and of which it is not known what they come to next: one, and the region it is in."""
        for source in self.sources:
            at = 0
            while at < len(self._left):
                region = self._left[at]
                box = common(source, region.box)
                example = first_place(box, places) if box is not None else None
                if example is None:
                    at += 1
                else:
                    yield example, region

    def note(self, region: _Region[Result], way: Way[_State[Result] | Result], others: list[Cut]) -> None:
        """Of the places of a region of which nothing was known some go that way; of the others nothing is known."""
        region.way = way
        region.parts = [(_Region(cut.box), cut.within) for cut in others]
        self._left.remove(region)
        self._left += [part for part, _ in region.parts]
        self._regions += [part for part, _ in region.parts]

    def ways(self) -> list[Way[_State[Result] | Result]]:
        """What is known.  Parts that lead to the same are one way, with what leads here from nowhere."""
        found: dict[_Region[Result], list[Way[_State[Result] | Result]]] = {}
        for region in reversed(self._regions):
            way = region.way
            others: list[Way[_State[Result] | Result]] = []
            for part, within in reversed(region.parts):
                own = found.pop(part)
                if way is not None and not others and all(other.result == way.result for other in own):
                    way = Way(within, way.result)
                else:
                    others += own
            found[region] = others if way is None else [way, *others]
        return found[self._regions[0]]


class _Parts(Generic[Result]):
    """What is known of all parts of replays, which are gone through one after the other."""

    def __init__(
        self, begin: Callable[[int], Begun[Result] | Result], places: Places, heard: Callable[[float], None]
    ) -> None:
        self._places = places
        self._heard = heard
        self._whole = _whole(places)
        self._unknown = Unknown(self._whole[0][0], places.align, self._whole)
        address = cast("int", self._unknown.amount())
        self._first = _State(0, self._whole, lambda: begin(address))
        self._states: dict[Hashable, _State[Result]] = {}
        #: States to which places lead that have not been led on.
        self._pending = [self._first]
        #: About which share of the places has come to results.
        self._done = 0.0
        self._told = 0.0

    def ways(self) -> Iterator[Way[Result]]:
        """All ways to results."""
        self._first.sources.append(self._whole)
        while self._pending:
            state = min(self._pending, key=lambda own: own.number)
            self._pending.remove(state)
            state.sources = merged(state.sources)
            self._explore(state)
            yield from self._lead_on(state)

    def _explore(self, state: _State[Result]) -> None:
        """Finds out what the places come to that lead to a state."""
        unknown = self._unknown
        done, share = self._done, sum(map(self._share, state.sources))
        for example, region in state.unknown(self._places):
            self._told = max(self._told, min(done, self._done + share, 1.0))
            self._heard(self._told)
            unknown.go_on(example, region.box)
            found = state.go_on()
            key: Hashable | None = None
            while isinstance(found, Begun) and (key := found.state()) is None:
                # It equals no other: the next part belongs to this one, and narrows its places too.
                found = found.go_on()
            to: _State[Result] | Result
            if isinstance(found, Begun):
                to = self._states.setdefault(key, _State(state.number + 1, self._whole, found.go_on))
            else:
                to = found
                done += self._share(unknown.box) * share
            state.note(region, Way(unknown.box, to), unknown.cut)

    def _lead_on(self, state: _State[Result]) -> Iterator[Way[Result]]:
        """Leads the places that have come to a state to what it is known that they come to."""
        ways = state.ways()
        for source in state.sources:
            for box, to in ways:
                both = common(source, box)
                if both is None:
                    continue
                if isinstance(to, _State):
                    if not to.sources:
                        self._pending.append(to)
                    to.sources.append(both)
                else:
                    self._done += self._share(both)
                    yield Way(both, to)
        state.sources.clear()

    def _share(self, box: Box) -> float:
        return extent(box) / extent(self._whole)


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
