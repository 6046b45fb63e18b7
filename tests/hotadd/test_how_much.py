"""How much can be added, against adding DIMMs one after the other until one is refused, or becomes the kernel's."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from memplan.boot.replay import replay
from memplan.hotadd.howmuch import how_much
from memplan.hotadd.replay import hotadd
from memplan.hotadd.result import StepResult
from memplan.hotadd.scenario import Add, Scenario
from memplan.kernel.load import kernel_of
from memplan.kernel.model import Kernel
from memplan.machine.load import load_machine
from memplan.machine.model import Machine
from memplan.machine.options import with_cmdline
from memplan.plan import Plan

EXAMPLES = Path(__file__).parents[2] / "examples"
MIB, GIB, TIB = 1 << 20, 1 << 30, 1 << 40


@cache
def booted(name: str, options: str, kernel: str | None) -> tuple[Machine, Kernel, Plan]:
    machine = with_cmdline(load_machine(str(EXAMPLES / name)), None, (options,))
    build = kernel_of(machine.kernel, kernel)
    return machine, build, replay(machine, build)


def added(name: str, options: str, kernel: str | None, scenario: Scenario, size: int, count: int) -> list[StepResult]:
    machine, build, plan = booted(name, options, kernel)
    return list(hotadd(machine, build, plan, scenario._replace(steps=(Add(size),) * count)).steps)


MOVABLE = "memhp_default_state=online_movable"
AUTO = "memhp_default_state=online memory_hotplug.online_policy=auto-movable"
SMALL, LARGE = "hotadd/small-guest.yaml", "hotplug-nodes.yaml"


@pytest.mark.parametrize(
    ("name", "options", "kernel", "limits", "size", "bound"),
    [
        (SMALL, MOVABLE, None, {}, 4 * GIB, "memory map"),
        (SMALL, MOVABLE, None, {}, GIB, "memory map"),
        (SMALL, "memhp_default_state=offline", None, {}, 2 * GIB, "memory map"),
        (SMALL, MOVABLE, "debian-6.1.0-55-amd64", {}, 4 * GIB, "memory map"),
        (SMALL, MOVABLE, None, {"slots": 2}, 4 * GIB, "hypervisor"),
        (SMALL, MOVABLE, None, {"maxmem": 8 * GIB, "memory": 384 * MIB}, 2 * GIB, "hypervisor"),
    ],
)
def test_the_most_is_what_adding_ends_with(
    name: str, options: str, kernel: str | None, limits: dict[str, int], size: int, bound: str
) -> None:
    scenario = Scenario((), **limits)
    machine, build, plan = booted(name, options, kernel)
    most = how_much(machine, build, plan, scenario, size)
    assert most.dimms is not None
    bounds = {one.name: one.dimms for one in most.bounds}
    assert bounds[bound] == most.dimms
    steps = added(name, options, kernel, scenario, size, most.dimms + 1)
    assert [step.accepted for step in steps] == [True] * most.dimms + [False]


def test_all_of_the_address_space() -> None:
    """46 bits of address; what overlaps the reserved range below 1 TiB is dropped, and the next ones are taken."""
    options = f"{MOVABLE} memory_hotplug.memmap_on_memory=1 no5lvl"
    machine, build, plan = booted(LARGE, options, None)
    most = how_much(machine, build, plan, Scenario(()), 16 * TIB)
    steps = added(LARGE, options, None, Scenario(()), 16 * TIB, 4)
    assert [step.accepted for step in steps] == [False, True, True, False]
    assert most.dimms == 2


@pytest.mark.parametrize("ratio", [50, 100, 301])
@pytest.mark.parametrize("size", [256 * MIB, GIB])
@pytest.mark.parametrize("aware", ["Y", "N"])
def test_the_ratio_is_where_the_first_dimm_is_the_kernels(ratio: int, size: int, aware: str) -> None:
    options = (
        f"{AUTO} memory_hotplug.auto_movable_ratio={ratio} memory_hotplug.auto_movable_numa_aware={aware} "
        "memory_hotplug.memmap_on_memory=1"
    )
    machine, build, plan = booted(SMALL, options, None)
    most = how_much(machine, build, plan, Scenario(()), size)
    assert most.movable is not None
    steps = added(SMALL, options, None, Scenario(()), size, most.movable + 1)
    zones = [{zone for part in step.dimm.blocks for zone in part.zones} for step in steps if step.dimm is not None]
    assert zones == [{"Movable"}] * most.movable + [{"Normal"}]
