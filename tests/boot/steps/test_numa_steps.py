"""Distances, NODE_DATA and nodes of CPUs: each rule at its edges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memplan.boot.meminfo import Block, Meminfo
from memplan.boot.steps.distances import copy_distances, emulate_distances, numa_reset_distance, numa_set_distance
from memplan.boot.steps.meminfo import numa_add_memblk, numa_cleanup_meminfo
from memplan.boot.steps.numa import alloc_node_data, init_cpu_to_node
from memplan.errors import NotCoveredError
from memplan.events import Mark
from memplan.machine.model import Acpi, AcpiTable, CpuAffinity, Cpus, MemoryAffinity, Srat
from memplan.owner import Owner, Purpose
from memplan.plan import SratUse
from memplan.units import GIB, MIB, PAGE_SIZE, U64_MAX
from tests.boot.steps.single import EMPTY, boot_of, changes, ran, told, warned
from tests.boot.steps.test_numa import SRAT_TWO, TWO, booted, machine, messages

VERSIONS = ("3.13", "6.1", "6.12")
SRAT_TABLE = Acpi(tables=(AcpiTable("SRAT", 0x1000, 64),))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_table_of_distances(version: str) -> None:
    """A byte for each pair of the nodes that are known when the first distance is set; others are not kept."""
    boot = boot_of(version)
    boot.nodes.parsed = {0, 2}
    assert copy_distances(boot) is None
    numa_set_distance(boot, 0, 2, 17)
    boot.nodes.parsed = {0, 2, 3}
    for source, target in ((2, 0), (2, 2), (0, 3), (3, 0)):
        numa_set_distance(boot, source, target, 30 + source)
    table = boot.nodes.distances
    assert (table.nodes, table.values) == (3, {(0, 2): 17, (2, 0): 32, (2, 2): 32})
    (first,) = changes(boot)
    assert (first[0], first[2] - first[1], first[1] % PAGE_SIZE) == ("reserve", 9, 0)
    assert [table.between(*pair) for pair in ((0, 2), (2, 0), (1, 1), (0, 1), (0, 3))] == [17, 32, 10, 20, 20]
    copy = copy_distances(boot)
    assert changes(boot)[1] == ("reserve", *copy)  # type: ignore[misc]
    assert copy is not None
    assert copy[1] - copy[0] == 9
    emulate_distances(boot, {0: 2, 1: 0})
    assert [change[0] for change in changes(boot)] == ["reserve", "reserve", "free", "reserve"]
    assert boot.nodes.distances.between(0, 1) == 32
    assert boot.nodes.distances.between(1, 0) == 17
    numa_reset_distance(boot)
    assert changes(boot)[-1] == ("free", *changes(boot)[-2][1:])
    numa_reset_distance(boot)
    assert len(changes(boot)) == 5
    assert boot.nodes.distances.between(1, 0) == 20


@pytest.mark.parametrize("version", VERSIONS)
def test_without_room_for_the_table_all_nodes_are_alike(version: str) -> None:
    boot = boot_of(version, EMPTY, (MIB, GIB), reserved=((MIB, GIB),))
    boot.nodes.parsed = {0, 1}
    for target in (1, 0):
        numa_set_distance(boot, 0, target, 17)
    assert warned(boot) == ["Warning: can't allocate distance table!"]
    assert boot.nodes.distances.between(0, 1) == 20
    numa_reset_distance(boot)
    assert changes(boot) == []


@pytest.mark.parametrize(
    ("version", "size"), [("3.13", 0x3000), ("6.1", 0x3000), ("6.11", 0x3000), ("6.12", 0x2040), ("7.1", 0x2040)]
)
def test_the_place_of_node_data(version: str, size: int) -> None:
    """Whole pages, since 6.12 whole cache lines, at the top of the node."""
    boot = boot_of(version, EMPTY, (MIB, GIB, 0), (GIB, 2 * GIB, 1), facts={"struct.pglist_data": 0x2001})
    alloc_node_data(boot, 0, (MIB, GIB))
    start = (GIB - size) // 64 * 64
    assert changes(boot) == [("reserve", start, start + size)]
    assert boot.nodes.node_data[0] == (start, start + size)
    assert not any("on node" in text for text in told(boot))


def test_3_13_tells_of_a_node_before_its_data() -> None:
    boot = boot_of("3.13", EMPTY, (MIB, GIB, 0))
    alloc_node_data(boot, 0, (MIB, GIB))
    alloc_node_data(boot, 0, (8 * MIB, GIB))
    ((_, start, end), (_, low, high)) = changes(boot)
    # The first page counts from the next 8 MiB on.
    assert told(boot) == [
        "Initmem setup node 0 [mem 0x00800000-0x3fffffff]",
        f"  NODE_DATA [mem {start:#010x}-{end - 1:#010x}]",
        "Initmem setup node 0 [mem 0x00800000-0x3fffffff]",
        f"  NODE_DATA [mem {low:#010x}-{high - 1:#010x}]",
    ]


@pytest.mark.parametrize(("version", "elsewhere"), [("3.13", False), ("3.14", True), ("6.12", True)])
def test_node_data_on_another_node(version: str, elsewhere: bool) -> None:
    full = ((GIB, 2 * GIB),)
    boot = boot_of(version, EMPTY, (MIB, GIB, 0), (GIB, 2 * GIB, 1), reserved=full)
    boot.nodes.online = set()
    alloc_node_data(boot, 1, (GIB, 2 * GIB))
    assert bool(changes(boot)) is elsewhere
    assert boot.nodes.online == ({1} if elsewhere else set())
    assert ("    NODE_DATA(1) on node 0" in told(boot)) is elsewhere
    assert bool(warned(boot)) is not elsewhere


def test_how_much_ram_has_a_node_is_told() -> None:
    short = Srat(memory=(MemoryAffinity(0, 0, GIB), MemoryAffinity(1, 2 * GIB, GIB)))
    boot = booted("6.1", machine(TWO, short))
    assert "NUMA: nodes only cover 2047MB of your 3071MB e820 RAM. Not used." in messages(boot)
    assert boot.nodes.srat is SratUse.UNCOVERED
    assert boot.nodes.online == {0}


@pytest.mark.parametrize(
    ("cmdline", "srat", "use"),
    [
        ("", SRAT_TWO, SratUse.USED),
        ("", None, SratUse.ABSENT),
        ("numa=off", None, SratUse.ABSENT),
        ("numa=off", SRAT_TWO, SratUse.TURNED_OFF),
        ("numa=noacpi", SRAT_TWO, SratUse.TURNED_OFF),
        ("acpi=off", SRAT_TWO, SratUse.TURNED_OFF),
        ("", Srat(memory=(MemoryAffinity(0, 0, GIB, enabled=False),)), SratUse.EMPTY),
        ("", Srat(memory=(MemoryAffinity(0, 0, 2 * GIB), MemoryAffinity(1, GIB, 2 * GIB))), SratUse.OVERLAP),
        ("", Srat(memory=(*SRAT_TWO.memory, MemoryAffinity(5000, 0, 0))), SratUse.BAD_ENTRY),
    ],
)
def test_what_became_of_the_srat(cmdline: str, srat: Srat | None, use: SratUse) -> None:
    assert booted("6.1", machine(TWO, srat, cmdline=cmdline)).nodes.srat is use


def test_a_kernel_without_numa() -> None:
    cpus = Cpus(possible=3, present=3)
    boot = boot_of("6.12", EMPTY._replace(cpus=cpus), (0, GIB, 5), (2 * GIB, 3 * GIB, 7), facts={"config.NUMA": False})
    boot.memblock.bottom_up = True
    ran(boot, "initmem_init")
    assert not boot.memblock.bottom_up
    assert boot.nodes.cpu_to_node == [0, 0, 0]
    assert boot.nodes.possible == boot.nodes.online == {0}
    assert {nid for _, _, nid, _ in boot.memblock.memory} == {0}
    assert changes(boot) == []


def test_acpi_numa_has_to_be_built_in() -> None:
    boot = boot_of("6.12", EMPTY._replace(srat=SRAT_TWO), facts={"config.ACPI_NUMA": False})
    ran(boot, "initmem_init")
    assert boot.nodes.srat is SratUse.TURNED_OFF
    assert boot.nodes.possible == {0}


def test_nodes_that_can_t_be_made_are_not_guessed_about() -> None:
    tiny = boot_of("6.1", EMPTY, (MIB, 3 * MIB), facts={"struct.pglist_data": 8192})
    tiny.rules = tiny.rules._replace(node_min_size=4 * MIB)
    tiny.nodes.online = set()
    with pytest.raises(NotCoveredError, match=r"no node has as much RAM as Linux asks of one \(4M\)"):
        ran(tiny, "initmem_init")


@pytest.mark.parametrize(("version", "warns"), [("6.1", True), ("6.8", True), ("6.9", False)])
@pytest.mark.parametrize(("possible", "more"), [(8192, False), (8193, True)])
def test_more_cpus_than_there_is_room_for(version: str, warns: bool, possible: int, more: bool) -> None:
    subject = EMPTY._replace(cmdline=f"possible_cpus={possible}", cpus=Cpus(possible=8000, present=1))
    boot = boot_of(version, subject, facts={"config.NR_CPUS": 8192})
    boot.nodes.cpu_to_node = [0] * boot.params.possible_cpus
    init_cpu_to_node(boot)
    text = f"smpboot: {possible} Processors exceeds NR_CPUS limit of 8192"
    assert warned(boot) == [text] * (more and warns)


def test_3_13_takes_a_cpu_to_the_nearest_node_with_memory() -> None:
    srat = Srat(memory=SRAT_TWO.memory, cpus=(CpuAffinity(0, 0), CpuAffinity(1, 1), CpuAffinity(2, 9)))
    slit = ((10, 20, *[20] * 7, 40), (20, 10, *[20] * 7, 30), *[(20,) * 10] * 7, (40, 30, *[20] * 7, 10))
    slit = tuple(
        tuple(10 if row == column else each for column, each in enumerate(rows)) for row, rows in enumerate(slit)
    )
    boot = booted("3.13", machine(TWO, srat, Cpus(possible=3, present=3), slit=slit))
    init_cpu_to_node(boot)
    assert boot.nodes.cpu_to_node == [0, 1, 1]


def test_5_10_makes_node_data_for_generic_initiators_too() -> None:
    srat = Srat(memory=SRAT_TWO.memory, cpus=SRAT_TWO.cpus, generic_initiators=(7,))
    for version, own in (("5.10", True), ("6.1", False)):
        boot = booted(version, machine(TWO, srat, Cpus(possible=2, present=2)))
        init_cpu_to_node(boot)
        assert boot.nodes.online == {0, 1, 2}
        made = [e for e in boot.recorder.events if getattr(e, "owner", None) == Owner(Purpose.NODE_DATA, 2)]
        assert bool(made) is own
        assert ("Initmem setup node 2 [mem 0x0000000000000000-0x0000000000000000]" in messages(boot)) is own


@pytest.mark.parametrize("version", VERSIONS)
def test_a_cpu_whose_apic_id_the_srat_does_not_name_keeps_its_turn(version: str) -> None:
    cpus = Cpus(possible=4, present=4, apic_ids=(0, 9, 1, 2))
    srat = Srat(memory=SRAT_TWO.memory, cpus=(CpuAffinity(0, 1), CpuAffinity(1, 0), CpuAffinity(2, 0)))
    boot = booted(version, machine(TWO, srat, cpus))
    assert boot.nodes.cpu_to_node == [0, 1, 0, 1]
    init_cpu_to_node(boot)
    # Node numbers follow the CPUs' entries.
    assert boot.nodes.cpu_to_node == [0, 1, 1, 1]


@pytest.mark.parametrize(("version", "resets"), [("3.13", 1), ("6.1", 1), ("6.12", 1)])
def test_all_regions_lose_their_nodes_and_marks_before_a_table_is_read(version: str, resets: int) -> None:
    boot = booted(version, machine(TWO, SRAT_TWO))
    marks = [event for event in boot.recorder.events if isinstance(event, Mark)]
    whole = [(mark.array, mark.flag, mark.on, mark.nid) for mark in marks if (mark.start, mark.end) == (0, U64_MAX)]
    reset = [("memory", 0, True, None)]
    if version != "3.13":
        reset += [("reserved", 0, True, None), ("memory", 1, False, None)]
    assert whole == reset * resets
    assert [(mark.array, mark.flag, mark.on, mark.nid) for mark in marks[: len(reset)]] == reset


@pytest.mark.parametrize("version", ["3.13", "6.1"])
@pytest.mark.parametrize(("beyond", "short"), [(0, 0), (GIB, 0), (GIB, 256), (0, 256)])
def test_ram_that_linux_does_not_count_needs_no_node(version: str, beyond: int, short: int) -> None:
    """What lies above max_pfn, and is RAM all the same, is not asked for a node."""
    srat = Srat(memory=(MemoryAffinity(0, 0, 2 * GIB), MemoryAffinity(1, 2 * GIB, GIB - short * PAGE_SIZE)))
    boot = boot_of(version, EMPTY._replace(srat=srat, acpi=SRAT_TABLE), (MIB, 3 * GIB + beyond))
    boot.max_pfn = 3 * GIB // PAGE_SIZE
    ran(boot, "initmem_init")
    assert boot.nodes.srat is (SratUse.UNCOVERED if short else SratUse.USED)
    covered = f"NUMA: nodes only cover {3071 - short // 256}MB of your 3071MB e820 RAM. Not used."
    assert [text for text in warned(boot) if "cover" in text] == [covered] * bool(short)


@pytest.mark.parametrize("more", [0, 1])
def test_there_is_room_for_two_blocks_a_node(more: int) -> None:
    """One more, and the SRAT is not used."""
    boot = boot_of("6.12", EMPTY, (0, 3 * GIB), facts={"config.NODES_SHIFT": 2})
    assert boot.kernel.max_numnodes == 4
    meminfo = Meminfo()
    added = [numa_add_memblk(boot, meminfo, n * MIB, n * MIB + MIB, n % 4) for n in range(8 + more)]
    assert added == [True] * 8 + [False] * more
    assert numa_add_memblk(boot, meminfo, 0, 0, 0)
    assert len(meminfo.blocks) == 8
    assert warned(boot) == ["too many memblk ranges"] * more
    entries = tuple(MemoryAffinity(n % 4, n * 64 * MIB, 64 * MIB) for n in range(8 + more))
    own = boot_of("6.12", EMPTY._replace(srat=Srat(memory=entries), acpi=SRAT_TABLE), (0, (8 + more) * 64 * MIB))
    own.kernel = boot.kernel
    ran(own, "initmem_init")
    assert own.nodes.srat is (SratUse.BAD_ENTRY if more else SratUse.USED)
    text = "ACPI: SRAT: Failed to add memblk to node 0 [mem 0x20000000-0x23ffffff]"
    assert [line for line in warned(own) if "SRAT: Failed" in line] == [text] * more


@pytest.mark.parametrize("version", ["3.13", "6.1", "6.12"])
def test_an_invalid_block_is_told_and_counts_as_added(version: str) -> None:
    boot = boot_of(version)
    meminfo = Meminfo()
    assert numa_add_memblk(boot, meminfo, 2 * MIB, MIB, 3)
    prefix = "NUMA: " if version == "3.13" else ""
    assert warned(boot) == [f"{prefix}Warning: invalid memblk node 3 [mem 0x00200000-0x000fffff]"]
    assert meminfo.blocks == []


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 5)), max_size=5), st.integers(0, 30), st.integers(1, 20))
def test_blocks_that_a_window_meets_are_stretched_over_it(parts: list[tuple[int, int]], start: int, size: int) -> None:
    """numa_fill_memblks: each hole goes to the block above it, the ends of the window to the outer blocks."""
    meminfo = Meminfo()
    at = 0
    for nid, (gap, length) in enumerate(parts):
        meminfo.blocks.insert(nid % 2, Block(at + gap, at + gap + length, nid))
        at += gap + length
    before = {block.nid: range(block.start, block.end) for block in meminfo.blocks}
    window = range(start, start + size)
    met = [nid for nid, own in before.items() if set(own) & set(window)]
    assert meminfo.fill(start, start + size) is bool(met)
    after = {block.nid: set(range(block.start, block.end)) for block in meminfo.blocks}
    assert all(after[nid] == set(before[nid]) for nid in before if nid not in met)
    if not met:
        return
    covered = set().union(*(before[nid] for nid in met))
    order = sorted(met, key=lambda nid: before[nid].start)
    expected = {nid: set(before[nid]) for nid in met}
    for unit in range(min(*covered, start), max(*covered, start + size - 1) + 1):
        if unit in covered:
            continue
        above = [nid for nid in order if before[nid].start > unit]
        # Below the lowest block the hole is that block's, above the last one the last's.
        expected[above[0] if above else order[-1]].add(unit)
    assert {nid: after[nid] for nid in met} == expected


@pytest.mark.parametrize(("middle", "filled"), [((2, 4), 10), ((2, 10), 10), ((2, 11), 11), ((2, 12), 12)])
def test_a_hole_behind_blocks_that_overlap(middle: tuple[int, int], filled: int) -> None:
    meminfo = Meminfo()
    meminfo.blocks = [Block(12, 14, 0), Block(0, 10, 0), Block(*middle, 0), Block(15, 16, 0)]
    assert meminfo.fill(0, 20)
    assert [(block.start, block.end) for block in meminfo.blocks] == [(filled, 14), (0, 10), middle, (14, 20)]


def joined_pair_by_pair(blocks: list[tuple[int, int, int]]) -> list[tuple[int, int, int]] | None:
    """(start, end, nid) of what is left where each block meets all behind it; None where two nodes claim one range."""
    left = list(blocks)
    at = 0
    while at < len(left):
        behind = at + 1
        while behind < len(left):
            (low, high, nid), (start, end, other) = left[at], left[behind]
            if low < end and start < high and nid != other:
                return None
            low, high = min(low, start), max(high, end)
            if nid == other and not any(own != nid and low < last and first < high for first, last, own in left):
                left[at] = low, high, nid
                del left[behind]
            else:
                behind += 1
        at += 1
    return left


@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(1, 4), st.integers(0, 2)), min_size=1, max_size=9),
    st.booleans(),
)
def test_blocks_of_a_node_are_joined(ranges: list[tuple[int, int, int]], apart: bool) -> None:
    """As if each was held against all behind it, whether any of them overlap or not."""
    taken: set[int] = set()
    meminfo = Meminfo()
    for start, length, nid in ranges:
        pages = set(range(start, start + length))
        if not apart or not pages & taken:
            meminfo.blocks.append(Block(start * MIB, (start + length) * MIB, nid))
            taken |= pages
    wanted = joined_pair_by_pair([(block.start, block.end, block.nid) for block in meminfo.blocks])
    assert numa_cleanup_meminfo(boot_of("6.12"), meminfo) is (wanted is not None)
    if wanted is not None:
        assert [(block.start, block.end, block.nid) for block in meminfo.blocks] == wanted
