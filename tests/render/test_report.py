"""The report on a plan, and its two forms."""

from __future__ import annotations

import io

from rich.console import Console

from memplan.events import Message
from memplan.plan import Blocker, End, Plan, Remedy, Reservation
from memplan.render.report import plan_report
from memplan.render.rich_ import rich_lines
from memplan.render.table import Table, Text, plain_lines
from memplan.units import GIB, MIB, PAGE_SIZE
from tests.render.plans import a_plan, called


def table(plan: Plan, title: str, *, verbose: bool = False) -> Table:
    return next(b for b in plan_report(plan, verbose=verbose) if isinstance(b, Table) and b.title.startswith(title))


def blocked_plan() -> Plan:
    plan = a_plan()
    blockers = (
        Blocker(6 * GIB, 6 * GIB + 4096, called("page tables"), "init_mem_mapping", Remedy("movable_node")),
        Blocker(7 * GIB, 7 * GIB + 8192, called("page tables"), "init_mem_mapping", Remedy("movable_node")),
        Blocker(8 * GIB, 8 * GIB + 100, called("ACPI SRAT"), "acpi_boot_table_init", Remedy("other firmware")),
    )
    verdict = plan.verdicts[2]._replace(movable=False, start_pfn=None, blocks=0, reason="taken", blockers=blockers)
    return plan._replace(verdicts=(*plan.verdicts[:2], verdict), movable=())


def test_what_can_be_removed_stands_first() -> None:
    assert next(plain_lines(plan_report(a_plan()))) == "4G of 9G can be removed: node 1 4G"
    lines = plain_lines(plan_report(blocked_plan()))
    assert next(lines) == "Nothing of 9G can be removed"
    assert next(lines) == "Node 1: 4G hot-pluggable, but not movable: taken"


def test_the_head_says_what_was_planned() -> None:
    lines = list(plain_lines(plan_report(a_plan(kernel="debian-6.1", kernel_version="6.1"))))
    assert lines[2:7] == [
        "machine       two-nodes",
        "kernel        debian-6.1 (rules of Linux 6.1)",
        "              generic: values of Debian 12",
        "boot options  movable_node",
        "direction     bottom-up until the SRAT is read, then top-down",
    ]


def test_a_dead_boot_says_so_first_and_last() -> None:
    end = End(False, "initmem_init", "Cannot find memory\nfor node 0", "no free memory is left")
    plan = a_plan(end=end, verdicts=(), nodes=(), zones=(), movable=(), events=())
    lines = list(plain_lines(plan_report(plan)))
    assert lines[0] == "The boot dies in initmem_init: no free memory is left"
    assert lines[-4:] == [
        "End of the boot",
        "  in initmem_init: no free memory is left",
        "  Cannot find memory",
        "  for node 0",
    ]


def test_neighbours_of_one_owner_are_one_row() -> None:
    parts = (
        Reservation(0x1000, 0x1068, 0, called("firmware memory map"), "late", False),
        Reservation(0x1080, 0x10E8, 0, called("firmware memory map"), "later", False),
        Reservation(0x1100, 0x1200, 0, called("something else"), "late", False),
        Reservation(0x1200, 0x1300, 0, called("firmware memory map"), "late", False),
        Reservation(0x1300, 0x1400, 1, called("firmware memory map"), "late", False),
        Reservation(0x1400 + PAGE_SIZE, 0x1500 + PAGE_SIZE, 1, called("firmware memory map"), "late", False),
        Reservation(0x9000, 0xA000, None, called("ACPI"), "early", True),
    )
    rows = table(a_plan(reservations=parts), "Reserved").rows
    assert [(row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7]) for row in rows] == [
        ("0x000000001000", "0x0000000010e7", "208", "2", "0", "firmware memory map", "late, later", "after"),
        ("0x000000001100", "0x0000000011ff", "256", "1", "0", "something else", "late", "after"),
        ("0x000000001200", "0x0000000012ff", "256", "1", "0", "firmware memory map", "late", "after"),
        ("0x000000001300", "0x0000000013ff", "256", "1", "1", "firmware memory map", "late", "after"),
        ("0x000000002400", "0x0000000024ff", "256", "1", "1", "firmware memory map", "late", "after"),
        ("0x000000009000", "0x000000009fff", "4K", "1", "-", "ACPI", "early", "before"),
    ]
    assert len(table(a_plan(reservations=parts), "Reserved", verbose=True).rows) == len(parts)


