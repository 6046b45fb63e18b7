"""``memplan explain``: what people ask next."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import click

from memplan.cli.options import (
    OTHER_KERNEL,
    WhatIf,
    direction_options,
    format_option,
    kernel_option,
    output_option,
    pager_option,
    verbose_option,
    what_if_options,
)
from memplan.cli.output import show_lines, write_lines
from memplan.cli.steps import OrderedSteps, scenario_of, step_options, wants_steps
from memplan.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from memplan.explain.answers import Answer, Subject

_RULE = re.compile(r"MP\d{3}", re.IGNORECASE)


@click.command("explain", cls=OrderedSteps)
@click.argument("words", metavar="[MACHINE] SUBJECT", nargs=-1, required=True)
@direction_options
@kernel_option(OTHER_KERNEL)
@what_if_options
@step_options
@format_option("table", "json")
@verbose_option
@pager_option
@output_option
def command(
    words: tuple[str, ...],
    bottom_up: bool | None,
    kernel: str | None,
    what_if: WhatIf,
    scenario: str | None,
    format_: str,
    verbose: bool,
    pager: bool,
    output: str | None,
) -> int:
    """Explain SUBJECT in the plan of MACHINE: who has it, why there and not elsewhere, and what would move it.

    SUBJECT is an address, a node (node1), an owner as the plan names it ("memory map"), or a boot step; without a
    MACHINE, a rule of `memplan check` or a key of the description.  Exit status: 0; 2 for bad input.

    \b
    Who holds an address, since when, and why there?
      memplan explain m.yaml 0x13ffd5000
    Why can't node 1 be removed?
      memplan explain m.yaml node1
    What if the initrd lay elsewhere?
      memplan explain m.yaml initrd --set initrd.start=2G
      memplan diff m.yaml --set initrd.start=2G
    Where would crashkernel=2G land, and what is the largest that fits?
      memplan explain m.yaml "crash kernel" --append crashkernel=2G
      memplan sweep m.yaml --vary crashkernel=128M..16G
    What do page tables of 4 KiB pages cost each node, in either direction?
      memplan diff m.yaml --top-down --bottom-up --set cpus.pse=false --set cpus.gbpages=false
    Which places of KASLR are bad?
      memplan sweep m.yaml --kaslr --vary nokaslr=off
    What do the memory maps of hot-pluggable nodes cost node 0?
      memplan explain m.yaml "memory map"
    Which of these machines lose a node with the second kernel?
      memplan simulate *.yaml --summary --kernel 6.1 --kernel 6.12
    Can memory that is added after boot go again?
      memplan explain m.yaml d0 --add 1G@node1
    What does a step do in this version, and what did it do here?
      memplan explain m.yaml reserve_crashkernel
    What does a rule of memplan check say? What is a key of the description?
      memplan explain MP201
      memplan explain e820.type
    """
    if len(words) > 2:
        raise UsageError(f"explain takes a machine and one subject; quote a subject of several words: {words[1:]!r}")
    if len(words) == 1:
        if wants_steps(scenario):
            raise UsageError("steps after boot need a machine: memplan explain MACHINE SUBJECT --add 1G")
        write_lines(_without_machine(words[0]), output)
        return 0
    from memplan.explain.answers import subject_of

    about = subject_of(what_if.load(words[0]), kernel, bottom_up=bottom_up)
    found = _answer(about, words[1], scenario)
    if format_ == "json":
        from memplan.render.explain_json import answer_document
        from memplan.render.json_ import document_lines

        write_lines(document_lines(answer_document(found, about.plan)), output)
    else:
        from memplan.render.explain import answer_lines

        width = shutil.get_terminal_size((100, 24)).columns
        show_lines(answer_lines(found, about.plan, width=width, everything=verbose), output, pager=pager)
    return 0


def _answer(about: Subject, subject: str, scenario: str | None) -> Answer:
    from memplan.explain.added import answer_with_added, is_dimm
    from memplan.explain.answers import answer

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
