"""memplan: a boot-memory planner that replays Linux early boot.

import memplan

machine = memplan.load_machine("machine.yaml")
plan = memplan.simulate(machine, kernel="6.12")
for verdict in plan.verdicts:
    print(verdict.nid, verdict.movable, verdict.reason)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.errors import InputError, MemplanError, NotCoveredError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from memplan.kernel.model import Kernel
    from memplan.machine.change import Change
    from memplan.machine.model import Machine
    from memplan.plan import Plan

__all__ = ["InputError", "MemplanError", "NotCoveredError", "UsageError", "load_machine", "simulate"]
__version__ = "0.1.0"


def load_machine(path: str | PathLike[str], *, changes: Sequence[Change] = ()) -> Machine:
    """The machine described by the YAML file at `path`, with `changes` (see `Machine.replace` for simpler ones).

    Raises InputError, which carries every problem of the file with its line.
    """
    from memplan.machine.load import load_machine as load

    return load(path, changes)


def simulate(machine: Machine, *, kernel: str | Kernel | None = None, bottom_up: bool | None = None) -> Plan:
    """Replay the early boot of `machine`; the plan of all that it does to memory.

    `kernel` is a build by name ("6.12", "debian-6.1.0-55-amd64"), the path of a kernel file, or a Kernel (None: the
    machine's own, with the facts that it overrides).  `bottom_up` forces the direction of the allocations before the
    SRAT is read (None: as the boot option movable_node says).  Raises UsageError for an unknown kernel, and
    NotCoveredError where the boot needs something that is not replayed.  A boot that panics is a plan too: see
    `Plan.end`.
    """
    from memplan.boot.replay import replay
    from memplan.kernel.load import find_kernel, override

    build = machine.kernel.build if kernel is None else kernel
    found = find_kernel(build) if isinstance(build, str) else build
    if machine.kernel.overrides and kernel is None:
        found = override(found, machine.kernel.overrides)
    return replay(machine, found, bottom_up=bottom_up)
