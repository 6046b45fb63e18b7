"""What holds for memblock whatever is done with it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memplan.memblock import gaps
from memplan.memblock.flags import MEMBLOCK_HOTPLUG, MEMBLOCK_MIRROR, MEMBLOCK_NOMAP
from memplan.memblock.memblock import Memblock
from memplan.memblock.regions import RegionArray
from memplan.units import PAGE_SIZE
from tests.memblock.engine import VERSIONS, engine

#: Ranges lie in the pages [1, SPACE).
SPACE = 160

Attributes = tuple[int | None, int]
Model = dict[int, Attributes]

everywhere = settings(deadline=None, derandomize=True, max_examples=120)

versions = st.sampled_from(VERSIONS)
nodes = st.sampled_from((None, 0, 1, 2))
spans = st.tuples(st.integers(1, SPACE - 1), st.integers(1, 24))
#: (operation, (first page, pages), node)
changes = st.tuples(
    st.sampled_from(
        (
            "add_node",
            "add_node",
            "remove",
            "reserve",
            "reserve",
            "free",
            "set_node",
            "set_node_reserved",
            "mark",
            "clear",
        )
    ),
    spans,
    nodes,
)
#: (pages, alignment in pages, first page, end page, node)
requests = st.tuples(
    st.integers(1, 12), st.sampled_from((1, 2, 4, 16)), st.integers(0, SPACE), st.integers(1, SPACE + 20), nodes
)


@pytest.fixture(autouse=True, scope="module")
def _small_chunks() -> Any:
    """Lets the index of free ranges have many chunks and groups although there are few ranges."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gaps, "_FILL", 2)
        patch.setattr(gaps, "_FULL", 4)
        patch.setattr(gaps, "_GROUP", 3)
        patch.setattr(gaps, "_KINDS", 3)
        yield


def change(memblock: Memblock, models: tuple[Model, Model], step: tuple[str, tuple[int, int], int | None]) -> None:
    """Does one change to memblock, and page by page to the models of both arrays."""
    op, (first, count), nid = step
    base, size = first * PAGE_SIZE, count * PAGE_SIZE
    pages = range(first, first + count)
    memory, reserved = models
    if op == "add_node":
        assert memblock.add_node(base, size, nid) == 0
        memory.update({page: (nid, 0) for page in pages if page not in memory})
    elif op == "remove":
        assert memblock.remove(base, size) == 0
        for page in pages:
            memory.pop(page, None)
    elif op == "reserve":
        assert memblock.reserve(base, size) == 0
        reserved.update({page: (None, 0) for page in pages if page not in reserved})
    elif op == "free":
        assert memblock.free(base, size) == 0
        for page in pages:
            reserved.pop(page, None)
    elif op == "set_node":
        assert memblock.set_node(base, size, nid) == 0
        memory.update({page: (nid, memory[page][1]) for page in pages if page in memory})
    elif op == "set_node_reserved":
        assert memblock.set_node_reserved(base, size, nid) == 0
        reserved.update({page: (nid, reserved[page][1]) for page in pages if page in reserved})
    else:
        flag, mark, clear = {
            None: (MEMBLOCK_NOMAP, memblock.mark_nomap, memblock.clear_nomap),
            0: (MEMBLOCK_HOTPLUG, memblock.mark_hotplug, memblock.clear_hotplug),
        }.get(nid, (MEMBLOCK_HOTPLUG, memblock.mark_hotplug, memblock.clear_hotplug))
        assert (mark if op == "mark" else clear)(base, size) == 0
        for page in pages:
            if page in memory:
                node, flags = memory[page]
                memory[page] = node, flags | flag if op == "mark" else flags & ~flag


