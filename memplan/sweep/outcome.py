"""What a sweep asks of each case: which nodes are removable, where the crash kernel lies, whether the boot dies."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from memplan.boot.blocks import movable_ranges
from memplan.boot.context import Boot
from memplan.boot.panic import BootPanic
from memplan.boot.replay import run
from memplan.owner import Purpose
from memplan.plan import Change

if TYPE_CHECKING:
    from memplan.kernel.model import Kernel
    from memplan.machine.model import Machine


class Outcome(NamedTuple):
    """One case's answer: the nodes of the plan's `movable`, the crash kernel's ranges, and the kernel's last words.

    `crash_low` is the part that goes with a crash kernel above 4 GiB.  A range is None where there is none.
    """

    removable: tuple[int, ...]
    crash_kernel: tuple[int, int] | None
    crash_low: tuple[int, int] | None
    death: str = ""


def outcome_of(machine: Machine, kernel: Kernel) -> Outcome:
    """The outcome of `machine` booting `kernel`, as its plan has it; NotCoveredError where there is none."""
    boot = Boot(machine, kernel)
    death = ""
    try:
        deque(run(boot), maxlen=0)
    except BootPanic as panic:
        death = panic.text
    removable = () if death else tuple(sorted({nid for nid, _, _ in movable_ranges(boot)}))
    return Outcome(removable, _held(boot, Purpose.CRASH_KERNEL), _held(boot, Purpose.CRASH_KERNEL_LOW), death)


def _held(boot: Boot, purpose: Purpose) -> tuple[int, int] | None:
    """The range that was last reserved for `purpose` and not given back."""
    held: tuple[int, int] | None = None
    for event in boot.recorder.events:
        if isinstance(event, Change) and event.owner.kind is purpose:
            held = (event.start, event.end) if event.op == "reserve" else None
    return held
