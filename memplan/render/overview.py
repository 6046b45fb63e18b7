"""The first screen: what can be removed and why not, what failed, what holds the nodes; all in a terminal's height.

Each section says how few lines it can do with; what doesn't fit is counted, and the line says which option shows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING

from memplan.render.families import Family, family_of
from memplan.render.map_text import LEAST_WIDTH, legend, strip_spans
from memplan.render.sizes import exact, nodes_text, numbers, rounded
from memplan.render.spans import Span, line
from memplan.render.strip import strips
from memplan.units import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from memplan.plan import Plan, Verdict
    from memplan.render.spans import Line

    Size = Callable[[int], str]

_GOOD, _BAD, _DIM, _HEAD = "green", "bold red", "dim", "bold"
#: The narrowest screen that is laid out; a narrower one wraps.
_LEAST_COLUMNS = 40
_MORE = "more: --section NAME, --verbose, --exact; memplan explain, memplan map"


@dataclass(frozen=True, slots=True)
class _Section:
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


def overview(plan: Plan, width: int, height: int, *, in_full: bool = False) -> list[Line]:
    """The screen for `plan`: lines of at most `width` columns, at most `height` of them where that can be done.

    Sizes are rounded to three digits unless `in_full`.
    """
    size = exact if in_full else rounded
    width = max(width, _LEAST_COLUMNS)
    sections = [
        _whole(_headline(plan, width, size)),
        _verdicts(plan, width, size),
        _whole(_failures(plan, width)),
        _map(plan, width),
        _owners(plan, width, size),
        _tables_and_zones(plan, width, size),
        _whole([line(Span(text, _DIM)) for text in _rows(_MORE, width)]),
    ]
    return _fitted([section for section in sections if section.lines], height)


def _whole(lines: Sequence[Line]) -> _Section:
    return _Section(lines, len(lines), 0, str)


def _fitted(sections: list[_Section], height: int) -> list[Line]:
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


def _wrapped(text: str, width: int, *, head: Sequence[Span | str] = (), style: str = "") -> list[Line]:
    """`text` behind `head`, its further lines below where it begins."""
    indent = sum(len(part.text if isinstance(part, Span) else part) for part in head)
    if width - indent < LEAST_WIDTH:
        rows = _rows(text, width - 2) or [""]
        return [line(*head), *(line("  ", Span(row, style)) for row in rows)]
    rows = _rows(text, width - indent) or [""]
    return [
        line(*head, Span(rows[0], style)),
        *(line(" " * indent, Span(row, style)) for row in rows[1:]),
    ]


# -- the answer ----------------------------------------------------------------------------------------------------


def _headline(plan: Plan, width: int, size: Size) -> list[Line]:
    total = sum(node.memory for node in plan.nodes)
    by_node: dict[int, int] = {}
    for nid, start, end in plan.movable:
        by_node[nid] = by_node.get(nid, 0) + end - start
    if not plan.end.completed:
        answer = _wrapped(f"The boot dies in {plan.end.step}: {plan.end.cause}", width, style=_BAD)
    elif by_node:
        text = f"{size(sum(by_node.values()))} of {size(total)} can be removed ({nodes_text(by_node)})"
        answer = _wrapped(text, width, style=f"bold {_GOOD}")
    else:
        answer = _wrapped(f"Nothing of {size(total)} can be removed", width, style=_BAD)
    machine = f"{plan.machine_name}, " if plan.machine_name else ""
    direction = "bottom-up" if plan.bottom_up else "top-down"
    about = f"{machine}Linux {plan.kernel}, {direction} until the SRAT is read"
    return [*answer, *_wrapped(about, width, style=_DIM)]


def _verdicts(plan: Plan, width: int, size: Size) -> _Section:
    """A line for each group of neighbouring nodes with one verdict, and its reason."""
    groups: list[list[Verdict]] = []
    for verdict in plan.verdicts:
        if groups and _alike(groups[-1][-1], verdict):
            groups[-1].append(verdict)
        else:
            groups.append([verdict])
    lines: list[Line] = []
    for group in groups:
        first = group[0]
        memory = size(sum(_memory(plan, verdict) for verdict in group))
        head = f"{nodes_text(verdict.nid for verdict in group)}, {memory}: "
        word, style = _word(first)
        if first.movable and first.blocks == first.total_blocks:
            blocks = sum(verdict.blocks for verdict in group)
            lines += _wrapped(f"all {blocks} memory blocks", width, head=(head, Span(word, style), ": "))
        else:
            lines += _wrapped(first.reason, width, head=(head, Span(word, style), ": "))
    return _Section(lines, 0, 8, lambda left: f"{left} more lines: --section movable")


def _alike(one: Verdict, other: Verdict) -> bool:
    if one.movable and other.movable and one.blocks == one.total_blocks and other.blocks == other.total_blocks:
        return True
    return (one.movable, one.hotplug, one.reason) == (other.movable, other.hotplug, other.reason)


def _memory(plan: Plan, verdict: Verdict) -> int:
    """The RAM within a verdict's range."""
    ranges = next((node.ranges for node in plan.nodes if node.nid == verdict.nid), ())
    return sum(max(0, min(end, verdict.end) - max(start, verdict.start)) for start, end in ranges)


