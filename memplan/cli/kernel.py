"""``memplan kernel``: the facts of a kernel build, learned from its files; which kernels there are, and their rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from memplan.cli.options import output_option
from memplan.cli.output import write_lines
from memplan.cli.streams import tell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.kernel.facts import FactValue

_FILE = click.Path(dir_okay=False)


@click.command("kernel")
@click.option("--vmlinuz", metavar="FILE", type=_FILE, help="The bzImage, or the vmlinux ELF file.")
@click.option("--system-map", metavar="FILE", type=_FILE, help="Its System.map (a stub is passed over).")
@click.option("--config", metavar="FILE", type=_FILE, help="Its configuration; else the one inside the image, if any.")
@click.option("--btf", metavar="FILE", type=_FILE, help="Type information, if the image has none.")
@click.option("--release", metavar="TEXT", default="", help="Its release, where no image tells it.")
@click.option(
    "--set",
    "given",
    metavar="NAME=VALUE[,SOURCE]",
    multiple=True,
    help="A fact known otherwise, and whence (struct.page=64,gdb).",
)
@click.option("--name", metavar="NAME", help="Write to NAME.yaml here; --kernel ./NAME.yaml plans for it.")
@click.option("--list", "list_", is_flag=True, help="List versions, builds and distributions, and how each is known.")
@click.option("--rules", metavar="VERSION", help="What a version does: each rule with since when, and its commit.")
@click.option("--against", metavar="VERSION", help="With --rules: only what differs from this version.")
@output_option
def command(
    vmlinuz: str | None,
    system_map: str | None,
    config: str | None,
    btf: str | None,
    release: str,
    given: tuple[str, ...],
    name: str | None,
    list_: bool,
    rules: str | None,
    against: str | None,
    output: str | None,
) -> int:
    """Learn a build's facts, for machines with ``kernel: {build: FILE.yaml}`` and for --kernel.

    Where an image of Linux lies and ends, how large its structures are and what it is configured to do, each with
    its source.  What the files do not tell is taken from the generic kernel of that version, and noted.

    With --list or --rules nothing is learned: they tell which kernels memplan knows, and what a version does.
    Exit status: 0; 2 for bad input.
    """
    files = (vmlinuz, system_map, config, btf, release, given, name)
    if list_ or rules or against:
        if any(files):
            raise click.UsageError("--list and --rules take no files")
        write_lines(_known(list_, rules, against), output)
        return 0
    from pathlib import Path

    from memplan.kernel.learn import Inputs, learn, to_yaml

    if not vmlinuz and not system_map:
        raise click.UsageError("give --vmlinuz, or --system-map with --config")
    if name and output:
        raise click.UsageError("--name and --output exclude each other")
    if name and ("/" in name or not name.isprintable()):
        raise click.UsageError(f"--name: found {name!r}, expected a name without slashes (--output takes a path)")
    image, symbols, options, types = (Path(path) if path else None for path in (vmlinuz, system_map, config, btf))
    learned = learn(Inputs(image, symbols, options, types, _facts(given)), release=release)
    for note in learned.notes:
        tell(f"note: {note}")
    write_lines(to_yaml(learned), f"{name}.yaml" if name else output)
    return 0


def _known(listed: bool, rules: str | None, against: str | None) -> Iterator[str]:
    """The lines of --list, of --rules, or of --rules with --against."""
    from memplan.kernel.distributions import target
    from memplan.render.rules import difference_lines, list_lines, rules_lines

    if listed and (rules or against):
        raise click.UsageError("--list and --rules exclude each other")
    if listed:
        return list_lines()
    if rules is None:
        raise click.UsageError("--against needs --rules")
    return rules_lines(target(rules)) if against is None else difference_lines(target(against), target(rules))


def _facts(given: tuple[str, ...]) -> dict[str, dict[str, FactValue]]:
    """The facts of --set by their source: numbers in any notation, true and false, or text."""
    by_source: dict[str, dict[str, FactValue]] = {}
    for item in given:
        fact, _, source = item.partition(",")
        facts = by_source.setdefault(source or "given by the user", {})
        name, equals, value = fact.partition("=")
        if not equals:
            raise click.UsageError(f"--set {item}: should be NAME=VALUE or NAME=VALUE,SOURCE")
        if value in ("true", "false"):
            facts[name] = value == "true"
            continue
        try:
            facts[name] = int(value, 0)
        except ValueError:
            facts[name] = value
    return by_source
