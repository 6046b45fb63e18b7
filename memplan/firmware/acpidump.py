"""Reader of ``acpidump`` text: all tables of a machine as hex dumps, each behind its signature and address.

SRAT @ 0x000000007FFE1C38
    0000: 53 52 41 54 28 01 00 00 01 7A 42 4F 43 48 53 20  SRAT(....zBOCHS
"""

from __future__ import annotations

import re

from memplan.errors import InputError, Problem
from memplan.firmware.acpi_facts import found_of
from memplan.firmware.acpi_tables import TABLE_LIMIT, RawTable, parse_table
from memplan.firmware.source import WHOLE_LIMIT, Source, SourceFacts

_HEADING = re.compile(rb"[ \t]*+([A-Z0-9_!$]{4}|RSD PTR)[ \t]*+@[ \t]*+(?:0x)?([0-9A-Fa-f]{1,16})[ \t]*+")
_BEGIN = re.compile(rb"^" + _HEADING.pattern + rb"\r?\n[ \t]*+[0-9A-Fa-f]{4,8}: [0-9A-Fa-f]{2} ", re.MULTILINE)
#: The offset, and up to sixteen bytes; what follows two spaces is the same as text.
_ROW = re.compile(rb"[ \t]*+([0-9A-Fa-f]{4,8}): ((?:[0-9A-Fa-f]{2}(?: |$)){1,16})")

#: What a row takes in memory, about, so that WHOLE_LIMIT bounds it.
_ROW_COST = 64


def recognises(head: bytes) -> bool:
    """Whether a text that begins so is an acpidump: a heading with rows of a dump behind it."""
    return _BEGIN.search(head) is not None


def read(source: Source) -> SourceFacts:
    """The facts of all tables in the dump; InputError where none can be read."""
    problems: list[Problem] = []
    found = found_of(source.name, "acpidump", tables(source, problems))
    found.problems += problems
    return found


def tables(source: Source, problems: list[Problem] | None = None) -> list[RawTable]:
    """The tables of the dump, in its order, each with its address; one cut in its header is told in `problems`.

    Raises InputError, with the line, for a dump that is none or holds more than tables can.
    """
    result: list[RawTable] = []
    current: _Dump | None = None
    room = WHOLE_LIMIT
    for number, line in source.lines():
        if heading := _HEADING.fullmatch(line):
            _finish(current, source, result, problems)
            current = _Dump(heading[1], int(heading[2], 16), number)
        elif current is not None and (row := _ROW.match(line)):
            data = bytes.fromhex(row[2].decode())
            room -= _ROW_COST
            if room < 0 or len(current.data) > TABLE_LIMIT:
                raise InputError.single(source.name, "the dump holds more than ACPI tables can", line=number)
            current.add(int(row[1], 16), data, source.name, number)
    _finish(current, source, result, problems)
    if not result:
        raise InputError.single(source.name, "the dump holds no table that can be read")
    return result


class _Dump:
    """The dump of one table while it is read."""

    def __init__(self, signature: bytes, address: int, line: int) -> None:
        self.signature = signature.decode()
        self.address = address
        self.line = line
        self.data = bytearray()
        self.lines: list[tuple[int, int]] = []

    def add(self, offset: int, data: bytes, name: str, line: int) -> None:
        """Put a row behind the others; InputError where it belongs elsewhere, so that rows are missing."""
        if offset != len(self.data):
            raise InputError.single(
                name,
                f"{self.signature}: this row is for byte {offset:#x}, expected {len(self.data):#x}: rows are missing",
                line=line,
            )
        self.lines.append((offset, line))
        self.data += data


def _finish(dump: _Dump | None, source: Source, result: list[RawTable], problems: list[Problem] | None) -> None:
    if dump is None or not dump.data:
        return
    try:
        result.append(parse_table(bytes(dump.data), source.name, address=dump.address, lines=dump.lines))
    except InputError as error:
        if not result or problems is None:
            raise
        problems += error.problems
