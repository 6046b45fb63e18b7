"""The reader of boot logs, against real boots of machines that are known."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memplan.errors import InputError
from memplan.firmware import dmesg
from memplan.firmware.source import Source, SourceFacts
from memplan.kernel.load import find_kernel
from memplan.machine.model import (
    E820_NAMES,
    AcpiTable,
    CpuAffinity,
    EfiRange,
    Initrd,
    MemoryAffinity,
    SetupData,
    Srat,
    TableUpgrade,
)
from tests.firmware.logs import NAMES, WAYS, case, ordinary, text

MIB = 1 << 20


def read(log: str | bytes, tmp_path: Path) -> SourceFacts:
    data = log if isinstance(log, bytes) else log.encode()
    path = tmp_path / "boot.log"
    path.write_bytes(data)
    assert dmesg.recognises(data[: 64 * 1024])
    return dmesg.read(Source(path, "boot.log", data[: 64 * 1024]))


def values(found: SourceFacts) -> dict[str, object]:
    return {path: fact.value for path, fact in found.facts.items()}


def told_of(found: SourceFacts) -> list[str]:
    """What the user is told if this log is the only source."""
    return [*found.notes, *found.lacking.values()]


def told_nothing(name: str) -> bool:
    """Whether the kernel of that boot never looked at the SRAT."""
    return any(word in case(name).get("append", "") for word in ("numa=off", "acpi=off")) or name == "ovmf-4g-3.13"


#: What Linux 7 calls types of memory in other words.
WORDS_OF_7 = {"System RAM": "usable", "device reserved": "reserved"}
#: Kernels that don't tell of the SRAT's CPUs.
WITHOUT_CPU_LINES = ("-6.12", "-6.18", "-7.1", "-7.2", "-7.3")


@pytest.mark.parametrize("name", NAMES)
def test_the_map_is_firmwares(name: str, tmp_path: Path) -> None:
    printed = re.findall(r"BIOS-e820: \[mem (0x\w+)-(0x\w+)\] +(.*)", text(name))
    printed = [(start, end, WORDS_OF_7.get(word, word)) for start, end, word in printed]
    told = values(read(text(name), tmp_path))["e820"]
    assert isinstance(told, tuple)
    assert [(f"{e.start:#018x}", f"{e.end - 1:#018x}", E820_NAMES[e.type]) for e in told] == printed


@pytest.mark.parametrize("name", [n for n in NAMES if "srat" in case(n) and not told_nothing(n)])
def test_the_srat_is_the_one_that_was_given(name: str, tmp_path: Path) -> None:
    given = [entry for entry in case(name)["srat"] if entry.get("enabled", True)]
    found = values(read(text(name), tmp_path))
    srat = found["srat"]
    assert isinstance(srat, Srat)
    assert srat.memory == tuple(
        MemoryAffinity(e["node"], e["base"], e["length"], hotplug=bool(e.get("hotplug"))) for e in given if "base" in e
    )
    cpus = [(e["cpu"], e["node"]) for e in given if "cpu" in e]
    if not name.endswith(WITHOUT_CPU_LINES):
        assert srat.cpus == tuple(CpuAffinity(cpu, node) for cpu, node in cpus)
    elif "no nodes coverage" in text(name):
        # The kernel dropped the SRAT, so every CPU came up on the one node that was left.
        assert set(found.get("cpus.nodes", (0,))) == {0}  # type: ignore[call-overload]
    elif cpus and "cpus.nodes" in found:
        assert found["cpus.nodes"] == tuple(node for _, node in cpus)
    upgrades = found["acpi.upgrades"]
    assert isinstance(upgrades, tuple)
    # Without nodes QEMU's firmware has no SRAT.
    assert [(u.signature, u.replaces) for u in upgrades] == [("SRAT", "nodes" in case(name))]


@pytest.mark.parametrize("name", NAMES)
def test_the_cpus_are_qemus(name: str, tmp_path: Path) -> None:
    found = values(read(text(name), tmp_path))
    told = case(name)
    limited = any(option in told.get("append", "") for option in ("acpi=off", "nolapic", "nr_cpus=", "possible_cpus="))
    if not limited and name != "ovmf-4g-3.13":
        # QEMU's firmware does not offer the CPUs up to maxcpus=.
        assert found["cpus.possible"] == int(str(told.get("smp", 2)).partition(",")[0])
    model = told.get("cpu", "max")
    if "cpus.gbpages" in found:
        assert found["cpus.gbpages"] is ("-pdpe1gb" not in model)
    else:
        # The build of 4.19 maps with 1 GiB pages on demand only.
        assert "debug_pagealloc" in told["append"] or name.endswith("-4.19")
    assert found["cpus.la57"] is ("-la57" not in model and not name.endswith("-3.13"))
    if "cpus.intel" in found:
        assert found["cpus.intel"] is False, "the max model is AMD's"
    else:
        assert "ovmf" in name, "OVMF keeps the HyperTransport range out of its map"


@pytest.mark.parametrize("name", [n for n in NAMES if "kaslr" in n or "ovmf" in n])
def test_the_image_lies_in_one_reserved_region_that_it_ends(name: str, tmp_path: Path) -> None:
    place = values(read(text(name), tmp_path))["kernel.load_address"]
    assert isinstance(place, int)
    first_dump = text(name).split("MEMBLOCK configuration:")[1]
    regions = [
        (int(start, 16), int(end, 16))
        for start, end in re.findall(r" reserved\[0x\w+\]\s+\[(0x\w+)-(0x\w+)\]", first_dump)
    ]
    assert [r for r in regions if r[0] == place], "the image is the first thing in a reserved region"
    if code := re.search(r"([0-9a-f]+)-[0-9a-f]+ : Kernel code", text(name)):
        assert place == int(code[1], 16)


@pytest.mark.parametrize("name", [n for n in NAMES if re.search(r"^(plain-8g|kaslr-8g|ovmf-hot1|initrd)\S*-\d", n)])
def test_an_image_of_a_build_that_is_not_known(name: str, tmp_path: Path) -> None:
    """Its place and its size, of a log with memblock=debug; most builds that memplan knows have others."""
    known = values(read(text(name), tmp_path))
    found = values(read(re.sub(r"Linux version \S+", r"\g<0>-own", text(name), count=1), tmp_path))
    assert found["kernel.load_address"] == known["kernel.load_address"]
    told = found.get("kernel.overrides", {})
    assert isinstance(told, dict)
    facts = {**find_kernel(str(found["kernel.build"])).facts, **told}
    kernel = find_kernel(str(known["kernel.build"]))
    for fact in ("image.brk_start", "image.kernel_reserve_end"):
        assert facts[fact] == kernel.facts[fact]


@pytest.mark.parametrize("name", NAMES)
def test_an_ordinary_log_tells_the_same(name: str, tmp_path: Path) -> None:
    with_debug = values(read(text(name), tmp_path))
    without = values(read(ordinary(text(name)), tmp_path))
    known_by_debug_only = {
        "kernel.load_address",
        "bios.mp_table",
        "initrd",
        "efi.memmap",
        "efi.memattr",
        "efi.descriptors",
        "bios.dmi_length",
    }
    assert {k: v for k, v in with_debug.items() if k not in known_by_debug_only} == {
        k: v for k, v in without.items() if k not in known_by_debug_only
    }


@pytest.mark.parametrize("name", NAMES)
def test_nothing_that_an_allocator_decided_is_taken(name: str, tmp_path: Path) -> None:
    firmwares = ("setup_arch", "smp_scan_config", "efi_", "reserve_bios", "reserve_ebda", "trim_snb")
    head, mark, rest = text(name).partition("MEMBLOCK configuration:")
    dump_end = rest.index("memblock_") if "memblock_" in rest else 0

    def moved(line: str) -> str:
        if re.search(r"memblock_|NODE_DATA|percpu|\[mem .*\] page|Zone", line) and not any(
            f in line for f in firmwares
        ):
            return re.sub(r"0x[0-9a-f]+", lambda found: f"{int(found[0], 16) + 5 * MIB:#x}", line)
        return line

    changed = head + mark + rest[:dump_end] + "\n".join(map(moved, rest[dump_end:].split("\n")))
    assert changed != text(name)
    assert values(read(changed, tmp_path)) == values(read(text(name), tmp_path))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["hot1-top-3.13", "kaslr-8g-5.10", "ovmf-hot1-6.1", "smp-16-6.12"])
def test_every_way_to_get_a_log_tells_the_same(name: str, way: str, tmp_path: Path) -> None:
    assert values(read(WAYS[way](text(name)), tmp_path)) == values(read(text(name), tmp_path))


def test_tables_have_firmwares_places(tmp_path: Path) -> None:
    found = values(read(text("hot1-top-6.12"), tmp_path))
    assert found["acpi.rsdp"] == 0xF59B0
    assert found["acpi.tables"] == (
        AcpiTable("FACP", 0xBFFE1990, 0x74),
        AcpiTable("DSDT", 0xBFFE0040, 0x1950),
        AcpiTable("FACS", 0xBFFE0000, 0x40),
        AcpiTable("APIC", 0xBFFE1A04, 0x80),
        AcpiTable("HPET", 0xBFFE1A84, 0x38),
        AcpiTable("SRAT", 0xBFFE1ABC, 0),
        AcpiTable("WAET", 0xBFFE1BAC, 0x28),
    )
    assert found["acpi.upgrades"] == (TableUpgrade("SRAT", 0xF0),)


def test_nodes_come_from_the_bring_up_where_the_srat_is_silent(tmp_path: Path) -> None:
    found = values(read(text("smp-16-6.12"), tmp_path))
    assert found["cpus.nodes"] == (0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3)


def test_made_up_nodes_are_not_taken(tmp_path: Path) -> None:
    assert "cpus.nodes" not in read(text("numa-fake-4-6.12"), tmp_path).facts


def test_a_moved_initrd_is_where_the_loader_put_it(tmp_path: Path) -> None:
    log = text("initrd-relocated-3.13")
    assert values(read(log, tmp_path))["initrd"] == Initrd(0xBCFDF000, 0x3000200)


def test_xsave_of_3_13(tmp_path: Path) -> None:
    found = values(read(text("plain-4g-3.13"), tmp_path))
    assert (found["cpus.xsave_size"], found["cpus.xsave_features"]) == (0x340, 3)


def test_what_3_13_would_save_on_the_cpu_of_a_later_kernels_log(tmp_path: Path) -> None:
    found = values(read(text("smp-16-6.12"), tmp_path))
    assert (found["cpus.xsave_size"], found["cpus.xsave_features"]) == (0x340, 3)


def test_a_console_that_prints_the_first_lines_again(tmp_path: Path) -> None:
    log = text("smp-16-6.12")
    handover = log.index("Console: colour")
    found = read(log[:handover] + "\n" + log, tmp_path)
    assert values(found) == values(read(log, tmp_path))
    assert not any("another boot" in note for note in told_of(found))
    cut = read(log[:handover] + "\n" + log[: log.index("ACPI: RSDP")], tmp_path)
    assert "acpi.tables" in cut.facts


#: A UEFI machine's lines, as 6.1 prints them with efi=debug.
_HEAD = """Linux version 6.1.0 (a@b) #1 SMP
Command line: quiet
BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable
BIOS-e820: [mem 0x0000000000100000-0x000000007fffffff] usable
"""
UEFI = (Path(__file__).parent / "data" / "uefi-6.1.log").read_text()


def test_setup_data_cuts_the_map_that_is_printed_for_it(tmp_path: Path) -> None:
    assert values(read(UEFI, tmp_path))["setup_data"] == (
        SetupData(0x6F2B6018, 0x6F2C5058 - 0x6F2B6018 - 16),
        SetupData(0x6F2C6018, 0x6F2D1058 - 0x6F2C6018 - 16),
    )


def test_efi_lines(tmp_path: Path) -> None:
    found = read(UEFI, tmp_path)
    told = values(found)
    assert told["efi.secure"] is True
    assert told["efi.descriptors"] == (
        EfiRange(0, 0x1000, 3, 0xF),
        EfiRange(0x1000, 0x9F000, 7, 1 << 16 | 0xF),
        EfiRange(0x7901F000, 0x79BFF000, 6, 1 << 63 | 1 << 14 | 0xF),
        EfiRange(0xE0000000, 0xF0000000, 11, 1 << 63 | 1),
    )
    assert told["efi.reserved"] == ((0x6FA77F98, 0x38, "ESRT"),)
    assert any("memory attributes table's length" in note for note in told_of(found))


def test_the_older_layout_of_efi_lines(tmp_path: Path) -> None:
    old = re.sub(
        r"efi: mem0(\d): .*? range=\[(0x\w+)-(0x\w+)\]",
        lambda m: (
            f"efi: mem0{m[1]}: type={[3, 7, 6, 11][int(m[1])]}, attr=0xf, range=[{m[2]}-{int(m[3], 16) + 1:#018x})"
        ),
        UEFI,
    )
    told = values(read(old, tmp_path))["efi.descriptors"]
    new = values(read(UEFI, tmp_path))["efi.descriptors"]
    assert isinstance(told, tuple)
    assert isinstance(new, tuple)
    assert told == tuple(r._replace(attribute=0xF) for r in new)


def test_types_of_memory(tmp_path: Path) -> None:
    told = values(read(UEFI, tmp_path))["e820"]
    assert isinstance(told, tuple)
    assert [e.type for e in told] == [1, 2, 1, 3, 4, 1, 7, 0xEFFFFFFF, 20]


def test_facts_of_a_bigger_machine(tmp_path: Path) -> None:
    told = values(read(UEFI, tmp_path))
    assert (told["cpus.possible"], told["cpus.present"]) == (32, 16)
    assert told["acpi.ioapics"] == 2
    assert told["hypervisor"] == "kvm"
    assert told["acpi.slit"] == ((10, 20), (20, 10))
    assert told["acpi.upgrades"] == (TableUpgrade("SSDT", 0x50, replaces=False),)
    tables = told["acpi.tables"]
    assert isinstance(tables, tuple)
    assert [t.signature for t in tables] == ["FACP", "SSDT", "SLIT"]
    srat = told["srat"]
    assert isinstance(srat, Srat)
    assert srat.memory[1] == MemoryAffinity(4, 0x100000000, 0x780000000, hotplug=True, nonvolatile=True)
    assert told["cpus.la57"] is False
    assert told["kernel.randomized"] is True


def test_apic_ids_and_disabled_cpus_of_3_13(tmp_path: Path) -> None:
    log = text("plain-4g-3.13").replace(
        "ACPI: LAPIC (acpi_id[0x01] lapic_id[0x01] enabled)",
        "ACPI: LAPIC (acpi_id[0x01] lapic_id[0x82] disabled)\n"
        "[    0.000000] ACPI: X2APIC (apic_id[0x120] uid[0x02] enabled)",
    )
    log = log.replace("Allowing 2 CPUs, 0 hotplug", "Allowing 3 CPUs, 1 hotplug")
    told = values(read(log, tmp_path))
    assert told["cpus.apic_ids"] == (0, 0x120, 0x82)
    assert (told["cpus.possible"], told["cpus.present"]) == (3, 2)


def test_ram_beyond_the_mtrrs(tmp_path: Path) -> None:
    log = UEFI.replace(
        "[    0.000000] last_pfn = 0x880000 max_arch_pfn = 0x400000000\n",
        "[    0.000000] last_pfn = 0x880000 max_arch_pfn = 0x400000000\n"
        "[    0.000000] WARNING: BIOS bug: CPU MTRRs don't cover all of memory, losing 1024MB of RAM.\n"
        "[    0.000000] last_pfn = 0x840000 max_arch_pfn = 0x400000000\n"
        "[    0.000000] last_pfn = 0x78b7f max_arch_pfn = 0x400000000\n",
    )
    assert values(read(log, tmp_path))["mtrr_limit"] == 0x840000000


@pytest.mark.parametrize("name", ["hot1-top-3.13", "hot1-blocked-by-acpi-5.10", "hot1-top-6.12", "ovmf-hot1-6.1"])
def test_a_log_that_begins_late_tells_by_the_kernels_own_map(name: str, tmp_path: Path) -> None:
    log = ordinary(text(name))
    found = read(log[log.index("RAMDISK: ") :], tmp_path)
    assert values(found)["e820"] == values(read(log, tmp_path))["e820"]
    assert any("begins too late to tell the kernel" in note for note in told_of(found))
    assert any("modified map is taken" in note for note in told_of(found))


def test_a_log_that_begins_or_ends_in_the_map_is_damaged(tmp_path: Path) -> None:
    log = ordinary(text("plain-4g-3.13"))
    cut = log.index("BIOS-e820: [mem 0x00000000bffe0000")
    ended = read(log[:cut], tmp_path)
    assert any("ends in the BIOS-e820 map" in problem.message for problem in ended.problems)
    begun = read(log[cut:], tmp_path)
    assert any("begins in the BIOS-e820 map" in problem.message for problem in begun.problems)
    assert not read(log, tmp_path).problems


@pytest.mark.parametrize("name", ["hot1-top-3.13", "smp-16-6.12", "ovmf-hot1-6.1"])
def test_no_cut_makes_it_fail(name: str, tmp_path: Path) -> None:
    log = text(name)
    start = log.index("BIOS-e820:")
    for cut in range(start + 100, min(len(log), start + 24_000), 997):
        assert "e820" in read(log[:cut], tmp_path).facts
    for cut in range(0, len(log) - 2000, 1499):
        try:
            notes = told_of(read(log[cut:], tmp_path))
        except InputError as error:
            notes = [str(error)]
        assert notes


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[mem 0x000000000009fc00-0x000000000009ffff]", "[mem 0x000000000009fc00-0x000000000008ffff]"),
        ("[mem 0x000000000009fc00-0x000000000009ffff]", "[mem 0x000000000009fc0"),
        ("0x000000000009ffff] reserved", "0x000000000009ffff] resxrved"),
    ],
)
def test_a_broken_entry_of_the_map_is_damage(old: str, new: str, tmp_path: Path) -> None:
    log = ordinary(text("plain-4g-3.13"))
    found = read(log.replace(old, new, 1), tmp_path)
    line = next(i for i, row in enumerate(log.splitlines(), 1) if old in row)
    assert [(problem.line, "BIOS-e820 line is broken" in problem.message) for problem in found.problems] == [
        (line, True)
    ]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), name=st.sampled_from(["hot1-top-3.13", "ovmf-hot1-6.1", "smp-16-6.12"]))
def test_noise_never_ends_in_anything_but_a_message(seed: int, name: str, tmp_path: Path) -> None:
    random = Random(seed)
    log = bytearray(text(name).encode())
    for _ in range(random.choice((1, 20, 300))):
        at = random.randrange(len(log))
        log[at : at + random.choice((1, 1, 40))] = bytes([random.randrange(256)])
    path = tmp_path / "noise.log"
    path.write_bytes(log)
    with suppress(InputError):
        found = dmesg.read(Source(path, "noise.log", bytes(log[: 64 * 1024])))
        entries = values(found).get("e820", ())
        assert isinstance(entries, tuple)
        assert all(entry.start < entry.end for entry in entries)


def test_the_first_boot_of_two_is_taken(tmp_path: Path) -> None:
    found = read(text("plain-4g-3.13") + text("two-nodes-6.1"), tmp_path)
    assert values(found) == values(read(text("plain-4g-3.13"), tmp_path))
    assert any("another boot begins here" in note for note in told_of(found))


def test_a_boot_without_a_map_is_passed_over(tmp_path: Path) -> None:
    log = text("two-nodes-6.1")
    found = read(log[: log.index("BIOS-provided")] + log, tmp_path)
    assert values(found)["e820"] == values(read(log, tmp_path))["e820"]
    assert any("passed over" in note for note in told_of(found))


@pytest.mark.parametrize(
    ("log", "line", "words"),
    [
        (
            "[    0.000000] Booting Linux on physical CPU 0x0000000000 [0x410fd034]\n"
            "[    0.000000] Linux version 5.10.0-28-arm64 (debian-kernel@lists.debian.org) (gcc-10) #1 SMP\n"
            "[    0.000000] Machine model: Raspberry Pi 4 Model B Rev 1.1\n"
            "[    0.000000] Kernel command line: console=ttyS0\n",
            1,
            "another architecture",
        ),
        (
            "[    0.000000] Linux version 6.1.0 (x@y) #1 SMP\n"
            "[    0.000000] OF: fdt: Ignoring memory range 0x80000000 - 0x80200000\n"
            "[    0.000000] SBI specification v1.0 detected\n",
            2,
            "another architecture",
        ),
        (
            "[    0.000000] Linux version 3.13.0 (x@y) #1 SMP\n"
            "[    0.000000] BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable\n"
            "[    0.000000] BIOS-e820: [mem 0x0000000000100000-0x00000000bffdffff] usable\n"
            "[    0.000000] 2187MB HIGHMEM available.\n",
            4,
            "32-bit",
        ),
    ],
)
def test_logs_of_other_machines_are_refused(log: str, line: int, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        read(log, tmp_path)
    assert words in str(raised.value)
    assert f"boot.log:{line}:" in str(raised.value)


def test_other_texts_and_data_are_not_logs() -> None:
    assert not dmesg.recognises(b"\0" * 4096)
    assert not dmesg.recognises(b"e820:\n- {start: 0, end: 0x1000}\n")
    assert not dmesg.recognises(bytes(range(256)) * 100)


def test_origins_name_the_line(tmp_path: Path) -> None:
    log = text("hot1-top-3.13")
    found = read(log, tmp_path)
    for path, fact in found.facts.items():
        if place := re.match(r"boot\.log:(\d+) ", fact.origin):
            line = log.splitlines()[int(place[1]) - 1]
            assert {"e820": "BIOS-e820", "cmdline": "ommand line", "initrd": "RAMDISK", "srat": "SRAT"}.get(
                path, ""
            ) in line


def test_memory_stays_bounded(tmp_path: Path) -> None:
    path = tmp_path / "huge.log"
    with path.open("wb") as file:
        file.write(text("plain-4g-3.13").encode())
        file.write(b"\n")
        file.truncate(3 << 30)
    found = dmesg.read(Source(path, "huge.log", text("plain-4g-3.13").encode()[: 64 * 1024]))
    assert values(found) == values(read(text("plain-4g-3.13"), tmp_path))


@pytest.mark.parametrize(
    ("lines", "hypervisor"),
    [
        (("Hypervisor detected: Xen HVM", "Booting paravirtualized kernel on Xen HVM"), "xen"),
        (("Hypervisor detected: Xen PV", "Booting paravirtualized kernel on Xen PV"), "xen-pv"),
        (("Hypervisor detected: Xen", "Booting paravirtualized kernel on Xen HVM"), "xen"),
        (("Hypervisor detected: Xen", "Booting paravirtualized kernel on Xen"), "xen-pv"),
        (("Booting paravirtualized kernel on Xen PVH",), "xen"),
        (("Hypervisor detected: KVM", "Booting paravirtualized kernel on KVM"), "kvm"),
        (("Booting paravirtualized kernel on bare hardware",), None),
    ],
)
def test_which_kind_of_guest_it_is(lines: tuple[str, ...], hypervisor: str | None, tmp_path: Path) -> None:
    told = values(read(f"{_HEAD}{chr(10).join(lines)}\n", tmp_path))
    assert told.get("hypervisor") == hypervisor
    assert (told.get("bios.legacy_area") is False) == (hypervisor == "xen-pv")


@pytest.mark.parametrize(
    ("line", "encryption"),
    [
        ("Memory Encryption Features active: AMD SEV SEV-ES SEV-SNP", "sev-snp"),
        ("AMD Memory Encryption Features active: SEV SEV-ES", "sev-es"),
        ("AMD Memory Encryption Features active: SEV", "sev"),
        ("AMD Secure Encrypted Virtualization (SEV) active", "sev"),
        ("AMD Secure Memory Encryption (SME) active", "sme"),
        ("Memory Encryption Features active: AMD SME", "sme"),
        ("Memory Encryption Features active: Intel TDX", "tdx"),
        ("tdx: Guest detected", "tdx"),
        ("SEV: Status: SEV SEV-ES SEV-SNP", "sev-snp"),
        ("SEV supported: 410 ASIDs", None),
        ("virt/tdx: BIOS enabled: private KeyID range [64, 128)", None),
    ],
)
def test_encryption_of_memory(line: str, encryption: str | None, tmp_path: Path) -> None:
    assert values(read(f"{_HEAD}{line}\n", tmp_path)).get("encryption") == encryption
