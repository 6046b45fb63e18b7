"""The JSON Schema (draft 2020-12) of what ``memplan hotadd --format json`` writes."""

from __future__ import annotations

from typing import Any


def hotadd_schema() -> dict[str, Any]:
    """The schema of a replayed scenario."""
    blocks = _object(
        first=_number("the first block's number: its address divided by the block size"),
        last=_number("the last block's number; the blocks between are alike"),
        node={"type": "string", "pattern": "^node[0-9]+$", "description": "the node that the blocks belong to"},
        state={"enum": ["online", "offline"]},
        zones=_list(
            "as valid_zones tells them: the zone that the blocks are in (none: more than one); of blocks off-line, the "
            "zone that plain online leads to, then the others that are possible",
            {"enum": ["DMA", "DMA32", "Normal", "Movable", "none"]},
        ),
    )
    step = _object(
        step=_number("the step's number, from 0"),
        accepted={
            "type": ["boolean", "null"],
            "description": "whether the step did what it asked for; null where that can't be known before it is tried: "
            "blocks then show the guess that reason names",
        },
        reason={"type": "string", "description": "what became of it, and why"},
        blocks=_list("all memory blocks after the step, upwards", blocks),
        map_bytes=_number("bytes in the memory maps of all added memory, wherever they lie"),
        memtotal={
            "type": ["integer", "null"],
            "minimum": 0,
            "description": "MemTotal in bytes (/proc/meminfo tells it in units of 1024); null where it is not known",
        },
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "memplan hotadd",
        "description": "Memory that is added after boot, step by step. New members may come.",
        **_object(
            block_size=_number("bytes in one memory block"),
            steps=_list("the state after each step of the scenario", step),
            warnings=_list("what to look out for, in the order in which it came up", {"type": "string"}),
        ),
    }


def _object(**members: Any) -> dict[str, Any]:
    return {"type": "object", "properties": members, "required": list(members)}


def _list(text: str, items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "description": text, "items": items}


def _number(text: str) -> dict[str, Any]:
    return {"type": "integer", "minimum": 0, "description": text}
