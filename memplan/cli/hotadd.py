"""``memplan hotadd``: memory that is added after boot, and taken away again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from memplan.cli.options import format_option, kernel_option, load, output_option
from memplan.cli.output import write_lines
from memplan.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from memplan.hotadd.scenario import Scenario, Step
    from memplan.kernel.model import Kernel
    from memplan.machine.model import Machine
    from memplan.plan import Plan

_STEPS = "memplan.hotadd.steps"
#: How much of a file is looked at to tell a boot log from a description.
_HEAD = 64 * 1024
_STEP_OPTIONS = ("add", "online", "offline", "remove", "sh")


class _OrderedSteps(click.Command):
    """Keeps the order in which the options that are steps were given, which counts."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click's own; the steps go to the context's meta data as (option, text)."""
        if not ctx.resilient_parsing:
            options, _, order = self.make_parser(ctx).parse_args(args=list(args))
            left = {name: iter(options.get(name) or ()) for name in _STEP_OPTIONS}
            ctx.meta[_STEPS] = [
                (option.name, next(left[option.name])) for option in order if option.name in _STEP_OPTIONS
            ]
        return super().parse_args(ctx, args)


@click.command("hotadd", cls=_OrderedSteps)
@click.argument("machine", type=click.Path())
@click.option("--add", metavar="DIMM", multiple=True, help="Plug a DIMM in: 1G, 1G@node1, 4G@node0,addr=0x240000000.")
@click.option("--online", metavar="BLOCKS", multiple=True, help="Put blocks on-line: d0, movable:d0:0-3, kernel:8.")
@click.option("--offline", metavar="BLOCKS", multiple=True, help="Take blocks off-line: d0, d0:2-5, 8.")
@click.option("--remove", metavar="DIMM", multiple=True, help="Ask a DIMM back: d0.")
@click.option("--sh", metavar="TEXT", multiple=True, help="A command on the machine, as far as memory's files show it.")
@click.option("--scenario", metavar="FILE", help="Steps from a file; those of the options come behind them.")
@click.option("--state", metavar="PATH", help="Begin with this state: /sys/devices/system/memory, or lsmem's JSON.")
@click.option("--how-much", is_flag=True, help="Tell the most that can be added, and what bounds it.")
@click.option("--dimm", metavar="SIZE", default="1G", show_default=True, help="For --how-much: the size of a DIMM.")
@click.option("--node", metavar="NUMBER", type=click.IntRange(min=0), help="For --how-much: the DIMMs' domain.")
@click.option("--maxmem", metavar="SIZE", help="The hypervisor's limit for all memory together.")
@click.option("--slots", metavar="NUMBER", type=click.IntRange(min=1), help="The hypervisor's slots for DIMMs.")
@kernel_option("Another kernel's rules and facts: a version, a build, or a file.")
@click.option("--cmdline", metavar="TEXT", help="Replace the machine's boot options.")
@click.option("--append", metavar="TEXT", multiple=True, help="Add boot options behind the machine's own.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 where a step is refused.")
@format_option("text", "json")
@output_option
def command(
    machine: str,
    scenario: str | None,
    state: str | None,
    how_much: bool,
    dimm: str,
    node: int | None,
    maxmem: str | None,
    slots: int | None,
    kernel: str | None,
    cmdline: str | None,
    append: tuple[str, ...],
    exit_code: bool,
    format_: str,
    output: str | None,
    **_: Any,
) -> int:
    """Tell what becomes of memory that is added to MACHINE after boot, and taken away again.

    MACHINE is a description, or a boot log.  DIMMs are called d0, d1, ... in the order in which they are added; the
    steps happen in the order in which they are given.  Exit status: 0; with --exit-code, 1 where a step is refused;
    with --how-much, 1 where nothing can be added; 2 for bad input.
    """
    from memplan.boot.replay import replay

    steps = _scenario(scenario, click.get_current_context().meta[_STEPS], maxmem, slots)
    if how_much and steps.steps:
        raise UsageError("--how-much asks what can be added after boot: it goes with no steps")
    if not how_much and not steps.steps:
        raise UsageError("nothing to do: give steps (--add 1G@node1, --scenario FILE), or --how-much")
    from memplan.machine.options import with_cmdline

    found, is_log = _load(machine)
    described = with_cmdline(found, cmdline, append)
    build = _kernel(described, kernel)
    plan = replay(described, build)
    if how_much:
        return _how_much(described, build, plan, steps, dimm, node, format_, output)
    from memplan.hotadd.listing import read_listing
    from memplan.hotadd.replay import hotadd

    listing = read_listing(state) if state is not None else None
    logged = None
    if is_log and described.cmdline == found.cmdline:
        from memplan.hotadd.boot_log import read_boot_log

        logged = read_boot_log(machine)
    result = hotadd(described, build, plan, steps, listing=listing, logged=logged)
    if format_ == "json":
        from memplan.render.hotadd_json import hotadd_lines

        write_lines(hotadd_lines(result), output)
    else:
        from memplan.render.hotadd_text import hotadd_blocks
        from memplan.render.table import report_lines

        write_lines(report_lines(hotadd_blocks(result), terminal=output is None), output)
    return 1 if exit_code and any(step.accepted is False for step in result.steps) else 0


