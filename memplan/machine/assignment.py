"""Keys of a description that get another value: ``initrd.start=0x80000000``, ``srat.memory[2].hotplug=true``.

An `Assignment` is made in the written form, which is then read and checked like any other; what can be tried of a
machine that stands already is an `Alteration` (memplan/machine/alteration.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from memplan.errors import InputError, UsageError
from memplan.klog.entries import quote_copied
from memplan.machine import model
from memplan.machine.document import Document, Path, Quoted
from memplan.machine.kinds import joined, quoted, write_fact
from memplan.machine.schema import MACHINE, kind_of, section_of
from memplan.printable import printable

if TYPE_CHECKING:
    from memplan.machine.kinds import Kind, Section

_STEP = re.compile(r"(?:^|\.)([A-Za-z_][A-Za-z0-9_]*)|\[([0-9]{1,7})\]")
#: How much of a value a message shows.
_LONGEST = 60
_FACTS = "kernel.overrides."


class Assignment:
    """One key of a description, and the value that it is to have.

    Keys and indices are those of the written form, whichever form the description has: lines of a log count as
    entries.  No value takes the key away; the index behind the last entry adds one.
    """

    def __init__(self, key: str, value: Any, told: str) -> None:
        """`value` is as a document has it, `told` what messages call the assignment.

        Raises UsageError where `key` is no path of keys and indices.
        """
        self.key = key
        self.path = steps_of(key)
        self.told = told
        self._value = value
        if not self.path:
            raise UsageError(f"{told}: expected KEY=VALUE, such as initrd.start=0x80000000")

    @classmethod
    def parse(cls, text: str) -> Assignment:
        """The assignment ``KEY=VALUE``, the value in YAML, or as it stands where the key is for text.

        Raises UsageError where `text` has not that form, InputError where the value is no YAML.
        """
        told = printable(f"--set {text}", "")
        key, equals, value = text.partition("=")
        assignment = cls(key.strip() if equals else "", None, told)
        kind = kind_of(assignment.path)
        if not value.strip():
            return assignment
        if kind is not None and (kind.write is quoted or quote_copied(value)[1]):
            assignment._value = Quoted(value)
        else:
            assignment._value = Document(value, told).value
        return assignment

    @classmethod
    def of(cls, key: str, value: object) -> Assignment:
        """The assignment of a value as Python has it to `key`: a number, text, a part of a machine, None."""
        shown = repr(value)
        shown = shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"
        return cls(key, _as_document(value), printable(f"{key}={shown}", ""))

    def apply(self, document: Document) -> None:
        """Make the assignment in `document`.  Raises InputError where the key is none, or its value no YAML."""
        if kind_of(self.path) is None:
            self._refuse_key()
        document.value = self._changed(document.value, (), MACHINE, self._value)
        document.changed[self.path] = self.told

    def _changed(self, holder: Any, done: Path, section: Section | None, value: Any) -> Any:
        """`holder`, which stands at the path `done`, with the assignment made in it."""
        if len(done) == len(self.path):
            return value
        step = self.path[len(done)]
        kind = kind_of(done)
        holder = _opened(holder, kind)
        path = (*done, step)
        if isinstance(step, int):
            items = list(holder) if isinstance(holder, list) else []
            if holder not in (None, "") and not isinstance(holder, list):
                raise self._wrong("there is no list to change an entry of")
            if step > len(items):
                raise self._wrong(f"there are {len(items)} entries, so the next one is [{len(items)}]")
            own = self._changed(items[step] if step < len(items) else None, path, None, value)
            items[step : step + 1] = [] if own is None else [own]
            return items
        if holder is not None and not isinstance(holder, dict):
            raise self._wrong("there is no mapping to change a key of")
        mapping = dict(holder or {})
        section = kind.section if kind is not None else section
        for other in _same(section, step) if len(path) == len(self.path) and value is not None else ():
            mapping.pop(other, None)
        mapping[step] = self._changed(mapping.get(step), path, None, value)
        return mapping

    def _wrong(self, message: str) -> InputError:
        return InputError.single(self.told, message)

    def _refuse_key(self) -> None:
        from memplan.machine.keys import meant_key

        known = next(n for n in range(len(self.path), -1, -1) if n == 0 or kind_of(self.path[:n]))
        kind = kind_of(self.path[:known])
        section = MACHINE if known == 0 else kind.section if kind else None
        step = self.path[known]
        if section is None or isinstance(step, int):
            raise self._wrong(f"the description has no such key; this may be {kind.expected if kind else 'a key'}")
        hint = meant_key(step, section)
        message = f"unknown key {step}, expected one of {', '.join(section.names())}"
        raise InputError.single(self.told, message, hint=hint)


def steps_of(key: str) -> Path:
    """The steps of ``srat.memory[2].hotplug``; () for what is no path."""
    if key.startswith(_FACTS):
        return ("kernel", "overrides", key.removeprefix(_FACTS))
    steps: list[str | int] = []
    at = 0
    while at < len(key):
        found = _STEP.match(key, at)
        if found is None or (not steps and found[1] is None):
            return ()
        steps.append(found[1] or int(found[2]))
        at = found.end()
    return tuple(steps)


def _opened(holder: Any, kind: Kind | None) -> Any:
    """`holder` as mappings and lists, where it is said by lines of a log or by a name alone."""
    if kind is None:
        return holder
    if kind.section is not None and kind.line is not None:
        return _of_lines(holder, kind)
    if isinstance(holder, str) and kind.item is not None:
        return [row for row in holder.split("\n") if row.strip()]
    if isinstance(holder, str) and kind.section is not None and "build" in kind.section.by_name:
        return {"build": holder}
    return holder


def _of_lines(holder: Any, kind: Kind) -> Any:
    """The mapping of an entry that is a line, or of an SRAT that is lines."""
    assert kind.section is not None
    assert kind.line is not None
    holder = joined(holder)
    if "memory" not in kind.section.by_name:
        entry = kind.line(holder) if isinstance(holder, str) else None
        return holder if entry is None else _plain(kind.section, entry)
    rows = holder.split("\n") if isinstance(holder, str) else holder
    if not isinstance(rows, list):
        return holder
    rows = [joined(row) for row in rows]
    entries = [kind.line(row) for row in rows if isinstance(row, str) and row.strip()]
    if None in entries:
        return holder
    kinds = {"memory": model.MemoryAffinity, "cpus": model.CpuAffinity}
    return {
        name: [_plain(section_of(owner), own) for own in entries if isinstance(own, owner)]
        for name, owner in kinds.items()
    }


def _plain(section: Section, own: Any) -> Any:
    """The object `own` of that section as a document has it: mappings, lists and text."""
    values = {field.name: (field.kind, field.get(own)) for field in section.fields if field.get}
    return {name: _plain_value(kind, value) for name, (kind, value) in values.items() if value is not None}


def _plain_value(kind: Kind, value: Any) -> Any:
    if kind.section is not None:
        return _plain(kind.section, value)
    if kind.write is not None and kind.item is None:
        # As the value is written, but for the quotes of text.
        return str(value) if isinstance(value, str) else kind.write(value)
    if isinstance(value, tuple) and kind.item is not None:
        return [_plain_value(kind.item, own) for own in value]
    return {name: Quoted(own) if isinstance(own, str) else write_fact(own) for name, own in value.items()}


def _as_document(value: object) -> Any:
    """A value of Python's as a document has it."""
    if value is None or isinstance(value, str):
        return None if value is None else Quoted(value)
    if isinstance(value, bool | int):
        return write_fact(value)
    owner: Any = type(value)
    if hasattr(owner, "_fields"):
        return _plain(section_of(owner), value)
    if isinstance(value, Mapping):
        return {name: _as_document(own) for name, own in value.items()}
    if isinstance(value, tuple | list):
        return [_as_document(own) for own in value]
    raise TypeError(f"a {owner.__name__} is no value of a description")


def _same(section: Section | None, name: str) -> tuple[str, ...]:
    """The keys that say what the key `name` of `section` says."""
    if section is None:
        return ()
    return tuple(own for group in section.alternatives if name in group for own in group if own != name)
