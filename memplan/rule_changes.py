"""Which rules make one machine's verdict or failure differ between two kernels.

Each outcome that differs is narrowed down to a set of rules, steps and facts from which none can be left out, by
planning the first kernel with parts of the second (see memplan/history.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from memplan.boot.replay import replay
from memplan.errors import MemplanError
from memplan.history import Build, causes
from memplan.owner import CRASH_KERNEL

if TYPE_CHECKING:
    from memplan.history import Cause
    from memplan.kernel.model import Kernel
    from memplan.machine.model import Machine
    from memplan.plan import Plan

#: A boot of more events is not replayed dozens of times for this.
_MOST_EVENTS = 20_000
_END = "how the boot ends"


class RuleChange(NamedTuple):
    """An outcome that differs, and a smallest set of what makes it differ."""

    outcome: str
    causes: tuple[Cause, ...]


def rule_changes(
    machine: Machine, kernels: tuple[Build, Build], plans: tuple[Plan, Plan], *, bottom_up: bool | None = None
) -> tuple[RuleChange, ...]:
    """What makes the outcomes of the two `plans` of `machine` differ; () where finding out would take long.

    An outcome is left out where all that differs between the kernels' rules and facts does not explain it.
    """
    if max(len(plan.events) for plan in plans) > _MOST_EVENTS:
        return ()
    wanted = _outcomes(plans[1])

    def tried(kernel: Kernel) -> dict[str, object]:
        try:
            return _outcomes(replay(machine, kernel, bottom_up=bottom_up))
        except MemplanError:
            return {}

    found = []
    for outcome, before in _outcomes(plans[0]).items():
        if wanted[outcome] == before:
            continue

        def gives_it(kernel: Kernel, outcome: str = outcome) -> bool:
            return tried(kernel).get(outcome) == wanted[outcome]

        own = causes(*kernels, gives_it)
        if own is not None:
            found.append(RuleChange(outcome, own))
        if outcome == _END:
            break
    return tuple(found)


def _outcomes(plan: Plan) -> dict[str, object]:
    """What decides of a plan, the first being what rules the others out."""
    return {
        _END: (plan.end.completed, plan.end.step),
        "what can be removed": plan.movable_blocks(),
        "what the crash kernel gets": plan.size_of(CRASH_KERNEL),
    }
