"""``memplan report``: plans as an HTML page that needs nothing else."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from memplan.cli.options import is_boot_log
from memplan.cli.output import write_lines
from memplan.cli.sides import machines_of, rules_between, side_options
from memplan.cli.steps import OrderedSteps, scenario_of, step_options, step_words, wants_steps
from memplan.errors import UsageError

if TYPE_CHECKING:
    from memplan.cli.sides import Side, Sides
    from memplan.hotadd.result import HotaddPlan
    from memplan.hotadd.scenario import Scenario
    from memplan.machine.model import Machine
    from memplan.report.film import Film


@click.command("report", cls=OrderedSteps)
@side_options
@step_options
@click.option("--boot", metavar="N", type=click.IntRange(1), help="Take the Nth boot of a log that holds several.")
@click.option(
    "-o", "--output", metavar="FILE", required=True, type=click.Path(dir_okay=False, writable=True), help="The page."
)
def command(sides: Sides, scenario: str | None, boot: int | None, output: str) -> int:
    """Write a page with MACHINE's plan: the verdict, the map, and the boot as a film.

    What is given twice makes two plans side by side: two machines, two kernels, two sets of boot options, or both
    directions; where nothing else differs, --set and --append make the second one.  MACHINE may be a boot log: its
    machine is imported and planned, and the page tells what the log says beside what the plan says.

    With steps (--add 1G@node1, --scenario FILE) the film goes on after the boot: memory is added, put on-line, taken
    off-line and asked back, and the page tells what becomes of each DIMM, and whether it can go again.

    The page is one file that needs no network; it holds the plan's JSON and the description, and every command that
    reads a machine reads it back.  Its library is jinja2: pip install 'memplan[report]'.

    Exit status: 0; 1 where a boot dies on the way (the page tells how far it comes); 2 for bad input.
    """
    try:
        from memplan.report.page import Shown, page_text
    except ModuleNotFoundError as error:
        if error.name != "jinja2":
            raise
        raise UsageError("a page is made with jinja2, which is not installed: pip install 'memplan[report]'") from None
    given = [*sides.words(), *step_words(scenario), *(("--boot", str(boot)) if boot is not None else ())]
    steps = scenario_of(scenario) if wants_steps(scenario) else None
    made_by = shlex.join(["memplan", "report", *given, "-o", output])
    pair = sides.pair()
    if pair is not None:
        from memplan.differences import compare
        from memplan.report.lead import lead_of_plans

        if boot is not None:
            raise UsageError("--boot: two plans are made of descriptions, not of a log")
        both, labels = pair
        machines = machines_of(both)
        films = _film(both[0], machines[0]), _film(both[1], machines[1])
        plans = films[0].plan, films[1].plan
        diff = compare(*plans)
        shown = [Shown(film, label, _added(film, steps)) for film, label in zip(films, labels, strict=True)]
        rules = rules_between(both, machines[0], plans)
        lead = lead_of_plans(plans, diff, labels, rules, [each.added for each in shown])
        text = page_text(shown, made_by, lead=lead, diff=diff)
    elif is_boot_log(sides.machines[0]):
        from memplan.report.lead import lead_of_log
        from memplan.verification import read_logged

        side = sides.single()
        if side.cmdline is not None:
            raise UsageError("--cmdline: a log is compared with what booted; memplan import makes a description of it")
        logged = read_logged(Path(side.machine), kernel=side.kernel, boot=boot or 0)
        film = _film(side, logged.machine)
        shown = [Shown(film, "", _added(film, steps, side.machine if boot in (None, 1) else None))]
        text = page_text(shown, made_by, lead=lead_of_log(logged.held_against(film.plan), logged.notes))
    else:
        if boot is not None:
            raise UsageError(f"--boot: {sides.machines[0]} is no boot log")
        side = sides.single()
        film = _film(side, side.load())
        shown = [Shown(film, "", _added(film, steps))]
        text = page_text(shown, made_by)
    write_lines(text.split("\n")[:-1], output)
    return 0 if all(own.film.plan.end.completed for own in shown) else 1


def _film(side: Side, machine: Machine) -> Film:
    from memplan.kernel.load import kernel_of
    from memplan.report.film import film

    return film(machine, kernel_of(machine.kernel, side.kernel), bottom_up=side.bottom_up)


def _added(film: Film, steps: Scenario | None, log: str | None = None) -> HotaddPlan | None:
    """What the steps make of a film's machine; `log` is that of its boot, which tells more of the state after it."""
    if steps is None:
        return None
    from memplan.hotadd.boot_log import read_boot_log
    from memplan.hotadd.replay import hotadd

    return hotadd(film.machine, film.kernel, film.plan, steps, logged=read_boot_log(log) if log is not None else None)
