"""A history as JSON, for programs, and the schema of that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from memplan.render.diff_json import CAUSE
from memplan.render.forms import (
    Document,
    Form,
    Member,
    flag,
    inside,
    listed,
    maybe,
    number,
    record,
    text,
    versioned,
)
from memplan.render.history import stretch_command
from memplan.render.json_ import CRASH_PLACE, TEXTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memplan.history import Stretch

#: Raised when a member changes its meaning or goes.
VERSION = 1


class _Told(NamedTuple):
    """A stretch of versions, and the beginning of the command that shows its plan."""

    own: Stretch
    command: Sequence[str]


class _History(NamedTuple):
    machine: str
    wants: Sequence[str]
    stretches: Sequence[_Told]


def history_document(
    path: str, command: Sequence[str], wants: Sequence[str], stretches: Sequence[Stretch]
) -> dict[str, Any]:
    """The history as JSON has it; `command` begins the command that shows a plan."""
    return _HISTORY.written(_History(path, wants, [_Told(own, command) for own in stretches]))


def history_schema() -> dict[str, Any]:
    """The schema of what ``memplan history --format json`` writes."""
    return _HISTORY.schema()


_STRETCH: Form[_Told] = record(
    "versions with one verdict, or with one answer to what is wanted: then what else is told is the first version's",
    *inside(
        lambda told: told.own,
        Member("from", text("the first version"), lambda own: own.first),
        Member("to", text("the last version"), lambda own: own.last),
        Member("met", maybe(flag("whether they give what is wanted, if anything is")), lambda own: own.met),
        Member(
            "removable",
            maybe(listed(number())),
            lambda own: None if own.verdict is None else own.verdict.removable,
        ),
        Member(
            "crash_kernel_place",
            maybe(CRASH_PLACE),
            lambda own: None if own.verdict is None else own.verdict.crash_kernel,
        ),
        Member(
            "died",
            maybe(text("the kernel's last words, where the boot dies")),
            lambda own: (own.verdict.death or None) if own.verdict is not None else None,
        ),
        Member("problem", maybe(text("why there is no verdict")), lambda own: own.problem or None),
        Member("causes", listed(CAUSE, "what made the verdict change"), lambda own: own.causes),
        Member(
            "not_modelled",
            TEXTS.told("what these versions are asked for and is not replayed"),
            lambda own: own.limits,
        ),
    ),
    Member("simulate", text("the command that shows the plan"), lambda told: stretch_command(told.command, told.own)),
)
_HISTORY: Document[_History] = versioned(
    "memplan history",
    VERSION,
    "",
    Member("machine", text("the description's path"), lambda history: history.machine),
    Member("want", TEXTS, lambda history: history.wants),
    Member("stretches", listed(_STRETCH), lambda history: history.stretches),
)
