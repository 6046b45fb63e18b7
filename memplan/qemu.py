"""Builds the described machine in QEMU, as near as QEMU can, and boots a kernel image on it.

QEMU decides the memory map by its own chipset's rules, so what is kept is: the nodes with their sizes, CPUs and
hot-plug marks, the CPU features that matter, an initrd of the same size, and the boot options.  Guest memory is only
touched where the kernel touches it, so machines larger than the host can be booted.
"""

from __future__ import annotations

import re
import select
import shutil
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memplan.errors import MemplanError, UsageError
from memplan.machine.model import E820_RAM, CpuAffinity, MemoryAffinity, Srat
from memplan.units import GIB, MIB, round_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from memplan.machine.model import Machine

PROGRAM = "qemu-system-x86_64"
#: RAM below 4 GiB of the i440FX machine: all of it up to 3.5 GiB, else 3 GiB.
_LOW_ALL, _LOW_SPLIT = 3584 * MIB, 3 * GIB
#: Identity of QEMU's own tables; an override must have the same, and a higher revision.
_OEM_ID, _OEM_TABLE_ID, _OEM_REVISION = b"BOCHS ", b"BXPC    ", 0x7FFF
_LAST_LINE = re.compile(rb"Memory: \d+[Kk]/\d+[Kk] available")
_DEAD = re.compile(rb"---\[ end Kernel panic|Kernel panic - not syncing")
_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|c)|\r")
_CONSOLE = "console=ttyS0 earlyprintk=serial,ttyS0,115200 panic=-1 memblock=debug"


@dataclass(frozen=True, slots=True)
class GuestNode:
    """A node of the guest: RAM in bytes, its CPUs' numbers, and whether its SRAT entries are marked hot-pluggable."""

    pxm: int
    size: int
    cpus: tuple[int, ...]
    hotplug: bool


@dataclass(frozen=True, slots=True)
class Guest:
    """What QEMU is asked for; `notes` say where that differs from the description."""

    nodes: tuple[GuestNode, ...]
    cpus: int
    cpu_model: str
    initrd_size: int
    cmdline: str
    srat: Srat | None
    notes: tuple[str, ...]

    @property
    def memory(self) -> int:
        """RAM in bytes."""
        return sum(node.size for node in self.nodes)


def guest_of(machine: Machine) -> Guest:
    """The guest for `machine`.

    Raises UsageError where nothing like it can be built (no RAM, more CPUs than QEMU has).
    """
    if machine.cpus.possible > 255:
        raise UsageError(f"QEMU's PC has at most 255 CPUs without an IOMMU; the machine has {machine.cpus.possible}")
    nodes = _nodes(machine)
    if not sum(node.size for node in nodes):
        raise UsageError("the machine has no RAM in whole MiB that QEMU could be given")
    features = "".join(
        f",{'+' if on else '-'}{name}" for name, on in (("pdpe1gb", machine.cpus.gbpages), ("la57", machine.cpus.la57))
    )
    notes = []
    if machine.e820:
        notes.append("QEMU lays out RAM by its own chipset: 3 GiB below 4 GiB, the rest above")
    if machine.efi is not None:
        notes.append("the machine boots by EFI, the guest by a PC BIOS")
    srat = _srat(nodes) if machine.srat is not None else None
    return Guest(
        tuple(nodes),
        machine.cpus.possible,
        f"max{features}",
        machine.initrd.size if machine.initrd else 0,
        " ".join([_CONSOLE, *_own_options(machine)]),
        srat,
        tuple(notes),
    )


def _own_options(machine: Machine) -> list[str]:
    """The machine's boot options without those that the guest's console and log need otherwise."""
    drop = ("console=", "earlyprintk", "memblock=", "quiet", "panic=", "root=", "BOOT_IMAGE=", "initrd=")
    return [word for word in machine.cmdline.split() if not word.startswith(drop)]


