"""Nodes: what real kernels printed of them, and what their own rules say about machines that few people have."""

import re

import pytest

import memplan
from memplan.boot.context import Boot
from memplan.boot.steps.numa import init_cpu_to_node, initmem_init
from memplan.events import Change, Message
from memplan.kernel.load import find_kernel
from memplan.machine.model import Acpi, AcpiTable, CpuAffinity, Cpus, E820Entry, Machine, MemoryAffinity, Srat
from memplan.owner import Owner, Purpose
from memplan.units import GIB, MIB, PAGE_SHIFT, PAGE_SIZE
from tests.boot import real

NODES = re.compile(
    r"(ACPI: )?SRAT: (Node|SRAT)|NUMA: (Node|nodes|Warning|no nodes)|(  )?NODE_DATA|    NODE_DATA|No NUMA|NUMA turned"
    r"|Faking|node \d+ \[mem|ACPI: SLIT table|Initmem setup|Initializing node|Fake node"
)
KERNELS = ["3.13", "5.10", "6.1", "6.12"]


@pytest.mark.parametrize("name", real.NAMES)
def test_the_kernel_says_of_its_nodes_what_the_plan_says(name: str) -> None:
    told = [line for line in real.lines(name) if NODES.match(line)]
    if name.startswith(("ovmf", "user-ovmf")) and "3.13" not in name:
        # Where boot services' memory is not known, NODE_DATA's place isn't either.
        told = [line for line in told if "NODE_DATA" not in line]
    assert told
    planned = real.printed(real.plan(name), NODES)
    assert [line for line in planned if "NODE_DATA" not in line or line in told] == told


ONE_CPU = Cpus()


def machine(
    ram: list[tuple[int, int]],
    srat: Srat | None,
    cpus: Cpus = ONE_CPU,
    cmdline: str = "",
    slit: tuple[tuple[int, ...], ...] = (),
) -> Machine:
    return Machine(
        e820=tuple(E820Entry(start, end, 1) for start, end in ram),
        cmdline=cmdline,
        srat=srat,
        acpi=Acpi(tables=(AcpiTable("SRAT", 0xBFFE0000, 0x100),), slit=slit),
        cpus=cpus,
    )


def booted(version: str, subject: Machine, reserved: tuple[tuple[int, int], ...] = ()) -> Boot:
    """A boot up to its nodes: memory from the map, and `reserved`."""
    boot = Boot(subject, find_kernel(version))
    for entry in subject.e820:
        boot.memblock.add(entry.start, entry.end - entry.start)
    for start, end in reserved:
        boot.memblock.reserve(start, end - start)
    boot.max_pfn = boot.max_possible_pfn = max(e.end for e in subject.e820) >> PAGE_SHIFT
    boot.direct_map.max_pfn_mapped = boot.max_pfn
    boot.memblock.current_limit = boot.max_pfn * PAGE_SIZE
    boot.memblock.allow_resize()
    boot.memblock.movable_node = boot.memblock.bottom_up = boot.params.movable_node
    boot.recorder.events.clear()
    initmem_init(boot)
    return boot


def messages(boot: Boot) -> list[str]:
    return [event.text for event in boot.recorder.events if isinstance(event, Message)]


TWO = [(MIB, 2 * GIB), (2 * GIB, 3 * GIB)]
SRAT_TWO = Srat(
    memory=(MemoryAffinity(0, 0, 2 * GIB), MemoryAffinity(1, 2 * GIB, GIB, hotplug=True)),
    cpus=(CpuAffinity(0, 0), CpuAffinity(1, 1)),
)


@pytest.mark.parametrize("version", KERNELS)
def test_every_byte_of_ram_gets_the_node_of_its_range(version: str) -> None:
    boot = booted(version, machine(TWO, SRAT_TWO))
    assert [(base, base + size, nid) for base, size, nid, _ in boot.memblock.memory] == [
        (MIB, 2 * GIB, 0),
        (2 * GIB, 3 * GIB, 1),
    ]
    assert boot.nodes.online == {0, 1}
    assert not boot.memblock.bottom_up
    assert not boot.recorder.before_srat


