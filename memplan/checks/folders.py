"""Folders of inputs: what in them is to be checked."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from memplan.errors import InputError

_LOGS = (".log", ".dmesg")
_DESCRIPTIONS = (".yaml", ".yml")
#: How much of a YAML file is looked at for the keys of a description.
_HEAD = 1 << 20
_KEYS = re.compile(rb"^(?:e820|srat) *:", re.MULTILINE)


def expand(inputs: tuple[str, ...]) -> list[str]:
    """`inputs`, with every folder that is no source itself replaced by the inputs in it and below, by name.

    These are descriptions (YAML with a memory map or an SRAT), logs (by their names' ends), and folders of ACPI
    tables or memory maps.  Links to folders and names that begin with a dot are passed over.  Raises InputError for a
    folder without any.
    """
    expanded: list[str] = []
    for text in inputs:
        if not os.path.isdir(text) or _is_source(Path(text)):
            expanded.append(text)
            continue
        found = list(_inside(Path(text)))
        if not found:
            what = "a description (YAML with e820 or srat), a log (.log, .dmesg) or a folder of tables"
            raise InputError.single(text, f"this folder holds nothing to check: neither {what}")
        expanded += found
    return expanded


def _inside(folder: Path) -> Iterator[str]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise InputError.single(str(folder), f"can't be read: {error.strerror}") from error
    for entry in entries:
        path = Path(entry.path)
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            if _is_source(path):
                yield entry.path
            else:
                yield from _inside(path)
        elif entry.is_file() and (path.suffix.lower() in _LOGS or _is_description(path)):
            yield entry.path


def _is_description(path: Path) -> bool:
    if path.suffix.lower() not in _DESCRIPTIONS:
        return False
    try:
        with path.open("rb") as file:
            return _KEYS.search(file.read(_HEAD)) is not None
    except OSError:
        return True


def _is_source(folder: Path) -> bool:
    """Whether a reader takes the whole folder."""
    from memplan.firmware.source import is_source_folder

    return is_source_folder(folder)