def _nodes(machine: Machine) -> list[GuestNode]:
    """RAM by proximity domain, in whole MiB; one domain without an SRAT."""
    ram = [(entry.start, entry.end) for entry in machine.e820 if entry.type == E820_RAM]
    cpus: dict[int, list[int]] = {}
    if machine.srat is None:
        size = sum(end - start for start, end in ram)
        return [GuestNode(0, round_up(size, MIB), tuple(range(machine.cpus.possible)), False)]
    apic_ids = machine.cpus.apic_ids or tuple(range(machine.cpus.possible))
    domain_of = {entry.apic_id: entry.pxm for entry in machine.srat.cpus if entry.enabled}
    memory = [entry for entry in machine.srat.memory if entry.enabled]
    for cpu, apic_id in enumerate(apic_ids[: machine.cpus.possible]):
        cpus.setdefault(domain_of.get(apic_id, memory[0].pxm if memory else 0), []).append(cpu)
    domains = dict.fromkeys([*(entry.pxm for entry in memory), *sorted(cpus)])
    nodes = []
    for pxm in domains:
        own = [entry for entry in memory if entry.pxm == pxm]
        size = sum(
            max(0, min(end, entry.base + entry.length) - max(start, entry.base)) for entry in own for start, end in ram
        )
        hotplug = bool(own) and all(entry.hotplug for entry in own)
        nodes.append(GuestNode(pxm, round_up(size, MIB), tuple(cpus.get(pxm, ())), hotplug))
    return nodes


def _srat(nodes: list[GuestNode]) -> Srat:
    """The guest's SRAT: each node's part of RAM below and above the PCI hole."""
    total = sum(node.size for node in nodes)
    low = total if total <= _LOW_ALL else _LOW_SPLIT
    memory, cpus, at = [], [], 0
    for nid, node in enumerate(nodes):
        for start, end, shift in ((at, min(at + node.size, low), 0), (max(at, low), at + node.size, 4 * GIB - low)):
            if start < end:
                memory.append(MemoryAffinity(nid, start + shift, end - start, hotplug=node.hotplug))
        cpus += [CpuAffinity(cpu, nid) for cpu in node.cpus]
        at += node.size
    return Srat(tuple(memory), tuple(cpus))


def command(guest: Guest, image: Path, folder: Path) -> list[str]:
    """QEMU's command line; the initrd that it needs is written into `folder`.

    Raises UsageError where QEMU is not installed.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise UsageError(f"{PROGRAM} is not installed (Debian package qemu-system-x86)")
    words = [program, "-accel", "tcg", "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"]
    words += ["-M", "pc", "-cpu", guest.cpu_model, "-smp", str(guest.cpus), "-m", f"{guest.memory // MIB}M"]
    for nid, node in enumerate(guest.nodes):
        numa = f"node,nodeid={nid}"
        if node.size:
            words += ["-object", f"memory-backend-ram,id=node{nid},size={node.size},reserve=off"]
            numa += f",memdev=node{nid}"
        words += ["-numa", numa + "".join(f",cpus={cpu}" for cpu in node.cpus)]
    files: dict[str, bytes] = {}
    if guest.srat is not None:
        from memplan.firmware.acpi_encode import encode_srat

        files["kernel/firmware/acpi/SRAT.aml"] = encode_srat(
            guest.srat, oem_id=_OEM_ID, oem_table_id=_OEM_TABLE_ID, oem_revision=_OEM_REVISION
        )
    if guest.initrd_size:
        files["padding"] = bytes(guest.initrd_size)
    if files:
        initrd = folder / "initrd.cpio"
        initrd.write_bytes(_archive(files))
        words += ["-initrd", str(initrd)]
    return [*words, "-kernel", str(image), "-append", guest.cmdline]


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


def boot(words: list[str], seconds: float, progress: Callable[[int], None]) -> list[str]:
    """Run QEMU until the kernel hands memory over; the kernel's lines.

    `progress` is called with the number of lines so far.  Raises MemplanError, with the last lines, where the kernel
    doesn't get there within `seconds`.
    """
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    output, end, dead = b"", time.monotonic() + seconds, False
    try:
        while time.monotonic() < end:
            if not select.select([process.stdout], [], [], 1)[0]:
                continue
            chunk = process.stdout.read1(65536)  # type: ignore[attr-defined]
            if not chunk:
                break
            output += chunk
            progress(output.count(b"\n"))
            found = _LAST_LINE.search(output)
            dead = dead or _DEAD.search(output) is not None
            if found and b"\n" in output[found.end() :]:
                return list(_kernel_lines(output))
    finally:
        process.kill()
        process.wait()
    lines = list(_kernel_lines(output))
    why = "the kernel panicked" if dead else f"the kernel did not get to the hand-over of memory within {seconds:.0f} s"
    raise MemplanError("\n".join([f"{why}; its last lines:", *(f"  {line}" for line in lines[-8:])]))


def _kernel_lines(output: bytes) -> Iterator[str]:
    """The lines from the kernel's first one on, without terminal escapes."""
    lines = _ESCAPES.sub("", output.decode("ascii", "replace")).splitlines()
    first = next((i for i, line in enumerate(lines) if "Linux version" in line), 0)
    yield from lines[first:]
