"""Advice as text: the steps to take, what they cost, and how to see it; or what stays in the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.printable import printable
from memplan.render.sweep import crash_words, node_words
from memplan.units import mem_range, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from memplan.advise.search import Advice, Cost, Refusal

#: So many reservations that nobody can move are told.
_MOST_TOLD = 6


def advice_lines(wanted: Sequence[str], advice: Advice, simulate: str) -> Iterator[str]:
    """The answer in words; `simulate` is the command that shows the changed machine's plan."""
    for line in _lines(wanted, advice, simulate):
        yield printable(line, "")


def _lines(wanted: Sequence[str], advice: Advice, simulate: str) -> Iterator[str]:
    what = " and ".join(wanted)
    if advice.refusal is not None:
        yield from _refusal(what, advice.refusal, advice.plans)
        yield simulate
    elif not advice.steps:
        yield f"{what}: the machine has it already"
        yield simulate
    else:
        yield f"{what}:"
        for number, step in enumerate(advice.steps, 1):
            yield f"  {number}. {step.text}"
        assert advice.cost is not None
        for cost in _costs(advice.cost):
            yield f"  costs: {cost}"
        yield simulate
    yield from (f"not modelled: {text}" for text in advice.limits)


def _refusal(what: str, refusal: Refusal, plans: int) -> Iterator[str]:
    missing = ", ".join(want.text for want in refusal.missing)
    if refusal.immovable:
        yield f"{what}: nothing gives {missing}, as nobody can move what lies there:"
        for own in refusal.immovable[:_MOST_TOLD]:
            yield f"  {mem_range(own.start, own.end)} {own.owner}, node {own.nid}"
        if len(refusal.immovable) > _MOST_TOLD:
            yield f"  and {len(refusal.immovable) - _MOST_TOLD} more"
        yield "  kernelcore= or movablecore= would let parts of the node go off-line, not the node"
        return
    if refusal.proved:
        yield f"{what}: nothing gives {missing}:"
    elif refusal.tried_all:
        yield f"{what}: no option, no place and no mark was found that gives {missing}; all were tried ({plans} plans)"
    else:
        yield f"{what}: no change was found that gives {missing} ({plans} plans); not all were tried"
    for reason in refusal.reasons[:_MOST_TOLD]:
        yield f"  {reason}"
    if refusal.apart:
        yield "  each of these wishes can be had without the others"


def _costs(cost: Cost) -> Iterator[str]:
    if cost.lost_nodes:
        yield f"{node_words(list(cost.lost_nodes))} no longer removable"
    if cost.lost_bytes:
        yield f"{size_text(cost.lost_bytes)} less memory can go off-line"
    if cost.lost_ram:
        yield f"{size_text(cost.lost_ram)} less RAM"
    if cost.crash_before != cost.crash_after and cost.crash_before != "none":
        yield f"{crash_words(cost.crash_after)} instead of {crash_words(cost.crash_before)}"
