"""Reader of /sys/firmware/memmap: firmware's memory map before the kernel changed it, live or a copied tree.

A folder for each entry holds ``start``, ``end`` (inclusive) and ``type``.  The same as one text, from
``grep . /sys/firmware/memmap/*/*`` or ``tail -n +1``, is read too.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from memplan.errors import InputError
from memplan.files import read_entry
from memplan.firmware.source import Source, SourceFacts
from memplan.klog.memory_types import RESOURCE_TYPES
from memplan.machine.model import E820_RESERVED, E820Entry

_FILES = ("start", "end", "type")
_ENTRY_LIMIT = 4096
#: The size of a page, which is what files of /sys say that they have.
_FILE_LIMIT = 4096
_GREP = re.compile(rb"(?:.*/)?(\d{1,5})/(start|end|type):(.*)")
_TAIL = re.compile(rb"==> (?:.*/)?(\d{1,5})/(start|end|type) <==\s*")
_TREE = re.compile(rb"^(?:==> )?(?:\S*/)?\d{1,5}/(?:start|end|type)(?::\s*\S| <==)", re.MULTILINE)
_NUMBER = re.compile(r"0x[0-9a-f]{1,16}", re.IGNORECASE)


def recognises(head: bytes) -> bool:
    """Whether a text that begins so is the tree as one text."""
    return _TREE.match(head) is not None


def recognises_folder(path: Path) -> bool:
    """Whether a folder is such a tree."""
    return any((path / name / "start").is_file() for name in _numbers(path))


def read_folder(path: Path) -> SourceFacts:
    """The map of a tree; InputError, with the entry, where it isn't whole."""
    raw: dict[int, dict[str, str]] = {}
    for name in _numbers(path):
        values = raw.setdefault(int(name), {})
        for what in _FILES:
            text = read_entry(path / name / what, _FILE_LIMIT, "a value of the memory map")
            values[what] = text.decode("latin-1").strip()
    return _found(str(path), raw)


def read(source: Source) -> SourceFacts:
    """The map of a tree as one text; InputError where it isn't whole."""
    raw: dict[int, dict[str, str]] = {}
    heading: re.Match[bytes] | None = None
    for number, line in source.lines():
        if row := _GREP.fullmatch(line):
            raw.setdefault(int(row[1]), {})[row[2].decode()] = row[3].strip().decode("latin-1")
        elif row := _TAIL.fullmatch(line):
            heading = row
        elif heading is not None and line.strip():
            raw.setdefault(int(heading[1]), {})[heading[2].decode()] = line.strip().decode("latin-1")
            heading = None
        if len(raw) > _ENTRY_LIMIT:
            raise InputError.single(source.name, f"more than {_ENTRY_LIMIT} entries, too many for a map", line=number)
    return _found(source.name, raw)


def _numbers(path: Path) -> list[str]:
    """The names of the entries' folders in order; folders behind links are not entered."""
    try:
        with os.scandir(path) as entries:
            names = [
                e.name for e in entries if e.name.isascii() and e.name.isdigit() and e.is_dir(follow_symlinks=False)
            ]
    except OSError:
        return []
    return sorted(names, key=int)[:_ENTRY_LIMIT]


def _found(name: str, raw: dict[int, dict[str, str]]) -> SourceFacts:
    found = SourceFacts(name, "firmware's memory map")
    entries = []
    for number, values in sorted(raw.items()):
        if missing := [what for what in _FILES if what not in values]:
            raise InputError.single(name, f"entry {number} has no {missing[0]}")
        start, end = (_address(name, number, what, values[what]) for what in ("start", "end"))
        if end < start:
            found.damage(f"entry {number} ends at {end:#x}, before its start {start:#x}")
            continue
        kind = RESOURCE_TYPES.get(values["type"].lower())
        if kind is None:
            found.damage(f"entry {number}: the type {values['type']!r} is unknown; it counts as reserved")
            kind = E820_RESERVED
        entries.append(E820Entry(start, end + 1, kind))
    if not entries:
        raise InputError.single(name, "no entry of the memory map is whole")
    found.put("e820", tuple(sorted(entries, key=lambda entry: entry.start)), "firmware's memory map")
    return found


def _address(name: str, number: int, what: str, text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise InputError.single(name, f"entry {number}: {what} is {text!r}, expected a hexadecimal number (0x9fbff)")
    return int(text, 16)
