"""Entries of a machine description that are written as the kernel prints them: lines out of dmesg.

Time stamps (``[    0.000000]``) and whatever syslog puts before them are skipped.  Ranges end in their last byte.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from memplan.klog.memory_types import E820_TYPES, e820_type
from memplan.machine.model import CpuAffinity, E820Entry, MemoryAffinity
from memplan.machine.words import meant
from memplan.units import U64_MAX

#: The longest line that is looked at; the kernel prints none of that length.
_LONGEST = 500

# Patterns are compiled where they are first used: most descriptions need few of them.
_PREFIX = r"(?:.*?\[ *[0-9]+\.[0-9]+\] *)?"
_RANGE = r"\[mem (0x[0-9a-f]+)-(0x[0-9a-f]+)\]"
_E820 = rf"{_PREFIX}(?:.*?BIOS-e820: *)?(?:{_RANGE} +([^#]+?)|([0-9a-f]{{1,16}}) - ([0-9a-f]{{1,16}}) +\(([^#]+?)\)) *"
#: An SRAT's entries in all versions: until 3.4 with bare numbers, the end behind the range, and decimal APIC ids.
_SRAT_MEMORY = (
    r"Node (?P<nid>[0-9]{1,19}) PXM (?P<pxm>[0-9]{1,19})"
    r" (?:\[mem 0x(?P<first>[0-9a-f]{1,16})-0x(?P<last>[0-9a-f]{1,16})\]"
    r"|(?P<start>[0-9a-f]{1,16})-(?P<end>[0-9a-f]{1,16}))"
    r"(?P<hotplug> \(?hotplug(?:gable)?\)?)?(?P<nonvolatile> non-volatile)?"
)
_SRAT_CPU = (
    r"PXM (?P<pxm>[0-9]{1,19}) -> APIC (?:0x(?P<hex>[0-9a-f]{1,8})|(?P<decimal>[0-9]{1,19}))"
    r" -> Node (?P<nid>[0-9]{1,19})"
)
_MEMORY = rf"{_PREFIX}(?:.*?SRAT: *)?{_SRAT_MEMORY} *"
_CPU = rf"{_PREFIX}(?:.*?SRAT: *)?{_SRAT_CPU} *"
#: What Linux 7.0 and later print between the entries of a map: a range that no entry covers.
_GAP = rf"{_PREFIX}(?:.*?BIOS-e820: *)?\[gap 0x[0-9a-f]+-0x[0-9a-f]+\] *"
_COPIED = r"(?P<indent> *)(?P<dash>- +)?(?P<line>[^\s\"'#-].*?)(?P<rest> +#.*)?"

#: A key or an entry whose value is a block of text, on the lines below it.
_BLOCK = r"[^#]*[:-] +[|>][-+0-9]*(?: +#.*)?"

#: What a line that can't be read should have looked like.
E820_EXPECTED = "a line such as BIOS-e820: [mem 0x0000000000100000-0x00000000bffdffff] usable"
MEMORY_EXPECTED = "a line such as ACPI: SRAT: Node 1 PXM 1 [mem 0x140000000-0x23fffffff] hotplug"
CPU_EXPECTED = "a line such as SRAT: PXM 1 -> APIC 0x02 -> Node 1"


def _match(pattern: str, line: str) -> re.Match[str] | None:
    return re.fullmatch(pattern, line.strip(), re.IGNORECASE) if len(line) <= _LONGEST else None


class LineError(Exception):
    """A line of the right form with wrong content: what is wrong, and what would mend it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def e820_line(text: str) -> E820Entry | None:
    """The entry that a line of the BIOS-provided map tells; None where the line is none.

    The old form (``BIOS-e820: 0000000000000000 - 000000000009fc00 (usable)``) names the first byte behind the
    range, the one since 3.5 the last byte in it.  Raises LineError for an end below the start, and for an unknown
    type.
    """
    found = _match(_E820, text)
    if found is None:
        return None
    first, last, name, old_first, old_end, old_name = found.groups()
    start = int(old_first or first, 16)
    end = int(old_end, 16) if old_end else int(last, 16) + 1
    kind = e820_type(old_name or name)
    if kind is None:
        raise LineError(f"unknown e820 type {(old_name or name)!r}", meant(old_name or name, E820_TYPES))
    _check_range(start, end)
    return E820Entry(start, end, kind)


