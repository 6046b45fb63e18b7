"""Reports for people: titled tables and texts, and their plain form for pipes and files.

A report is a list of blocks and knows nothing of screens; memplan/render/terminal.py chooses how it is shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_GAP = "  "


class Table(NamedTuple):
    """A titled table; a column whose name ends in ``>`` is aligned right.  `note` stands below the title."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str = ""


class Text(NamedTuple):
    """Lines under a title (none where it is empty)."""

    title: str
    lines: Sequence[str]


Block = Table | Text


def plain_lines(blocks: Iterable[Block]) -> Iterator[str]:
    """A report as plain text: one empty line between blocks, columns aligned, nothing wrapped or cut."""
    first = True
    for block in blocks:
        if not first:
            yield ""
        first = False
        if block.title:
            yield block.title
        if isinstance(block, Text):
            indent = _GAP if block.title else ""
            yield from (f"{indent}{line}".rstrip() for line in block.lines)
            continue
        if block.note:
            yield f"{_GAP}{block.note}"
        yield from aligned(block)


def heading(column: str) -> tuple[str, bool]:
    """A column's name, and whether it is aligned right."""
    return column.removesuffix(">"), column.endswith(">")


def aligned(table: Table) -> Iterator[str]:
    """A table's heading and rows as plain lines."""
    headings = [heading(column) for column in table.columns]
    lines: list[Sequence[str]] = [[name for name, _ in headings], *table.rows]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    for line in lines:
        cells = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, (_, right) in zip(line, widths, headings, strict=True)
        )
        yield (_GAP + _GAP.join(cells)).rstrip()
