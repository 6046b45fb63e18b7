"""The first screen: what can be removed and why not, what failed, what holds the nodes; all in a terminal's height.

Each section says how few lines it can do with; what doesn't fit is counted, and the line says which option shows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.render.families import Family, family_of
from memplan.render.map_text import LEAST_WIDTH, legend, node_lines, strip_spans
from memplan.render.remarks import remark_lines
from memplan.render.screen import LEAST_COLUMNS, Panel, columns, fitted, whole, wrapped
from memplan.render.sizes import nodes_text, numbers, rounded
from memplan.render.spans import Span, line
from memplan.render.strip import strips
from memplan.units import PAGE_SIZE, exact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from memplan.plan import Plan, Verdict
    from memplan.render.spans import Line

    Size = Callable[[int], str]

_GOOD, _BAD, _DIM, _HEAD = "green", "bold red", "dim", "bold"
#: On a screen of so many columns the map has each node's addresses and marks, where there are lines enough.
_WIDE = 120
_MORE = "more: --section NAME, --verbose, --exact; memplan explain, memplan map"


def overview(plan: Plan, width: int, height: int, *, in_full: bool = False) -> list[Line]:
    """The screen for `plan`: lines of at most `width` columns, at most `height` of them where that can be done.

    Sizes are rounded to three digits unless `in_full`.
    """
    size = exact if in_full else rounded
    width = max(width, LEAST_COLUMNS)
    small = _map(plan, width)
    sections = [
        whole(_headline(plan, width, size)),
        _verdicts(plan, width, size),
        whole(_failures(plan, width)),
        small,
        _owners(plan, width, size),
        _tables_and_zones(plan, width, size),
        whole(wrapped(_MORE, width, style=_DIM)),
    ]
    shown = [section for section in sections if section.lines]
    if width >= _WIDE and (large := list(node_lines(plan, width))):
        roomy = [whole(large) if section is small else section for section in shown]
        if sum(len(section.lines) for section in roomy) + len(roomy) <= height:
            return fitted(roomy, height)
    return fitted(shown, height)


# -- the answer ----------------------------------------------------------------------------------------------------


def headline(plan: Plan, size: Size) -> tuple[str, bool]:
    """What can be removed, in a sentence, and whether anything can."""
    total = sum(node.memory for node in plan.nodes)
    by_node: dict[int, int] = {}
    for nid, start, end in plan.movable:
        by_node[nid] = by_node.get(nid, 0) + end - start
    if not plan.end.completed:
        return f"The boot dies in {plan.end.step}: {plan.end.cause}", False
    if by_node:
        return f"{size(sum(by_node.values()))} of {size(total)} can be removed ({nodes_text(by_node)})", True
    return f"Nothing of {size(total)} can be removed", False


def _headline(plan: Plan, width: int, size: Size) -> list[Line]:
    text, good = headline(plan, size)
    answer = wrapped(text, width, style=f"bold {_GOOD}" if good else _BAD)
    machine = f"{plan.machine_name}, " if plan.machine_name else ""
    direction = "bottom-up" if plan.bottom_up else "top-down"
    about = f"{machine}Linux {plan.kernel}, {direction} until the SRAT is read"
    return [*answer, *wrapped(about, width, style=_DIM)]


def _verdicts(plan: Plan, width: int, size: Size) -> Panel:
    """A line for each group of neighbouring nodes with one verdict, and its reason."""
    lines: list[Line] = []
    for group in verdict_groups(plan):
        first = group[0]
        memory = size(memory_within(plan, group))
        head = f"{nodes_text(verdict.nid for verdict in group)}, {memory}: "
        word, style = verdict_word(first, len({verdict.nid for verdict in group}))
        if first.movable and first.blocks == first.total_blocks:
            blocks = sum(verdict.blocks for verdict in group)
            lines += wrapped(f"all {blocks} memory blocks", width, head=(head, Span(word, style), ": "))
        else:
            lines += wrapped(first.reason, width, head=(head, Span(word, style), ": "))
    return Panel(lines, 0, 8, lambda left: f"{left} more lines: --section movable")


def verdict_groups(plan: Plan) -> list[list[Verdict]]:
    """The verdicts, those of neighbours with one answer and one reason together."""
    groups: list[list[Verdict]] = []
    for verdict in plan.verdicts:
        if groups and _alike(groups[-1][-1], verdict):
            groups[-1].append(verdict)
        else:
            groups.append([verdict])
    return groups


def _alike(one: Verdict, other: Verdict) -> bool:
    if one.movable and other.movable and one.blocks == one.total_blocks and other.blocks == other.total_blocks:
        return True
    return (one.movable, one.hotplug, one.reason) == (other.movable, other.hotplug, other.reason)


def memory_within(plan: Plan, verdicts: Iterable[Verdict]) -> int:
    """The RAM within the verdicts' ranges, in bytes."""
    ranges = {node.nid: node.ranges for node in plan.nodes}
    return sum(
        max(0, min(end, verdict.end) - max(start, verdict.start))
        for verdict in verdicts
        for start, end in ranges.get(verdict.nid, ())
    )


