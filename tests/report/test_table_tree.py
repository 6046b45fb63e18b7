"""The tree of page tables: it has as many tables of each level as were made, and each lies where its pages are."""

from __future__ import annotations

from collections import Counter
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any

import pytest

import memplan
from memplan.plan import MappedRange, PageTables, Plan, TableRun
from memplan.report.table_tree import Row, Tree, table_tree
from memplan.units import GIB, MIB, SIZE_2M
from tests.report.pages import EXAMPLES, made, path_of

#: What makes the direct map of pages up to that size.
UP_TO: dict[str, dict[str, Any]] = {
    "1G": {},
    "2M": {"cpus.gbpages": False},
    "4K": {"cpus.pse": False, "cpus.gbpages": False},
}


@cache
def planned(name: str, sizes: str, bottom_up: bool) -> Plan:
    machine = memplan.load_machine(path_of(name))
    changes = UP_TO[sizes]
    return memplan.simulate(machine.replace(changes) if changes else machine, bottom_up=bottom_up)


def tree_of(plan: Plan) -> Tree:
    tree = table_tree(plan.page_tables)
    assert tree is not None
    return tree


def rows_of(rows: list[Row]) -> list[Row]:
    return [each for row in rows for each in (row, *rows_of(row.rows))]


def counted(row: Row) -> tuple[str, int]:
    """The level of a row, or the pages' size, and how many it stands for."""
    words = row.what.split()
    if words[0].isdigit():
        return (words[1] if words[2].startswith("table") else words[-1]), int(words[0])
    return words[0], 1


@pytest.mark.parametrize("name", [path.stem for path in EXAMPLES])
@pytest.mark.parametrize("sizes", ["1G", "2M", "4K"])
@pytest.mark.parametrize("bottom_up", [False, True])
def test_the_tree_has_the_tables_that_were_made(name: str, sizes: str, bottom_up: bool) -> None:
    plan = planned(name, sizes, bottom_up)
    tree = tree_of(plan)
    made_pages: Counter[str] = Counter()
    for run in plan.page_tables.runs:
        made_pages[run.level.upper()] += run.pages
    shown: Counter[str] = Counter()
    rows = rows_of(tree.rows)
    assert all(not row.more for row in rows), "an example's tree is shown whole"
    for row in rows:
        what, count = counted(row)
        shown[what] += count
        assert row.elsewhere == 0 or len(row.places) == 3
        if row.what.startswith("PTE") or " PTE " in row.what:
            assert row.holds.endswith("of 4K")
    levels = ("P4D", "PUD", "PMD", "PTE")
    besides = sum(place.pages for place in tree.trampoline)
    assert sum(shown[level] for level in levels) + besides == plan.page_tables.pages()
    assert all(shown[level] == made_pages[level] for level in ("PMD", "PTE"))


def test_pages_of_the_brk_have_their_places_one_by_one() -> None:
    plan = planned("hotplug-nodes", "1G", True)
    found = {}
    for row in rows_of(tree_of(plan).rows):
        for place in row.places:
            assert place.exact
            found[int(place.first, 16)] = row.what
    runs = [run for run in plan.page_tables.runs if run.mapped[0] < run.mapped[1]]
    assert {run.start: f"{run.level.upper()} table" for run in runs} == found


def test_what_is_mapped_is_what_the_plan_maps() -> None:
    plan = planned("hotplug-nodes", "1G", False)
    pages = [row for row in rows_of(tree_of(plan).rows) if "page" in row.what or row.holds.endswith("of 4K")]
    told = [(int(row.first, 16), int(row.last, 16) + 1) for row in pages]
    # A table of the last level stands for the pages that it maps.
    joined: list[list[int]] = []
    for start, end in sorted(told):
        if joined and joined[-1][1] == start:
            joined[-1][1] = end
        else:
            joined.append([start, end])
    wanted: list[list[int]] = []
    for part in plan.page_tables.mappings:
        if wanted and wanted[-1][1] == part.start:
            wanted[-1][1] = part.end
        else:
            wanted.append([part.start, part.end])
    assert joined == wanted


def test_alike_tables_stand_together_and_the_tree_has_an_end() -> None:
    alike = PageTables(4, 0, (TableRun("pmd", "memblock", 0, 64 << 12, 64, 0, (0, 64 * GIB)),), ())
    whole = table_tree(alike._replace(mappings=(MappedRange(0, 64 * GIB, SIZE_2M),)))
    assert whole is not None
    [pud] = whole.rows
    [pmds] = pud.rows
    assert (pmds.what, pmds.holds, pmds.rows) == ("64 PMD tables", "32768 pages of 2M", [])
    assert [(place.pages, place.exact) for place in pmds.places] == [(64, True)]
    holes = tuple(MappedRange(at * GIB, at * GIB + 2 * MIB, SIZE_2M) for at in range(0, 40_000, 2))
    parted = table_tree(alike._replace(mappings=holes))
    assert parted is not None
    assert len(rows_of(parted.rows)) < 1000
    assert parted.more == 79 - len(parted.rows)


def test_a_boot_that_maps_nothing_has_no_tree() -> None:
    assert table_tree(PageTables(4, 0, (), ())) is None


def test_the_page_has_the_tree_without_a_script(tmp_path: Path) -> None:
    text = unescape(made(tmp_path, path_of("hotplug-nodes")))
    tree = text[text.index('<section class="tree"') :]
    tree = tree[: tree.index("</section>")]
    assert "<summary>PGD: 1 P4D table</summary>" in tree
    assert '<a href="#at=0x000003c03000">0x000003c03000</a> (brk, node 0)' in tree
    assert tree.count("<details") == tree.count("</details>") == 5
