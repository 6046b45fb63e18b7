"""The smallest change that gives a machine what is wanted, found by planning changes, smallest first.

A change is made of single steps, each of which an option, the boot loader or firmware can take.  Fewer steps are
smaller than more; of as many, options are smaller than what a loader must do, and that is smaller than what firmware
must do.  Which steps there are follows from the plan at hand: what stands in the way of a node that should be
removable, what the crash kernel was refused.  Where no change gives it, what nobody can move proves it.
"""

from __future__ import annotations

from enum import IntEnum
from heapq import heappop, heappush
from typing import TYPE_CHECKING, NamedTuple

from memplan.boot.replay import replay
from memplan.errors import MemplanError
from memplan.machine.model import E820_RAM
from memplan.owner import KERNEL, Mover, Purpose
from memplan.ranges import RangeSet
from memplan.sweep.settings import changed
from memplan.sweep.wants import Verdict
from memplan.units import GIB, PAGE_SIZE, round_down, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from memplan.kernel.model import Kernel
    from memplan.machine.alteration import Alteration
    from memplan.machine.model import Machine
    from memplan.plan import Blocker, Plan, Reservation
    from memplan.sweep.wants import Want

#: How many plans are made before the search ends without an answer.
_MOST_PLANS = 600
#: How many steps a change may have.
_MOST_STEPS = 5


class Hand(IntEnum):
    """Who has to take a step, the least invasive first."""

    OPTION = 0
    LOADER = 1
    FIRMWARE = 2


class Measure(NamedTuple):
    """One step: who takes it, what it is in words, and as settings of fields and boot options."""

    hand: Hand
    text: str
    settings: tuple[tuple[str, str], ...]


class Cost(NamedTuple):
    """What the change costs elsewhere: nodes that are removable no more, the crash kernel's place before and after,
    and by how many bytes less memory can go off-line.
    """

    lost_nodes: tuple[int, ...]
    crash_before: str
    crash_after: str
    lost_bytes: int


class Advice(NamedTuple):
    """The answer: `steps` to take (none where the plan has it already), or None with what stays in the way.

    `immovable` are reservations that nobody can move; they prove that nothing gives what is wanted.  `missing` are the
    wishes that the best change that was tried leaves open.  `plans` counts the plans that were made, and `limits` are
    what the changed machine asks for and no plan replays.
    """

    steps: tuple[Measure, ...] | None
    machine: Machine
    cost: Cost | None
    immovable: tuple[Reservation, ...]
    missing: tuple[Want, ...]
    plans: int
    limits: tuple[str, ...]


def advise(machine: Machine, kernel: Kernel, wants: Sequence[Want]) -> Advice:
    """The smallest change with which `machine` meets all `wants`, each change tried by planning it."""
    first = replay(machine, kernel)
    queue: list[tuple[tuple[int, int], tuple[str, ...], tuple[Measure, ...]]] = [((0, 0), (), ())]
    seen: set[frozenset[Measure]] = set()
    plans, best, best_plan, best_missing = 0, machine, first, tuple(wants)
    while queue and plans < _MOST_PLANS:
        _, _, steps = heappop(queue)
        tried = _tried(machine, kernel, steps)
        plans += 1
        if tried is None:
            continue
        own, plan = tried
        missing = tuple(want for want in wants if not want.is_met(plan))
        if not missing:
            return Advice(steps, own, _cost(first, plan), (), (), plans, plan.limits)
        if len(missing) < len(best_missing):
            best, best_plan, best_missing = own, plan, missing
        if len(steps) == _MOST_STEPS:
            continue
        for step in _steps(own, plan, missing):
            more = (*steps, step)
            if step in steps or frozenset(more) in seen or _clash(steps, step):
                continue
            seen.add(frozenset(more))
            weight = len(more), sum(one.hand for one in more)
            heappush(queue, (weight, tuple(one.text for one in more), more))
    return Advice(None, best, None, _immovable(best_plan, best_missing), best_missing, plans, best_plan.limits)


