"""Many machines in one table, a line each: one plan, or what the second of two kernels changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.owner import CRASH_KERNEL
from memplan.render.remarks import remark_texts
from memplan.render.sizes import nodes_text, numbers, rounded
from memplan.render.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from memplan.plan import Plan

#: The plan of one machine, named by its file and the kernel that was asked for (None: the machine's own).
Planned = tuple[str, str | None, "Plan"]

#: So many of the kernel's warnings stand on a plan's line.
_MOST_WARNINGS = 20


def summary_table(plans: Iterable[Planned]) -> Table:
    """A row for each plan."""
    return Table(
        "Plans",
        (
            "machine",
            "kernel",
            "nodes>",
            "memory>",
            "removable>",
            "nodes that go",
            "hot-pluggable that stay",
            "crash kernel>",
            "notes",
        ),
        [_row(path, kernel, plan) for path, kernel, plan in plans],
    )


def comparison_table(plans: Sequence[Planned], kernels: tuple[str, str]) -> Table:
    """A row for each machine, whose plans with the first and with the second kernel follow each other in `plans`."""
    first, second = kernels
    pairs = [(plans[at][0], plans[at][2], plans[at + 1][2]) for at in range(0, len(plans), 2)]
    losing = sum(bool(lost_nodes(before, after)) for _, before, after in pairs)
    return Table(
        f"{losing} of {len(pairs)} machine{'' if len(pairs) == 1 else 's'} "
        f"can remove less of a node with {second} than with {first}",
        (
            "machine",
            "nodes>",
            "memory>",
            f"removable {first}>",
            f"removable {second}>",
            "nodes that lose",
            "nodes that gain",
            "why, and notes",
        ),
        [
            (
                path,
                str(len(before.nodes)),
                rounded(memory(before)),
                _removable(before),
                _removable(after),
                numbers(lost_nodes(before, after)) or "-",
                numbers(lost_nodes(after, before)) or "-",
                "; ".join(_why(before, after, kernels)),
            )
            for path, before, after in pairs
        ],
    )


# -- what a line tells of a plan -----------------------------------------------------------------------------------


def memory(plan: Plan) -> int:
    """The bytes of RAM of all nodes."""
    return sum(node.memory for node in plan.nodes)


def whole_nodes(plan: Plan) -> set[int]:
    """The nodes all of whose memory blocks can go off-line."""
    return {own.nid for own in plan.verdicts} - {own.nid for own in plan.verdicts if own.blocks < own.total_blocks}


def staying_nodes(plan: Plan) -> set[int]:
    """The nodes that have hot-pluggable memory which can't be removed."""
    return {own.nid for own in plan.verdicts if own.hotplug and not own.movable}


def lost_nodes(before: Plan, after: Plan) -> set[int]:
    """The nodes of which fewer memory blocks can go off-line in `after`."""
    one, other = before.movable_blocks(), after.movable_blocks()
    return {nid for nid, blocks in one.items() if blocks > other.get(nid, 0)}


# -- rows ----------------------------------------------------------------------------------------------------------


def _row(path: str, kernel: str | None, plan: Plan) -> tuple[str, ...]:
    crash = plan.size_of(CRASH_KERNEL)
    return (
        path,
        kernel or plan.kernel,
        str(len(plan.nodes)) if plan.nodes else "-",
        rounded(memory(plan)) if plan.nodes else "-",
        _removable(plan),
        numbers(whole_nodes(plan)) or "-",
        numbers(staying_nodes(plan)) or "-",
        rounded(crash) if crash else "-",
        "; ".join(_notes(plan)),
    )


def _removable(plan: Plan) -> str:
    return rounded(plan.movable_size) if plan.movable else "-"


def _notes(plan: Plan) -> Iterator[str]:
    """How the boot dies, what is not modelled, options that aren't heeded, and what the kernel warns of."""
    if not plan.end.completed:
        yield f"dies in {plan.end.step}: {plan.end.cause}"
    yield from remark_texts(plan)
    warnings = [" ".join(message.text.split()) for message in plan.warnings]
    yield from warnings[:_MOST_WARNINGS]
    if left := len(warnings[_MOST_WARNINGS:]):
        yield f"{left} more warnings of the kernel"


def _why(before: Plan, after: Plan, kernels: tuple[str, str]) -> Iterator[str]:
    """Why nodes lose or gain, by the plan in which they can't go, and what is to be noted of either plan."""
    for plan, nids in ((after, lost_nodes(before, after)), (before, lost_nodes(after, before))):
        reasons: dict[str, list[int]] = {}
        for verdict in plan.verdicts:
            if verdict.nid in nids and verdict.blocks < verdict.total_blocks:
                reasons.setdefault(verdict.reason, []).append(verdict.nid)
        kernel = kernels[1] if plan is after else kernels[0]
        yield from (f"{nodes_text(nids)} with {kernel}: {reason}" for reason, nids in reasons.items())
    notes = [list(_notes(plan)) for plan in (before, after)]
    for kernel, own, other in zip(kernels, notes, reversed(notes), strict=True):
        yield from (f"with {kernel}: {text}" for text in own if text not in other)
    yield from (text for text in notes[0] if text in notes[1])
