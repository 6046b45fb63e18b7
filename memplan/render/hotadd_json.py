"""Added memory as JSON, for programs; memplan/render/hotadd_schema.py says what each part means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memplan.render.json_ import document_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.hotadd.result import BlockRange, HotaddPlan, StepResult


def hotadd_lines(result: HotaddPlan) -> Iterator[str]:
    """The JSON text of `result`, line by line."""
    return document_lines(hotadd_document(result))


def hotadd_document(result: HotaddPlan) -> dict[str, Any]:
    """`result` as the object that is written: dicts, lists, strings, numbers."""
    return {
        "block_size": result.block_size,
        "steps": [_step(step) for step in result.steps],
        "warnings": list(result.warnings),
    }


def _step(step: StepResult) -> dict[str, Any]:
    return {
        "step": step.number,
        "accepted": step.accepted,
        "reason": step.reason,
        "blocks": [_blocks(blocks) for blocks in step.blocks],
        "map_bytes": step.map_bytes,
        "memtotal": step.total,
    }


def _blocks(blocks: BlockRange) -> dict[str, Any]:
    return {
        "first": blocks.first,
        "last": blocks.last,
        "node": f"node{blocks.nid}",
        "state": blocks.state,
        "zones": list(blocks.zones),
    }
