"""Sets of ranges against sets of numbers."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from memplan.ranges import RangeSet

SPAN = 30
spans = st.tuples(st.integers(0, SPAN), st.integers(1, SPAN)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def numbers(ranges: list[tuple[int, int]]) -> set[int]:
    return {number for start, end in ranges for number in range(start, end)}


@given(st.lists(spans, max_size=12), spans)
def test_ranges_hold_what_was_added(added: list[tuple[int, int]], asked: tuple[int, int]) -> None:
    model: set[int] = set()
    ranges = RangeSet()
    for start, end in added:
        assert ranges.add(start, end) == len(set(range(start, end)) - model)
        model |= set(range(start, end))
    kept = list(ranges)
    assert numbers(kept) == model
    assert all(end < start for (_, end), (start, _) in pairwise(kept))
    wanted = set(range(*asked))
    assert numbers(ranges.within(*asked)) == wanted & model
    assert numbers(ranges.outside(*asked)) == wanted - model
    assert ranges.covers(*asked) == (wanted <= model)
    assert ranges.holds(asked[0]) == (asked[0] in model)
