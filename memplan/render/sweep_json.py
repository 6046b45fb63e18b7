"""Sweeps as JSON, and the schema of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memplan.render.forms import (
    Form,
    Member,
    alternatives,
    flag,
    heading,
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
    from collections.abc import Mapping, Sequence

    from memplan.sweep.case import Record

#: Raised when a member changes its meaning or goes.
VERSION = 1

_PLACE = number("physical address of _text, in bytes")
_REMOVABLE = listed(number(), "the nodes that the plan's `movable` names")
_CRASH = flag("whether the crash kernel has its memory")
_SIMULATE = text("the command that shows the plan")
_ERROR = text("why it can't be planned")
_DIED = keyed("died", maybe(text("the kernel's last words, where the boot dies")), optional=True)
_ANSWER = (
    keyed("removable", _REMOVABLE, optional=True),
    keyed("crash_kernel", _CRASH, optional=True),
    keyed(
        "crash_kernel_place",
        one_of("low", "high", "none", description="below 4 GiB, above, or nowhere"),
        optional=True,
    ),
    _DIED,
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
        _DIED,
        keyed("example", _PLACE),
        keyed("simulate", _SIMULATE),
    )
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
_MEMBERS: tuple[Member[Mapping[str, Any]], ...] = (
    keyed("machine", text("the description's path")),
    keyed("kernel", maybe(text("another kernel than the machine's own"))),
    Member("settings", mapping(text()), lambda own: own["settings"].items()),
    keyed("error", _ERROR, optional=True),
    keyed("slots", number("how many places there are"), optional=True),
    keyed("classes", _CLASSES, optional=True),
    keyed("segments", listed(_SEGMENT), optional=True),
    keyed(
        "not_modelled", listed(text(), "what the boot asks for and is not replayed, where there is any"), optional=True
    ),
    keyed(
        "unheeded_options",
        listed(text(), "options that are varied and that the kernel does not know, where there are any"),
        optional=True,
    ),
    keyed("exact", flag("whether all values are answered for"), optional=True),
    keyed("simulate", _SIMULATE, optional=True),
    *_ANSWER,
)
_CASE: Form[Mapping[str, Any]] = part("case", record("", *_MEMBERS))
_HEADING = heading("memplan sweep", VERSION)
_ALONE: Form[Mapping[str, Any]] = record("", *_HEADING, *_MEMBERS)
_CASES: Form[Mapping[str, Any]] = record("", *_HEADING, keyed("cases", listed(_CASE)))


def json_record(record: Record) -> dict[str, Any]:
    """The record of one of several cases, as a line of ndjson has it."""
    written: dict[str, Any] = _CASE.write(record)
    return written


def sweep_document(records: Sequence[Record]) -> dict[str, Any]:
    """What is written of all cases together: a single case has its members beside the heading."""
    document: dict[str, Any] = _ALONE.write(records[0]) if len(records) == 1 else _CASES.write({"cases": records})
    return document


def sweep_schema() -> dict[str, Any]:
    """The schema of what ``memplan sweep --format json`` writes; each line of ndjson is a ``case``."""
    return alternatives("memplan sweep", "One case, or several cases.", _ALONE, _CASES)
