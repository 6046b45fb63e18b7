"""Reports on a terminal: the same blocks as rich tables, with colour."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text as RichText

from memplan.printable import printable
from memplan.render.table import Text, aligned, heading

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from memplan.render.spans import Line
    from memplan.render.table import Block, Table

#: No column of words gets narrower than this.
_LEAST_WIDTH = 8
_GAP = 2
_INDENT = 2
#: Whole cells that say yes or no.
_STYLES = {
    "movable": "green",
    "not movable": "red",
    "appeared": "green",
    "vanished": "red",
    "moved": "yellow",
    "resized": "yellow",
}


def rich_spans(lines: Iterable[Line], console: Console | None = None) -> Iterator[str]:
    """Lines of styled pieces in the terminal's colours, one by one; nothing is wrapped or cut."""
    console = console or Console()
    with console.capture() as capture:
        for each in lines:
            text = RichText.assemble(*((printable(span.text), span.style) for span in each))
            text.rstrip()
            console.print(text, soft_wrap=True)
    yield from capture.get().splitlines()


def rich_lines(blocks: Iterable[Block], console: Console | None = None) -> Iterator[str]:
    """A report in the terminal's width and colours, line by line.

    A table that can't be made narrow enough stays plain: nothing is cut.
    """
    console = console or Console()
    with console.capture() as capture:
        for index, block in enumerate(blocks):
            if index:
                console.print()
            if block.title:
                console.print(RichText(printable(block.title), style="bold"))
            if isinstance(block, Text):
                for line in block.lines:
                    console.print(RichText(printable(f"  {line}" if block.title else line)))
            else:
                if block.note:
                    console.print(RichText(printable(f"  {block.note}"), style="dim"))
                shown, least = _rich_table(block)
                if _INDENT + least <= console.width:
                    console.print(Padding(shown, (0, 0, 0, _INDENT)))
                else:
                    for line in aligned(block):
                        console.print(RichText(printable(line)), soft_wrap=True)
    yield from capture.get().splitlines()


def _rich_table(table: Table) -> tuple[RichTable, int]:
    """The table for rich, and how narrow it can get."""
    shown = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    total = 0
    columns = zip(*table.rows, strict=True) if table.rows else repeat(())
    for column, cells in zip(table.columns, columns, strict=False):
        name, right = heading(column)
        number = all(cell[:1].isdigit() or cell == "-" for cell in cells)
        full = max(map(len, (name, *cells)))
        least = full if number else min(_LEAST_WIDTH, full)
        total += least + _GAP
        shown.add_column(name, justify="right" if right else "left", overflow="fold", no_wrap=number, min_width=least)
    for row in table.rows:
        shown.add_row(*(RichText(printable(cell), style=_STYLES.get(cell, "")) for cell in row))
    return shown, total
