"""Sweeps as JSON, and the schema of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from memplan.render.forms import (
    Form,
    Member,
    alternatives,
    flag,
    keyed,
    listed,
    mapping,
    maybe,
    number,
    one_of,
    part,
    record,
    text,
)

if TYPE_CHECKING:
    from memplan.sweep.case import Record

_PLACE = number("physical address of _text, in bytes")
_REMOVABLE = listed(number(), "the nodes that the plan's `movable` names")
_CRASH = flag("whether the crash kernel has its memory")
_SIMULATE = text("the command that shows the plan")
_ERROR = text("why it can't be planned")
_SLOTS = number("how many places there are")
_ANSWER = (
    keyed("removable", _REMOVABLE, optional=True),
    keyed("crash_kernel", _CRASH, optional=True),
    keyed(
        "crash_kernel_place",
        one_of("low", "high", "none", description="below 4 GiB, above, or nowhere"),
        optional=True,
    ),
    keyed("died", maybe(text("the kernel's last words, where the boot dies")), optional=True),
)
_CLASSES: Form[Any] = listed(
    record(
        "all places with one answer",
        keyed("slots", number("how many places")),
        keyed(
            "ranges",
            listed(record("", keyed("start", _PLACE), keyed("end", _PLACE.told("the last place of the range")))),
        ),
        keyed("removable", _REMOVABLE),
        keyed("crash_kernel", _CRASH),
        keyed("example", _PLACE),
        keyed("simulate", _SIMULATE),
    )
)
_LEFT_OUT = keyed(
    "not_modelled", listed(text(), "what the boot asks for and is not replayed, where there is any"), optional=True
)
_VALUE, _TEXT = number("bytes"), text("the value as the command line has it")
_SEGMENT = record(
    "all values with one answer, both ends included; an answer is that of the last one",
    keyed("from", _VALUE),
    keyed("to", _VALUE),
    keyed("from_text", _TEXT),
    keyed("to_text", _TEXT),
    *_ANSWER,
    keyed("error", _ERROR, optional=True),
    keyed("simulate", _SIMULATE),
).bound(oneOf=[{"required": [member.name for member in _ANSWER]}, {"required": ["error"]}])
_CASE: Form[Mapping[str, Any]] = part(
    "case",
    record(
        "",
        keyed("machine", text("the description's path")),
        keyed("kernel", maybe(text("another kernel than the machine's own"))),
        Member("settings", mapping(text()), lambda own: own["settings"].items()),
        keyed("error", _ERROR, optional=True),
        keyed("slots", _SLOTS, optional=True),
        keyed("classes", _CLASSES, optional=True),
        keyed("segments", listed(_SEGMENT), optional=True),
        _LEFT_OUT,
        keyed(
            "unheeded_options",
            listed(text(), "options that are varied and that the kernel does not know, where there are any"),
            optional=True,
        ),
        keyed("exact", flag("whether all values are answered for"), optional=True),
        keyed("simulate", _SIMULATE, optional=True),
        *_ANSWER,
    ),
)
#: The places of one machine, where they are all that is asked for.
_PLACES = record("", keyed("slots", _SLOTS), keyed("classes", _CLASSES), _LEFT_OUT).bound(additionalProperties=False)
_CASES: Form[Mapping[str, Any]] = record("", keyed("cases", listed(_CASE)))


def json_record(record: Record) -> dict[str, Any]:
    """The record of one of several cases, as a line of ndjson has it."""
    written: dict[str, Any] = _CASE.write(record)
    return written


def sweep_document(records: Sequence[Record]) -> dict[str, Any]:
    """What is written of all cases together."""
    if len(records) != 1:
        document: dict[str, Any] = _CASES.write({"cases": records})
        return document
    alone: dict[str, Any] = (_PLACES if "classes" in records[0] else _CASE).write(records[0])
    return alone


def sweep_schema() -> dict[str, Any]:
    """The schema of what ``memplan sweep --format json`` writes; each line of ndjson is a ``case``."""
    description = "The places of KASLR of one machine, one case, or several cases."
    return alternatives("memplan sweep", description, _PLACES, _CASES, _CASE)
