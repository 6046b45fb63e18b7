"""YAML text to plain values, with the place of each value; only what a description needs of YAML.

Values are mappings with text keys, lists, text, and None for a plain empty value; what a text means (a number, a
size, true or false) is for its field to say, so ``kernel: 5.10`` stays what it is.  Aliases, tags and a second
document are refused, and so is nesting or length that no description has: no text can take much memory or time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from typing import Any, TypeAlias

import yaml

from memplan.errors import InputError, Problem
from memplan.klog.entries import quote_copied

#: The way to a value: keys and indices from the top.
Path: TypeAlias = tuple[str | int, ...]
#: Line and column, both from 1.
Position: TypeAlias = tuple[int, int]

#: What may not stand in YAML text.
_UNPRINTABLE = "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
_IMPORT = "memplan import makes a description of a boot log"
_DEEPEST = 16
_MOST_VALUES = 2_000_000
_EMPTY = frozenset({"", "~", "null", "Null", "NULL"})
#: A place is packed as its line, and as many bits for its column; no text that is read has a longer line.
_COLUMN_BITS = 28
_COLUMN_MASK = (1 << _COLUMN_BITS) - 1


class Quoted(str):
    """Text that stood in quotes or in a block, and so is never anything else but text."""

    __slots__ = ()


class _Marks:
    """Where a mapping or list begins, where its keys stand, and where its values do.

    Places are packed into a number each, as there may be a million of them: see `_packed`.  `parts` are places too, but
    for those that hold others.
    """

    __slots__ = ("at", "keys", "parts")

    def __init__(self, at: int, parts: Any) -> None:
        self.at = at
        self.keys: dict[str, int] = {}
        self.parts = parts


class Document:
    """One parsed text: its `value`, the `problems` found in it (keys given twice), and where things stand."""

    def __init__(self, text: str, source: str, moved: Mapping[int, int] | None = None) -> None:
        """`moved` tells for lines that were changed before by how many columns they are too far right."""
        self.source = source
        self._text = text
        self._moved = moved or {}
        self.problems: list[Problem] = []
        #: What has changed values since they were read, by their paths.
        self.changed: dict[Path, str] = {}
        #: Where the values stand; the document is the one part of it.
        self._marks = _Marks(0, [])
        #: Braces that are open while the text is read.
        self._open: list[tuple[int, str]] = []
        self.value = self._build()

    def line(self, number: int) -> str:
        """The line of that number, from 1, of the text."""
        return next(islice(self._text.split("\n"), number - 1, None), "")

    def where(self, path: Path, *, key: bool = False) -> tuple[str, int, int]:
        """The source, the line and the column of the value at `path`, or of its key; line 0 for a changed value."""
        for own, change in self.changed.items():
            inside = path[: len(own)] == own
            if inside or (own[: len(path)] == path and not self._has(path)):
                return change, 0, 0
        return (self.source, *self.place(path, key=key))

    def _marked(self) -> Any:
        """Where the values of the whole stand."""
        return self._marks.parts[0] if self._marks.parts else self._marks

    def _has(self, path: Path) -> bool:
        """Whether the text has a value at `path`."""
        marks = self._marked()
        for step in path:
            try:
                marks = marks.parts[step]
            except (AttributeError, KeyError, IndexError, TypeError):
                return False
        return True

    def place(self, path: Path, *, key: bool = False) -> Position:
        """Line and column of the value at `path`, or of its key; of what holds it where it has no place itself.

        Rows of a block of text (``e820: |``) count as its items.
        """
        marks = self._marked()
        for depth, step in enumerate(path):
            if not isinstance(marks, _Marks):
                line, column = self._unpacked(marks)
                return (line + 1 + step, 1) if isinstance(step, int) else (line, column)
            if key and depth == len(path) - 1 and step in marks.keys:
                return self._unpacked(marks.keys[str(step)])
            try:
                marks = marks.parts[step]
            except (KeyError, IndexError, TypeError):
                break
        return self._unpacked(marks.at if isinstance(marks, _Marks) else marks)

    def _unpacked(self, mark: int) -> Position:
        """The place that was packed."""
        line, column = (mark >> _COLUMN_BITS) + 1, mark & _COLUMN_MASK
        return line, max(column + 1 - self._moved.get(line, 0), 1)

    def _fatal(self, message: str, event: Any, hint: str = "") -> InputError:
        line, column = self._unpacked(_packed(event.start_mark))
        return InputError.single(self.source, message, line=line, column=column, hint=hint)

    def _not_text(self) -> InputError:
        text = self._text
        found = re.search(_UNPRINTABLE, text)
        at = found.start() if found else 0
        line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
        message = f"not text: found the character {ord(text[at]):#04x}"
        return InputError.single(self.source, message, line=line, column=column)

    def _build(self) -> Any:
        """Read the text, and note where everything stands."""
        loader = getattr(yaml, "CLoader", yaml.Loader)
        try:
            return self._read(loader(self._text))
        except yaml.MarkedYAMLError as error:
            raise self._not_yaml(error) from error
        except yaml.reader.ReaderError as error:
            raise self._not_text() from error

    def _not_yaml(self, error: yaml.MarkedYAMLError) -> InputError:
        """What is wrong with text that is no YAML: where, and the mend where a mistake is a common one."""
        text = self._text
        mark = error.problem_mark or error.context_mark
        line, column = self._unpacked(_packed(mark)) if mark else (0, 0)
        why = error.problem or error.context or "can't be read"
        rows = text.split("\n")
        row = rows[mark.line] if mark and mark.line < len(rows) else ""
        hint = ""
        if "Linux version " in text or "BIOS-provided" in text:
            hint = _IMPORT
        elif "\t" in row[: len(row) - len(row.lstrip())] or (mark and row[mark.column : mark.column + 1] == "\t"):
            why, hint = "found a tab", "indent with blanks"
        elif self._open:
            # Where the parser gave up says little; where the brace stands does.
            end = f"line {line}, column {column}" if line else "the end"
            opened, sign = self._open[-1]
            line, column = self._unpacked(opened)
            why, hint = f"this {sign} is not closed, or a comma is missing before {end}", ""
        return InputError.single(self.source, f"not YAML: {why}", line=line, column=column, hint=hint)

    def _read(self, parser: Any) -> Any:
        root: list[Any] = []
        stack: list[tuple[Any, _Marks]] = []
        holder: Any = root
        marks = self._marks
        key: str | None = None
        values = documents = 0
        next_event, scalar = parser.get_event, yaml.ScalarEvent
        while True:
            event = next_event()
            kind = type(event)
            if kind is scalar:
                if event.tag is not None:
                    raise self._fatal(f"tags such as {event.tag} are not allowed", event)
                value: Any = event.value
                style = event.style
                if style:
                    value = Quoted(value)
                mark = event.start_mark
                at: Any = mark.line << _COLUMN_BITS | mark.column
                if type(holder) is dict and key is None:
                    key = value
                    if key in holder:
                        self._given_twice(_path_of(stack, value), at)
                    else:
                        marks.keys[value] = at
                    continue
                if not style and value in _EMPTY:
                    value = None
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                if event.tag is not None:
                    raise self._fatal(f"tags such as {event.tag} are not allowed", event)
                if type(holder) is dict and key is None:
                    raise self._fatal("a key must be a word", event, "a line copied out of a log needs quotes here")
                if len(stack) >= _DEEPEST:
                    raise self._fatal(f"nested more than {_DEEPEST} deep", event)
                value, sign = ({}, "{") if kind is yaml.MappingStartEvent else ([], "[")
                at = _Marks(_packed(event.start_mark), type(value)())
                if event.flow_style:
                    self._open.append((at.at, sign))
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                if self._open and self._open[-1][0] == marks.at:
                    self._open.pop()
                holder, marks = stack.pop()
                key = None
                continue
            elif kind is yaml.AliasEvent:
                raise self._fatal(f"aliases (*{event.anchor}) are not allowed: write the value out", event)
            else:
                if kind is yaml.StreamEndEvent:
                    return root[0] if root else None
                if kind is yaml.DocumentStartEvent:
                    documents += 1
                    if documents > 1:
                        raise self._fatal("a second document begins here, one is expected", event)
                continue
            values += 1
            if values > _MOST_VALUES:
                raise self._fatal(f"more than {_MOST_VALUES} values", event)
            if key is None:
                holder.append(value)
                marks.parts.append(at)
            else:
                if key not in holder:
                    holder[key] = value
                    marks.parts[key] = at
                key = None
            if kind is not scalar:
                stack.append((holder, marks))
                holder, marks = value, at

    def _given_twice(self, path: Path, mark: int) -> None:
        line, column = self._unpacked(mark)
        message = "this key is given a second time"
        self.problems.append(Problem(self.source, message, line=line, column=column, field=field_text(path)))


def _packed(mark: Any) -> int:
    """The line and the column of a parser's mark as one number."""
    packed: int = mark.line << _COLUMN_BITS | mark.column
    return packed


def _path_of(stack: list[tuple[Any, _Marks]], key: str) -> Path:
    """The path of `key` in the mapping that is being read, whose holders are on the `stack`."""
    holders = [own for own, _ in stack[1:]]
    steps = [next(reversed(own)) if isinstance(own, dict) else len(own) - 1 for own in holders]
    return (*steps, key)


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
        text = field_below(text, step)
    return text


def field_below(text: str, step: str | int) -> str:
    """The text of the field at `step` in that of `text`, "" for the whole document."""
    if isinstance(step, int):
        return f"{text}[{step}]"
    return f"{text}.{step}" if text else step
