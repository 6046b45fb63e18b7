"""Where blocks lie at unknown places: what is told of each allocation holds for where memblock itself puts it."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from memplan.boot.memory import Memory
from memplan.boot.record import Recorder
from memplan.kernel.load import find_kernel
from memplan.memblock.memblock import Run
from memplan.owner import Purpose
from memplan.sweep.rough import Open, RoughMemory, Taken
from memplan.sweep.vague import Undecided, limits
from memplan.units import MIB, PAGE_SIZE

OWNER = Purpose.PERCPU
SIZES = [64, 200, 2048, PAGE_SIZE, 3 * PAGE_SIZE, 10_000, 64 << 10, MIB, 2 * MIB, 5 * MIB, 17 * MIB]
ALIGNS = [64, PAGE_SIZE, 64 << 10, 2 * MIB]


class Ask(NamedTuple):
    """What is asked for; or where it is `beside`, a block of that size in the same 16 MiB as the last one."""

    size: int
    align: int
    count: int  # type: ignore[assignment]  # in the place of tuple's method
    low: int
    high: int
    nid: int | None
    beside: bool


@st.composite
def asks(draw: st.DrawFn) -> Ask:
    low, high = draw(st.sampled_from([(0, 0), (0, 0), (0, 0), (16 * MIB, 0), (0, 90 * MIB), (40 * MIB, 100 * MIB)]))
    size, align = draw(st.sampled_from(SIZES)), draw(st.sampled_from(ALIGNS))
    count = draw(st.sampled_from([1, 1, 2, 7, 60])) if size % align == 0 else 1
    return Ask(size, align, count, low, high, draw(st.sampled_from([None, 0, 1])), draw(st.booleans()))


@st.composite
def reserved(draw: st.DrawFn) -> tuple[int, int]:
    """Something that is reserved, of whole pages or not, in the first 128 MiB."""
    unit = draw(st.sampled_from([64, PAGE_SIZE, MIB]))
    start = draw(st.integers(0, 120 * MIB // unit)) * unit
    return start, start + draw(st.integers(1, 8 * MIB // unit)) * unit


def asked(memory: Memory, ask: Ask, last: int | None) -> list[Run]:
    size, align, count, low, high, nid, _ = ask
    if last is not None and ask.beside:
        found = memory.alloc_beside(last, size, 16 * MIB, lambda at: int(at >= 64 * MIB), owner=OWNER, caller="")
        return [Run(found, found + size, 1, True)] if found else []
    return memory.alloc_runs(count, size, align, owner=OWNER, caller="", min_addr=low, max_addr=high, nid=nid, raw=True)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(reserved(), max_size=3),
    st.lists(reserved(), max_size=2),
    st.sampled_from(["not hot", "hot", "open"]),
    st.booleans(),
    st.sampled_from(["3.13.10", "4.12.0", "4.19.72", "5.10.89", "6.12.107", "6.18.8", "7.2.13", "7.3.4"]),
    st.lists(asks(), min_size=1, max_size=25),
)
def test_a_block_lies_where_it_is_told_to_lie(
    known: list[tuple[int, int]],
    hidden: list[tuple[int, int]],
    marks: str,
    hot: bool,
    version: str,
    requests: list[Ask],
) -> None:
    """Two nodes of 64 MiB, the second hot-pluggable or not, with `hidden` reservations of which only sizes are told.

    Where its mark is open, it is told alone that it has none, and not even that where it has one.
    """
    memory = Memory(find_kernel(version), Recorder(tells=False))
    memblock = memory.memblock
    memory.add(0, 128 * MIB, owner=Purpose.RAM, caller="")
    for nid in (0, 1):
        memory.set_node(nid * 64 * MIB, (nid + 1) * 64 * MIB, nid)
    second = (64 * MIB, 128 * MIB)
    if marks == "open":
        open_memory = Open(frozenset([second]), None if hot else second)
        known = []
    else:
        open_memory, hot = Open(), marks == "hot"
    memblock.movable_node = hot or marks == "open"
    if hot:
        memory.mark_hotplug(*second)
    memblock.current_limit = 128 * MIB
    memblock.allow_resize()
    for start, end in known + hidden:
        memory.reserve(start, end, owner=OWNER, caller="")
    loose = [Taken(0, 128 * MIB, end - start) for start, end in hidden]
    rough = RoughMemory(memory, known, loose, memblock.reserved.cnt, open_memory, [])
    last = told_last = None
    for ask in requests:
        try:
            told = asked(rough, ask, told_last)
        except Undecided:
            return
        if True in rough.assumptions:
            # It may have found room, or may not: that there is none is another way.
            return
        runs = asked(memory, ask, last)
        count = 1 if ask.beside and last is not None else ask.count
        assert sum(run.count for run in runs) == (count if told else 0)
        if count == 1 and runs:
            last, told_last = runs[0].start, told[0].start
        for run in runs:
            (low, _), (_, high) = limits(told[0].start), limits(told[0].end)
            assert low <= run.start
            assert run.end <= high
            assert any(first < run.end and end > run.start for first, end in rough.touched())