def verdict_word(verdict: Verdict, nodes: int = 1) -> tuple[str, str]:
    """The verdict of so many nodes in a word or two, and the style that goes with it."""
    if not verdict.movable:
        return ("not removable", _BAD) if verdict.hotplug else ("stays" if nodes == 1 else "stay", "")
    return ("removable", _GOOD) if verdict.blocks == verdict.total_blocks else ("partly removable", "yellow")


def _failures(plan: Plan, width: int) -> list[Line]:
    """What the kernel warns of: a crash kernel or gigantic pages that it has no room for, a refused SRAT."""
    found = list(remark_lines(plan, width))
    for message in plan.warnings:
        text = " ".join(message.text.split())
        found += wrapped(text, width, head=(Span("warning: ", "yellow"),))
    return found


# -- what holds the memory -----------------------------------------------------------------------------------------


def _map(plan: Plan, width: int) -> Panel:
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
    return Panel([*key, *lines], len(key), 4, lambda left: f"{left} more nodes: memplan map")


def _label(nids: Sequence[int], width: int) -> str:
    """The first words that fit: the group's numbers, or its first one and a sign that there are more."""
    texts = (f"{nodes_text(nids)} ", f"{numbers(nids)} ", f"{nids[0]}… ")
    return next((text for text in texts if len(text) <= width), texts[-1]).ljust(width)


def _owners(plan: Plan, width: int, size: Size) -> Panel:
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
    lines = [line(Span(f"reserved: {size(total)}", _HEAD)), *columns(rows, width)]
    return Panel(lines, 1, 3, lambda left: f"{left} more kinds of owners: --section reserved")


def _tables_and_zones(plan: Plan, width: int, size: Size) -> Panel:
    tables = plan.page_tables
    by_place: dict[str, int] = {}
    for run in tables.runs:
        place = "brk" if run.source == "brk" else "unknown" if run.nid is None else f"node {run.nid}"
        by_place[place] = by_place.get(place, 0) + run.pages
    where = ", ".join(f"{pages} in {place}" for place, pages in by_place.items())
    text = f"{size(tables.pages() * PAGE_SIZE)} in {tables.pages()} pages ({where})"
    lines = wrapped(text, width, head=(Span("page tables: ", _HEAD),))
    zones: dict[int, list[str]] = {}
    for zone in plan.zones:
        if zone.present:
            zones.setdefault(zone.nid, []).append(f"{zone.name} {size(zone.present * PAGE_SIZE)}")
    alike: dict[str, list[int]] = {}
    for nid, names in sorted(zones.items()):
        alike.setdefault(", ".join(names), []).append(nid)
    for text, nids in alike.items():
        each = " each" if len(nids) > 1 else ""
        lines += wrapped(text + each, width, head=(Span(f"zones of {nodes_text(nids)}: ", _HEAD),))
    return Panel(lines, 1, 1, lambda left: f"{left} more lines: --section zones")
