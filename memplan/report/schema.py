"""The JSON Schema of the data that a page's script reads (draft 2020-12)."""

from __future__ import annotations

from typing import Any

from memplan.report.document import VERSION

_NUMBER = {
    "description": "bytes; as hexadecimal text where IEEE 754 doubles would round it",
    "anyOf": [{"type": "integer"}, {"type": "string", "pattern": "^0x[0-9a-f]+$"}],
}
_INDEX = {"type": "integer", "minimum": -1}
_TEXTS = {"type": "array", "items": {"type": "string"}}


def page_schema() -> dict[str, Any]:
    """The schema of the document "film" in a page of ``memplan report``."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "memplan report",
        "description": "What a page's script draws. Ranges are half-open. A range is two numbers: its distance from "
        "the end of the range before it in the same list (0 at first) and its size; or two texts, its edges, where a "
        "number would be rounded, after which distances count from 0 again.",
        **_object(
            format={"const": "memplan report"},
            version={"const": VERSION, "description": "goes up where a member changes its meaning or goes"},
            families=_list("What owners are shown as: name, letter, class in the page's style.", _TEXTS),
            flags={**_TEXTS, "description": "memblock's flags in words, by their bits from the lowest on"},
            plans=_list("One plan, or the two that are compared.", _plan()),
            moments=_list(
                "The positions of the slider: a step's name, and for each plan the index of the frame that it shows; "
                "-1 before its first one.",
                {
                    "type": "array",
                    "prefixItems": [{"type": "string"}, _INDEX, _INDEX],
                    "minItems": 2,
                    "items": False,
                },
            ),
            moves=_list(
                "What lies elsewhere in the second plan: the owner, and its range in both; distances run through all.",
                {
                    "type": "array",
                    "prefixItems": [{"type": "string"}, _NUMBER, _NUMBER, _NUMBER, _NUMBER],
                    "minItems": 5,
                    "items": False,
                },
            ),
            rows={
                "type": "object",
                "description": "All rows of the tables that the page has no room for, by the tables' ids.",
                "additionalProperties": _list("", _TEXTS),
            },
        ),
    }


def _plan() -> dict[str, Any]:
    return _object(
        label={"type": "string", "description": "what the page calls it; empty where it is the only one"},
        kernel={"type": "string"},
        block_size={"type": "integer", "description": "bytes in one memory block"},
        nodes=_list(
            "The nodes at the end of the boot.",
            _object(
                node={"type": "integer"},
                ranges=_flat("its RAM: ranges"),
                word={"type": "string", "description": "its verdict in a word"},
                why={"type": "string"},
            ),
        ),
        added=_list(
            "What is added to nodes after boot, wherever it is in the end.",
            _object(node={"type": "integer"}, ranges=_flat("ranges")),
        ),
        movable=_flat("what can be removed: ranges"),
        frames=_list("The steps of the boot, in order.", _frame()),
        after=_list("The steps after boot, which are frames behind those.", _after()),
        owners=_list("Name, index of the family, and what would move it.", _row("string", "integer", "string")),
        claims=_list(
            "What reserved memory is for: index of the owner, of the frame that reserved it (-1: none), and 1 before "
            "the SRAT was read.",
            _row("integer", "integer", "integer"),
        ),
        texts={**_TEXTS, "description": "texts that events name by their index"},
        searches_left_out={"type": "integer", "description": "allocations whose search is not kept"},
    )


def _after() -> dict[str, Any]:
    return _object(
        step={"type": "string", "description": "what links call it"},
        what={"type": "string", "description": "what is asked for"},
        accepted={
            "type": ["boolean", "null"],
            "description": "whether the kernel does it; null where that isn't known",
        },
        why={"type": "string"},
        said={**_TEXTS, "description": "the first lines that the kernel prints"},
        unsaid={"type": "integer", "description": "how many more lines there are"},
        total={"type": "string", "description": "MemTotal after it"},
        held=_flat("what is there of added memory, and what of the boot's is off-line: range, index of the claim"),
        blocks=_list("All memory blocks: numbers, node, state, zones.", _TEXTS),
    )


def _frame() -> dict[str, Any]:
    event = {
        "type": "array",
        "description": "add, reserve, remove, free, refused or mark; a range; the owner's index (-1: none); the index "
        "of the caller's text; how many equal blocks; the index of the text that says what was asked for (-1: "
        "nothing), for a mark of what was marked; and the search, where it is kept: rows of try, range, node, index of "
        "what became of it, or of try, count and index for several that are passed over for one reason.",
        "prefixItems": [
            {"enum": ["add", "reserve", "remove", "free", "refused", "mark"]},
            _NUMBER,
            _NUMBER,
            _INDEX,
            _INDEX,
            {"type": "integer", "minimum": 1},
            _INDEX,
            {"type": "array", "items": {"type": "array", "items": _NUMBER, "minItems": 3, "maxItems": 5}},
        ],
        "minItems": 7,
        "items": False,
    }
    return _object(
        step={"type": "string", "description": "the kernel function that it follows"},
        source={"type": "string", "description": "that function's file"},
        what={"type": "string", "description": "what it does"},
        up={"type": "boolean", "description": "whether memblock allocates upwards after it"},
        before_srat={"type": "boolean", "description": "whether the SRAT has not been read yet"},
        limit={**_NUMBER, "description": "the limit in force for allocations, in bytes"},
        events=_list("What it did to memory.", event),
        said={**_TEXTS, "description": "the first lines that the kernel prints in it"},
        unsaid={"type": "integer", "description": "how many more lines there are"},
        memory=_delta("memblock.memory", "range, node (-1: none), flags"),
        reserved=_delta("memblock.reserved", "range, node (-1: none), flags"),
        held=_delta("who has what", "range, index of the claim"),
    )


def _delta(what: str, rows: str) -> dict[str, Any]:
    return {
        "type": "array",
        "description": f"What becomes of {what}: the indices that go, each as its distance from the one before; and "
        f"what comes, upwards, in one flat list: {rows}.",
        "prefixItems": [_flat("indices"), _flat("rows")],
        "minItems": 2,
        "items": False,
    }


def _flat(what: str) -> dict[str, Any]:
    return {"type": "array", "description": what, "items": _NUMBER}


def _row(*types: str) -> dict[str, Any]:
    return {"type": "array", "prefixItems": [{"type": each} for each in types], "minItems": len(types), "items": False}


def _list(what: str, item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", **({"description": what} if what else {}), "items": item}


def _object(**members: Any) -> dict[str, Any]:
    return {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}
