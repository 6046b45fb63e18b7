"""candidates() walks as the engine searches: what it says is what an allocation does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memplan.memblock.memblock import Memblock
from memplan.memblock.requests import Candidate, Search
from memplan.units import MIB, PAGE_SIZE
from tests.memblock.engine import WAYS, engine

spans = st.tuples(st.integers(1, 200), st.integers(1, 20))
requests = st.builds(
    Search,
    size=st.sampled_from((0, 64, PAGE_SIZE, 3 * PAGE_SIZE, 9 * PAGE_SIZE)),
    align=st.sampled_from((64, PAGE_SIZE, 4 * PAGE_SIZE)),
    start=st.integers(0, 210).map(lambda page: page * PAGE_SIZE),
    end=st.integers(0, 230).map(lambda page: page * PAGE_SIZE),
    nid=st.sampled_from((None, 0, 1)),
    exact=st.booleans(),
    drops_minimum=st.booleans(),
    prefers_mirror=st.just(True),
)


def allocate(memblock: Memblock, request: Search) -> int:
    size, align, start, end, nid, exact, drops_minimum, _ = request
    if not drops_minimum:
        return memblock.alloc_range_nid(size, align, start, end, nid, exact)
    return (memblock.alloc_exact_nid_raw if exact else memblock.alloc_try_nid)(size, align, start, end, nid)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(
    st.sampled_from(WAYS),
    st.lists(st.tuples(spans, st.sampled_from((None, 0, 1))), min_size=1, max_size=6),
    st.lists(spans, max_size=12),
    st.lists(st.tuples(st.sampled_from(("mark_hotplug", "mark_mirror", "mark_nomap")), spans), max_size=4),
    st.lists(requests, min_size=1, max_size=8),
    st.booleans(),
)
def test_the_choice_is_the_engine_s(
    version: str, memory: list[Any], reserved: list[Any], marks: list[Any], wanted: list[Search], bottom_up: bool
) -> None:
    memblock, ears = engine(version)
    memblock.bottom_up = bottom_up
    memblock.movable_node = memblock.mirrored_kernelcore = True
    memblock.kernel_end = 50 * PAGE_SIZE
    memblock.current_limit = 180 * PAGE_SIZE
    for (first, count), nid in memory:
        memblock.add_node(first * PAGE_SIZE, count * PAGE_SIZE, nid)
    for first, count in reserved:
        memblock.reserve(first * PAGE_SIZE, count * PAGE_SIZE)
    for mark, (first, count) in marks:
        getattr(memblock, mark)(first * PAGE_SIZE, count * PAGE_SIZE)
    for request in wanted:
        if memblock.rules.allocations == "each its own" and not request.drops_minimum:
            request = request._replace(exact=True, prefers_mirror=False)
        if memblock.rules.allocations == "one core within the limit":
            request = request._replace(end=min(request.end, memblock.current_limit))
        if memblock.rules.rounds_sizes:
            request = request._replace(size=-(-request.size // request.align) * request.align)
        ears.heard.clear()
        seen = list(memblock.candidates(request))
        assert not ears.heard
        assert all(one.refusal and not one.address for one in seen[:-1])
        assert all(one.refusal is None or not one.address for one in seen[-1:])
        chosen = seen[-1].address if seen else 0
        assert allocate(memblock, request) == chosen


def told(memblock: Memblock, request: Search) -> list[tuple[int, int, str | None]]:
    return [(one.start // MIB, one.end // MIB, one.refusal) for one in memblock.candidates(request)]


@pytest.fixture
def memblock() -> Memblock:
    """Two nodes of 64 MiB, half of the second can be unplugged; among reservations 1 MiB and 8 MiB are free."""
    memblock, _ = engine("6.12")
    memblock.movable_node = True
    memblock.add_node(16 * MIB, 64 * MIB, 0)
    memblock.add_node(80 * MIB, 64 * MIB, 1)
    memblock.mark_hotplug(112 * MIB, 32 * MIB)
    memblock.reserve(40 * MIB, 20 * MIB)
    memblock.reserve(61 * MIB, 10 * MIB)
    memblock.reserve(79 * MIB, 1 * MIB)
    return memblock


def test_each_range_says_why_it_is_passed_over(memblock: Memblock) -> None:
    assert told(memblock, Search(2 * MIB, 16 * MIB, start=32 * MIB, end=100 * MIB, nid=0)) == [
        (112, 144, "wrong node"),
        (80, 112, "wrong node"),
        (71, 79, "too small once aligned"),
        (60, 61, "too small"),
        (16, 40, None),
    ]
    assert told(memblock, Search(4 * MIB, PAGE_SIZE, end=78 * MIB)) == [
        (112, 144, "hot-pluggable"),
        (80, 112, "above the limit"),
        (71, 79, None),
    ]
    assert told(memblock, Search(16 * MIB, PAGE_SIZE, start=30 * MIB, end=90 * MIB)) == [
        (112, 144, "hot-pluggable"),
        (80, 112, "above the limit"),
        (71, 79, "too small"),
        (60, 61, "too small"),
        (16, 40, "below the minimum"),
    ]


def test_attempts_follow_one_another(memblock: Memblock) -> None:
    memblock.mirrored_kernelcore = True
    memblock.mark_mirror(16 * MIB, 8 * MIB)
    seen = list(memblock.candidates(Search(6 * MIB, PAGE_SIZE, start=20 * MIB, nid=0, drops_minimum=True)))
    refusals = [(one.attempt, one.refusal) for one in seen if one.start == 16 * MIB]
    assert refusals == [(0, "below the minimum"), (1, "below the minimum")]
    assert seen[-1] == Candidate(71 * MIB, 79 * MIB, 0, 0, 2, 73 * MIB, None)
    assert {one.refusal for one in seen if one.start == 24 * MIB} == {"not mirrored"}


def test_nothing_fits(memblock: Memblock) -> None:
    assert [refusal for _, _, refusal in told(memblock, Search(100 * MIB, PAGE_SIZE))] == [
        "hot-pluggable",
        *["too small"] * 4,
    ]
