"""Advice as JSON, for programs, and the schema of that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from memplan.advise.steps import Hand
from memplan.render.forms import (
    Document,
    Form,
    Member,
    flag,
    inside,
    listed,
    mapping,
    maybe,
    number,
    one_of,
    record,
    text,
    versioned,
)
from memplan.render.json_ import CRASH_PLACE, EDGES, TEXTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memplan.advise.search import Advice, Cost
    from memplan.advise.steps import Measure
    from memplan.plan import Reservation

#: Raised when a member changes its meaning or goes.
VERSION = 1


class _Told(NamedTuple):
    """Advice, what it was asked for, and the command that shows the changed machine's plan."""

    machine: str
    kernel: str | None
    wanted: Sequence[str]
    advice: Advice
    simulate: str


def advice_document(
    path: str, kernel: str | None, wanted: Sequence[str], advice: Advice, simulate: str
) -> dict[str, Any]:
    """The answer as JSON has it."""
    return _ADVICE.written(_Told(path, kernel, wanted, advice, simulate))


def advice_schema() -> dict[str, Any]:
    """The schema of what ``memplan advise --format json`` writes."""
    return _ADVICE.schema()


_STEP: Form[Measure] = record(
    "",
    Member(
        "by",
        one_of(*(hand.name.lower() for hand in Hand), description="who has to take the step"),
        lambda step: step.hand.name.lower(),
    ),
    Member("text", text(), lambda step: step.text),
    Member(
        "settings",
        mapping(text(), "fields by their paths, and boot options, with their new values"),
        lambda step: step.settings,
    ),
)
_COST: Form[Cost] = record(
    "what the change costs elsewhere",
    Member("lost_nodes", listed(number()), lambda cost: cost.lost_nodes),
    Member("lost_bytes", number("less memory that can go off-line"), lambda cost: cost.lost_bytes),
    Member("lost_ram", number("less RAM"), lambda cost: cost.lost_ram),
    Member("crash_kernel_before", CRASH_PLACE, lambda cost: cost.crash_before),
    Member("crash_kernel_after", CRASH_PLACE, lambda cost: cost.crash_after),
)
_IMMOVABLE: Form[Reservation] = record(
    "what nobody can move; its end is inclusive",
    *EDGES,
    Member("node", maybe(number()), lambda own: own.nid),
    Member("owner", text(), lambda own: own.owner),
)
_ADVICE: Document[_Told] = versioned(
    "memplan advice",
    VERSION,
    "",
    Member("machine", text(), lambda told: told.machine),
    Member("kernel", maybe(text()), lambda told: told.kernel),
    Member("want", TEXTS, lambda told: told.wanted),
    *inside(
        lambda told: told.advice,
        Member("met", flag("whether the steps give all that is wanted"), lambda advice: advice.refusal is None),
        Member("steps", listed(_STEP), lambda advice: advice.steps),
        Member("cost", maybe(_COST), lambda advice: advice.cost),
        Member(
            "proved",
            flag("whether it is certain that nothing gives all that is wanted"),
            lambda advice: advice.refusal is not None and advice.refusal.proved,
        ),
        Member(
            "tried_all",
            flag("whether all changes there are were tried, or one was found"),
            lambda advice: advice.refusal is None or advice.refusal.tried_all,
        ),
        Member(
            "immovable",
            listed(_IMMOVABLE),
            lambda advice: advice.refusal.immovable if advice.refusal is not None else (),
        ),
        Member(
            "missing",
            TEXTS.told("the wishes that the best change leaves open"),
            lambda advice: [want.text for want in advice.refusal.missing] if advice.refusal is not None else [],
        ),
        Member(
            "reasons",
            TEXTS.told("what stands in their way"),
            lambda advice: advice.refusal.reasons if advice.refusal is not None else (),
        ),
        Member(
            "apart",
            flag("whether each wish can be had without the others"),
            lambda advice: advice.refusal is not None and advice.refusal.apart,
        ),
        Member(
            "not_modelled",
            TEXTS.told("what the machine asks for and is not replayed"),
            lambda advice: advice.limits,
        ),
        Member("plans", number("how many plans were made"), lambda advice: advice.plans),
    ),
    Member("simulate", text("the command that shows the plan, with the steps taken"), lambda told: told.simulate),
)
