"""The guest that stands for a machine, QEMU's command line for it, and the initrd with its SRAT."""

import os
import shutil
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memplan import qemu
from memplan.errors import MemplanError, UsageError
from memplan.firmware.combine import import_files
from memplan.machine.load import load_machine
from memplan.machine.model import (
    E820_ACPI,
    E820_RAM,
    E820_RESERVED,
    E820_SOFT_RESERVED,
    Cpus,
    E820Entry,
    Efi,
    Initrd,
    KernelImage,
    Machine,
)
from memplan.machine.model import CpuAffinity as Cpu
from memplan.machine.model import MemoryAffinity as Memory
from memplan.machine.model import Srat as SratOf
from memplan.units import GIB, KIB, MIB

HERE = Path(__file__).parent
GUESTS = sorted((HERE / "guests").glob("*.yaml"))
EXAMPLES = sorted((HERE.parent / "examples").glob("*.yaml"))
Program = Callable[[str], Path]


def machine_of(*ram: tuple[int, int], **facts: object) -> Machine:
    return Machine(tuple(E820Entry(start, end, E820_RAM) for start, end in ram), **facts)  # type: ignore[arg-type]


#: 3 GiB below 4 GiB and 5 GiB above, as QEMU's own firmware shows it.
USUAL = ((0, 0x9FC00), (MIB, 0xBFFE0000), (4 * GIB, 9 * GIB))


# -- the guest -----------------------------------------------------------------------------------------------------


def test_a_machine_as_qemu_lays_it_out_keeps_its_srat_word_for_word() -> None:
    srat = SratOf(
        (
            Memory(0, 0, 640 * KIB),
            Memory(0, MIB, 3 * GIB - MIB),
            Memory(5, 4 * GIB, 5 * GIB, hotplug=True),
            Memory(5, 9 * GIB, 64 * GIB, hotplug=True),
            Memory(6, 2 * GIB, GIB, enabled=False),
        ),
        (Cpu(0, 0), Cpu(1, 5), Cpu(2, 9)),
    )
    guest = qemu.guest_of(machine_of(*USUAL, srat=srat, cpus=Cpus(3, 2), initrd=Initrd(0x10000000, MIB)))
    assert guest.srat == srat
    assert (guest.low, guest.high) == (3 * GIB, 5 * GIB)
    assert guest.nodes == ((3 * GIB, (0,)), (5 * GIB, (1,)), (0, (2,)))
    assert (guest.present, guest.possible) == (2, 3)
    assert guest.notes == ()


def test_the_srat_moves_with_ram_that_lies_elsewhere() -> None:
    srat = SratOf((Memory(0, 0, GIB), Memory(1, 2 * GIB, GIB, hotplug=True), Memory(1, 4 * GIB, GIB, hotplug=True)))
    machine = machine_of((0, GIB), (2 * GIB, 3 * GIB - 64 * KIB), (4 * GIB, 5 * GIB), srat=srat)
    guest = qemu.guest_of(machine._replace(initrd=Initrd(0, MIB)))
    assert guest.srat is not None
    assert guest.srat.memory == (
        Memory(0, 0, GIB),
        Memory(1, GIB, GIB, hotplug=True),
        Memory(1, 4 * GIB, GIB, hotplug=True),
    )
    assert (guest.low, guest.high) == (2 * GIB, GIB)
    (note,) = guest.notes
    assert "2G and 1G" in note


def test_what_firmware_keeps_inside_ram_is_ram_and_what_lies_in_the_hole_is_not() -> None:
    e820 = (
        E820Entry(0, 0x9F000, E820_RAM),
        E820Entry(0x9F000, MIB, E820_RESERVED),
        E820Entry(MIB, GIB, E820_RAM),
        E820Entry(GIB, GIB + 64 * MIB, E820_RESERVED),
        E820Entry(GIB + 64 * MIB, 2 * GIB - MIB, E820_RAM),
        E820Entry(2 * GIB - MIB, 2 * GIB, E820_ACPI),
        E820Entry(2 * GIB, 4 * GIB, E820_RESERVED),
        E820Entry(4 * GIB, 5 * GIB, E820_RAM),
        E820Entry(5 * GIB, 6 * GIB, E820_SOFT_RESERVED),
        E820Entry(6 * GIB, 7 * GIB, E820_RAM),
    )
    guest = qemu.guest_of(Machine(e820))
    assert (guest.low, guest.high) == (2 * GIB, 2 * GIB)