def _how_much(
    machine: Machine,
    kernel: Kernel,
    plan: Plan,
    steps: Scenario,
    dimm: str,
    node: int | None,
    format_: str,
    output: str | None,
) -> int:
    from memplan.hotadd.howmuch import how_much
    from memplan.hotadd.scenario import parse_size

    try:
        size = parse_size(dimm)
    except UsageError as error:
        raise UsageError(f"--dimm: {error}") from None
    result = how_much(machine, kernel, plan, steps, size, node)
    if format_ == "json":
        from memplan.render.hotadd_how_much import how_much_document
        from memplan.render.json_ import document_lines

        write_lines(document_lines(how_much_document(result)), output)
    else:
        from memplan.render.hotadd_how_much import how_much_blocks
        from memplan.render.table import report_lines

        write_lines(report_lines(how_much_blocks(result), terminal=output is None), output)
    return 1 if result.dimms == 0 else 0


def _load(path: str) -> tuple[Machine, bool]:
    """The machine that the file `path` describes, or whose boot it is the log of, and whether it is a log."""
    if not path.endswith((".yaml", ".yml", ".json")):
        from memplan.firmware.dmesg import recognises

        try:
            with open(path, "rb") as file:
                head = file.read(_HEAD)
        except (OSError, ValueError):
            head = b""
        if recognises(head):
            return _imported(path), True
    return load(path), False


def _imported(path: str) -> Machine:
    from memplan.firmware.combine import import_files

    machine, _, notes = import_files([path])
    for note in notes:
        click.echo(note, err=True)
    return machine


def _kernel(machine: Machine, name: str | None) -> Kernel:
    from memplan.kernel.load import find_kernel, override

    found = find_kernel(machine.kernel.build if name is None else name)
    return override(found, machine.kernel.overrides) if machine.kernel.overrides and name is None else found


def _scenario(path: str | None, given: Iterable[tuple[str, str]], maxmem: str | None, slots: int | None) -> Scenario:
    """The steps of the file, and behind them those of the options; the options' limits before the file's."""
    from memplan.hotadd.scenario import Scenario, load_scenario, parse_size

    scenario = load_scenario(path) if path is not None else Scenario(())
    steps = (*scenario.steps, *(_step(option, text) for option, text in given))
    scenario = scenario._replace(steps=steps)
    if maxmem is not None:
        try:
            scenario = scenario._replace(maxmem=parse_size(maxmem))
        except UsageError as error:
            raise UsageError(f"--maxmem: {error}") from None
    return scenario if slots is None else scenario._replace(slots=slots)


def _step(option: str, text: str) -> Step:
    from memplan.hotadd.scenario import Offline, Remove, Shell, parse_add, parse_dimm, parse_online, parse_targets

    try:
        if option == "add":
            return parse_add(text)
        if option == "online":
            return parse_online(text)
        if option == "offline":
            return Offline(parse_targets(text))
        return Remove(parse_dimm(text)) if option == "remove" else Shell(text)
    except UsageError as error:
        raise UsageError(f"--{option}: {error}") from None
