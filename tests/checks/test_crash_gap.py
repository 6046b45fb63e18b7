"""The gap that a finding names for crashkernel= is one: the kernel takes so much, and boots on."""

from pathlib import Path

import pytest

import memplan
from memplan.checks.options import largest_gap
from memplan.owner import Purpose
from memplan.units import GIB, MIB

FAILS = Path(__file__).parent / "fixtures" / "MP702" / "bad.yaml"


@pytest.mark.parametrize(
    ("build", "limit"), [("3.13", 896 * MIB), ("5.10", 4 * GIB), ("6.1", 4 * GIB), ("6.12", 4 * GIB)]
)
def test_a_crash_kernel_of_the_largest_gap_would_do(build: str, limit: int) -> None:
    machine = memplan.load_machine(str(FAILS))
    machine = machine._replace(cmdline="crashkernel=2047M", kernel=machine.kernel._replace(build=build))
    gap = largest_gap(memplan.simulate(machine), limit)
    assert 0 < gap < limit
    plan = memplan.simulate(machine._replace(cmdline=f"crashkernel={gap // MIB}M"))
    assert plan.end.completed
    taken = [own for own in plan.reservations if own.owner.kind is Purpose.CRASH_KERNEL]
    assert sum(own.end - own.start for own in taken) == gap
    beyond = memplan.simulate(machine._replace(cmdline=f"crashkernel={gap // MIB + 128}M"))
    assert not beyond.end.completed or not any(own.owner.kind is Purpose.CRASH_KERNEL for own in beyond.reservations)
