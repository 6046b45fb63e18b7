"""What memblock answers about what it holds, for which the traces don't ask."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memplan.memblock.flags import MEMBLOCK_RSRV_KERN, MEMBLOCK_RSRV_NOINIT
from memplan.memblock.requests import Search
from memplan.units import MIB, PAGE_SIZE, U64_MAX
from tests.memblock.engine import MAX_NUMNODES, engine

PAGES = 64


@given(
    st.lists(st.tuples(st.integers(0, PAGES - 1), st.integers(1, 8), st.booleans(), st.sampled_from((0, 1)))),
    st.integers(0, PAGES * PAGE_SIZE + 5 * PAGE_SIZE),
    st.sampled_from((None, 0, 1, -1, MAX_NUMNODES)),
)
def test_what_is_reserved_for_the_kernel_s_own_use(
    taken: list[tuple[int, int, bool, int]], limit: int, nid: int | None
) -> None:
    """Byte by byte: marked, below the limit, and on the node where the number is one."""
    memblock, _ = engine("7.1")
    pages: dict[int, tuple[bool, int]] = {}
    for first, count, kern, node in taken:
        new = [page for page in range(first, first + count) if page not in pages]
        (memblock.reserve_kern if kern else memblock.reserve)(first * PAGE_SIZE, count * PAGE_SIZE)
        pages.update(dict.fromkeys(new, (kern, node)))
    for page, (_, node) in pages.items():
        memblock.set_node_reserved(page * PAGE_SIZE, PAGE_SIZE, node)
    expected = sum(
        max(0, min(PAGE_SIZE, limit - page * PAGE_SIZE))
        for page, (kern, node) in pages.items()
        if kern and nid in (node, None, -1, MAX_NUMNODES)
    )
    assert memblock.reserved_kern_size(limit, nid) == expected


@pytest.mark.parametrize(("version", "left"), [("6.12", 1024 - 4), ("7.1", 1024 - 3)])
def test_the_estimate_of_free_pages_leaves_out_what_is_taken(version: str, left: int) -> None:
    """All reservations, or since 6.15 those for the kernel's own use alone."""
    memblock, _ = engine(version)
    memblock.add(0, 1024 * PAGE_SIZE)
    memblock.reserve_kern(8 * PAGE_SIZE, 3 * PAGE_SIZE)
    memblock.reserve(100 * PAGE_SIZE, PAGE_SIZE)
    assert memblock.estimated_nr_free_pages() == left
    assert memblock.reserved_size() == 4 * PAGE_SIZE


def test_what_is_allocated_is_for_the_kernel_s_own_use_since_6_15() -> None:
    for version, flags in (("6.12", 0), ("7.1", MEMBLOCK_RSRV_KERN)):
        memblock, _ = engine(version)
        memblock.add_node(0, 64 * MIB, 0)
        found = memblock.alloc_try_nid(MIB, MIB, 0, 0, 0)
        (region,) = memblock.reserved
        assert (found, region[0], region[1], region[3]) == (63 * MIB, 63 * MIB, MIB, flags)
        assert memblock.reserved_kern_size(U64_MAX, 0) == (MIB if flags else 0)


def test_a_search_passes_over_free_ranges_within_its_scope() -> None:
    memblock, _ = engine("6.12")
    memblock.current_limit = 128 * MIB
    memblock.add_node(0, 64 * MIB, 0)
    memblock.add_node(64 * MIB, 64 * MIB, 1)
    request = Search(MIB, MIB, start=8 * MIB, nid=0, drops_minimum=True)
    walks = [(*walk, kind.nid, kind.any_node) for walk, kind in memblock.scopes(request)]
    assert walks == [
        (8 * MIB, 128 * MIB, True, 0, False),
        (8 * MIB, 128 * MIB, True, None, True),
        (PAGE_SIZE, 128 * MIB, True, 0, False),
        (PAGE_SIZE, 128 * MIB, True, None, True),
    ]


