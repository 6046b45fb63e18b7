"""Reading and checking a kernel's file: the facts of one build, each of them named, of its kind and in its range.

A kernel's file may be anybody's, and its name may come out of a description, so it is read like one: a regular file
of bounded length, YAML without aliases or tags, every problem with its line.  What is not a kernel's file at all is
refused without a word of what it holds.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from memplan.errors import InputError, Problem
from memplan.files import read_regular
from memplan.kernel.facts import FactValue, is_right, is_text, wanted
from memplan.kernel.names import CONFIGS, IMAGE, STRUCTS
from memplan.machine.document import Document, Path, Quoted, field_text
from memplan.units import MIB

EXPECTED = "a kernel's file as memplan kernel writes it"
_FIELDS = ("release", "build", "version", "based_on", "options", "notes", "facts")
_NAMES = {"image": IMAGE, "struct": STRUCTS, "config": CONFIGS}
_MOST_BYTES = MIB
_MOST_PROBLEMS = 20
_SHOWN = 60
_LONGEST = 4096
_MOST_OPTIONS = 256 * 1024
#: Both must begin a line (or stand in the one line of a file in YAML's short form) before anything is told of a file.
_MARKS = tuple(rf"(?m)(?:^|[{{,])[ \t]*[\"']?(?:{name})[\"']?[ \t]*:" for name in ("version", "facts|based_on"))
_VERSION = r"[0-9]{1,3}\.[0-9]{1,3}(?:\.[0-9]{1,5})?"
_RELEASE = r"[0-9]{1,3}\.[0-9]{1,3}[!-.0-~]{0,120}"
_NAME = r"[!-.0-~]{1,128}"
_NUMBER = r"0|[1-9][0-9]{0,19}|0[xX][0-9a-fA-F]{1,16}"
#: What YAML takes for something else than text, unless it stands in quotes.
_NO_TEXT = r"[-+]?[0-9][-+0-9.:_eExX]*|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}.*"
_SWITCH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class BuildFile(NamedTuple):
    """What one file says: `facts` by dotted name and their `sources`; `options` is None where it has none.

    `version` names the rules, `based_on` the kernel whose facts and options this one has where it has no own;
    `borrowed` names these facts once they have been taken over.
    """

    version: str
    release: str
    build: str
    based_on: str
    facts: dict[str, FactValue]
    sources: dict[str, str]
    options: frozenset[str] | None
    notes: tuple[str, ...]
    borrowed: frozenset[str] = frozenset()


def read_build_file(path: str | os.PathLike[str]) -> BuildFile:
    """The kernel's file at `path`; InputError with every problem found, or for what is no such file."""
    source = os.fspath(path)
    data = read_regular(path, _MOST_BYTES, EXPECTED)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError.single(source, "is not text: a byte is no UTF-8", line=line) from None
    if not all(re.search(mark, text) for mark in _MARKS):
        raise InputError.single(source, f"has no version with facts or based_on, so it is not {EXPECTED}")
    return _Reader(Document(text, source), source).read()


