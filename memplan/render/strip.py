"""A node's memory as a strip of cells, so compressed that 4 KiB and 4 TiB are both seen.

A strip knows nothing of screens: memplan/render/map_text.py draws it with letters, map_svg.py with shapes.
"""

from __future__ import annotations

from enum import Enum
from math import log2
from typing import TYPE_CHECKING, NamedTuple

from memplan.ranges import RangeSet
from memplan.render.families import Family, family_of
from memplan.units import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from memplan.hotadd.result import BlockRange, HotaddPlan
    from memplan.plan import Plan


#: Cells that a piece has on average at the least: with fewer, sizes could no longer be told from each other.
_CELLS_APIECE = 3


class Free(Enum):
    """What memory without an owner is, at boot or added after it: its name, and its letter in a map."""

    MOVABLE = "free, can be removed", "/"
    HOTPLUG = "free, hot-pluggable but not movable", "-"
    STAYS = "free, stays", "."
    HOLE = "no memory of the node", " "
    ADDED_MOVABLE = "added, movable", "+"
    ADDED_KERNEL = "added, the kernel's", "x"
    ADDED_OFFLINE = "added, off-line", "_"

    def __init__(self, label: str, letter: str) -> None:
        self.label = label
        self.letter = letter

    def __str__(self) -> str:
        return self.label


Content = Family | Free


class Piece(NamedTuple):
    """``[start, end)`` in bytes and what it mostly holds; `hotplug` where the SRAT in use marks all of it."""

    start: int
    end: int
    content: Content
    hotplug: bool

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return self.end - self.start


class Strip(NamedTuple):
    """One node: its pieces upwards, each with the cells that it gets of the strip's width."""

    nid: int
    pieces: tuple[Piece, ...]
    cells: tuple[int, ...]


def strips(plan: Plan, width: int, added: HotaddPlan | None = None) -> list[Strip]:
    """A strip of `width` cells for each node that has memory, at boot in `plan` or after the steps of `added`."""
    of_node = {node.nid: pieces(plan, node.nid) for node in plan.nodes if node.ranges}
    for nid, more in added_pieces(added).items() if added is not None else ():
        of_node[nid] = _with_holes(sorted((*of_node.get(nid, ()), *more), key=lambda piece: piece.start))
    return [
        Strip(nid, tuple(shown), tuple(_cells(shown, width)))
        for nid, found in sorted(of_node.items())
        if (shown := _fewer(found, max(width // _CELLS_APIECE, 1)))
    ]


def added_pieces(added: HotaddPlan) -> dict[int, list[Piece]]:
    """What the DIMMs of `added` hold after its last step, by node."""
    found: dict[int, list[Piece]] = {}
    for part in (part for dimm in added.dimms if dimm.accepted for part in dimm.blocks):
        low, high = part.first * added.block_size, (part.last + 1) * added.block_size
        found.setdefault(part.nid, []).append(Piece(low, high, added_as(part), hotplug=False))
    return found


def added_as(blocks: BlockRange) -> Free:
    """What added memory blocks are shown as."""
    if blocks.state == "offline":
        return Free.ADDED_OFFLINE
    return Free.ADDED_MOVABLE if blocks.zones[0] == "Movable" else Free.ADDED_KERNEL


def _with_holes(found: list[Piece]) -> list[Piece]:
    """The pieces, sorted already, with the holes between them."""
    result: list[Piece] = []
    for piece in found:
        if result and result[-1].end < piece.start:
            result.append(Piece(result[-1].end, piece.start, Free.HOLE, hotplug=False))
        result.append(piece)
    return list(_joined(result))


def pieces(plan: Plan, nid: int) -> list[Piece]:
    """What node `nid` holds, upwards without gaps from its first byte to its last."""
    ranges = next(node.ranges for node in plan.nodes if node.nid == nid)
    marked = RangeSet((v.start, v.end) for v in plan.verdicts if v.nid == nid and v.hotplug)
    movable = RangeSet((start, end) for owner, start, end in plan.movable if owner == nid)
    taken = [(r.start, r.end, family_of(r.owner)) for r in plan.reservations if r.nid == nid]
    found: list[Piece] = []
    at = 0
    for start, end in sorted(ranges):
        if found and found[-1].end < start:
            found.append(Piece(found[-1].end, start, Free.HOLE, hotplug=False))
        low = start
        while at < len(taken) and taken[at][0] < end:
            first, last, family = taken[at]
            found += _free(low, first, marked, movable)
            found.append(Piece(first, last, family, marked.covers(first, last)))
            low = last
            at += 1
        found += _free(low, end, marked, movable)
    return list(_joined(found))


def _free(start: int, end: int, marked: RangeSet, movable: RangeSet) -> list[Piece]:
    """``[start, end)``, which nobody has, cut where it begins or ceases to be movable or marked."""
    found = []
    for low, high in movable.within(start, end):
        found.append(Piece(low, high, Free.MOVABLE, marked.covers(low, high)))
    for gap_start, gap_end in movable.outside(start, end):
        found += [Piece(low, high, Free.HOTPLUG, hotplug=True) for low, high in marked.within(gap_start, gap_end)]
        found += [Piece(low, high, Free.STAYS, hotplug=False) for low, high in marked.outside(gap_start, gap_end)]
    return sorted(found, key=lambda piece: piece.start)


def _joined(found: Iterable[Piece]) -> Iterable[Piece]:
    """Neighbours of one kind as one."""
    last: Piece | None = None
    for piece in found:
        if last is not None and (last.content, last.hotplug) == (piece.content, piece.hotplug):
            last = last._replace(end=piece.end)
            continue
        if last is not None:
            yield last
        last = piece
    if last is not None:
        yield last


def _fewer(found: list[Piece], most: int) -> list[Piece]:
    """At most `most` pieces: the small ones go up in their neighbours, the less the better."""
    least = PAGE_SIZE
    while len(found) > most:
        found = _absorbed(found, least)
        least *= 2
    return found


def _absorbed(found: Sequence[Piece], least: int) -> list[Piece]:
    """The pieces, each run of those below `least` bytes made one; what has an owner is seen first."""
    result: list[Piece] = []
    small: list[Piece] = []
    for piece in found:
        if piece.size < least or (small and sum(each.size for each in small) < least):
            small.append(piece)
            continue
        if small:
            result.append(_one(small))
            small = []
        result.append(piece)
    if small:
        result.append(_one(small))
    return list(_joined(result))


def _one(parts: Sequence[Piece]) -> Piece:
    sizes: dict[Content, int] = {}
    for part in parts:
        sizes[part.content] = sizes.get(part.content, 0) + part.size
    content = max(sizes, key=lambda each: (isinstance(each, Family), sizes[each]))
    return Piece(parts[0].start, parts[-1].end, content, all(part.hotplug for part in parts))


def _cells(shown: Sequence[Piece], width: int) -> list[int]:
    """The cells of each piece: one at least, the rest by the logarithm of their sizes; in all `width`."""
    weights = [log2(piece.size / PAGE_SIZE + 1) for piece in shown]
    rest, total = width - len(shown), sum(weights)
    exact = [rest * weight / total for weight in weights]
    cells = [1 + int(part) for part in exact]
    by_remainder = sorted(range(len(shown)), key=lambda index: (int(exact[index]) - exact[index], index))
    for index in by_remainder[: width - sum(cells)]:
        cells[index] += 1
    return cells