def _tried(machine: Machine, kernel: Kernel, steps: Sequence[Measure]) -> tuple[Machine, Plan] | None:
    """The machine with `steps` taken, and its plan; None where it can't be planned."""
    try:
        own = changed(machine, tuple(setting for step in steps for setting in step.settings))
        return own, replay(own, kernel)
    except MemplanError:
        return None


def _clash(steps: Sequence[Measure], step: Measure) -> bool:
    """Whether a step sets again what another has set."""
    names = {name for one in steps for name, _ in one.settings}
    return any(name in names for name, _ in step.settings)


def _cost(before: Plan, after: Plan) -> Cost:
    one, other = Verdict.of(before), Verdict.of(after)
    lost = tuple(sorted(set(one.removable) - set(other.removable)))
    return Cost(lost, one.crash_kernel, other.crash_kernel, max(0, before.movable_size - after.movable_size))


# -- what is in the way ------------------------------------------------------------------------------------------------


def _wanted_nodes(plan: Plan, missing: Sequence[Want]) -> set[int]:
    """The nodes that should be removable, as far as they are not."""
    wanted = {nid for want in missing for nid in want.nodes(plan)}
    return wanted - {nid for nid, _, _ in plan.movable}


def _blockers(plan: Plan, missing: Sequence[Want]) -> list[Blocker]:
    nodes = _wanted_nodes(plan, missing)
    return [blocker for verdict in plan.verdicts if verdict.nid in nodes for blocker in verdict.blockers]


def _immovable(plan: Plan, missing: Sequence[Want]) -> tuple[Reservation, ...]:
    """What nobody can move out of the nodes that should be removable."""
    nodes = _wanted_nodes(plan, missing)
    return tuple(own for own in plan.reservations if own.nid in nodes and own.owner.kind.mover is Mover.NOBODY)


# -- the steps ---------------------------------------------------------------------------------------------------------


def _steps(machine: Machine, plan: Plan, missing: Sequence[Want]) -> Iterator[Measure]:
    """The steps that may bring the plan nearer to what is wanted, each once."""
    found: dict[tuple[tuple[str, str], ...], Measure] = {}
    for step in _all_steps(machine, plan, missing):
        found.setdefault(step.settings, step)
    yield from found.values()


def _all_steps(machine: Machine, plan: Plan, missing: Sequence[Want]) -> Iterator[Measure]:
    nodes = _wanted_nodes(plan, missing)
    blockers = _blockers(plan, missing)
    if nodes:
        yield from _marking(machine, plan, nodes)
    for blocker in blockers:
        if blocker.remedy.change is not None:
            yield from _altered(blocker.remedy.change)
        if blocker.owner.kind in KERNEL:
            yield from _image_elsewhere(machine)
        if blocker.owner.kind is Purpose.ACPI_TABLE:
            yield from _tables_elsewhere(machine, plan, nodes)
        if blocker.owner.kind is Purpose.GIGANTIC_PAGES:
            yield _option("hugepages", "off", "allocate gigantic pages later, through sysfs")
    for want in missing:
        if want.crash_kernel is not None:
            yield from _crash_kernels(want.crash_kernel or 256 << 20)


def _option(name: str, value: str, why: str = "") -> Measure:
    word = {"on": name, "off": f"no {name}"}.get(value, f"{name}={value}")
    return Measure(Hand.OPTION, f"boot with {word}" + (f": {why}" if why else ""), ((name, value),))


def _marking(machine: Machine, plan: Plan, nodes: set[int]) -> Iterator[Measure]:
    """The option that turns marks into ZONE_MOVABLE, those that rule it out, and the marks themselves."""
    if not plan_has(machine, "movable_node"):
        yield _option("movable_node", "on")
    for name in ("kernelcore", "movablecore"):
        if plan_has(machine, name):
            yield _option(name, "off")
    if machine.srat is None:
        return
    domains = {node.pxm: node.nid for node in plan.nodes if node.nid in nodes}
    for pxm, nid in domains.items():
        entries = [
            index
            for index, entry in enumerate(machine.srat.memory)
            if entry.enabled and entry.pxm == pxm and entry.length and not entry.hotplug
        ]
        if entries:
            settings = tuple((f"srat.memory[{index}].hotplug", "true") for index in entries)
            yield Measure(Hand.FIRMWARE, f"mark node {nid}'s memory hot-pluggable in firmware's SRAT", settings)


