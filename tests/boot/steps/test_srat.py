"""Reading the SRAT: the order in which nodes get their numbers, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memplan.boot.context import Boot
from memplan.boot.proximity import node_numbers
from memplan.machine.model import Acpi, AcpiTable, CpuAffinity, CxlWindow, E820Entry, Machine, MemoryAffinity, Srat
from memplan.plan import SratUse
from memplan.units import GIB, MIB
from tests.boot.steps.single import boot_of, ran, warned
from tests.boot.steps.test_numa import KERNELS, booted, machine, messages

RAM = [(MIB, 2 * GIB), (2 * GIB, 3 * GIB)]


def memory(*domains: int) -> tuple[MemoryAffinity, ...]:
    """The RAM in equal parts, one a domain."""
    size = 3 * GIB // len(domains)
    return tuple(MemoryAffinity(pxm, index * size, size) for index, pxm in enumerate(domains))


def spans(boot: Boot) -> dict[int | None, int]:
    """MiB by node."""
    sizes: dict[int | None, int] = {}
    for _, size, nid, _ in boot.memblock.memory:
        sizes[nid] = sizes.get(nid, 0) + (size >> 20)
    return sizes


@pytest.mark.parametrize("version", KERNELS)
def test_nodes_are_numbered_as_domains_turn_up_processors_first(version: str) -> None:
    cpus = (CpuAffinity(0, 40), CpuAffinity(1, 5, enabled=False), CpuAffinity(2, 7))
    boot = booted(version, machine(RAM, Srat(memory=memory(5, 7, 40), cpus=cpus)))
    assert boot.nodes.pxm_to_node == {40: 0, 7: 1, 5: 2}
    assert boot.nodes.node_to_pxm == {0: 40, 1: 7, 2: 5}


@pytest.mark.parametrize(("version", "first"), [("3.13", 9), ("5.10", 3), ("6.1", 3), ("6.12", 3)])
def test_x2apic_entries_come_before_the_others_in_3_13(version: str, first: int) -> None:
    cpus = (CpuAffinity(0, 3), CpuAffinity(1, 9, x2apic=True))
    boot = booted(version, machine(RAM, Srat(memory=memory(3, 9), cpus=cpus)))
    assert boot.nodes.node_to_pxm[0] == first


@pytest.mark.parametrize(("version", "nodes"), [("3.13", 2), ("5.10", 3), ("6.12", 3)])
def test_generic_initiators_have_nodes_since_5_10(version: str, nodes: int) -> None:
    boot = booted(version, machine(RAM, Srat(memory=memory(1, 2), generic_initiators=(6,))))
    assert boot.nodes.nr_node_ids == nodes
    assert boot.nodes.initiators == ({0} if nodes == 3 else set())


@pytest.mark.parametrize("version", KERNELS)
def test_the_first_revision_has_domains_of_one_byte(version: str) -> None:
    boot = booted(version, machine(RAM, Srat(memory=memory(0x101, 0x202), cpus=(CpuAffinity(0, 0x302),), revision=1)))
    assert boot.nodes.pxm_to_node == {2: 0, 1: 1}


@pytest.mark.parametrize("version", KERNELS)
def test_entries_that_are_not_enabled_count_for_nothing(version: str) -> None:
    off = MemoryAffinity(9, 0, 3 * GIB, enabled=False)
    assert spans(booted(version, machine(RAM, Srat(memory=(off, *memory(1, 2)))))) == {0: 1535, 1: 1536}
    boot = booted(version, machine(RAM, Srat(memory=(off,), cpus=(CpuAffinity(0, 0),))))
    assert "No NUMA configuration found" in messages(boot)


@pytest.mark.parametrize(
    ("version", "line"),
    [
        ("3.13", "NUMA: Warning: node 0 [mem 0x00000000-0x7fffffff] overlaps with itself [mem 0x40000000-0xbfffffff]"),
        ("6.1", "Warning: node 0 [mem 0x00000000-0x7fffffff] overlaps with itself [mem 0x40000000-0xbfffffff]"),
    ],
)
def test_a_node_may_name_memory_twice(version: str, line: str) -> None:
    twice = (MemoryAffinity(4, 0, 2 * GIB), MemoryAffinity(4, GIB, 2 * GIB))
    boot = booted(version, machine(RAM, Srat(memory=twice)))
    assert line in messages(boot)
    assert spans(boot) == {0: 3071}


@pytest.mark.parametrize("version", KERNELS)
def test_blocks_of_a_node_are_joined_unless_another_lies_between(version: str) -> None:
    between = (MemoryAffinity(0, 0, GIB), MemoryAffinity(1, GIB, GIB), MemoryAffinity(0, 2 * GIB, GIB))
    boot = booted(version, machine(RAM, Srat(memory=between)))
    assert not any("+" in text for text in messages(boot))
    assert spans(boot) == {0: 2047, 1: 1024}


@pytest.mark.parametrize(("version", "limit", "prefix"), [("lab-3.13.10", 256, ""), ("6.12", 1024, "ACPI: ")])
def test_too_high_a_domain_costs_the_whole_table(version: str, limit: int, prefix: str) -> None:
    boot = booted(version, machine(RAM, Srat(memory=memory(0, limit))))
    assert messages(boot)[1:4] == [
        f"{prefix}SRAT: Too many proximity domains.",
        f"{prefix}SRAT: SRAT not used.",
        "No NUMA configuration found",
    ]
    cpu = Srat(memory=memory(0, 1), cpus=(CpuAffinity(0, limit + 0xA),))
    boot = booted(version, machine(RAM, cpu))
    refused = [f"SRAT: Too many proximity domains {limit + 0xA:x}", f"{prefix}SRAT: SRAT not used."]
    assert messages(boot)[:2] == refused
    assert booted(version, machine(RAM, Srat(memory=memory(0, limit - 1)))).nodes.nr_node_ids == 2


@pytest.mark.parametrize("version", ["5.10", "6.1", "6.12"])
def test_memory_to_come_raises_the_highest_possible_pfn(version: str) -> None:
    window = MemoryAffinity(1, 64 * GIB, 64 * GIB, hotplug=True)
    boot = booted(version, machine(RAM, Srat(memory=(*memory(0, 1), window))))
    assert boot.max_possible_pfn == 128 * GIB >> 12
    assert boot.nodes.hotplug == [(64 * GIB, 128 * GIB)]
    assert spans(boot) == {0: 1535, 1: 1536}


def with_windows(*windows: CxlWindow) -> Machine:
    entries = tuple(E820Entry(start, end, 1) for start, end in [*RAM, (8 * GIB, 10 * GIB)])
    srat = Srat(memory=(*memory(0, 1), MemoryAffinity(2, 8 * GIB, GIB), MemoryAffinity(3, 9 * GIB, GIB - MIB)))
    return Machine(e820=entries, srat=srat, acpi=Acpi(tables=(AcpiTable("SRAT", 0x1000, 64),), cxl_windows=windows))


@pytest.mark.parametrize(("version", "nodes"), [("5.10", 4), ("6.1", 5), ("6.12", 5)])
def test_a_cxl_window_without_memory_is_a_node_of_its_own(version: str, nodes: int) -> None:
    whole = MemoryAffinity(3, 9 * GIB, GIB)
    subject = with_windows(CxlWindow(32 * GIB, 4 * GIB))
    assert subject.srat is not None
    subject = subject._replace(srat=subject.srat._replace(memory=(*subject.srat.memory[:-1], whole)))
    boot = booted(version, subject)
    assert boot.nodes.possible == set(range(nodes))
    assert boot.nodes.online == {0, 1, 2, 3}
    assert boot.nodes.node_to_pxm.get(4) == (4 if nodes == 5 else None)


@pytest.mark.parametrize("version", ["5.17", "6.0", "6.5", "6.12"])
@pytest.mark.parametrize(
    ("start", "known"),
    [(2 * GIB, True), (4 * GIB - 1, True), (4 * GIB, False), (8 * GIB, True), (10 * GIB, False)],
)
def test_a_cxl_window_is_a_node_unless_something_is_known_of_it(version: str, start: int, known: bool) -> None:
    """Blocks end at 4 GiB, and go on from 8 to 10; up to 6.6 the window's first byte decides, then all of it."""
    blocks = (MemoryAffinity(0, 0, 4 * GIB), MemoryAffinity(3, 8 * GIB, 2 * GIB))
    own = Machine(
        e820=(E820Entry(MIB, 3 * GIB, 1), E820Entry(8 * GIB, 9 * GIB, 1)),
        srat=Srat(memory=blocks),
        acpi=Acpi(tables=(AcpiTable("SRAT", 0x1000, 64),), cxl_windows=(CxlWindow(start, GIB), CxlWindow(32 * GIB, 1))),
    )
    boot = booted(version, own)
    domains = {0: 0, 3: 1, 4: 2} if known else {0: 0, 3: 1, 4: 2, 5: 3}
    assert boot.nodes.pxm_to_node == domains
    # The nodes of windows are possible ones since 6.1.
    assert boot.nodes.possible == ({0, 1} if version in ("5.17", "6.0") else set(domains.values()))


