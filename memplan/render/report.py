"""The report on one plan, for people: what can be removed first, then who has what and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from memplan.render.table import Table, Text
from memplan.units import GIB, KIB, MIB, PAGE_SIZE, TIB, size_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from memplan.plan import MappedRange, PageTables, Plan, Reservation, TableRun, Verdict
    from memplan.render.table import Block

_LEVELS = ("p4d", "pud", "pmd", "pte")
#: So many lines of warnings are shown where nobody asks for all: a map of too many entries makes tens of thousands.
_MOST_WARNINGS = 100


def plan_report(plan: Plan, *, verbose: bool = False, sections: Sequence[str] = ()) -> Iterator[Block]:
    """The blocks of the report on `plan`: all, or those of the named `sections`.

    `verbose` puts no neighbours together.
    """
    if sections and plan.limits:
        yield Text("", [f"not modelled  {text}" for text in plan.limits])
    found = report_sections(plan, verbose=verbose, every_warning=verbose or bool(sections))
    yield from (block for name, block in found if not sections or name in sections)


def report_sections(plan: Plan, *, verbose: bool = False, every_warning: bool = True) -> Iterator[tuple[str, Block]]:
    """All blocks of the report on `plan`, each with the name of its section; "" for what belongs to none."""
    yield "", Text("", list(_summary(plan)))
    yield "", Text("", list(_header(plan)))
    yield "reserved", reserved_table(plan.reservations, verbose=verbose)
    yield "page-tables", _page_tables(plan.page_tables, verbose=verbose)
    yield "direct-map", _direct_map(plan.page_tables)
    if plan.verdicts:
        yield "movable", _verdicts(plan)
    blockers = _blockers(plan.verdicts, verbose=verbose)
    if blockers.rows:
        yield "movable", blockers
    if plan.nodes:
        yield "nodes", _nodes(plan)
    if plan.zones:
        yield "zones", _zones(plan)
    if plan.warnings:
        lines = [line for each in plan.warnings for line in each.text.splitlines()]
        if not every_warning and (left := len(lines[_MOST_WARNINGS:])):
            lines = [*lines[:_MOST_WARNINGS], f"and {left} more; --section warnings shows all"]
        yield "warnings", Text("Warnings of the kernel", lines)
    if not plan.end.completed:
        yield "", Text("End of the boot", [f"in {plan.end.step}: {plan.end.cause}", *plan.end.text.splitlines()])


# -- what all reports share ----------------------------------------------------------------------------------------


def addresses(start: int, end: int) -> tuple[str, str]:
    """The first and the last byte of ``[start, end)`` as the kernel prints them."""
    return f"{start:#014x}", f"{end - 1:#014x}"


def about(size: int) -> str:
    """`size` in short: exact where that is short, else rounded to a tenth of its unit."""
    exact = size_text(size)
    if len(exact) <= 4:
        return exact
    unit, suffix = next((u, s) for u, s in ((TIB, "T"), (GIB, "G"), (MIB, "M"), (KIB, "K"), (1, "")) if size >= u)
    return f"{size / unit:.1f}{suffix}"


def node_text(nid: int | None) -> str:
    """A node's number, or a dash for memory without one."""
    return "-" if nid is None else str(nid)


# -- the head ------------------------------------------------------------------------------------------------------


def _summary(plan: Plan) -> Iterator[str]:
    if not plan.end.completed:
        yield f"The boot dies in {plan.end.step}: {plan.end.cause}"
        return
    total = about(sum(node.memory for node in plan.nodes))
    by_node: dict[int, int] = {}
    for nid, start, end in plan.movable:
        by_node[nid] = by_node.get(nid, 0) + end - start
    if by_node:
        parts = ", ".join(f"node {nid} {about(size)}" for nid, size in sorted(by_node.items()))
        yield f"{about(sum(by_node.values()))} of {total} can be removed: {parts}"
    else:
        yield f"Nothing of {total} can be removed"
    for verdict in plan.verdicts:
        if verdict.hotplug and not verdict.movable:
            size = about(verdict.end - verdict.start)
            yield f"Node {verdict.nid}: {size} hot-pluggable, but not movable: {verdict.reason}"


