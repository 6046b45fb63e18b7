"""Which ranges can be movable, and for those that can't, why: the answer that the whole replay is for."""

from __future__ import annotations

from collections import defaultdict
from itertools import islice
from typing import TYPE_CHECKING

from memplan.boot.remedies import Remedies
from memplan.boot.shares import Part, Share, share_blocks
from memplan.plan import Blocker, SratUse, Verdict
from memplan.ranges import RangeSet
from memplan.units import PAGE_SIZE, exact, pfn_up

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from memplan.boot.context import Boot
    from memplan.plan import Reservation


#: How many owners a reason names.
_OWNERS_NAMED = 3


def verdicts(
    boot: Boot, reservations: Sequence[Reservation], movable: Sequence[tuple[int, int, int]], block_size: int
) -> tuple[Verdict, ...]:
    """One verdict for each part of a node that the SRAT treats alike, upwards.

    `movable` are the ranges ``(nid, start, end)`` in ZONE_MOVABLE that hold nothing unmovable.
    """
    early = [reservation for reservation in reservations if reservation.before_srat]
    taken: defaultdict[int | None, list[Reservation]] = defaultdict(list)
    for reservation in reservations:
        taken[reservation.nid].append(reservation)
    parts = _parts(boot)
    shares = share_blocks(parts, movable, block_size)
    remedies = Remedies(boot, RangeSet(boot.nodes.hotplug), reservations)
    return tuple(
        _verdict(boot, part, taken.get(part.nid, ()), share, early, remedies, block_size)
        for part, share in zip(parts, shares, strict=True)
    )


def hotplug_ranges(boot: Boot) -> list[tuple[int, int]]:
    """The ranges that the SRAT in use marks hot-pluggable, upwards, those that touch as one."""
    return list(RangeSet(boot.nodes.hotplug))


def _parts(boot: Boot) -> list[Part]:
    parts: list[Part] = []
    for start, end, nid, hotplug in _pieces(boot):
        if parts and parts[-1].nid == nid and parts[-1].hotplug == hotplug:
            parts[-1].pieces.append((start, end))
        else:
            parts.append(Part(nid, hotplug, [(start, end)]))
    return parts


def _pieces(boot: Boot) -> Iterator[tuple[int, int, int, bool]]:
    """RAM by node, cut where the SRAT's hot-pluggable ranges begin and end."""
    marks = hotplug_ranges(boot)
    first = 0
    for base, size, nid, _ in boot.memblock.memory:
        at, end = base, base + size
        while first < len(marks) and marks[first][1] <= at:
            first += 1
        for low, high in islice(marks, first, None):
            if low >= end:
                break
            if at < low:
                yield at, low, nid or 0, False
            at = max(at, low)
            yield at, min(high, end), nid or 0, True
            at = min(high, end)
        if at < end:
            yield at, end, nid or 0, False


def _verdict(
    boot: Boot,
    part: Part,
    taken: Sequence[Reservation],
    share: Share,
    early: Sequence[Reservation],
    remedies: Remedies,
    block_size: int,
) -> Verdict:
    """`taken` are the node's reservations, `share` the memory blocks that count as the part's.

    `early` are all reservations made before the SRAT was read, wherever they lie.
    """
    low, high = part.start, part.end
    inside = [r for r in taken if r.start < high and r.end > low]
    zone_pfn = boot.zones.movable_start_pfn.get(part.nid)
    start_pfn = None
    unmarked = False
    if zone_pfn is not None and zone_pfn * PAGE_SIZE < part.end:
        start_pfn = max(zone_pfn, pfn_up(part.start))
        inside = [r for r in inside if r.end > start_pfn * PAGE_SIZE]
        reason = _reason_in_zone(part, start_pfn, share, block_size, bool(inside))
    else:
        if part.hotplug and part.nid in boot.nodes.unmarked:
            inside = _unmarking(boot.nodes.unmarked[part.nid], early)
            unmarked = _marks_decide(boot)
        reason = _reason_outside(boot, part, inside)
    whole = share.movable == share.total and (share.total or share.borrows)
    return Verdict(
        part.nid,
        part.start,
        part.end,
        part.hotplug,
        share.movable > 0 or share.borrows,
        start_pfn,
        share.movable,
        share.total,
        reason,
        () if whole else _blockers(inside, remedies, hotplug=part.hotplug),
        unmarked,
    )


