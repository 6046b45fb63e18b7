"""Blocks that are freed in bulk leave what they leave freed one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memplan.kernel.resolve import load_rules
from memplan.memblock.memblock import Memblock

PAGE = 4096


class Heard:
    """A listener that takes runs apart."""

    def __init__(self) -> None:
        self.freed: list[int] = []

    def changed(self, op: str, base: int, size: int, count: int, descending: bool, nid: int | None, flags: int) -> None:
        if op == "free":
            places = range(base, base + size, size // count)
            self.freed += reversed(places) if descending else places

    def message(self, text: str, warning: bool) -> None: ...

    def array_growth(self, name: str) -> None: ...

    def array_grown(self) -> None: ...


@pytest.mark.parametrize("descending", [True, False])
@given(taken=st.sets(st.integers(0, 60), min_size=1, max_size=40), start=st.integers(0, 50), count=st.integers(1, 20))
def test_a_run_is_freed_as_its_blocks_are(descending: bool, taken: set[int], start: int, count: int) -> None:
    memblocks, heard = [], []
    for _ in range(2):
        heard.append(Heard())
        memblock = Memblock(load_rules("6.12").memblock, max_numnodes=64, listener=heard[-1])
        memblock.add(0, 1000 * PAGE)
        for page in sorted(taken):
            memblock.reserve(page * PAGE, PAGE)
        memblocks.append(memblock)
    pages = range(start, start + count)
    memblocks[0].free_run(start * PAGE, count * PAGE, count, descending)
    for page in reversed(pages) if descending else pages:
        memblocks[1].free(page * PAGE, PAGE)
    assert list(memblocks[0].reserved) == list(memblocks[1].reserved)
    assert heard[0].freed == heard[1].freed
