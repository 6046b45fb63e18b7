"""Where the fields of a checked input stand: in a boot log, in ACPI tables; and how a place is shown.

Places are looked up only once a rule has found something, so an input in which all is well costs nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from memplan.klog.entries import cpu_line, e820_line, memory_line
from memplan.machine.places import Place

if TYPE_CHECKING:
    from memplan.firmware.acpi_tables import RawTable
    from memplan.firmware.source import Fact
    from memplan.machine.model import Machine

#: Lines of a log, from the first that told a fact, among which those of single entries are looked for.
_SEARCHED_LINES = 5_000
_MEMORY, _WINDOW = 1, 1
_CPUS = (0, 2)


# -- a boot log ----------------------------------------------------------------------------------------------------


def text_places(file: Path, facts: Mapping[str, Fact], machine: Machine | None) -> dict[str, Place]:
    """The places of `facts`, which the text `file` told, and of the single entries in the maps of `machine`."""
    name = str(file)
    told = re.compile(rf"{re.escape(name)}:(\d+)(?: |$)")
    found = {
        path: Place(name, int(match[1]), 0, path) for path, fact in facts.items() if (match := told.match(fact.origin))
    }
    if found and machine is not None:
        found |= _entry_lines(file, min(place.line for place in found.values()), machine)
    return found


def _entry_lines(file: Path, first: int, machine: Machine) -> dict[str, Place]:
    """The lines of the single entries: each entry has the first line that tells it and is not another's."""
    srat = machine.srat
    wanted: tuple[tuple[str, str, Callable[[str], object], tuple[object, ...]], ...] = (
        ("BIOS-e820:", "e820", e820_line, machine.e820),
        ("SRAT: Node", "srat.memory", memory_line, srat.memory if srat else ()),
        ("SRAT: PXM", "srat.cpus", cpu_line, srat.cpus if srat else ()),
    )
    left = {path: list(enumerate(entries)) for _, path, _, entries in wanted}
    found: dict[str, Place] = {}
    with file.open(encoding="utf-8", errors="replace", newline="\n") as stream:
        for number, line in enumerate(islice(stream, first - 1, first - 1 + _SEARCHED_LINES), first):
            for sign, path, read, _ in wanted:
                if left[path] and sign in line and (index := _take(left[path], read, line)) is not None:
                    field = f"{path}[{index}]"
                    found[field] = Place(str(file), number, line.index(sign) + 1, field)
            if not any(left.values()):
                break
    return found


def _take(left: list[tuple[int, object]], read: Callable[[str], object], line: str) -> int | None:
    """The index of the entry that `line` tells, which is then no longer among those that are `left`."""
    try:
        told = read(line)
    except ValueError:
        return None
    at = next((at for at, (_, entry) in enumerate(left) if entry == told), None)
    return None if at is None else left.pop(at)[0]


# -- ACPI tables ---------------------------------------------------------------------------------------------------


def table_places(tables: Iterable[RawTable]) -> dict[str, Place]:
    """The places of the fields that `tables` told; the first table of a signature counts, as it does for Linux."""
    found: dict[str, Place] = {}
    for table in tables:
        if table.signature in found:
            continue
        found[table.signature] = table_place(table, 0, table.signature)
        if table.signature == "SRAT":
            found["srat"] = table_place(table, 0, "srat")
            for path, types in (("srat.memory", (_MEMORY,)), ("srat.cpus", _CPUS)):
                for index, entry in enumerate(table.of_type(*types)):
                    found[f"{path}[{index}]"] = table_place(table, entry.offset, f"{path}[{index}]")
        elif table.signature == "SLIT":
            found["acpi.slit"] = table_place(table, 0, "acpi.slit")
            for index in range(len(table.matrix)):
                offset = 44 + index * len(table.matrix)
                found[f"acpi.slit[{index}]"] = table_place(table, offset, f"acpi.slit[{index}]")
        elif table.signature == "CEDT":
            found["acpi.cxl_windows"] = table_place(table, 0, "acpi.cxl_windows")
            for index, entry in enumerate(table.of_type(_WINDOW)):
                path = f"acpi.cxl_windows[{index}]"
                found[path] = table_place(table, entry.offset, path)
    return found


def table_place(table: RawTable, offset: int, field: str) -> Place:
    """The place of the byte at `offset` of `table`: its line in a text, or its offset in a binary file."""
    if line := table.line(offset):
        return Place(table.source, line, 0, field)
    return Place(table.source, field=field, offset=table.offset + offset)


def find_table(tables: Iterable[RawTable], field: str) -> RawTable | None:
    """The table whose signature `field` begins with (``SRAT``, ``SSDT[1]`` for the second one), if it is there."""
    named = re.match(r"([A-Z0-9_!$]{4})(?:\[(\d+)\])?", field)
    if named is None:
        return None
    own = (table for table in tables if table.signature == named[1])
    return next(islice(own, int(named[2] or 0), None), None)


# -- showing a place -----------------------------------------------------------------------------------------------

_ROW = 16
_LONGEST = 110


def excerpts(places: Iterable[Place]) -> Iterator[tuple[str, ...]]:
    """For each place its line or its bytes, and a caret below; () where the place is only a file.

    A file of lines is read once for all places in it.
    """
    texts: dict[str, list[str] | None] = {}
    for place in places:
        if place.line:
            if place.file not in texts:
                texts[place.file] = _lines(place.file)
            rows = texts[place.file]
            yield () if rows is None else _line_excerpt(place, rows[place.line - 1] if place.line <= len(rows) else "")
        elif place.offset is not None and Path(place.file).is_file():
            yield _bytes_excerpt(place.file, place.offset)
        else:
            yield ()


def _lines(file: str) -> list[str] | None:
    try:
        with open(file, encoding="utf-8", errors="replace", newline="\n") as stream:
            return stream.readlines()
    except OSError:
        return None


def _line_excerpt(place: Place, text: str) -> tuple[str, ...]:
    text = text.rstrip("\r\n")
    text = "".join(char if char.isprintable() else " " for char in text)
    start = place.column - 1 if place.column else len(text) - len(text.lstrip())
    end = len(re.sub(r"\s+#.*$|\s+$", "", text))
    cut = max(0, start - _LONGEST // 2) if end > _LONGEST else 0
    shown = text[cut : cut + _LONGEST]
    carets = max(1, min(end, cut + len(shown)) - start)
    gutter = f"{place.line:5} | "
    return gutter + shown.rstrip(), " " * (len(gutter) - 2) + "| " + " " * (start - cut) + "^" + "~" * (carets - 1)


def _bytes_excerpt(file: str, offset: int) -> tuple[str, ...]:
    with open(file, "rb") as stream:
        stream.seek(offset)
        data = stream.read(_ROW)
    gutter = f"{offset:#06x} | "
    return gutter + data.hex(" "), " " * (len(gutter) - 2) + "| ^^"