def test_apic_ids_that_there_is_no_room_for() -> None:
    cpus = (CpuAffinity(32767, 0, x2apic=True), CpuAffinity(32768, 1, x2apic=True))
    boot = booted("6.1", machine(RAM, Srat(memory=memory(0, 1), cpus=cpus)))
    assert boot.nodes.apic_to_node == {32767: 0}
    assert messages(boot)[:2] == [
        "SRAT: PXM 0 -> APIC 0x7fff -> Node 0",
        "SRAT: PXM 1 -> APIC 0x8000 -> Node 1 skipped apicid that is too big",
    ]


@pytest.mark.parametrize("version", KERNELS)
def test_entries_that_wrap_are_told_and_make_no_block(version: str) -> None:
    wrapping = MemoryAffinity(1, (1 << 64) - GIB, 2 * GIB)
    boot = booted(version, machine(RAM, Srat(memory=(*memory(0), wrapping))))
    assert any("invalid memblk node 1 [mem " in text for text in messages(boot))
    assert boot.nodes.possible == {0, 1}
    assert spans(boot) == {0: 3071}


@pytest.mark.parametrize(("version", "told"), [("4.2", ""), ("4.4", " non-volatile"), ("6.12", " non-volatile")])
def test_what_is_told_of_an_entry(version: str, told: str) -> None:
    entry = MemoryAffinity(1, 4 * GIB, GIB, hotplug=True, nonvolatile=True)
    boot = booted(version, machine(RAM, Srat(memory=(*memory(0), entry))))
    lines = [text.partition("SRAT: ")[2] for text in messages(boot) if "SRAT: Node 1 PXM 1" in text]
    assert lines == [f"Node 1 PXM 1 [mem 0x100000000-0x13fffffff] hotplug{told}"]


