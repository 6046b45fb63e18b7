"""The trace, against what real kernels of the four versions printed."""

from __future__ import annotations

import itertools

import pytest

from memplan.events import Call, Change, Message, Refused, Request
from memplan.plan import End
from memplan.render.trace import trace_lines
from tests.render.plans import VERSIONS, a_plan, called, log_lines, log_plan, wording


@pytest.mark.parametrize("version", VERSIONS)
def test_words_every_line_as_the_real_kernel(version: str) -> None:
    lines = log_lines(version)
    assert len(lines) > 80
    assert list(trace_lines(log_plan(version))) == lines


def test_what_the_kernel_does_not_log_is_left_out_unless_asked_for() -> None:
    events = (
        Change("reserve", 0x1000, 0x2000, "step", called("owner"), "early", logged=False),
        Message("a line that is always printed", "step"),
        Refused(Request(Call.TRY_NID, 4096, 64, nid=1), "step", called("owner"), "asker", logged=False),
        Change("reserve", 0x5000, 0x6000, "step", called("owner"), "later"),
    )
    plan = a_plan(events=events)
    assert list(trace_lines(plan)) == [
        "a line that is always printed",
        "memblock_reserve: [0x0000000000005000-0x0000000000005fff] later",
    ]
    assert list(trace_lines(plan, everything=True)) == [
        "memblock_reserve: [0x0000000000001000-0x0000000000001fff] early",
        "a line that is always printed",
        "memblock_alloc_try_nid: 4096 bytes align=0x40 nid=1 from=0x0000000000000000 max_addr=0x0000000000000000 asker",
        "memblock_reserve: [0x0000000000005000-0x0000000000005fff] later",
    ]


@pytest.mark.parametrize(("descending", "digits"), [(True, "32"), (False, "23")])
def test_a_run_is_unrolled_in_the_order_of_its_requests(descending: bool, digits: str) -> None:
    ask = Request(Call.PHYS_RANGE, 4096, 4096, count=2)
    run = Change("reserve", 0x2000, 0x4000, "s", called("o"), "c", count=2, descending=descending, request=ask)
    lines = list(trace_lines(a_plan(events=(run,))))
    window = "from=0x0000000000000000 max_addr=0x0000000000000000"
    assert lines[::2] == [f"memblock_phys_alloc_range: 4096 bytes align=0x1000 {window} c"] * 2
    assert lines[1::2] == [
        f"memblock_reserve: [0x000000000000{d}000-0x000000000000{d}fff] memblock_alloc_range_nid" for d in digits
    ]


def test_a_run_of_millions_is_read_lazily() -> None:
    run = Change("reserve", 0, 33_000_000 * 4096, "s", called("o"), "alloc_low_pages", count=33_000_000)
    first = list(itertools.islice(trace_lines(a_plan(events=(run,))), 2))
    assert first == [
        "memblock_reserve: [0x0000001f78a3f000-0x0000001f78a3ffff] alloc_low_pages",
        "memblock_reserve: [0x0000001f78a3e000-0x0000001f78a3efff] alloc_low_pages",
    ]


def test_3_13_prints_no_line_for_add_and_remove() -> None:
    events = tuple(Change(op, 0, 4096, "s", called("o"), "c") for op in ("add", "remove", "free"))
    assert list(trace_lines(a_plan(events=events, wording=wording("3.13")))) == [
        "   memblock_free: [0x00000000000000-0x00000000001000] c"
    ]


def test_a_boot_that_dies_ends_in_the_kernels_last_words() -> None:
    plan = a_plan(events=(), end=End(False, "initmem_init", "the last words", "no memory"))
    assert list(trace_lines(plan)) == ["the last words"]
