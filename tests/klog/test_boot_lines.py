"""What single lines of a boot say, whole and damaged: a damaged one says nothing, and takes nothing back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from memplan.klog.boot import BootLines
from memplan.klog.layout import Line
from memplan.machine.model import E820Entry


def boot_of(*texts: str) -> BootLines:
    boot = BootLines()
    boot.take(Line(1, "Linux version 6.1.0 (a@b) #1"))
    for number, text in enumerate(texts, 2):
        boot.take(Line(number, text, number))
    return boot


#: A line, the same damaged, and what of the boot it tells.
LINES: list[tuple[str, str, Callable[[BootLines], object]]] = [
    (
        "reserve setup_data: [mem 0x0000000000001000-0x0000000000001fff] usable",
        "reserve setup_data: [mem 0x00000000000010",
        lambda boot: boot.setup_data_map,
    ),
    (
        "user: [mem 0x0000000000000000-0x000000000009ffff] usable",
        "user: [mem 0x00000000000",
        lambda boot: boot.maps["user"],
    ),
    (
        "BIOS-e820: [mem 0x0000000000000000-0x000000000009ffff] usable",
        "BIOS-e820: [mem 0x000000000000000",
        lambda boot: boot.maps["BIOS-e820"],
    ),
    ("found SMP MP-table at [mem 0x000f5a50-0x000f5a5f]", "found SMP MP-table at [mem", lambda boot: boot.mp_table),
    ("last_pfn = 0x80000 max_arch_pfn = 0x400000000", "last_pfn = 0x", lambda boot: boot.last_pfns),
    (
        "initrd too large to handle, disabling initrd (4096 needed, 1 available)",
        "initrd too large to handle, disabling initrd",
        lambda boot: boot.initrd_size,
    ),
    ("RAMDISK: [mem 0x10000000-0x10ffffff]", "RAMDISK: [mem 0x1000", lambda boot: boot.initrd),
    (
        "x86/fpu: Enabled xstate features 0x7, context size is 832 bytes, using 'standard' format.",
        "x86/fpu: Enabled xstate features 0x",
        lambda boot: boot.xsave,
    ),
    ("iBFT found at 0x9f000.", "iBFT found at ", lambda boot: boot.ibft),
    (
        "Faking node 1 at [mem 0x0000000040000000-0x000000007fffffff] (1024MB)",
        "Faking node 1 at [mem ",
        lambda boot: boot.fake_nodes,
    ),
    ("smpboot: Allowing 4 CPUs, 2 hotplug CPUs", "smpboot: Allowing 4 CPUs, 9 hotplug CPUs", lambda boot: boot.allowed),
    (
        "esrt: Reserving ESRT space from 0x0000000010000000 to 0x0000000010000080.",
        "esrt: Reserving ESRT space from 0x0000000010000000",
        lambda boot: boot.esrt,
    ),
    (
        "efi: mem00: [Conventional Memory|   |  |  |  |  |  |  |  |  |   |WB|WT|WC|UC] "
        "range=[0x0000000000100000-0x00000000007fffff] (7MB)",
        "efi: mem00: [Conventional Memory|   |  |  |",
        lambda boot: boot.efi_ranges,
    ),
    (
        "efi: Remove mem50: MMIO range=[0xe0000000-0xefffffff] (256MB) from e820 map",
        "efi: Remove mem50: MMIO range=[0xe0000000",
        lambda boot: boot.efi_mmio,
    ),
    ("cma: Reserved 64 MiB at 0x0000000038000000", "cma: Reserved 64 MiB at", lambda boot: boot.cma),
    ("setup_percpu: NR_CPUS:8192 nr_cpumask_bits:4", "setup_percpu: NR_CPUS", lambda boot: boot.config_nr_cpus),
    ("BRK [0x36a01000, 0x36a01fff] PGTABLE", "BRK [0x36a01000, ", lambda boot: boot.brk_page),
    ("01000000-01ffffff : Kernel code", "00000000-00000000 : Kernel code", lambda boot: boot.kernel_code),
    (
        "ACPI: FACP 0x000000007FFE0000 000000F4 (v03 BOCHS )",
        "ACPI: FACP 0x000000007FFE0",
        lambda boot: [own[:4] for own in boot.tables],
    ),
    (
        "NODE_DATA(1) allocated [mem 0x7ffd4000-0x7fffefff]",
        "NODE_DATA(1) allocated [mem 0x7ffd4000",
        lambda boot: [own[:3] for own in boot.node_data],
    ),
]


@pytest.mark.parametrize(("whole", "damaged", "told"), LINES, ids=lambda own: own[:24] if isinstance(own, str) else "")
def test_a_line_that_is_cut_off_tells_nothing(whole: str, damaged: str, told: Callable[[BootLines], object]) -> None:
    nothing = told(boot_of())
    if damaged.startswith("cma:"):
        damaged = "cma: Reserved "
    assert told(boot_of(damaged)) == nothing
    assert told(boot_of(whole)) != nothing
    assert told(boot_of(whole, damaged)) == told(boot_of(whole)) == told(boot_of(damaged, whole))


def test_a_map_that_is_printed_again_counts_once() -> None:
    lines = [
        "user: [mem 0x0000000000000000-0x000000000009ffff] usable",
        "user: [mem 0x0000000000100000-0x000000007fffffff] usable",
    ]
    boot = boot_of(*lines, *(line.replace("7fffffff", "3fffffff") for line in lines))
    assert boot.maps["user"] == [E820Entry(0, 0xA0000, 1), E820Entry(0x100000, 0x80000000, 1)]


def test_options_that_go_on_in_the_next_line() -> None:
    boot = boot_of(
        "Command line: a", "Kernel command line: a b \\", "Kernel command line: c \\", "Kernel command line: d"
    )
    assert boot.cmdline == "a b c d"
    assert boot_of("Kernel command line: a b", "Kernel command line: other").cmdline == "a b"


def test_ranges_that_an_update_takes_from_ram() -> None:
    warning = "WARNING: BIOS bug: CPU MTRRs don't cover all of memory, losing 256MB of RAM."
    update = "e820: update [mem 0x70000000-0x7fffffff] usable ==> reserved"
    assert boot_of(update, warning).trimmed == [(0x70000000, 0x80000000)]
    assert boot_of("e820: update [mem 0x7000", warning).trimmed == []
    assert boot_of(update, "something else", warning).trimmed == []


def test_numbers_that_belong_to_no_node() -> None:
    rest = " #2 #3"
    assert boot_of(".... node  #1, CPUs:    #1", rest).cpu_nodes == {1: 1, 2: 1, 3: 1}
    boot = boot_of(".... node  #2000, CPUs:    #1", rest)
    assert (boot.cpu_nodes, boot.impossible[0][1]) == ({}, "there is no node 2000: a kernel has 1024 at most")
    sibling = "sched: CPU #1's smt-sibling CPU #0 is not on the same node! [node: {} != 0]. Ignoring dependency."
    assert boot_of(sibling.format(1)).cpu_nodes == {0: 0, 1: 1}
    assert boot_of(sibling.format(5000)).cpu_nodes == {}


def test_an_efi_type_that_is_none_is_kept_with_its_line() -> None:
    boot = boot_of("efi: mem00: [No Such Memory|   |WB] range=[0x0000000000100000-0x00000000007fffff] (7MB)")
    assert (boot.efi_ranges, boot.unknown_efi_types) == ([], [(2, "No Such Memory")])
    boot = boot_of("efi: mem00: type=7, attr=0xf, range=[0x0000000000100000-0x0000000000800000) (7MB)")
    assert [(own.start, own.end, own.type, own.attribute) for own in boot.efi_ranges] == [(0x100000, 0x800000, 7, 0xF)]
    assert boot_of("efi: mem00: type=7, attr=0xf, range=[0x0000000000800000-0x0000000000100000) (7MB)").efi_ranges == []


def test_a_table_out_of_the_initrd_that_takes_anothers_place() -> None:
    table = "ACPI: FACP 0x000000007FFE0000 000000F4 (v03 BOCHS )"
    boot = boot_of("ACPI: Table Upgrade: override [FACP-BOCHS -]", table)
    assert [own.upgrade for own in boot.tables] == [False]
    boot = boot_of("ACPI: Table Upgrade: install [FACP-BOCHS -]", table)
    assert ([own.upgrade for own in boot.tables], boot.installed) == ([True], ["FACP"])
    boot = boot_of("ACPI: FACP 0x000000007FFE0000 Physical table override, new table: 0x000000003FFE0000", table)
    assert [(own.address, own.length, own.upgrade) for own in boot.tables] == [
        (0x7FFE0000, 0, False),
        (0x7FFE0000, 0xF4, True),
    ]
    assert boot_of("ACPI: Override [", table).installed == []
    assert boot_of("ACPI: FACP 0xFFFF888000000000 000000F4 (v03 BOCHS )").tables == []
