"""``memplan explain``: what people ask next."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import click

from memplan.cli.options import (
    format_option,
    kernel_option,
    load,
    output_option,
    pager_option,
    set_option,
    verbose_option,
)
from memplan.cli.output import show_lines, write_lines
from memplan.cli.steps import OrderedSteps, scenario_of, step_options, wants_steps
from memplan.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from memplan.explain.answers import Answer

_RULE = re.compile(r"MP\d{3}", re.IGNORECASE)


@click.command("explain", cls=OrderedSteps)
@click.argument("words", metavar="[MACHINE] SUBJECT", nargs=-1, required=True)
@click.option("--bottom-up", "up", is_flag=True, help="Force allocations before the SRAT is read to go upwards.")
@click.option("--top-down", "down", is_flag=True, help="Force them to go downwards.")
@kernel_option("Another kernel: a version, a build, a distribution, or a file.")
@set_option()
@click.option("--cmdline", metavar="TEXT", help="Replace the machine's boot options.")
@click.option("--append", metavar="TEXT", multiple=True, help="Add boot options behind the machine's own.")
@step_options
@format_option("table", "json")
@verbose_option
@pager_option
@output_option
def command(
    words: tuple[str, ...],
    up: bool,
    down: bool,
    kernel: str | None,
    sets: tuple[str, ...],
    cmdline: str | None,
    append: tuple[str, ...],
    scenario: str | None,
    format_: str,
    verbose: bool,
    pager: bool,
    output: str | None,
) -> int:
    """Explain SUBJECT in the plan of MACHINE: who has it, why there and not elsewhere, and what would move it.

    \b
    Who holds an address, since when, why there?   memplan explain m.yaml 0x13ffd5000
    Why can't node 1 be removed?                   memplan explain m.yaml node1
    Where would crashkernel=2G land?               memplan explain m.yaml "crash kernel" --append crashkernel=2G
    What do the memory maps of nodes cost?         memplan explain m.yaml "memory map"
    What if the initrd lay elsewhere?              memplan explain m.yaml initrd --set initrd.start=2G
    What if the direction were another?            memplan explain m.yaml "page tables" --top-down
    What does a step do in this version, and here? memplan explain m.yaml reserve_crashkernel
    Can memory added after boot go again?          memplan explain m.yaml d0 --add 1G@node1
    What does a rule of memplan check say?         memplan explain MP201
    What is a key of the description?              memplan explain e820.type
    """
    if up and down:
        raise UsageError("--bottom-up and --top-down contradict each other; memplan diff takes both")
    if len(words) > 2:
        raise UsageError(f"explain takes a machine and one subject; quote a subject of several words: {words[1:]!r}")
    if len(words) == 1:
        if wants_steps(scenario):
            raise UsageError("steps after boot need a machine: memplan explain MACHINE SUBJECT --add 1G")
        write_lines(_without_machine(words[0]), output)
        return 0
    found = _answer(
        words[0], words[1], kernel, sets, cmdline, append, True if up else False if down else None, scenario
    )
    if format_ == "json":
        from memplan.render.explain import answer_document
        from memplan.render.json_ import document_lines

        write_lines(document_lines(answer_document(found)), output)
    else:
        from memplan.render.explain import answer_lines

        width = shutil.get_terminal_size((100, 24)).columns
        show_lines(answer_lines(found, width=width, everything=verbose), output, pager=pager)
    return 0


def _answer(
    path: str,
    subject: str,
    kernel: str | None,
    sets: tuple[str, ...],
    cmdline: str | None,
    append: tuple[str, ...],
    bottom_up: bool | None,
    scenario: str | None,
) -> Answer:
    from memplan.explain.added import answer_with_added, is_dimm
    from memplan.explain.answers import answer, subject_of

    machine = load(path, sets, cmdline, append)
    about = subject_of(machine, kernel, bottom_up=bottom_up)
    if not wants_steps(scenario):
        if is_dimm(subject):
            raise UsageError(f"{subject} is a DIMM that is added after boot: add it with --add 1G@node1, or --scenario")
        return answer(about, subject)
    from memplan.hotadd.replay import hotadd

    return answer_with_added(about, hotadd(about.machine, about.kernel, about.plan, scenario_of(scenario)), subject)


def _without_machine(subject: str) -> Iterable[str]:
    """What can be explained without a plan: a check rule, or a key of the description."""
    if _RULE.fullmatch(subject):
        from memplan.render.check_rules import explained

        return explained(subject.upper())
    from memplan.explain.keys import key_lines

    return key_lines(subject)