def pages_of(array: RegionArray) -> Model:
    """The array's regions page by page; each page once."""
    pages: Model = {}
    for base, size, nid, flags in array:
        for page in range(base // PAGE_SIZE, (base + size) // PAGE_SIZE):
            assert page not in pages
            pages[page] = nid, flags
    return pages


@everywhere
@given(versions, st.lists(changes, min_size=20, max_size=40))
def test_arrays_hold_what_was_put_in(version: str, steps: list[Any]) -> None:
    memblock, _ = engine(version)
    models: tuple[Model, Model] = ({}, {})
    for step in steps:
        change(memblock, models, step)
        for array, model in zip((memblock.memory, memblock.reserved), models, strict=True):
            assert pages_of(array) == model
            assert array.total_size == len(model) * PAGE_SIZE
            regions = list(array)
            for (base, size, *attributes), (behind, _, *others) in pairwise(regions):
                assert base + size <= behind
                assert base + size < behind or attributes != others


def eligible(attributes: Attributes, nid: int | None, movable_node: bool) -> bool:
    node, flags = attributes
    if flags & MEMBLOCK_NOMAP or (movable_node and flags & MEMBLOCK_HOTPLUG):
        return False
    return nid is None or node == nid


def candidates(models: tuple[Model, Model], request: Any, movable_node: bool, borders: set[int]) -> list[int]:
    """The first pages of all blocks that satisfy the request, tried one by one."""
    count, align, first, end, nid = request
    memory, reserved = models

    def fits(page: int) -> bool:
        block = range(page, page + count)
        return (
            all(at in memory and at not in reserved and eligible(memory[at], nid, movable_node) for at in block)
            and not any(at in borders for at in block[1:])
            and page + count <= max(end, first, 1)
        )

    return [page for page in range(max(first, 1), SPACE + 30) if page % align == 0 and fits(page)]


@everywhere
@given(
    st.sampled_from(VERSIONS[1:]),
    st.lists(st.one_of(changes, requests), min_size=30, max_size=60),
    st.booleans(),
    st.booleans(),
)
def test_a_search_finds_what_trying_each_page_finds(
    version: str, steps: list[Any], bottom_up: bool, movable_node: bool
) -> None:
    memblock, _ = engine(version)
    memblock.bottom_up = bottom_up
    memblock.movable_node = movable_node
    models: tuple[Model, Model] = ({}, {})
    for step in steps:
        if isinstance(step[0], str):
            change(memblock, models, step)
            continue
        count, align, first, end, nid = step
        borders = {base // PAGE_SIZE for base, *_ in memblock.memory}
        pages = candidates(models, step, movable_node, borders)
        expected = (pages[0] if bottom_up else pages[-1]) if pages else 0
        found = memblock.find_node(first * PAGE_SIZE, end * PAGE_SIZE, count * PAGE_SIZE, align * PAGE_SIZE, nid)
        assert found == expected * PAGE_SIZE


@everywhere
@given(
    st.lists(
        st.tuples(
            st.sampled_from(("reserve", "reserve", "free", "find")),
            st.tuples(st.integers(1, SPACE - 1), st.integers(1, 6)),
            st.sampled_from((1, 4)),
            nodes,
        ),
        min_size=40,
        max_size=80,
    ),
    st.booleans(),
)
def test_searches_follow_reservations(steps: list[Any], bottom_up: bool) -> None:
    """With memory that stays as it is, so that the index of free ranges lives through all changes."""
    memblock, _ = engine("6.12")
    memblock.bottom_up = bottom_up
    models: tuple[Model, Model] = ({}, {})
    memory = ((1, 40, 0), (41, 30, 1), (71, 10, 0), (90, 60, 1), (152, 8, 0))
    for first, count, nid in memory:
        change(memblock, models, ("add_node", (first, count), nid))
    borders = {first for first, _, _ in memory}
    for page in range(2, SPACE, 3):
        change(memblock, models, ("reserve", (page, 1), None))
    for op, (first, count), align, nid in steps:
        if op != "find":
            change(memblock, models, (op, (first, count), None))
        for pages in (1, 2, count):
            places = candidates(models, (pages, align, 0, SPACE + 30, nid), False, borders)
            found = memblock.find_node(0, 0, pages * PAGE_SIZE, align * PAGE_SIZE, nid)
            assert found == ((places[0] if bottom_up else places[-1]) if places else 0) * PAGE_SIZE


@everywhere
@given(
    st.sampled_from(VERSIONS[1:]),
    st.lists(changes, min_size=12, max_size=25),
    st.lists(requests, min_size=4, max_size=12),
    st.booleans(),
)
def test_allocations_are_free_aligned_within_limits_and_kept(
    version: str, steps: list[Any], wanted: list[Any], bottom_up: bool
) -> None:
    memblock, _ = engine(version)
    memblock.bottom_up = bottom_up
    models: tuple[Model, Model] = ({}, {})
    for step in steps:
        change(memblock, models, step)
    memory, reserved = models
    for count, align, first, end, nid in wanted:
        found = memblock.alloc_range_nid(
            count * PAGE_SIZE, align * PAGE_SIZE, first * PAGE_SIZE, end * PAGE_SIZE, nid, True
        )
        page = found // PAGE_SIZE
        if found:
            assert page % align == 0
            assert max(first, 1) <= page
            assert page + count <= end
            assert all(at in memory and at not in reserved for at in range(page, page + count))
            assert nid is None or {memory[at][0] for at in range(page, page + count)} == {nid}
            reserved.update(dict.fromkeys(range(page, page + count), (None, 0)))
        assert pages_of(memblock.reserved) == reserved


@everywhere
@given(
    st.sampled_from(VERSIONS[1:]), st.lists(changes, min_size=12, max_size=30), st.lists(st.integers(1, 9), max_size=8)
)
def test_bottom_up_mirrors_top_down(version: str, steps: list[Any], sizes: list[int]) -> None:
    """With requests of whole pages, turning memory upside down and the direction round mirrors each answer."""
    top = 2 * SPACE
    down, _ = engine(version)
    up, _ = engine(version)
    up.bottom_up = True
    for op, (first, count), nid in steps:
        change(down, ({}, {}), (op, (first, count), nid))
        change(up, ({}, {}), (op, (top - first - count, count), nid))
    for count in sizes:
        size = count * PAGE_SIZE
        low = down.phys_alloc(size, PAGE_SIZE)
        high = up.phys_alloc(size, PAGE_SIZE)
        assert high == (top * PAGE_SIZE - low - size if low else 0)


@everywhere
@given(st.lists(changes, min_size=12, max_size=30), st.lists(spans, max_size=5))
def test_mirrored_memory_comes_first(steps: list[Any], mirrored: list[tuple[int, int]]) -> None:
    memblock, ears = engine("5.10")
    models: tuple[Model, Model] = ({}, {})
    for step in steps:
        change(memblock, models, step)
    for first, count in mirrored:
        memblock.mark_mirror(first * PAGE_SIZE, count * PAGE_SIZE)
    free_mirror = memblock.free_ranges(None, MEMBLOCK_MIRROR)
    before = len(ears.heard)
    found = memblock.phys_alloc(PAGE_SIZE, PAGE_SIZE)
    warned = ("Could not allocate 0x0000000000001000 bytes of mirrored memory", True) in ears.heard[before:]
    if any(start < end for start, end, _ in free_mirror) and memblock.has_mirror:
        assert any(start <= found < end for start, end, _ in free_mirror)
        assert not warned
    else:
        assert warned == memblock.has_mirror


@everywhere
@given(versions, st.lists(changes, min_size=12, max_size=30), nodes)
def test_free_ranges_are_memory_minus_reservations(version: str, steps: list[Any], nid: int | None) -> None:
    memblock, _ = engine(version)
    models: tuple[Model, Model] = ({}, {})
    for step in steps:
        change(memblock, models, step)
    memory, reserved = models
    free = {
        page
        for page, attributes in memory.items()
        if page not in reserved and eligible(attributes, nid, movable_node=False)
    }
    ranges = memblock.free_ranges(nid)
    pages = [page for start, end, _ in ranges for page in range(start // PAGE_SIZE, end // PAGE_SIZE)]
    assert pages == sorted(free)
    assert memblock.free_ranges_rev(nid) == ranges[::-1]
