"""The direct map's page tables as a tree: what each table maps, and where its page lies.

A plan keeps what is mapped with which pages, and how many table pages were made while a range was mapped.  Both
together give the tree.  Tables that are alike stand together, so the tree of a large machine is no larger.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from memplan.ranges import RangeSet
from memplan.units import PAGE_SIZE, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from memplan.plan import MappedRange, PageTables, TableRun

#: The levels below the PGD, and by what power of two one table of each maps; the entries of the last are pages.
_SHIFTS = {"p4d": 48, "pud": 39, "pmd": 30, "pte": 21}
_PAGE_SHIFT = 12
#: Rows below one table, and rows with rows below them in the whole tree; the table of the direct map has all.
_ROWS, _DEEP = 16, 200
#: Places of alike tables that are told one by one.
_PLACES = 3
#: A tree of so few rows is shown whole.
_SMALL = 24


class Place(NamedTuple):
    """Where `pages` tables lie: in ``[first, last]`` (as text), among others where `exact` is false."""

    pages: int
    first: str
    last: str
    exact: bool
    source: str


class Row(NamedTuple):
    """Tables that are alike, or pages that they map: how many, what range they map, and where they lie.

    `first` and `last` are the first and the last byte that is mapped, `holds` what the tables' entries are, `places`
    where the tables lie, `elsewhere` how many of them lie in places that are not told; `more` counts `rows` left out.
    """

    what: str
    first: str
    last: str
    holds: str
    places: list[Place]
    elsewhere: int
    rows: list[Row]
    more: int


class Tree(NamedTuple):
    """The tree below the PGD; `trampoline` are tables besides, by which CPUs come up."""

    holds: str
    rows: list[Row]
    more: int
    trampoline: list[Place]
    whole: bool


class _Made(NamedTuple):
    """The tables of the units ``[first, end)``, pages of `run`; `at` is the first one's where that is known."""

    first: int
    end: int
    run: TableRun
    at: int | None


class _Group(NamedTuple):
    """`total` tables of a level (None: pages of `page_size`) that map `parts`."""

    level: str | None
    first: int
    total: int
    parts: list[MappedRange]


def table_tree(tables: PageTables) -> Tree | None:
    """The tree of `tables`; None where nothing is mapped."""
    return _Builder(tables).tree() if tables.mappings else None


