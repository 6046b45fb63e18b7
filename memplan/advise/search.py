"""The smallest change that gives a machine what is wanted, found by planning changes, smallest first.

A change is made of single steps, each of which an option, the boot loader or firmware can take.  Fewer steps are
smaller than more; of as many, those are smaller of which the most invasive is less so: options before what a loader
must do, and that before what firmware must do.  Which steps there are follows from the plan at hand, with the steps
before taken: what stands in the way of a node that should be removable, what the crash kernel was refused.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from memplan.advise.placed import overlaps
from memplan.advise.steps import CHANGES_NODES
from memplan.advise.steps import steps as steps_for
from memplan.boot.replay import replay
from memplan.errors import MemplanError
from memplan.machine.cmdline import CommandLine
from memplan.machine.model import E820_RAM
from memplan.owner import Mover, Purpose
from memplan.progress import unheard
from memplan.ranges import RangeSet
from memplan.sweep.settings import changed
from memplan.sweep.wants import Verdict
from memplan.units import SECTION_SIZE, exact, round_up, size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from memplan.advise.steps import Measure
    from memplan.kernel.model import Kernel
    from memplan.machine.model import Machine
    from memplan.plan import Plan, Reservation
    from memplan.progress import Progress
    from memplan.sweep.wants import Want

#: How many plans are made before the search ends without an answer.
_MOST_PLANS = 600
#: How many steps a change may have.
_MOST_STEPS = 5


class Cost(NamedTuple):
    """What the change costs elsewhere: nodes that are removable no more, the crash kernel's place before and after,
    by how many bytes less memory can go off-line, and how many bytes of RAM the kernel does without.
    """

    lost_nodes: tuple[int, ...]
    crash_before: str
    crash_after: str
    lost_bytes: int
    lost_ram: int


class Refusal(NamedTuple):
    """Why nothing gives what is wanted.

    `missing` are the wishes that the best change that was tried leaves open, and `reasons` what stands in their way, in
    words; the reservations of `immovable` nobody can move.  `apart` tells that each wish can be had without the others.
    `proved` tells that what no step changes rules it out, `tried_all` that all changes there are were tried.
    """

    missing: tuple[Want, ...]
    reasons: tuple[str, ...]
    immovable: tuple[Reservation, ...]
    apart: bool
    proved: bool
    tried_all: bool


class Advice(NamedTuple):
    """The answer: `steps` to take (none where the plan has it already), the machine with them, and what they cost.

    Where nothing gives what is wanted, `refusal` says why.  `plans` counts the plans that were made, and `limits` are
    what the machine asks for and no plan replays.
    """

    steps: tuple[Measure, ...]
    machine: Machine
    cost: Cost | None
    refusal: Refusal | None
    plans: int
    limits: tuple[str, ...]


def advise(machine: Machine, kernel: Kernel, wants: Sequence[Want], progress: Progress = unheard) -> Advice:
    """The smallest change with which `machine` meets all `wants`, each change tried by planning it.

    `progress` hears how many plans were made; how many it takes nobody can know.
    """
    made = count()

    def heard() -> None:
        progress(None, next(made))

    heard()
    first = replay(machine, kernel)
    search, found, plans = _searched(machine, kernel, first, wants, heard)
    if found is not None:
        steps, own, plan = found
        return Advice(steps, own, _cost(first, plan), None, plans, plan.limits)
    apart = False
    if len(wants) > 1:
        alone = [_searched(machine, kernel, first, [want], heard) for want in wants]
        apart = all(each is not None for _, each, _ in alone)
        plans += sum(more for *_, more in alone)
    return Advice((), machine, None, search.refusal(apart=apart), plans, first.limits)


def _searched(
    machine: Machine, kernel: Kernel, first: Plan, wants: Sequence[Want], heard: Callable[[], None]
) -> tuple[_Search, _Found | None, int]:
    """A search for whole nodes, and where there are none for parts of them; what it found, and how many plans it took.

    `first` is the machine's own plan; `heard` hears before each further one.
    Parts that go off-line by their size are no answer where something in the node can't be moved by anyone.
    """
    search = _Search(machine, kernel, first, wants, heard, by_size=False)
    found = search.run()
    if found is not None or search.is_hopeless() or all(want.node is None for want in wants):
        return search, found, search.plans
    other = _Search(machine, kernel, first, wants, heard, by_size=True)
    return other, other.run(), search.plans + other.plans


def settings_of(steps: Sequence[Measure]) -> tuple[tuple[str, str], ...]:
    """The settings of all steps."""
    return tuple(setting for step in steps for setting in step.settings)


#: The smallest change, the machine with it, and its plan.
_Found: TypeAlias = "tuple[tuple[Measure, ...], Machine, Plan]"


class _Search:
    """The search for one change."""

    def __init__(
        self,
        machine: Machine,
        kernel: Kernel,
        first: Plan,
        wants: Sequence[Want],
        heard: Callable[[], None],
        *,
        by_size: bool,
    ) -> None:
        self._machine = machine
        self._kernel = kernel
        self._wants = tuple(wants)
        self._heard = heard
        self._by_size = by_size
        self._overlaps = overlaps(machine, kernel)
        self._first = first
        #: The nodes that are meant, as the machine is: no change may make "all" mean others.
        self._nodes = {want: want.nodes(self._first) for want in wants} if self._first.end.completed else {}
        ram = RangeSet((own.start, own.end) for own in machine.e820 if own.type == E820_RAM)
        self._largest_ram = max((end - start for start, end in ram), default=0)
        self._blockless = frozenset(
            nid for nid in self._unmet_nodes(first, self._wants) if not _has_block(machine, first, nid, ram)
        )
        self.plans = 0
        self._whole = True
        #: The wishes that the nearest change leaves open, and its plan.
        self._best = (self._wants, self._first)

    def run(self) -> _Found | None:
        """The smallest change, the machine with it, and its plan; None where there is none."""
        order = count()
        queue: list[tuple[int, tuple[int, ...], int, tuple[Measure, ...]]] = [(0, (), next(order), ())]
        seen: set[frozenset[Measure]] = set()
        while queue:
            if self.plans == _MOST_PLANS:
                self._whole = False
                return None
            *_, steps = heappop(queue)
            tried = self._tried(steps)
            if tried is None:
                continue
            own, plan = tried
            missing = tuple(want for want in self._wants if not self._is_met(want, plan))
            if not missing:
                return steps, own, plan
            if not steps and self.is_hopeless():
                return None
            self._best = min(self._best, (missing, plan), key=self._distance)
            nodes = self._unmet_nodes(plan, missing)
            for step in steps_for(own, self._kernel, plan, missing, nodes, by_size=self._by_size):
                more = (*steps, step)
                if frozenset(more) in seen or _clash(steps, step):
                    continue
                if len(more) > _MOST_STEPS:
                    self._whole = False
                    break
                seen.add(frozenset(more))
                hands = tuple(sorted((int(one.hand) for one in more), reverse=True))
                heappush(queue, (len(more), hands, next(order), more))
        return None

    def _distance(self, tried: tuple[tuple[Want, ...], Plan]) -> tuple[bool, int, int]:
        """How far a change is from what is wanted: it boots at all, wishes left open, nodes that they want."""
        missing, plan = tried
        return not plan.end.completed, len(missing), len(self._unmet_nodes(plan, missing))

    def refusal(self, *, apart: bool) -> Refusal:
        """Why nothing was found."""
        missing, plan = self._best
        return Refusal(
            missing,
            tuple(self._reasons(missing, plan)),
            self._immovable(plan, missing),
            apart,
            self.is_hopeless(),
            self._whole,
        )

    def is_hopeless(self) -> bool:
        """Whether what no step changes rules a wish out: memory that nobody can move, no block, too little RAM."""
        if any(want.crash_kernel is not None and want.crash_kernel > self._largest_ram for want in self._wants):
            return True
        return bool(self._blockless) or (self._first.end.completed and bool(self._immovable(self._first, self._wants)))

    def _immovable(self, plan: Plan, wants: Sequence[Want]) -> tuple[Reservation, ...]:
        """What nobody can move out of the nodes that should be removable."""
        nodes = self._unmet_nodes(plan, wants)
        return tuple(own for own in plan.reservations if own.nid in nodes and own.owner.kind.mover is Mover.NOBODY)

    def _tried(self, steps: Sequence[Measure]) -> tuple[Machine, Plan] | None:
        """The machine with `steps` taken, and its plan; None where that is no machine, or can't be planned."""
        self.plans += 1
        if not steps:
            return self._machine, self._first
        self._heard()
        try:
            own = changed(self._machine, settings_of(steps))
            if overlaps(own, self._kernel) - self._overlaps:
                return None
            return own, replay(own, self._kernel)
        except MemplanError:
            return None

    def _is_met(self, want: Want, plan: Plan) -> bool:
        if want.node is None or not plan.end.completed:
            return want.is_met(plan)
        targets = self._targets(want, plan)
        return bool(targets) and targets <= {nid for nid, _, _ in plan.movable}

    def _targets(self, want: Want, plan: Plan) -> set[int]:
        return self._nodes.get(want) or want.nodes(plan)

    def _unmet_nodes(self, plan: Plan, missing: Sequence[Want]) -> set[int]:
        """The nodes that should be removable, as far as they are not."""
        wanted = {nid for want in missing for nid in self._targets(want, plan)}
        return wanted - {nid for nid, _, _ in plan.movable}

    def _reasons(self, missing: Sequence[Want], plan: Plan) -> list[str]:
        if not plan.end.completed:
            return [f"the boot dies: {plan.end.text}"]
        found = [
            f"{want.text}: no node has memory but that with the kernel image"
            for want in missing
            if want.node is not None and not self._targets(want, plan)
        ]
        size = size_text(SECTION_SIZE)
        for nid in sorted(self._blockless):
            found.append(f"node {nid}: no memory block lies wholly in its RAM, and none is smaller than {size}")
        for nid in sorted(self._unmet_nodes(plan, missing)) if not self._blockless else ():
            own = [verdict for verdict in plan.verdicts if verdict.nid == nid]
            found += [f"node {nid}: {verdict.reason}" for verdict in own] or [f"there is no node {nid} with memory"]
        for want in missing:
            if want.crash_kernel is not None and want.crash_kernel > self._largest_ram:
                found.append(f"{want.text}: the largest stretch of RAM has {exact(self._largest_ram)}")
            elif want.crash_kernel is not None:
                told = [own.text for own in plan.warnings if own.about is Purpose.CRASH_KERNEL]
                found += [f"{want.text}: {text}" for text in told]
        return list(dict.fromkeys(found))