@pytest.mark.parametrize("version", ["5.10", "6.1", "6.12"])
def test_one_reserved_byte_costs_a_whole_node_its_marks(version: str) -> None:
    free = booted(version, machine(TWO, SRAT_TWO, cmdline="movable_node"))
    assert free.nodes.unmarked == {}
    assert [flags for *_, flags in free.memblock.memory] == [0, 1]
    byte = (2 * GIB + 5, 2 * GIB + 6)
    # What is reserved on a node without marks costs nothing.
    taken = booted(version, machine(TWO, SRAT_TWO, cmdline="movable_node"), ((2 * GIB - 1, 2 * GIB), byte))
    assert taken.nodes.unmarked == {1: (byte,)}
    assert [flags for *_, flags in taken.memblock.memory] == [0, 0]


@pytest.mark.parametrize("version", ["5.10", "6.1", "6.12"])
def test_a_marked_node_has_its_node_data_elsewhere(version: str) -> None:
    boot = booted(version, machine(TWO, SRAT_TWO, cmdline="movable_node"))
    start, end = boot.nodes.node_data[1]
    assert end <= 2 * GIB
    assert "    NODE_DATA(1) on node 0" in messages(boot)
    assert start < boot.nodes.node_data[0][0]


@pytest.mark.parametrize(
    ("version", "lost", "covered"),
    [("6.1", 255, True), ("6.1", 256, False), ("6.12", 256, True), ("6.12", 257, False)],
)
def test_how_much_ram_may_lack_a_node(version: str, lost: int, covered: bool) -> None:
    short = Srat(memory=(MemoryAffinity(0, 0, 2 * GIB), MemoryAffinity(1, 2 * GIB, GIB - lost * PAGE_SIZE)))
    boot = booted(version, machine(TWO, short))
    assert boot.nodes.online == ({0, 1} if covered else {0})
    assert ("No NUMA configuration found" in messages(boot)) is not covered
    assert any("nodes only cover" in text or "no nodes coverage" in text for text in messages(boot)) is not covered


@pytest.mark.parametrize("version", KERNELS)
def test_what_numa_off_and_noacpi_leave(version: str) -> None:
    off = booted(version, machine(TWO, SRAT_TWO, cmdline="numa=off"))
    assert messages(off)[:2] == ["NUMA turned off", "Faking a node at [mem 0x0000000000000000-0x00000000bfffffff]"]
    noacpi = booted(version, machine(TWO, SRAT_TWO, cmdline="numa=noacpi movable_node"))
    assert messages(noacpi)[0] == "No NUMA configuration found"
    assert {nid for _, _, nid, _ in noacpi.memblock.memory} == {0}
    assert all(not flags & 1 for *_, flags in noacpi.memblock.memory)


