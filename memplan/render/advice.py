"""Advice as text and as JSON: the steps to take, what they cost, and how to see it; or what stays in the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
        yield f"{what}: nothing gives {missing}, whatever options, boot loader and firmware do (plans made: {plans})"
    else:
        yield f"{what}: no change was found that gives {missing} (plans made: {plans}); there may be one"
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


def advice_document(
    path: str, kernel: str | None, wanted: Sequence[str], advice: Advice, simulate: str
) -> dict[str, Any]:
    """The answer as JSON has it."""
    cost, refusal = advice.cost, advice.refusal
    return {
        "format": "memplan advice",
        "version": 1,
        "machine": path,
        "kernel": kernel,
        "want": list(wanted),
        "met": refusal is None,
        "steps": [
            {"by": step.hand.name.lower(), "text": step.text, "settings": dict(step.settings)} for step in advice.steps
        ],
        "cost": None
        if cost is None
        else {
            "lost_nodes": list(cost.lost_nodes),
            "lost_bytes": cost.lost_bytes,
            "lost_ram": cost.lost_ram,
            "crash_kernel_before": cost.crash_before,
            "crash_kernel_after": cost.crash_after,
        },
        "proved": refusal is not None and refusal.proved,
        "immovable": [
            {"start": own.start, "end": own.end - 1, "node": own.nid, "owner": str(own.owner)}
            for own in (refusal.immovable if refusal is not None else ())
        ],
        "missing": [want.text for want in refusal.missing] if refusal is not None else [],
        "reasons": list(refusal.reasons) if refusal is not None else [],
        "apart": refusal is not None and refusal.apart,
        "not_modelled": list(advice.limits),
        "plans": advice.plans,
        "simulate": simulate,
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
            "lost_ram": {**number, "description": "less RAM"},
            "crash_kernel_before": place,
            "crash_kernel_after": place,
        },
        "required": ["lost_nodes", "lost_bytes", "lost_ram", "crash_kernel_before", "crash_kernel_after"],
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
        "proved": {"type": "boolean", "description": "whether it is certain that nothing gives all that is wanted"},
        "immovable": {"type": "array", "items": reservation},
        "missing": {**texts, "description": "the wishes that the best change leaves open"},
        "reasons": {**texts, "description": "what stands in their way"},
        "apart": {"type": "boolean", "description": "whether each wish can be had without the others"},
        "not_modelled": {**texts, "description": "what the machine asks for and is not replayed"},
        "plans": {**number, "description": "how many plans were made"},
        "simulate": {**text, "description": "the command that shows the plan, with the steps taken"},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "memplan advice",
        "type": "object",
        "properties": properties,
        "required": list(properties),
    }
