"""``memplan simulate``: the plan of one machine, or one line for each of many."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import click

from memplan.cli.options import (
    format_option,
    kernel_option,
    load,
    output_option,
    pager_option,
    set_option,
    verbose_option,
)
from memplan.cli.output import show_lines, write_lines
from memplan.errors import UsageError
from memplan.render.sections import SECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from memplan.plan import Plan


@click.command("simulate")
@click.argument("machines", metavar="MACHINE [MACHINE ...]", nargs=-1, required=True, type=click.Path())
@click.option("--bottom-up", "up", is_flag=True, help="Force allocations before the SRAT is read to go upwards.")
@click.option("--top-down", "down", is_flag=True, help="Force them to go downwards.")
@kernel_option("Another kernel's rules and facts: a version, a build, a distribution, or a file.", multiple=True)
@set_option("Change a key of the description (initrd.start=2G, srat.memory[2].hotplug=true); may be given again.")
@click.option("--cmdline", metavar="TEXT", help="Replace the machine's boot options.")
@click.option("--append", metavar="TEXT", multiple=True, help="Add boot options behind the machine's own.")
@format_option("table", "json", "trace")
@click.option(
    "--section",
    "sections",
    type=click.Choice(SECTIONS),
    multiple=True,
    help="Only this part of the report, in full; may be given more than once.",
)
@click.option("--exact", is_flag=True, help="On the first screen, exact sizes instead of rounded ones.")
@click.option("--summary", is_flag=True, help="One line for each machine (and each --kernel).")
@click.option("--all", "everything", is_flag=True, help="In a trace, also what happens before the kernel's log begins.")
@verbose_option
@pager_option
@output_option
def command(
    machines: tuple[str, ...],
    up: bool,
    down: bool,
    kernels: tuple[str, ...],
    sets: tuple[str, ...],
    cmdline: str | None,
    append: tuple[str, ...],
    format_: str,
    sections: tuple[str, ...],
    exact: bool,
    summary: bool,
    everything: bool,
    verbose: bool,
    pager: bool,
    output: str | None,
) -> int:
    """Print the plan of MACHINE: what its boot reserves, and which memory can be ZONE_MOVABLE.

    A terminal shows one screen: the verdicts, what failed, what holds each node.  --section and --verbose show the
    rest; a pipe or a file gets the whole report.

    Exit status: 0; 1 where the boot dies on the way (the plan ends there and says why); 2 for bad input.
    """
    if up and down:
        raise UsageError("--bottom-up and --top-down contradict each other; memplan diff takes both")
    if not summary and (len(machines) > 1 or len(kernels) > 1):
        raise UsageError("several machines or kernels: add --summary for one line each, or see memplan diff")
    bottom_up = True if up else False if down else None
    plans = [
        (path, kernel, _plan(path, kernel, sets, cmdline, append, bottom_up))
        for path in machines
        for kernel in kernels or (None,)
    ]
    terminal = output is None and sys.stdout.isatty()
    if summary:
        from memplan.render.summary import summary_table
        from memplan.render.table import report_lines

        write_lines(report_lines([summary_table(plans)], terminal=terminal), output)
    elif format_ != "table":
        write_lines(_for_programs(plans[0][2], format_, everything=everything), output)
    elif terminal and not sections and not verbose:
        write_lines(_first_screen(plans[0][2], exact=exact), output)
    else:
        show_lines(_report(plans[0][2], sections, verbose=verbose, terminal=terminal), output, pager=pager)
    return 0 if all(plan.end.completed for _, _, plan in plans) else 1


def _plan(
    path: str,
    kernel: str | None,
    sets: tuple[str, ...],
    cmdline: str | None,
    append: tuple[str, ...],
    bottom_up: bool | None,
) -> Plan:
    import memplan

    return memplan.simulate(load(path, sets, cmdline, append), kernel=kernel, bottom_up=bottom_up)


def _for_programs(plan: Plan, format_: str, *, everything: bool) -> Iterable[str]:
    if format_ == "trace":
        from memplan.render.trace import trace_lines

        return trace_lines(plan, everything=everything)
    from memplan.render.json_ import plan_lines

    return plan_lines(plan)


def _first_screen(plan: Plan, *, exact: bool) -> Iterable[str]:
    from memplan.render.overview import overview
    from memplan.render.spans import span_lines

    width, height = shutil.get_terminal_size()
    # The last line is for the shell's prompt.
    return span_lines(overview(plan, width, height - 1, in_full=exact), terminal=True)


def _report(plan: Plan, sections: tuple[str, ...], *, verbose: bool, terminal: bool) -> Iterable[str]:
    from memplan.render.report import plan_report
    from memplan.render.table import report_lines

    return report_lines(plan_report(plan, verbose=verbose, sections=sections), terminal=terminal)
