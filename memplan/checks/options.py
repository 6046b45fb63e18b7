"""MP7xx: boot options about memory that do nothing, fail, or are misspelt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.limits import limits
from memplan.boot.steps.crash import NO_SIZE
from memplan.boot.unheeded import misspelt, of_other_kernels
from memplan.checks.coverage import common, ram_of
from memplan.checks.model import Found, Subject, rule
from memplan.checks.quotes import quote
from memplan.owner import CRASH_KERNEL
from memplan.units import GIB, MIB, U64_MAX, memparse, round_down, round_up, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.plan import Plan

_GROUP = "boot options"
_CRASH_ALIGN = 16 * MIB
#: Below which a crash kernel lies that is not asked for with ",high".
_LOW = 4 * GIB
_OLD_LOW = 896 * MIB


@rule(
    "MP701",
    "kernelcore-without-effect",
    "warning",
    group=_GROUP,
    checks="kernelcore= and movablecore= are not given together with movable_node.",
    linux="With movable_node Linux (3.14 on) takes ZONE_MOVABLE from the SRAT's marks alone, whatever the sizes.",
    mend="Leave one of the two out.",
    reference="find_zone_movable_pfns_for_nodes (mm/page_alloc.c, since 6.2 mm/mm_init.c)",
    needs=("memory",),
)
def kernelcore_without_effect(subject: Subject) -> Iterator[Found]:
    """Sizes that movable_node overrules."""
    cmdline = subject.parameters.cmdline
    if not cmdline.has("movable_node") or not subject.kernel.rules.movable_node_zone:
        return
    for name in ("kernelcore", "movablecore"):
        if cmdline.has(name):
            yield Found(f"{name}={cmdline.last(name)} has no effect under movable_node", "cmdline", name)


@rule(
    "MP702",
    "crashkernel-fails",
    "error",
    group=_GROUP,
    checks="crashkernel= finds its memory.",
    linux="Linux prints that it failed and boots on: kdump can't be loaded.",
    mend="Ask for no more than the largest gap, or let it lie above 4 GiB (crashkernel=size,high).",
    reference="reserve_crashkernel (arch/x86/kernel/setup.c), 6.6 on kernel/crash_reserve.c",
    needs=("memory", "plan"),
)
def crashkernel_fails(subject: Subject) -> Iterator[Found]:
    """A crash kernel that gets nothing, and the largest gap."""
    values = subject.parameters.cmdline.all("crashkernel")
    plan = subject.plan
    if not values or any(own.owner.kind in CRASH_KERNEL for own in plan.reservations):
        return
    line = next((event.text for event in plan.warnings if event.about in CRASH_KERNEL), "")
    if not line or line == NO_SIZE:
        return
    if "auto" in values and subject.kernel.may_be_red_hats:
        # Red Hat's own patch gives this a size, which no plan knows.
        return
    asked = " ".join(f"crashkernel={value}" for value in values)
    old = subject.kernel.rules.crash_stays_below_896m
    limit = _OLD_LOW if old else _LOW
    text = f"{asked} gets no memory; the largest gap below {size_text(limit)} is {size_text(largest_gap(plan, limit))}"
    if any(end > limit for node in plan.nodes for _, end in node.ranges):
        text += f", anywhere {size_text(largest_gap(plan))}"
    yield Found(text, "cmdline", "crashkernel", line)


def largest_gap(plan: Plan, limit: int = U64_MAX) -> int:
    """The most that crashkernel= could get below `limit`: a whole number of MiB from a multiple of 16 MiB on.

    What the boot reserves after it counts as taken, too: a crash kernel that leaves it no room is of no use.
    """
    gaps = plan.gaps(limit=limit)
    return max((0, *(round_down(gap.end - round_up(gap.start, _CRASH_ALIGN), MIB) for gap in gaps)))


@rule(
    "MP703",
    "memmap-outside-ram",
    "warning",
    group=_GROUP,
    checks="memmap= reserves or retypes memory that is RAM.",
    linux="Linux adds the range to the map as it is; where no RAM is, nothing is gained.",
    mend="Correct the place: memmap=size$start (a shell and GRUB want the $ quoted).",
    reference="parse_memmap_one (arch/x86/kernel/e820.c)",
    needs=("memory",),
)
def memmap_outside_ram(subject: Subject) -> Iterator[Found]:
    """Ranges of memmap= without RAM."""
    ram = ram_of(subject)
    for value in subject.parameters.cmdline.all("memmap"):
        for part in (value or "").split(","):
            size, rest = memparse(part)
            if rest[:1] in ("$", "#", "!") and size:
                start = memparse(rest[1:])[0]
                if not common([(start, start + size)], ram):
                    yield Found(f"memmap={part} names no RAM", "cmdline", f"memmap={part}")


@rule(
    "MP704",
    "misspelt-option",
    "warning",
    group=_GROUP,
    checks="No boot option is a misspelt one about memory.",
    linux="Linux hands words that it does not know to init; since 5.13 it lists them.",
    mend="Write the option as the message says.",
    reference="print_unknown_bootoptions (init/main.c, 5.13 on)",
    needs=("memory",),
)
def misspelt_option(subject: Subject) -> Iterator[Found]:
    """Words that are nearly one of the memory options."""
    for each in misspelt(subject.parameters.cmdline, subject.kernel):
        yield Found(each.text, "cmdline", each.name, _listed(subject, each.name))


def _listed(subject: Subject, name: str) -> str:
    """The line that lists words that the kernel does not know, where `name` is among them."""
    return quote(subject, "Unknown kernel command line parameters", name)


@rule(
    "MP705",
    "option-of-other-kernels",
    "warning",
    group=_GROUP,
    checks="The chosen kernel knows each boot option about memory.",
    linux="Linux takes an option of another version, or of a configuration that it is built without, for a word to "
    "init; since 5.13 it lists such words.",
    mend="Leave the option out, or boot a kernel that has it.",
    reference="print_unknown_bootoptions (init/main.c, 5.13 on)",
    needs=("memory",),
)
def option_of_other_kernels(subject: Subject) -> Iterator[Found]:
    """Options about memory that this kernel's image has no handler for."""
    for each in of_other_kernels(subject.parameters.cmdline, subject.kernel):
        yield Found(each.text, "cmdline", each.name, _listed(subject, each.name))


@rule(
    "MP706",
    "not-modelled",
    "warning",
    group=_GROUP,
    checks="Nothing in the machine, its kernel and its options asks for what no plan models (memplan limits lists it).",
    linux="Linux does more, or other, than the plan says: the message names what.",
    mend="Judge by a log of such a boot (memplan verify), or plan without it.",
    reference="memplan limits",
    needs=("memory",),
)
def not_modelled(subject: Subject) -> Iterator[Found]:
    """What the boot asks for and no plan replays."""
    for limit in limits(subject.parameters):
        yield Found(str(limit), limit.field, limit.asked[0])
