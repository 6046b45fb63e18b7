"""Builds the described machine in QEMU, as near as QEMU can, and boots a kernel image on it.

QEMU lays out RAM in two pieces, one from 0 and one from 4 GiB.  What is kept is how much RAM lies in each, the SRAT
(given through an initrd of the described size), the CPUs with those features that change memory, the firmware's kind
and the boot options.  Guest memory is only touched where the kernel touches it, so machines larger than the host can
be booted.
"""

from __future__ import annotations

import re
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from memplan.errors import MemplanError, UsageError
from memplan.machine.model import (
    E820_ACPI,
    E820_NVS,
    E820_PMEM,
    E820_PRAM,
    E820_RAM,
    E820_SOFT_RESERVED,
    CpuAffinity,
    MemoryAffinity,
    Srat,
)
from memplan.units import GIB, MIB, U64_MAX, round_up, size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from memplan.machine.model import Machine

PROGRAM = "qemu-system-x86_64"
#: Where distributions put EFI firmware for QEMU that is one file.
EFI_FIRMWARE = (
    "/usr/share/ovmf/OVMF.fd",
    "/usr/share/OVMF/OVMF.fd",
    "/usr/share/qemu/OVMF.fd",
    "/usr/share/edk2/x64/OVMF.4m.fd",
    "/usr/share/edk2/ovmf/OVMF.fd",
)
#: What the i440FX machine can have: RAM below 4 GiB, RAM below the hole that AMD's address space has under 1 TiB
#: (software emulation has 40 address bits), CPUs without an IOMMU, nodes.
_LOW_LIMIT = 3584 * MIB
_END = 0xFD00000000
_MOST_CPUS = 255
_MOST_NODES = 128
#: Memory that the kernel does not take for RAM.
_NO_RAM = (E820_PMEM, E820_PRAM, E820_SOFT_RESERVED)
#: Identity of QEMU's own tables; an override must have the same, and a higher revision.
_OEM_ID, _OEM_TABLE_ID, _OEM_REVISION = b"BOCHS ", b"BXPC    ", 0x7FFF
_SRAT_FILE = "kernel/firmware/acpi/SRAT.aml"
#: Boot options that the guest's log needs, and those of the machine that would spoil it or name what the guest
#: doesn't have.
_CONSOLE = "console=ttyS0 earlyprintk=serial,ttyS0,115200 panic=-1 memblock=debug"
_DROPPED = (
    *("console=", "earlyprintk", "memblock=", "quiet", "loglevel=", "panic=", "no_timer_check", "nokaslr"),
    *("root=", "BOOT_IMAGE=", "initrd=", "acpi_rsdp="),
)
_LAST_LINE = re.compile(rb"Memory: \d+[Kk]/\d+[Kk] available.*\n")
#: What a log tells of the first CPU comes a little later, or at the latest before the other CPUs.
_FIRST_CPU = re.compile(rb"CPU0: .*\(fam.*\n|Bringing up secondary CPUs|Booting SMP configuration|Booting Node")
_DEAD = re.compile(rb"Kernel panic - not syncing|PANIC: early exception")
_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|c)|\r")
#: How long a kernel may go on to talk when it has handed memory over or panicked, in seconds.
_TO_FIRST_CPU, _LAST_WORDS = 20.0, 3.0


class Guest(NamedTuple):
    """What QEMU is asked for: `low` bytes of RAM below 4 GiB and `high` above; `notes` tell what differs.

    `nodes` are the bytes of RAM and the CPUs of each domain of the firmware's own SRAT, which `srat` overrides.
    """

    low: int
    high: int
    nodes: tuple[tuple[int, tuple[int, ...]], ...]
    present: int
    possible: int
    cpu_model: str
    initrd_size: int
    cmdline: str
    srat: Srat | None
    firmware: str
    notes: tuple[str, ...]


class Piece(NamedTuple):
    """RAM of the machine ``[start, end)`` that the guest has from `guest` on."""

    start: int
    end: int
    guest: int


