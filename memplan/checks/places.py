"""Where the fields of a checked input stand: in a boot log, in ACPI tables; and how a place is shown.

Places are looked up only once a rule has found something, so an input in which all is well costs nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from memplan.machine.model import Srat
from memplan.machine.places import Place

if TYPE_CHECKING:
    from memplan.firmware.acpi_tables import RawTable
    from memplan.firmware.source import SourceFacts
    from memplan.machine.model import Machine

_MEMORY, _WINDOW = 1, 1
_CPUS = (0, 2)


# -- a boot log ----------------------------------------------------------------------------------------------------


def text_places(source: SourceFacts, machine: Machine | None) -> dict[str, Place]:
    """The places of the facts that a text told, and of the single entries of lists that are as `machine` has them."""
    facts = {path: fact.value for path, fact in source.facts.items()}
    told = _entries(facts.get("e820"), facts.get("srat"))
    own = _entries(machine.e820, machine.srat) if machine is not None else {}
    return {
        path: Place(source.source, line, column, path)
        for path, (line, column) in source.places.items()
        if path in facts or (path in own and own[path] == told[path])
    }


def _entries(e820: object, srat: object) -> dict[str, object]:
    """The entries of a machine's lists by their fields."""
    lists: dict[str, object] = {"e820": e820}
    if isinstance(srat, Srat):
        lists |= {"srat.memory": srat.memory, "srat.cpus": srat.cpus}
    return {
        f"{path}[{index}]": entry
        for path, entries in lists.items()
        if isinstance(entries, tuple)
        for index, entry in enumerate(entries)
    }


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
    if not text.isprintable():
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
