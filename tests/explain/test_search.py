"""The search that is shown is the one that was made: it takes the place that the plan has."""

from __future__ import annotations

from pathlib import Path

import pytest

import memplan
from memplan.events import Change, Refused
from memplan.explain.search import candidates
from memplan.kernel.load import find_kernel

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))


@pytest.mark.parametrize("kernel", [None, "3.13", "4.4", "4.19", "5.10", "6.18"])
@pytest.mark.parametrize("path", EXAMPLES[::2], ids=lambda path: path.stem)
def test_the_candidate_taken_is_where_the_plan_has_it(path: Path, kernel: str | None) -> None:
    machine = memplan.load_machine(path)
    found = find_kernel(kernel or machine.kernel.build)
    plan = memplan.simulate(machine, kernel=found)
    asked = [
        (number, event)
        for number, event in enumerate(plan.events)
        if isinstance(event, (Change, Refused))
        and event.request is not None
        and getattr(event, "op", "reserve") == "reserve"
    ]
    assert asked
    step = max(1, len(asked) // 12)
    for number, event in asked[::step]:
        assert event.request is not None
        seen = candidates(machine, found, event.request, number)
        if isinstance(event, Refused):
            assert all(candidate.refusal for candidate in seen)
            continue
        size = (event.end - event.start) // event.count
        first = event.end - size if event.descending else event.start
        assert [candidate.address for candidate in seen if candidate.address] == [first], event
        assert seen[-1].refusal is None
