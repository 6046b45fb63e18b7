"""The one error root, and the errors that bad input ends in.

Every message says what was wrong, where, what was found and what would have been right.  Only the command
line turns an error into an exit status: 2 for everything here.
"""

from __future__ import annotations

from memplan.printable import printable


class MemplanError(Exception):
    """Root of all errors that a user can cause; its text is the whole message."""


class Problem:
    """One thing wrong in one input.

    `source` is the file's name, `line` and `column` count from 1 (0: unknown), `field` is the path inside the
    document (``e820[3].end``), `message` says what was found and what was expected, `hint` offers the mend.
    """

    __slots__ = ("column", "field", "hint", "line", "message", "source")

    def __init__(
        self, source: str, message: str, *, line: int = 0, column: int = 0, field: str = "", hint: str = ""
    ) -> None:
        self.source = source
        self.line = line
        self.column = column
        self.field = field
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        place = self.source
        if self.line:
            place += f":{self.line}" + (f":{self.column}" if self.column else "")
        text = f"{place}: {self.field}: {self.message}" if self.field else f"{place}: {self.message}"
        return printable(f"{text} ({self.hint})" if self.hint else text, "")


class InputError(MemplanError):
    """Input that can't be used; carries every problem found in it, in the order of their places, those of a whole line
    behind those within it."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems, key=lambda p: (p.source, p.line, p.column == 0, p.column))
        super().__init__("\n".join(map(str, self.problems)))

    @classmethod
    def single(
        cls, source: str, message: str, *, line: int = 0, column: int = 0, field: str = "", hint: str = ""
    ) -> InputError:
        """The error of one problem; arguments as in :class:`Problem`."""
        return cls([Problem(source, message, line=line, column=column, field=field, hint=hint)])


class UsageError(MemplanError):
    """A command used in a way that can't work (an unknown kernel, options that exclude each other)."""


class NotCoveredError(MemplanError):
    """The description asks for something that memplan does not replay yet; no number is made up for it."""