def guest_of(machine: Machine, *, firmware: str | None = None, upgrades: bool = True) -> Guest:
    """The guest for `machine`.

    `firmware` is the EFI firmware for machines that boot by EFI (None: where distributions put it); `upgrades` says
    whether the kernel takes ACPI tables from an initrd.  Raises UsageError where nothing like it can be built.
    """
    notes: list[str] = []
    pieces, low, high = _ram(machine)
    if any(piece.start != piece.guest for piece in pieces):
        notes.append(
            f"QEMU puts RAM from 0 and from 4 GiB on, without further holes: {size_text(low)} and {size_text(high)};"
            " the SRAT's ranges move with the RAM"
        )
    possible = min(machine.cpus.possible, _MOST_CPUS)
    if possible < machine.cpus.possible:
        notes.append(f"QEMU's PC has at most {_MOST_CPUS} CPUs, the machine {machine.cpus.possible}")
    srat, nodes = None, []
    if machine.srat is not None:
        srat = _srat(machine, pieces, possible)
        nodes = _firmware_nodes(srat, low, high, possible)
        if len(nodes) > _MOST_NODES:
            notes.append(f"QEMU's own SRAT has at most {_MOST_NODES} nodes, so the guest's firmware has none")
            nodes = []
        if not upgrades:
            notes.append(
                "the kernel takes no SRAT from an initrd (CONFIG_ACPI_TABLE_UPGRADE is off): it sees QEMU's own, "
                "with the nodes one behind the other and nothing hot-pluggable"
            )
        elif machine.initrd is None:
            notes.append("the machine has no initrd, the guest one with the SRAT in it")
    features = [f"{'+' if machine.cpus.gbpages else '-'}pdpe1gb", f"{'+' if machine.cpus.la57 else '-'}la57"]
    return Guest(
        low,
        high,
        tuple(nodes),
        min(machine.cpus.present, possible),
        possible,
        ",".join(["max", *features]),
        machine.initrd.size if machine.initrd else 0,
        _cmdline(machine, notes),
        srat if upgrades else None,
        _firmware(machine, firmware, notes),
        tuple(notes),
    )


def _firmware(machine: Machine, firmware: str | None, notes: list[str]) -> str:
    """The file to boot from; "" for QEMU's own BIOS."""
    if machine.efi is None:
        if firmware is not None:
            notes.append("the machine boots by a PC BIOS, so the given EFI firmware is not used")
        return ""
    if firmware is not None:
        if not Path(firmware).is_file():
            raise UsageError(f"{firmware}: there is no such file with EFI firmware")
        return firmware
    found = next((path for path in EFI_FIRMWARE if Path(path).is_file()), "")
    if not found:
        notes.append("the machine boots by EFI, the guest by a PC BIOS: no EFI firmware is installed (package ovmf)")
    return found


def _cmdline(machine: Machine, notes: list[str]) -> str:
    """The machine's boot options without those that the guest's console and log need otherwise."""
    words = machine.cmdline.split()
    # On a busy host the guest's timer comes late, and the kernel would panic over it.
    own = [_CONSOLE, "no_timer_check", "nokaslr"]
    if machine.kernel.randomized and "nokaslr" not in words:
        notes.append("KASLR is off in the guest: the places that it picks can't be planned")
    if machine.efi is not None:
        own.append("efi=debug")
    return " ".join([*own, *(word for word in words if not word.startswith(_DROPPED))])


def _ram_ranges(machine: Machine) -> Iterator[tuple[int, int]]:
    """RAM in whole MiB, with what firmware keeps for itself between two parts of it, as that is RAM too."""
    for floor, ceiling in ((0, 4 * GIB), (4 * GIB, U64_MAX)):
        first = last = reach = -1
        for entry in sorted(machine.e820):
            start, end = max(entry.start, floor) // MIB * MIB, round_up(min(entry.end, ceiling), MIB)
            if start >= end or entry.type in _NO_RAM:
                continue
            if entry.type == E820_RAM and start > reach:
                if first >= 0:
                    yield first, last
                first, last, reach = start, end, end
            elif start <= reach:
                reach = max(reach, end)
                if entry.type in (E820_RAM, E820_ACPI, E820_NVS):
                    last = reach
        if first >= 0:
            yield first, last


