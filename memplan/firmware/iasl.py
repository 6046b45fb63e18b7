"""Reader of ``iasl -d`` listings of data tables, in the three layouts that exist, several tables in one file.

    [058h 0088   1]                Subtable Type : 01 [Memory Affinity]        disassembler until 2021
    [058h 0088 001h]               Subtable Type : 01 [Memory Affinity]        disassembler since 2022
    [0001]                         Subtable Type : 01 [Memory Affinity]        template, and compiler source

The table's bytes are put together again and read as those of a binary table.  They come from the ``Raw Table
Data`` where the listing has it, else from its fields; where the two disagree, the listing was edited or damaged, and
that is a problem of the result.  A source has no length and checksum of its own yet: they are made, as the compiler
does.  Lines without an offset only explain flags, unless it is a source that was written by hand: the compiler takes
fields in their order, whatever stands in brackets before them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from memplan.errors import InputError, Problem
from memplan.firmware.acpi_facts import found_of
from memplan.firmware.acpi_tables import HEADER_SIZE, TABLE_LIMIT, RawTable, parse_table
from memplan.firmware.source import LINE_LIMIT, WHOLE_LIMIT, Source, SourceFacts

_FIELD = re.compile(
    rb"\[(?:(?P<at>[0-9A-F]+)h +\d+ +(?:(?P<size>\d+)|(?P<hexsize>[0-9A-F]+)h)|(?P<plain>\d{4}))\]\s++"
    rb"(?P<name>[^:]*+):\s*+(?P<value>.*)",
    re.IGNORECASE,
)
#: A field of a source without an offset; its value is as many bytes as it has pairs of digits.
_BARE_FIELD = re.compile(
    rb'\s*+(?P<name>[A-Z][^:*/\[\]"]*+):\s*+(?P<value>"[^"]*"|(?:0x)?[0-9A-F][0-9A-F ]*)(?:\s|$)', re.IGNORECASE
)
_COMMENT = re.compile(rb"/\*.*?\*/|//.*$")
#: What a source's sub-tables begin with, and fields without an offset that only explain others.
_SUBTABLE = re.compile(rb"^[ \t]*+(?:Subtable|Structure) Type[ \t]*+:", re.MULTILINE | re.IGNORECASE)
_EXPLAINING = (b"cache line size",)
#: The header's fields that are text, or need not be written in full.
_HEADER_SIZES = {
    b"signature": 4,
    b"table length": 4,
    b"oem id": 6,
    b"oem table id": 8,
    b"oem revision": 4,
    b"asl compiler id": 4,
    b"asl compiler revision": 4,
}
_SIGNATURE = re.compile(rb'^(?:\[[^\]\n]{4,20}\])?+[ \t]*+Signature[ \t]*+:[ \t]*+"', re.MULTILINE)
_RAW = re.compile(rb"\s*+Raw Table Data\b")
_RAW_ROW = re.compile(rb"\s*+([0-9A-Fa-f]{4,8}): ((?:[0-9A-Fa-f]{2}(?: |$)){1,16})")
_TEXT = re.compile(rb'"(.*)"')
_HEX = re.compile(rb"(?:0x)?([0-9A-Fa-f]{1,16})(?![0-9A-Za-z-])")
_BYTES = re.compile(rb"(?:[0-9A-Fa-f]{2}(?:\s+|$))+")
#: Tables whose fields are read; of the others it is the header.
_READ = (b"SRAT", b"SLIT", b"APIC", b"HMAT", b"CEDT", b"MSCT")

#: No SLIT is longer than this with what firmware leaves behind its matrix.
_PADDING_LIMIT = 1 << 18
#: What a field takes in memory, about, so that WHOLE_LIMIT bounds it.
_FIELD_COST = 256


def recognises(head: bytes) -> bool:
    """Whether a text that begins so lists a data table."""
    return _SIGNATURE.search(head) is not None


def read(source: Source) -> SourceFacts:
    """The facts of all tables in the listing; InputError where none can be read."""
    problems: list[Problem] = []
    found = found_of(source.name, "iasl listing", tables(source, problems))
    found.problems[:0] = problems
    return found


def tables(source: Source, problems: list[Problem] | None = None) -> list[RawTable]:
    """The tables of the listing, in its order.

    Where fields and raw data disagree, and a table cut in its header, is added to `problems`.

    Raises InputError, with the line, for a listing that can't be read.
    """
    result: list[RawTable] = []
    listing: _Listing | None = None
    room = WHOLE_LIMIT
    loose = _is_handwritten(source)
    for number, line in _without_comments(_joined(source)) if loose else _joined(source):
        if loose and (field := _FIELD.match(line) or _BARE_FIELD.match(line)):
            if _is_start(field):
                _finish(listing, result, problems)
                listing = _Listing(source.name)
            if listing is not None:
                room -= _FIELD_COST + listing.append_field(field, number)
        elif field := _FIELD.match(line):
            if _is_start(field):
                _finish(listing, result, problems)
                listing = _Listing(source.name)
            if listing is not None:
                room -= _FIELD_COST + listing.add_field(field, number)
        elif listing is not None and _RAW.match(line):
            listing.raw_line = number
        elif listing is not None and listing.raw_line and (row := _RAW_ROW.match(line)):
            listing.add_row(int(row[1], 16), bytes.fromhex(row[2].decode()), number)
            room -= 16
        if room < 0:
            raise InputError.single(source.name, "the listing holds more than ACPI tables can", line=number)
    _finish(listing, result, problems)
    if not result:
        raise InputError.single(source.name, "the listing holds no table that can be read")
    return result


def _joined(source: Source) -> Iterator[tuple[int, bytes]]:
    """The lines with their numbers; a field that goes on behind a backslash is one line."""
    pending, first = b"", 0
    for number, line in source.lines():
        if pending:
            line = pending + line.lstrip()
        elif line.startswith(b"["):
            first = number
        else:
            first = 0
        pending = b""
        if first and line.endswith(b"\\") and len(line) < LINE_LIMIT:
            pending = line[:-1]
        else:
            yield first or number, line
    if pending:
        yield first, pending


def _is_handwritten(source: Source) -> bool:
    """Whether sub-tables stand in the text without offsets."""
    return any(_SUBTABLE.match(line) for _, line in source.lines())


def _without_comments(lines: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    inside = False
    for number, line in lines:
        if inside:
            _, end, line = line.partition(b"*/")
            if not end:
                continue
        line = _COMMENT.sub(b"", line)
        line, start, _ = line.partition(b"/*")
        inside = bool(start)
        yield number, line


def _is_start(field: re.Match[bytes]) -> bool:
    return field["name"].strip().lower() == b"signature" and field["value"].startswith(b'"')


class _Listing:
    """The listing of one table while it is read."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.fields: list[tuple[int, bytes, int]] = []
        self.built = bytearray()
        self.is_source = False
        self.raw = bytearray()
        self.raw_line = 0

    def add_field(self, field: re.Match[bytes], line: int) -> int:
        """Note a field; by how much the table grows.  InputError where it can't be read."""
        if field["plain"]:
            at, size = len(self.built), int(field["plain"])
            self.is_source = True
        else:
            at = int(field["at"], 16)
            size = int(field["size"]) if field["size"] else int(field["hexsize"], 16)
        if at >= HEADER_SIZE and self.built[:4] not in _READ:
            return 0
        if at + size > TABLE_LIMIT:
            raise InputError.single(self.source, f"byte {at:#x}: no table is that long", line=line)
        data = _bytes_of(field["value"].strip(), size)
        if data is None:
            shown = field["value"].decode("utf-8", "replace").strip()[:60]
            raise InputError.single(
                self.source, f"byte {at:#x}: expected {size} bytes in hex, found {shown!r}", line=line
            )
        self.fields.append((at, data, line))
        grown = max(at + size - len(self.built), 0)
        self.built += bytes(grown)
        self.built[at : at + size] = data
        return grown

    def append_field(self, field: re.Match[bytes], line: int) -> int:
        """Note the next field of a source, wherever it says that it stands; by how much the table grows."""
        name, value = field["name"].strip().lower(), field["value"].strip()
        groups = field.groupdict()
        if groups.get("size") or groups.get("hexsize"):
            size = int(field["size"]) if field["size"] else int(field["hexsize"], 16)
        elif groups.get("plain"):
            size = int(field["plain"])
        elif name in _HEADER_SIZES and len(self.built) < HEADER_SIZE:
            size = _HEADER_SIZES[name]
        elif name in _EXPLAINING:
            return 0
        else:
            digits = value.removeprefix(b"0x").replace(b" ", b"")
            if len(digits) % 2:
                # A single digit explains a bit of the flags before it.
                return 0
            size = len(digits) // 2
        at = len(self.built)
        if at >= HEADER_SIZE and self.built[:4] not in _READ:
            return 0
        if at + size > TABLE_LIMIT:
            raise InputError.single(self.source, f"byte {at:#x}: no table is that long", line=line)
        data = _bytes_of(value, size)
        if data is None:
            shown = value.decode("utf-8", "replace")[:60]
            raise InputError.single(
                self.source, f"byte {at:#x}: expected {size} bytes in hex, found {shown!r}", line=line
            )
        self.is_source = True
        self.fields.append((at, data, line))
        self.built += data
        return size

    def add_row(self, offset: int, data: bytes, line: int) -> None:
        """Note a row of the raw data.  InputError where rows are missing before it."""
        if offset != len(self.raw):
            raise InputError.single(
                self.source,
                f"this row is for byte {offset:#x}, expected {len(self.raw):#x}: rows are missing",
                line=line,
            )
        self.raw += data

    def table(self, problems: list[Problem] | None) -> RawTable:
        """The table, from the raw data where it is there and whole, else from the fields."""
        lines = sorted((at, line) for at, _, line in self.fields)
        length = int.from_bytes(self.built[4:8], "little")
        if HEADER_SIZE <= length <= len(self.raw):
            if problems is not None:
                problems += self._differences()
            return parse_table(bytes(self.raw), self.source, lines=lines)
        if self.built[:4] not in _READ:
            table = parse_table(bytes(self.built.ljust(HEADER_SIZE, b"\0")), self.source, lines=lines)
            table.defects.clear()
            return table
        if self.is_source and len(self.built) >= HEADER_SIZE:
            self.built[4:8] = len(self.built).to_bytes(4, "little")
            self.built[9] = (self.built[9] - sum(self.built)) & 0xFF
        elif self.built[:4] == b"SLIT" and len(self.built) < length <= _PADDING_LIMIT and self._matrix_is_whole():
            self.built += bytes(length - len(self.built))
        table = parse_table(bytes(self.built), self.source, lines=lines)
        if not self._all_known():
            table.defects[:] = [defect for defect in table.defects if defect.kind != "checksum"]
        return table

    def _all_known(self) -> bool:
        """Whether the fields tell every byte: not those of unknown sub-tables, nor of text that can't be printed."""
        told = sum(len(data) for _, data, _ in self.fields)
        text = bytes(self.built[10:24] + self.built[28:32])
        return told == len(self.built) and not any(char in text for char in b"\0?")

    def _matrix_is_whole(self) -> bool:
        """Whether a SLIT's matrix is there; bytes that firmware leaves behind it are never listed."""
        count = int.from_bytes(self.built[36:44], "little")
        return len(self.built) >= 44 + count * count > 44

    def _differences(self) -> list[Problem]:
        return [
            Problem(
                self.source,
                f"byte {at:#x}: this field is {data[::-1].hex()}, the raw data say {raw[::-1].hex()}",
                line=line,
                hint="take the raw data out of a listing that was edited",
            )
            for at, data, line in self.fields
            if at >= HEADER_SIZE and data != (raw := bytes(self.raw[at : at + len(data)]))
        ]


def _bytes_of(value: bytes, size: int) -> bytes | None:
    """The bytes that a field's value stands for: text, bytes one by one, or a number; None for what is neither."""
    if text := _TEXT.match(value):
        return text[1][:size].ljust(size, b"\0")
    if (found := _BYTES.match(value)) and len(data := bytes.fromhex(found[0].decode())) == size > 1:
        return data
    if (number := _HEX.match(value)) and (parsed := int(number[1], 16)) < 1 << 8 * size:
        return parsed.to_bytes(size, "little")
    return None


def _finish(listing: _Listing | None, result: list[RawTable], problems: list[Problem] | None) -> None:
    if listing is None:
        return
    try:
        result.append(listing.table(problems))
    except InputError as error:
        if not result or problems is None:
            raise
        problems += error.problems
