"""``memplan init``: a commented description to start from."""

from __future__ import annotations

import re

import click

from memplan.cli.options import kernel_option, output_option
from memplan.cli.output import write_lines

#: The most nodes that a kernel knows (MAX_NUMNODES), and the most RAM that it can map.
_MOST_NODES, _MOST_MEMORY = 1024, 1 << 52


def _size(_: click.Context, __: click.Parameter, value: str) -> int:
    """The bytes of a size such as 2T."""
    found = re.fullmatch(r"([1-9][0-9]{0,15})([KMGTP]?)", value.upper())
    size = int(found[1]) << 10 * " KMGTP".index(found[2] or " ") if found else 0
    if not 0 < size <= _MOST_MEMORY:
        raise click.BadParameter(f"{value!r} is no size of at most 4P, such as 64G or 2T")
    return size


def _nodes(_: click.Context, __: click.Parameter, value: str | None) -> frozenset[int] | None:
    """The nodes of a list such as 1-3 or 1,3."""
    if value is None:
        return None
    found: set[int] = set()
    for part in value.split(","):
        span = re.fullmatch(r"([0-9]{1,4})(?:-([0-9]{1,4}))?", part.strip())
        if span is None or int(span[2] or span[1]) < int(span[1]):
            raise click.BadParameter(f"{value!r} names no nodes such as 1-3 or 1,3")
        found.update(range(int(span[1]), int(span[2] or span[1]) + 1))
    return frozenset(found)


@click.command("init")
@click.option(
    "--nodes", metavar="N", type=click.IntRange(1, _MOST_NODES), default=2, show_default=True, help="NUMA nodes."
)
@click.option("--memory", metavar="SIZE", default="16G", callback=_size, show_default=True, help="RAM of all nodes.")
@click.option(
    "--hotplug",
    metavar="NODES",
    callback=_nodes,
    help="Nodes that can be removed (1-3 or 1,3); all but the first where there are several.",
)
@kernel_option("The kernel that boots: a version, a build, or a file.")
@output_option
def command(nodes: int, memory: int, hotplug: frozenset[int] | None, kernel: str | None, output: str | None) -> int:
    """Write a commented machine description to start from.

    It is a made-up machine; memplan import makes a description of a real one.  Exit status: 0; 2 for bad input.
    """
    from memplan.machine.template import template

    hot = frozenset(range(1, nodes)) if hotplug is None else hotplug
    write_lines(template(nodes, memory, hot, kernel=kernel or "6.12"), output)
    return 0
