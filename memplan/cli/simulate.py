"""``memplan simulate``: the plan of one machine, or one line for each of many."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from memplan.cli.options import (
    OTHER_KERNEL,
    WhatIf,
    direction_options,
    exact_option,
    format_option,
    kernel_option,
    output_option,
    pager_option,
    verbose_option,
    what_if_options,
)
from memplan.cli.output import show_lines, write_lines
from memplan.errors import UsageError
from memplan.render.sections import SECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from memplan.plan import Plan
    from memplan.render.summary import Planned


@click.command("simulate")
@click.argument("machines", metavar="MACHINE [MACHINE ...]", nargs=-1, required=True, type=click.Path())
@direction_options
@kernel_option(OTHER_KERNEL, multiple=True)
@what_if_options
@format_option("table", "json", "trace")
@click.option(
    "--section",
    "sections",
    type=click.Choice(SECTIONS),
    multiple=True,
    help="Only this part of the report, in full; may be given more than once.",
)
@exact_option
@click.option(
    "--summary", is_flag=True, help="One line for each machine; with --kernel twice, what the second changes."
)
@click.option("--all", "everything", is_flag=True, help="In a trace, also what happens before the kernel's log begins.")
@verbose_option
@pager_option
@output_option
def command(
    machines: tuple[str, ...],
    bottom_up: bool | None,
    kernels: tuple[str, ...],
    what_if: WhatIf,
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
    import memplan

    if summary and format_ == "trace":
        raise UsageError("--summary is a table or JSON: a trace is of one plan")
    if not summary and (len(machines) > 1 or len(kernels) > 1):
        raise UsageError("several machines or kernels: add --summary for one line each, or see memplan diff")
    plans = [
        (path, kernel, memplan.simulate(what_if.load(path), kernel=kernel, bottom_up=bottom_up))
        for path in machines
        for kernel in kernels or (None,)
    ]
    terminal = output is None and sys.stdout.isatty()
    if summary:
        write_lines(_summary(plans, kernels, format_, terminal=terminal), output)
    elif format_ != "table":
        write_lines(_for_programs(plans[0][2], format_, everything=everything), output)
    elif terminal and not sections and not verbose:
        write_lines(_first_screen(plans[0][2], exact=exact), output)
    else:
        show_lines(_report(plans[0][2], sections, verbose=verbose, terminal=terminal), output, pager=pager)
    return 0 if all(plan.end.completed for _, _, plan in plans) else 1


def _summary(plans: list[Planned], kernels: tuple[str, ...], format_: str, *, terminal: bool) -> Iterable[str]:
    if format_ == "json":
        from memplan.render.json_ import document_lines
        from memplan.render.summary_json import summary_document

        return document_lines(summary_document(plans, kernels))
    from memplan.render.summary import comparison_table, summary_table
    from memplan.render.terminal import report_lines

    two = len(kernels) == 2
    table = comparison_table(plans, (kernels[0], kernels[1])) if two else summary_table(plans)
    return report_lines([table], terminal=terminal)


def _for_programs(plan: Plan, format_: str, *, everything: bool) -> Iterable[str]:
    if format_ == "trace":
        from memplan.render.trace import trace_lines

        return trace_lines(plan, everything=everything)
    from memplan.render.plan_json import plan_lines

    return plan_lines(plan)


def _first_screen(plan: Plan, *, exact: bool) -> Iterable[str]:
    import shutil

    from memplan.render.overview import overview
    from memplan.render.terminal import span_lines

    width, height = shutil.get_terminal_size()
    # The last line is for the shell's prompt.
    return span_lines(overview(plan, width, height - 1, in_full=exact), terminal=True)


def _report(plan: Plan, sections: tuple[str, ...], *, verbose: bool, terminal: bool) -> Iterable[str]:
    from memplan.render.report import plan_report
    from memplan.render.terminal import report_lines

    return report_lines(plan_report(plan, verbose=verbose, sections=sections), terminal=terminal)
