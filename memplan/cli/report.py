"""``memplan report``: a plan as an HTML page that needs nothing else."""

from __future__ import annotations

import shlex

import click

from memplan.cli.options import OTHER_KERNEL, WhatIf, kernel_option, what_if_options
from memplan.cli.output import write_lines
from memplan.errors import UsageError


@click.command("report")
@click.argument("machine", type=click.Path())
@kernel_option(OTHER_KERNEL)
@what_if_options
@click.option(
    "-o", "--output", metavar="FILE", required=True, type=click.Path(dir_okay=False, writable=True), help="The page."
)
def command(machine: str, kernel: str | None, what_if: WhatIf, output: str) -> int:
    """Write a page with MACHINE's plan: the verdict, the map, and the boot as a film.

    The page is one file that needs no network; it holds the plan's JSON and the description, and every command that
    reads a machine reads it back.  Its library is jinja2: pip install 'memplan[report]'.

    Exit status: 0; 1 where the boot dies on the way (the page tells how far it comes); 2 for bad input.
    """
    from memplan.kernel.load import kernel_of

    try:
        from memplan.report.page import Shown, page_text
    except ModuleNotFoundError as error:
        if error.name != "jinja2":
            raise
        raise UsageError("a page is made with jinja2, which is not installed: pip install 'memplan[report]'") from None
    from memplan.report.film import film

    described = what_if.load(machine)
    shot = film(described, kernel_of(described.kernel, kernel))
    given = [("--kernel", (kernel,)), ("--set", what_if.sets), ("--cmdline", (what_if.cmdline,))]
    given += [("--append", what_if.append), ("-o", (output,))]
    words = [word for option, values in given for value in values if value is not None for word in (option, value)]
    write_lines(
        page_text([Shown(shot, "")], shlex.join(["memplan", "report", machine, *words])).split("\n")[:-1], output
    )
    return 0 if shot.plan.end.completed else 1
