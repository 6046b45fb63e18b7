"""Reader of ``iasl -d`` listings of data tables, in the three layouts that exist, several tables in one file.

    [058h 0088   1]                Subtable Type : 01 [Memory Affinity]        disassembler until 2021
    [058h 0088 001h]               Subtable Type : 01 [Memory Affinity]        disassembler since 2022
    [0001]                         Subtable Type : 01 [Memory Affinity]        template, and compiler source

The table's bytes are put together again and read as those of a binary table.  They come from the ``Raw Table
Data`` where the listing has it, else from its fields; where the two disagree, the listing was edited or damaged, and
that is a problem of the result.  Lines without an offset only explain flags and are never read.
"""

from __future__ import annotations

import re

from memplan.errors import InputError, Problem
from memplan.firmware.acpi_facts import found_of
from memplan.firmware.acpi_tables import HEADER_SIZE, TABLE_LIMIT, Table, parse_table
from memplan.firmware.source import WHOLE_LIMIT, Found, Source

_FIELD = re.compile(
    rb"\[(?:(?P<at>[0-9A-F]+)h +\d+ +(?:(?P<size>\d+)|(?P<hexsize>[0-9A-F]+)h)|(?P<plain>\d{4}))\]\s+"
    rb"(?P<name>[^:]*?)\s*:\s*(?P<value>.*)",
    re.IGNORECASE,
)
_SIGNATURE = re.compile(rb'^\[[^\]\n]{4,20}\]\s+Signature\s*:\s*"', re.MULTILINE)
_RAW = re.compile(rb"\s*Raw Table Data\b")
_RAW_ROW = re.compile(rb"\s*([0-9A-Fa-f]{4,8}): ((?:[0-9A-Fa-f]{2}(?: |$)){1,16})")
_TEXT = re.compile(rb'"(.*)"')
_HEX = re.compile(rb"(?:[0-9A-Fa-f]{2,16}|[0-9A-Fa-f])(?![0-9A-Za-z])")
_BYTES = re.compile(rb"(?:[0-9A-Fa-f]{2}(?:\s+|$))+")
#: Sizes of fields that are printed as numbers; others are printed byte by byte.
_NUMBERS = (1, 2, 4, 8)
#: Tables whose fields are compared with their raw data.
_COMPARED = frozenset(("SRAT", "SLIT", "APIC", "HMAT", "CEDT", "MSCT"))


def recognises(head: bytes) -> bool:
    """Whether a text that begins so lists a data table."""
    return _SIGNATURE.search(head) is not None


def read(source: Source) -> Found:
    """The facts of all tables in the listing; InputError where none can be read."""
    problems: list[Problem] = []
    found = found_of(source.name, "iasl listing", tables(source, problems), whole=False)
    found.problems[:0] = problems
    return found


def tables(source: Source, problems: list[Problem] | None = None) -> list[Table]:
    """The tables of the listing, in its order; places where fields and raw data disagree are added to `problems`.

    Raises InputError, with the line, for a listing that can't be read.
    """
    result: list[Table] = []
    listing: _Listing | None = None
    room = WHOLE_LIMIT
    for number, line in source.lines():
        if field := _FIELD.match(line):
            if _is_start(field):
                _finish(listing, result, problems)
                listing = _Listing(source.name)
            if listing is not None:
                room -= listing.add_field(field, number)
        elif listing is not None and _RAW.match(line):
            listing.raw_line = number
        elif listing is not None and listing.raw_line and (row := _RAW_ROW.match(line)):
            room -= listing.add_row(int(row[1], 16), bytes.fromhex(row[2].decode()), number)
        if room < 0:
            raise InputError.single(source.name, "the listing holds more than ACPI tables can", line=number)
    _finish(listing, result, problems)
    if not result:
        raise InputError.single(source.name, "the listing holds no table that can be read")
    return result


