"""``memplan diff``: two plans compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import click

from memplan.cli.options import format_option, load, output_option, with_cmdline
from memplan.cli.output import write_lines
from memplan.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from memplan.plan import Plan

_DIRECTIONS = "memplan.diff.directions"


class _Side(NamedTuple):
    """What one of the two plans is made of; None is the machine's own."""

    machine: str
    kernel: str | None
    cmdline: str | None
    bottom_up: bool | None


def _direction(name: str, *, bottom_up: bool) -> Callable[[Any], Any]:
    """A direction's flag; the order in which both were given says which plan is which."""

    def note(ctx: click.Context, _: click.Parameter, given: bool) -> None:
        if given:
            ctx.meta.setdefault(_DIRECTIONS, []).append(bottom_up)

    return click.option(name, is_flag=True, expose_value=False, callback=note, help=f"A plan {name[2:]}.")


@click.command("diff")
@click.argument("machines", metavar="MACHINE [MACHINE]", nargs=-1, required=True, type=click.Path())
@_direction("--top-down", bottom_up=False)
@_direction("--bottom-up", bottom_up=True)
@click.option("--kernel", "kernels", metavar="NAME", multiple=True, help="A kernel; once for both plans, or twice.")
@click.option("--cmdline", "cmdlines", metavar="TEXT", multiple=True, help="Boot options; once for both, or twice.")
@format_option("table", "json")
@click.option("--exit-code", is_flag=True, help="Exit with status 1 where the plans differ.")
@output_option
@click.pass_context
def command(
    ctx: click.Context,
    machines: tuple[str, ...],
    kernels: tuple[str, ...],
    cmdlines: tuple[str, ...],
    format_: str,
    exit_code: bool,
    output: str | None,
) -> int:
    """Compare two plans: what moved, appeared, vanished or changed size, and which verdicts changed.

    What is given twice makes the two plans: two machines, two kernels, two sets of boot options, or both directions.
    What is given once holds for both.
    """
    from memplan.diff import compare

    directions: list[bool] = ctx.meta.get(_DIRECTIONS, [])
    sides, labels = _sides(machines, kernels, cmdlines, directions)
    diff = compare(_plan(sides[0]), _plan(sides[1]))
    if format_ == "json":
        from memplan.render.diff import diff_document
        from memplan.render.json_ import document_lines

        write_lines(document_lines(diff_document(diff, labels)), output)
    else:
        from memplan.render.diff import diff_report
        from memplan.render.table import report_lines

        write_lines(report_lines(diff_report(diff, labels), terminal=output is None), output)
    return 1 if exit_code and not diff.empty else 0


def _sides(
    machines: tuple[str, ...], kernels: tuple[str, ...], cmdlines: tuple[str, ...], directions: list[bool]
) -> tuple[tuple[_Side, _Side], tuple[str, str]]:
    """The two plans' makings, and what to call them: by what differs."""
    names = tuple("bottom-up" if up else "top-down" for up in directions)
    choices = (
        ("MACHINE", machines, machines),
        ("--kernel", kernels, kernels),
        ("--cmdline", cmdlines, tuple(text or "no boot options" for text in cmdlines)),
        ("--top-down and --bottom-up", tuple(directions), names),
    )
    picked: list[tuple[Any, Any]] = []
    differ: list[tuple[str, str]] = []
    for option, values, texts in choices:
        if len(values) > 2:
            raise UsageError(f"{option}: given {len(values)} times; a diff compares two plans")
        picked.append((values[0], values[-1]) if values else (None, None))
        if len(values) == 2:
            differ.append((texts[0], texts[1]))
    if not differ:
        raise UsageError(
            "nothing to compare: give two machines, --kernel twice, --cmdline twice, or --top-down --bottom-up"
        )
    first, second = (_Side(*(pair[side] for pair in picked)) for side in (0, 1))
    labels = (", ".join(pair[0] for pair in differ), ", ".join(pair[1] for pair in differ))
    return (first, second), labels


def _plan(side: _Side) -> Plan:
    import memplan

    machine = with_cmdline(load(side.machine), side.cmdline)
    return memplan.simulate(machine, kernel=side.kernel, bottom_up=side.bottom_up)
