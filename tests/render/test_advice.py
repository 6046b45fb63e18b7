"""Advice in words: what stays in the way, how sure that is, and what a change costs."""

from __future__ import annotations

from pathlib import Path

import pytest

import memplan
from memplan.advise.search import Advice, Cost, Refusal
from memplan.render.advice import advice_lines
from memplan.sweep.wants import Want

PLAN = memplan.simulate(memplan.load_machine(Path(__file__).parents[2] / "examples" / "blocked-by-acpi.yaml"))
WANTED = ["removable:all"]
FREE = Cost((), "none", "none", 0, 0)
REFUSAL = Refusal((Want("removable:node1"),), (), (), apart=False, proved=False, tried_all=False)


def told(refusal: Refusal | None = None, cost: Cost = FREE, steps: int = 0) -> list[str]:
    own = Advice((), None, None, refusal, 7, ())  # type: ignore[arg-type]
    if steps:
        own = own._replace(cost=cost, steps=tuple(_Step(f"do {number}") for number in range(steps)))  # type: ignore[misc]
    return list(advice_lines(WANTED, own, "memplan simulate m.yaml"))


class _Step:
    def __init__(self, text: str) -> None:
        self.text = text


@pytest.mark.parametrize(
    ("proved", "tried_all", "text"),
    [
        (True, True, "removable:all: nothing gives removable:node1:"),
        (False, True, "was found that gives removable:node1; all were tried (7 plans)"),
        (False, False, "no change was found that gives removable:node1 (7 plans); not all were tried"),
    ],
)
def test_how_sure_a_refusal_is(proved: bool, tried_all: bool, text: str) -> None:
    head, *rest = told(REFUSAL._replace(proved=proved, tried_all=tried_all, reasons=("a reason",)))
    assert head.endswith(text)
    assert rest == ["  a reason", "memplan simulate m.yaml"]


def test_wishes_that_only_together_are_too_many() -> None:
    assert "  each of these wishes can be had without the others" in told(REFUSAL._replace(apart=True))
    assert "  each of these wishes can be had without the others" not in told(REFUSAL)


@pytest.mark.parametrize("count", [1, 6, 8])
def test_what_nobody_can_move_is_told_up_to_a_number(count: int) -> None:
    immovable = tuple(PLAN.reservations[:count])
    lines = told(REFUSAL._replace(immovable=immovable))
    assert lines[0].startswith("removable:all: nothing gives removable:node1, as nobody can move what lies there:")
    named = [line for line in lines if line.startswith("  [mem 0x")]
    assert len(named) == min(count, 6)
    assert named[0].endswith(f"{immovable[0].owner}, node {immovable[0].nid}")
    assert [line for line in lines if "more" in line.split()] == ([f"  and {count - 6} more"] if count > 6 else [])


@pytest.mark.parametrize(
    ("cost", "text"),
    [
        (FREE._replace(lost_nodes=(1, 2)), "nodes 1-2 no longer removable"),
        (FREE._replace(lost_bytes=1 << 30), "1G less memory can go off-line"),
        (FREE._replace(lost_ram=1 << 20), "1M less RAM"),
        (FREE._replace(crash_before="low", crash_after="none"), " instead of "),
    ],
)
def test_what_a_change_costs(cost: Cost, text: str) -> None:
    lines = told(cost=cost, steps=2)
    assert lines[:3] == ["removable:all:", "  1. do 0", "  2. do 1"]
    (line,) = (line for line in lines if "costs: " in line)
    assert text in line
    assert not any("costs" in line for line in told(cost=FREE._replace(crash_after="low"), steps=1))
