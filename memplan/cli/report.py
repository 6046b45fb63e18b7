"""``memplan report``: a plan as an HTML page that needs nothing else."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from memplan.cli.options import kernel_option, load, set_option
from memplan.cli.output import write_lines
from memplan.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable


@click.command("report")
@click.argument("machine", type=click.Path())
@kernel_option("Another kernel: a version, a build, a distribution, or a file.")
@set_option()
@click.option("--cmdline", metavar="TEXT", help="Replace the machine's boot options.")
@click.option("--append", metavar="TEXT", multiple=True, help="Add boot options behind the machine's own.")
@click.option(
    "-o", "--output", metavar="FILE", required=True, type=click.Path(dir_okay=False, writable=True), help="The page."
)
def command(
    machine: str, kernel: str | None, sets: tuple[str, ...], cmdline: str | None, append: tuple[str, ...], output: str
) -> int:
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

    described = load(machine, sets, cmdline, append)
    shot = film(described, kernel_of(described.kernel, kernel))
    words = ["memplan", "report", machine, *_given("--kernel", [kernel] if kernel else []), *_given("--set", sets)]
    words += [*_given("--cmdline", [] if cmdline is None else [cmdline]), *_given("--append", append), "-o", output]
    write_lines(page_text([Shown(shot, "")], shlex.join(words)).split("\n")[:-1], output)
    return 0 if shot.plan.end.completed else 1


def _given(option: str, values: Iterable[str]) -> list[str]:
    return [word for value in values for word in (option, value)]