def _header(plan: Plan) -> Iterator[str]:
    if plan.machine_name:
        yield f"machine       {plan.machine_name}"
    version = "" if plan.kernel == plan.kernel_version else f" (rules of Linux {plan.kernel_version})"
    yield f"kernel        {plan.kernel}{version}"
    for note in plan.kernel_notes:
        yield f"              {note}"
    yield f"boot options  {plan.cmdline or 'none'}"
    for text in plan.unheeded:
        yield f"              {text}"
    for text in plan.limits:
        yield f"not modelled  {text}"
    yield f"direction     {'bottom-up' if plan.bottom_up else 'top-down'} until the SRAT is read, then top-down"


# -- reserved ranges -----------------------------------------------------------------------------------------------


class _Row(NamedTuple):
    start: int
    end: int
    size: int
    parts: int
    part: Reservation
    steps: tuple[str, ...]


def reserved_table(reservations: Sequence[Reservation], *, verbose: bool) -> Table:
    """The reserved ranges; neighbours of one owner, less than a page apart, are one row unless `verbose`."""
    rows = [_row(part) for part in reservations] if verbose else list(_neighbours(reservations))
    total = sum(row.size for row in rows)
    return Table(
        f"Reserved ranges: {about(total)}",
        ("start", "end", "size>", "parts>", "node>", "owner", "step", "SRAT"),
        [
            (
                *addresses(row.start, row.end),
                size_text(row.size),
                str(row.parts),
                node_text(row.part.nid),
                str(row.part.owner),
                ", ".join(row.steps),
                "before" if row.part.before_srat else "after",
            )
            for row in rows
        ],
    )


def _row(part: Reservation) -> _Row:
    return _Row(part.start, part.end, part.end - part.start, 1, part, (part.step,))


def _neighbours(reservations: Iterable[Reservation]) -> Iterator[_Row]:
    last: _Row | None = None
    for part in reservations:
        row = _row(part)
        if last is None:
            last = row
        elif (part.owner, part.nid, part.before_srat) == (
            last.part.owner,
            last.part.nid,
            last.part.before_srat,
        ) and part.start - last.end < PAGE_SIZE:
            steps = last.steps if part.step in last.steps else (*last.steps, part.step)
            last = _Row(last.start, part.end, last.size + row.size, last.parts + 1, last.part, steps)
        else:
            yield last
            last = row
    if last is not None:
        yield last


# -- page tables ---------------------------------------------------------------------------------------------------


def _page_tables(tables: PageTables, *, verbose: bool) -> Table:
    pages = tables.pages()
    return Table(
        f"Page tables: {pages} pages ({about(pages * PAGE_SIZE)}), "
        f"{tables.pages('brk')} from the brk and {tables.pages('memblock')} from memblock",
        ("level", "pages>", "from", "node>", "first byte", "last byte"),
        [
            (run.level, str(run.pages), run.source, node_text(run.nid), *addresses(run.start, run.end))
            for run in (tables.runs if verbose else _runs_by_level(tables.runs))
        ],
        note=f"{tables.levels} levels, direct map at {tables.direct_map_base:#x}",
    )


def _direct_map(tables: PageTables) -> Table:
    return Table(
        "Direct map",
        ("start", "end", "size>", "page size>"),
        [
            (*addresses(part.start, part.end), size_text(part.end - part.start), size_text(part.page_size))
            for part in _pieces(tables.mappings)
        ],
    )


