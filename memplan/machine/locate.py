"""Where the values of a description stand, by the path that their fields have in the machine."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from memplan.klog.entries import memory_line
from memplan.machine.document import Document, field_below
from memplan.machine.document import Path as Field
from memplan.machine.places import Place, Places


def description_places(document: Document) -> Places:
    """The places of all values of `document`."""
    fields: dict[str, Field] = {}
    _name(fields, document.value, (), "")
    return Places(_Fields(document, {**fields, **_srat_rows(document)}), _options(document))


class _Fields(Mapping[str, Place]):
    """The places of a document's values by the names of their fields, each looked up when it is asked for."""

    __slots__ = ("_document", "_paths")

    def __init__(self, document: Document, paths: dict[str, Field]) -> None:
        self._document = document
        self._paths = paths

    def __getitem__(self, name: str) -> Place:
        return Place(*self._document.where(self._paths[name]), name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


def _name(found: dict[str, Field], value: Any, path: Field, name: str) -> None:
    """Put the paths of the values in `value` into `found`, by the names of their fields; its own are `path` and `name`.

    Empty rows of a block of text don't count as items.  The numbers of a row of a matrix have no place of their own: a
    SLIT may have a million of them.
    """
    if name:
        found[name] = path
    if isinstance(value, dict):
        for key, own in value.items():
            _name(found, own, (*path, key), field_below(name, key))
    elif isinstance(value, list) and not (path and isinstance(path[-1], int)):
        for index, own in enumerate(value):
            _name(found, own, (*path, index), field_below(name, index))
    elif isinstance(value, str) and "\n" in value:
        for index, (row, _) in enumerate(_rows(value)):
            found[field_below(name, index)] = (*path, row)


def _rows(value: Any) -> Iterator[tuple[int, str]]:
    rows = value.split("\n") if isinstance(value, str) else value if isinstance(value, list) else ()
    return ((index, str(row)) for index, row in enumerate(rows) if str(row).strip())


def _srat_rows(document: Document) -> dict[str, Field]:
    """The paths of the affinities of an SRAT that is written as the kernel's lines."""
    whole = document.value.get("srat") if isinstance(document.value, dict) else None
    if isinstance(whole, dict):
        return {}
    found: dict[str, Field] = {}
    counts = {"memory": 0, "cpus": 0}
    for index, row in _rows(whole):
        kind = "memory" if memory_line(row) else "cpus"
        path = f"srat.{kind}[{counts[kind]}]"
        counts[kind] += 1
        found[path] = ("srat", index)
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
