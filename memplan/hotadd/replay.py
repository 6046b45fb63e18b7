"""Runs a scenario: each step changes the memory as the kernel would, and says what became of it and why.

What can't be known before it is tried (whether a block of a kernel zone goes off-line) is decided by the scenario
where it says so, else guessed; such a step's `accepted` is None, and a warning names the guess.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.errors import UsageError
from memplan.hotadd.adding import add
from memplan.hotadd.listing import begin_with
from memplan.hotadd.removal import remove
from memplan.hotadd.report import block_ranges, dimm_report, ratio_report
from memplan.hotadd.result import HotaddPlan, StepResult
from memplan.hotadd.running import Build, Outcome, Running, UnknownDimm
from memplan.hotadd.scenario import Add, Offline, Online, Remove, Shell
from memplan.hotadd.settings import settings_of
from memplan.hotadd.start import start_of
from memplan.hotadd.switching import offline, online, shell

if TYPE_CHECKING:
    from memplan.firmware.blocks import Listing
    from memplan.hotadd.boot_log import BootLog
    from memplan.hotadd.scenario import Scenario, ScenarioStep
    from memplan.hotadd.settings import Settings
    from memplan.hotadd.start import Start
    from memplan.kernel.model import Kernel
    from memplan.machine.model import Machine
    from memplan.plan import Plan

_DEFAULT_STRUCT_PAGE = 64


def hotadd(
    machine: Machine,
    kernel: Kernel,
    plan: Plan,
    scenario: Scenario,
    *,
    listing: Listing | None = None,
    logged: BootLog | None = None,
) -> HotaddPlan:
    """What the steps of `scenario` make of `machine` after the boot that `plan` tells of.

    `listing` is the state to begin with, as the running machine tells it (None: the one after the boot), `logged` what
    the boot's own log tells.  Raises
    UsageError for a step that names a DIMM which is not there, and for a boot that dies, InputError for a listing of
    another machine.
    """
    if not plan.end.completed:
        raise UsageError(f"no memory can be added after this boot, as it dies in {plan.end.step}: {plan.end.cause}")
    start = start_of(plan, machine, kernel, logged)
    settings = settings_of(kernel, machine.cmdline)
    running = Running(start, kernel.rules.hotplug, settings, scenario, build_of(kernel))
    if listing is not None:
        begin_with(running, listing)
    before, before_total = block_ranges(running), running.total
    steps = run(running)
    return HotaddPlan(
        machine_name=plan.machine_name,
        kernel=plan.kernel,
        kernel_version=plan.kernel_version,
        cmdline=machine.cmdline,
        block_size=start.block_size,
        before=before,
        before_total=before_total,
        default_state=settings.default_state,
        policy=settings.policy,
        steps=steps,
        dimms=tuple(dimm_report(running, dimm) for dimm in running.dimms),
        warnings=(
            *(f"not modelled: {text}" for text in plan.limits),
            *_notes(kernel, start, settings),
            *running.warnings,
        ),
    )


def build_of(kernel: Kernel) -> Build:
    """What of the kernel's build counts here."""
    size = kernel.facts.get("struct.page", _DEFAULT_STRUCT_PAGE)
    name = "CPUMASK_OFFSTACK"
    known = kernel.config(name) if f"config.{name}" not in kernel.borrowed else None
    return Build(int(size), known)


def run(running: Running) -> tuple[StepResult, ...]:
    """All steps in their order.  Raises UsageError for a DIMM that is not there."""
    return tuple(_step(running, number, step) for number, step in enumerate(running.scenario.steps))


def _step(running: Running, number: int, step: ScenarioStep) -> StepResult:
    before = running.memory.growth
    try:
        outcome = _do(running, step)
    except UnknownDimm as error:
        raise UsageError(f"step {number} ({step}): {error}") from None
    running.watch_ratio()
    dimm = None
    if isinstance(step, Add):
        dimm = running.dimms[-1]
    elif isinstance(step, Remove):
        dimm = running.dimm(step.dimm)
    if isinstance(step, Add) and dimm is not None:
        dimm.growth = running.memory.growth - before
    return StepResult(
        number=number,
        text=str(step),
        accepted=outcome.accepted,
        reason=outcome.reason,
        lines=outcome.lines,
        blocks=block_ranges(running),
        map_bytes=running.memory.map_bytes() + running.huge_map_bytes(),
        total=running.total,
        dimm=dimm_report(running, dimm) if dimm is not None else None,
        ratio=ratio_report(running),
    )


def _do(running: Running, step: ScenarioStep) -> Outcome:
    if isinstance(step, Add):
        return add(running, step)
    if isinstance(step, Online):
        return online(running, step)
    if isinstance(step, Offline):
        return offline(running, step)
    if isinstance(step, Remove):
        return remove(running, step)
    if isinstance(step, Shell):
        return shell(running, step)
    return Outcome(True, "")


def _notes(kernel: Kernel, start: Start, settings: Settings) -> tuple[str, ...]:
    """What was taken for granted, before anything has happened."""
    notes = [*kernel.notes, *settings.notes]
    if start.total_note:
        notes.append(start.total_note)
    if doubts := kernel.rules.hotplug.doubts:
        names = ", ".join(name.partition(".")[2] for name in doubts)
        notes.append(f"not known for sure of Linux {kernel.version}: {names}")
    return tuple(notes)
