"""What memblock tells while it works."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

Op: TypeAlias = Literal["add", "reserve", "remove", "free"]


class Listener(Protocol):
    """Who is told what memblock does, in the moment in which the kernel would print it."""

    def changed(self, op: Op, base: int, size: int, count: int, descending: bool, nid: int | None, flags: int) -> None:
        """`op` (add, remove, reserve, free) begins; `size` bytes in `count` equal pieces, one beside the other.

        `nid` and `flags` are what memory or a reservation is added with.
        """

    def message(self, text: str, warning: bool) -> None:
        """A line.  Of a WARN_ON or a stack dump, which print many, it is the macro's and the function's name."""

    def array_growth(self, name: str) -> None:
        """The changes that come next are made for the new storage of the array `name`."""

    def array_grown(self) -> None:
        """The changes for the innermost growing array are over."""