class _Reader:
    """One file being read; problems are collected."""

    def __init__(self, document: Document, source: str) -> None:
        self._document = document
        self._source = source
        self._problems = list(document.problems)

    def read(self) -> BuildFile:
        top = self._document.value
        if not isinstance(top, dict):
            raise InputError.single(self._source, f"is no mapping, expected {EXPECTED}", line=1)
        for key in top:
            if key not in _FIELDS:
                self._wrong((key,), f"is no field of a kernel; fields are {', '.join(sorted(_FIELDS))}", key=True)
        version = self._text(top, "version", _VERSION, "a version such as 6.1 or 6.12.3")
        if "version" not in top:
            self._wrong(("version",), "is missing")
        if "facts" not in top and "based_on" not in top:
            self._wrong(("facts",), "is missing")
        options = self._text(top, "options", None, "one text, the words with blanks between them", _MOST_OPTIONS)
        facts, sources = self._facts(top.get("facts", []))
        built = BuildFile(
            version=version,
            release=self._text(top, "release", _RELEASE, "a release such as 6.1.0-55-amd64"),
            build=self._text(top, "build", None, "text"),
            based_on=self._text(top, "based_on", _NAME, "the name of a kernel, or of a kernel's file beside this one"),
            facts=facts,
            sources=sources,
            options=frozenset(options.split()) if "options" in top else None,
            notes=self._notes(top),
        )
        if self._problems:
            raise InputError(_first(self._problems, self._source))
        return built

    def _wrong(self, path: Path, message: str, hint: str = "", *, key: bool = False) -> None:
        line, column = self._document.place(path, key=key)
        field = field_text(tuple(step[:_SHOWN] if isinstance(step, str) else step for step in path))
        self._problems.append(Problem(self._source, message, line=line, column=column, field=field, hint=hint))

    def _text(self, top: Mapping[str, Any], name: str, pattern: str | None, expected: str, most: int = _LONGEST) -> str:
        """The text of the field `name`; "" where it is missing or wrong."""
        if name not in top:
            return ""
        value = top[name]
        if isinstance(value, str) and len(value) <= most and (pattern is None or re.fullmatch(pattern, value)):
            return str(value)
        self._wrong((name,), f"found {_shown(value)}, expected {expected}")
        return ""

    def _notes(self, top: Mapping[str, Any]) -> tuple[str, ...]:
        notes = top.get("notes", [])
        if not isinstance(notes, list):
            self._wrong(("notes",), f"found {_shown(notes)}, expected a list of texts")
            return ()
        for number, note in enumerate(notes):
            if not _is_text(note):
                self._wrong(("notes", number), f"found {_shown(note)}, expected a text (a number or date in quotes)")
        return tuple(str(note) for note in notes)

    def _facts(self, groups: Any) -> tuple[dict[str, FactValue], dict[str, str]]:
        facts: dict[str, FactValue] = {}
        sources: dict[str, str] = {}
        if not isinstance(groups, list):
            self._wrong(("facts",), f"found {_shown(groups)}, expected a list of groups, each with its source")
            return facts, sources
        for number, group in enumerate(groups):
            place: Path = ("facts", number)
            source = group.get("source") if isinstance(group, dict) else None
            if source is None or not _is_text(source):
                self._wrong(place, "expected a mapping with a source (text) and one of image, struct, config")
                continue
            for kind, values in group.items():
                if kind == "source":
                    continue
                if kind not in _NAMES or not isinstance(values, dict):
                    self._wrong((*place, kind), "expected image, struct or config, with names and values", key=True)
                    continue
                for own, value in values.items():
                    fact = self._fact((*place, kind, own), kind, own, value)
                    if fact is not None:
                        facts[f"{kind}.{own}"] = fact
                        sources[f"{kind}.{own}"] = str(source)
        return facts, sources

    def _fact(self, path: Path, kind: str, own: str, text: Any) -> FactValue | None:
        if own not in _NAMES[kind]:
            from difflib import get_close_matches

            near = get_close_matches(own[:64], _NAMES[kind], 1) if len(self._problems) < _MOST_PROBLEMS else []
            hint = f"did you mean {near[0]}?" if near else ""
            self._wrong(path, f"there is no such fact of {kind}", hint, key=True)
            return None
        name = f"{kind}.{own}"
        value = _value(text, name)
        if value is None or not is_right(name, value):
            hint = "a leading 0 would mean octal to some" if re.fullmatch(r"0[0-9]+", str(text)) else ""
            self._wrong(path, f"found {_shown(text)}, expected {wanted(name)}", hint)
            return None
        return value


def _is_text(value: Any) -> bool:
    """Whether `value` is a text of sensible length, and nothing that only looks like one."""
    if not isinstance(value, str) or len(value) > _LONGEST:
        return False
    return isinstance(value, Quoted) or not (value.lower() in _SWITCH or re.fullmatch(_NO_TEXT, value))


def _value(text: Any, name: str) -> FactValue | None:
    """The value that `text` means for the fact `name`; None for what is no single value."""
    if not isinstance(text, str):
        return "" if text is None and is_text(name) else None
    if isinstance(text, Quoted) or is_text(name):
        return str(text)
    if text.lower() in _SWITCH:
        return _SWITCH[text.lower()]
    if re.fullmatch(_NUMBER, text):
        return int(text, 16) if text[:2] in ("0x", "0X") else int(text)
    return str(text)


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return repr(str(value) if len(value) <= _SHOWN else value[:_SHOWN] + "…")
    return "a mapping" if isinstance(value, dict) else "a list"


def _first(problems: list[Problem], source: str) -> list[Problem]:
    """The first problems by their lines, and how many more there are."""
    problems.sort(key=lambda problem: (problem.line, problem.column))
    more = len(problems) - _MOST_PROBLEMS
    if more <= 0:
        return problems
    told = problems[:_MOST_PROBLEMS]
    return [*told, Problem(source, f"and {more} more problems of this file", line=told[-1].line)]
