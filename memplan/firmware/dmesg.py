"""Boot logs: dmesg, journalctl -k, a serial console's capture; of Linux 3.13 to 6.12 on x86-64.

The reader goes through the log once, line by line, and keeps only what tells of the machine.  What an allocator
decided (the memblock=debug lines) is taken only where it shows what firmware and the boot loader chose: the places
of the kernel image, of the EFI memory map, of the MP table, and so on.
"""

from __future__ import annotations

import re

from memplan.errors import InputError
from memplan.firmware.dmesg_facts import facts_of
from memplan.firmware.source import Source, SourceFacts
from memplan.klog.boot import BootLines
from memplan.klog.boots import boots_of, choose
from memplan.klog.layout import kernel_lines
from memplan.klog.text import decoded

_SIGNS = re.compile(
    r"Linux version |BIOS-e820: |e820: |[Cc]ommand line: |ACPI: (?:RSDP|SRAT|FACP)|physical RAM map:"
    r'|kernel: |"?_TRANSPORT"? ?[:=] ?"?kernel|"MESSAGE" ?:|\[ *\d+\.\d{6}\]'
)
_ENCODED = re.compile(r"^Content-(?:Transfer-Encoding: *base64|Type: *multipart/)", re.IGNORECASE | re.MULTILINE)
_FOREIGN = re.compile(
    r"Booting Linux on physical CPU|Boot CPU: AArch64|CPU features: detected.*(?:ARM|EL[12])|psci: |OF: fdt: "
    r"|Machine model: |SBI (?:specification|implementation)|riscv: |setup: Linux is running"
    r"|Using \w+ machine description|CPU: ARMv\d|Linux is running (?:as a z/VM|under KVM in 64|natively in 64)"
    r"|MIPS: machine is|ARCH: SUN4V"
)


def recognises(head: bytes) -> bool:
    """Whether this is text with lines as the kernel prints them, or mail that may hold such."""
    text = decoded(head).replace("&nbsp;", " ")
    if text.count("\0") * 20 > len(text):
        return False
    return _SIGNS.search(text) is not None or _ENCODED.search(text) is not None


def read(source: Source) -> SourceFacts:
    """The facts of one boot in the log: of the first whole one, or of that which `source.boot` names.

    A log may begin in the middle of a boot (a ring buffer that has wrapped) and may end early; notes say what is
    missing then.  Raises InputError where no line of an x86-64 boot's memory map is found.
    """
    return read_boot(source)[1]


def read_boot(source: Source) -> tuple[BootLines, SourceFacts]:
    """The boot in the log that is taken, and its facts; raises what `read` does."""
    found = SourceFacts(source.name, "boot log")
    boots = boots_of(kernel_lines(source))
    chosen = choose(boots, source.boot, source.name)
    if chosen is None or not chosen.e820 or chosen.has("narrow"):
        _refuse(source, chosen)
    assert chosen is not None
    _tell_others(boots, chosen, found)
    facts_of(chosen, found, source.kernel)
    return chosen, found


def _refuse(source: Source, boot: BootLines | None) -> None:
    """InputError for a log without the memory map of an x86-64 boot, where it can be no part of one."""
    name = source.name
    if boot is not None and boot.xen_map:
        raise InputError.single(
            name,
            "this is a boot under Xen PV (its map is Xen's own), which sets memory up in another way: not planned",
            line=boot.xen_map,
            hint="a log of the machine without Xen, or of a PVH or HVM guest, can be planned",
        )
    narrow = boot.lines.get("narrow", 0) if boot is not None else 0
    foreign = next((line.number for line in kernel_lines(source) if _FOREIGN.search(line.text)), 0) if not narrow else 0
    for line, what in ((foreign, "another architecture"), (narrow, "a 32-bit kernel")):
        if line:
            raise InputError.single(
                name, f"this is the boot log of {what}", line=line, hint="memplan knows the boot of Linux on x86-64"
            )
    if boot is None:
        raise InputError.single(
            name,
            "holds no line of a Linux boot's memory set-up (BIOS-e820, Command line, ACPI tables, SRAT)",
            hint="take the log from its start: journalctl -k -b, or dmesg before its buffer wraps",
        )


def _tell_others(boots: list[BootLines], chosen: BootLines, found: SourceFacts) -> None:
    """Notes on the boots that were not taken."""
    whole = [boot for boot in boots if boot.e820]
    for index, boot in enumerate(whole, 1):
        if boot is not chosen:
            found.note(
                f"another boot begins here; the facts are those of the boot that begins in line {chosen.first}"
                f" (--boot {index} takes this one)",
                boot.first,
            )
    skipped = sum(boot.begin < chosen.begin for boot in boots if not boot.e820)
    if skipped:
        found.note(f"{skipped} boot(s) before line {chosen.first} hold no memory map and were passed over")