def test_ram_above_the_lower_part_that_qemu_can_have_goes_above_4_gib() -> None:
    guest = qemu.guest_of(machine_of((0, 0xF0000000)))
    assert (guest.low, guest.high) == (3584 * MIB, 256 * MIB)


@given(
    st.lists(st.tuples(st.integers(1, 2000), st.integers(0, 500)), min_size=1, max_size=12),
    st.integers(0, 9000),
)
def test_all_of_the_ram_and_every_node_is_kept(sizes: list[tuple[int, int]], shift: int) -> None:
    at, ram, memory = shift * MIB, [], []
    for pxm, (size, hole) in enumerate(sizes):
        ram.append((at, at + size * MIB))
        memory.append(Memory(pxm, at, size * MIB, hotplug=pxm % 2 > 0))
        at += (size + hole) * MIB
    guest = qemu.guest_of(machine_of(*ram, srat=SratOf(tuple(memory))))
    total = sum(size for size, _ in sizes) * MIB
    assert guest.low + guest.high == sum(size for size, _ in guest.nodes) == total
    assert guest.low <= 3584 * MIB
    assert guest.srat is not None
    by_domain = {pxm: [entry for entry in guest.srat.memory if entry.pxm == pxm] for pxm in range(len(sizes))}
    for pxm, (size, _) in enumerate(sizes):
        assert sum(entry.length for entry in by_domain[pxm]) == size * MIB
        assert {entry.hotplug for entry in by_domain[pxm]} == {pxm % 2 > 0}
    covered = sorted((entry.base, entry.base + entry.length) for entry in guest.srat.memory)
    assert all(end <= start for (_, end), (start, _) in pairwise(covered))
    assert all(end <= guest.low or 4 * GIB <= start < end <= 4 * GIB + guest.high for start, end in covered)


def test_cpus_without_entries_take_the_nodes_that_a_log_told() -> None:
    srat = SratOf((Memory(3, 0, 3 * GIB), Memory(8, 4 * GIB, 5 * GIB)))
    guest = qemu.guest_of(machine_of(*USUAL, srat=srat, cpus=Cpus(4, 4, nodes=(0, 1, 1, 0))))
    assert guest.srat is not None
    assert guest.srat.cpus == (Cpu(0, 3), Cpu(1, 8), Cpu(2, 8), Cpu(3, 3))


def test_apic_ids_of_the_machine_become_the_guests() -> None:
    srat = SratOf((Memory(0, 0, 9 * GIB),), (Cpu(0, 0), Cpu(0x40, 1, x2apic=True), Cpu(0x80, 2, enabled=False)))
    guest = qemu.guest_of(machine_of(*USUAL, srat=srat, cpus=Cpus(3, 3, apic_ids=(0, 0x40, 0x80))))
    assert guest.srat is not None
    assert guest.srat.cpus == (Cpu(0, 0), Cpu(1, 1), Cpu(2, 2, enabled=False))


def test_boot_options_are_kept_but_those_of_console_and_loader() -> None:
    words = "BOOT_IMAGE=/vmlinuz root=/dev/sda quiet loglevel=3 console=tty0 movable_node memblock=debug mem=8G"
    guest = qemu.guest_of(machine_of(*USUAL, cmdline=words, kernel=KernelImage(randomized=True)))
    own = "console=ttyS0 earlyprintk=serial,ttyS0,115200 panic=-1 memblock=debug no_timer_check nokaslr"
    assert guest.cmdline == f"{own} movable_node mem=8G"
    (note,) = guest.notes
    assert note.startswith("KASLR is off in the guest")


