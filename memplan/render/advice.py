"""Advice as text and as JSON: the steps to take, what they cost, and how to see it; or what stays in the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memplan.printable import printable
from memplan.render.sweep import crash_words, node_words
from memplan.units import mem_range, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from memplan.advise import Advice, Cost

#: So many reservations that nobody can move are told.
_MOST_TOLD = 6


def advice_lines(wanted: Sequence[str], advice: Advice, simulate: str) -> Iterator[str]:
    """The answer in words; `simulate` is the command that shows the changed machine's plan."""
    for line in _lines(wanted, advice, simulate):
        yield printable(line, "")


def _lines(wanted: Sequence[str], advice: Advice, simulate: str) -> Iterator[str]:
    what = " and ".join(wanted)
    if advice.steps is None:
        yield from _refusal(what, advice)
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


def _refusal(what: str, advice: Advice) -> Iterator[str]:
    missing = ", ".join(want.text for want in advice.missing)
    if not advice.immovable:
        yield f"{what}: no change was found that gives {missing}; {advice.plans} plans were made"
        return
    yield f"{what}: nothing gives {missing}, as nobody can move what lies there:"
    for own in advice.immovable[:_MOST_TOLD]:
        yield f"  {mem_range(own.start, own.end)} {own.owner}, node {own.nid}"
    if len(advice.immovable) > _MOST_TOLD:
        yield f"  and {len(advice.immovable) - _MOST_TOLD} more"


def _costs(cost: Cost) -> Iterator[str]:
    if cost.lost_nodes:
        yield f"{node_words(list(cost.lost_nodes))} no longer removable"
    if cost.lost_bytes:
        yield f"{size_text(cost.lost_bytes)} less memory can go off-line"
    if cost.crash_before != cost.crash_after and cost.crash_before != "none":
        yield f"{crash_words(cost.crash_after)} instead of {crash_words(cost.crash_before)}"


def advice_document(
    path: str, kernel: str | None, wanted: Sequence[str], advice: Advice, simulate: str
) -> dict[str, Any]:
    """The answer as JSON has it."""
    cost = advice.cost
    return {
        "format": "memplan advice",
        "version": 1,
        "machine": path,
        "kernel": kernel,
        "want": list(wanted),
        "met": advice.steps is not None,
        "steps": [
            {"by": step.hand.name.lower(), "text": step.text, "settings": dict(step.settings)}
            for step in advice.steps or ()
        ],
        "cost": None
        if cost is None
        else {
            "lost_nodes": list(cost.lost_nodes),
            "lost_bytes": cost.lost_bytes,
            "crash_kernel_before": cost.crash_before,
            "crash_kernel_after": cost.crash_after,
        },
        "immovable": [
            {"start": own.start, "end": own.end - 1, "node": own.nid, "owner": str(own.owner)}
            for own in advice.immovable
        ],
        "missing": [want.text for want in advice.missing],
        "not_modelled": list(advice.limits),
        "simulate": simulate if advice.steps is not None else None,
    }


def advice_schema() -> dict[str, Any]:
    """The schema of what ``memplan advise --format json`` writes."""
    text, number = {"type": "string"}, {"type": "integer"}
    place = {"enum": ["low", "high", "none"]}
    texts = {"type": "array", "items": text}
    step = {
        "type": "object",
        "properties": {
            "by": {"enum": ["option", "loader", "firmware"], "description": "who has to take the step"},
            "text": text,
            "settings": {
                "type": "object",
                "additionalProperties": text,
                "description": "fields by their paths, and boot options, with their new values",
            },
        },
        "required": ["by", "text", "settings"],
    }
    cost = {
        "type": ["object", "null"],
        "description": "what the change costs elsewhere",
        "properties": {
            "lost_nodes": {"type": "array", "items": number},
            "lost_bytes": {**number, "description": "less memory that can go off-line"},
            "crash_kernel_before": place,
            "crash_kernel_after": place,
        },
        "required": ["lost_nodes", "lost_bytes", "crash_kernel_before", "crash_kernel_after"],
    }
    reservation = {
        "type": "object",
        "description": "what nobody can move; its end is inclusive",
        "properties": {"start": number, "end": number, "node": {"type": ["integer", "null"]}, "owner": text},
        "required": ["start", "end", "node", "owner"],
    }
    properties = {
        "format": {"const": "memplan advice"},
        "version": {"const": 1},
        "machine": text,
        "kernel": {"type": ["string", "null"]},
        "want": texts,
        "met": {"type": "boolean", "description": "whether the steps give all that is wanted"},
        "steps": {"type": "array", "items": step},
        "cost": cost,
        "immovable": {"type": "array", "items": reservation},
        "missing": {**texts, "description": "the wishes that stay open"},
        "not_modelled": {**texts, "description": "what the changed machine asks for and is not replayed"},
        "simulate": {"type": ["string", "null"], "description": "the command that shows the plan"},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "memplan advice",
        "type": "object",
        "properties": properties,
        "required": list(properties),
    }
