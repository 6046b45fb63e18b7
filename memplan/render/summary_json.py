"""Many machines as JSON: an object for each plan, and what the second of two kernels changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from memplan.owner import CRASH_KERNEL
from memplan.render.forms import (
    Document,
    Form,
    Member,
    flag,
    inside,
    listed,
    number,
    pair,
    record,
    text,
    versioned,
)
from memplan.render.json_ import REMARKS, TEXTS
from memplan.render.summary import lost_nodes, memory, staying_nodes, whole_nodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memplan.plan import Plan
    from memplan.render.summary import Planned

#: Raised when a member changes its meaning or goes.
VERSION = 1


class _Change(NamedTuple):
    """A machine's plans by two kernels."""

    machine: str
    kernels: Sequence[str]
    before: Plan
    after: Plan


def summary_document(plans: Sequence[Planned], kernels: Sequence[str]) -> dict[str, Any]:
    """The plans as JSON has them; `changes` where there are two `kernels`, whose plans of a machine are neighbours."""
    pairs = [(plans[at], plans[at + 1]) for at in range(0, len(plans), 2)] if len(kernels) == 2 else []
    changes = [_Change(before[0], kernels, before[2], after[2]) for before, after in pairs]
    return _SUMMARY.written((plans, changes))


def summary_schema() -> dict[str, Any]:
    """The schema of what ``memplan simulate --summary --format json`` writes."""
    return _SUMMARY.schema()


_SIZE = number("bytes")
_NODES = listed(number(), "node numbers")
_PLAN: Form[Planned] = record(
    "",
    Member("machine", text("the description's file"), lambda planned: planned[0]),
    Member("kernel", text(), lambda planned: planned[1] or planned[2].kernel),
    *inside(
        lambda planned: planned[2],
        Member("completed", flag("whether the boot comes to its end"), lambda plan: plan.end.completed),
        Member("cause", text("why it doesn't"), lambda plan: plan.end.cause),
        Member("nodes", number("how many there are"), lambda plan: len(plan.nodes)),
        Member("memory", _SIZE, memory),
        Member("removable", _SIZE, lambda plan: plan.movable_size),
        Member(
            "nodes_that_go",
            _NODES.told("nodes all of whose memory blocks can go off-line"),
            lambda plan: sorted(whole_nodes(plan)),
        ),
        Member(
            "hotplug_that_stays",
            _NODES.told("nodes with hot-pluggable memory that can't be removed"),
            lambda plan: sorted(staying_nodes(plan)),
        ),
        Member("crash_kernel", _SIZE, lambda plan: plan.size_of(CRASH_KERNEL)),
        *REMARKS[::-1],
        Member("warnings", TEXTS, lambda plan: (message.text for message in plan.warnings)),
    ),
)
_CHANGE: Form[_Change] = record(
    "",
    Member("machine", text(), lambda change: change.machine),
    Member("kernels", pair(text()), lambda change: change.kernels),
    Member("removable", pair(_SIZE), lambda change: (change.before.movable_size, change.after.movable_size)),
    Member(
        "nodes_lost",
        _NODES.told("nodes of which the second kernel can remove less"),
        lambda change: sorted(lost_nodes(change.before, change.after)),
    ),
    Member(
        "nodes_gained",
        _NODES.told("nodes of which it can remove more"),
        lambda change: sorted(lost_nodes(change.after, change.before)),
    ),
)
_SUMMARY: Document[tuple[Sequence[Planned], Sequence[_Change]]] = versioned(
    "memplan summary",
    VERSION,
    "",
    Member("plans", listed(_PLAN), lambda told: told[0]),
    Member("changes", listed(_CHANGE, "A machine each, where two kernels are given; else none."), lambda told: told[1]),
)
