"""What is modelled, verified and left out as JSON, for programs, and the schema of that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memplan.render.forms import Document, Form, Member, listed, mapping, maybe, number, record, text, versioned
from memplan.render.json_ import TEXTS

if TYPE_CHECKING:
    from memplan.coverage import Coverage
    from memplan.kernel.unreplayed import Case, Unreplayed

#: Raised when a member changes its meaning or goes.
VERSION = 1


def limits_document(found: Coverage) -> dict[str, Any]:
    """The list as JSON has it."""
    return _LIMITS.written(found)


def limits_schema() -> dict[str, Any]:
    """The schema of what ``memplan limits --format json`` writes."""
    return _LIMITS.schema()


_COUNT = number(least=0)
_COUNTS = mapping(_COUNT)
_CASE: Form[Case] = record(
    "one way to come to it: all that is not null holds",
    Member("options", TEXTS.told("one of these boot options is given"), lambda case: case.options),
    Member("value", maybe(text("a regular expression for the option's whole value")), lambda case: case.value or None),
    Member("config", maybe(text("the kernel's configuration has this option")), lambda case: case.config or None),
    Member("table", maybe(text("there is this ACPI table")), lambda case: case.table or None),
    Member("machine", maybe(text("the description says so")), lambda case: case.machine or None),
)
_LIMIT: Form[Unreplayed] = record(
    "one thing that is not modelled",
    Member("name", text(), lambda limit: limit.name),
    Member("what", text(), lambda limit: limit.what),
    Member("from", maybe(text("the first release that has it")), lambda limit: limit.first or None),
    Member("until", maybe(text("the first release without it")), lambda limit: limit.until or None),
    Member("when", listed(_CASE), lambda limit: limit.cases),
)
_FILE: Form[tuple[str, tuple[str, ...]]] = record(
    "the functions of one file",
    Member("source", text(), lambda own: own[0]),
    Member("names", TEXTS, lambda own: own[1]),
)
_MODELLED: Form[Coverage] = record(
    "the steps of early boot",
    Member("oldest", text(), lambda found: found.oldest),
    Member("newest", text(), lambda found: found.newest),
    Member("steps", listed(_FILE), lambda found: found.steps.items()),
)
_VERIFIED: Form[Coverage] = record(
    "counts of what the tests hold plans against",
    Member("boots", _COUNTS.told("real boots by release"), lambda found: found.verified.boots.items()),
    Member(
        "traces", _COUNTS.told("recorded traces of memblock by release"), lambda found: found.verified.traces.items()
    ),
    Member("operations", _COUNT.told("operations in all traces"), lambda found: found.verified.operations),
    Member("reports", _COUNT.told("logs that people published"), lambda found: found.verified.reports),
    Member(
        "hotadd_runs",
        _COUNT.told("recorded runs of memory that came and went"),
        lambda found: found.verified.hotadd_runs,
    ),
    Member("sources", TEXTS.told("versions whose source was read"), lambda found: found.read),
)
_LIMITS: Document[Coverage] = versioned(
    "memplan limits",
    VERSION,
    "what memplan models, what that was verified against, and what it leaves out",
    Member("modelled", _MODELLED, lambda found: found),
    Member("verified", _VERIFIED, lambda found: found),
    Member("not_modelled", listed(_LIMIT, "what a plan names where it comes to it"), lambda found: found.limits),
    Member("not_told", TEXTS.told("what no plan can tell of"), lambda found: found.unseen),
)
