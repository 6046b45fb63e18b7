"""The kernel command line, taken apart as the kernel takes it apart (parse_args and next_arg)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import KeysView

#: So many command lines are remembered; those who plan one machine ask for the same one again and again.
_MOST_REMEMBERED = 16
#: The kernel's isspace(): ASCII white space and Latin-1's no-break space.
_SPACES = " \t\n\v\f\r\xa0"
#: A word, in which white space counts between double quotes, the last of which may be missing.
_WORD = re.compile(rf'(?:[^{_SPACES}"]+|"[^"]*"?)*')


class CommandLine:
    """The options of one command line.

    `args` holds (name, value) in order, names as typed; a value is None where the word has no ``=``, and "" where
    nothing follows it.  Words behind a bare ``--`` belong to init and are left out.  Look-ups by name take ``-``
    and ``_`` as the same letter, as the kernel does.
    """

    __slots__ = ("_values", "args")

    def __init__(self, text: str) -> None:
        self.args: list[tuple[str, str | None]] = []
        #: The values of each option's words, by its name with underscores.
        self._values: dict[str, list[str | None]] = {}
        rest = text.lstrip(_SPACES)
        while rest:
            name, value, rest = _next_arg(rest)
            if name == "--" and value is None:
                break
            self.args.append((name, value))
            self._values.setdefault(name.replace("-", "_"), []).append(value)

    @property
    def names(self) -> KeysView[str]:
        """The options that are there, with underscores."""
        return self._values.keys()

    def has(self, name: str) -> bool:
        """Whether the option is there, with a value or without."""
        return name.replace("-", "_") in self._values

    def last(self, name: str) -> str | None:
        """The value of the option's last word; None where it is missing or has no ``=``."""
        values = self._values.get(name.replace("-", "_"))
        return values[-1] if values else None

    def all(self, name: str) -> list[str]:
        """The values of all of the option's words that have one, in order."""
        return [value for value in self._values.get(name.replace("-", "_"), ()) if value is not None]


@lru_cache(_MOST_REMEMBERED)
def command_line(text: str) -> CommandLine:
    """The command line `text`, taken apart."""
    return CommandLine(text)


def _next_arg(text: str) -> tuple[str, str | None, str]:
    """The first word of `text` as (name, value), and what follows it; white space inside double quotes is kept.

    Only quotes around the whole word or around the whole value are dropped (lib/cmdline.c, next_arg).
    """
    found = _WORD.match(text)
    assert found is not None, "it matches whatever there is"
    word, rest = found[0], text[found.end() :].lstrip(_SPACES)
    quoted = word.startswith('"')
    if quoted:
        word = word[1:]
    equals = word.find("=", 1)
    name, value = (word[:equals], word[equals + 1 :]) if equals > 0 else (word, None)
    if value is not None and value.startswith('"'):
        value = value[1:].removesuffix('"')
    elif quoted:
        if value is None:
            name = name.removesuffix('"')
        else:
            value = value.removesuffix('"')
    return name, value, rest
