"""The first screen of a comparison: verdicts and failures that changed, and what changed its size, by family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.render.diff import changed_verdicts, diff_headline, rule_texts
from memplan.render.families import Family, family_of
from memplan.render.remarks import remarks_of_both
from memplan.render.screen import LEAST_COLUMNS, Panel, columns, columns_width, fitted, whole, wrapped
from memplan.render.sizes import nodes_text, rounded
from memplan.render.spans import Span, line
from memplan.units import exact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from memplan.differences import PlanDiff
    from memplan.plan import Plan
    from memplan.render.spans import Line
    from memplan.rule_changes import RuleChange

    Size = Callable[[int], str]

_STYLES = {"gained": "green", "lost": "bold red", "changed": "yellow"}
_MORE = "more: --verbose for every range; memplan explain MACHINE SUBJECT for the reason"


def diff_overview(
    plans: tuple[Plan, Plan],
    diff: PlanDiff,
    labels: tuple[str, str],
    width: int,
    height: int,
    *,
    in_full: bool = False,
    rules: Sequence[RuleChange] = (),
) -> list[Line]:
    """The screen for the differences `diff` of two plans with these labels, in `width` columns and `height` lines.

    `rules` are what makes the outcomes differ.
    """
    size = exact if in_full else rounded
    width = max(width, LEAST_COLUMNS)
    sections = [
        whole(_headline(diff, labels, width, size)),
        _verdicts(diff, labels, width),
        _rules(rules, width),
        whole([*_remarks(plans, labels, width), *_failures(diff, labels, width)]),
        _families(plans, labels, width, size),
        _totals(diff, labels, width),
        whole(wrapped(_MORE, width, style="dim")),
    ]
    return fitted([section for section in sections if section.lines], height)


def _headline(diff: PlanDiff, labels: tuple[str, str], width: int, size: Size) -> list[Line]:
    text, more = diff_headline(diff, labels, size)
    return wrapped(text, width, style={None: "bold", True: "bold green", False: "bold red"}[more])


def _verdicts(diff: PlanDiff, labels: tuple[str, str], width: int) -> Panel:
    """What became of each node, the reason being that of the plan in which it can't be removed."""
    lines: list[Line] = []
    for nodes, word, reason in changed_verdicts(diff, labels):
        lines += wrapped(reason, width, head=(f"{nodes}: ", Span(word, _STYLES[word]), ": "))
    return Panel(lines, 0, 8, lambda left: f"{left} more lines: --verbose")


def _rules(rules: Sequence[RuleChange], width: int) -> Panel:
    """The rules, steps and facts that make the outcomes differ."""
    lines: list[Line] = []
    for outcome, texts in rule_texts(rules):
        lines.append(line(Span(f"{outcome} differs because of", "bold")))
        for text in texts:
            lines += wrapped(text, width, head=("  ",))
    return Panel(lines, 0, 4, lambda left: f"{left} more lines: --verbose")


def _remarks(plans: tuple[Plan, Plan], labels: tuple[str, str], width: int) -> Iterator[Line]:
    for about, text in remarks_of_both(plans, labels):
        yield from wrapped(text, width, head=(Span(f"{about}: ", "yellow"),))


def _failures(diff: PlanDiff, labels: tuple[str, str], width: int) -> list[Line]:
    found: list[Line] = []
    for label, end in zip(labels, diff.ends, strict=True):
        if not end.completed:
            text = f"with {label} the boot dies in {end.step}: {end.cause}"
            found += wrapped(text, width, style="bold red")
    for label, texts in zip(labels, (diff.warnings_gone, diff.warnings_new), strict=True):
        for text in texts:
            found += wrapped(f"only with {label}: {' '.join(text.split())}", width, head=(Span("warning ", "yellow"),))
    return found


def _families(plans: tuple[Plan, Plan], labels: tuple[str, str], width: int, size: Size) -> Panel:
    """The families whose size or nodes changed."""
    before, after = (_by_family(plan) for plan in plans)
    rows = [
        (str(family), *_both(before.get(family), after.get(family), size))
        for family in Family
        if before.get(family) != after.get(family)
    ]
    if not rows:
        return whole([])
    lines: list[Line] = []
    table = [("reserved", labels[0], "", labels[1], ""), *rows]
    if columns_width(table) > width:
        # Long labels would cost the second plan its nodes.
        lines += wrapped(f"first: {labels[0]}, second: {labels[1]}", width)
        table[0] = ("reserved", "first", "", "second", "")
    lines += columns(table, width)
    return Panel(lines, len(lines) - len(rows), 4, lambda left: f"{left} more: --verbose")


def _by_family(plan: Plan) -> dict[Family, tuple[int, frozenset[int]]]:
    found: dict[Family, tuple[int, frozenset[int]]] = {}
    for part in plan.reservations:
        family = family_of(part.owner)
        size, nids = found.get(family, (0, frozenset()))
        own = frozenset() if part.nid is None else frozenset({part.nid})
        found[family] = size + part.end - part.start, nids | own
    return found


def _both(
    before: tuple[int, frozenset[int]] | None, after: tuple[int, frozenset[int]] | None, size: Size
) -> Iterator[str]:
    for amount in (before, after):
        if amount is None:
            yield from ("none", "")
        else:
            yield from (size(amount[0]), nodes_text(amount[1]) if amount[1] else "outside RAM")


def _totals(diff: PlanDiff, labels: tuple[str, str], width: int) -> Panel:
    """How many ranges moved, and the page tables by node."""
    kinds = [change.kind for change in diff.owners]
    counts = [f"{kinds.count(kind)} {kind}" for kind in ("moved", "resized", "appeared", "vanished") if kind in kinds]
    lines: list[Line] = []
    if counts:
        lines += wrapped(", ".join(counts), width, head=(Span("ranges: ", "bold"),))
    tables: dict[int | None, tuple[int, int]] = {}
    for row in diff.page_tables:
        first, second = tables.get(row.nid, (0, 0))
        tables[row.nid] = first + row.before, second + row.after
    changed = [
        f"{'unknown node' if nid is None else f'node {nid}'} {first} with {labels[0]}, {second} with {labels[1]}"
        for nid, (first, second) in tables.items()
        if first != second
    ]
    if changed:
        lines += wrapped("; ".join(changed), width, head=(Span("page-table pages: ", "bold"),))
    return whole(lines)
