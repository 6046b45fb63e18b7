"""EFI memory maps as text: the ``efi: mem…`` lines that efi=debug prints, and the UEFI shell's ``memmap`` listing.

    efi: mem00: [Conventional|   |  |  |  |  |   |  |  |  |   |WB|WT|WC|UC] range=[0x…1000-0x…9ffff] (0MB)
    efi: mem00: type=7, attr=0xf, range=[0x…1000-0x…a0000) (0MB)                       until 3.19: half-open
    Available  0000000000001000-000000000009FFFF 000000000000009F 000000000000000F     the shell's
    MemoryMap,"Available","1000","9FFFF","9F","F"                                      the shell's with -sfo

A whole boot log goes to the log's reader, which takes such lines along with all else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from memplan.errors import InputError
from memplan.firmware.source import Source, SourceFacts
from memplan.klog.memory_types import EFI_ATTRIBUTES, efi_attributes, efi_type
from memplan.machine.model import (
    E820_ACPI,
    E820_NVS,
    E820_PMEM,
    E820_RAM,
    E820_RESERVED,
    E820_SOFT_RESERVED,
    E820_UNUSABLE,
    E820Entry,
    EfiRange,
)
from memplan.units import PAGE_SIZE

#: More descriptors than any machine's map has.
_LIMIT = 1 << 16
#: A listing in the shell's own encoding is read whole, up to this.
_UTF16_LIMIT = 8 << 20

_KERNEL = re.compile(
    r"(?:efi|EFI): mem ?(?P<index>\d{1,20}): "
    r"(?:\[(?P<name>[^|\]=]++)\|(?:attr=0x(?P<bits>[0-9a-f]+)|(?P<flags>[^\]]*))\]"
    r"|\[type=(?P<typed>\d{1,20})\|(?:attr=0x(?P<typed_bits>[0-9a-f]+)|(?P<typed_flags>[^\]]*))\]"
    r"|type=(?P<number>\d{1,20}), attr=0x(?P<attribute>[0-9a-f]+),)"
    r" range=\[0x(?P<start>[0-9a-f]+)-0x(?P<end>[0-9a-f]+)(?P<bracket>[\])])"
)
_SHELL = re.compile(
    r"\s*(?P<name>\[?\w+\]?)\s+(?P<start>[0-9A-F]{8,16})\s*-\s*(?P<end>[0-9A-F]{8,16})"
    r"\s+(?P<pages>[0-9A-F]{8,16})\s+(?P<attribute>[0-9A-F]{8,16})\s*$",
    re.IGNORECASE,
)
_SHELL_SFO = re.compile(
    r'\s*MemoryMap,"(?P<name>[^"]+)","(?P<start>[0-9A-F]+)","(?P<end>[0-9A-F]+)","(?P<pages>[0-9A-F]+)",'
    r'"(?P<attribute>[0-9A-F]+)"',
    re.IGNORECASE,
)
_LOG = re.compile(rb"Linux version |BIOS-e820: |[Cc]ommand line: ")

_SPECIFIC_PURPOSE = 1 << EFI_ATTRIBUTES["SP"]
#: EFI types that are RAM once the boot services have gone, and what each type becomes in e820; others are left out.
_FREE = (1, 2, 3, 4, 7)
_E820_TYPES = {
    **dict.fromkeys(_FREE, E820_RAM),
    **dict.fromkeys((0, 5, 6, 11, 12, 13), E820_RESERVED),
    8: E820_UNUSABLE,
    9: E820_ACPI,
    10: E820_NVS,
    14: E820_PMEM,
}


def recognises(head: bytes) -> bool:
    """Whether a text that begins so is an EFI memory map, and no whole boot log."""
    if _LOG.search(head):
        return False
    return any(_row(line) for line in _text(head).splitlines())


def read(source: Source) -> SourceFacts:
    """The descriptors, and the e820 map that a boot loader makes of them; InputError where none is whole."""
    found = SourceFacts(source.name, "EFI memory map")
    descriptors: list[EfiRange] = []
    first = 0
    for number, line in _lines(source):
        row = _row(line)
        if row is None:
            continue
        if descriptors and (row.groupdict().get("index") or "1").strip("0") == "":
            found.note("the map is printed again, as the kernel changed it; the first one counts", number)
            break
        first = first or number
        descriptor = _descriptor(row)
        if descriptor is None:
            found.damage(f"an EFI memory type called {row['name'].strip()!r} is unknown", line=number)
        elif descriptor.end <= descriptor.start or (descriptor.end | descriptor.start) % PAGE_SIZE:
            found.damage(
                f"range {descriptor.start:#x}-{descriptor.end - 1:#x}: ends before it begins, or not at a page's end",
                line=number,
            )
        else:
            _check_pages(found, row, descriptor, number)
            descriptors.append(descriptor)
        if len(descriptors) > _LIMIT:
            raise InputError.single(source.name, f"more than {_LIMIT} descriptors, too many for a map", line=number)
    if not descriptors:
        problem = found.problems[0].message if found.problems else "no descriptor is whole"
        raise InputError.single(source.name, problem, line=first)
    found.put("efi.descriptors", tuple(descriptors), "EFI memory map", line=first)
    found.put("e820", e820_of(descriptors), "made of the EFI memory map", line=first, weak=True)
    found.note("e820 is made of the EFI memory map as the kernel's EFI stub makes it; a log's BIOS-e820 is better")
    return found


def e820_of(descriptors: Iterable[EfiRange]) -> tuple[E820Entry, ...]:
    """The e820 map of an EFI map: types as setup_e820 chooses them (the kernel's EFI stub), neighbours joined."""
    entries: list[E820Entry] = []
    for descriptor in sorted(descriptors, key=lambda known: known.start):
        kind = _E820_TYPES.get(descriptor.type)
        if kind is None:
            continue
        if kind == E820_RAM and descriptor.attribute & _SPECIFIC_PURPOSE:
            kind = E820_SOFT_RESERVED
        if entries and entries[-1].end == descriptor.start and entries[-1].type == kind:
            entries[-1] = E820Entry(entries[-1].start, descriptor.end, kind)
        else:
            entries.append(E820Entry(descriptor.start, descriptor.end, kind))
    return tuple(entries)


def _text(head: bytes) -> str:
    return head.decode("utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin-1", "replace")


def _lines(source: Source) -> Iterator[tuple[int, str]]:
    """The lines with their numbers; the shell writes files in UTF-16."""
    if source.head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        yield from enumerate(_text(source.content(_UTF16_LIMIT)).splitlines(), 1)
        return
    for number, line in source.lines():
        yield number, line.decode("latin-1")


def _row(line: str) -> re.Match[str] | None:
    if "range=[" in line:
        return _KERNEL.search(line)
    return _SHELL.match(line) or _SHELL_SFO.match(line)


def _descriptor(row: re.Match[str]) -> EfiRange | None:
    """The row's descriptor; None where its type is unknown."""
    words = row.groupdict()
    start, end = int(row["start"], 16), int(row["end"], 16)
    if words.get("bracket") != ")":
        end += 1
    number = words.get("typed") or words.get("number")
    kind = int(number) if number else efi_type(row["name"])
    if kind is None:
        return None
    bits = words.get("attribute") or words.get("bits") or words.get("typed_bits")
    flags = words.get("flags") or words.get("typed_flags") or ""
    return EfiRange(start, end, kind, int(bits, 16) if bits else efi_attributes(flags))


def _check_pages(found: SourceFacts, row: re.Match[str], descriptor: EfiRange, line: int) -> None:
    pages = row.groupdict().get("pages")
    size = (descriptor.end - descriptor.start) // PAGE_SIZE
    if pages is not None and int(pages, 16) != size:
        found.damage(f"says {int(pages, 16)} pages, its range has {size}", line=line)
