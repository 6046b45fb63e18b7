"""MP9xx: what the user expects of the machine (--expect, or `expect` of the configuration)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from memplan.checks.model import Expectation, Found, Subject, rule
from memplan.errors import InputError, UsageError
from memplan.machine.places import Place
from memplan.owner import CRASH_KERNEL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.plan import Plan

_WORDS = "movable:node1,node2, dimm:1G@node1 or crashkernel"
_NODE = re.compile(r"(?:node)?([0-9]{1,4})")


def read_expectations(text: str, place: Place) -> tuple[Expectation, ...]:
    """The expectations that `text` names: ``movable:node1,node2``, ``dimm:1G@node1`` or ``crashkernel``.

    Raises InputError, with `place`, for anything else.
    """
    what, colon, targets = text.strip().partition(":")
    if what == "crashkernel" and not colon:
        return (Expectation(what, "", place),)
    if what == "dimm" and targets:
        return (Expectation(what, _dimm(targets, place), place),)
    nodes = [_NODE.fullmatch(word.strip()) for word in targets.split(",")] if what == "movable" else [None]
    numbers = [found[1] for found in nodes if found]
    if len(numbers) != len(nodes):
        message = f"found the expectation {text!r}, expected {_WORDS}"
        raise InputError.single(place.file, message, line=place.line, column=place.column, field=place.field)
    return tuple(Expectation(what, f"node{int(number)}", place) for number in numbers)


def _dimm(text: str, place: Place) -> str:
    """The DIMM that `text` describes, as text; InputError, with `place`, where it describes none."""
    from memplan.hotadd.scenario import parse_add

    try:
        parse_add(text)
    except UsageError as error:
        raise InputError.single(
            place.file, f"expectation dimm: {error}", line=place.line, column=place.column, field=place.field
        ) from None
    return text


@rule(
    "MP901",
    "expected-movable",
    "error",
    group="expectations",
    checks="A node that was expected to be movable (--expect movable:node1) has memory that can go off-line.",
    linux="Memory is in ZONE_MOVABLE, and so can go off-line, only where nothing was reserved in it; with movable_node "
    "only on nodes that the SRAT marks hot-pluggable and that held no reservation before it was read.",
    mend="Move away what the message names, or take the expectation back.",
    reference="find_zone_movable_pfns_for_nodes (mm/page_alloc.c, since 6.2 mm/mm_init.c)",
    needs=(),
)
def expected_movable(subject: Subject) -> Iterator[Found]:
    """Nodes that should be movable and are not."""
    targets = (expectation.target for expectation in subject.expectations if expectation.what == "movable")
    for target in dict.fromkeys(targets):
        nid = int(target.removeprefix("node"))
        if why := _immovable(subject, nid):
            yield Found(f"node {nid} was expected to be movable: {why}", "srat", f"movable:{target}")


@rule(
    "MP902",
    "expected-crashkernel",
    "error",
    group="expectations",
    checks="The crash kernel's memory that was expected (--expect crashkernel) is reserved.",
    linux="crashkernel= is reserved where the option's rules find a gap that is large enough; if none is found the "
    "boot goes on without, and kdump can't be loaded.",
    mend="Give crashkernel= a size that fits (memplan simulate shows the gaps), or take the expectation back.",
    reference="reserve_crashkernel (arch/x86/kernel/setup.c)",
    needs=(),
)
def expected_crashkernel(subject: Subject) -> Iterator[Found]:
    """A crash kernel's memory that should be there and is not."""
    if any(expectation.what == "crashkernel" for expectation in subject.expectations) and (why := _no_crash(subject)):
        yield Found(f"memory for the crash kernel was expected: {why}", "cmdline", "crashkernel")


def _unplanned(subject: Subject) -> str:
    """Why there is no whole boot to ask; "" where there is one."""
    if not subject.has("plan"):
        return subject.plan_problem or "the input has no memory map, so its boot can't be replayed"
    end = subject.plan.end
    return "" if end.completed else f"the boot dies in {end.step}: {end.cause}"


def _immovable(subject: Subject, nid: int) -> str:
    """Why the node `nid` is not movable; "" where all of it that is hot-pluggable is, or else some of it."""
    if why := _unplanned(subject):
        return why
    verdicts = [verdict for verdict in subject.plan.verdicts if verdict.nid == nid]
    hotplug = [verdict for verdict in verdicts if verdict.hotplug]
    if hotplug and not all(verdict.movable for verdict in hotplug):
        verdicts = [verdict for verdict in hotplug if not verdict.movable]
    elif any(verdict.movable for verdict in verdicts):
        return ""
    if not verdicts:
        nodes = sorted({verdict.nid for verdict in subject.plan.verdicts})
        return f"there is no memory in a node of that number, only in {', '.join(f'node {own}' for own in nodes)}"
    return "; ".join(dict.fromkeys(verdict.reason for verdict in verdicts))


def _no_crash(subject: Subject) -> str:
    """Why no memory is reserved for the crash kernel; "" where some is."""
    if why := _unplanned(subject):
        return why
    plan = subject.plan
    if any(reservation.owner.kind in CRASH_KERNEL for reservation in plan.reservations):
        return ""
    options = [word for word in plan.cmdline.split() if word.startswith("crashkernel=")]
    if not options:
        return "the boot options have no crashkernel="
    silent = "is for nothing, or for more than the machine has, and the kernel says nothing of it"
    return _said(plan) or f"{' '.join(options)} {silent}"


def _said(plan: Plan) -> str:
    """What the kernel says about it."""
    lines = [message.text for message in plan.warnings if message.about in CRASH_KERNEL]
    return f"the kernel prints {lines[0]!r}" if lines else ""
