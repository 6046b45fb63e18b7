"""Many machines as JSON: an object for each plan, and what the second of two kernels changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memplan.owner import CRASH_KERNEL
from memplan.render.summary import lost_nodes, memory, staying_nodes, whole_nodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memplan.render.summary import Planned

#: Raised when a member changes its meaning or goes.
VERSION = 1


def summary_document(plans: Sequence[Planned], kernels: Sequence[str]) -> dict[str, Any]:
    """The plans as JSON has them; `changes` where there are two `kernels`, whose plans of a machine are neighbours."""
    pairs = [(plans[at], plans[at + 1]) for at in range(0, len(plans), 2)] if len(kernels) == 2 else []
    return {
        "format": "memplan summary",
        "version": VERSION,
        "plans": [_object(planned) for planned in plans],
        "changes": [
            {
                "machine": before[0],
                "kernels": list(kernels),
                "removable": [before[2].movable_size, after[2].movable_size],
                "nodes_lost": sorted(lost_nodes(before[2], after[2])),
                "nodes_gained": sorted(lost_nodes(after[2], before[2])),
            }
            for before, after in pairs
        ],
    }


def _object(planned: Planned) -> dict[str, Any]:
    path, kernel, plan = planned
    return {
        "machine": path,
        "kernel": kernel or plan.kernel,
        "completed": plan.end.completed,
        "cause": plan.end.cause,
        "nodes": len(plan.nodes),
        "memory": memory(plan),
        "removable": plan.movable_size,
        "nodes_that_go": sorted(whole_nodes(plan)),
        "hotplug_that_stays": sorted(staying_nodes(plan)),
        "crash_kernel": plan.size_of(CRASH_KERNEL),
        "not_modelled": list(plan.limits),
        "unheeded_options": list(plan.unheeded),
        "warnings": [message.text for message in plan.warnings],
    }


def summary_schema() -> dict[str, Any]:
    """The schema of what ``memplan simulate --summary --format json`` writes."""
    text, size, flag = {"type": "string"}, {"type": "integer", "description": "bytes"}, {"type": "boolean"}
    texts = {"type": "array", "items": text}
    nodes = {"type": "array", "items": {"type": "integer"}, "description": "node numbers"}
    plan = {
        "machine": {**text, "description": "the description's file"},
        "kernel": text,
        "completed": {**flag, "description": "whether the boot comes to its end"},
        "cause": {**text, "description": "why it doesn't"},
        "nodes": {"type": "integer", "description": "how many there are"},
        "memory": size,
        "removable": size,
        "nodes_that_go": {**nodes, "description": "nodes all of whose memory blocks can go off-line"},
        "hotplug_that_stays": {**nodes, "description": "nodes with hot-pluggable memory that can't be removed"},
        "crash_kernel": size,
        "not_modelled": {**texts, "description": "what the boot asks for and is not replayed"},
        "unheeded_options": {**texts, "description": "boot options about memory that the kernel does not know"},
        "warnings": texts,
    }
    change = {
        "machine": text,
        "kernels": {**texts, "minItems": 2, "maxItems": 2},
        "removable": {"type": "array", "items": size, "minItems": 2, "maxItems": 2},
        "nodes_lost": {**nodes, "description": "nodes of which the second kernel can remove less"},
        "nodes_gained": {**nodes, "description": "nodes of which it can remove more"},
    }
    members = {
        "format": {"const": "memplan summary"},
        "version": {"const": VERSION},
        "plans": {"type": "array", "items": {"type": "object", "properties": plan, "required": [*plan]}},
        "changes": {
            "type": "array",
            "description": "A machine each, where two kernels are given; else none.",
            "items": {"type": "object", "properties": change, "required": [*change]},
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "memplan summary",
        "type": "object",
        "properties": members,
        "required": [*members],
    }
