"""memplan: a boot-memory planner that replays Linux early boot.

import memplan

machine = memplan.load_machine("machine.yaml")
plan = memplan.simulate(machine, kernel="6.12")
for verdict in plan.verdicts:
    print(verdict.nid, verdict.movable, verdict.reason)

Addresses and sizes are bytes, and every range is half-open: its end is the first byte behind it.  (JSON has
inclusive ends, as the kernel prints them.)  All errors are MemplanErrors.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from memplan.errors import InputError, MemplanError, NotCoveredError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from memplan.checks.report import Report
    from memplan.differences import PlanDiff
    from memplan.firmware.combine import Imported
    from memplan.kernel.model import Kernel
    from memplan.machine.alteration import Alteration
    from memplan.machine.assignment import Assignment
    from memplan.machine.model import Machine
    from memplan.owner import Mover, Owner, Purpose
    from memplan.plan import Node, Plan, Remedy, Reservation, SratUse, Verdict, Zone
    from memplan.verification import Comparison

__all__ = [
    "Alteration",
    "Comparison",
    "Imported",
    "InputError",
    "Kernel",
    "Machine",
    "MemplanError",
    "Mover",
    "Node",
    "NotCoveredError",
    "Owner",
    "Plan",
    "PlanDiff",
    "Purpose",
    "Remedy",
    "Report",
    "Reservation",
    "SratUse",
    "UsageError",
    "Verdict",
    "Zone",
    "check",
    "diff",
    "dump_machine",
    "find_kernel",
    "import_files",
    "load_machine",
    "simulate",
    "verify",
]
__version__ = "0.1.0"

#: Where the types are that are imported when they are asked for: importing memplan stays cheap.
_TYPES = {
    "Alteration": "machine.alteration",
    "Comparison": "verification",
    "Imported": "firmware.combine",
    "Kernel": "kernel.model",
    "Machine": "machine.model",
    "Mover": "owner",
    "Node": "plan",
    "Owner": "owner",
    "Plan": "plan",
    "PlanDiff": "differences",
    "Purpose": "owner",
    "Remedy": "plan",
    "Report": "checks.report",
    "Reservation": "plan",
    "SratUse": "plan",
    "Verdict": "plan",
    "Zone": "plan",
}


def __getattr__(name: str) -> Any:
    if name not in _TYPES:
        raise AttributeError(f"module 'memplan' has no attribute {name!r}")
    return getattr(import_module(f"memplan.{_TYPES[name]}"), name)


def load_machine(path: str | PathLike[str], *, changes: Sequence[Assignment] = ()) -> Machine:
    """The machine described by the YAML file at `path`, with `changes` (see `Machine.replace` for simpler ones).

    Raises InputError, which carries every problem of the file with its line.
    """
    from memplan.machine.load import load_machine as load

    return load(path, changes)


def dump_machine(machine: Machine) -> str:
    """The YAML text that describes `machine`; load_machine reads it back."""
    from memplan.machine.dump import dump_machine as dump

    return dump(machine)


def import_files(
    paths: Sequence[str | PathLike[str]],
    *,
    force: bool = False,
    live: bool = False,
    boot: int = 0,
    kernel: str | None = None,
) -> Imported:
    """The machine that boot logs, ACPI tables and other sources at `paths` tell of together.

    A later source fills in what an earlier one lacks, or replaces it.  With `live`, this computer is the first one;
    `boot` says which boot of a log is meant (from 1; 0: the first), `kernel` which kernel it is, whatever the log
    says.  Damage raises InputError unless `force`: then what can be used is used, and the damage is among the notes.
    """
    from memplan.firmware.combine import import_files as combined

    return combined(paths, force=force, live=live, boot=boot, kernel=kernel)


def find_kernel(name: str) -> Kernel:
    """The kernel of that name ("6.12", "debian-6.1.0-55-amd64"), or of the kernel file at that path.

    Raises UsageError for one that is not known, InputError for a file that is no kernel's.
    """
    from memplan.kernel.load import find_kernel as find

    return find(name)


def simulate(machine: Machine, *, kernel: str | Kernel | None = None, bottom_up: bool | None = None) -> Plan:
    """Replay the early boot of `machine`; the plan of all that it does to memory.

    `kernel` is a build by name ("6.12", "debian-6.1.0-55-amd64"), the path of a kernel file, or a Kernel (None: the
    machine's own).  The facts that the machine overrides go with its own build: of another kernel the plan says, in
    `Plan.kernel_notes`, that they are left out.  `bottom_up` forces the direction of the allocations before the SRAT
    is read (None: as the boot option movable_node says).  Raises UsageError for an unknown kernel, and
    NotCoveredError where the boot needs something that is not replayed.  A boot that panics is a plan too: see
    `Plan.end`.
    """
    from memplan.boot.replay import replay
    from memplan.kernel.load import kernel_of

    return replay(machine, kernel_of(machine.kernel, kernel), bottom_up=bottom_up)


def diff(before: Plan, after: Plan) -> PlanDiff:
    """What changes from one plan to another: reserved ranges, verdicts, page tables, zones, warnings, the end."""
    from memplan.differences import compare

    return compare(before, after)


def verify(
    log: str | PathLike[str], machine: Machine | None = None, *, kernel: str | Kernel | None = None
) -> Comparison:
    """Plan the boot that the log tells of, and compare the plan with it, fact by fact.

    The machine is `machine`, or else what the log itself says of firmware and loader; the kernel build is `kernel`,
    or else the machine's.  Raises InputError for a log that can't be used, and what :func:`simulate` raises.
    """
    from pathlib import Path

    from memplan.verification import verify as verified

    return verified(Path(log), machine, kernel=kernel)


def check(path: str | PathLike[str], *, kernel: str | None = None) -> Report:
    """What the checks find in one machine description, boot log, folder of ACPI tables or single table.

    Nothing is raised for an input that is broken: `Report.problems` says what is wrong with it.
    """
    from os import fspath

    from memplan.checks.run import Options, check_input

    return check_input(fspath(path), Options(kernel=kernel))