def _runs_by_level(runs: Iterable[TableRun]) -> list[TableRun]:
    """The runs of one level, source and node as one, within their outermost places."""

    found: dict[tuple[str, str, int | None], TableRun] = {}
    for run in runs:
        key = (run.level, run.source, run.nid)
        known = found.get(key)
        found[key] = (
            run
            if known is None
            else known._replace(
                start=min(known.start, run.start),
                end=max(known.end, run.end),
                pages=known.pages + run.pages,
            )
        )
    return sorted(found.values(), key=lambda run: (_LEVELS.index(run.level), run.source, run.start))


def _pieces(mappings: Iterable[MappedRange]) -> Iterator[MappedRange]:
    """The direct map upwards, neighbours of one page size together."""

    last: MappedRange | None = None
    for part in sorted(mappings, key=lambda each: each.start):
        if last is not None and last.end == part.start and last.page_size == part.page_size:
            last = last._replace(end=part.end)
            continue
        if last is not None:
            yield last
        last = part
    if last is not None:
        yield last


# -- verdicts ------------------------------------------------------------------------------------------------------


def _verdicts(plan: Plan) -> Table:
    return Table(
        "ZONE_MOVABLE",
        ("node>", "start", "end", "size>", "hotplug", "verdict", "from pfn", "blocks>", "why"),
        [
            (
                str(verdict.nid),
                *addresses(verdict.start, verdict.end),
                size_text(verdict.end - verdict.start),
                "yes" if verdict.hotplug else "no",
                "movable" if verdict.movable else "not movable",
                "-" if verdict.start_pfn is None else f"{verdict.start_pfn:#x}",
                f"{verdict.blocks} of {verdict.total_blocks}",
                verdict.reason,
            )
            for verdict in plan.verdicts
        ],
        note=f"memory blocks of {size_text(plan.block_size)}",
    )


def _blockers(verdicts: Iterable[Verdict], *, verbose: bool) -> Table:
    """Who sits where it shouldn't; of one owner in one range the sum, unless `verbose`."""
    rows: list[tuple[str, ...]] = []
    for verdict in verdicts:
        if not verdict.hotplug:
            continue
        found: dict[tuple[object, ...], list[int]] = {}
        for part in verdict.blockers:
            key: tuple[object, ...] = (part.owner, part.step, part.remedy.text, part.start if verbose else None)
            place = found.setdefault(key, [part.start, part.end, 0, 0])
            place[0] = min(place[0], part.start)
            place[1] = max(place[1], part.end)
            place[2] += part.end - part.start
            place[3] += 1
        for (owner, step, remedy, _), (start, end, size, parts) in found.items():
            rows.append(
                (
                    str(verdict.nid),
                    *addresses(start, end),
                    size_text(size),
                    str(parts),
                    str(owner),
                    str(step),
                    str(remedy),
                )
            )
    return Table(
        "What keeps hot-pluggable memory from being movable",
        ("node>", "start", "end", "size>", "parts>", "owner", "step", "what moves it away"),
        rows,
    )


# -- nodes and zones -----------------------------------------------------------------------------------------------


def _nodes(plan: Plan) -> Table:
    return Table(
        "Nodes",
        ("node>", "PXM>", "online", "hotplug", "memory>", "CPUs>", "NODE_DATA"),
        [
            (
                str(node.nid),
                node_text(node.pxm),
                "yes" if node.online else "no",
                "yes" if node.hotplug else "no",
                size_text(node.memory),
                str(len(node.cpus)),
                "-" if node.node_data is None else "-".join(addresses(*node.node_data)),
            )
            for node in plan.nodes
        ],
    )


def _zones(plan: Plan) -> Table:
    return Table(
        "Zones",
        ("node>", "zone", "first pfn", "spanned pages>", "present pages>", "present>"),
        [
            (
                str(zone.nid),
                zone.name,
                f"{zone.start_pfn:#x}",
                str(zone.spanned),
                str(zone.present),
                size_text(zone.present * PAGE_SIZE),
            )
            for zone in plan.zones
        ],
    )
