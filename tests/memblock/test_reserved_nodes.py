"""The nodes that reserved regions get at the hand-over are those that setting them one after the other gives."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from memplan.memblock.memblock import Memblock
from tests.memblock.engine import Ears, engine

PAGE = 4096
#: It takes the end of a region of memory for its size.
UP_TO_THE_END = "6.6.87"

REGIONS = st.lists(
    st.tuples(st.integers(0, 20), st.integers(1, 60), st.sampled_from([None, 0, 1, 2])), min_size=1, max_size=12
)
TAKEN = st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 40), st.integers(0, 2)), max_size=30)


def made(
    regions: list[tuple[int, int, int | None]], taken: list[tuple[int, int, int]], room: int
) -> tuple[Memblock, Ears]:
    """A memblock with regions of memory, each behind a gap, and reservations; its reserved array has room for some."""
    memblock, ears = engine(UP_TO_THE_END)
    at = 0
    for gap, pages, nid in regions:
        at += gap
        memblock.add_node(at * PAGE, pages * PAGE, nid)
        at += pages
    memblock.current_limit = at * PAGE
    for page, pages, nid in taken:
        memblock.reserve(page * PAGE, pages * PAGE)
        if nid:
            memblock.set_node_reserved(page * PAGE, pages * PAGE, nid)
    memblock.allow_resize()
    memblock.reserved.max = memblock.reserved.cnt + room
    ears.heard.clear()
    return memblock, ears


@given(REGIONS, TAKEN, st.integers(0, 12))
def test_as_the_kernel_sets_them(
    regions: list[tuple[int, int, int | None]], taken: list[tuple[int, int, int]], room: int
) -> None:
    short, told = made(regions, taken, room)
    plain, heard = made(regions, taken, room)
    short.set_reserved_nodes()
    for base, size, nid, _ in list(plain.memory):
        plain.set_node_reserved(base, base + size, nid)
    assert list(short.reserved) == list(plain.reserved)
    assert short.reserved.max == plain.reserved.max
    assert told.heard == heard.heard
