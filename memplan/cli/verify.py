"""``memplan verify``: a plan held against the log of the boot that it plans."""

from __future__ import annotations

from pathlib import Path

import click

from memplan.cli.options import format_option, kernel_option, load, output_option
from memplan.cli.output import write_lines


@click.command("verify")
@click.argument("log", type=click.Path())
@click.argument("machine", type=click.Path(), required=False)
@kernel_option("Plan with this kernel build instead of the one that the log names.")
@click.option("--boot", metavar="N", type=click.IntRange(1), help="Take the Nth boot of a log that holds several.")
@format_option("text", "json")
@output_option
def command(
    log: str, machine: str | None, kernel: str | None, boot: int | None, format_: str, output: str | None
) -> int:
    """Compare what the plan says with what the kernel of LOG really did, event by event.

    The machine is MACHINE, or else what the log itself says of firmware and loader (nothing that an allocator
    decided is taken from it); "-" is standard input.  Exit status: 0 equal; 1 not; 2 for bad input.
    """
    from memplan.render.comparison import json_text, text_lines
    from memplan.verification import verify

    result = verify(Path(log), load(machine) if machine is not None else None, kernel=kernel, boot=boot or 0)
    write_lines([json_text(result, log)] if format_ == "json" else text_lines(result, log), output)
    return 0 if result.same else 1