def test_an_alignment_of_0_is_a_cache_line_in_all_that_is_asked() -> None:
    memblock, _ = engine("6.12")
    memblock.add(64 * MIB, MIB)
    memblock.reserve(65 * MIB - 32, 32)
    request = Search(16, 0)
    assert [one.address for one in memblock.candidates(request)] == [65 * MIB - 64]
    assert [one.address for one in memblock.candidates(request._replace(align=16))] == [65 * MIB - 48]


@pytest.mark.parametrize(
    ("version", "bad", "uncovered", "passes"),
    [
        # Only memory of NUMA_NO_NODE counted, and as much as the threshold was too much.
        ("6.8", None, 10, True),
        ("6.8", -1, 1, False),
        ("6.8", -1, 2, False),
        # Whatever is no node counts since 6.10.
        ("6.10", None, 1, False),
        ("6.10", None, 2, False),
        # The threshold itself passes since 6.13.
        ("7.1", None, 1, True),
        ("7.1", None, 2, False),
        ("7.1", -1, 1, True),
        ("7.1", 0, 5, True),
    ],
)
def test_memory_without_a_node(version: str, bad: int | None, uncovered: int, passes: bool) -> None:
    memblock, ears = engine(version)
    memblock.add_node(0, 64 * MIB, 0)
    memblock.add_node(64 * MIB, uncovered * MIB, bad)
    ears.heard.clear()
    assert memblock.validate_numa_coverage(MIB) is passes
    said = f"NUMA: no nodes coverage for {uncovered}MB of {64 + uncovered}MB RAM"
    assert ears.heard == ([] if passes else [(said, True)])
    assert memblock.validate_numa_coverage(MIB * (uncovered + 1))


