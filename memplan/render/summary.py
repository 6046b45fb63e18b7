"""Many machines in one table, a line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.owner import CRASH_KERNEL
from memplan.render.sizes import numbers, rounded
from memplan.render.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from memplan.plan import Plan


def summary_table(plans: Iterable[tuple[str, str | None, Plan]]) -> Table:
    """A row for each plan, named by its machine's file and the kernel that was asked for (None: the machine's own)."""
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
            "crash>",
            "",
        ),
        [_row(path, kernel, plan) for path, kernel, plan in plans],
    )


def _row(path: str, kernel: str | None, plan: Plan) -> tuple[str, ...]:
    if not plan.end.completed:
        return path, kernel or plan.kernel, "-", "-", "-", "-", "-", "-", f"dies in {plan.end.step}: {plan.end.cause}"
    gone = {verdict.nid for verdict in plan.verdicts} - {
        verdict.nid for verdict in plan.verdicts if verdict.blocks < verdict.total_blocks
    }
    stay = {verdict.nid for verdict in plan.verdicts if verdict.hotplug and not verdict.movable}
    crash = sum(part.end - part.start for part in plan.reservations if part.owner.kind in CRASH_KERNEL)
    return (
        path,
        kernel or plan.kernel,
        str(len(plan.nodes)),
        rounded(sum(node.memory for node in plan.nodes)),
        rounded(sum(end - start for _, start, end in plan.movable)) if plan.movable else "-",
        numbers(gone) or "-",
        numbers(stay) or "-",
        rounded(crash) if crash else "-",
        "; ".join(" ".join(message.text.split()) for message in plan.warnings),
    )
