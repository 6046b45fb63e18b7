"""The replay itself: it can stop after any step, and says where a kernel dies."""

import pytest

from memplan.boot.context import Boot
from memplan.boot.panic import BootPanic
from memplan.boot.replay import replay, run
from memplan.errors import NotCoveredError
from memplan.kernel.load import find_kernel
from memplan.machine.model import E820Entry, Machine
from memplan.units import GIB, MIB

MACHINE = Machine(e820=(E820Entry(0, 640 * 1024, 1), E820Entry(MIB, GIB, 1)))
#: No room below 1 MiB, without which 3.13 does not boot.
NO_LOW_MEMORY = Machine(e820=(E820Entry(0, 640 * 1024, 2), E820Entry(MIB, GIB, 1)))


@pytest.mark.parametrize("version", ["3.13", "5.10", "6.1", "6.12"])
def test_run_yields_after_each_step_in_the_version_s_order(version: str) -> None:
    kernel = find_kernel(version)
    boot = Boot(MACHINE, kernel)
    assert [step.name for step in run(boot)] == list(kernel.rules.steps)


def test_run_can_stop_anywhere() -> None:
    boot = Boot(MACHINE, find_kernel("6.12"))
    for step in run(boot):
        if step.name == "e820__memblock_setup":
            break
    assert boot.recorder.step == "e820__memblock_setup"
    assert boot.memblock.memory.total_size == GIB - MIB + 640 * 1024 - 4096
    assert not boot.direct_map.mapped


def test_a_boot_that_dies_says_in_which_step() -> None:
    boot = Boot(NO_LOW_MEMORY, find_kernel("3.13"))
    with pytest.raises(BootPanic, match="Cannot allocate trampoline"):
        list(run(boot))
    assert boot.recorder.step == "reserve_real_mode"
    end = replay(NO_LOW_MEMORY, find_kernel("3.13")).end
    assert (end.completed, end.step, end.text) == (False, "reserve_real_mode", "Cannot allocate trampoline")


def test_a_step_that_is_not_there_is_not_covered() -> None:
    kernel = find_kernel("6.12")
    strange = kernel._replace(rules=kernel.rules._replace(steps=(*kernel.rules.steps[:3], "reserve_nothing")))
    with pytest.raises(NotCoveredError, match="boot step reserve_nothing of this version is not replayed"):
        replay(MACHINE, strange)
