"""Two plans compared: what moved, appeared, vanished or changed size, and which verdicts changed.

Only what a boot leaves behind counts: reserved memory, verdicts, page tables, zones, warnings and the end of the boot.
The way there (events, command line, kernel) does not.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

    from memplan.owner import Owner
    from memplan.plan import End, Plan, Reservation, Verdict, Zone

DifferenceKind: TypeAlias = Literal["moved", "appeared", "vanished", "resized"]


class ReservedRange(NamedTuple):
    """A reserved range ``[start, end)``, its node, and the step that made it."""

    start: int
    end: int
    nid: int | None
    step: str

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return self.end - self.start


class OwnerChange(NamedTuple):
    """What became of a range of `owner`: `before` is None where it appeared, `after` where it vanished."""

    kind: DifferenceKind
    owner: Owner
    before: ReservedRange | None
    after: ReservedRange | None


class VerdictChange(NamedTuple):
    """A node's range with two verdicts; one is None where that plan has no such range."""

    nid: int
    start: int
    end: int
    before: Verdict | None
    after: Verdict | None


class ZoneChange(NamedTuple):
    """A zone of a node in both plans; one is None where that plan has no such zone."""

    nid: int
    name: str
    before: Zone | None
    after: Zone | None


class TableCount(NamedTuple):
    """Page-table pages of one level, source and node in both plans."""

    level: str
    source: str
    nid: int | None
    before: int
    after: int


class MappedSize(NamedTuple):
    """Bytes mapped with pages of one size in both plans."""

    page_size: int
    before: int
    after: int


class PlanDiff(NamedTuple):
    """All differences; `page_tables` and `mapped` stand side by side, equal ones included."""

    owners: tuple[OwnerChange, ...]
    verdicts: tuple[VerdictChange, ...]
    zones: tuple[ZoneChange, ...]
    page_tables: tuple[TableCount, ...]
    mapped: tuple[MappedSize, ...]
    warnings_gone: tuple[str, ...]
    warnings_new: tuple[str, ...]
    ends: tuple[End, End]
    movable: tuple[int, int]
    reserved: tuple[int, int]

    @property
    def empty(self) -> bool:
        """Whether both boots leave the same behind."""
        return (
            not (self.owners or self.verdicts or self.zones or self.warnings_gone or self.warnings_new)
            and all(row.before == row.after for row in self.page_tables)
            and all(row.before == row.after for row in self.mapped)
            and self.ends[0] == self.ends[1]
            and self.movable[0] == self.movable[1]
        )


def compare(before: Plan, after: Plan) -> PlanDiff:
    """What changes from `before` to `after`."""
    old_warnings, new_warnings = ([message.text for message in plan.warnings] for plan in (before, after))
    return PlanDiff(
        owners=_owners(before.reservations, after.reservations),
        verdicts=_verdicts(before, after),
        zones=_zones(before, after),
        page_tables=_page_tables(before, after),
        mapped=_mapped(before, after),
        warnings_gone=_missing(old_warnings, new_warnings),
        warnings_new=_missing(new_warnings, old_warnings),
        ends=(before.end, after.end),
        movable=(before.movable_size, after.movable_size),
        reserved=(_size(before.reservations), _size(after.reservations)),
    )


# -- reserved memory -----------------------------------------------------------------------------------------------


def _owners(before: Iterable[Reservation], after: Iterable[Reservation]) -> tuple[OwnerChange, ...]:
    """The changes of each owner, in the order of their addresses."""
    old, new = _places(before), _places(after)
    changes = [
        change
        for owner in dict.fromkeys((*old, *new))
        for change in _changes(owner, old.get(owner, []), new.get(owner, []))
    ]
    return tuple(sorted(changes, key=_address))


def _address(change: OwnerChange) -> tuple[int, str]:
    place = change.before or change.after
    return (place.start if place else 0), str(change.owner)


