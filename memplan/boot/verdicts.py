"""Which ranges can be movable, and for those that can't, why: the answer that the whole replay is for."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from memplan.boot.ranges import RangeSet
from memplan.boot.remedies import sentence
from memplan.plan import Blocker, Verdict
from memplan.units import PAGE_SIZE, pfn_up, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from memplan.boot.context import Boot
    from memplan.plan import Reservation


#: How many owners a reason names.
_OWNERS_NAMED = 3


class _Part(NamedTuple):
    """RAM of one node that is alike hot-pluggable or not, with nothing of another kind between its pieces."""

    nid: int
    hotplug: bool
    pieces: list[tuple[int, int]]

    @property
    def start(self) -> int:
        return self.pieces[0][0]

    @property
    def end(self) -> int:
        return self.pieces[-1][1]


def verdicts(
    boot: Boot, reservations: Sequence[Reservation], movable: Sequence[tuple[int, int, int]], block_size: int
) -> tuple[Verdict, ...]:
    """One verdict for each part of a node that the SRAT treats alike, upwards.

    `movable` are the ranges ``(nid, start, end)`` in ZONE_MOVABLE that hold nothing unmovable.
    """
    early = [reservation for reservation in reservations if reservation.before_srat]
    taken: dict[int | None, list[Reservation]] = {}
    for reservation in reservations:
        taken.setdefault(reservation.nid, []).append(reservation)
    free: dict[int, list[tuple[int, int]]] = {}
    for nid, start, end in movable:
        free.setdefault(nid, []).append((start, end))
    return tuple(
        _verdict(boot, part, taken.get(part.nid, ()), free.get(part.nid, ()), early, block_size)
        for part in _parts(boot)
    )


def hotplug_ranges(boot: Boot) -> list[tuple[int, int]]:
    """The ranges that the SRAT in use marks hot-pluggable, upwards, those that touch as one."""
    return list(RangeSet(boot.nodes.hotplug))


def _parts(boot: Boot) -> list[_Part]:
    parts: list[_Part] = []
    for start, end, nid, hotplug in _pieces(boot):
        if parts and parts[-1].nid == nid and parts[-1].hotplug == hotplug:
            parts[-1].pieces.append((start, end))
        else:
            parts.append(_Part(nid, hotplug, [(start, end)]))
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
    part: _Part,
    taken: Sequence[Reservation],
    free: Sequence[tuple[int, int]],
    early: Sequence[Reservation],
    block_size: int,
) -> Verdict:
    """`taken` and `free` are the node's reservations, and its ranges that can go off-line.

    `early` are all reservations made before the SRAT was read, wherever they lie.
    """
    low, high = part.start, part.end
    inside = [r for r in taken if r.start < high and r.end > low]
    zone_pfn = boot.zones.movable_start_pfn.get(part.nid)
    total = _blocks_touched(part.pieces, block_size)
    start_pfn = None
    blocks = 0
    unmarked = False
    if zone_pfn is not None and zone_pfn * PAGE_SIZE < part.end:
        start_pfn = max(zone_pfn, pfn_up(part.start))
        blocks = sum(_whole_blocks(max(start, low), min(end, high), block_size) for start, end in free)
        inside = [r for r in inside if r.end > start_pfn * PAGE_SIZE]
        reason = _reason_in_zone(part, start_pfn, blocks, total, block_size, bool(inside))
    else:
        if part.hotplug and part.nid in boot.nodes.unmarked:
            inside = _unmarking(boot.nodes.unmarked[part.nid], early)
            unmarked = _marks_decide(boot)
        reason = _reason_outside(boot, part, inside)
    return Verdict(
        part.nid,
        part.start,
        part.end,
        part.hotplug,
        blocks > 0,
        start_pfn,
        blocks,
        total,
        reason,
        tuple(Blocker(r.start, r.end, r.owner, r.step, sentence(r.owner)) for r in inside) if blocks < total else (),
        unmarked,
    )


def _marks_decide(boot: Boot) -> bool:
    """Whether ZONE_MOVABLE follows the SRAT's hot-plug marks: with movable_node, from 3.14 on."""
    return boot.params.movable_node and boot.rules.movable_zone_rules != "3.13"


def _unmarking(ranges: Sequence[tuple[int, int]], early: Sequence[Reservation]) -> list[Reservation]:
    """The early reservations that lie in `ranges`: what cost a node its marks, RAM or not."""
    return [r for r in early if any(r.start < end and r.end > start for start, end in ranges)]


def _whole_blocks(start: int, end: int, block_size: int) -> int:
    return max(0, end // block_size - -(-start // block_size))


def _blocks_touched(pieces: list[tuple[int, int]], block_size: int) -> int:
    """The memory blocks in which some of the RAM lies."""
    count, last = 0, -1
    for start, end in pieces:
        first, final = start // block_size, (end - 1) // block_size
        count += final - max(first, last + 1) + 1
        last = final
    return count


def _reason_in_zone(part: _Part, start_pfn: int, blocks: int, total: int, block_size: int, taken: bool) -> str:
    size = size_text(block_size)
    if blocks == total:
        return f"all {total} memory blocks of {size} can go off-line"
    if start_pfn * PAGE_SIZE > part.start:
        head = f"ZONE_MOVABLE begins only at pfn {start_pfn:#x}"
    elif taken:
        head = "reservations lie in ZONE_MOVABLE"
    else:
        head = "its ends don't fill memory blocks"
    return f"{head}: {blocks} of {total} memory blocks of {size} can go off-line"


def _reason_outside(boot: Boot, part: _Part, inside: Sequence[Reservation]) -> str:
    asked = boot.cmdline.has("movable_node")
    sizes = [f"{name}={value}" for name in ("kernelcore", "movablecore") if (value := boot.cmdline.last(name))]
    if boot.params.movable_node and boot.rules.movable_zone_rules == "3.13" and not sizes:
        return "movable_node of this version only turns the direction; ZONE_MOVABLE needs kernelcore= or movablecore="
    if _marks_decide(boot):
        if not part.hotplug:
            why = "the SRAT does not mark it hot-pluggable"
            if not boot.nodes.hotplug:
                why = "no range is known to be hot-pluggable"
            if boot.nodes.rejected:
                why = f"the kernel does not use the SRAT ({boot.nodes.rejected})"
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
