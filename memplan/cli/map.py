"""``memplan map``: what holds the memory of each node, drawn."""

from __future__ import annotations

import shutil
import sys

import click

from memplan.cli.options import (
    OTHER_KERNEL,
    WhatIf,
    direction_options,
    kernel_option,
    output_option,
    pager_option,
    what_if_options,
)
from memplan.cli.output import show_lines, write_lines
from memplan.cli.steps import OrderedSteps, scenario_of, step_options, wants_steps

#: Columns where there is no terminal to ask.
_WIDTH = 100


@click.command("map", cls=OrderedSteps)
@click.argument("machine", type=click.Path())
@direction_options
@kernel_option(OTHER_KERNEL)
@what_if_options
@step_options
@click.option("--width", metavar="N", type=click.IntRange(20, 1000), help="Columns; a terminal's own, else 100.")
@pager_option
@output_option
def command(
    machine: str,
    bottom_up: bool | None,
    kernel: str | None,
    what_if: WhatIf,
    scenario: str | None,
    width: int | None,
    pager: bool,
    output: str | None,
) -> int:
    """Draw MACHINE's nodes as strips: what holds the memory, and what is hot-pluggable.

    Sizes are compressed by their logarithm, so that 4 KiB and 4 TiB are both seen.  An output file that ends in .svg
    is a picture.  With steps (--add 1G@node1, --scenario FILE) the nodes are drawn as these leave them.

    Exit status: 0; 1 where the boot dies on the way; 2 for bad input.
    """
    from memplan.boot.replay import replay
    from memplan.kernel.load import kernel_of

    described = what_if.load(machine)
    build = kernel_of(described.kernel, kernel)
    plan = replay(described, build, bottom_up=bottom_up)
    if not plan.end.completed:
        write_lines([f"The boot dies in {plan.end.step}: {plan.end.cause}"], output)
        return 1
    added = None
    if wants_steps(scenario):
        from memplan.hotadd.replay import hotadd

        added = hotadd(described, build, plan, scenario_of(scenario))
    if output is not None and output.endswith(".svg"):
        from memplan.render.map_svg import map_svg

        write_lines(map_svg(plan, added), output)
        return 0
    from memplan.render.map_text import map_lines
    from memplan.render.terminal import span_lines

    columns = width or (shutil.get_terminal_size((_WIDTH, 24)).columns if sys.stdout.isatty() else _WIDTH)
    show_lines(span_lines(map_lines(plan, columns, added), terminal=output is None), output, pager=pager)
    return 0
