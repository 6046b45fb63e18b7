"""A kernel's configuration (.config, /boot/config-*, or IKCONFIG inside an image): its options and their values."""

from __future__ import annotations

import re
from typing import NamedTuple

from memplan.errors import InputError, Problem
from memplan.kernel.facts import FactValue, is_right, is_switch, is_text, shown, wanted
from memplan.kernel.names import CONFIGS

_LINE = re.compile(r"^(?:CONFIG_(\w+)=(.*)|# CONFIG_(\w+) is not set)$")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,19}|0[xX][0-9a-fA-F]{1,16}")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")


class Config(NamedTuple):
    """The options that the text names (`told`, whatever their values), and the `values` of those that are facts.

    An option that is off or a module has no value: a module comes after early boot.
    """

    told: frozenset[str]
    values: dict[str, FactValue]


def read_config(text: str, source: str) -> Config:
    """The configuration in `text`; where an option stands twice the later line counts, as for the kernel's build.

    Raises InputError with the lines of values that their options can't have, and for text without any option.
    """
    found: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if (option := _LINE.match(line.rstrip())) is not None:
            name, value, unset = option.groups()
            found[name or unset] = number, value if name else "n"
    if not found:
        raise InputError.single(source, "has no line like CONFIG_NUMA=y, so it is no kernel configuration")
    values: dict[str, FactValue] = {}
    problems = []
    for name in CONFIGS:
        line_number, written = found.get(name, (0, "n"))
        value = _value(name, written)
        if value is None:
            continue
        if not is_right(f"config.{name}", value):
            right = "y, m or n" if is_switch(f"config.{name}") else wanted(f"config.{name}")
            message = f"found {shown(written)}, expected {right}"
            problems.append(Problem(source, message, line=line_number, field=f"CONFIG_{name}"))
        values[name] = value
    if problems:
        raise InputError(problems)
    return Config(frozenset(found), values)


def _value(name: str, written: str) -> FactValue | None:
    """What stands behind the equals sign: None for what is off or a module, else a switch, a number or text."""
    if written == "n" or (written == "m" and is_switch(f"config.{name}")):
        return None
    if written == "y":
        return True
    if is_text(f"config.{name}") and (quoted := _TEXT.fullmatch(written)) is not None:
        return _ESCAPED.sub(r"\1", quoted[1])
    if _NUMBER.fullmatch(written):
        return int(written, 16) if written[:2] in ("0x", "0X") else int(written)
    return written
