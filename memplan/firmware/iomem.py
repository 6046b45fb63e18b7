"""Reader of /proc/iomem: the memory map as the kernel uses it, and where its image lies.

Only what firmware and the loader chose is taken; "Crash kernel" and the like were decided by an allocator.  The map
is a weak fact: the kernel has already worked on it (mem=, memmap=, the BIOS's areas below 1 MiB).
"""

from __future__ import annotations

import re

from memplan.errors import InputError
from memplan.firmware.source import Source, SourceFacts
from memplan.klog.memory_types import RESOURCE_TYPES
from memplan.machine.model import E820Entry

_LINE = re.compile(rb"( *)([0-9a-f]{8,16})-([0-9a-f]{8,16}) : (.*)")
_LIMIT = 1 << 17


def recognises(head: bytes) -> bool:
    """Whether a text that begins so is /proc/iomem's."""
    return _LINE.match(head.lstrip(b"\r\n")) is not None


def read(source: Source) -> SourceFacts:
    """The map and the image's place; InputError where the addresses are hidden."""
    found = SourceFacts(source.name, "/proc/iomem")
    entries: list[E820Entry] = []
    #: Depth of the entry that holds the lines that follow, None outside of any.
    inside: int | None = None
    hidden = True
    for number, line in source.lines():
        if number > _LIMIT:
            raise InputError.single(source.name, f"more than {_LIMIT} lines, too many for /proc/iomem", line=number)
        row = _LINE.match(line)
        if row is None:
            if line.strip():
                found.damage("this line is none of /proc/iomem's (00001000-0009fbff : System RAM)", line=number)
            continue
        depth, start, end = len(row[1]), int(row[2], 16), int(row[3], 16)
        hidden = hidden and not start and not end
        name = row[4].decode("latin-1").strip()
        if inside is not None and depth <= inside:
            inside = None
        kind = RESOURCE_TYPES.get(name.lower())
        if kind is not None and inside is None:
            inside = depth
            if end < start:
                found.damage(f"{name} ends at {end:#x}, before its start {start:#x}", line=number)
            else:
                entries.append(E820Entry(start, end + 1, kind))
        elif name == "Kernel code" and start:
            found.put("kernel.load_address", start, name, line=number)
    if hidden:
        raise InputError.single(
            source.name, "all addresses are 0: the kernel hides them from users", hint="read it as root"
        )
    if not entries:
        raise InputError.single(source.name, "no line tells of memory (System RAM)")
    found.put("e820", tuple(sorted(entries, key=lambda entry: entry.start)), "/proc/iomem", line=1, weak=True)
    return found
