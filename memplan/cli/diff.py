"""``memplan diff``: two plans compared."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import click

from memplan.cli.options import exact_option, format_option, output_option, pager_option, verbose_option
from memplan.cli.output import show_lines, write_lines
from memplan.cli.sides import machines_of, rules_between, side_options
from memplan.errors import UsageError

if TYPE_CHECKING:
    from memplan.cli.sides import Side, Sides
    from memplan.machine.model import Machine
    from memplan.plan import Plan


@click.command("diff")
@side_options
@format_option("table", "json")
@exact_option
@click.option("--exit-code", is_flag=True, help="Exit with status 1 where the plans differ.")
@verbose_option
@pager_option
@output_option
def command(
    sides: Sides,
    format_: str,
    exact: bool,
    exit_code: bool,
    verbose: bool,
    pager: bool,
    output: str | None,
) -> int:
    """Compare two plans: what moved, appeared, vanished or changed size, and which verdicts changed.

    What is given twice makes the two plans: two machines, two kernels, two sets of boot options, or both directions.
    What is given once holds for both; where nothing else differs, --set and --append make the second plan.
    A terminal shows one screen; --verbose, a pipe or a file every range.

    Exit status: 0; with --exit-code, 1 where the plans differ; 2 for bad input.
    """
    from memplan.differences import compare

    pair = sides.pair()
    if pair is None:
        raise UsageError(
            "nothing to compare: give two machines, --kernel, --cmdline, --append or a key of --set twice, "
            "--top-down --bottom-up, or a change (--set, --append)"
        )
    (first, second), labels = pair
    machines = machines_of((first, second))
    plans = _plan(first, machines[0]), _plan(second, machines[1])
    diff = compare(*plans)
    rules = rules_between((first, second), machines[0], plans)
    terminal = output is None and sys.stdout.isatty()
    if format_ == "json":
        from memplan.render.diff_json import diff_document
        from memplan.render.json_ import document_lines

        write_lines(document_lines(diff_document(plans, diff, labels, rules)), output)
    elif terminal and not verbose:
        from memplan.render.diff_overview import diff_overview
        from memplan.render.terminal import span_lines

        width, height = shutil.get_terminal_size()
        # The last line is for the shell's prompt.
        lines = diff_overview(plans, diff, labels, width, height - 1, in_full=exact, rules=rules)
        write_lines(span_lines(lines, terminal=True), output)
    else:
        from memplan.render.diff import diff_report
        from memplan.render.terminal import report_lines

        show_lines(report_lines(diff_report(plans, diff, labels, rules), terminal=terminal), output, pager=pager)
    return 1 if exit_code and not diff.empty else 0


def _plan(side: Side, machine: Machine) -> Plan:
    import memplan

    return memplan.simulate(machine, kernel=side.kernel, bottom_up=side.bottom_up)
