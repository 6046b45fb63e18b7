"""Every recorded run, replayed: blocks, nodes, zones, MemTotal and the memory map's size after each look.

The state to begin with is the run's first look, so that nothing here depends on the plan of the boot; what chance
decided (which kernel-zone blocks did not go off-line) is taken from the run.
"""

from __future__ import annotations

import pytest

from memplan.hotadd.replay import build_of, run
from memplan.hotadd.result import StepResult
from memplan.hotadd.running import Running
from memplan.hotadd.settings import settings_of
from tests.hotadd import recorded
from tests.hotadd.recorded import NAMES, Look

#: What no plan can know: pages of a file that can't be moved keep an eject waiting in the middle of a block, and how
#: much of a memory map is lost when it can't be allocated to its end.
UNPREDICTABLE = {
    ("eject-rollback-6.1", 7): {33, 36, 37, 38, 39},
    ("eject-rollback-6.12", 7): {33, 36, 37, 38, 39},
}
LOST_MAP = {("memmap-exhaust-7.1", 10)}


def replayed(name: str) -> tuple[recorded.Recorded, tuple[StepResult, ...]]:
    taken = recorded.load(name)
    kernel = recorded.kernel_of(taken.release)
    settings = settings_of(kernel, taken.cmdline)
    scenario = recorded.with_outcomes(taken)
    start = recorded.start_of(taken)
    return taken, run(Running(start, kernel.rules.hotplug, settings, scenario, build_of(kernel)))


def blocks_of(step: StepResult) -> dict[int, tuple[int, str, tuple[str, ...]]]:
    return {
        number: (part.nid, part.state, part.zones)
        for part in step.blocks
        for number in range(part.first, part.last + 1)
    }


def test_there_are_runs() -> None:
    assert len(NAMES) == 115


@pytest.mark.parametrize("name", NAMES)
def test_run(name: str) -> None:
    taken, steps = replayed(name)
    looks: list[tuple[StepResult, Look]] = [
        (step, record.look) for step, record in zip(steps, taken.steps, strict=True) if record.look is not None
    ]
    assert looks
    for step, look in looks:
        mine = blocks_of(step)
        real = {number: (nid, state, zones) for number, nid, state, zones in look.blocks}
        unknown = UNPREDICTABLE.get((name, step.number), set())
        assert {n: one for n, one in mine.items() if n not in unknown} == {
            n: one for n, one in real.items() if n not in unknown
        }, f"step {step.number}"
        assert step.total == look.total, f"step {step.number}"
        if look.map_bytes is not None and (name, step.number) not in LOST_MAP:
            assert step.map_bytes == look.map_bytes, f"step {step.number}"


@pytest.mark.parametrize("name", NAMES)
def test_the_hypervisor_puts_dimms_there(name: str) -> None:
    taken, steps = replayed(name)
    for step, record in zip(steps, taken.steps, strict=True):
        if record.dimm is not None:
            assert step.dimm is not None
            assert step.dimm.address == record.dimm


@pytest.mark.parametrize("name", NAMES)
def test_what_the_kernel_says_of_refusals(name: str) -> None:
    """The driver's complaints, word for word and in their order."""
    taken, steps = replayed(name)
    heads = ("Block size [", "acpi PNP0C80")
    for step, record in zip(steps, taken.steps, strict=True):
        if any(line.startswith("panic") for line in record.lines):
            continue
        lines = [line.partition("] ")[2] for line in record.lines if line.startswith("dmesg [")]
        said = [line for line in lines if line.startswith(heads) and "Enumeration failure" not in line]
        if step.lines or said:
            mine = [line for line in step.lines if line.startswith(heads)]
            assert mine == said, f"step {step.number}"


@pytest.mark.parametrize("name", NAMES)
def test_accepted_is_what_the_run_did(name: str) -> None:
    taken, steps = replayed(name)
    for step, record in zip(steps, taken.steps, strict=True):
        if any("qemu d" in line and line.endswith(" gone") for line in record.lines):
            assert step.accepted is True
        elif any("qemu d" in line and line.endswith("still there") for line in record.lines):
            assert step.accepted is False
        elif any("add_memory failed" in line for line in record.lines) and step.text.startswith("add"):
            newest = [line for line in record.lines if "add_memory failed" in line][-1]
            mine = [line for line in step.lines if "add_memory failed" in line]
            assert step.accepted is not (
                bool(mine) and newest.endswith(mine[-1]) and step.dimm is not None and not step.dimm.accepted
            )