@pytest.mark.parametrize("version", ["6.1", "6.12"])
def test_a_cxl_window_completes_the_nodes_inside(version: str) -> None:
    # The last MiB of RAM has no node by the SRAT.
    boot = booted(version, with_windows(CxlWindow(8 * GIB, 2 * GIB)))
    assert spans(boot) == {0: 1535, 1: 1536, 2: 1024, 3: 1024}


@pytest.mark.parametrize("version", KERNELS)
def test_ids_of_x2apics_have_four_digits(version: str) -> None:
    cpus = (CpuAffinity(0xA, 3), CpuAffinity(0x2B, 9, x2apic=True))
    told = [
        text for text in messages(booted(version, machine(RAM, Srat(memory=memory(3, 9), cpus=cpus)))) if "APIC" in text
    ]
    lines = ["SRAT: PXM 3 -> APIC 0x0a -> Node 0", "SRAT: PXM 9 -> APIC 0x002b -> Node 1"]
    if version == "3.13":
        lines = ["SRAT: PXM 9 -> APIC 0x002b -> Node 0", "SRAT: PXM 3 -> APIC 0x0a -> Node 1"]
    assert told == lines * (version != "6.12")


entries = st.tuples(st.integers(0, 5) | st.integers(250, 260), st.booleans(), st.booleans())


@given(st.lists(entries, max_size=6), st.lists(entries, min_size=1, max_size=6), st.sampled_from((1, 2)))
@pytest.mark.parametrize("version", KERNELS)
def test_numbers_are_known_before_the_boot(
    version: str, cpus: list[tuple[int, bool, bool]], parts: list[tuple[int, bool, bool]], revision: int
) -> None:
    """What firmware's check says of node numbers is what the kernel gives; of entries that are off both say nothing."""
    subject = Srat(
        memory=tuple(MemoryAffinity(pxm & 0xFF, n * GIB, GIB, enabled=on) for n, (pxm, on, _) in enumerate(parts)),
        cpus=tuple(CpuAffinity(n, pxm & 0xFF, enabled=on, x2apic=wide) for n, (pxm, on, wide) in enumerate(cpus)),
        generic_initiators=(7,),
        revision=revision,
    )
    boot = booted(version, machine([(MIB, len(parts) * GIB)], subject))
    assert node_numbers(subject, boot.rules) == boot.nodes.pxm_to_node


def refused(version: str, srat: Srat, slit: tuple[tuple[int, ...], ...] = (), nodes: int = 6) -> Boot:
    """A boot whose kernel has room for 2^`nodes` nodes, after it has read the table."""
    subject = machine(RAM, srat, slit=slit)
    boot = boot_of(version, subject, *RAM, facts={"config.NODES_SHIFT": nodes})
    return ran(boot, "initmem_init")


