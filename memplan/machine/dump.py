"""Writing a machine as YAML: what `memplan.machine.load` reads back to an equal machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memplan.machine.schema import MACHINE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from memplan.machine.kinds import Field, Kind, Section
    from memplan.machine.model import Machine


def dump_machine(machine: Machine, comments: Mapping[str, str] | None = None) -> str:
    """The YAML text of `machine`; fields that have their defaults are left out.

    `comments` maps dotted field paths (``e820``, ``acpi.tables``, ``cpus.possible``) to remarks that are written
    beside those fields, which then are written in any case.
    """
    return "".join(line + "\n" for line in _block(MACHINE, machine, "", "", comments or {}))


def _block(section: Section, owner: Any, path: str, indent: str, comments: Mapping[str, str]) -> Iterator[str]:
    for field, value in _written(section, owner, path, comments):
        own_path = f"{path}{field.name}"
        kind = field.kind
        head = f"{indent}{field.name}:"
        remark = f"  # {_plain(comments[own_path])}" if own_path in comments else ""
        if kind.section is not None:
            body = list(_block(kind.section, value, f"{own_path}.", indent + "  ", comments))
            yield f"{head}{'' if body else ' {}'}{remark}"
            yield from body
        elif value and kind.item is not None and (kind.item.section or kind.item.item):
            yield head + remark
            for item in value:
                yield f"{indent}- {_inline(kind.item, item)}"
        else:
            yield f"{head} {_inline(kind, value)}{remark}"


def _written(section: Section, owner: Any, path: str, comments: Mapping[str, str]) -> Iterator[tuple[Field, Any]]:
    """The fields to write with their values."""
    for field in section.fields:
        value = field.get(owner) if field.get else None
        if value is None:
            continue
        needed = field.always or field.name in section.required
        own_path = path + field.name
        if needed or value != section.defaults.get(field.name) or any(_reaches(own, own_path) for own in comments):
            yield field, value


def _reaches(path: str, field: str) -> bool:
    return path == field or path.startswith(f"{field}.")


def _plain(remark: str) -> str:
    """`remark` in one line of printable characters."""
    return "".join(char if char.isprintable() and char != "\ufeff" else "?" for char in " ".join(remark.split()))


def _inline(kind: Kind, value: Any) -> str:
    """`value` in one line."""
    if kind.write is not None:
        return kind.write(value)
    if kind.section is not None:
        pairs = (f"{field.name}: {_inline(field.kind, own)}" for field, own in _written(kind.section, value, "", {}))
        return "{" + ", ".join(pairs) + "}"
    if kind.item is not None:
        return "[" + ", ".join(_inline(kind.item, own) for own in value) + "]"
    raise TypeError(kind.expected)