class ToldMemory(NamedTuple):
    """A memory affinity, and the node that the kernel made of its domain."""

    entry: MemoryAffinity
    nid: int


class ToldCpu(NamedTuple):
    """A processor's affinity, and the node that the kernel made of its domain."""

    entry: CpuAffinity
    nid: int


def memory_of(text: str) -> ToldMemory | None:
    """What a bare line ``Node 1 PXM 1 [mem …]`` tells; None where it is none.  A range may end before it begins."""
    found = re.match(_SRAT_MEMORY, text, re.IGNORECASE)
    return None if found is None else ToldMemory(_memory(found), int(found["nid"]))


def cpu_of(text: str) -> ToldCpu | None:
    """What a bare line ``PXM 1 -> APIC 0x02 -> Node 1`` tells; None where it is none."""
    found = re.match(_SRAT_CPU, text, re.IGNORECASE)
    return None if found is None else ToldCpu(_cpu(found), int(found["nid"]))


def memory_line(text: str) -> MemoryAffinity | None:
    """The memory affinity that a line tells; None where the line is none.  Raises LineError as `e820_line` does."""
    found = _match(_MEMORY, text)
    if found is None:
        return None
    entry = _memory(found)
    start, end = _ends(found)
    _check_range(start, end)
    return entry


def cpu_line(text: str) -> CpuAffinity | None:
    """The CPU affinity that a line tells (an x2APIC's id is printed with four digits); None where it is none."""
    found = _match(_CPU, text)
    return None if found is None else _cpu(found)


def _ends(found: re.Match[str]) -> tuple[int, int]:
    if found["first"] is not None:
        return int(found["first"], 16), int(found["last"], 16) + 1
    return int(found["start"], 16), int(found["end"], 16)


def _memory(found: re.Match[str]) -> MemoryAffinity:
    start, end = _ends(found)
    flags = {"hotplug": bool(found["hotplug"]), "nonvolatile": bool(found["nonvolatile"])}
    return MemoryAffinity(int(found["pxm"]), start, max(0, end - start), **flags)


def _cpu(found: re.Match[str]) -> CpuAffinity:
    apic_id = int(found["hex"], 16) if found["hex"] else int(found["decimal"])
    # A local APIC's id is printed with two digits, an x2APIC's with four.
    return CpuAffinity(apic_id, int(found["pxm"]), x2apic=len(found["hex"] or "") > 2)


def quote_copied(text: str) -> tuple[str, dict[int, int]]:
    """`text` with quotes around lines that were copied out of a log, which are no YAML as they stand.

    Lines that name a gap of the map are emptied.  Gives also by how many columns each quoted line (counted from 1) was
    moved to the right.
    """
    moved: dict[int, int] = {}
    lines = text.split("\n")
    block: int | None = None
    for index, line in enumerate(lines):
        # The rows of a block of text (``e820: |``) are text already.
        depth = len(line) - len(line.lstrip(" "))
        if block is not None and (depth > block or not line.strip()):
            continue
        block = depth if len(line) <= _LONGEST and re.fullmatch(_BLOCK, line.rstrip()) else None
        found = re.fullmatch(_COPIED, line.rstrip("\r")) if len(line) <= _LONGEST else None
        if found is None:
            continue
        if _match(_GAP, found["line"]):
            lines[index] = ""
            continue
        if not _is_copied(found["line"]):
            continue
        quoted = found["line"].replace("\\", "\\\\").replace('"', '\\"')
        lines[index] = f'{found["indent"]}{found["dash"] or "- "}"{quoted}"{found["rest"] or ""}'
        moved[index + 1] = 0 if found["dash"] else 2
    return "\n".join(lines), moved


def _is_copied(line: str) -> bool:
    return bool(_match(_E820, line) or _match(_MEMORY, line) or _match(_CPU, line))


def _check_range(start: int, end: int) -> None:
    if not start <= end <= U64_MAX + 1:
        raise LineError(f"the end {end - 1:#x} lies below the start {start:#x}")