@pytest.mark.parametrize("version", KERNELS)
def test_cpus_go_by_their_apic_ids_and_the_absent_take_turns(version: str) -> None:
    cpus = Cpus(possible=5, present=3, apic_ids=(0, 4, 1, 6, 7))
    srat = Srat(memory=SRAT_TWO.memory, cpus=tuple(CpuAffinity(apic, apic // 4) for apic in (0, 1, 4, 6, 7)))
    boot = booted(version, machine(TWO, srat, cpus))
    assert boot.nodes.cpu_to_node == [0, 1, 0, 1, 0]
    init_cpu_to_node(boot)
    assert boot.nodes.cpu_to_node == [0, 1, 0, 1, 0]
    absent_too = machine(TWO, srat, Cpus(possible=5, present=5, apic_ids=(0, 4, 1, 6, 7)))
    boot = booted(version, absent_too)
    init_cpu_to_node(boot)
    assert boot.nodes.cpu_to_node == [0, 1, 0, 1, 1]


@pytest.mark.parametrize(("version", "node"), [("3.13", 0), ("5.10", 2), ("6.1", 2), ("6.12", 2)])
def test_a_cpu_of_a_node_without_memory(version: str, node: int) -> None:
    srat = Srat(memory=SRAT_TWO.memory, cpus=(CpuAffinity(0, 0), CpuAffinity(2, 1), CpuAffinity(1, 9)))
    boot = booted(version, machine(TWO, srat, Cpus(possible=3, present=3)))
    assert boot.nodes.possible == {0, 1, 2}
    assert boot.nodes.nr_node_ids == 3
    assert boot.nodes.online == {0, 1}
    init_cpu_to_node(boot)
    assert boot.nodes.cpu_to_node == [0, node, 1]
    assert boot.nodes.online == {0, 1, node}
    reserved = [
        event
        for event in boot.recorder.events
        if isinstance(event, Change) and event.owner == Owner(Purpose.NODE_DATA, 2)
    ]
    # 5.10 allocates here; later versions do it with the zones.
    assert len(reserved) == (version == "5.10")


@pytest.mark.parametrize(
    ("version", "online"), [("3.13", {0, 2}), ("5.10.89", {0, 2}), ("5.10", {0, 1, 2}), ("6.1", {0, 1, 2})]
)
def test_nodes_of_less_than_four_mib_stay_off_line_up_to_6_6(version: str, online: set[int]) -> None:
    tiny = Srat(
        memory=(
            MemoryAffinity(0, 0, 2 * GIB),
            MemoryAffinity(1, 2 * GIB, 4 * MIB - PAGE_SIZE),
            MemoryAffinity(2, 2 * GIB + 4 * MIB - PAGE_SIZE, GIB - 4 * MIB + PAGE_SIZE),
        )
    )
    assert booted(version, machine(TWO, tiny)).nodes.online == online


@pytest.mark.parametrize(
    ("version", "line"),
    [
        ("5.10", None),
        ("6.1", "memblock_phys_alloc_range: 4 bytes align=0x1000 from=0x0000000000000000 max_addr=0x00000000c0000000"),
        (
            "6.12",
            "memblock_alloc_try_nid: 4 bytes align=0x1000 nid=-1 from=0x0000000000000000 max_addr=0x0000000000000000",
        ),
    ],
)
def test_the_table_of_distances_is_made_while_the_direction_is_still_upwards(version: str, line: str | None) -> None:
    boot = booted(version, machine(TWO, SRAT_TWO, cmdline="movable_node", slit=((10, 21), (21, 10))))
    table = next(event for event in boot.recorder.events if isinstance(event, Change))
    assert (table.op, table.start, table.end) == ("reserve", MIB, MIB + 4)
    assert table.request is not None
    assert boot.wording.request(table.request, table.caller).rpartition(" ")[0] == (line or "")
    assert boot.nodes.distances.between(0, 1) == 21


def test_a_table_of_distances_that_is_wrong_is_not_used() -> None:
    for wrong in (((10, 10), (20, 10)), ((11, 20), (20, 10))):
        boot = booted("6.1", machine(TWO, SRAT_TWO, slit=wrong))
        assert "ACPI: SLIT table looks invalid. Not used." in messages(boot)
        assert boot.nodes.distances.between(0, 1) == 20


def test_ram_where_no_node_can_be_is_told_with_both_limits() -> None:
    """RAM beyond what four levels reach: the last page that counts is the end of the RAM below."""
    beyond = 1 << 46
    e820 = (E820Entry(0, 0x9FC00, 1), E820Entry(MIB, GIB, 1), E820Entry(beyond, beyond + GIB, 1))
    text = r"RAM lies at or above 0x40000000, .*\(page tables of 4 levels end at 0x400000000000\)"
    with pytest.raises(memplan.NotCoveredError, match=text):
        memplan.simulate(Machine(e820=e820), kernel="6.12")
