"""Settings: another value for one field of a machine, or for one of its boot options, as text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from memplan.errors import InputError, UsageError
from memplan.machine import load
from memplan.machine.alteration import options_changed
from memplan.machine.assignment import Assignment
from memplan.machine.options import bad_options

if TYPE_CHECKING:
    from collections.abc import Iterable

    from memplan.machine.model import Machine

#: Options that "on" and "off" are values of; with any other they give the bare word, or take it away.
SWITCHES = frozenset({"acpi", "debug_pagealloc", "hashdist", "kho", "numa"})


def changed(machine: Machine, settings: Iterable[tuple[str, str]]) -> Machine:
    """`machine` with fields and boot options changed; a name with a dot or a bracket is a field's.

    Raises UsageError for a name that is none, InputError for a value that does not fit.
    """
    fields = []
    for name, value in settings:
        if is_field(name):
            fields.append(Assignment.parse(f"{name}={value}"))
        else:
            machine = with_option(machine, name, value)
    return load.changed(machine, fields) if fields else machine


def is_field(name: str) -> bool:
    """Whether a setting's name is the path of a field, and not a boot option."""
    return "." in name or "[" in name


def setting_words(machine: Machine, settings: Iterable[tuple[str, str]]) -> list[str]:
    """The words of ``memplan simulate`` that change `machine` so: --set for fields, --cmdline for boot options."""
    words: list[str] = []
    cmdline = machine.cmdline
    for name, value in settings:
        if is_field(name):
            words += ["--set", f"{name}={value}"]
        else:
            cmdline = with_option(machine._replace(cmdline=cmdline), name, value).cmdline
    return [*words, "--cmdline", cmdline] if cmdline != machine.cmdline else words


def with_option(machine: Machine, name: str, value: str) -> Machine:
    """`machine` with one boot option changed: all its words are taken away, and ``name=value`` is put behind the rest.

    The values "on" and "off" give the bare word, or none, but of options which have such values themselves.
    """
    if not re.fullmatch(r"[\w.\-]+", name):
        raise UsageError(f"{name!r} is neither a boot option nor the path of a field")
    bare = name not in SWITCHES and value in ("on", "off")
    words = {"on": (name,), "off": ()}[value] if bare else (f"{name}={value}",)
    if problems := bad_options(" ".join(words)):
        raise InputError.single(f"{name}={value}", "; ".join(problems))
    return machine._replace(cmdline=options_changed(machine.cmdline, words, (name,)))
