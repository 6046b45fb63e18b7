"""The differences of two plans as JSON, for programs, and the schema of that.

Numbers and ranges are those of a plan's JSON; pairs are [first, second].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from memplan.differences import DifferenceKind
from memplan.render.forms import (
    Document,
    Form,
    Member,
    flag,
    listed,
    literal,
    maybe,
    number,
    pair,
    record,
    text,
    versioned,
)
from memplan.render.json_ import (
    END,
    NODE,
    NODE_OR_NONE,
    OWNER,
    PAGE_TABLE_LEVEL,
    PAGE_TABLE_SOURCE,
    SPAN,
    STEP,
    TEXTS,
    VERDICT,
    ZONE_PAGES,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memplan.differences import (
        MappedSize,
        OwnerChange,
        PlanDiff,
        ReservedRange,
        TableCount,
        VerdictChange,
        ZoneChange,
    )
    from memplan.history import Cause
    from memplan.plan import Plan, Zone
    from memplan.rule_changes import RuleChange

#: Raised when a member changes its meaning or goes.
VERSION = 1


class _Told(NamedTuple):
    """What is written: two plans, what they are called, how they differ, and what makes their outcomes differ."""

    plans: tuple[Plan, Plan]
    diff: PlanDiff
    labels: tuple[str, str]
    rules: Sequence[RuleChange]


def diff_document(
    plans: tuple[Plan, Plan], diff: PlanDiff, labels: tuple[str, str], rules: Sequence[RuleChange] = ()
) -> dict[str, Any]:
    """The differences as JSON has them; `labels` name the `plans`, `rules` make their outcomes differ."""
    return _DIFF.written(_Told(plans, diff, labels, rules))


def diff_schema() -> dict[str, Any]:
    """The schema of what ``memplan diff --format json`` writes."""
    return _DIFF.schema()


_PLACE: Form[ReservedRange] = record(
    "A reserved range.",
    *SPAN,
    Member("node", NODE_OR_NONE, lambda place: place.nid),
    Member("step", STEP, lambda place: place.step),
)
_OWNER_CHANGE: Form[OwnerChange] = record(
    "",
    Member("kind", literal(DifferenceKind), lambda change: change.kind),
    Member("owner", OWNER, lambda change: change.owner),
    Member("before", maybe(_PLACE), lambda change: change.before),
    Member("after", maybe(_PLACE), lambda change: change.after),
)
_VERDICT_CHANGE: Form[VerdictChange] = record(
    "",
    Member("node", NODE, lambda change: change.nid),
    *SPAN,
    Member("before", maybe(VERDICT), lambda change: change.before),
    Member("after", maybe(VERDICT), lambda change: change.after),
)
_ZONE: Form[Zone] = record("A zone.", *ZONE_PAGES)
_ZONE_CHANGE: Form[ZoneChange] = record(
    "",
    Member("node", NODE, lambda change: change.nid),
    Member("name", text("zone"), lambda change: change.name),
    Member("before", maybe(_ZONE), lambda change: change.before),
    Member("after", maybe(_ZONE), lambda change: change.after),
)
_TABLE_COUNT: Form[TableCount] = record(
    "",
    Member("level", PAGE_TABLE_LEVEL, lambda row: row.level),
    Member("source", PAGE_TABLE_SOURCE, lambda row: row.source),
    Member("node", NODE_OR_NONE, lambda row: row.nid),
    Member("pages", pair(number(), "how many"), lambda row: (row.before, row.after)),
)
_MAPPED: Form[MappedSize] = record(
    "",
    Member("page_size", number("bytes"), lambda row: row.page_size),
    Member("size", pair(number(), "bytes mapped"), lambda row: (row.before, row.after)),
)
#: What makes an outcome differ.
CAUSE: Form[Cause] = record(
    "",
    Member("name", text("the rule, the step, or facts"), lambda cause: cause.name),
    Member("what", text("what it is about"), lambda cause: cause.what),
    Member("before", text("its older value, or that in the first kernel"), lambda cause: cause.before),
    Member("after", text("its newer value, or that in the second kernel"), lambda cause: cause.after),
    Member("commit", text("the commit that brought it; empty where that isn't known"), lambda cause: cause.commit),
)
_RULE: Form[RuleChange] = record(
    "",
    Member(
        "outcome",
        text("how the boot ends, what can be removed, or what the crash kernel gets"),
        lambda own: own.outcome,
    ),
    Member("causes", listed(CAUSE, "Rules, steps and facts."), lambda own: own.causes),
)
_DIFF: Document[_Told] = versioned(
    "memplan diff",
    VERSION,
    "What changes from one plan to another; numbers and ranges as in a plan. Pairs are [first, second]; null where "
    "that plan has no such thing.",
    Member("plans", pair(text(), "what the plans are called"), lambda told: told.labels),
    Member("equal", flag("whether both boots leave the same behind"), lambda told: told.diff.empty),
    Member("movable", pair(number(), "bytes that can go off-line"), lambda told: told.diff.movable),
    Member("reserved", pair(number(), "bytes reserved"), lambda told: told.diff.reserved),
    Member("ends", pair(END, "how the boots ended"), lambda told: told.diff.ends),
    Member("owners", listed(_OWNER_CHANGE, "Reserved ranges that differ."), lambda told: told.diff.owners),
    Member("verdicts", listed(_VERDICT_CHANGE, "Ranges whose verdicts differ."), lambda told: told.diff.verdicts),
    Member("zones", listed(_ZONE_CHANGE, "Zones that differ."), lambda told: told.diff.zones),
    Member(
        "page_tables", listed(_TABLE_COUNT, "Page-table pages, all side by side."), lambda told: told.diff.page_tables
    ),
    Member("mapped", listed(_MAPPED, "What is mapped with which pages, side by side."), lambda told: told.diff.mapped),
    Member(
        "warnings",
        pair(TEXTS, "the warnings that only one of them has"),
        lambda told: (told.diff.warnings_gone, told.diff.warnings_new),
    ),
    Member(
        "not_modelled",
        pair(TEXTS, "what the boots ask for and is not replayed"),
        lambda told: [plan.limits for plan in told.plans],
    ),
    Member(
        "unheeded_options",
        pair(TEXTS, "boot options that the kernels do not know"),
        lambda told: [plan.unheeded for plan in told.plans],
    ),
    Member(
        "rules",
        listed(
            _RULE,
            "Where only the kernels differ: what makes an outcome differ, nothing of which can be left out.",
        ),
        lambda told: told.rules,
    ),
)