def plan_has(machine: Machine, name: str) -> bool:
    """Whether the machine's command line has that option."""
    from memplan.machine.cmdline import CommandLine

    return CommandLine(machine.cmdline).has(name)


def _altered(change: Alteration) -> Iterator[Measure]:
    """A remedy of the plan as a step."""
    settings: list[tuple[str, str]] = []
    words = [word.partition("=") for word in change.add]
    added = {name for name, _, _ in words}
    settings += [(name, "off") for name in change.drop if name not in added]
    settings += [(name, value if equals else "on") for name, equals, value in words]
    if change.usual_place:
        usual = (("kernel.load_address", ""), ("kernel.randomized", "false"))
        yield Measure(Hand.OPTION, "boot with nokaslr", (("nokaslr", "on"), *usual))
        return
    if change.initrd_start is not None:
        text = f"let the boot loader put the initrd at {change.initrd_start:#x}"
        yield Measure(Hand.LOADER, text, (("initrd.start", f"{change.initrd_start:#x}"),))
        return
    text = " and ".join(f"no {name}" if value == "off" else _word(name, value) for name, value in settings)
    yield Measure(Hand.OPTION, f"boot with {text}", tuple(settings))


def _word(name: str, value: str) -> str:
    return name if value == "on" else f"{name}={value}"


def _image_elsewhere(machine: Machine) -> Iterator[Measure]:
    if machine.kernel.load_address is not None:
        text = "let the boot loader put the kernel at its usual place"
        yield Measure(Hand.LOADER, text, (("kernel.load_address", ""), ("kernel.randomized", "false")))


def _tables_elsewhere(machine: Machine, plan: Plan, nodes: set[int]) -> Iterator[Measure]:
    """All ACPI tables that lie in nodes which should be removable, moved to the top of low memory that stays."""
    domains = {node.pxm for node in plan.nodes if node.nid in nodes}
    entries = machine.srat.memory if machine.srat is not None else ()
    ranges = RangeSet((own.base, own.base + own.length) for own in entries if own.pxm in domains)
    marked = ((own.base, own.base + own.length) for own in entries if own.hotplug)
    taken = RangeSet([*((own.start, own.end) for own in plan.reservations), *ranges, *marked])
    stays = [own for own in machine.e820 if own.type == E820_RAM and own.end <= 4 * GIB]
    inside = [
        (index, table)
        for index, table in enumerate(machine.acpi.tables)
        if ranges.within(table.address, table.address + max(table.length, 1))
    ]
    need = sum(_pages(table.length) for _, table in inside)
    for entry in sorted(stays, key=lambda own: -own.end):
        for start, end in reversed(taken.outside(entry.start, entry.end)):
            at = round_down(end - need, PAGE_SIZE)
            if not inside or at < start:
                continue
            settings = []
            for index, table in inside:
                settings.append((f"acpi.tables[{index}].address", f"{at:#x}"))
                at += _pages(table.length)
            yield Measure(Hand.FIRMWARE, "let firmware put its ACPI tables into a node that stays", tuple(settings))
            return


def _pages(length: int) -> int:
    """`length` in whole pages, at least one."""
    return max(-(-length // PAGE_SIZE), 1) * PAGE_SIZE


def _crash_kernels(size: int) -> Iterator[Measure]:
    text = size_text(size)
    yield _option("crashkernel", text)
    yield _option("crashkernel", f"{text},high")


def settings_of(steps: Sequence[Measure]) -> tuple[tuple[str, str], ...]:
    """The settings of all steps."""
    return tuple(setting for step in steps for setting in step.settings)
