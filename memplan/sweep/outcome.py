"""What a sweep asks of each case: which nodes are removable, where the crash kernel lies, whether the boot dies."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from memplan.boot.blocks import movable_ranges
from memplan.boot.context import Boot
from memplan.boot.panic import BootPanic
from memplan.boot.record import Recorder
from memplan.boot.replay import run
from memplan.events import Change
from memplan.owner import Purpose
from memplan.sweep.rough import FIRST_STEP, LAST_STEP, RoughMemory, questions
from memplan.sweep.vague import Undecided
from memplan.units import GIB

if TYPE_CHECKING:
    from memplan.kernel.model import Kernel
    from memplan.machine.model import Machine

#: So many ways of requests that may find room or not are tried.
_MOST_WAYS = 12


class Outcome(NamedTuple):
    """One case's answer: the nodes of the plan's `movable`, the crash kernel's ranges, and the kernel's last words.

    `crash_low` is the part that goes with a crash kernel above 4 GiB.  A range is None where there is none.
    """

    removable: tuple[int, ...]
    crash_kernel: tuple[int, int] | None
    crash_low: tuple[int, int] | None
    death: str = ""


def crash_place(outcome: Outcome) -> str:
    """Where the crash kernel has its memory: "low", "high" (with a low part or without one), or "none"."""
    if outcome.crash_kernel is None:
        return "none"
    return "low" if outcome.crash_kernel[1] <= 4 * GIB else "high"


def outcome_of(machine: Machine, kernel: Kernel) -> Outcome:
    """The outcome of `machine` booting `kernel`, as its plan has it; NotCoveredError where there is none."""
    boot = Boot(machine, kernel, recorder=Recorder(tells=False))
    death = ""
    try:
        deque(run(boot), maxlen=0)
    except BootPanic as panic:
        death = panic.text
    return _outcome(boot, death)


def rough_outcome(machine: Machine, kernel: Kernel) -> Outcome:
    """As :func:`outcome_of`, without a look at where in memory that stays the last part of the boot has its blocks.

    Raises Undecided where that does not do.
    """
    assumptions: list[bool] = []
    first: Outcome | None = None
    for _ in range(_MOST_WAYS):
        outcome = _roughly(machine, kernel, assumptions)
        if first not in (None, outcome):
            raise Undecided
        first = outcome
        while assumptions and not assumptions[-1]:
            assumptions.pop()
        if not assumptions:
            return outcome
        assumptions[-1] = False
    raise Undecided


class Outcomes:
    """Outcomes of machines that stand for many; the last part of the boot is replayed exactly where it has to be."""

    #: Where the rough replay did not do so many times more often than it did, it is tried no more.
    _PATIENCE = 2

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._undecided = 0

    def of(self, machine: Machine) -> Outcome:
        """As :func:`outcome_of`."""
        if self._undecided < self._PATIENCE:
            try:
                outcome = rough_outcome(machine, self._kernel)
            except Undecided:
                self._undecided += 1
            else:
                self._undecided -= 1
                return outcome
        return outcome_of(machine, self._kernel)


def _roughly(machine: Machine, kernel: Kernel, assumptions: list[bool]) -> Outcome:
    boot = Boot(machine, kernel, recorder=Recorder(tells=False))
    rough: RoughMemory | None = None
    exact = boot.memblock
    try:
        # Each step is looked at when it is over, by what comes next.
        for following, _ in zip(boot.rules.steps[1:], run(boot), strict=False):
            if following == FIRST_STEP:
                rough = RoughMemory(boot, assumptions)
                boot.memory, boot.memblock = rough, questions(boot)
            if following == LAST_STEP:
                break
    except BootPanic as panic:
        if rough is None:
            return _outcome(boot, panic.text)
        raise Undecided from None
    if rough is None:
        raise Undecided
    rough.hand_over()
    boot.memblock = exact
    for zone in boot.zones.zones:
        start, end = zone.span
        if zone.name == "Movable" and any(low < end and high > start for low, high in rough.touched):
            raise Undecided
    return _outcome(boot, "")


def _outcome(boot: Boot, death: str) -> Outcome:
    removable = () if death else tuple(sorted({nid for nid, _, _ in movable_ranges(boot)}))
    return Outcome(removable, _held(boot, Purpose.CRASH_KERNEL), _held(boot, Purpose.CRASH_KERNEL_LOW), death)


def _held(boot: Boot, purpose: Purpose) -> tuple[int, int] | None:
    """The range that was last reserved for `purpose` and not given back."""
    held: tuple[int, int] | None = None
    for event in boot.recorder.events:
        if isinstance(event, Change) and event.owner.kind is purpose:
            held = (event.start, event.end) if event.op == "reserve" else None
    return held
