"""Each place is in one box of the ways, with what a replay with it alone comes to, whatever parts the replays have."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from itertools import combinations
from typing import cast
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memplan.kaslr.places import Area, Places
from memplan.sweep.boxes import common, extent, first_place, merged
from memplan.sweep.unknown import Amount, Box
from memplan.sweep.ways import Begun, ways, ways_in_parts
from tests.sweep.test_unknown import PROGRAMS, STRIDE, run

PLACES = Places("boot loader", STRIDE, 0, (Area(16, 20), Area(112, 9)))
EVERY = [at for area in PLACES.areas for at in range(area.start, area.start + area.slots * STRIDE, STRIDE)]
Program = list[tuple[int, int]]
INTERVALS = st.lists(st.integers(0, 16), min_size=2, max_size=2, unique=True).map(sorted)


def holds(box: Box, place: int) -> bool:
    """Whether `place` is in `box`."""
    return all(low <= (place % modulus if modulus else place) < high for modulus, (low, high) in box.items())


def without(box: Box, other: Box) -> Iterator[Box]:
    """What is in `box` and not in `other`, as boxes that are disjoint."""
    if common(box, other) is None:
        yield box
        return
    rest = dict(box)
    for modulus, (low, high) in other.items():
        first, behind = rest.get(modulus, (0, modulus))
        if first < low:
            yield {**rest, modulus: (first, low)}
        if high < behind:
            yield {**rest, modulus: (high, behind)}
        rest[modulus] = max(first, low), min(high, behind)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    low, high = draw(INTERVALS)
    box: Box = {0: (low * 16, high * 16)}
    for modulus in draw(st.sets(st.sampled_from([16, 64]))):
        first, last = draw(INTERVALS)
        box[modulus] = first * modulus // 16, last * modulus // 16
    return box


def whole(programs: list[Program], x: int) -> int:
    """Each part goes on with what the one before it comes to, and with the place."""
    value = x
    for program in programs:
        value = run(program, value) + x
    return int(value)


def begin(programs: list[Program]) -> Callable[[int], Begun[int] | int]:
    """The same in parts."""

    def go_on(value: int, number: int, x: int) -> Begun[int] | int:
        if number == len(programs):
            return int(value)
        value = run(programs[number], value) + x

        def state() -> Hashable | None:
            own = cast("int | Amount", value)
            if not isinstance(own, Amount):
                return number, own
            # As in a boot: numbers take their simplest form; here some have no state nevertheless.
            own.settle()
            return None if own.constant % 5 == 0 else (number, own.terms, own.constant, own.divisor)

        return Begun(state, lambda: go_on(value, number + 1, x))

    return lambda x: go_on(x, 0, x)


@given(st.lists(PROGRAMS, max_size=4))
def test_ways_in_parts_are_those_of_each_place(programs: list[Program]) -> None:
    found = list(ways_in_parts(begin(programs), PLACES))
    for x in EVERY:
        assert [way.result for way in found if holds(way.box, x)] == [whole(programs, x)]


@given(st.lists(PROGRAMS, max_size=4))
def test_parts_change_nothing(programs: list[Program]) -> None:
    one_part = list(ways(lambda x: whole(programs, x), PLACES))
    parts = list(ways_in_parts(begin(programs), PLACES))
    for x in EVERY:
        (one,), (other,) = ([way.result for way in found if holds(way.box, x)] for found in (one_part, parts))
        assert one == other


def test_a_part_is_gone_through_once_for_all_that_come_to_one_state() -> None:
    """The first part tells four kinds of places apart and forgets it, as the second one does with two; the third has
    two ways.
    """
    gone: list[int] = []

    def part(number: int, x: int) -> Begun[bool] | bool:
        gone.append(number)
        if number == 2:
            return x < 112
        _ = [x % (16 << number) < low for low in ((4, 8, 12), (16,))[number]]
        return Begun(lambda: number, lambda: part(number + 1, x))

    found = list(ways_in_parts(lambda x: part(0, x), PLACES))
    assert all([way.result for way in found if holds(way.box, x)] == [x < 112] for x in EVERY)
    assert sorted(gone) == [0, 0, 0, 0, 1, 1, 2, 2]
    assert len(found) == 2


def test_replays_without_a_state_of_their_own_share_nothing() -> None:
    states = iter(range(100))

    def begin_at(x: int) -> Begun[tuple[int, bool]] | tuple[int, bool]:
        return Begun(lambda: None, lambda: (next(states), x < 112))

    found = list(ways_in_parts(begin_at, PLACES))
    assert sorted(way.result for way in found) == [(0, True), (1, False)]


@pytest.mark.parametrize(
    ("question", "most"),
    [
        # What is divided is a whole number of periods more, which takes nothing from any place.
        (lambda x: x - (x >> 8 << 5) & 31 < 8, 2),
        (lambda x: (x - (x >> 6 << 2)) & 3, 1),
        # Where the image lies in its 32 is one number, and in which 64 it lies another.
        (lambda x: (x >> 3 & 3) + (x >> 6) < 5, 16),
        # Nearly x itself: all but some places about the border lie on one side of it, or on the other.
        (lambda x: x - (x >> 6 << 2) < 512, 3),
    ],
)
def test_places_are_told_apart_by_what_decides_alone(question: Callable[[int], object], most: int) -> None:
    places = Places("decompressor", STRIDE, STRIDE, (Area(0, 4096 // STRIDE),))
    found = list(ways(lambda x: bool(question(x)), places))
    assert len(found) <= most
    for x in range(0, 4096, STRIDE):
        assert [way.result for way in found if holds(way.box, x)] == [bool(question(x))]


@given(boxes(), boxes())
def test_what_two_boxes_have_in_common_and_what_one_has_alone(one: Box, other: Box) -> None:
    both, alone = common(one, other), list(without(one, other))
    for x in range(256):
        assert (both is not None and holds(both, x)) == (holds(one, x) and holds(other, x))
        assert sum(holds(part, x) for part in alone) == (holds(one, x) and not holds(other, x))


@given(st.lists(boxes(), max_size=6))
def test_boxes_that_are_merged_have_the_same_places(own: list[Box]) -> None:
    joined = merged(own)
    assert len(joined) <= len(own)
    for x in range(256):
        assert any(holds(box, x) for box in joined) == any(holds(box, x) for box in own)


@given(boxes(), boxes())
def test_what_was_one_box_is_merged_to_one(one: Box, other: Box) -> None:
    both = common(one, other)
    if both is not None:
        assert len(merged([both, *without(one, other)])) == 1


@given(boxes(), st.integers(0, 256), st.integers(0, 256))
def test_the_first_place_in_a_box(box: Box, start: int, slots: int) -> None:
    places = Places("boot loader", STRIDE, 0, (Area(start * STRIDE, slots),))
    every = range(start * STRIDE, (start + slots) * STRIDE)
    assert first_place(box, places) == next((x for x in every if holds(box, x)), None)


@pytest.mark.parametrize("inner", list(combinations(range(0, 9, 2), 2)))
def test_a_box_is_found_empty_where_it_is(inner: tuple[int, int]) -> None:
    """Also where it is asked at once whether it is, and not after many steps."""
    places = Places("boot loader", 1, 0, (Area(0, 64),))
    with patch("memplan.sweep.boxes._LONG", 0):
        for outer in combinations(range(33), 2):
            box = {0: (0, 64), 32: outer, 8: inner}
            assert first_place(box, places) == next((x for x in range(64) if holds(box, x)), None)


def test_of_all_periods_of_a_long_range_not_each_is_looked_into() -> None:
    box = {0: (0, 1 << 64), 1 << 60: (0, 1 << 59), 0x200000: (0x1D0000, 0x1D1000), 0x100000: (0, 0x93000)}
    assert first_place(box, Places("boot loader", 4096, 0, (Area(0, 1 << 52),))) is None


@given(boxes())
def test_the_extent_of_a_box_of_whole_periods_is_how_many_numbers_it_has(box: Box) -> None:
    box[0] = box[0][0] // 64 * 64, box[0][1] // 64 * 64 + 64
    if 64 in box:
        box[64] = box[64][0] // 16 * 16, -(-box[64][1] // 16) * 16
    assert extent(box) == sum(holds(box, x) for x in range(*box[0]))


@given(st.integers(0, 240), st.integers(1, 256))
def test_the_extent_within_one_period(low: int, size: int) -> None:
    for first, behind in ((3, 9), (0, 16), (200, 256)):
        box = {0: (low, low + size), 256: (first, behind)}
        if low + size <= 256:
            assert extent(box) == sum(holds(box, x) for x in range(low, low + size))


@given(PROGRAMS)
def test_the_share_that_is_answered_for_grows_from_nothing_to_all(program: Program) -> None:
    heard: list[float] = []
    found = list(ways(lambda x: int(run(program, x)), PLACES, heard=heard.append))
    assert heard[0] == 0
    assert len(heard) == len(found)
    assert heard == sorted(heard)
    assert heard[-1] < 1 + 1e-9


def test_the_share_is_that_of_the_places() -> None:
    """Each of the thirds of the places is a way, and so is each fourth within them."""
    heard: list[float] = []
    places = Places("boot loader", STRIDE, 0, (Area(0, 48 // STRIDE),))

    def replay(x: int) -> tuple[int, int]:
        return sum(x >= low for low in (16, 32)), sum(x % 16 >= low for low in (4, 8, 12))

    found = list(ways(replay, places, heard=heard.append))
    assert heard == pytest.approx([number / 12 for number in range(12)])
    assert len(found) == 12


@given(st.lists(PROGRAMS, max_size=4))
def test_the_share_with_parts(programs: list[Program]) -> None:
    heard: list[float] = []
    list(ways_in_parts(begin(programs), PLACES, heard.append))
    assert heard[0] == 0
    assert heard == sorted(heard)
    assert heard[-1] < 1 + 1e-9