def _word(verdict: Verdict) -> tuple[str, str]:
    if not verdict.movable:
        return ("not removable", _BAD) if verdict.hotplug else ("stays", "")
    return ("removable", _GOOD) if verdict.blocks == verdict.total_blocks else ("partly removable", "yellow")


def _failures(plan: Plan, width: int) -> list[Line]:
    """What the kernel warns of: a crash kernel or gigantic pages that it has no room for, a refused SRAT."""
    found: list[Line] = []
    for message in plan.warnings:
        text = " ".join(message.text.split())
        found += _wrapped(text, width, head=(Span("warning: ", "yellow"),))
    return found


# -- what holds the memory -----------------------------------------------------------------------------------------


def _map(plan: Plan, width: int) -> _Section:
    """A strip for each node; neighbours that look the same are one."""
    indent = max((len(f"node {node.nid} ") for node in plan.nodes if node.ranges), default=0)
    shown = strips(plan, max(width - indent, LEAST_WIDTH))
    groups: list[tuple[list[int], tuple[Span, ...]]] = []
    for strip in shown:
        spans = tuple(strip_spans(strip))
        if groups and groups[-1][1] == spans:
            groups[-1][0].append(strip.nid)
        else:
            groups.append(([strip.nid], spans))
    lines = [line(_label(nids, indent), *spans) for nids, spans in groups]
    key = list(legend(shown, width)) if shown else []
    return _Section([*key, *lines], len(key), 4, lambda left: f"{left} more nodes: memplan map")


def _label(nids: Sequence[int], width: int) -> str:
    """The first words that fit: the group's numbers, or its first one and a sign that there are more."""
    texts = (f"{nodes_text(nids)} ", f"{numbers(nids)} ", f"{nids[0]}… ")
    return next((text for text in texts if len(text) <= width), texts[-1]).ljust(width)


def _owners(plan: Plan, width: int, size: Size) -> _Section:
    """Reserved memory by family, the largest first."""
    parts: dict[tuple[Family, bool], list[int]] = {}
    nodes: dict[tuple[Family, bool], set[int]] = {}
    for reservation in plan.reservations:
        key = family_of(reservation.owner), reservation.before_srat
        found = parts.setdefault(key, [0, 0])
        found[0] += reservation.end - reservation.start
        found[1] += 1
        if reservation.nid is not None:
            nodes.setdefault(key, set()).add(reservation.nid)
    total = sum(amount for amount, _ in parts.values())
    rows = [
        (
            f"{family} ×{count}" if count > 1 else str(family),
            size(amount),
            nodes_text(nodes[key]) if key in nodes else "outside RAM",
            "before the SRAT" if key[1] else "after the SRAT",
        )
        for key, (amount, count) in sorted(parts.items(), key=lambda item: -item[1][0])
        for family in (key[0],)
    ]
    lines = [line(Span(f"reserved: {size(total)}", _HEAD)), *_columns(rows, width)]
    return _Section(lines, 1, 3, lambda left: f"{left} more kinds of owners: --section reserved")


def _tables_and_zones(plan: Plan, width: int, size: Size) -> _Section:
    tables = plan.page_tables
    by_place: dict[str, int] = {}
    for run in tables.runs:
        place = "brk" if run.source == "brk" else "unknown" if run.nid is None else f"node {run.nid}"
        by_place[place] = by_place.get(place, 0) + run.pages
    where = ", ".join(f"{pages} in {place}" for place, pages in by_place.items())
    text = f"{size(tables.pages() * PAGE_SIZE)} in {tables.pages()} pages ({where})"
    lines = _wrapped(text, width, head=(Span("page tables: ", _HEAD),))
    zones: dict[int, list[str]] = {}
    for zone in plan.zones:
        if zone.present:
            zones.setdefault(zone.nid, []).append(f"{zone.name} {size(zone.present * PAGE_SIZE)}")
    alike: dict[str, list[int]] = {}
    for nid, names in sorted(zones.items()):
        alike.setdefault(", ".join(names), []).append(nid)
    for text, nids in alike.items():
        each = " each" if len(nids) > 1 else ""
        lines += _wrapped(text + each, width, head=(Span(f"zones of {nodes_text(nids)}: ", _HEAD),))
    return _Section(lines, 1, 1, lambda left: f"{left} more lines: --section zones")


def _columns(rows: Sequence[tuple[str, ...]], width: int) -> list[Line]:
    """Rows with aligned columns; the last columns go where they don't fit."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)] if rows else []
    while len(widths) > 2 and 2 + sum(widths) + 2 * (len(widths) - 1) > width:
        widths.pop()
    return [
        line("  ", "  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=False)).rstrip())
        for row in rows
    ]
