"""What is answered of a number that is only known between limits holds for every number between them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memplan.sweep.unknown import Unknown
from memplan.sweep.vague import Undecided, Vague, limits, window, windows_within

UNITS = st.sampled_from([1, 2, 4, 8])
SMALL = st.integers(-64, 64)


@st.composite
def vagues(draw: st.DrawFn) -> Vague:
    unit = draw(UNITS)
    low, more = draw(st.integers(-8, 16)), draw(st.integers(0, 8))
    return Vague(low * unit, (low + more) * unit, unit)


def members(vague: Vague) -> Iterator[int]:
    return (number for number in range(vague.low, vague.high + 1) if not number % vague.unit)


NUMBERS: list[Callable[[Vague, int], Vague]] = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.floordiv,
    operator.and_,
    lambda own, other: other + own,
    lambda own, other: other - own,
    lambda own, other: other * own,
    lambda own, other: own >> other % 5,
    lambda own, other: own << other % 5,
    lambda own, _: -own,
]
ANSWERS: list[Callable[[Vague, int], int]] = [
    operator.lt,
    operator.le,
    operator.gt,
    operator.ge,
    operator.eq,
    operator.ne,
    operator.mod,
    lambda own, _: bool(own),
    lambda own, _: own.bit_length(),
]


@given(vagues(), SMALL, st.sampled_from(NUMBERS))
def test_a_new_number_has_all_that_it_can_be(vague: Vague, other: int, change: Callable[[Vague, int], Vague]) -> None:
    try:
        found = change(vague, other)
    except Undecided:
        return
    for number in members(vague):
        made = change(number, other)  # type: ignore[arg-type]
        assert found.low <= made <= found.high
        assert not made % found.unit


@given(vagues(), vagues(), st.sampled_from([operator.add, operator.sub]))
def test_two_that_are_not_known(one: Vague, two: Vague, change: Callable[[Any, Any], Any]) -> None:
    found = change(one, two)
    made = [change(first, second) for first in members(one) for second in members(two)]
    assert found.low <= min(made)
    assert max(made) <= found.high
    assert not any(number % found.unit for number in made)


@given(vagues(), SMALL, st.sampled_from(ANSWERS))
def test_an_answer_is_that_of_every_number(vague: Vague, other: int, ask: Callable[[Vague, int], int]) -> None:
    if ask is operator.mod and not other:
        return
    try:
        answer = ask(vague, other)
    except Undecided:
        return
    assert {ask(number, other) for number in members(vague)} == {answer}  # type: ignore[arg-type]


@given(vagues(), SMALL)
def test_what_all_numbers_answer_alike_is_answered(vague: Vague, other: int) -> None:
    for compare in (operator.lt, operator.le, operator.gt, operator.ge):
        answers = {compare(number, other) for number in range(vague.low, vague.high + 1)}
        if len(answers) == 1:
            assert {compare(vague, other)} == answers
        else:
            with pytest.raises(Undecided):
                compare(vague, other)


def test_what_can_not_be_said_is_asked_for() -> None:
    vague = Vague(0, 64, 4)
    asked: list[Callable[[], object]] = [
        lambda: vague // 0,
        lambda: vague * -1,
        lambda: vague % 3,
        lambda: vague & 5,
        lambda: vague == 4,
        vague.bit_length,
        lambda: bool(vague),
        lambda: operator.index(vague),
        lambda: [1, 2][vague],
    ]
    for ask in asked:
        with pytest.raises(Undecided):
            ask()
    assert (vague == "4") is False
    assert f"{vague:#x}" == "0x0"


def test_a_mask_of_all_bits_keeps_what_fits_and_one_of_high_bits_rounds() -> None:
    vague = Vague(5, 9)
    assert (vague & 15) is vague
    down = vague & -4
    assert (down.low, down.high, down.unit) == (4, 8, 4)
    assert Vague(5, 7).bit_length() == 3


def test_an_amount_beside_it_has_its_limits() -> None:
    amount = Unknown(8, 4, {0: (0, 64)}).amount()
    assert limits(amount) == (0, 60)
    found = Vague(0, 8, 8) + amount
    assert (found.low, found.high, found.unit) == (0, 68, 1)
    assert (Vague(61, 70) > amount, Vague(-9, -1) < amount, limits(7)) == (True, True, (7, 7))


@given(st.integers(1, 300), st.sampled_from([1, 2, 16, 64]), st.integers(0, 500), st.integers(0, 500))
def test_windows(size: int, align: int, low: int, more: int) -> None:
    """Whatever else lies in it, an empty window at a multiple of its size has room for the aligned block."""
    width = window(size, align)
    assert width >= size
    assert not width % align
    high = low + more
    assert windows_within(low, high, width) == sum(
        1 for start in range(0, high, width) if low <= start and start + width <= high
    )