class _Builder:
    def __init__(self, tables: PageTables) -> None:
        self._tables = tables
        self._levels = list(_SHIFTS)[5 - tables.levels :]
        self._made = self._places()
        self._firsts = {level: [own.first for own in made] for level, made in self._made.items()}
        self._rows = self._deep = 0

    def tree(self) -> Tree:
        """All of it."""
        groups = self._groups(self._levels[0], self._tables.mappings)
        rows, more = self._below(groups)
        return Tree(
            _holds(groups),
            rows,
            more,
            [_place(run, run.pages, None) for run in self._tables.runs if _empty(run)],
            self._rows <= _SMALL,
        )

    # -- what maps what ---------------------------------------------------------------------------------------------

    def _units(self, level: str, start: int, end: int) -> tuple[int, int]:
        """The numbers of a level's tables that ``[start, end)`` needs; the upper ones count in virtual memory."""
        base, shift = self._base(level), _SHIFTS[level]
        return (start + base) >> shift, -(-(end + base) >> shift)

    def _base(self, level: str) -> int:
        return self._tables.direct_map_base if level in ("p4d", "pud") else 0

    def _groups(self, level: str, parts: Sequence[MappedRange]) -> list[_Group]:
        """The tables of a level that map `parts`, alike neighbours together."""
        base, unit = self._base(level), 1 << _SHIFTS[level]
        found: list[_Group] = []
        for part in parts:
            at = part.start
            while at < part.end:
                first, end = self._units(level, at, part.end)
                count = (part.end + base) // unit - first if (at + base) % unit == 0 else 0
                stop = ((first + count) * unit if count else (first + 1) * unit) - base
                piece = part._replace(start=at, end=min(stop, part.end))
                last = found[-1] if found else None
                if last is not None and last.first + last.total > first:
                    last.parts.append(piece)
                else:
                    found.append(_Group(level, first, count or min(1, end - first), [piece]))
                at = piece.end
        return found

    def _entries(self, group: _Group) -> list[_Group]:
        """What the entries of a group's tables are: tables of the next level, or pages."""
        level = self._levels.index(group.level or "") + 1
        shift = _SHIFTS[self._levels[level]] if level < len(self._levels) else _PAGE_SHIFT
        found: list[_Group] = []
        split: list[MappedRange] = []
        for part in group.parts:
            if part.page_size < 1 << shift:
                split.append(part)
                continue
            if split:
                found += self._groups(self._levels[level], split)
                split = []
            first = part.start >> shift
            found.append(_Group(None, first, -(-part.end >> shift) - first, [part]))
        return found + (self._groups(self._levels[level], split) if split else [])

    # -- where it lies ----------------------------------------------------------------------------------------------

    def _places(self) -> dict[str, list[_Made]]:
        """The tables of each level, upwards: each was made while the first range was mapped that needed it."""
        needed = {level: RangeSet() for level in self._levels}
        for part in self._tables.mappings:
            for level in self._levels:
                if part.page_size < 1 << _SHIFTS[level]:
                    needed[level].add(*self._units(level, part.start, part.end))
        known = {level: RangeSet() for level in self._levels}
        found: dict[str, list[_Made]] = {level: [] for level in self._levels}
        for run in (run for run in self._tables.runs if not _empty(run)):
            done, own = 0, known[run.level]
            wanted = needed[run.level].within(*self._units(run.level, *run.mapped))
            for first, end in [gap for part in wanted for gap in own.outside(*part)]:
                count = min(end - first, run.pages - done)
                if count:
                    at = run.start + done * PAGE_SIZE if run.end - run.start == run.pages * PAGE_SIZE else None
                    found[run.level].append(_Made(first, first + count, run, at))
                    own.add(first, first + count)
                done += count
        return {level: sorted(made, key=lambda own: own.first) for level, made in found.items()}

    def _places_of(self, group: _Group) -> Iterator[Place]:
        if group.level is None:
            return
        made, end = self._made[group.level], group.first + group.total
        at = max(bisect_right(self._firsts[group.level], group.first) - 1, 0)
        while at < len(made) and made[at].first < end:
            own = made[at]
            low, high = max(own.first, group.first), min(own.end, end)
            if low < high:
                yield _place(own.run, high - low, None if own.at is None else own.at + (low - own.first) * PAGE_SIZE)
            at += 1

    # -- rows -------------------------------------------------------------------------------------------------------

    def _below(self, groups: list[_Group]) -> tuple[list[Row], int]:
        return [self._row(group) for group in groups[:_ROWS]], max(len(groups) - _ROWS, 0)

    def _row(self, group: _Group) -> Row:
        self._rows += 1
        entries = [] if group.level is None else self._entries(group)
        places = list(self._places_of(group))
        rows: list[Row] = []
        more = 0
        # One kind of pages is told in the row itself.
        if len(entries) > 1 or any(own.level is not None for own in entries):
            if self._deep < _DEEP:
                self._deep += 1
                rows, more = self._below(entries)
            else:
                more = len(entries)
        told = places[:_PLACES]
        return Row(
            _what(group),
            f"{group.parts[0].start:#014x}",
            f"{group.parts[-1].end - 1:#014x}",
            _holds(entries),
            told,
            0 if group.level is None else group.total - sum(own.pages for own in told),
            rows,
            more,
        )


def _empty(run: TableRun) -> bool:
    """Whether the run's tables map nothing of the direct map themselves."""
    return run.mapped[0] == run.mapped[1]


def _place(run: TableRun, pages: int, at: int | None) -> Place:
    source = run.source if run.nid is None else f"{run.source}, node {run.nid}"
    start, end = (run.start, run.end) if at is None else (at, at + pages * PAGE_SIZE)
    exact = end - start == pages * PAGE_SIZE
    return Place(pages, f"{start:#014x}", f"{end - 1:#014x}", exact, source)


def _what(group: _Group) -> str:
    many = "s" if group.total != 1 else ""
    if group.level is None:
        return f"{group.total} page{many} of {size_text(group.parts[0].page_size)}"
    name = f"{group.level.upper()} table{many}"
    return name if group.total == 1 else f"{group.total} {name}"


def _holds(groups: list[_Group]) -> str:
    """How many tables and pages of each size, in the order in which they are met."""
    counts: dict[tuple[str | None, int], int] = {}
    for group in groups:
        key = group.level, 0 if group.level else group.parts[0].page_size
        counts[key] = counts.get(key, 0) + group.total
    texts = []
    for (level, size), count in counts.items():
        name = f"{level.upper()} table" if level else "page"
        texts.append(f"{count} {name}{'s' if count != 1 else ''}{'' if level else f' of {size_text(size)}'}")
    return ", ".join(texts)
