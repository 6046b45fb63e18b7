"""The replay itself: it can stop after any step, and says where a kernel dies."""

import gc
import weakref

import pytest

from memplan.boot.context import Boot
from memplan.boot.panic import BootPanic
from memplan.boot.replay import played, replay, run
from memplan.errors import NotCoveredError
from memplan.kernel.load import find_kernel, override
from memplan.machine.model import CpuAffinity, Cpus, E820Entry, Machine, MemoryAffinity, Srat
from memplan.owner import Owner, Purpose
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


@pytest.mark.parametrize(("machine", "version"), [(MACHINE, "3.13"), (MACHINE, "6.12"), (NO_LOW_MEMORY, "3.13")])
def test_a_boot_that_is_over_is_gone_at_once(machine: Machine, version: str) -> None:
    """Nothing in it leads back to it, so its memory need not wait for the collector, and the next boot can have it."""
    boot = Boot(machine, find_kernel(version))
    gc.disable()
    try:
        played(boot)
        left = weakref.ref(boot)
        del boot
        assert left() is None
    finally:
        gc.enable()


def test_a_step_that_is_not_there_is_not_covered() -> None:
    kernel = find_kernel("6.12")
    strange = kernel._replace(rules=kernel.rules._replace(steps=(*kernel.rules.steps[:3], "reserve_nothing")))
    with pytest.raises(NotCoveredError, match="boot step reserve_nothing of this version is not replayed"):
        replay(MACHINE, strange)


def test_what_a_plan_says_of_nodes() -> None:
    """Their RAM, CPUs and NODE_DATA; hot-pluggable where a mark lies over RAM, and not just beside it."""
    memory = (
        MemoryAffinity(4, 0, GIB),
        MemoryAffinity(7, GIB, GIB),
        MemoryAffinity(7, 2 * GIB, GIB, hotplug=True),
        MemoryAffinity(5, 3 * GIB, GIB, hotplug=True),
    )
    subject = Machine(
        e820=(E820Entry(0, 640 * 1024), E820Entry(MIB, 2 * GIB), E820Entry(3 * GIB, 4 * GIB)),
        srat=Srat(memory, (CpuAffinity(0, 4), CpuAffinity(1, 5), CpuAffinity(2, 4))),
        cpus=Cpus(possible=3, present=3),
    )
    plan = replay(subject, find_kernel("6.12"))
    numbers = {node.pxm: node for node in plan.nodes}
    assert {pxm: (node.ranges, node.hotplug, node.cpus) for pxm, node in numbers.items()} == {
        4: (((4096, 640 * 1024), (MIB, GIB)), False, (0, 2)),
        5: (((3 * GIB, 4 * GIB),), True, (1,)),
        7: (((GIB, 2 * GIB),), False, ()),
    }
    for node in plan.nodes:
        assert node.online
        places = [(own.start, own.end) for own in plan.reservations if own.owner == Owner(Purpose.NODE_DATA, node.nid)]
        assert [node.node_data] == places
    assert plan.domains == tuple(sorted((node.pxm, node.nid) for node in plan.nodes))
    assert plan.possible_nodes == (0, 1, 2)


def test_a_kernel_without_numa_has_the_node_s_data_in_its_image() -> None:
    (node,) = replay(MACHINE, override(find_kernel("6.12"), {"config.NUMA": False})).nodes
    assert (node.online, node.node_data, node.memory) == (True, None, GIB - MIB + 640 * 1024 - 4096)


def test_the_nodes_of_tables_pages() -> None:
    """A run of pages has the node that all of them lie on."""
    size = 2 * GIB
    memory = tuple(MemoryAffinity(pxm, pxm * size, size) for pxm in (0, 1))
    subject = Machine(
        e820=(E820Entry(0, 640 * 1024), E820Entry(MIB, 2 * size)),
        srat=Srat(memory),
        cpus=Cpus(pse=False, gbpages=False),
    )
    plan = replay(subject, find_kernel("6.12"))
    taken = [own for own in plan.page_tables.runs if own.source == "memblock"]
    assert taken
    for own in taken:
        homes = {page // size for page in range(own.start, own.end, 4096)}
        assert own.nid == (homes.pop() if len(homes) == 1 else None)
    assert {own.nid for own in plan.page_tables.runs if own.source == "brk"} == {0}


@pytest.mark.parametrize(("version", "random"), [("3.13", False), ("5.10", True), ("6.12", True)])
def test_from_which_step_on_kaslr_has_a_say(version: str, random: bool) -> None:
    """The CPU entry areas, which are there since 4.15: what is allocated before does not depend on chance."""
    kernel = find_kernel(version)
    steps = kernel.rules.steps
    expected = steps[steps.index("setup_cpu_entry_areas") :] if random else ()
    assert replay(MACHINE, kernel).random_steps == frozenset(expected)