def _blockers(inside: Sequence[Reservation], remedies: Remedies, *, hotplug: bool) -> tuple[Blocker, ...]:
    owners = {own.owner.kind: own.owner for own in inside}
    known = {kind: remedies.remedy(owner, hotplug=hotplug) for kind, owner in owners.items()}
    return tuple(
        [
            tuple.__new__(Blocker, (start, end, owner, step, known[owner.kind]))
            for start, end, _, owner, step, _ in inside
        ]
    )


def _marks_decide(boot: Boot) -> bool:
    """Whether ZONE_MOVABLE follows the SRAT's hot-plug marks: with movable_node, from 3.14 on."""
    return boot.params.movable_node and boot.rules.movable_node_zone


def _unmarking(ranges: Sequence[tuple[int, int]], early: Sequence[Reservation]) -> list[Reservation]:
    """The early reservations that lie in `ranges`: what cost a node its marks, RAM or not."""
    return [r for r in early if any(r.start < end and r.end > start for start, end in ranges)]


def _reason_in_zone(part: Part, start_pfn: int, share: Share, block_size: int, taken: bool) -> str:
    size, blocks, total = exact(block_size), share.movable, share.total
    if not total:
        can = "can" if share.borrows else "can't"
        return f"the memory block of {size} that it shares with another range of the node {can} go off-line"
    if blocks == total:
        return f"all {total} memory blocks of {size} can go off-line"
    if start_pfn * PAGE_SIZE > part.start:
        head = f"ZONE_MOVABLE begins only at pfn {start_pfn:#x}"
    elif taken:
        head = "reservations lie in ZONE_MOVABLE"
    else:
        head = "its ends don't fill memory blocks"
    return f"{head}: {blocks} of {total} memory blocks of {size} can go off-line"


def _reason_outside(boot: Boot, part: Part, inside: Sequence[Reservation]) -> str:
    asked = boot.cmdline.has("movable_node")
    sizes = [f"{name}={value}" for name in ("kernelcore", "movablecore") if (value := boot.cmdline.last(name))]
    if boot.params.movable_node and not boot.rules.movable_node_zone and not sizes:
        return "movable_node of this version only turns the direction; ZONE_MOVABLE needs kernelcore= or movablecore="
    if _marks_decide(boot):
        if not part.hotplug:
            why = "the SRAT does not mark it hot-pluggable"
            if not boot.nodes.hotplug:
                why = "no range is known to be hot-pluggable"
            if boot.nodes.srat in (SratUse.OVERLAP, SratUse.UNCOVERED):
                why = f"the kernel does not use the SRAT ({boot.nodes.srat.value})"
            return f"{why}, and movable_node takes only what is marked"
        if part.nid in boot.nodes.unmarked:
            owners = list(dict.fromkeys(r.owner for r in inside))
            what = ", ".join(map(str, owners[:_OWNERS_NAMED])) + (" and others" if len(owners) > _OWNERS_NAMED else "")
            return (
                f"what was reserved before the SRAT was read lies in node {part.nid}'s range ({what}), "
                "so the kernel took the hot-plug marks off the whole node"
            )
        return "movable_node found no memory in it to begin ZONE_MOVABLE with"
    if asked and not boot.params.movable_node:
        option = boot.rules.movable_node_config
        return f"movable_node has no effect: this kernel is built without CONFIG_{option}"
    if sizes:
        return f"{' '.join(sizes)} leaves it to the kernel's own zones"
    return "no boot option asks for ZONE_MOVABLE (movable_node, kernelcore= or movablecore=)"
