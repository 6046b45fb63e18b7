"""``memplan diff``: two plans compared."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from memplan.cli.options import (
    exact_option,
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

if TYPE_CHECKING:
    from collections.abc import Callable

    from memplan.machine.model import Machine
    from memplan.plan import Plan
    from memplan.rule_changes import RuleChange

_DIRECTIONS = "memplan.diff.directions"


class _Side(NamedTuple):
    """What one of the two plans is made of; None is the machine's own."""

    machine: str
    kernel: str | None
    cmdline: str | None
    append: str | None
    bottom_up: bool | None
    sets: tuple[str, ...]


def _direction(name: str, *, bottom_up: bool) -> Callable[[Any], Any]:
    """A direction's flag; the order in which both were given says which plan is which."""

    def note(ctx: click.Context, _: click.Parameter, given: bool) -> None:
        if given:
            ctx.meta.setdefault(_DIRECTIONS, []).append(bottom_up)

    return click.option(
        name,
        is_flag=True,
        expose_value=False,
        callback=note,
        help=f"A plan whose allocations before the SRAT go {name[2:]}.",
    )


@click.command("diff")
@click.argument("machines", metavar="MACHINE [MACHINE]", nargs=-1, required=True, type=click.Path())
@_direction("--top-down", bottom_up=False)
@_direction("--bottom-up", bottom_up=True)
@kernel_option("A kernel; once for both plans, or twice.", multiple=True)
@set_option("Change a key of the description; a key given twice makes the two plans.")
@click.option("--cmdline", "cmdlines", metavar="TEXT", multiple=True, help="Boot options; once for both, or twice.")
@click.option("--append", "appends", metavar="TEXT", multiple=True, help="More boot options; once or twice.")
@format_option("table", "json")
@exact_option
@click.option("--exit-code", is_flag=True, help="Exit with status 1 where the plans differ.")
@verbose_option
@pager_option
@output_option
@click.pass_context
def command(
    ctx: click.Context,
    machines: tuple[str, ...],
    kernels: tuple[str, ...],
    sets: tuple[str, ...],
    cmdlines: tuple[str, ...],
    appends: tuple[str, ...],
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

    directions: list[bool] = ctx.meta.get(_DIRECTIONS, [])
    sides, labels = _sides(machines, kernels, sets, cmdlines, appends, directions)
    plans = _plan(sides[0]), _plan(sides[1])
    diff = compare(*plans)
    rules = _rules(sides, plans)
    terminal = output is None and sys.stdout.isatty()
    if format_ == "json":
        from memplan.render.diff import diff_document
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


def _sides(
    machines: tuple[str, ...],
    kernels: tuple[str, ...],
    sets: tuple[str, ...],
    cmdlines: tuple[str, ...],
    appends: tuple[str, ...],
    directions: list[bool],
) -> tuple[tuple[_Side, _Side], tuple[str, str]]:
    """The two plans' makings, and what to call them: by what differs."""
    names = tuple("bottom-up" if up else "top-down" for up in directions)
    choices: list[tuple[str, tuple[Any, ...], tuple[str, ...]]] = [
        ("MACHINE", machines, machines),
        ("--kernel", kernels, kernels),
        ("--cmdline", cmdlines, tuple(text or "no boot options" for text in cmdlines)),
        ("--append", appends, tuple(text or "nothing appended" for text in appends)),
        ("--top-down and --bottom-up", tuple(directions), names),
    ]
    keys = dict.fromkeys(text.partition("=")[0].strip() for text in sets)
    for key in keys:
        values = tuple(text for text in sets if text.partition("=")[0].strip() == key)
        choices.append((f"--set {key}", values, values))
    picked: list[tuple[Any, Any]] = []
    differ: list[tuple[str, str]] = []
    for option, values, texts in choices:
        if len(values) > 2:
            raise UsageError(f"{option}: given {len(values)} times; a diff compares two plans")
        picked.append((values[0], values[-1]) if values else (None, None))
        if len(values) == 2:
            differ.append((texts[0], texts[1]))
    if not differ and (sets or appends):
        # The machine as it is described, and as it would be.
        picked = [
            (None if option.startswith(("--append", "--set")) else first, second)
            for (option, _, _), (first, second) in zip(choices, picked, strict=True)
        ]
        differ = [("as described", ", ".join((*sets, *appends)))]
    if not differ:
        raise UsageError(
            "nothing to compare: give two machines, --kernel, --cmdline, --append or a key of --set twice, "
            "--top-down --bottom-up, or a change (--set, --append)"
        )
    first, second = (_side([pair[number] for pair in picked]) for number in (0, 1))
    labels = (", ".join(pair[0] for pair in differ), ", ".join(pair[1] for pair in differ))
    return (first, second), labels


def _side(values: list[Any]) -> _Side:
    """The makings of one plan: single choices, and then the changes."""
    machine, kernel, cmdline, append, bottom_up, *sets = values
    return _Side(machine, kernel, cmdline, append, bottom_up, tuple(text for text in sets if text is not None))


def _machine(side: _Side) -> Machine:
    return load(side.machine, side.sets, side.cmdline, (side.append,) if side.append else ())


def _plan(side: _Side) -> Plan:
    import memplan

    return memplan.simulate(_machine(side), kernel=side.kernel, bottom_up=side.bottom_up)


def _rules(sides: tuple[_Side, _Side], plans: tuple[Plan, Plan]) -> tuple[RuleChange, ...]:
    """What makes the outcomes differ, where only the kernels do."""
    first, second = sides
    if first.kernel is None or second.kernel is None or first._replace(kernel=second.kernel) != second:
        return ()
    from memplan.history import Build
    from memplan.kernel.load import kernel_of
    from memplan.rule_changes import rule_changes

    machine = _machine(first)
    builds = [Build(name, kernel_of(machine.kernel, name)) for name in (first.kernel, second.kernel)]
    return rule_changes(machine, (builds[0], builds[1]), plans, bottom_up=first.bottom_up)
