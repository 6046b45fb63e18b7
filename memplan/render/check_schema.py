"""The JSON Schema (draft 2020-12) of what ``memplan check --format json`` writes."""

from __future__ import annotations

from typing import Any

from memplan.checks.model import SEVERITIES
from memplan.render.check_json import VERSION


def check_schema() -> dict[str, Any]:
    """The schema of the findings."""
    finding = _object(
        rule=_text("the rule's id"),
        severity={"enum": list(SEVERITIES)},
        message=_text("what is wrong"),
        file=_text("the file in which it lies"),
        line=_or_none("the line, from 1; null in a binary file and for a finding about the whole"),
        column=_or_none("the column, from 1"),
        offset=_or_none("the byte in a binary table's file, from 0"),
        field=_text("the field of the machine's description, or the table"),
        input=_text("the input as it was given"),
        kernel=_text("the kernel that was checked for"),
        subject=_text("the thing that it is about, in words that stay the same"),
        dmesg={"type": ["string", "null"], "description": "the line that the kernel prints"},
        note={"type": ["string", "null"], "description": "a remark, on a suppression that has expired"},
        weight=_number("how bad it is (bytes, say); 0 where that can't be told"),
        fails={"type": "boolean", "description": "whether it reaches the severity that fails the check"},
        fingerprint=_text("stays the same while rule and subject do"),
    )
    problem = _object(
        message=_text("what can't be used"),
        file=_text("the file"),
        line=_or_none("its line"),
        column=_or_none("its column"),
        field=_text("the field"),
        hint={"type": ["string", "null"], "description": "the mend"},
    )
    left_out = _object(
        rules=_list("their ids", _text("id")),
        why=_text("why they could not run"),
        inputs=_number("in how many inputs"),
        first=_text("the first of these"),
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "memplan check",
        "description": "What rules found. New members may come without a new version.",
        **_object(
            findings=_list("In the order of inputs and places.", finding),
            format={"const": "memplan check"},
            version={"const": VERSION, "description": "raised when a member changes its meaning or goes"},
            inputs=_number("how many inputs were given"),
            broken=_number("how many of them could not be checked, or not by every rule"),
            counts=_object(**{severity: _number("findings of this severity") for severity in SEVERITIES}),
            suppressed=_number("findings that the configuration suppresses"),
            known=_number("findings that the baseline has already"),
            failed={"type": "boolean", "description": "whether a finding fails the check"},
            problems=_list("Inputs and configurations that can't be used.", problem),
            left_out=_list("Rules that could not run.", left_out),
        ),
    }


def _object(**members: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(members), "properties": members}


def _list(description: str, element: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "description": description, "items": element}


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


def _number(description: str) -> dict[str, Any]:
    return {"type": "integer", "description": description}


def _or_none(description: str) -> dict[str, Any]:
    return {"type": ["integer", "null"], "description": description}
