"""The trace: the lines that the plan's kernel prints with ``memblock=debug``, without time stamps.

Callers are plain symbols, for offsets belong to one build.  Runs of equal requests are unrolled one by one while
the lines are read, so a trace of millions of lines needs no more memory than one of ten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.plan import Change, Checkpoint
from memplan.units import U64_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.plan import Plan, Region


def trace_lines(plan: Plan, *, everything: bool = False) -> Iterator[str]:
    """The lines of `plan`'s trace, in order and without line ends.

    Left out, unless `everything` is asked for, is what happens before the kernel has parsed ``memblock=debug``.
    A boot that dies ends in the kernel's last words.
    """
    old = plan.trace_style == "3.13"
    dump = _dump_3_13 if old else _dump
    for event in plan.events:
        if isinstance(event, Checkpoint):
            if event.dumped:
                yield from dump(event)
        elif event.logged or everything:
            if not isinstance(event, Change):
                yield event.text
            elif not old:
                yield from _change(event, plan.free_line)
            elif event.op in ("reserve", "free"):
                yield from _change_3_13(event)
    if not plan.end.completed:
        yield plan.end.text


def single_ranges(change: Change) -> Iterator[tuple[int, int]]:
    """The ``[start, end)`` of each request of a run, in the order in which they were made."""
    if change.count == 1:
        yield change.start, change.end
        return
    size = (change.end - change.start) // change.count
    starts = range(change.start, change.end, size)
    for start in reversed(starts) if change.descending else starts:
        yield start, start + size


def _change(change: Change, free_line: str) -> Iterator[str]:
    """5.10 on: inclusive, sixteen digits; the request stands before what it was granted."""
    name = free_line if change.op == "free" else f"memblock_{change.op}"
    for start, end in single_ranges(change):
        if change.request:
            yield change.request
        yield f"{name}: [{start:#018x}-{end - 1 & U64_MAX:#018x}] {change.caller}"


def _change_3_13(change: Change) -> Iterator[str]:
    """3.13: half-open, fourteen digits; only memblock_reserve and memblock_free print a line."""
    name = "memblock_reserve" if change.op == "reserve" else "   memblock_free"
    for start, end in single_ranges(change):
        yield f"{name}: [{start:#016x}-{end:#016x}] {change.caller}"


def _dump(point: Checkpoint) -> Iterator[str]:
    yield "MEMBLOCK configuration:"
    yield f" memory size = {point.memory_size:#018x} reserved size = {point.reserved_size:#018x}"
    for name, count, regions in _arrays(point):
        yield f" {name}.cnt  = {count:#x}"
        for index, region in enumerate(regions):
            node = "" if region.nid is None else f" on node {region.nid}"
            yield (
                f" {name}[{index:#x}]\t[{region.start:#018x}-{region.end - 1 & U64_MAX:#018x}], "
                f"{region.end - region.start:#018x} bytes{node} flags: {region.flags:#x}"
            )


def _dump_3_13(point: Checkpoint) -> Iterator[str]:
    yield "MEMBLOCK configuration:"
    yield f" memory size = {point.memory_size:#x} reserved size = {point.reserved_size:#x}"
    for name, count, regions in _arrays(point):
        yield f" {name}.cnt  = {count:#x}"
        for index, region in enumerate(regions):
            node = "" if region.nid is None else f" on node {region.nid}"
            yield (
                f" {name}[{index:#x}]\t[{region.start:#016x}-{region.end - 1 & U64_MAX:#016x}], "
                f"{region.end - region.start:#x} bytes{node}"
            )


def _arrays(point: Checkpoint) -> tuple[tuple[str, int, tuple[Region, ...]], ...]:
    return (("memory", point.memory_cnt, point.memory), ("reserved", point.reserved_cnt, point.reserved))
