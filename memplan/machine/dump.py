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
        remark = f"  # {' '.join(comments[own_path].split())}" if own_path in comments else ""
        if kind.section is not None:
            body = list(_block(kind.section, value, f"{own_path}.", indent + "  ", comments))
            yield f"{head}{'' if body else ' {}'}{remark}"
            yield from body
        elif kind.item is not None and kind.write is None and value:
            yield head + remark
            for item in value:
                yield f"{indent}- {_inline(kind.item, item)}"
        else:
            yield f"{head} {_inline(kind, value)}{remark}"


def _written(section: Section, owner: Any, path: str, comments: Mapping[str, str]) -> Iterator[tuple[Field, Any]]:
    """The fields to write with their values."""
    values = [(field, field.get(owner)) for field in section.fields if field.written]
    for field, value in values:
        remarked = any(own == path + field.name or own.startswith(f"{path}{field.name}.") for own in comments)
        if value is None:
            continue
        if field.name in section.required or value != section.defaults.get(field.name, _NOTHING) or remarked:
            yield field, value
        elif field.always and any(
            other.always and own != section.defaults.get(other.name) for other, own in values if other is not field
        ):
            yield field, value


_NOTHING = object()


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
