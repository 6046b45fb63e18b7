"""Reports on a terminal: the same blocks as rich tables, with colour."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text as RichText

from memplan.render.table import Text, heading

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from memplan.render.table import Block, Table

#: Columns of at most this width, an address's, are never folded.
_NARROW = 14
#: Whole cells that say yes or no.
_STYLES = {
    "movable": "green",
    "not movable": "red",
    "appeared": "green",
    "vanished": "red",
    "moved": "yellow",
    "resized": "yellow",
}


def rich_lines(blocks: Iterable[Block], console: Console | None = None) -> Iterator[str]:
    """A report in the terminal's width and colours, line by line."""
    console = console or Console()
    with console.capture() as capture:
        for index, block in enumerate(blocks):
            if index:
                console.print()
            if block.title:
                console.print(RichText(block.title, style="bold"))
            if isinstance(block, Text):
                for line in block.lines:
                    console.print(RichText(f"  {line}" if block.title else line))
            else:
                if block.note:
                    console.print(RichText(f"  {block.note}", style="dim"))
                console.print(_rich_table(block))
    yield from capture.get().splitlines()


def _rich_table(table: Table) -> RichTable:
    shown = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for column, cells in zip(table.columns, zip(*table.rows, strict=True) if table.rows else repeat(()), strict=False):
        name, right = heading(column)
        narrow = all(len(cell) <= _NARROW for cell in cells)
        shown.add_column(name, justify="right" if right else "left", overflow="fold", no_wrap=narrow)
    for row in table.rows:
        shown.add_row(*(RichText(cell, style=_STYLES.get(cell, "")) for cell in row))
    return shown
