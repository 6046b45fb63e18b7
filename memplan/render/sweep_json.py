"""Sweeps as JSON, and the schema of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memplan.sweep.case import Record

#: What the record of one KASLR sweep has in JSON where it stands alone.
_KASLR = ("slots", "classes", "not_modelled")
#: What only text tells.
_FOR_PEOPLE = ("chooser", "reason", "notes", "replays")


def json_record(record: Record, *, alone: bool) -> Record:
    """The record of a case as it is printed; `alone` leaves out what only tells it from other cases."""
    if "classes" not in record:
        return record
    classes = [{name: value for name, value in own.items() if name != "died"} for own in record["classes"]]
    left_out = {*_FOR_PEOPLE, *(record.keys() - set(_KASLR) if alone else ())}
    return {name: value for name, value in {**record, "classes": classes}.items() if name not in left_out}


def sweep_schema() -> dict[str, Any]:
    """The schema of what ``memplan sweep --format json`` writes; each line of ndjson is a ``case``."""
    removable = {
        "description": "the nodes that the plan's `movable` names",
        "type": "array",
        "items": {"type": "integer"},
    }
    crash = {"description": "whether the crash kernel has its memory", "type": "boolean"}
    place = {"type": "integer", "description": "physical address of _text, in bytes"}
    simulate = {"type": "string", "description": "the command that shows the plan"}
    classes = {
        "type": "array",
        "items": {
            "type": "object",
            "description": "all places with one answer",
            "properties": {
                "slots": {"type": "integer", "description": "how many places"},
                "ranges": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {"start": place, "end": {**place, "description": "the last place of the range"}},
                        "required": ["start", "end"],
                    },
                },
                "removable": removable,
                "crash_kernel": crash,
                "example": place,
                "simulate": simulate,
            },
            "required": ["slots", "ranges", "removable", "crash_kernel", "example", "simulate"],
        },
    }
    slots = {"type": "integer", "description": "how many places there are"}
    answer = {
        "removable": removable,
        "crash_kernel": crash,
        "crash_kernel_place": {"enum": ["low", "high", "none"], "description": "below 4 GiB, above, or nowhere"},
        "died": {"type": ["string", "null"], "description": "the kernel's last words, where the boot dies"},
    }
    left_out = {
        "type": "array",
        "items": {"type": "string"},
        "description": "what the boot asks for and is not replayed, where there is any",
    }
    value = {"type": "integer", "description": "bytes"}
    text = {"type": "string", "description": "the value as the command line has it"}
    error = {"type": "string", "description": "why it can't be planned"}
    segment = {
        "type": "object",
        "description": "all values with one answer, both ends included; an answer is that of the last one",
        "properties": {
            "from": value,
            "to": value,
            "from_text": text,
            "to_text": text,
            **answer,
            "error": error,
            "simulate": simulate,
        },
        "required": ["from", "to", "from_text", "to_text", "simulate"],
        "oneOf": [{"required": list(answer)}, {"required": ["error"]}],
    }
    case = {
        "type": "object",
        "properties": {
            "machine": {"type": "string", "description": "the description's path"},
            "kernel": {"type": ["string", "null"], "description": "another kernel than the machine's own"},
            "settings": {"type": "object", "additionalProperties": {"type": "string"}},
            "error": error,
            "slots": slots,
            "classes": classes,
            "segments": {"type": "array", "items": segment},
            "not_modelled": left_out,
            "unheeded_options": {
                "type": "array",
                "items": {"type": "string"},
                "description": "options that are varied and that the kernel does not know, where there are any",
            },
            "exact": {"type": "boolean", "description": "whether all values are answered for"},
            "simulate": simulate,
            **answer,
        },
        "required": ["machine", "kernel", "settings"],
    }
    kaslr = {
        "type": "object",
        "properties": {"slots": slots, "classes": classes, "not_modelled": left_out},
        "required": ["slots", "classes"],
        "additionalProperties": False,
    }
    cases = {
        "type": "object",
        "properties": {"cases": {"type": "array", "items": {"$ref": "#/$defs/case"}}},
        "required": ["cases"],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "memplan sweep",
        "description": "The places of KASLR of one machine, one case, or several cases.",
        "$defs": {"case": case},
        "anyOf": [kaslr, cases, {"$ref": "#/$defs/case"}],
    }
