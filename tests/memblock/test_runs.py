"""A run of allocations does what as many single ones do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memplan.memblock.memblock import Memblock, Run
from memplan.units import GIB, MIB, PAGE_SIZE
from tests.memblock.engine import WAYS, Ears, engine

Taken = list[tuple[int, int]]

#: The reserved ranges around which the runs are made: (first page, pages, node).
holes = st.lists(st.tuples(st.integers(256, 1000), st.integers(1, 20), st.sampled_from((None, None, 0))), max_size=12)


def prepared(version: str, reserved: list[Any], bottom_up: bool, mirror: bool, crowd: int) -> tuple[Memblock, Ears]:
    """Memory of two nodes at 1 MiB, `reserved` in it, and `crowd` reservations elsewhere that fill the array."""
    memblock, ears = engine(version)
    memblock.allow_resize()
    memblock.add_node(1 * MIB, 2 * MIB, 0)
    memblock.add_node(3 * MIB, 1 * MIB, 1)
    for page in range(crowd):
        memblock.reserve(GIB + 2 * page * PAGE_SIZE, PAGE_SIZE)
    for first, count, nid in reserved:
        memblock.reserve(first * PAGE_SIZE, count * PAGE_SIZE)
        memblock.set_node_reserved(first * PAGE_SIZE, count * PAGE_SIZE, nid)
    memblock.bottom_up = bottom_up
    memblock.kernel_end = 2 * MIB
    memblock.mirrored_kernelcore = True
    if mirror:
        memblock.mark_mirror(1 * MIB + 64 * PAGE_SIZE, 32 * PAGE_SIZE)
    ears.heard.clear()
    return memblock, ears


def blocks(runs: list[Run]) -> Taken:
    taken: Taken = []
    for run in runs:
        size = (run.end - run.start) // run.count
        starts = range(run.start, run.end, size)
        taken += [(start, size) for start in (reversed(starts) if run.descending else starts)]
    return taken


def one_by_one(take: Callable[[], int], size: int, count: int) -> Taken:
    taken: Taken = []
    while len(taken) < count and (found := take()):
        taken.append((found, size))
    return taken


@settings(deadline=None, derandomize=True, max_examples=250)
@given(
    st.sampled_from(WAYS),
    holes,
    st.booleans(),
    st.booleans(),
    st.sampled_from((0, 110, 118, 122, 123, 124, 125, 126, 127)),
    st.sampled_from((1, 2, 3)),
    st.sampled_from((64, PAGE_SIZE, 2 * PAGE_SIZE, 8 * PAGE_SIZE)),
    st.sampled_from(((0, 0), (1 * MIB, 2 * MIB), (300 * PAGE_SIZE, 900 * PAGE_SIZE))),
    st.integers(1, 900),
    st.sampled_from(("phys_alloc_range", "find", "alloc", "exact", "hugetlb", "bootmem")),
    st.sampled_from((None, 0, 1)),
)
def test_a_run_is_as_many_single_allocations(
    version: str,
    reserved: list[Any],
    bottom_up: bool,
    mirror: bool,
    crowd: int,
    pages: int,
    align: int,
    limits: tuple[int, int],
    count: int,
    way: str,
    nid: int | None,
) -> None:
    # The kernels with bootmem's calls know no mirrored memory.
    mirror = mirror and version != "3.13" and way != "bootmem"
    size = pages * PAGE_SIZE
    low, high = limits
    bulk, bulk_ears = prepared(version, reserved, bottom_up, mirror, crowd)
    single, single_ears = prepared(version, reserved, bottom_up, mirror, crowd)

    def find_and_reserve() -> int:
        found = single.find(low, high, size, align)
        if found:
            single.reserve(found, size)
        return found

    if way == "phys_alloc_range":
        runs = bulk.phys_alloc_range_run(size, align, low, high, count)
        taken = one_by_one(lambda: single.phys_alloc_range(size, align, low, high), size, count)
    elif way == "find":
        runs = bulk.find_reserve_run(size, align, low, high, count)
        taken = one_by_one(find_and_reserve, size, count)
    elif way == "bootmem":
        runs = bulk.alloc_memory_core_early_run(nid, size, align, low, high, count)
        taken = one_by_one(lambda: single.alloc_memory_core_early(nid, size, align, low, high), size, count)
    elif way == "hugetlb":
        exact, size = low > 0, PAGE_SIZE << pages - 1
        runs = bulk.alloc_hugetlb_run(size, nid, count, exact=exact)
        taken = one_by_one(lambda: single.alloc_hugetlb(size, nid, exact), size, count)
    else:
        exact = way == "exact"
        runs = bulk.alloc_run(size, align, low, high, nid, count, exact=exact)
        take = single.alloc_exact_nid_raw if exact else single.alloc_try_nid
        taken = one_by_one(lambda: take(size, align, low, high, nid), size, count)
    assert blocks(runs) == taken
    assert list(bulk.reserved) == list(single.reserved), version
    assert bulk.reserved.max == single.reserved.max
    assert bulk.reserved.total_size == single.reserved.total_size
    assert [heard for heard in bulk_ears.heard if len(heard) == 3] == [
        heard for heard in single_ears.heard if len(heard) == 3
    ]
    assert set(bulk_ears.heard) == set(single_ears.heard)


@pytest.mark.parametrize("bottom_up", [False, True])
def test_many_pages_are_one_change(bottom_up: bool) -> None:
    memblock, _ = engine("6.12")
    changes: list[tuple[Any, ...]] = []
    memblock.listener.changed = lambda *change: changes.append(change)  # type: ignore[method-assign]
    memblock.bottom_up = bottom_up
    memblock.add(GIB, 4 * GIB)
    changes.clear()
    runs = memblock.phys_alloc_range_run(PAGE_SIZE, PAGE_SIZE, 0, 0, 65536)
    start = GIB if bottom_up else 5 * GIB - 65536 * PAGE_SIZE
    assert runs == [Run(start, start + 65536 * PAGE_SIZE, 65536, not bottom_up)]
    assert changes == [("reserve", start, 65536 * PAGE_SIZE, 65536, not bottom_up, None, 0)]


@pytest.mark.parametrize("version", WAYS)
@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("plain", [False, True])
def test_short_runs_in_free_memory(version: str, count: int, plain: bool) -> None:
    """With and without a node and flags, as the version marks allocations and other reservations."""
    bulk, _ = prepared(version, [], False, False, 0)
    single, _ = prepared(version, [], False, False, 0)
    many, one = (
        (bulk.alloc_memory_core_early_run, single.alloc_memory_core_early)
        if plain
        else (
            lambda nid, size, align, low, high, count: bulk.alloc_run(size, align, low, high, nid, count),
            lambda nid, size, align, low, high: single.alloc_try_nid(size, align, low, high, nid),
        )
    )
    runs = many(1, PAGE_SIZE, PAGE_SIZE, 0, 4 * MIB, count)
    assert blocks(runs) == one_by_one(lambda: one(1, PAGE_SIZE, PAGE_SIZE, 0, 4 * MIB), PAGE_SIZE, count)
    assert sum(run.count for run in runs) == count
    assert list(bulk.reserved) == list(single.reserved)


@pytest.mark.parametrize("version", WAYS)
@pytest.mark.parametrize("first", [-8, -1, 0, 1])
def test_a_run_across_the_border_at_which_addresses_were_cut_short(version: str, first: int) -> None:
    """Upwards across 2 GiB, where an address in an int turns negative: of such a one there is no second."""
    bulk, single = (engine(version)[0] for _ in range(2))
    for memblock in (bulk, single):
        memblock.add_node(2 * GIB + first * PAGE_SIZE, 16 * PAGE_SIZE, 0)
        memblock.bottom_up = True
    runs = bulk.phys_alloc_range_run(PAGE_SIZE, PAGE_SIZE, 0, 0, 12)
    taken = one_by_one(lambda: single.phys_alloc_range(PAGE_SIZE, PAGE_SIZE, 0, 0), PAGE_SIZE, 12)
    assert blocks(runs) == list(dict.fromkeys(taken))
    assert list(bulk.reserved) == list(single.reserved)


@pytest.mark.parametrize("version", ["4.4", "5.10", "7.1"])
@pytest.mark.parametrize("nid", [None, 0])
def test_each_block_of_a_run_says_that_it_is_not_mirrored(version: str, nid: int | None) -> None:
    (bulk, bulk_ears), (single, single_ears) = (prepared(version, [], False, True, 0) for _ in range(2))
    size = 33 * PAGE_SIZE
    runs = bulk.alloc_run(size, PAGE_SIZE, 0, 0, nid, 4)
    assert blocks(runs) == one_by_one(lambda: single.alloc_try_nid(size, PAGE_SIZE, 0, 0, nid), size, 4)
    said = [heard for heard in bulk_ears.heard if "mirrored" in str(heard[0])]
    assert said == [heard for heard in single_ears.heard if "mirrored" in str(heard[0])]
    assert len(said) == 4
