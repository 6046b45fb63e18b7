"""Reader of binary ACPI tables: a file of one or more, as ``acpixtract`` writes, or a folder of such files.

A folder is one as /sys/firmware/acpi/tables, copied or live.  Its sub-folders ``data`` and ``dynamic`` hold what
is not in firmware's root table, and are not entered.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from memplan.errors import InputError
from memplan.firmware.acpi_facts import found_of
from memplan.firmware.acpi_tables import Defect, Entry, RawTable, is_table, parse_tables
from memplan.firmware.source import WHOLE_LIMIT, Source, SourceFacts, open_source

__all__ = ["Defect", "Entry", "RawTable", "folder_tables", "parse_tables", "read_tables", "tables"]

_TABLE_NAME = re.compile(r"(SRAT|SLIT|APIC|HMAT|CEDT|MSCT|FACP|DSDT|SSDT)[0-9]*(\.(aml|bin|dat|raw))?", re.IGNORECASE)
_DIGITS = re.compile(r"([0-9]+)")
#: Files of a folder that are looked at.
_FILES_LIMIT = 4096


def recognises(head: bytes) -> bool:
    """Whether a file that begins so holds ACPI tables."""
    return is_table(head)


def read(source: Source) -> SourceFacts:
    """The facts of a binary file's tables; InputError where no header is whole."""
    return found_of(source.name, "ACPI table", tables(source))


def tables(source: Source, limit: int = WHOLE_LIMIT) -> list[RawTable]:
    """The tables of a binary file; InputError where it is longer than `limit`."""
    return parse_tables(source.content(limit), source.name)


def recognises_folder(path: Path) -> bool:
    """Whether a folder holds ACPI tables: by their names, or by the files' heads."""
    return any(_TABLE_NAME.fullmatch(file.name) or _holds_table(file) for file in _files(path))


def read_folder(path: Path) -> SourceFacts:
    """The facts of all tables in a folder; InputError where none can be read."""
    unread: list[str] = []
    found = found_of(str(path), "folder of ACPI tables", folder_tables(path, unread))
    for text in unread:
        found.note(text)
    return found


def folder_tables(path: Path, unread: list[str] | None = None) -> list[RawTable]:
    """The tables in a folder's files, by their names (SSDT2 before SSDT10).

    What should be a table and can't be read is added to `unread`.  Raises InputError where nothing can be read.
    """
    failed: list[InputError] = []
    result: list[RawTable] = []
    room = WHOLE_LIMIT
    for file in _files(path):
        try:
            source = open_source(file)
            if recognises(source.head):
                found = tables(source, room)
                room -= sum(len(table.data) for table in found)
                result += found
            elif _TABLE_NAME.fullmatch(file.name):
                failed.append(InputError.single(source.name, "is no ACPI table, though it has a table's name"))
        except InputError as error:
            if _TABLE_NAME.fullmatch(file.name):
                failed.append(error)
    if failed and not result:
        raise failed[0]
    if unread is not None:
        unread += [str(error).removeprefix(f"{path}/") for error in failed]
    return result


def read_tables(path: Path) -> list[RawTable]:
    """The tables of any source that has some: binary file or folder, acpidump text, iasl listing; [] for others.

    Raises InputError where the source can't be read.
    """
    from memplan.firmware import acpidump, iasl

    if path.is_dir():
        return folder_tables(path) if recognises_folder(path) else []
    source = open_source(path)
    if recognises(source.head):
        return tables(source)
    if acpidump.recognises(source.head):
        return acpidump.tables(source)
    return iasl.tables(source) if iasl.recognises(source.head) else []


def _holds_table(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return recognises(stream.read(64))
    except OSError:
        return False


def _files(path: Path) -> list[Path]:
    """The regular files in `path`, in natural order."""
    try:
        with os.scandir(path) as entries:
            names = sorted((entry.name for entry in entries), key=_natural)[:_FILES_LIMIT]
    except OSError:
        return []
    return [path / name for name in names if (path / name).is_file()]


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (0, part) for part in _DIGITS.split(name)]
