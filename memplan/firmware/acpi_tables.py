"""ACPI tables from bytes: header, sub-tables with their offsets and raw fields, and what is wrong with them.

One walk serves SRAT, MADT (``APIC``), HMAT, CEDT and MSCT: what a table's sub-tables look like is data
(memplan/firmware/acpi_layouts.py).  The SLIT has its matrix; of every other table the header is read.  Nothing here
decides what Linux makes of a table.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from memplan.errors import InputError
from memplan.firmware.acpi_layouts import BODIES, Body, Layout

#: Bytes of the header that all tables but FACS and RSDP have.
HEADER_SIZE = 36
#: No table is longer than this; more sub-tables than this are not read.
TABLE_LIMIT = 16 << 20
ENTRY_LIMIT = 1 << 16
#: More tables than this are not read from one file.
_TABLES_LIMIT = 4096
#: A kind of damage is told this often for one table.
_DEFECT_LIMIT = 64

#: What can be wrong with a table, by stable name:
#: "checksum": the bytes don't add up to 0; "length": the table is longer or shorter than its header says;
#: "overrun": a sub-table reaches beyond the table's end; "zero-length-subtable": a sub-table too short to hold its
#: own length, where the walk ends; "subtable-length": another length than its type has; "unknown-type";
#: "reserved-bits" of flags, and "reserved-field", that should be zero; "too-many-entries".
DefectKind = Literal[
    "checksum",
    "length",
    "overrun",
    "zero-length-subtable",
    "subtable-length",
    "unknown-type",
    "reserved-bits",
    "reserved-field",
    "too-many-entries",
]
#: The kinds that make a table's content doubtful; the others are faults of form that no reader minds.
DAMAGE: frozenset[DefectKind] = frozenset(
    ("checksum", "length", "overrun", "zero-length-subtable", "subtable-length", "too-many-entries")
)


@dataclass(frozen=True, slots=True)
class Defect:
    """One thing wrong with a table: its `kind`, the byte `offset` from the table's start, and a sentence."""

    kind: DefectKind
    offset: int
    message: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One sub-table, `offset` bytes from the table's start.

    `values` are its fields by name (see `BODIES`), raw as they stand there; empty where the type is unknown or the
    sub-table too short for it.  `items` are the numbers of its list (targets of a CEDT window, an HMAT matrix).
    """

    offset: int
    type: int
    length: int
    name: str = ""
    values: Mapping[str, int] = field(default_factory=dict)
    items: tuple[int, ...] = ()

    def __getitem__(self, name: str) -> int:
        return self.values[name]

    @property
    def enabled(self) -> bool:
        """Bit 0 of the flags."""
        return bool(self.values.get("flags", 0) & 1)


@dataclass(slots=True)
class RawTable:
    """One table: header, sub-tables in their order, and its `defects`.

    `source` names the file, `offset` is the table's place in it, `address` its place in memory (0: unknown).
    `length` is what the header says; `data` are the bytes that there are, no more than that.  `values` are
    fields of the table itself; `matrix` is the SLIT's, row by row (() where it is not whole).  `lines` tells, for
    a text, which byte offset stands on which line: (offset, line) in ascending order.
    """

    source: str
    signature: str
    data: bytes
    offset: int = 0
    address: int = 0
    length: int = 0
    revision: int = 0
    values: dict[str, int] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    matrix: tuple[tuple[int, ...], ...] = ()
    defects: list[Defect] = field(default_factory=list)
    lines: Sequence[tuple[int, int]] = ()

    def line(self, offset: int) -> int:
        """The line of the text on which the byte at `offset` stands; 0 for a binary table."""
        at = bisect_right(self.lines, offset, key=lambda place: place[0])
        return self.lines[at - 1][1] if at else 0

    def of_type(self, *types: int) -> Iterator[Entry]:
        """The sub-tables of these types that could be read whole."""
        return (entry for entry in self.entries if entry.type in types and entry.values)

    def defect(self, kind: DefectKind, offset: int, message: str) -> None:
        """Note a defect, up to a number for each kind."""
        if sum(1 for known in self.defects if known.kind == kind) < _DEFECT_LIMIT:
            self.defects.append(Defect(kind, offset, message))


def is_table(head: bytes) -> bool:
    """Whether bytes that begin so are an ACPI table, whole or damaged: a signature, and a length that is not text."""
    signature, length = head[:4], head[4:8]
    if len(signature) < 4 or not all(char in _SIGNATURE for char in signature):
        return False
    if int.from_bytes(length, "little") <= TABLE_LIMIT and len(length) == 4:
        return True
    known = signature.decode() in (*BODIES, "SLIT")
    return known and any(byte < 9 or byte > 126 for byte in head[4:HEADER_SIZE])


_SIGNATURE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_!$")


def parse_tables(data: bytes, source: str) -> list[RawTable]:
    """The tables that stand one behind the other in `data`.

    Raises InputError where not even the first one's header is whole.
    """
    tables: list[RawTable] = []
    at = 0
    while at < len(data):
        head = data[at : at + HEADER_SIZE]
        if at and (len(head) < HEADER_SIZE or not is_table(head) or len(tables) == _TABLES_LIMIT):
            if any(data[at:]):
                tables[-1].defect("length", at - tables[-1].offset, f"{len(data) - at} bytes follow the table's end")
            break
        length = int.from_bytes(head[4:8], "little")
        size = length if HEADER_SIZE <= length <= TABLE_LIMIT else TABLE_LIMIT
        tables.append(parse_table(data[at : at + size], source, at))
        at += size
    return tables


def parse_table(
    data: bytes, source: str, offset: int = 0, *, address: int = 0, lines: Sequence[tuple[int, int]] = ()
) -> RawTable:
    """The table at the head of `data`, which was read at `offset` of `source`.

    Raises InputError where the header is not whole.
    """
    line = lines[0][1] if lines else 0
    if len(data) < 8:
        raise InputError.single(source, f"byte {offset:#x}: a table's head needs 8 bytes, found {len(data)}", line=line)
    signature = data[:4].decode("latin-1")
    length = int.from_bytes(data[4:8], "little")
    if signature == "FACS":
        return RawTable(source, signature, data[:length], offset, address, length, lines=lines)
    if data[:8] == b"RSD PTR ":
        return RawTable(source, "RSDP", data[:HEADER_SIZE], offset, address, min(len(data), HEADER_SIZE), lines=lines)
    if len(data) < HEADER_SIZE:
        raise InputError.single(
            source, f"byte {offset:#x}: {signature}: the header has {HEADER_SIZE} bytes, found {len(data)}", line=line
        )
    whole = data[:length] if HEADER_SIZE <= length <= len(data) else data
    table = RawTable(
        source,
        signature,
        whole,
        offset,
        address,
        length,
        data[8],
        lines=lines,
    )
    if length != len(whole):
        what = f"the header says {length} bytes" + (
            f", fewer than it has itself ({HEADER_SIZE})" * (length < HEADER_SIZE)
        )
        table.defect("length", 4, f"{what}, {len(whole)} are there")
    elif sum(whole) & 0xFF:
        table.defect("checksum", 9, f"the checksum is {data[9]:#04x}, should be {(data[9] - sum(whole)) & 0xFF:#04x}")
    if signature == "SLIT":
        _read_slit(table)
    elif signature in BODIES:
        _read_body(table, BODIES[signature])
    return table


def _read_slit(table: RawTable) -> None:
    data = table.data
    if len(data) < 44:
        table.defect("length", len(data), f"a SLIT has at least 44 bytes, found {len(data)}")
        return
    count = table.values["localities"] = int.from_bytes(data[36:44], "little")
    if count * count > len(data) - 44:
        table.defect("overrun", 36, f"{count} localities need {44 + count * count} bytes, found {len(data)}")
        return
    table.matrix = tuple(tuple(data[44 + row * count : 44 + (row + 1) * count]) for row in range(count))


def _read_body(table: RawTable, body: Body) -> None:
    if len(table.data) < body.start:
        table.defect(
            "length", len(table.data), f"a {table.signature} has at least {body.start} bytes, found {len(table.data)}"
        )
        return
    table.values.update(_values(table.data, 0, body.fields))
    at = table.values.get("proximity_offset", body.start)
    if not HEADER_SIZE <= at <= len(table.data):
        table.defect("overrun", HEADER_SIZE, f"the structures should begin at byte {at:#x}, outside the table")
        return
    head_size = body.length_at + body.length_size
    while at < len(table.data):
        if len(table.entries) == ENTRY_LIMIT:
            table.defect("too-many-entries", at, f"more than {ENTRY_LIMIT} sub-tables")
            return
        if len(table.data) - at < head_size:
            table.defect("overrun", at, f"{len(table.data) - at} bytes are left, fewer than a sub-table's head has")
            return
        number = int.from_bytes(table.data[at : at + body.type_size], "little")
        length = int.from_bytes(table.data[at + body.length_at : at + head_size], "little")
        layout = body.layouts.get(number)
        name = layout.name if layout else ""
        what = f"sub-table of type {number:#x}" + (f" ({name})" if name else "")
        if length < head_size:
            table.defect("zero-length-subtable", at, f"{what} says it has {length} bytes; none behind it can be found")
            return
        if at + length > len(table.data):
            table.defect("overrun", at, f"{what} has {length} bytes, {len(table.data) - at} are left in the table")
        table.entries.append(_read_entry(table, layout, at, number, length, what))
        if layout is None and number < body.vendor_types:
            table.defect("unknown-type", at, f"{what} is unknown")
        at += length


def _read_entry(table: RawTable, layout: Layout | None, at: int, number: int, length: int, what: str) -> Entry:
    if layout is None:
        return Entry(at, number, length)
    if length < layout.size or (layout.exact and length != layout.size):
        table.defect("subtable-length", at, f"{what} has {length} bytes, should have {layout.size}")
    if length < layout.size or at + layout.size > len(table.data):
        return Entry(at, number, length, layout.name)
    values = _values(table.data, at, layout.fields)
    for name, (offset, _) in layout.fields.items():
        if name.startswith("reserved") and values[name]:
            table.defect("reserved-field", at + offset, f"{what}: a reserved field is {values[name]:#x}, should be 0")
        elif name == "flags" and values[name] & ~layout.flags:
            bits = values[name] & ~layout.flags
            table.defect("reserved-bits", at + offset, f"{what}: reserved bits {bits:#x} are set in the flags")
    return Entry(at, number, length, layout.name, values, _items(table, layout.name, at, length, values, what))


def _items(table: RawTable, name: str, at: int, length: int, values: Mapping[str, int], what: str) -> tuple[int, ...]:
    """The list behind an entry's fields: a CEDT window's targets, an HMAT locality's matrix by rows of initiators."""
    if name == "CXL Fixed Memory Window Structure":
        start, count, size = at + 36, _interleave_ways(values["interleave_ways"]), 4
    elif name == "System Locality Latency and Bandwidth Information":
        lists = 4 * (values["initiators"] + values["targets"])
        start, count, size = at + 32 + lists, values["initiators"] * values["targets"], 2
    else:
        return ()
    end = start + count * size
    if end > at + length:
        table.defect("subtable-length", at, f"{what} has {length} bytes, its list needs {end - at}")
        return ()
    if end > len(table.data):
        return ()
    return tuple(int.from_bytes(table.data[place : place + size], "little") for place in range(start, end, size))


def _interleave_ways(encoded: int) -> int:
    """CXL's coded number of ways: 0 to 4 are powers of two, 8 to 10 three times those; 0 for a wrong code."""
    if encoded <= 4:
        return 1 << encoded
    return 3 << (encoded - 8) if 8 <= encoded <= 10 else 0


def _values(data: bytes, at: int, fields: Mapping[str, tuple[int, int]]) -> dict[str, int]:
    return {
        name: int.from_bytes(data[at + offset : at + offset + size], "little")
        for name, (offset, size) in fields.items()
    }
