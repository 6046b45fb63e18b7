"""YAML text to plain values, with the place of each value; only what a description needs of YAML.

Values are mappings with text keys, lists, text, and None for a plain empty value; what a text means (a number, a
size, true or false) is for its field to say, so ``kernel: 5.10`` stays what it is.  Aliases, tags and a second
document are refused, and so is nesting or length that no description has: no text can take much memory or time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import yaml

from memplan.errors import InputError, Problem
from memplan.klog.entries import quote_copied

#: The way to a value: keys and indices from the top.
Path: TypeAlias = tuple[str | int, ...]
#: Line and column, both from 1.
Place: TypeAlias = tuple[int, int]

#: What may not stand in YAML text.
_UNPRINTABLE = "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
_IMPORT = "memplan import makes a description of a boot log"
_DEEPEST = 16
_MOST_VALUES = 2_000_000
_EMPTY = ("", "~", "null", "Null", "NULL")


class Quoted(str):
    """Text that stood in quotes or in a block, and so is never anything else but text."""

    __slots__ = ()


class Document:
    """One parsed text: its `value`, the `problems` found in it (keys given twice), and where things stand."""

    def __init__(self, text: str, source: str, moved: Mapping[int, int] | None = None) -> None:
        """`moved` tells for lines that were changed before by how many columns they are too far right."""
        self._text = text
        self._source = source
        self._moved = moved or {}
        self._places: dict[Path, Place] | None = None
        self._keys: dict[Path, Place] = {}
        self.problems: list[Problem] = []
        self.value = self._build(None)

    def place(self, path: Path, *, key: bool = False) -> Place:
        """Line and column of the value at `path`, or of its key; of what holds it where it has no place itself.

        Rows of a block of text (``e820: |``) count as its items.
        """
        if self._places is None:
            self._places = {}
            self._build(self._places)
        if key and path in self._keys:
            return self._keys[path]
        rest = path
        while rest and rest not in self._places:
            rest = rest[:-1]
        line, column = self._places.get(rest, (1, 1))
        if rest != path and isinstance(row := path[len(rest)], int):
            return line + 1 + row, 1
        return line, column

    def _fatal(self, message: str, event: Any, hint: str = "") -> InputError:
        line, column = self._place(event.start_mark)
        return InputError.single(self._source, message, line=line, column=column, hint=hint)

    def _not_text(self) -> InputError:
        import re

        found = re.search(_UNPRINTABLE, self._text)
        at = found.start() if found else 0
        line, column = self._text.count("\n", 0, at) + 1, at - self._text.rfind("\n", 0, at)
        message = f"not text: found the character {ord(self._text[at]):#04x}"
        return InputError.single(self._source, message, line=line, column=column)

    def _place(self, mark: Any) -> Place:
        line = mark.line + 1
        return line, max(mark.column + 1 - self._moved.get(line, 0), 1)

    def _build(self, places: dict[Path, Place] | None) -> Any:
        """Read the text; with `places`, also note there where each value stands (slower, for errors only)."""
        loader = getattr(yaml, "CLoader", yaml.Loader)
        try:
            return self._read(loader(self._text), places)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = self._place(mark) if mark else (0, 0)
            why = error.problem or error.context or "can't be read"
            hint = _IMPORT if "Linux version " in self._text or "BIOS-provided" in self._text else ""
            raise InputError.single(self._source, f"not YAML: {why}", line=line, column=column, hint=hint) from error
        except yaml.reader.ReaderError as error:
            raise self._not_text() from error

    def _read(self, parser: Any, places: dict[Path, Place] | None) -> Any:
        root: list[Any] = []
        stack: list[tuple[Any, Path]] = []
        holder: Any = root
        path: Path = ()
        key: str | None = None
        values = documents = 0
        while parser.check_event():
            event = parser.get_event()
            kind = type(event)
            if kind is yaml.ScalarEvent:
                if event.tag is not None:
                    raise self._fatal(f"tags such as {event.tag} are not allowed", event)
                value: Any = event.value
                if event.style:
                    value = Quoted(value)
                if type(holder) is dict and key is None:
                    key = value
                    if places is not None:
                        self._keys.setdefault((*path, key), self._place(event.start_mark))
                    elif key in holder:
                        self._given_twice((*path, key), event)
                    continue
                if not event.style and value in _EMPTY:
                    value = None
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                if event.tag is not None:
                    raise self._fatal(f"tags such as {event.tag} are not allowed", event)
                if type(holder) is dict and key is None:
                    raise self._fatal("a key must be a word", event, "a line copied out of a log needs quotes here")
                if len(stack) >= _DEEPEST:
                    raise self._fatal(f"nested more than {_DEEPEST} deep", event)
                value = {} if kind is yaml.MappingStartEvent else []
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                holder, path = stack.pop()
                key = None
                continue
            elif kind is yaml.AliasEvent:
                raise self._fatal(f"aliases (*{event.anchor}) are not allowed: write the value out", event)
            else:
                if kind is yaml.DocumentStartEvent:
                    documents += 1
                    if documents > 1:
                        raise self._fatal("a second document begins here, one is expected", event)
                continue
            values += 1
            if values > _MOST_VALUES:
                raise self._fatal(f"more than {_MOST_VALUES} values", event)
            here: Path = ()
            if holder is not root and (places is not None or kind is not yaml.ScalarEvent):
                here = (*path, len(holder) if key is None else key)
            if places is not None:
                places.setdefault(here, self._place(event.start_mark))
            if key is None:
                holder.append(value)
            else:
                holder.setdefault(key, value)
                key = None
            if kind is not yaml.ScalarEvent:
                stack.append((holder, path))
                holder, path = value, here
        return root[0] if root else None

    def _given_twice(self, path: Path, event: Any) -> None:
        line, column = self._place(event.start_mark)
        message = "this key is given a second time"
        self.problems.append(Problem(self._source, message, line=line, column=column, field=field_text(path)))


def read_document(text: str, source: str) -> Document:
    """The document that `text` holds; lines copied out of a log may stand in it without quotes.

    Raises InputError for text that is not YAML, or more of it than a description needs.
    """
    document, failure = None, None
    try:
        document = Document(text, source)
    except InputError as error:
        failure = error
    if document is None or document.problems:
        mended, moved = quote_copied(text)
        if mended != text:
            return Document(mended, source, moved)
    if document is None:
        raise failure or AssertionError
    return document


def field_text(path: Path) -> str:
    """A path as people write it: ``e820[3].end``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
