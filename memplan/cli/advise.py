"""``memplan advise``: the smallest change that gives what is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from memplan.cli.options import format_option, load, output_option, set_option, with_settings
from memplan.cli.output import write_lines
from memplan.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from memplan.advise import Advice


@click.command("advise")
@click.argument("machine", type=click.Path())
@click.option(
    "--want",
    "wanted",
    metavar="WISH",
    multiple=True,
    required=True,
    help="removable:nodeN, removable:all, crashkernel, crashkernel>=SIZE or boots; may be given more than once.",
)
@click.option("--kernel", metavar="NAME", help="Another kernel: a version, a build, a distribution, or a file.")
@set_option
@click.option("--apply", "applied", metavar="FILE", type=click.Path(dir_okay=False), help="Write the changed machine.")
@format_option("table", "json")
@output_option
def command(
    machine: str,
    wanted: tuple[str, ...],
    kernel: str | None,
    settings: tuple[str, ...],
    applied: str | None,
    format_: str,
    output: str | None,
) -> int:
    """Find the smallest change to MACHINE that gives all that is wanted, or tell what nobody can move.

    Every change is tried by planning it.  Exit status: 0; 1 where no change gives it; 2 for bad input.
    """
    from memplan.advise import advise
    from memplan.sweep.case import kernel_of
    from memplan.sweep.wants import read_want

    if applied is not None and applied == output:
        raise UsageError("--apply and --output name the same file")
    described = with_settings(load(machine), settings)
    advice = advise(described, kernel_of(described, kernel), [read_want(text) for text in wanted])
    write_lines(_lines(machine, kernel, wanted, advice, format_), output)
    if advice.steps is None:
        return 1
    if applied is not None:
        from memplan.machine.dump import dump_machine

        write_lines(dump_machine(advice.machine).splitlines(), applied)
    return 0


def _lines(path: str, kernel: str | None, wanted: Sequence[str], advice: Advice, format_: str) -> Iterable[str]:
    if format_ == "json":
        import json

        from memplan.render.advice import advice_document

        return json.dumps(advice_document(path, kernel, wanted, advice), indent=2).splitlines()
    from memplan.render.advice import advice_lines

    return advice_lines(path, kernel, wanted, advice)
