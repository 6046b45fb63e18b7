"""What firmware, the boot loader and early code have in memory: each step on its own, at the edges of its rule."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memplan.boot.context import Boot
from memplan.boot.e820_table import E820Table
from memplan.boot.panic import BootPanic
from memplan.machine.model import (
    E820_ACPI,
    E820_NVS,
    E820_RAM,
    E820_RESERVED_KERN,
    Acpi,
    AcpiTable,
    Bios,
    Cpus,
    E820Entry,
    Extent,
    Initrd,
    Machine,
    MpTable,
    SetupData,
    TableUpgrade,
)
from memplan.owner import Purpose
from memplan.units import GIB, KIB, MIB, PAGE_SIZE
from tests.boot.steps.single import EMPTY, boot_of, changes, ran, told, warned


def typed(boot: Boot, kind: int) -> list[tuple[int, int]]:
    return [(start, end) for start, end, own in boot.e820 if own == kind]


# -- ACPI tables -------------------------------------------------------------------------------------------------------

TABLES = (AcpiTable("FACP", 0x70000000, 0x114), AcpiTable("SSDT", 0x70001000, 0x20), AcpiTable("SRAT", 0x70002000, 1))
UPGRADES = (TableUpgrade("SSDT", 0x1801), TableUpgrade("SLIT", 0x7FF, replaces=False))


@pytest.mark.parametrize(("version", "kind"), [("3.13", E820_ACPI), ("5.18", E820_ACPI), ("6.12", E820_NVS)])
def test_tables_of_the_initrd_are_copied_into_one_block(version: str, kind: int) -> None:
    subject = EMPTY._replace(acpi=Acpi(tables=TABLES, upgrades=UPGRADES))
    boot = boot_of(version, subject)
    boot.direct_map.max_low_pfn_mapped = 512 * MIB // PAGE_SIZE
    boot.initrd = (MIB, 2 * MIB)
    ran(boot, "acpi_table_upgrade")
    # Below the end of what is mapped below 4 GiB; whole pages are looked for, exact bytes are taken.
    start = 512 * MIB - 2 * PAGE_SIZE
    assert changes(boot) == [("reserve", start, start + 0x2000)]
    assert typed(boot, kind) == [(start, start + 0x2000)]
    prefix = "" if version == "3.13" else "ACPI: "
    assert told(boot)[:2] == [
        f"{prefix}SSDT ACPI table found in initrd [kernel/firmware/acpi/SSDT.aml][0x1801]",
        f"{prefix}SLIT ACPI table found in initrd [kernel/firmware/acpi/SLIT.aml][0x7ff]",
    ]
    assert told(boot)[2].endswith("modified physical RAM map:")
    assert boot.upgraded_tables == {"SSDT": (start, start + 0x1801), "SLIT": (start + 0x1801, start + 0x2000)}


def test_without_an_initrd_upgrades_or_room_no_table_is_copied() -> None:
    subject = EMPTY._replace(acpi=Acpi(tables=TABLES, upgrades=UPGRADES))
    assert changes(ran(boot_of("6.12", subject), "acpi_table_upgrade")) == []
    without = boot_of("6.12")
    without.initrd = (MIB, 2 * MIB)
    assert told(ran(without, "acpi_table_upgrade")) == []
    off = boot_of("6.12", subject, facts={"config.ACPI_TABLE_UPGRADE": False})
    off.initrd = (MIB, 2 * MIB)
    assert told(ran(off, "acpi_table_upgrade")) == []
    full = boot_of("6.12", subject)
    full.initrd = (MIB, 2 * MIB)
    full.direct_map.max_low_pfn_mapped = 1
    ran(full, "acpi_table_upgrade", "acpi_boot_table_init")
    assert warned(full) == ["WARNING: no room for the ACPI tables of the initrd"]
    assert changes(full) == [("reserve", table.address, table.address + table.length) for table in TABLES]


def test_a_table_counts_at_its_new_place_and_a_new_one_is_not_reserved_again() -> None:
    subject = EMPTY._replace(acpi=Acpi(tables=TABLES, upgrades=UPGRADES))
    boot = boot_of("6.12", subject)
    boot.upgraded_tables = {"SSDT": (0x10000, 0x11801), "SLIT": (0x20000, 0x207FF), "SRAT": (0x30000, 0x30001)}
    ran(boot, "acpi_boot_table_init")
    # No upgrade replaces the SRAT, so its copy counts for nothing.
    assert [(start, end) for _, start, end in changes(boot)] == [
        (0x70000000, 0x70000114),
        (0x10000, 0x11801),
        (0x70002000, 0x70002001),
    ]
    assert told(boot)[0] == "ACPI: Reserving FACP table memory at [mem 0x70000000-0x70000113]"
    assert changes(ran(boot_of("6.12", subject._replace(cmdline="acpi=off")), "acpi_boot_table_init")) == []


# -- the MP table ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "mapped"), [("3.13", True), ("5.10", False), ("6.12", False)])
def test_the_mp_table_and_its_pointer(version: str, mapped: bool) -> None:
    subject = EMPTY._replace(bios=Bios(mp_table=MpTable(0xF5A90, 0xF5AA0, 0x11D)))
    boot = ran(boot_of(version, subject), "find_smp_config")
    assert changes(boot, Purpose.MP_TABLE) == [("reserve", 0xF5A90, 0xF5AA0), ("reserve", 0xF5AA0, 0xF5BBD)]
    where = f" mapped at [{0xFFFF8800000F5A90:x}]" if mapped else ""
    assert told(boot) == [f"found SMP MP-table at [mem 0x000f5a90-0x000f5a9f]{where}"]
    alone = EMPTY._replace(bios=Bios(mp_table=MpTable(0xF5A90)))
    assert changes(ran(boot_of(version, alone), "find_smp_config")) == [("reserve", 0xF5A90, 0xF5AA0)]
    assert changes(ran(boot_of(version), "find_smp_config")) == []


@pytest.mark.parametrize(("cmdline", "size"), [("alloc_mptable", 4096), ("alloc_mptable=6", 6), ("quiet", 0)])
def test_room_for_a_new_mp_table(cmdline: str, size: int) -> None:
    boot = boot_of("6.12", EMPTY._replace(cmdline=cmdline), facts={"config.X86_MPPARSE": True})
    found = changes(ran(boot, "e820__memblock_alloc_reserved_mpc_new"), Purpose.NEW_MP_TABLE)
    assert [end - start for _, start, end in found] == [size] * bool(size)
    assert all(start % 4 == 0 for _, start, _ in found)
    off = boot_of("6.12", EMPTY._replace(cmdline=cmdline), facts={"config.X86_MPPARSE": False})
    assert changes(ran(off, "e820__memblock_alloc_reserved_mpc_new")) == []


# -- the boot loader's data --------------------------------------------------------------------------------------------


def test_setup_data_with_its_header_and_what_it_points_to() -> None:
    nodes = (SetupData(0x100000, 0x20), SetupData(0x300008, 0x10, target=Extent(0x400000, 0x30)))
    boot = boot_of("6.12", EMPTY._replace(setup_data=nodes))
    ran(boot, "memblock_x86_reserve_range_setup_data", "e820__reserve_setup_data")
    parts = [(0x100000, 0x100030), (0x300008, 0x300028), (0x400000, 0x400030)]
    assert changes(boot) == [("reserve", *part) for part in parts]
    assert typed(boot, E820_RESERVED_KERN) == parts
    without = boot_of("6.12")
    entries = list(without.e820)
    ran(without, "memblock_x86_reserve_range_setup_data", "e820__reserve_setup_data")
    assert (changes(without), list(without.e820)) == ([], entries)


@pytest.mark.parametrize(("start", "size", "end"), [(MIB, PAGE_SIZE, MIB + PAGE_SIZE), (MIB + 8, 4089, MIB + 8192)])
def test_an_initrd_to_the_end_of_its_last_page(start: int, size: int, end: int) -> None:
    boot = ran(boot_of("6.12", EMPTY._replace(initrd=Initrd(start, size))), "early_reserve_initrd")
    assert changes(boot) == [("reserve", start, end)]
    for none in (Initrd(0, size), Initrd(start, 0), None):
        assert changes(ran(boot_of("6.12", EMPTY._replace(initrd=none)), "early_reserve_initrd")) == []


@pytest.mark.parametrize("version", ["3.13", "6.12"])
@pytest.mark.parametrize(
    ("mapped", "moved"),
    [
        ([(0, 1024)], False),
        ([(0, 768)], False),
        ([(0, 767)], True),
        ([(512, 768)], False),
        ([(513, 768)], True),
        # Ranges that touch are one; a hole between them is not mapped.
        ([(0, 600), (600, 800)], False),
        ([(0, 600), (601, 800)], True),
    ],
)
def test_an_initrd_moves_unless_one_range_maps_it(version: str, mapped: list[tuple[int, int]], moved: bool) -> None:
    """Pages 512 to 767, the last one in part."""
    subject = EMPTY._replace(initrd=Initrd(512 * PAGE_SIZE, 256 * PAGE_SIZE - 100))
    boot = boot_of(version, subject, (PAGE_SIZE, 4 * MIB), (GIB, GIB + 64 * MIB))
    for part in mapped:
        boot.direct_map.mapped.add(*part)
    ran(boot, "early_reserve_initrd", "reserve_initrd")
    first = [("reserve", 512 * PAGE_SIZE, 768 * PAGE_SIZE)]
    new = GIB + 63 * MIB
    after = [("reserve", new, new + MIB), ("free", 512 * PAGE_SIZE, 768 * PAGE_SIZE)]
    assert changes(boot) == first + after * moved
    lines = ["RAMDISK: [mem 0x00200000-0x002fffff]"]
    if moved:
        place = f"[mem {new:#010x}-{new + MIB - 101:#010x}]"
        lines += [f"Allocated new RAMDISK: {place}", f"Move RAMDISK from [mem 0x00200000-0x002fff9b] to {place}"]
        assert boot.initrd == (new, new + MIB)
    assert told(boot) == lines


@pytest.mark.parametrize(("version", "size", "dies"), [("3.13", 512, True), ("3.13", 511, False), ("5.10", 512, False)])
def test_an_initrd_of_half_of_the_ram_that_is_mapped(version: str, size: int, dies: bool) -> None:
    """Up to 5.9; 1024 pages are mapped."""
    subject = EMPTY._replace(initrd=Initrd(PAGE_SIZE, size * PAGE_SIZE))
    boot = boot_of(version, subject, (0, 1024 * PAGE_SIZE), (GIB, 2 * GIB))
    boot.direct_map.mapped.add(0, 1024)
    boot.direct_map.max_pfn_mapped = 1024
    if not dies:
        ran(boot, "early_reserve_initrd", "reserve_initrd")
        return
    with pytest.raises(BootPanic, match=r"initrd too large to handle, disabling initrd \(2097152 needed, 2097152 av"):
        ran(boot, "early_reserve_initrd", "reserve_initrd")


def test_an_initrd_that_has_nowhere_to_go() -> None:
    subject = EMPTY._replace(initrd=Initrd(GIB, 2 * MIB))
    boot = boot_of("6.12", subject, (PAGE_SIZE, 2 * MIB), (GIB, 2 * GIB))
    boot.direct_map.mapped.add(0, 512)
    boot.direct_map.max_pfn_mapped = 512
    with pytest.raises(BootPanic, match="Cannot find place for new RAMDISK of size 2097152"):
        ran(boot, "early_reserve_initrd", "reserve_initrd")


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("reserve_mem=1M:4096:one", [("one", MIB, 4096)]),
        ("reserve_mem=1M:0:one", [("one", MIB, 64)]),
        ("reserve_mem=1M:65:one", [("one", MIB, 65)]),
        ("reserve_mem=4096:8:a reserve_mem=8192:4096:a", [("a", 4096, 64)]),
        ("reserve_mem=4096:8:a reserve_mem=8192:4096:b", [("a", 4096, 64), ("b", 8192, 4096)]),
        ("reserve_mem=0:4096:one", []),
        ("reserve_mem=1M reserve_mem=1M:4096:one", [("one", MIB, 4096)]),
        ("reserve_mem=1M:64:a reserve_mem=1M:64:a reserve_mem=1M:64:b", [("a", MIB, 64), ("b", MIB, 64)]),
        ("reserve_mem=1M", []),
        ("reserve_mem=1M:4096", []),
        ("reserve_mem=1M,4096:one", []),
        ("reserve_mem=1M:4096,one", []),
        ("reserve_mem=1M:4096:", []),
        ("reserve_mem=1M:4096:fifteen-letters", [("fifteen-letters", MIB, 4096)]),
        ("reserve_mem=1M:4096:sixteen--letters", []),
        ("reserve_mem=64G:4096:one reserve_mem=1M:4096:one", [("one", MIB, 4096)]),
        (" ".join(f"reserve_mem=4096:4096:n{n}" for n in range(10)), [(f"n{n}", 4096, 4096) for n in range(8)]),
    ],
)
def test_memory_that_keeps_its_name(words: str, names: list[tuple[str, int, int]]) -> None:
    """Documentation/admin-guide/kernel-parameters.txt; eight of them at most, with names of up to 15 letters."""
    boot = ran(boot_of("6.12", EMPTY._replace(cmdline=words)), "reserve_mem")
    taken = [event for event in boot.recorder.events if getattr(event, "op", "") == "reserve"]
    assert [(event.owner.detail, event.end - event.start, event.request.align) for event in taken] == names  # type: ignore[union-attr]


# -- the kernel's own --------------------------------------------------------------------------------------------------


def test_the_image_and_what_was_taken_from_the_brk() -> None:
    facts = {"image.kernel_reserve_end": 0x2800000, "image.brk_start": 0x2900000}
    boot = boot_of("6.12", EMPTY, facts=facts)
    start = boot.params.kernel_start
    ran(boot, "reserve_kernel_image", "reserve_brk")
    assert changes(boot) == [("reserve", start, start + 0x2800000)]
    boot.brk_end += 1
    ran(boot, "reserve_brk")
    assert changes(boot, Purpose.BRK) == [("reserve", start + 0x2900000, start + 0x2900001)]


@pytest.mark.parametrize(
    ("version", "first_megabyte"),
    [
        ("3.13", []),
        ("5.10", []),
        ("5.12", []),
        ("6.1", [("reserve", 0, MIB)]),
        ("7.1", [("reserve", 0, MIB)]),
        ("7.2", [("reserve", 0, MIB)]),
    ],
)
def test_the_trampoline_and_the_first_megabyte(version: str, first_megabyte: list[tuple[str, int, int]]) -> None:
    facts = {"image.real_mode_size": 0x7000}
    boot = boot_of(version, EMPTY, (PAGE_SIZE, 0x9F000), (MIB, GIB), facts=facts)
    ran(boot, "reserve_real_mode")
    place = 0x98000
    assert changes(boot, Purpose.REAL_MODE) == [("reserve", place, place + 0x7000)]
    assert changes(boot, Purpose.FIRST_MEGABYTE) == first_megabyte
    full = boot_of(version, EMPTY, (MIB, GIB), facts=facts)
    if version == "3.13":
        with pytest.raises(BootPanic, match="Cannot allocate trampoline"):
            ran(full, "reserve_real_mode")
        return
    text = "No sub-1M memory is available for the trampoline"
    if version == "7.2":
        text = "No memory below 0x0000000000100000 for the real-mode trampoline"
    assert warned(ran(full, "reserve_real_mode")) == [text]
    assert changes(full) == first_megabyte


@pytest.mark.parametrize(("version", "kept"), [("5.4.0", False), ("5.10", True), ("6.1", False)])
def test_a_crash_kernel_keeps_the_first_megabyte_of_its_own(version: str, kept: bool) -> None:
    """crash_reserve_low_1M came with 5.5; since 5.13 that megabyte is reserved anyway."""
    low = (PAGE_SIZE, 0x9F000), (MIB, GIB)
    boot = ran(boot_of(version, EMPTY._replace(cmdline="crashkernel=64M"), *low), "reserve_real_mode")
    assert changes(boot, Purpose.CRASH_LOW_MEMORY) == [("reserve", 0, MIB)] * kept
    assert changes(ran(boot_of(version, EMPTY, *low), "reserve_real_mode"), Purpose.CRASH_LOW_MEMORY) == []
    full = boot_of(version, EMPTY._replace(cmdline="crashkernel=64M"), (MIB, GIB))
    assert changes(ran(full, "reserve_real_mode"), Purpose.CRASH_LOW_MEMORY) == []


def test_pages_that_sandy_bridge_graphics_can_t_reach() -> None:
    subject = EMPTY._replace(cpus=Cpus(sandy_bridge_graphics=True))
    pages = [("reserve", page, page + PAGE_SIZE) for page in (0x20050000, 0x20110000, 0x20130000, 0x20138000)]
    pages.append(("reserve", 0x40004000, 0x40005000))
    assert changes(ran(boot_of("5.10", subject), "trim_snb_memory")) == [("reserve", 0, MIB), *pages]
    assert changes(ran(boot_of("6.1", subject), "trim_snb_memory")) == pages
    assert changes(ran(boot_of("6.1"), "trim_snb_memory")) == []


@pytest.mark.parametrize(
    ("version", "words", "config", "sizes"),
    [
        ("6.12", "", {}, [256 * 8192, 73 * PAGE_SIZE]),
        ("6.1", "", {}, [256 * 8192]),
        ("6.12", "kfence.sample_interval=0", {}, []),
        ("6.12", "", {"config.KFENCE_SAMPLE_INTERVAL": 0}, []),
        ("6.12", "kfence.sample_interval=1", {"config.KFENCE_SAMPLE_INTERVAL": 0}, [256 * 8192, 73 * PAGE_SIZE]),
        ("6.12", "", {"config.KFENCE": False}, []),
    ],
)
def test_kfence(version: str, words: str, config: dict[str, int | bool], sizes: list[int]) -> None:
    """Two pages for each object and two more; since 6.5 also metadata (255 of 1160 bytes, in pages)."""
    facts = {"config.KFENCE": True, "config.KFENCE_NUM_OBJECTS": 255, "config.KFENCE_SAMPLE_INTERVAL": 100}
    known = {"struct.kfence_metadata": 1160} if version == "6.12" else {}
    boot = boot_of(version, EMPTY._replace(cmdline=words), facts={**facts, **known, **config})
    ran(boot, "kfence_alloc_pool")
    assert [end - start for _, start, end in changes(boot)] == sizes
    assert all(start % PAGE_SIZE == 0 for _, start, _ in changes(boot))


# -- what hibernation must not save ------------------------------------------------------------------------------------

KINDS = (E820_RAM, 2, E820_ACPI, E820_RESERVED_KERN)


@settings(deadline=None, derandomize=True)
@given(
    st.sampled_from(("3.13", "3.18", "4.20", "5.10", "6.1", "7.1")),
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(1, 30), st.sampled_from(KINDS), st.booleans()), min_size=1, max_size=8
    ),
    st.integers(1, 100),
)
def test_regions_that_are_not_saved(version: str, parts: list[tuple[int, int, int, bool]], low: int) -> None:
    """Each region that is registered and does not begin where the last one ends is an allocation."""
    entries = []
    at = 0
    for gap, pages, kind, ragged in parts:
        at = -(-at // PAGE_SIZE) * PAGE_SIZE + gap * PAGE_SIZE
        entries.append(E820Entry(at, at + pages * PAGE_SIZE - 1024 * ragged, kind))
        at = entries[-1].end
    boot = boot_of(version, EMPTY, facts={"config.HIBERNATION": True})
    boot.e820 = E820Table(entries, 100, boot.printk)
    boot.max_pfn = at // PAGE_SIZE
    boot.max_low_pfn = min(low, boot.max_pfn)
    ran(boot, "e820__register_nosave_regions")
    registered: list[tuple[int, int]] = []

    def register(start: int, end: int) -> None:
        if start < end and registered and registered[-1][1] == start:
            registered[-1] = registered[-1][0], end
        elif start < end:
            registered.append((start, end))

    saved = (E820_RAM, E820_RESERVED_KERN)
    if version == "7.1":
        last = 0
        for start, end, kind in entries:
            if kind in saved:
                if last < start:
                    register(last // PAGE_SIZE, -(-start // PAGE_SIZE))
                last = end
        register(last // PAGE_SIZE, boot.max_pfn)
    else:
        pfn = entries[0].end // PAGE_SIZE if version == "3.13" else 0
        for start, end, kind in entries[version == "3.13" :]:
            first = -(-start // PAGE_SIZE)
            if pfn < first:
                register(pfn, first)
            pfn = end // PAGE_SIZE
            if kind not in saved:
                register(first, pfn)
            if pfn >= (boot.max_low_pfn if version in ("3.13", "3.18") else boot.max_pfn):
                break
    assert len(changes(boot)) == len(registered)
    size = boot.kernel.fact("struct.nosave_region")
    assert {end - start for _, start, end in changes(boot)} <= {size}


def test_without_hibernation_nothing_is_noted() -> None:
    boot = boot_of("6.12", EMPTY, facts={"config.HIBERNATION": False})
    assert changes(ran(boot, "e820__register_nosave_regions")) == []


# -- CPUs --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "clocks"), [("3.13", [0]), ("4.14", [0]), ("4.17", [PAGE_SIZE, 0])])
@pytest.mark.parametrize(("most", "size"), [(64, PAGE_SIZE), (65, 2 * PAGE_SIZE), (8192, 512 * KIB)])
def test_the_guest_s_clocks(version: str, clocks: list[int], most: int, size: int) -> None:
    """64 bytes for each CPU that there can be; the wall clock has a page of its own from 4.15 to 4.18."""
    guest = EMPTY._replace(hypervisor="kvm")
    facts = {"config.KVM_GUEST": True, "config.NR_CPUS": most}
    boot = ran(boot_of(version, guest, facts=facts), "kvmclock_init")
    assert [end - start for _, start, end in changes(boot, Purpose.KVM_CLOCK)] == [clock or size for clock in clocks]
    for other in (EMPTY, guest._replace(cmdline="no-kvmclock")):
        assert changes(ran(boot_of(version, other, facts=facts), "kvmclock_init")) == []
    assert changes(ran(boot_of(version, guest, facts={"config.KVM_GUEST": False}), "kvmclock_init")) == []


@pytest.mark.parametrize(("cpus", "size"), [(1, 8), (64, 8), (65, 16), (128, 16), (129, 24)])
@pytest.mark.parametrize(("version", "more"), [("5.10", 4), ("6.12", 1)])
def test_masks_of_cpus(version: str, more: int, cpus: int, size: int) -> None:
    """One for each possible node and some more, each a bit for each CPU in words of eight bytes."""
    subject = EMPTY._replace(cpus=Cpus(possible=cpus, present=1))
    boot = boot_of(version, subject, (MIB, GIB, 0), (GIB, 2 * GIB, 2), facts={"config.CPUMASK_OFFSTACK": True})
    ran(boot, "alloc_bootmem_cpumasks")
    assert [end - start for _, start, end in changes(boot)] == [size] * (3 + more)
    off = boot_of(version, subject, facts={"config.CPUMASK_OFFSTACK": False})
    assert changes(ran(off, "alloc_bootmem_cpumasks")) == []


@pytest.mark.parametrize(
    ("cmdline", "lazily", "sizes"),
    [("", True, [832, 12, 12, 832]), ("eagerfpu=off", True, [832, 12, 12]), ("", False, [832, 12, 12])],
)
def test_the_state_of_the_extended_registers(cmdline: str, lazily: bool, sizes: list[int]) -> None:
    subject = Machine((), cmdline=cmdline, cpus=Cpus(xsave_size=832, xsave_features=3, xsaveopt=lazily))
    boot = ran(boot_of("3.13", subject), "xsave_init")
    assert [end - start for _, start, end in changes(boot)] == sizes
    assert changes(ran(boot_of("3.13"), "xsave_init")) == []


@pytest.mark.parametrize("intel", [True, False])
@pytest.mark.parametrize("version", ["5.10", "6.12"])
def test_entry_areas_at_the_edges_of_their_tables(version: str, intel: bool) -> None:
    """A page for the IDT, then the areas; on others than Intel's CPUs the last one ends 40 pages earlier."""
    for spare in (-PAGE_SIZE, 0, PAGE_SIZE):
        edge = 4 * MIB + spare
        area = edge - PAGE_SIZE + (0 if intel else 40 * PAGE_SIZE)
        subject = EMPTY._replace(cpus=Cpus(intel=intel))
        boot = ran(boot_of(version, subject, facts={"struct.cpu_entry_area": area}), "setup_cpu_entry_areas")
        assert len(changes(boot, Purpose.CPU_ENTRY_TABLES)) == 1 + 1 + (3 if spare > 0 else 2)
    many = EMPTY._replace(cpus=Cpus(possible=64, intel=True))
    large = boot_of(version, many, facts={"struct.cpu_entry_area": GIB // 64})
    assert len(changes(ran(large, "setup_cpu_entry_areas"))) == 1 + 2 + 513


def test_tables_for_which_no_page_is_left() -> None:
    for version, name in (("6.12", "setup_cpu_entry_areas"), ("3.13", "map_vsyscall")):
        full = boot_of(version, EMPTY, (MIB, GIB), reserved=((MIB, GIB),))
        with pytest.raises(BootPanic, match="set_pte_phys: cannot allocate page data"):
            ran(full, name)


@pytest.mark.parametrize(("version", "kept"), [("6.12", False), ("6.18", True)])
def test_what_is_for_the_kernel_s_own_use_is_marked_so(version: str, kept: bool) -> None:
    """MEMBLOCK_RSRV_KERN, by which the areas of a hand-over are sized: since 6.16, and not for what firmware has."""
    nodes = (SetupData(0x100000, 0xFF0), SetupData(0x300000, 0xFF0, target=Extent(0x400000, 0x1000)))
    subject = EMPTY._replace(
        setup_data=nodes, initrd=Initrd(GIB, 0x3000), bios=Bios(mp_table=MpTable(0xF5A90, 0xF5AA0, 16))
    )
    boot = boot_of(version, subject, facts={"image.kernel_reserve_end": 0x2000000, "image.brk_start": 0x2800000})
    boot.brk_end += 0x5000
    steps = ("memblock_x86_reserve_range_setup_data", "early_reserve_initrd", "reserve_kernel_image", "reserve_brk")
    ran(boot, *steps, "find_smp_config")
    assert len(changes(boot)) == 8
    size = 0x3000 + 0x3000 + 0x2000000 + 0x5000
    assert boot.memblock.reserved_kern_size(1 << 64, None) == size * kept
