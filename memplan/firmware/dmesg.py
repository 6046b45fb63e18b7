"""Boot logs: dmesg, journalctl -k, a serial console's capture; of Linux 3.13 to 6.12 on x86-64.

The reader goes through the log once, line by line, and keeps only what tells of the machine.  What an allocator
decided (the memblock=debug lines) is taken only where it shows what firmware and the boot loader chose: the places
of the kernel image, of the EFI memory map, of the MP table, and so on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from memplan.errors import InputError
from memplan.firmware.dmesg_facts import facts_of
from memplan.firmware.dmesg_lines import BootLines
from memplan.firmware.source import Found, Source

#: How much of a file is searched for the boot's first line, and how many lines of a boot are read: its memory part
#: is over long before.
SEARCHED_LINES = 2_000_000
BOOT_LINES = 200_000

_SIGNS = re.compile(
    rb"Linux version |BIOS-e820: |e820: |[Cc]ommand line: |ACPI: (?:RSDP|SRAT|FACP)|physical RAM map:"
    rb"|kernel: |\[ *\d+\.\d{6}\]"
)
_ESCAPES = re.compile(r"\x1b?\[[=?][0-9;]*[A-Za-z]|\x1b(?:\[[0-9;]*[A-Za-z]|[^\[])|[\x00\r\x07\x08]")
_STAMP = re.compile(r"\[ *\d+\.\d{6}\] ?(?:\[ *[TC]\d+\] ?)?")
_SYSLOG = re.compile(r"\bkernel(?:\[\d+\])?: ?|\bkernel - - - ?")
_LEVEL = re.compile(r"(?:<\d+>|\d+,\d+,\d+,[^;]{0,40};|[a-z]+ *:[a-z]+ *: )")
_WALL_CLOCK = re.compile(
    r"\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:]{8} \d{4}\] ?|\d{4}-\d\d-\d\d[T ][\d:]{8}\S* (?:\|? *)"
)
#: How far into a line a prefix may reach.
_PREFIX_LIMIT = 120
_FOREIGN = re.compile(
    r"Booting Linux on physical CPU|Boot CPU: AArch64|CPU features: detected.*(?:ARM|EL[12])|psci: |OF: fdt: "
    r"|Machine model: |SBI (?:specification|implementation)|riscv: |setup: Linux is running"
    r"|Using \w+ machine description|CPU: ARMv\d|Linux is running (?:as a z/VM|under KVM in 64|natively in 64)"
    r"|MIPS: machine is|ARCH: SUN4V"
)
_NARROW = re.compile(r"\d+MB HIGHMEM available|\d+MB LOWMEM available")


def recognises(head: bytes) -> bool:
    """Whether this is text with lines as the kernel prints them."""
    if head.count(b"\0") * 20 > len(head):
        return False
    return _SIGNS.search(head) is not None


def plain(line: bytes) -> str:
    """What the kernel printed: the line without time stamps, syslog's head and a terminal's escape sequences."""
    text = line.decode("utf-8", "replace")
    if "\x1b" in text or "[=" in text or "\r" in text or "\x00" in text:
        text = _ESCAPES.sub("", text)
    stamp = _STAMP.search(text, 0, _PREFIX_LIMIT)
    if stamp is not None:
        text = text[stamp.end() :]
    elif found := (_WALL_CLOCK.match(text) or _LEVEL.match(text)):
        text = text[found.end() :]
    if "kernel" in text[:_PREFIX_LIMIT] and (found := _SYSLOG.search(text, 0, _PREFIX_LIMIT)):
        text = text[found.end() :]
        if stamp is None and (found := _STAMP.match(text)):
            text = text[found.end() :]
    return text


def boot_lines(source: Source) -> Iterator[tuple[int, str]]:
    """The log's lines with their numbers, bare (see :func:`plain`)."""
    for number, line in islice(source.lines(), SEARCHED_LINES):
        yield number, plain(line)


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
    for number, text in boot_lines(source):
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
