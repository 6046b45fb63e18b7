"""The differences of two plans: a report for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from memplan.render.history import cause_text
from memplan.render.remarks import remarks_of_both
from memplan.render.report import about, addresses, node_text
from memplan.render.sizes import nodes_text
from memplan.render.table import Table, Text
from memplan.units import size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from memplan.differences import OwnerChange, PlanDiff, ReservedRange, TableCount, VerdictChange, ZoneChange
    from memplan.plan import Plan, Verdict, Zone
    from memplan.render.table import Block
    from memplan.rule_changes import RuleChange

_NONE = "-"
#: Longer labels stand above the report, and their columns are called first and second.
_LABEL_WIDTH = 24


def rule_texts(rules: Iterable[RuleChange]) -> Iterator[tuple[str, list[str]]]:
    """What differs, and what makes it differ in words."""
    return ((change.outcome, [cause_text(cause) for cause in change.causes]) for change in rules)


def diff_headline(diff: PlanDiff, labels: tuple[str, str], size: Callable[[int], str]) -> tuple[str, bool | None]:
    """What can be removed in each plan, in a sentence; and whether it is more in the second one (None: as much)."""
    if diff.empty:
        return f"No differences between {labels[0]} and {labels[1]}", None
    before, after = diff.movable
    if before == after:
        amount = f"{size(after)} can be removed in both" if after else "Nothing can be removed in either"
        return f"{amount}: {labels[0]} and {labels[1]}", None
    first, second = (size(amount) if amount else "nothing" for amount in diff.movable)
    text = f"{second} can be removed with {labels[1]}, {first} with {labels[0]}"
    return text[0].upper() + text[1:], after > before


class ChangedVerdicts(NamedTuple):
    """Nodes with the same change of verdict: "gained", "lost" or "changed", and the reason in the plan without it."""

    nodes: str
    word: str
    reason: str


def changed_verdicts(diff: PlanDiff, labels: tuple[str, str]) -> list[ChangedVerdicts]:
    """What became of each node, neighbours with the same answer together."""
    groups: list[tuple[tuple[str, str], list[int]]] = []
    for change in diff.verdicts:
        told = _told(change, labels)
        if groups and groups[-1][0] == told:
            groups[-1][1].append(change.nid)
        else:
            groups.append((told, [change.nid]))
    return [ChangedVerdicts(nodes_text(nids), *told) for told, nids in groups]


def _told(change: VerdictChange, labels: tuple[str, str]) -> tuple[str, str]:
    before, after = (0 if verdict is None else verdict.blocks for verdict in (change.before, change.after))
    reasons = [
        "" if verdict is None else f"with {label}, {verdict.reason}"
        for verdict, label in zip((change.before, change.after), labels, strict=True)
    ]
    if after > before:
        return "gained", reasons[0] or reasons[1]
    return "lost" if after < before else "changed", reasons[1] or reasons[0]


def diff_report(
    plans: tuple[Plan, Plan], diff: PlanDiff, labels: tuple[str, str], rules: Sequence[RuleChange] = ()
) -> Iterator[Block]:
    """The blocks of the report; `labels` name the two `plans`, `rules` are what makes their outcomes differ."""
    if labels[0] == labels[1] or max(map(len, labels)) > _LABEL_WIDTH:
        yield Text("", [f"first      {labels[0]}", f"second     {labels[1]}"])
        labels = ("first", "second")
    yield Text("", list(_summary(diff, labels)))
    said = [f"{about}: {text}" for about, text in remarks_of_both(plans, labels)]
    if said:
        yield Text("", said)
    yield from (Text(f"{outcome} differs because of", texts) for outcome, texts in rule_texts(rules))
    if diff.verdicts:
        yield Table(
            "Verdicts",
            ("node>", "start", "end", "size>", labels[0], labels[1], f"why, in {labels[1]}"),
            [_verdict_row(change) for change in diff.verdicts],
        )
    if diff.owners:
        yield Table(
            "Reserved ranges",
            ("what", "owner", f"{labels[0]}: start", "end", "node>", f"{labels[1]}: start", "end", "node>", "size>"),
            [_owner_row(change) for change in diff.owners],
        )
    if diff.page_tables:
        yield Table(
            "Page tables",
            ("level", "from", "node>", f"{labels[0]}>", f"{labels[1]}>", "difference>"),
            [
                (row.level, row.source, node_text(row.nid), str(row.before), str(row.after), _signed(row))
                for row in diff.page_tables
            ],
        )
    if diff.mapped:
        yield Table(
            "Direct map",
            ("page size>", f"{labels[0]}>", f"{labels[1]}>"),
            [(size_text(row.page_size), size_text(row.before), size_text(row.after)) for row in diff.mapped],
        )
    if diff.zones:
        yield Table(
            "Zones",
            ("node>", "zone", f"{labels[0]}: first pfn", "present pages>", f"{labels[1]}: first pfn", "present pages>"),
            [_zone_row(change) for change in diff.zones],
        )
    for label, warnings in zip(labels, (diff.warnings_gone, diff.warnings_new), strict=True):
        if warnings:
            yield Text(f"Warnings only in {label}", [line for text in warnings for line in text.splitlines()])


# -- the summary ---------------------------------------------------------------------------------------------------


def _summary(diff: PlanDiff, labels: tuple[str, str]) -> Iterator[str]:
    if diff.empty:
        yield f"No differences between {labels[0]} and {labels[1]}"
        return
    for label, end in zip(labels, diff.ends, strict=True):
        if not end.completed:
            yield f"{label}: the boot dies in {end.step}: {end.cause}"
    yield f"removable  {_both(diff.movable, labels)}"
    yield f"reserved   {_both(diff.reserved, labels)}"
    kinds = [change.kind for change in diff.owners]
    counts = [f"{kinds.count(kind)} {kind}" for kind in ("moved", "resized", "appeared", "vanished") if kind in kinds]
    yield f"ranges     {', '.join(counts) or 'all the same'}"
    before, after = sum(row.before for row in diff.page_tables), sum(row.after for row in diff.page_tables)
    yield f"tables     {before} pages in {labels[0]}, {after} in {labels[1]}"
    yield f"verdicts   {len(diff.verdicts)} changed"


def _both(sizes: tuple[int, int], labels: tuple[str, str]) -> str:
    if sizes[0] == sizes[1]:
        return f"{about(sizes[0])} in both"
    return f"{about(sizes[0])} in {labels[0]}, {about(sizes[1])} in {labels[1]}"


# -- rows ----------------------------------------------------------------------------------------------------------


def _verdict_row(change: VerdictChange) -> tuple[str, ...]:
    shown = change.after or change.before
    return (
        str(change.nid),
        *addresses(change.start, change.end),
        size_text(change.end - change.start),
        _answer(change.before),
        _answer(change.after),
        shown.reason if shown else "",
    )


def _answer(verdict: Verdict | None) -> str:
    if verdict is None:
        return "no such range"
    if not verdict.movable:
        return "not movable"
    return f"movable, {verdict.blocks} of {verdict.total_blocks} blocks"


def _owner_row(change: OwnerChange) -> tuple[str, ...]:
    sizes = [size_text(place.size) for place in (change.before, change.after) if place is not None]
    return (
        change.kind,
        str(change.owner),
        *_place(change.before),
        *_place(change.after),
        " -> ".join(dict.fromkeys(sizes)),
    )


def _place(place: ReservedRange | None) -> tuple[str, str, str]:
    return (_NONE, _NONE, _NONE) if place is None else (*addresses(place.start, place.end), node_text(place.nid))


def _zone_row(change: ZoneChange) -> tuple[str, ...]:
    return (str(change.nid), change.name, *_zone(change.before), *_zone(change.after))


def _zone(zone: Zone | None) -> tuple[str, str]:
    return (_NONE, _NONE) if zone is None else (f"{zone.start_pfn:#x}", str(zone.present))


def _signed(row: TableCount) -> str:
    return f"{row.after - row.before:+d}" if row.after != row.before else "0"
