"""``memplan simulate``: the plan of one machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from memplan.cli.options import format_option, load, output_option, verbose_option, with_cmdline
from memplan.cli.output import write_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from memplan.plan import Plan


@click.command("simulate")
@click.argument("machine", type=click.Path())
@click.option(
    "--bottom-up/--top-down",
    "bottom_up",
    default=None,
    help="Force the direction of allocations before the SRAT is read.",
)
@click.option("--kernel", metavar="NAME", help="Another kernel's rules and facts: a version, a build, or a file.")
@click.option("--cmdline", metavar="TEXT", help="Replace the machine's boot options.")
@click.option("--append", metavar="TEXT", multiple=True, help="Add boot options behind the machine's own.")
@format_option("table", "json", "trace")
@click.option("--all", "everything", is_flag=True, help="In a trace, also what happens before the kernel's log begins.")
@verbose_option
@output_option
def command(
    machine: str,
    bottom_up: bool | None,
    kernel: str | None,
    cmdline: str | None,
    append: tuple[str, ...],
    format_: str,
    everything: bool,
    verbose: bool,
    output: str | None,
) -> int:
    """Print the plan of MACHINE: what its boot reserves, and which memory can be ZONE_MOVABLE.

    Exit status: 0; 1 where the boot dies on the way (the plan ends there and says why); 2 for bad input.
    """
    import memplan

    described = with_cmdline(load(machine), cmdline, append)
    plan = memplan.simulate(described, kernel=kernel, bottom_up=bottom_up)
    write_lines(_lines(plan, format_, everything=everything, verbose=verbose, terminal=output is None), output)
    return 0 if plan.end.completed else 1


def _lines(plan: Plan, format_: str, *, everything: bool, verbose: bool, terminal: bool) -> Iterable[str]:
    if format_ == "trace":
        from memplan.render.trace import trace_lines

        return trace_lines(plan, everything=everything)
    if format_ == "json":
        from memplan.render.json_ import plan_lines

        return plan_lines(plan)
    from memplan.render.report import plan_report
    from memplan.render.table import report_lines

    return report_lines(plan_report(plan, verbose=verbose), terminal=terminal)