def _is_start(field: re.Match[bytes]) -> bool:
    return field["name"].strip().lower() == b"signature" and field["value"].startswith(b'"')


class _Listing:
    """The listing of one table while it is read."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.fields: list[tuple[int, int, bytes, int]] = []
        self.size = 0
        self.raw = bytearray()
        self.raw_line = 0
        self.raw_lines: list[tuple[int, int]] = []

    def add_field(self, field: re.Match[bytes], line: int) -> int:
        """Note a field; the bytes that it takes.  InputError where it can't be read."""
        if field["plain"]:
            at, size = self.size, int(field["plain"])
        else:
            at = int(field["at"], 16)
            size = int(field["size"]) if field["size"] else int(field["hexsize"], 16)
        if at + size > TABLE_LIMIT:
            raise InputError.single(self.source, f"byte {at:#x}: no table is that long", line=line)
        data = _bytes_of(field["value"].strip(), size)
        if data is None:
            shown = field["value"].decode("utf-8", "replace").strip()[:60]
            raise InputError.single(
                self.source, f"byte {at:#x}: expected {size} bytes in hex, found {shown!r}", line=line
            )
        self.fields.append((at, size, data, line))
        self.size = max(self.size, at + size)
        return size

    def add_row(self, offset: int, data: bytes, line: int) -> int:
        """Note a row of the raw data; the bytes that it takes.  InputError where rows are missing before it."""
        if offset != len(self.raw):
            raise InputError.single(
                self.source,
                f"this row is for byte {offset:#x}, expected {len(self.raw):#x}: rows are missing",
                line=line,
            )
        self.raw += data
        self.raw_lines.append((offset, line))
        return len(data)

    def table(self, problems: list[Problem] | None) -> Table:
        """The table, from the raw data where it is there and whole, else from the fields."""
        built = bytearray(self.size)
        for at, size, data, _ in self.fields:
            built[at : at + size] = data
        length = int.from_bytes(built[4:8], "little")
        lines = sorted((at, line) for at, _, _, line in self.fields)
        if HEADER_SIZE <= length <= len(self.raw):
            if problems is not None and built[:4].decode("latin-1") in _COMPARED:
                problems += self._differences()
            return parse_table(bytes(self.raw), self.source, lines=lines)
        if self.size < length <= TABLE_LIMIT and not self._cut():
            built += bytes(length - self.size)
        return parse_table(bytes(built), self.source, lines=lines)

    def _cut(self) -> bool:
        """Whether the listing ends early, as against bytes at the table's end that are never listed (after a SLIT)."""
        return bytes(self.fields[0][2]) != b"SLIT"

    def _differences(self) -> list[Problem]:
        return [
            Problem(
                self.source,
                f"byte {at:#x}: this field is {data[::-1].hex()}, the raw data say {raw[::-1].hex()}",
                line=line,
                hint="remove the raw data from a listing that was edited",
            )
            for at, size, data, line in self.fields
            if size in _NUMBERS
            and at >= HEADER_SIZE
            and data != (raw := bytes(self.raw[at : at + size]))
            and len(raw) == size
        ]


def _bytes_of(value: bytes, size: int) -> bytes | None:
    """The bytes that a field's value stands for; None where it is not of that size."""
    if text := _TEXT.match(value):
        return text[1][:size].ljust(size, b"\0")
    if (found := _BYTES.match(value)) and len(data := bytes.fromhex(found[0].decode())) == size > 1:
        return data
    if size in _NUMBERS and (number := _HEX.match(value)):
        parsed = int(number[0], 16)
        if parsed < 1 << 8 * size:
            return parsed.to_bytes(size, "little")
    if (number := re.match(rb"[0-9A-Fa-f]+\b", value)) and len(number[0]) == 2 * size:
        return bytes.fromhex(number[0].decode())
    return None


def _finish(listing: _Listing | None, result: list[Table], problems: list[Problem] | None) -> None:
    if listing is not None:
        result.append(listing.table(problems))
