"""``memplan hotadd``: memory that is added after boot, and taken away again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from memplan.cli.options import (
    append_option,
    cmdline_option,
    format_option,
    is_boot_log,
    kernel_option,
    load,
    output_option,
)
from memplan.cli.output import write_lines
from memplan.cli.steps import OrderedSteps, scenario_of, step_options
from memplan.cli.streams import tell
from memplan.errors import UsageError

if TYPE_CHECKING:
    from memplan.hotadd.scenario import Scenario
    from memplan.kernel.model import Kernel
    from memplan.machine.model import Machine
    from memplan.plan import Plan


@click.command("hotadd", cls=OrderedSteps)
@click.argument("machine", type=click.Path())
@step_options
@click.option(
    "--state", metavar="PATH", help="Begin with this state: /sys/devices/system/memory, or what lsmem prints."
)
@click.option("--how-much", is_flag=True, help="Tell the most that can be added, and what bounds it.")
@click.option("--dimm", metavar="SIZE", show_default="1G", help="For --how-much: the size of a DIMM.")
@click.option("--node", metavar="NUMBER", type=click.IntRange(min=0), help="For --how-much: the DIMMs' domain.")
@click.option("--maxmem", metavar="SIZE", help="The hypervisor's limit for all memory together.")
@click.option("--slots", metavar="NUMBER", type=click.IntRange(min=1), help="The hypervisor's slots for DIMMs.")
@kernel_option("Another kernel's rules and facts: a version, a build, or a file.")
@cmdline_option
@append_option
@click.option("--exit-code", is_flag=True, help="Exit with 1 where a step is refused.")
@format_option("text", "json")
@output_option
def command(
    machine: str,
    scenario: str | None,
    state: str | None,
    how_much: bool,
    dimm: str | None,
    node: int | None,
    maxmem: str | None,
    slots: int | None,
    kernel: str | None,
    cmdline: str | None,
    append: tuple[str, ...],
    exit_code: bool,
    format_: str,
    output: str | None,
) -> int:
    """Tell what becomes of memory that is added to MACHINE after boot, and taken away again.

    MACHINE is a description, or a boot log.  DIMMs are called d0, d1, ... in the order in which they are added; the
    steps happen in the order in which they are given.  Exit status: 0; with --exit-code, 1 where a step is refused;
    with --how-much, 1 where nothing can be added; 2 for bad input.
    """
    from memplan.boot.replay import replay

    steps = _limited(scenario_of(scenario), maxmem, slots)
    if how_much and steps.steps:
        raise UsageError("--how-much asks what can be added after boot: it goes with no steps")
    if how_much and (state is not None or exit_code):
        raise UsageError(f"{'--exit-code' if state is None else '--state'} goes with steps, not with --how-much")
    if not how_much and (dimm is not None or node is not None):
        raise UsageError(f"{'--node' if dimm is None else '--dimm'} goes with --how-much, not with steps")
    if not how_much and not steps.steps:
        raise UsageError("nothing to do: give steps (--add 1G@node1, --scenario FILE), or --how-much")
    from memplan.kernel.load import kernel_of
    from memplan.machine.options import with_cmdline

    found, is_log = _load(machine)
    described = with_cmdline(found, cmdline, append)
    build = kernel_of(described.kernel, kernel)
    plan = replay(described, build)
    if how_much:
        return _how_much(described, build, plan, steps, dimm or "1G", node, format_, output)
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
        from memplan.render.terminal import report_lines

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
        from memplan.render.hotadd_how_much import how_much_lines

        write_lines(how_much_lines(result), output)
    else:
        from memplan.render.hotadd_how_much import how_much_blocks
        from memplan.render.terminal import report_lines

        write_lines(report_lines(how_much_blocks(result), terminal=output is None), output)
    return 1 if result.dimms == 0 else 0


def _load(path: str) -> tuple[Machine, bool]:
    """The machine that the file `path` describes, or whose boot it is the log of, and whether it is a log."""
    if not is_boot_log(path):
        return load(path), False
    from memplan.firmware.combine import import_files

    machine, _, notes = import_files([path])
    for note in notes:
        tell(note)
    return machine, True


def _limited(scenario: Scenario, maxmem: str | None, slots: int | None) -> Scenario:
    """The scenario, with the options' limits before the file's."""
    from memplan.hotadd.scenario import parse_size

    if maxmem is not None:
        try:
            scenario = scenario._replace(maxmem=parse_size(maxmem))
        except UsageError as error:
            raise UsageError(f"--maxmem: {error}") from None
    return scenario if slots is None else scenario._replace(slots=slots)