@pytest.mark.parametrize("version", KERNELS)
def test_which_lines_about_the_srat_tell_of_trouble(version: str) -> None:
    prefix = "SRAT: " if version == "3.13" else "ACPI: SRAT: "
    high = refused(version, Srat(memory=memory(0, 1000)))
    assert warned(high) == [f"{prefix}Too many proximity domains.", f"{prefix}SRAT not used."]
    cpu = refused(version, Srat(memory=memory(0, 1), cpus=(CpuAffinity(0, 1000),)))
    assert warned(cpu) == ["SRAT: Too many proximity domains 3e8", f"{prefix}SRAT not used."]
    good = refused(version, Srat(memory=memory(0, 1)), ((10, 20), (20, 10)))
    assert warned(good) == []
    for wrong in (((10, 10), (20, 10)), ((11, 20), (20, 10)), ((10, 20), (20, 9)), ((10, 9), (20, 10))):
        slit = refused(version, Srat(memory=memory(0, 1)), wrong)
        assert warned(slit) == ["ACPI: SLIT table looks invalid. Not used."]
    twice = refused(version, Srat(memory=(MemoryAffinity(0, 0, 2 * GIB), MemoryAffinity(0, GIB, 2 * GIB))))
    # Since 6.12 blocks begin where RAM does.
    first = "[mem 0x00100000-0x7fffffff]" if version == "6.12" else "[mem 0x00000000-0x7fffffff]"
    text = f"Warning: node 0 {first} overlaps with itself [mem 0x40000000-0xbfffffff]"
    assert warned(twice) == ["NUMA: " * (version == "3.13") + text]
    other = refused(version, Srat(memory=(MemoryAffinity(0, 0, 2 * GIB), MemoryAffinity(1, GIB, 2 * GIB))))
    text = f"node 0 {first} overlaps with node 1 [mem 0x40000000-0xbfffffff]"
    assert warned(other) == ["NUMA: " * (version == "3.13") + text]


@pytest.mark.parametrize(
    ("domains", "told"), [((0, 1, 2), []), ((0, 1, 2, 3), ["ACPI: SRAT: Too many proximity domains."])]
)
def test_generic_initiators_that_there_is_no_room_for(domains: tuple[int, ...], told: list[str]) -> None:
    """The table is used all the same, with the nodes that there are."""
    srat = Srat(memory=memory(0), cpus=(CpuAffinity(0, 0),), generic_initiators=(*domains[1:], 9))
    boot = refused("6.1", srat, nodes=2)
    assert warned(boot) == told
    assert boot.nodes.possible == {0, 1, 2, 3}
    assert boot.nodes.initiators == {1, 2, 3}
    assert boot.nodes.srat is SratUse.USED


@pytest.mark.parametrize(("version", "possible"), [("6.1", {0, 1, 2, 3}), ("6.12", {0, 1, 2, 3})])
def test_cxl_windows_that_there_is_no_room_for(version: str, possible: set[int]) -> None:
    """Nodes run out at the third window; the fourth is not looked at."""
    windows = tuple(CxlWindow((16 + number) * GIB, GIB) for number in range(4))
    subject = machine(RAM, Srat(memory=memory(0, 1)))
    subject = subject._replace(acpi=subject.acpi._replace(cxl_windows=windows))
    boot = ran(boot_of(version, subject, *RAM, facts={"config.NODES_SHIFT": 2}), "initmem_init")
    assert warned(boot) == ["ACPI: ACPI NUMA: Too many proximity domains while processing CFMWS."]
    assert boot.nodes.possible == possible
    assert boot.nodes.pxm_to_node == {0: 0, 1: 1, 2: 2, 3: 3}


def test_a_cxl_window_for_which_the_list_of_blocks_is_full() -> None:
    entries = tuple(MemoryAffinity(n % 2, n * 128 * MIB, 128 * MIB) for n in range(8))
    windows = tuple(CxlWindow((16 + number) * GIB, GIB) for number in range(2))
    subject = machine([(MIB, GIB)], Srat(memory=entries))
    subject = subject._replace(acpi=subject.acpi._replace(cxl_windows=windows))
    boot = ran(boot_of("6.1", subject, (MIB, GIB), facts={"config.NODES_SHIFT": 2}), "initmem_init")
    failed = "ACPI: ACPI NUMA: Failed to add memblk for CFMWS node {} [mem {:#x}-{:#x}]"
    assert warned(boot) == [
        "too many memblk ranges",
        failed.format(2, 16 * GIB, 17 * GIB),
        "too many memblk ranges",
        failed.format(3, 17 * GIB, 18 * GIB),
    ]


@pytest.mark.parametrize(("rest", "pages"), [(-4096, -1), (-1, 0), (0, 0), (1, 0), (2, 1), (4097, 1), (4098, 2)])
def test_the_page_of_the_last_byte_but_one_is_the_highest_possible(rest: int, pages: int) -> None:
    """PFN_UP of the end less one."""
    window = MemoryAffinity(1, 64 * GIB, GIB + rest, hotplug=True)
    boot = booted("6.1", machine(RAM, Srat(memory=(*memory(0, 1), window))))
    assert boot.max_possible_pfn == (65 * GIB >> 12) + pages
