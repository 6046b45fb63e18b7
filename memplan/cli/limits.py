"""``memplan limits``: what is modelled, verified against what, and what isn't."""

from __future__ import annotations

import click

from memplan.cli.options import format_option, output_option
from memplan.cli.output import write_lines


@click.command("limits")
@format_option("text", "json")
@output_option
def command(format_: str, output: str | None) -> int:
    """List what of early boot is modelled, what that was verified against, and what is not modelled.

    A plan that comes to something that is not modelled names it in every format.  Exit status: 0.
    """
    from memplan.coverage import coverage
    from memplan.render.limits import limits_lines
    from memplan.render.limits_json import limits_document

    if format_ == "json":
        from memplan.render.json_ import document_lines

        write_lines(document_lines(limits_document(coverage())), output)
    else:
        write_lines(limits_lines(coverage()), output)
    return 0
