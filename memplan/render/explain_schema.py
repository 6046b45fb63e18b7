"""The JSON Schema of what ``memplan explain --format json`` writes (draft 2020-12)."""

from __future__ import annotations

from typing import Any

from memplan.render import explain

_SPAN = {
    "start": {"type": "integer", "description": "first byte"},
    "end": {"type": "integer", "description": "last byte"},
}


def explain_schema() -> dict[str, Any]:
    """The schema of an explanation; the parts of an answer have its form."""
    members = _answer()
    remarks = {
        "not_modelled": _texts("what the boot asks for and is not replayed"),
        "unheeded_options": _texts("boot options about memory that the kernel does not know"),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "memplan explanation",
        "description": "An answer about one address, node, owner, boot step, or DIMM added after boot. Addresses and "
        "sizes are bytes, and every end is the last byte.",
        "$defs": {"part": {"type": "object", "properties": members, "required": [*members]}},
        "type": "object",
        "properties": {
            "format": {"const": "memplan explanation"},
            "version": {"const": explain.VERSION},
            **members,
            **remarks,
        },
        "required": ["format", "version", *members, *remarks],
    }


def _answer() -> dict[str, Any]:
    return {
        "kind": {"enum": ["address", "node", "owner", "step", "DIMM"]},
        "subject": _text("what the answer is about"),
        "answer": _text("the answer in a sentence"),
        "range": _maybe(_object(**_SPAN)),
        "owner": _maybe(_text("what the memory is for")),
        "step": _maybe(_text("the boot step")),
        "node": _maybe({"type": "integer", "description": "node number"}),
        "request": _maybe(_request()),
        "candidates": {
            "type": "array",
            "description": "The free ranges in the order in which memblock looked at them.",
            "items": _object(
                **_SPAN,
                node=_maybe({"type": "integer"}),
                **{"try": {"type": "integer", "description": "which of the request's searches, from 1"}},
                reason=_text("why it was passed over, or that it was taken"),
                address=_maybe({"type": "integer", "description": "where the block lies, if it was taken"}),
            ),
        },
        "details": {"type": "array", "items": {"type": "string"}, "description": "further sentences"},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/part"}},
    }


def _request() -> dict[str, Any]:
    return _object(
        call=_text("the memblock function"),
        size={"type": "integer"},
        align={"type": "integer"},
        min={"type": "integer"},
        max={"type": "integer", "description": "0: the limit in force"},
        node=_maybe({"type": "integer"}),
        exact={"type": "boolean", "description": "on no other node"},
        direction={"enum": ["bottom-up", "top-down"]},
        avoids_hotplug={"type": "boolean"},
        count={"type": "integer", "description": "equal blocks, one after the other"},
    )


def _object(**members: Any) -> dict[str, Any]:
    return {"type": "object", "properties": members, "required": [*members]}


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


def _texts(description: str) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "string"}, "description": description}


def _maybe(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}
