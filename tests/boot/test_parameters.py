"""What is clear before the first step: CPUs, page-table levels."""

import pytest

import memplan
from memplan.boot.parameters import Parameters, page_table_buffer
from memplan.kernel.load import find_kernel, override
from memplan.machine.model import (
    Acpi,
    AcpiTable,
    Bios,
    Cpus,
    E820Entry,
    KernelImage,
    Machine,
    MpTable,
    Srat,
    TableUpgrade,
)
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
        ("nr_cpus=0", 4),
        ("nr_cpus=1", 1),
        ("nr_cpus=4294967297", 1),
        ("nr_cpus=", 4),
        ("possible_cpus=0", 1),
        ("possible_cpus=4294967296", 1),
        ("maxcpus=0", 1),
        ("maxcpus=4294967296", 1),
        ("maxcpus=1", 4),
        ("nolapic", 1),
        ("disableapic", 1),
        ("nosmp possible_cpus=6", 1),
    ],
)
def test_cpus_are_no_more_than_the_kernel_has_room_for(cmdline: str, count: int) -> None:
    assert cpus(cmdline) == count


def test_the_machine_s_own_cpus_are_limited_too() -> None:
    assert (cpus("", "lab-5.10.89", 200), cpus("", "6.1", 200)) == (64, 200)


def test_possible_cpus_only_lowers_their_number_since_6_9() -> None:
    assert (cpus("possible_cpus=6", "6.12"), cpus("possible_cpus=2", "6.12")) == (4, 2)
    assert cpus("possible_cpus=4294967295", "6.12") == 4


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


@pytest.mark.parametrize(
    ("cmdline", "mp_table", "count"),
    [
        ("", False, 3),
        ("noapic", False, 0),
        ("nolapic", False, 0),
        ("disableapic", False, 0),
        ("nosmp", False, 0),
        ("maxcpus=0", False, 0),
        ("maxcpus=1", False, 3),
        ("acpi=off", False, 0),
        ("acpi=noirq", False, 0),
        ("acpi=ht acpi=noirq", False, 0),
        # Those of an MP table are found by themselves.
        ("noapic", True, 3),
        ("acpi=off", True, 3),
    ],
)
def test_io_apics(cmdline: str, mp_table: bool, count: int) -> None:
    bios = Bios(mp_table=MpTable(0xF0000) if mp_table else None)
    acpi = Acpi(tables=(AcpiTable("APIC", 0x1000, 64),), ioapics=3)
    own = Machine(e820=E820, cmdline=cmdline, acpi=acpi, bios=bios)
    assert Parameters(own, find_kernel("6.1")).ioapics == count


@pytest.mark.parametrize(
    ("cmdline", "acpi", "srat", "off"),
    [
        ("", Acpi(tables=(AcpiTable("FACP", 0x1000, 64),)), None, False),
        ("", Acpi(upgrades=(TableUpgrade("SSDT", 64),)), None, False),
        ("", Acpi(), Srat(), False),
        ("", Acpi(), None, True),
        ("acpi=off", Acpi(), Srat(), True),
        ("acpi=off acpi=force", Acpi(), Srat(), False),
        ("acpi=force acpi=off", Acpi(), Srat(), True),
        ("acpi=off acpi=ht", Acpi(), Srat(), True),
    ],
)
def test_what_hides_acpi_s_tables(cmdline: str, acpi: Acpi, srat: Srat | None, off: bool) -> None:
    own = Machine(e820=E820, cmdline=cmdline, acpi=acpi, srat=srat)
    assert Parameters(own, find_kernel("6.1")).acpi_disabled is off


def test_apic_ids_of_the_cpus_that_are_there() -> None:
    """Those that nothing names count up from 0."""
    four = Machine(e820=E820, cpus=Cpus(possible=6, present=4, apic_ids=(8, 10)))
    assert Parameters(four, find_kernel("6.1")).apic_ids() == [(0, 8), (1, 10), (2, 2), (3, 3)]
    one = four._replace(cmdline="nr_cpus=1")
    assert Parameters(one, find_kernel("6.1")).apic_ids() == [(0, 8)]


def test_where_the_image_and_its_brk_lie() -> None:
    kernel = override(find_kernel("6.12"), {"image.brk_start": 0x2C10000})
    usual = Parameters(Machine(e820=E820), kernel)
    assert (usual.kernel_start, usual.kernel_end, usual.brk_start) == (0x1000000, 0x3C30000, 0x3C10000)
    moved = Parameters(Machine(e820=E820, kernel=KernelImage(load_address=0x5000000)), kernel)
    assert (moved.kernel_start, moved.kernel_end, moved.brk_start) == (0x5000000, 0x7C30000, 0x7C10000)


def test_the_direct_map_s_base() -> None:
    """ffff880000000000 up to 4.19 and ffff888000000000 since 4.20; with five levels ff11000000000000."""

    def base(version: str, la57: bool, **facts: int) -> int:
        kernel = override(find_kernel(version), {f"image.{name}": value for name, value in facts.items()})
        return Parameters(Machine(e820=E820, cpus=Cpus(la57=la57)), kernel).direct_map_base

    assert [hex(base(version, False)) for version in ("3.13", "6.12")] == ["0xffff880000000000", "0xffff888000000000"]
    assert hex(base("6.12", True)) == "0xff11000000000000"
    assert base("6.12", True, direct_map_base=0xFFFF900000000000) == 0xFFFF900000000000


@pytest.mark.parametrize(
    ("cmdline", "randomized", "config", "active"),
    [("", True, True, True), ("nokaslr", True, True, False), ("", False, True, False), ("", True, False, False)],
)
def test_whether_memory_is_randomized(cmdline: str, randomized: bool, config: bool, active: bool) -> None:
    kernel = override(find_kernel("6.12"), {"config.RANDOMIZE_MEMORY": config})
    own = Machine(e820=E820, cmdline=cmdline, kernel=KernelImage(randomized=randomized))
    assert Parameters(own, kernel).randomize_memory is active


def test_movable_node_has_to_be_built_in() -> None:
    for version, option in (("3.13", "MOVABLE_NODE"), ("6.12", "MEMORY_HOTPLUG")):
        for cmdline, config in (("movable_node", True), ("movable_node", False), ("", True)):
            kernel = override(find_kernel(version), {f"config.{option}": config})
            asked = Parameters(Machine(e820=E820, cmdline=cmdline), kernel).movable_node
            assert asked is (config and bool(cmdline))
