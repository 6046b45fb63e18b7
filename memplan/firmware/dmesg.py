"""Boot logs: dmesg, journalctl -k, a serial console's capture; of Linux 3.13 to 6.12 on x86-64.

The reader goes through the log once, line by line, and keeps only what tells of the machine.  What an allocator
decided (the memblock=debug lines) is taken only where it shows what firmware and the boot loader chose: the places
of the kernel image, of the EFI memory map, of the MP table, and so on.
"""

from __future__ import annotations

import re

from memplan.errors import InputError
from memplan.firmware.dmesg_facts import facts_of
from memplan.firmware.dmesg_lines import BootLines
from memplan.firmware.source import Found, Source
from memplan.klog.layout import kernel_lines
from memplan.klog.text import decoded

#: How many lines of a boot are read: its memory part is over long before.
BOOT_LINES = 200_000

_SIGNS = re.compile(
    r"Linux version |BIOS-e820: |e820: |[Cc]ommand line: |ACPI: (?:RSDP|SRAT|FACP)|physical RAM map:"
    r'|kernel: |"?_TRANSPORT"? ?[:=] ?"?kernel|"MESSAGE" ?:|\[ *\d+\.\d{6}\]'
)
_ENCODED = re.compile(r"^Content-Transfer-Encoding: *base64", re.IGNORECASE | re.MULTILINE)
_FOREIGN = re.compile(
    r"Booting Linux on physical CPU|Boot CPU: AArch64|CPU features: detected.*(?:ARM|EL[12])|psci: |OF: fdt: "
    r"|Machine model: |SBI (?:specification|implementation)|riscv: |setup: Linux is running"
    r"|Using \w+ machine description|CPU: ARMv\d|Linux is running (?:as a z/VM|under KVM in 64|natively in 64)"
    r"|MIPS: machine is|ARCH: SUN4V"
)
_NARROW = re.compile(r"\d+MB HIGHMEM available|\d+MB LOWMEM available")


def recognises(head: bytes) -> bool:
    """Whether this is text with lines as the kernel prints them, or mail that may hold such."""
    text = decoded(head).replace("&nbsp;", " ")
    if text.count("\0") * 20 > len(text):
        return False
    return _SIGNS.search(text) is not None or _ENCODED.search(text) is not None


def read(source: Source) -> Found:
    """The facts of the first whole boot in the log.

    A log may begin in the middle of a boot (a ring buffer that has wrapped) and may end early; notes say what is
    missing then.  Raises InputError where no line of an x86-64 boot's memory map is found.
    """
    found = Found(source.name, "boot log")
    boot = BootLines()
    printed_before: BootLines | None = None
    skipped = 0
    foreign = narrow = 0
    for number, text, _, _ in kernel_lines(source):
        if text.startswith("Linux version ") and set(boot.lines) - {"kaslr"}:
            if not boot.e820:
                skipped += 1
            elif printed_before is None and _printed_again(boot, text):
                printed_before = boot
            else:
                found.note(
                    f"another boot begins here; the facts are those of the boot that begins in line {boot.first}"
                    " (cut the log to import another one)",
                    number,
                )
                break
            boot = BootLines()
        boot.take(number, text)
        if boot.first and number - boot.first > BOOT_LINES:
            break
        if not boot.e820:
            if not foreign and _FOREIGN.search(text):
                foreign = number
        elif not narrow and _NARROW.match(text):
            narrow = number
    if printed_before is not None and not (boot.e820 and boot.has("cpus") >= printed_before.has("cpus")):
        boot = printed_before
    if not boot.e820 and foreign:
        raise InputError.single(
            source.name,
            "this is the boot log of another architecture",
            line=foreign,
            hint="memplan knows the boot of Linux on x86-64",
        )
    if narrow:
        raise InputError.single(
            source.name,
            "this is the boot log of a 32-bit kernel",
            line=narrow,
            hint="memplan knows the boot of Linux on x86-64",
        )
    if not boot.first:
        raise InputError.single(
            source.name,
            "holds no line of a Linux boot's memory set-up (BIOS-e820, Command line, ACPI tables, SRAT)",
            hint="take the log from its start: journalctl -k -b, or dmesg before its buffer wraps",
        )
    if skipped:
        found.note(f"{skipped} boot(s) before line {boot.first} hold no memory map and were passed over")
    facts_of(boot, found)
    return found


def _printed_again(boot: BootLines, version: str) -> bool:
    """Whether the console that has just come up prints all of `boot` once more: it is early, and the same kernel."""
    return boot.version == version.strip() and not boot.has("smp_done")
