"""What is clear before the first step: CPUs, page-table levels."""

import pytest

import memplan
from memplan.boot.parameters import Parameters, page_table_buffer
from memplan.kernel.load import find_kernel
from memplan.machine.model import Cpus, E820Entry, Machine
from memplan.units import GIB, MIB

E820 = (E820Entry(0, 640 * 1024, 1), E820Entry(MIB, 4 * GIB, 1))


def cpus(cmdline: str, version: str = "6.1", possible: int = 4) -> int:
    machine = Machine(e820=E820, cmdline=cmdline, cpus=Cpus(possible=possible, present=min(possible, 4)))
    return Parameters(machine, find_kernel(version)).possible_cpus


@pytest.mark.parametrize(
    ("cmdline", "count"),
    [
        ("", 4),
        ("possible_cpus=6", 6),
        ("possible_cpus=20000", 8192),
        ("possible_cpus=4294967294", 8192),
        # An int of -1 is "not given".
        ("possible_cpus=4294967295", 4),
        ("nr_cpus=2", 2),
        ("nr_cpus=2 possible_cpus=6", 2),
        ("nr_cpus=20000 possible_cpus=20000", 8192),
        ("nr_cpus=4294967295", 4),
        ("nosmp possible_cpus=6", 1),
    ],
)
def test_cpus_are_no_more_than_the_kernel_has_room_for(cmdline: str, count: int) -> None:
    assert cpus(cmdline) == count


def test_the_machine_s_own_cpus_are_limited_too() -> None:
    assert (cpus("", "lab-5.10.89", 200), cpus("", "6.1", 200)) == (64, 200)


def test_possible_cpus_only_lowers_their_number_since_6_9() -> None:
    assert (cpus("possible_cpus=6", "6.12"), cpus("possible_cpus=2", "6.12")) == (4, 2)


def test_the_kernel_says_that_it_takes_fewer() -> None:
    plan = memplan.simulate(Machine(e820=E820, cmdline="possible_cpus=20000"), kernel="6.1")
    assert plan.end.completed
    assert "smpboot: 20000 Processors exceeds NR_CPUS limit of 8192" in [line.text for line in plan.warnings]


def test_levels_follow_kernel_cpu_and_option() -> None:
    def bits(version: str, la57: bool, cmdline: str = "") -> int:
        machine = Machine(e820=E820, cmdline=cmdline, cpus=Cpus(la57=la57))
        return Parameters(machine, find_kernel(version)).physical_bits

    assert [bits("6.1", True), bits("6.1", False), bits("6.1", True, "no5lvl"), bits("3.13", True)] == [52, 46, 46, 46]


def test_the_page_table_buffer_in_bytes() -> None:
    assert page_table_buffer(find_kernel("lab-3.13.10")) == 6 * 4096
