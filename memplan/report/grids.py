"""Tables as a page shows them: the first rows stand in the page, all of them among its data."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from memplan.render.table import heading

if TYPE_CHECKING:
    from collections.abc import Iterable

    from memplan.render.table import Table

#: Rows of a table that stand in the page itself; more are among its data, and its script shows them.
ROWS = 100


class Column(NamedTuple):
    """A table's column; `kind` is "address", "step", "size" or "" for what its cells are."""

    name: str
    right: bool
    kind: str


class Grid(NamedTuple):
    """A table of the page, its first rows and how many more there are; `id` is unique in the page."""

    id: str
    title: str
    note: str
    columns: tuple[Column, ...]
    rows: list[tuple[str, ...]]
    more: int


def grids_of(tables: Iterable[Table], prefix: str) -> tuple[list[Grid], dict[str, list[tuple[str, ...]]]]:
    """`tables` with the ids `prefix`0, 1, ...; and by their ids all rows of those that are too long for the page."""
    grids, rest = [], {}
    for number, table in enumerate(tables):
        grid = _grid(f"{prefix}{number}", table)
        grids.append(grid)
        if grid.more:
            rest[grid.id] = list(table.rows)
    return grids, rest


def _grid(name: str, table: Table) -> Grid:
    columns = tuple(_column(*heading(column)) for column in table.columns)
    rows = list(table.rows[:ROWS])
    return Grid(name, table.title, table.note, columns, rows, len(table.rows) - len(rows))


def _column(name: str, right: bool) -> Column:
    kinds = {"start": "address", "end": "address", "first byte": "address", "last byte": "address", "step": "step"}
    # Of two plans, the label stands before the name.
    plain = name.rpartition(": ")[2]
    return Column(name, right, kinds.get(plain, "size" if plain in ("size", "memory", "present") else ""))