def test_page_tables_are_counted_by_level_source_and_node() -> None:
    found = table(a_plan(), "Page tables")
    assert found.title == "Page tables: 5 pages (20K), 2 from the brk and 3 from memblock"
    assert found.note == "4 levels, direct map at 0xffff888000000000"
    assert [row[:4] for row in found.rows] == [("pud", "2", "brk", "0"), ("pmd", "3", "memblock", "0")]
    assert [row[2:] for row in table(a_plan(), "Direct map").rows] == [("2M", "4K"), ("1022M", "2M"), ("9G", "1G")]


def test_blockers_are_named_with_what_moves_them_away() -> None:
    rows = table(blocked_plan(), "What keeps").rows
    assert [row[3:] for row in rows] == [
        ("12K", "2", "page tables", "init_mem_mapping", "movable_node"),
        ("100", "1", "ACPI SRAT", "acpi_boot_table_init", "other firmware"),
    ]
    assert len(table(blocked_plan(), "What keeps", verbose=True).rows) == 3


def test_warnings_stand_word_for_word() -> None:
    text = "memblock: bottom-up allocation failed, memory hotremove may be affected"
    plan = a_plan(events=(Message(text, "initmem_init", warning=True), Message("fine", "initmem_init")))
    block = next(b for b in plan_report(plan) if isinstance(b, Text) and b.title.startswith("Warnings"))
    assert block.lines == [text]


def test_of_very_many_warnings_the_rest_is_counted_unless_all_are_asked_for() -> None:
    texts = [f"e820: too many entries; ignoring {number}" for number in range(20_000)]
    plan = a_plan(events=tuple(Message(text, "e820__memory_setup", warning=True) for text in texts))

    def shown(*, verbose: bool = False, sections: tuple[str, ...] = ()) -> list[str]:
        blocks = plan_report(plan, verbose=verbose, sections=sections)
        return list(next(b for b in blocks if isinstance(b, Text) and b.title.startswith("Warnings")).lines)

    told = shown()
    assert told[:-1] == texts[: len(told) - 1]
    assert told[-1] == f"and {20_001 - len(told)} more; --section warnings shows all"
    assert len(told) < 1000
    assert shown(verbose=True) == shown(sections=("warnings",)) == texts


def test_columns_are_aligned_and_nothing_is_cut() -> None:
    rows = [("a", "1", "x" * 300), ("bbb", "1000", "y")]
    assert list(plain_lines([Text("", ["head"]), Table("T", ("name", "n>", "long"), rows, "note")])) == [
        "head",
        "",
        "T",
        "  note",
        "  name     n  long",
        "  a        1  " + "x" * 300,
        "  bbb   1000  y",
    ]


def test_a_terminal_shows_the_same_words() -> None:
    plan = a_plan(machine_name="[bold]not markup[/bold]")
    console = Console(file=io.StringIO(), width=400, force_terminal=False)
    shown = [line.split() for line in rich_lines(plan_report(plan), console) if line.strip(" ─")]
    plain = [line.split() for line in plain_lines(plan_report(plan)) if line]
    assert shown == plain


def test_addresses_stay_whole_in_a_narrow_terminal() -> None:
    console = Console(file=io.StringIO(), width=90, force_terminal=False)
    lines = "\n".join(rich_lines([table(a_plan(), "Reserved")], console))
    assert "0x000001000000" in lines
    assert "step" in lines
    assert "reserve_kernel_image" not in lines
    assert all(len(line) <= 90 for line in lines.splitlines())


def test_a_table_too_wide_for_the_terminal_is_not_cut() -> None:
    console = Console(file=io.StringIO(), width=60, force_terminal=False)
    block = table(a_plan(), "ZONE_MOVABLE")
    assert list(rich_lines([block], console)) == list(plain_lines([block]))


def test_sizes_are_short_in_sentences() -> None:
    plan = a_plan(movable=((1, 6 * GIB, 9 * GIB + 8 * MIB),))
    assert next(plain_lines(plan_report(plan))) == "3.0G of 9G can be removed: node 1 3.0G"