def _ram(machine: Machine) -> tuple[list[Piece], int, int]:
    """The machine's RAM and where the guest has it; its size below and above 4 GiB."""
    ranges = list(_ram_ranges(machine))
    total = sum(end - start for start, end in ranges)
    if not total:
        raise UsageError("the machine has no RAM (no e820 entry is usable), so there is nothing to boot")
    low = min(sum(end - start for start, end in ranges if end <= 4 * GIB), _LOW_LIMIT)
    low, high = (low, total - low) if low else (min(total, _LOW_LIMIT), max(0, total - _LOW_LIMIT))
    if 4 * GIB + high > _END:
        most = size_text(_END - 4 * GIB + low)
        raise UsageError(f"the machine has {size_text(total)} of RAM; QEMU's software emulation has room for {most}")
    pieces, at = [], 0
    for start, end in ranges:
        size = end - start
        for first, last, shift in ((at, min(at + size, low), 0), (max(at, low), at + size, 4 * GIB - low)):
            if first < last:
                pieces.append(Piece(start + first - at, start + last - at, first + shift))
        at += size
    return pieces, low, high


def _srat(machine: Machine, pieces: Sequence[Piece], possible: int) -> Srat:
    """The machine's SRAT for the guest: as it is where RAM lies where it lay, else moved with the RAM."""
    assert machine.srat is not None
    memory = machine.srat.memory
    if any(piece.start != piece.guest for piece in pieces):
        memory = tuple(moved for entry in memory for piece in pieces for moved in _moved(entry, piece))
    apic_ids = machine.cpus.apic_ids or tuple(range(possible))
    entries = {entry.apic_id: entry for entry in machine.srat.cpus}
    known = [(cpu, entries[apic_id]) for cpu, apic_id in enumerate(apic_ids[:possible]) if apic_id in entries]
    cpus = tuple(CpuAffinity(cpu, entry.pxm, entry.enabled) for cpu, entry in known)
    if not entries:
        domains = list(dict.fromkeys(entry.pxm for entry in memory if entry.enabled))
        places = [(cpu, nid) for cpu, nid in enumerate(machine.cpus.nodes[:possible]) if nid < len(domains)]
        cpus = tuple(CpuAffinity(cpu, domains[nid]) for cpu, nid in places)
    return machine.srat._replace(memory=memory, cpus=cpus)


def _moved(entry: MemoryAffinity, piece: Piece) -> Iterator[MemoryAffinity]:
    """The part of `entry` that describes `piece`, at the guest's place; nothing where they don't meet.

    An end that misses the piece's by less than a MiB is the piece's: only rounding made the difference.
    """
    start, end = max(entry.base, piece.start), min(entry.base + entry.length, piece.end)
    if start >= end:
        return
    start = piece.start if start - piece.start < MIB else start
    end = piece.end if piece.end - end < MIB else end
    yield entry._replace(base=piece.guest + start - piece.start, length=end - start)


def _firmware_nodes(srat: Srat, low: int, high: int, possible: int) -> list[tuple[int, tuple[int, ...]]]:
    """RAM in whole MiB and CPUs by domain, in the order of the domains' numbers."""
    entries = [entry for entry in srat.memory if entry.enabled]
    sizes = dict.fromkeys(sorted({*(entry.pxm for entry in entries), *(cpu.pxm for cpu in srat.cpus)} or {0}), 0)
    ram = ((0, low), (4 * GIB, 4 * GIB + high))
    for entry in entries:
        sizes[entry.pxm] += sum(
            max(0, min(end, entry.base + entry.length) - max(start, entry.base)) for start, end in ram
        )
    left = low + high
    for pxm in sizes:
        sizes[pxm] = min(round_up(sizes[pxm], MIB), left)
        left -= sizes[pxm]
    sizes[max(sizes, key=lambda pxm: sizes[pxm])] += left
    domain_of = {entry.apic_id: entry.pxm for entry in srat.cpus if entry.enabled}
    first = next(iter(sizes))
    return [
        (size, tuple(cpu for cpu in range(possible) if domain_of.get(cpu, first) == pxm)) for pxm, size in sizes.items()
    ]


def find_program() -> str:
    """QEMU's path; UsageError where it is not installed."""
    program = shutil.which(PROGRAM)
    if program is None:
        raise UsageError(f"{PROGRAM} is not installed (Debian: packages qemu-system-x86 and seabios)")
    return program