def _has_block(machine: Machine, plan: Plan, nid: int, ram: RangeSet) -> bool:
    """Whether a memory block of the smallest size may lie in the node's own RAM; true where that is not known."""
    domain = next((node.pxm for node in plan.nodes if node.nid == nid), None)
    cmdline = CommandLine(machine.cmdline)
    if machine.srat is None or domain is None or any(cmdline.has(name) for name in CHANGES_NODES):
        return True
    entries = (own for own in machine.srat.memory if own.enabled and own.pxm == domain)
    own = RangeSet((entry.base, entry.base + entry.length) for entry in entries)
    parts = (part for start, end in own for part in ram.within(start, end))
    return any(round_up(start, SECTION_SIZE) + SECTION_SIZE <= end for start, end in parts)


def _clash(steps: Sequence[Measure], step: Measure) -> bool:
    """Whether a step sets again what another has set."""
    names = {name for one in steps for name, _ in one.settings}
    return any(name in names for name, _ in step.settings)


def _cost(before: Plan, after: Plan) -> Cost:
    one, other = Verdict.of(before), Verdict.of(after)
    lost = tuple(sorted(set(one.removable) - set(other.removable)))
    less = before.movable_size - after.movable_size
    ram = sum(node.memory for node in before.nodes) - sum(node.memory for node in after.nodes)
    return Cost(lost, one.crash_kernel, other.crash_kernel, max(0, less), max(0, ram))