@pytest.mark.parametrize("version", ["3.13", "4.4", "6.1", "6.12", "7.1"])
def test_what_is_free_is_handed_over_in_blocks_of_the_page_allocator(version: str) -> None:
    """Page by page: memory that is not reserved, and the storage of grown arrays where the version frees that."""
    memblock, _ = engine(version)
    memblock.allow_resize()
    memblock.max_low_pfn = 1 << 20
    memblock.add_node(PAGE_SIZE, 16 * MIB - PAGE_SIZE, 0)
    memblock.add_node(32 * MIB, 3 * MIB + 512, 1)
    for page in range(150):
        memblock.reserve((256 + 2 * page) * PAGE_SIZE, PAGE_SIZE)
    storage, size = memblock.reserved_array()
    assert storage
    assert size >= 150 * 24
    ram = {*range(1, 4096), *range(8192, 8192 + 768)}
    taken = {256 + 2 * page for page in range(150)}
    array = set(range(storage // PAGE_SIZE, (storage + size) // PAGE_SIZE))
    handed = memblock.free_all()
    pages = [pfn + offset for pfn, order in handed.freed for offset in range(1 << order)]
    kept = taken if version in ("3.13", "4.4") else taken | array
    assert sorted(pages) == sorted(ram - kept)
    assert handed.pages == len(pages)
    assert all(pfn % (1 << order) == 0 and order <= 10 for pfn, order in handed.freed)
    # The largest blocks that fit: nowhere do two halves of a larger block stand beside one another.
    blocks = set(handed.freed)
    for pfn, order in blocks:
        if order < 10 and not pfn % (2 << order) and (pfn + (1 << order), order) in blocks:
            assert pfn == storage // PAGE_SIZE or pfn + (1 << order) == storage // PAGE_SIZE


@given(st.integers(0, 3), st.integers(1, 6), st.integers(0, 3), st.sampled_from((1, 3)), st.sampled_from((0, 116, 122)))
def test_tails_are_marked_as_one_by_one(before: int, count: int, behind: int, head: int, crowd: int) -> None:
    """Blocks of 4 pages in a larger reservation; `head` pages of each stay as they are."""
    both = []
    for _ in range(2):
        memblock, ears = engine("6.12")
        memblock.allow_resize()
        memblock.add(0, 1024 * PAGE_SIZE)
        for number in range(crowd):
            memblock.reserve((500 + 2 * number) * PAGE_SIZE, PAGE_SIZE)
        memblock.reserve(64 * PAGE_SIZE, (before + 4 * count + behind) * PAGE_SIZE)
        both.append((memblock, ears))
    base = (64 + before) * PAGE_SIZE
    both[0][0].reserved_mark_noinit_tails(base, 4 * PAGE_SIZE, count, head * PAGE_SIZE)
    for start in range(base, base + 4 * count * PAGE_SIZE, 4 * PAGE_SIZE):
        both[1][0].reserved_mark_noinit(start + head * PAGE_SIZE, (4 - head) * PAGE_SIZE)
    (bulk, heard), (single, others) = both
    assert list(bulk.reserved) == list(single.reserved)
    assert bulk.reserved.max == single.reserved.max
    assert heard.heard == others.heard
    marked = {
        page
        for start, size, _, flags in bulk.reserved
        if flags & MEMBLOCK_RSRV_NOINIT
        for page in range(start // PAGE_SIZE, (start + size) // PAGE_SIZE)
    }
    first = 64 + before
    assert marked == {first + 4 * block + page for block in range(count) for page in range(head, 4)}


@pytest.mark.parametrize(("crowd", "passes"), [(20, 1), (126, 2)])
def test_each_growth_on_the_way_gives_reservations_their_nodes_once_more(crowd: int, passes: int) -> None:
    """The hand-over tells of memory without a map once a pass; a reservation across nodes splits, which takes room."""
    memblock, _ = engine("6.18")
    memblock.allow_resize()
    memblock.add_node(PAGE_SIZE, 64 * MIB - PAGE_SIZE, 0)
    memblock.add_node(64 * MIB, 64 * MIB, 1)
    memblock.mark_nomap(100 * MIB, MIB)
    for number in range(crowd):
        memblock.reserve(MIB + 2 * number * PAGE_SIZE, PAGE_SIZE)
    memblock.reserve(63 * MIB, 2 * MIB)
    kept = memblock.free_all().kept
    assert kept[:passes] == [(100 * MIB, 101 * MIB)] * passes
    assert kept[passes:] == [(base, base + size) for base, size, _, _ in memblock.reserved]
    nodes = {(base, size): nid for base, size, nid, _ in memblock.reserved}
    assert nodes[63 * MIB, MIB] == 0
    assert nodes[64 * MIB, MIB] == 1
    assert nodes[MIB, PAGE_SIZE] == 0


NODES = [(0, 4, 0), (4, 4, 1), (12, 2, 0), (16, 1, -1)]


@pytest.mark.parametrize("version", ["3.13", "6.1", "6.12", "7.1"])
def test_pages_by_node(version: str) -> None:
    """A node's own, or all: where none is asked for, by MAX_NUMNODES, and by what is no node since 6.10."""
    memblock, _ = engine(version)
    for first, count, nid in NODES:
        memblock.add_node(first * PAGE_SIZE, count * PAGE_SIZE, nid)
    every = [(first, first + count, nid) for first, count, nid in NODES]
    assert memblock.pfn_ranges(0) == [(0, 4, 0), (12, 14, 0)]
    assert memblock.pfn_ranges(1) == [(4, 8, 1)]
    assert memblock.pfn_ranges(7) == []
    assert memblock.pfn_ranges(None) == memblock.pfn_ranges(MAX_NUMNODES) == every
    assert memblock.pfn_ranges(-1) == ([every[-1]] if version in ("3.13", "6.1") else every)


def test_scratch_areas_take_all_allocations_until_they_are_opened() -> None:
    memblock, _ = engine("7.1")
    memblock.current_limit = 64 * MIB
    memblock.add_node(0, 64 * MIB, 0)
    memblock.mark_kho_scratch(8 * MIB, 2 * MIB)
    memblock.scratch_only = True
    assert memblock.alloc_try_nid(MIB, MIB, 0, 0, 0) == 9 * MIB
    assert memblock.alloc_try_nid(MIB, MIB, 0, 0, 0) == 8 * MIB
    memblock.scratch_only = False
    assert memblock.alloc_try_nid(MIB, MIB, 0, 0, 0) == 63 * MIB
    assert len(list(memblock.memory)) == 3
    memblock.clear_kho_scratch(8 * MIB, 2 * MIB)
    assert [region[:2] for region in memblock.memory] == [(0, 64 * MIB)]


def test_the_core_of_bootmem_says_where_nothing_is_free() -> None:
    memblock, _ = engine("3.13")
    memblock.current_limit = 8 * MIB
    memblock.add_node(4 * MIB, 4 * MIB, 0)
    assert memblock.alloc_memory_core_early(0, 4 * MIB, MIB, 0, U64_MAX) == 4 * MIB
    assert memblock.alloc_memory_core_early(0, MIB, MIB, 0, U64_MAX) == 0


def test_tails_of_a_region_that_is_marked_whole_stay_in_it() -> None:
    memblock, _ = engine("6.12")
    memblock.reserve(MIB, MIB)
    memblock.reserved_mark_noinit(MIB, MIB)
    before = list(memblock.reserved)
    memblock.reserved_mark_noinit_tails(MIB, 16 * PAGE_SIZE, 4, PAGE_SIZE)
    assert list(memblock.reserved) == before
    assert before[0][3] == MEMBLOCK_RSRV_NOINIT


KIB = 1024
parts = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12), st.sampled_from((None, 0, 1))), max_size=8)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(
    st.sampled_from(("3.13", "5.10", "6.12", "7.1")),
    parts,
    parts,
    st.lists(st.tuples(st.integers(0, 75), st.integers(0, 12)), min_size=4, max_size=12),
    st.integers(0, 20),
)
def test_questions_against_a_count_of_each_kib(
    version: str,
    memory: list[tuple[int, int, int | None]],
    taken: list[tuple[int, int, int | None]],
    asked: list[tuple[int, int]],
    limit: int,
) -> None:
    """Memory and reservations in KiB, so that pages are held in part; `limit` is in pages."""
    memblock, _ = engine(version)
    ram: dict[int, int | None] = {}
    for first, count, nid in memory:
        memblock.add_node(first * KIB, count * KIB, nid)
        ram.update({kib: nid for kib in range(first, first + count) if kib not in ram})
    reserved: set[int] = set()
    for first, count, _ in taken:
        memblock.reserve(first * KIB, count * KIB)
        reserved |= set(range(first, first + count))
    regions = [(base // KIB, (base + size) // KIB) for base, size, _, _ in memblock.memory]
    assert memblock.start_of_DRAM() == min(ram, default=0) * KIB
    assert memblock.end_of_DRAM() == (max(ram) + 1 if ram else 0) * KIB
    assert memblock.phys_mem_size() == len(ram) * KIB
    assert memblock.reserved_size() == len(reserved) * KIB
    whole = [(-(-low // 4), high // 4) for low, high in regions]
    below = sum(min(high, limit) - min(low, limit) for low, high in whole)
    assert memblock.mem_size_below_pfn(limit) == below * PAGE_SIZE & U64_MAX
    pages = [part for part in whole if part[0] < part[1]]
    assert [(first, end) for first, end, _ in memblock.pfn_ranges(None)] == pages
    for nid in (0, 1):
        assert {first for first, _, _ in memblock.pfn_ranges(nid)} == {
            first for first, _ in pages if ram[first * 4] == nid
        }
    for first, count in asked:
        span = range(first, first + count)
        at, size = first * KIB, count * KIB
        assert memblock.is_memory(at) is (first in ram)
        assert memblock.is_reserved(at + KIB - 1) is (first in reserved)
        assert memblock.is_map_memory(at) is (first in ram)
        inside = any(low <= first < high and span.stop <= high for low, high in regions)
        assert memblock.is_region_memory(at, size) is inside
        if count:
            assert memblock.is_region_reserved(at, size) is bool(reserved & set(span))
            index = next((n for n, (low, high) in enumerate(regions) if low < span.stop and first < high), -1)
            assert memblock.overlaps_region(memblock.memory, at, size) == index
        holder = next(((low, high) for low, high in regions if low <= first // 4 * 4 < high), None)
        expected = holder and (ram[holder[0]], holder[0] // 4, holder[1] // 4)
        assert memblock.search_pfn_nid(first // 4) == expected


def test_a_mark_for_the_kernel_s_own_use_afterwards() -> None:
    memblock, _ = engine("7.1")
    memblock.reserve(0, 8 * PAGE_SIZE)
    memblock.reserved_mark_kern(2 * PAGE_SIZE, 3 * PAGE_SIZE)
    assert memblock.reserved_kern_size(U64_MAX, None) == 3 * PAGE_SIZE
    assert [(base // PAGE_SIZE, size // PAGE_SIZE, flags) for base, size, _, flags in memblock.reserved] == [
        (0, 2, 0),
        (2, 3, MEMBLOCK_RSRV_KERN),
        (5, 3, 0),
    ]


def test_walks_over_an_array_without_regions() -> None:
    """Up to 6.11 there is an empty one in it."""
    for version, empty in (("6.1", [(0, 0)]), ("6.12", [])):
        memblock, _ = engine(version)
        assert memblock.mem_ranges() == memblock.reserved_ranges() == empty
        memblock.add(MIB, MIB)
        memblock.add(2 * MIB, MIB)
        memblock.mark_nomap(2 * MIB, MIB)
        memblock.mark_hotplug(MIB, MIB)
        memblock.reserve(MIB, PAGE_SIZE)
        assert memblock.mem_ranges() == [(MIB, 2 * MIB)]
        assert memblock.reserved_ranges() == [(MIB, MIB + PAGE_SIZE)]


def test_each_free_range_downwards_too() -> None:
    memblock, _ = engine("6.12")
    memblock.add_node(MIB, MIB, 0)
    memblock.add_node(2 * MIB, MIB, 1)
    memblock.reserve(MIB + PAGE_SIZE, PAGE_SIZE)
    up = [(MIB, MIB + PAGE_SIZE, 0), (MIB + 2 * PAGE_SIZE, 2 * MIB, 0), (2 * MIB, 3 * MIB, 1)]
    assert memblock.free_ranges(None) == up
    assert memblock.free_ranges_rev(None) == up[::-1]
    assert memblock.free_ranges(1) == memblock.free_ranges_rev(1) == up[2:]


@pytest.mark.parametrize("mirrored", [True, False])
def test_a_block_on_a_node_is_taken_once_where_memory_is_mirrored(mirrored: bool) -> None:
    """Up to 4.20 each call searches mirrored memory first, then all of the node's (memblock_alloc_nid)."""
    memblock, _ = engine("4.4")
    memblock.add_node(0, 64 * MIB, 0)
    memblock.add_node(64 * MIB, 64 * MIB, 1)
    memblock.mark_mirror((16 if mirrored else 80) * MIB, 8 * MIB)
    assert memblock.alloc_nid(MIB, MIB, 0) == (23 if mirrored else 63) * MIB
    assert memblock.reserved_size() == MIB


def test_what_is_known_of_a_stretch_of_free_ranges_goes_with_it() -> None:
    """Dozens of free pages, then one range of two pages among as many: it is found when all below is taken."""
    memblock, _ = engine("6.12")
    memblock.allow_resize()
    free = {*range(2, 122, 2), 61}
    memblock.add(0, 122 * PAGE_SIZE)
    for page in sorted(set(range(122)) - free):
        memblock.reserve(page * PAGE_SIZE, PAGE_SIZE)
    for end in range(8, 62, 6):
        assert memblock.find(0, end * PAGE_SIZE, 2 * PAGE_SIZE, PAGE_SIZE) == 0
    for page in range(2, 60, 2):
        memblock.reserve(page * PAGE_SIZE, PAGE_SIZE)
        assert memblock.find(0, U64_MAX, 2 * PAGE_SIZE, PAGE_SIZE) == 61 * PAGE_SIZE