def _places(reservations: Iterable[Reservation]) -> dict[Owner, list[ReservedRange]]:
    """Each owner's ranges upwards; ranges that touch are one, and count as made by the first one's step."""
    found: dict[Owner, list[ReservedRange]] = {}
    for part in sorted(reservations, key=lambda each: each.start):
        places = found.setdefault(part.owner, [])
        if places and places[-1].end == part.start and places[-1].nid == part.nid:
            places[-1] = places[-1]._replace(end=part.end)
        else:
            places.append(ReservedRange(part.start, part.end, part.nid, part.step))
    return found


def _changes(owner: Owner, old: list[ReservedRange], new: list[ReservedRange]) -> Iterable[OwnerChange]:
    """Pairs an owner's ranges: the equal ones fall out, equal sizes are moves, the rest changed size, came or went."""
    kept = {(place.start, place.end) for place in old} & {(place.start, place.end) for place in new}
    gone, come = ([place for place in places if (place.start, place.end) not in kept] for places in (old, new))
    by_size: dict[int, list[ReservedRange]] = {}
    for place in come:
        by_size.setdefault(place.size, []).append(place)
    rest = []
    for place in gone:
        same = by_size.get(place.size)
        if same:
            yield OwnerChange("moved", owner, place, same.pop(0))
        else:
            rest.append(place)
    left = sorted(place for places in by_size.values() for place in places)
    for first, second in zip_longest(rest, left):
        kind: DifferenceKind = "appeared" if first is None else "vanished" if second is None else "resized"
        yield OwnerChange(kind, owner, first, second)


def _size(reservations: Iterable[Reservation]) -> int:
    return sum(part.end - part.start for part in reservations)


# -- verdicts and zones --------------------------------------------------------------------------------------------


def _verdicts(before: Plan, after: Plan) -> tuple[VerdictChange, ...]:
    old, new = ({(v.nid, v.start, v.end): v for v in plan.verdicts} for plan in (before, after))
    changes = (VerdictChange(*key, old.get(key), new.get(key)) for key in sorted({*old, *new}))
    return tuple(change for change in changes if _answer(change.before) != _answer(change.after))


def _answer(verdict: Verdict | None) -> tuple[object, ...] | None:
    """What counts of a verdict: the answer, not the wording."""
    if verdict is None:
        return None
    return verdict.movable, verdict.start_pfn, verdict.blocks, verdict.total_blocks


def _zones(before: Plan, after: Plan) -> tuple[ZoneChange, ...]:
    old, new = ({(zone.nid, zone.name): zone for zone in plan.zones} for plan in (before, after))
    changes = (ZoneChange(*key, old.get(key), new.get(key)) for key in dict.fromkeys((*old, *new)))
    return tuple(change for change in changes if change.before != change.after)


def _missing(texts: Iterable[str], other: Iterable[str]) -> tuple[str, ...]:
    """The distinct `texts` that `other` has not, in their order."""
    known = set(other)
    return tuple(text for text in dict.fromkeys(texts) if text not in known)


# -- page tables ---------------------------------------------------------------------------------------------------


def _page_tables(before: Plan, after: Plan) -> tuple[TableCount, ...]:
    counts: dict[tuple[str, str, int | None], list[int]] = {}
    for side, plan in enumerate((before, after)):
        for run in plan.page_tables.runs:
            counts.setdefault((run.level, run.source, run.nid), [0, 0])[side] += run.pages
    levels = ("p4d", "pud", "pmd", "pte")
    rows = (TableCount(*key, *pages) for key, pages in counts.items())
    return tuple(sorted(rows, key=lambda r: (levels.index(r.level), r.source, -1 if r.nid is None else r.nid)))


def _mapped(before: Plan, after: Plan) -> tuple[MappedSize, ...]:
    sizes: dict[int, list[int]] = {}
    for side, plan in enumerate((before, after)):
        for part in plan.page_tables.mappings:
            sizes.setdefault(part.page_size, [0, 0])[side] += part.end - part.start
    return tuple(MappedSize(page_size, *both) for page_size, both in sorted(sizes.items()))