@pytest.mark.parametrize(
    ("machine", "said"),
    [
        (machine_of(), "the machine has no RAM (no e820 entry is usable)"),
        (machine_of((0, 2 * GIB), (4 * GIB, 64 << 40)), "software emulation has room for 1010G"),
    ],
)
def test_what_can_not_be_built_is_an_error(machine: Machine, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        qemu.guest_of(machine)
    assert said in str(caught.value)


def test_too_many_cpus_and_nodes_are_cut_with_a_note() -> None:
    memory = tuple(Memory(pxm, 4 * GIB + pxm * 16 * MIB, 16 * MIB) for pxm in range(300))
    machine = machine_of((0, GIB), (4 * GIB, 4 * GIB + 300 * 16 * MIB), srat=SratOf(memory), cpus=Cpus(512, 300))
    guest = qemu.guest_of(machine._replace(initrd=Initrd(0, MIB)))
    assert (guest.present, guest.possible, guest.nodes) == (255, 255, ())
    assert guest.srat is not None
    assert guest.srat.memory == memory
    assert [note.partition(",")[0] for note in guest.notes] == [
        "QEMU's PC has at most 255 CPUs",
        "QEMU's own SRAT has at most 128 nodes",
    ]


def test_an_efi_machine_takes_efi_firmware_where_there_is_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = machine_of(*USUAL, efi=Efi())
    firmware = tmp_path / "OVMF.fd"
    monkeypatch.setattr(qemu, "EFI_FIRMWARE", (str(firmware),))
    without = qemu.guest_of(machine)
    assert without.firmware == ""
    assert without.notes[0].startswith("the machine boots by EFI, the guest by a PC BIOS")
    firmware.write_bytes(b"firmware")
    found = qemu.guest_of(machine)
    assert (found.firmware, found.notes) == (str(firmware), ())
    assert "efi=debug" in found.cmdline.split()
    with pytest.raises(UsageError, match="there is no such file"):
        qemu.guest_of(machine, firmware=str(tmp_path / "other.fd"))
    assert "not used" in qemu.guest_of(machine._replace(efi=None), firmware=str(firmware)).notes[0]


# -- the initrd ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*GUESTS, *EXAMPLES], ids=lambda path: path.stem)
def test_the_srat_in_the_initrd_reads_back(path: Path, tmp_path: Path) -> None:
    machine = load_machine(path)
    guest = qemu.guest_of(machine)
    archive = qemu.initrd_of(guest)
    if machine.initrd is not None:
        assert len(archive) == machine.initrd.size
    if machine.srat is None:
        assert not any(archive)
        return
    name = b"kernel/firmware/acpi/SRAT.aml\0"
    assert archive.startswith(b"070701")
    size, name_size = (int(archive[at : at + 8], 16) for at in (54, 94))
    assert archive[110 : 110 + name_size] == name
    start = -(-(110 + name_size) // 4) * 4
    table = archive[start : start + size]
    assert sum(table) & 0xFF == 0
    assert table[10:24] == b"BOCHS BXPC    "
    file = tmp_path / "SRAT.aml"
    file.write_bytes(table)
    log = tmp_path / "boot.log"
    log.write_text(
        "BIOS-e820: [mem 0x0000000000000000-0x00000000bfffffff] usable\nNX (Execute Disable) protection: active\n"
    )
    assert import_files([log, file])[0].srat == guest.srat


@pytest.mark.skipif(shutil.which("cpio") is None, reason="cpio is not installed")
def test_cpio_reads_the_archive() -> None:
    archive = qemu.initrd_of(qemu.guest_of(load_machine(HERE / "guests" / "hot-nodes.yaml")))
    listed = subprocess.run(["cpio", "-it", "--quiet"], input=archive, capture_output=True, check=True)
    assert listed.stdout.split() == [b"kernel/firmware/acpi/SRAT.aml"]


def test_a_kernel_that_takes_no_tables_gets_none() -> None:
    machine = machine_of(*USUAL, srat=SratOf((Memory(0, 0, 9 * GIB),)), initrd=Initrd(0, 5000))
    guest = qemu.guest_of(machine, upgrades=False)
    assert qemu.initrd_of(guest) == bytes(5000)
    assert "CONFIG_ACPI_TABLE_UPGRADE is off" in guest.notes[0]


# -- QEMU's command line -------------------------------------------------------------------------------------------


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Puts a shell script in QEMU's place."""

    def put(script: str) -> Path:
        path = tmp_path / "bin" / qemu.PROGRAM
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
        return path

    return put


def test_the_command_line_of_a_machine_with_nodes(program: Program) -> None:
    path = program("")
    guest = qemu.guest_of(load_machine(HERE / "guests" / "kernelcore.yaml"))
    words = (
        "-accel tcg -nodefaults -display none -serial stdio -no-reboot"
        " -M pc,max-ram-below-4g=2147483648 -cpu max,-pdpe1gb,-la57 -m 8192M"
        " -smp cpus=4,sockets=1,cores=4,threads=1,maxcpus=4"
        " -object memory-backend-ram,id=node0,size=3221225472,reserve=off -numa node,nodeid=0,memdev=node0,cpus=0"
        " -object memory-backend-ram,id=node1,size=5368709120,reserve=off -numa node,nodeid=1,memdev=node1,cpus=1"
        " -numa node,nodeid=2,cpus=2,cpus=3 -initrd initrd -kernel vmlinuz -append"
    )
    assert qemu.command(guest, Path("vmlinuz"), Path("initrd")) == [str(path), *words.split(), guest.cmdline]


def test_the_command_line_of_a_plain_machine(program: Program) -> None:
    program("")
    guest = qemu.guest_of(load_machine(HERE / "guests" / "plain.yaml"))
    words = qemu.command(guest._replace(firmware="OVMF.fd"), Path("vmlinuz"), Path("initrd"))
    assert words[words.index("-M") + 1] == "pc,memory-backend=ram"
    assert words[words.index("-object") + 1] == "memory-backend-ram,id=ram,size=2147483648,reserve=off"
    assert words[words.index("-bios") + 1] == "OVMF.fd"
    assert not {"-numa", "-initrd"} & set(words)


def test_without_qemu_there_is_a_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    guest = qemu.guest_of(load_machine(HERE / "guests" / "plain.yaml"))
    with pytest.raises(UsageError, match="qemu-system-x86_64 is not installed"):
        qemu.command(guest, Path("vmlinuz"), Path("initrd"))


# -- the run -------------------------------------------------------------------------------------------------------


def ignore(lines: int, seconds: float) -> None:
    """No progress is shown."""


def test_a_boot_ends_with_the_first_cpu_and_lacks_the_firmwares_words(program: Program) -> None:
    lines = [
        "SeaBIOS (version 1.16)\\033[2J\\r",
        "\\033c[    0.000000] Linux version 6.1.0\\r",
        "[    0.1] Memory: 100K/200K available (1K kernel code)\\r",
        "[    0.2] smpboot: CPU0: AMD QEMU (family: 0xf, model: 0x6b)\\r",
    ]
    path = program("\n".join(f"printf '{line}\\n'" for line in lines) + "\nexec sleep 60")
    seen: list[int] = []
    assert qemu.boot([str(path)], 30, lambda count, _: seen.append(count)) == [
        "[    0.000000] Linux version 6.1.0",
        "[    0.1] Memory: 100K/200K available (1K kernel code)",
        "[    0.2] smpboot: CPU0: AMD QEMU (family: 0xf, model: 0x6b)",
    ]
    assert seen[0] == 0


def test_a_panic_ends_a_boot_too(program: Program) -> None:
    path = program("echo Linux version 6.1.0; echo 'Kernel panic - not syncing: no memory'; echo trace")
    assert qemu.boot([str(path)], 30, ignore)[1:] == ["Kernel panic - not syncing: no memory", "trace"]


@pytest.mark.parametrize(
    ("script", "seconds", "said"),
    [
        (
            "echo 'qemu: no such machine' >&2; exit 1",
            30,
            ["QEMU ended with status 1 before", "  qemu: no such machine"],
        ),
        ("exit 3", 30, ["QEMU ended with status 3 before", "and it printed nothing"]),
        ("echo Linux version 6.1.0; exec sleep 60", 1, ["within 1 s; the last lines:", "  Linux version 6.1.0"]),
    ],
)
def test_a_boot_that_does_not_get_there(program: Program, script: str, seconds: float, said: list[str]) -> None:
    path = program(script)
    with pytest.raises(MemplanError) as caught:
        qemu.boot([str(path)], seconds, ignore)
    for text in said:
        assert text in str(caught.value)
