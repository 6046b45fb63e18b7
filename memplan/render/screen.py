"""Laying out one screen: sections that shrink to a terminal's height, text wrapped to its width."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING

from memplan.render.spans import Span, line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from memplan.render.spans import Line

#: The narrowest screen that is laid out; a narrower one wraps.
LEAST_COLUMNS = 40
#: A text narrower than this begins on a line of its own.
_LEAST_TEXT = 16
_DIM = "dim"


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines that stand together; of those from `fixed` on as many as there is room for, at least `least`.

    `more` words how many were left out.
    """

    lines: Sequence[Line]
    fixed: int
    least: int
    more: Callable[[int], str]

    def cut(self, room: int) -> list[Line]:
        """At most `room` lines, the last of which says what is missing."""
        if len(self.lines) <= room:
            return list(self.lines)
        kept = max(room - 1, self.fixed)
        return [*self.lines[:kept], line(Span(f"  {self.more(len(self.lines) - kept)}", _DIM))]

    @property
    def smallest(self) -> int:
        """How many lines it has at least."""
        return min(len(self.lines), self.fixed + self.least)


def whole(lines: Sequence[Line]) -> Panel:
    """A section that is shown whole or not at all."""
    return Panel(lines, len(lines), 0, str)


def fitted(sections: list[Panel], height: int) -> list[Line]:
    """The sections within `height`: first without empty lines between, then each cut by what it has most of."""
    rooms = [len(section.lines) for section in sections]
    apart = sum(rooms) + len(sections) - 1 <= height
    while not apart and sum(rooms) > height:
        spare = [room - section.smallest for room, section in zip(rooms, sections, strict=True)]
        if max(spare) <= 0:
            break
        rooms[spare.index(max(spare))] -= 1
    found: list[Line] = []
    for section, room in zip(sections, rooms, strict=True):
        if found and apart:
            found.append(line())
        found += section.cut(room)
    return found


def _rows(text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` columns, broken between words alone."""
    return wrap(text, width, break_on_hyphens=False, break_long_words=False)


def wrapped(text: str, width: int, *, head: Sequence[Span | str] = (), style: str = "") -> list[Line]:
    """`text` behind `head`, its further lines below where it begins."""
    indent = sum(len(part.text if isinstance(part, Span) else part) for part in head)
    if width - indent < _LEAST_TEXT:
        rows = _rows(text, width - 2) or [""]
        return [line(*head), *(line("  ", Span(row, style)) for row in rows)]
    rows = _rows(text, width - indent) or [""]
    return [
        line(*head, Span(rows[0], style)),
        *(line(" " * indent, Span(row, style)) for row in rows[1:]),
    ]


def columns(rows: Sequence[tuple[str, ...]], width: int) -> list[Line]:
    """Rows with aligned columns; the last columns go where they don't fit."""
    widths = _widths(rows)
    while len(widths) > 2 and _total(widths) > width:
        widths.pop()
    return [
        line("  ", "  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=False)).rstrip())
        for row in rows
    ]


def columns_width(rows: Sequence[tuple[str, ...]]) -> int:
    """How many columns of the screen :func:`columns` takes for all of the rows."""
    return _total(_widths(rows))


def _widths(rows: Sequence[tuple[str, ...]]) -> list[int]:
    return [max(map(len, cells)) for cells in zip(*rows, strict=True)] if rows else []


def _total(widths: Sequence[int]) -> int:
    return 2 + sum(widths) + 2 * (len(widths) - 1)