def command(guest: Guest, image: Path, initrd: Path) -> list[str]:
    """QEMU's command line; the initrd is to be at `initrd` (see :func:`initrd_of`).

    Raises UsageError where QEMU is not installed.
    """
    words = [find_program(), "-accel", "tcg", "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"]
    board = f"pc,max-ram-below-4g={guest.low}" if guest.high else "pc"
    memory = guest.low + guest.high
    numa: list[str] = []
    for nid, (size, cpus) in enumerate(guest.nodes):
        node = f"node,nodeid={nid}"
        if size:
            numa += ["-object", f"memory-backend-ram,id=node{nid},size={size},reserve=off"]
            node += f",memdev=node{nid}"
        numa += ["-numa", node + "".join(f",cpus={cpu}" for cpu in cpus)]
    if not numa:
        numa = ["-object", f"memory-backend-ram,id=ram,size={memory},reserve=off"]
        board += ",memory-backend=ram"
    words += ["-M", board, "-cpu", guest.cpu_model, "-m", f"{memory // MIB}M"]
    topology = f"sockets=1,cores={guest.possible},threads=1,maxcpus={guest.possible}"
    words += ["-smp", f"cpus={guest.present},{topology}", *numa]
    if guest.firmware:
        words += ["-bios", guest.firmware]
    if initrd_of(guest):
        words += ["-initrd", str(initrd)]
    return [*words, "-kernel", str(image), "-append", guest.cmdline]


def initrd_of(guest: Guest) -> bytes:
    """The guest's initrd: the SRAT as the kernel looks for tables, zeros up to the wanted size; b"" for none."""
    if guest.srat is None:
        return bytes(guest.initrd_size)
    from memplan.firmware.acpi_encode import encode_srat

    table = encode_srat(guest.srat, oem_id=_OEM_ID, oem_table_id=_OEM_TABLE_ID, oem_revision=_OEM_REVISION)
    return _archive({_SRAT_FILE: table}).ljust(guest.initrd_size, b"\0")


def _archive(files: dict[str, bytes]) -> bytes:
    """An uncompressed cpio archive (newc), as the kernel reads tables from an initrd's head."""
    out = bytearray()
    for number, (name, data) in enumerate([*files.items(), ("TRAILER!!!", b"")], 1):
        path = name.encode() + b"\0"
        mode = 0o100644 if data else 0
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
        out += b"070701" + b"".join(b"%08X" % value for value in fields) + path
        out += bytes(-len(out) % 4) + data
        out += bytes(-len(out) % 4)
    return bytes(out + bytes(-len(out) % 512))


def boot(words: list[str], seconds: float, progress: Callable[[int, float], None]) -> list[str]:
    """Run QEMU until the kernel has handed memory over and told of the first CPU, or panics; the kernel's lines.

    `progress` is called with the number of lines and the seconds so far.  Raises MemplanError, with the last lines,
    where neither happens within `seconds`, or QEMU ends before.
    """
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    output, lines, searched, begin, done = bytearray(), 0, 0, time.monotonic(), False
    end, status = begin + seconds, None
    try:
        while (now := time.monotonic()) < end:
            progress(lines, now - begin)
            if not select.select([process.stdout], [], [], 1)[0]:
                continue
            chunk = process.stdout.read1(65536)  # type: ignore[attr-defined]
            if not chunk:
                status = process.wait()
                break
            output += chunk
            lines += chunk.count(b"\n")
            if not done and (found := _LAST_LINE.search(output, searched) or _DEAD.search(output, searched)):
                done, end = True, min(end, now + (_TO_FIRST_CPU if found.re is _LAST_LINE else _LAST_WORDS))
            if done and _FIRST_CPU.search(output, searched):
                break
            searched = output.rfind(b"\n") + 1
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    if done:
        return _kernel_lines(output)
    why = f"the kernel did not hand over memory within {seconds:.0f} s"
    if status is not None:
        why = f"QEMU ended with status {status} before the kernel handed over memory"
    text = _ESCAPES.sub("", output.decode("ascii", "replace")).splitlines()
    said = [f"  {line}" for line in text if line.strip()][-8:]
    raise MemplanError("\n".join([f"{why}; the last lines:", *said] if said else [f"{why}, and it printed nothing"]))


def _kernel_lines(output: bytes | bytearray) -> list[str]:
    """The lines from the kernel's first one on, without terminal escapes."""
    lines = _ESCAPES.sub("", output.decode("ascii", "replace")).splitlines()
    first = next((i for i, line in enumerate(lines) if "Linux version" in line), 0)
    return lines[first:]
