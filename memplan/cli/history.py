"""``memplan history``: one machine through the versions of the kernel."""

from __future__ import annotations

import click

from memplan.cli.bar import Bar
from memplan.cli.options import format_option, load, output_option, set_option
from memplan.cli.output import write_lines


@click.command("history")
@click.argument("machine", type=click.Path())
@click.option("--from", "first", default="3.13", show_default=True, metavar="NAME", help="A version or a distribution.")
@click.option("--to", "last", metavar="NAME", help="A version or a distribution (default: the newest version known).")
@click.option(
    "--want", "wanted", multiple=True, metavar="WISH", help="As removable:node3, removable:all, crashkernel>=1G."
)
@set_option()
@format_option("table", "json")
@output_option
def command(
    machine: str,
    first: str,
    last: str | None,
    wanted: tuple[str, ...],
    sets: tuple[str, ...],
    format_: str,
    output: str | None,
) -> int:
    """Tell which versions of Linux give which verdict on MACHINE, and which rule made it change.

    Between two releases every release is planned; two other kernels (--from rhel-8 --to rhel-9) are held against each
    other.  Exit status: 0; 1 where the last one does not give what is wanted; 2 for bad input.
    """
    from memplan.history import history, newest, versions_between
    from memplan.sweep.wants import read_want

    wants = [read_want(text) for text in wanted]
    described = load(machine, sets)
    with Bar("planning versions") as bar:
        stretches = history(described, versions_between(first, last or newest()), wants, bar.plans)
    words = ["memplan", "simulate", machine, *(word for text in sets for word in ("--set", text))]
    if format_ == "json":
        import json

        from memplan.render.history_json import history_document

        document = history_document(machine, words, wanted, stretches)
        write_lines(json.dumps(document, indent=2).splitlines(), output)
    else:
        from memplan.machine.cmdline import CommandLine
        from memplan.render.history import history_lines

        crash = CommandLine(described.cmdline).has("crashkernel") or any(
            want.crash_kernel is not None for want in wants
        )
        write_lines(history_lines(words, stretches, crash=crash), output)
    return 1 if wants and not stretches[-1].met else 0
