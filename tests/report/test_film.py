"""The film: its frames, put together, are the boot's own arrays."""

from __future__ import annotations

from typing import Any

import pytest

from memplan.events import Change, Checkpoint
from memplan.explain.search import candidates
from memplan.report.film import Delta
from tests.report.pages import EXAMPLES, example


def applied(old: list[Any], delta: Delta[Any]) -> list[Any]:
    """The list behind a step: what went is gone, what came stands in its place."""
    gone = set(delta.gone)
    return sorted([each for at, each in enumerate(old) if at not in gone] + list(delta.come), key=lambda each: each[:2])


@pytest.mark.parametrize("name", [path.stem for path in EXAMPLES])
def test_frames_give_the_arrays_of_each_checkpoint(name: str) -> None:
    shown = example(name)
    memory: list[Any] = []
    reserved: list[Any] = []
    met = 0
    for frame in shown.frames:
        memory, reserved = applied(memory, frame.memory), applied(reserved, frame.reserved)
        events = shown.plan.events[frame.first : frame.last]
        if events and isinstance(events[-1], Checkpoint):
            met += 1
            assert (memory, reserved) == (list(events[-1].memory), list(events[-1].reserved)), frame.step
    assert met, "no checkpoint is the last event of its step: nothing was compared"


@pytest.mark.parametrize("name", [path.stem for path in EXAMPLES])
def test_who_has_what_in_the_end_is_the_plans_answer(name: str) -> None:
    shown = example(name)
    held: list[Any] = []
    for frame in shown.frames:
        held = applied(held, frame.held)
    for start, end, claim in held:
        for own in shown.plan.reservations:
            if own.start < end and start < own.end:
                assert (own.owner, own.step, own.before_srat) == claim
    assert sum(end - start for start, end, _ in held) == sum(own.end - own.start for own in shown.plan.reservations)


def test_frames_share_out_all_events() -> None:
    shown = example("hotplug-nodes")
    assert [frame.first for frame in shown.frames[1:]] == [frame.last for frame in shown.frames[:-1]]
    assert (shown.frames[0].first, shown.frames[-1].last) == (0, len(shown.plan.events))


def test_bottom_up_turns_when_the_srat_is_read() -> None:
    frames = example("hotplug-nodes").frames
    up = [frame.step for frame in frames if frame.bottom_up]
    assert up, "movable_node allocates bottom-up at first"
    assert not frames[-1].bottom_up
    assert all(frame.before_srat for frame in frames if frame.bottom_up)


def test_searches_are_those_of_explain() -> None:
    shown = example("blocked-by-acpi")
    numbers = [at for at, event in enumerate(shown.plan.events) if isinstance(event, Change) and event.request]
    assert numbers
    for number in numbers:
        event = shown.plan.events[number]
        assert isinstance(event, Change)
        assert event.request is not None
        assert shown.searches[number] == candidates(shown.machine, shown.kernel, event.request, number)
