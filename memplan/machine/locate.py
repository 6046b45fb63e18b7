"""Where the values of a description stand, by the path that their fields have in the machine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from memplan.klog.entries import memory_line
from memplan.machine.document import Document, field_text
from memplan.machine.document import Path as Field
from memplan.machine.places import Place


def description_places(document: Document) -> dict[str, Place]:
    """The places of all values of `document`."""
    found = {text: _place(document, path, text) for text, path in _named(document.value, ()) if text}
    return found | _srat_rows(document) | _options(document)


def _place(document: Document, path: Field, text: str) -> Place:
    return Place(*document.where(path), text)


def _named(value: Any, path: Field) -> Iterator[tuple[str, Field]]:
    """The values below `path` with their names; empty rows of a block of text don't count as items.

    The numbers of a row of a matrix have no place of their own: a SLIT may have a million of them.
    """
    yield field_text(path), path
    if isinstance(value, dict):
        for key, own in value.items():
            yield from _named(own, (*path, key))
    elif isinstance(value, list) and not (path and isinstance(path[-1], int)):
        for index, own in enumerate(value):
            yield from _named(own, (*path, index))
    elif isinstance(value, str) and "\n" in value:
        for index, (row, _) in enumerate(_rows(value)):
            yield field_text((*path, index)), (*path, row)


def _rows(value: Any) -> Iterator[tuple[int, str]]:
    rows = value.split("\n") if isinstance(value, str) else value if isinstance(value, list) else ()
    return ((index, str(row)) for index, row in enumerate(rows) if str(row).strip())


def _srat_rows(document: Document) -> dict[str, Place]:
    """The affinities of an SRAT that is written as the kernel's lines."""
    whole = document.value.get("srat") if isinstance(document.value, dict) else None
    if isinstance(whole, dict):
        return {}
    found: dict[str, Place] = {}
    counts = {"memory": 0, "cpus": 0}
    for index, row in _rows(whole):
        kind = "memory" if memory_line(row) else "cpus"
        path = f"srat.{kind}[{counts[kind]}]"
        counts[kind] += 1
        found[path] = _place(document, ("srat", index), path)
    return found


def _options(document: Document) -> dict[str, Place]:
    """The options of a command line that stands in one line as it is, by name: ``cmdline.movable_node``."""
    text = document.value.get("cmdline") if isinstance(document.value, dict) else None
    whole = Place(*document.where(("cmdline",)), "cmdline")
    line = document.line(whole.line) if whole.line else ""
    if not isinstance(text, str) or text not in line[whole.column - 1 :]:
        return {}
    first = line.index(text, whole.column - 1)
    return {
        option_path(word[0].partition("=")[0]): whole._replace(column=first + word.start() + 1)
        for word in re.finditer(r"\S+", text)
    }


def option_path(name: str) -> str:
    """The path by which the place of a boot option is known."""
    return f"cmdline.{name.replace('-', '_')}"
