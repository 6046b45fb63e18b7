"""An amount does what an int does, and what it answers holds for every place that the unknown keeps."""

import operator
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memplan.kaslr.places import Area, Places
from memplan.sweep.boxes import first_place, pieces
from memplan.sweep.unknown import Amount, Box, Unknown

STRIDE, HIGH = 4, 4 * 64
INDICES = st.integers(0, HIGH // STRIDE - 1)

#: What a replay does with numbers: each takes the number so far, a small number, and x.
Step = Callable[[int, int, int], int]
STEPS: list[Step] = [
    lambda own, n, x: own + n,
    lambda own, n, x: own - n,
    lambda own, n, x: n - own,
    lambda own, n, x: own * (n % 5),
    lambda own, n, x: own // (1 << n % 7),
    lambda own, n, x: own % (1 << n % 7),
    lambda own, n, x: own >> n % 7,
    lambda own, n, x: own << n % 3,
    lambda own, n, x: own & -(1 << n % 7),
    lambda own, n, x: own & ((1 << n % 7) - 1),
    lambda own, n, x: own | ((1 << n % 7) - 1),
    lambda own, n, x: own & 0b10110,
    lambda own, n, x: own // 3,
    lambda own, n, x: -(-own // (1 << n % 7)) * (1 << n % 7),
    lambda own, n, x: own + x,
    lambda own, n, x: own - x,
    lambda own, n, x: own * x if own < 10 else own,
    lambda own, n, x: max(own, n),
    lambda own, n, x: min(own, x + n),
    lambda own, n, x: own if own == n * 3 else own + 1,
    lambda own, n, x: own if own else n,
    lambda own, n, x: own.bit_length() if own > 0 else n,
    lambda own, n, x: 1 if own <= x - n else own,
    lambda own, n, x: 2 if own > n else own,
    lambda own, n, x: 3 if own >= x else own,
    lambda own, n, x: sum([own, n, x]),
    lambda own, n, x: sorted([own, x, n])[1],
    lambda own, n, x: len(range(own)) if 0 <= own < 40 else own,
]
PROGRAMS = st.lists(st.tuples(st.integers(0, len(STEPS) - 1), st.integers(0, 300)), min_size=1, max_size=7)


def run(program: list[tuple[int, int]], x: int) -> int:
    own = x
    for step, number in program:
        own = STEPS[step](own, number, x)
    return own


def members(box: Box) -> list[int]:
    inside = [
        x for x in range(0, HIGH, STRIDE) if all(low <= (x % m if m else x) < high for m, (low, high) in box.items())
    ]
    assert inside == [x for low, high in pieces(box, 0, HIGH) for x in range(low, high) if x % STRIDE == 0]
    return inside


@given(PROGRAMS, INDICES)
def test_every_place_that_is_kept_takes_the_same_way(program: list[tuple[int, int]], index: int) -> None:
    """What an Amount comes out as is what every place that is left comes to, by the same answers."""
    example = index * STRIDE
    unknown = Unknown(example, STRIDE, {0: (0, HIGH)})
    result = run(program, unknown.amount())  # type: ignore[arg-type]
    assert (result.value if isinstance(result, Amount) else result) == run(program, example)
    kept = members(unknown.box)
    assert example in kept
    for x in kept:
        other = Unknown(x, STRIDE, unknown.box)
        again = result if not isinstance(result, Amount) else _at(result, x)
        assert again == run(program, x)
        assert first_place(other.box, Places("decompressor", STRIDE, 0, (Area(0, HIGH // STRIDE),))) == kept[0]


@given(PROGRAMS, INDICES, st.lists(INDICES, min_size=2, max_size=2))
def test_a_settled_amount_is_the_same_for_all_places_that_are_left(
    program: list[tuple[int, int]], index: int, ends: list[int]
) -> None:
    low, high = min(*ends, index), max(*ends, index) + 1
    unknown = Unknown(index * STRIDE, STRIDE, {0: (low * STRIDE, high * STRIDE)})
    result = run(program, unknown.amount())  # type: ignore[arg-type]
    if isinstance(result, Amount):
        result.settle()
        assert all(_at(result, x) == run(program, x) for x in members(unknown.box))
        assert result // 3 == run(program, index * STRIDE) // 3


def _at(amount: Amount, x: int) -> int:
    total = sum(factor * (x % modulus if modulus else x) for modulus, factor in amount.terms)
    assert (total + amount.constant) % amount.divisor == 0
    return (total + amount.constant) // amount.divisor


@given(PROGRAMS, INDICES)
def test_what_is_cut_off_and_what_is_kept_are_all_places_once(program: list[tuple[int, int]], index: int) -> None:
    unknown = Unknown(index * STRIDE, STRIDE, {0: (0, HIGH)})
    run(program, unknown.amount())  # type: ignore[arg-type]
    every = sorted(x for box in (unknown.box, *(cut.box for cut in unknown.cut)) for x in members(box))
    assert every == list(range(0, HIGH, STRIDE))


@given(PROGRAMS, INDICES)
def test_what_is_cut_off_is_told_with_what_it_was_cut_off_from(program: list[tuple[int, int]], index: int) -> None:
    unknown = Unknown(index * STRIDE, STRIDE, {0: (0, HIGH)})
    run(program, unknown.amount())  # type: ignore[arg-type]
    left = [cut.within for cut in unknown.cut] + [unknown.box]
    for before, (box, _), behind in zip(left, unknown.cut, left[1:], strict=False):
        assert sorted([*members(box), *members(behind)]) == sorted(members(before))


@pytest.mark.parametrize("operation", [operator.truediv, operator.xor, operator.pow])
def test_what_an_amount_is_not_taught_fails(operation: Callable[[object, object], object]) -> None:
    amount = Unknown(8, STRIDE, {0: (0, HIGH)}).amount()
    with pytest.raises(TypeError):
        operation(amount, 2)


def test_an_amount_prints_as_the_example() -> None:
    amount = Unknown(8, STRIDE, {0: (0, HIGH)}).amount() + 8
    assert (f"{amount:#06x}", repr(amount), hash(amount)) == ("0x0010", "16", hash(16))
    assert amount != "16"
