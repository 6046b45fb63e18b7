"""Which memory blocks count as which range's: parts of one node that the SRAT treats differently may share one."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from memplan.ranges import RangeSet

if TYPE_CHECKING:
    from collections.abc import Sequence


class Part(NamedTuple):
    """RAM of one node that is alike hot-pluggable or not, with nothing of another kind between its pieces."""

    nid: int
    hotplug: bool
    pieces: list[tuple[int, int]]

    @property
    def start(self) -> int:
        """Its first byte."""
        return self.pieces[0][0]

    @property
    def end(self) -> int:
        """The end of its last piece."""
        return self.pieces[-1][1]


class Share(NamedTuple):
    """The blocks that count as a part's, and how many of them are movable.

    It `borrows` where some of its RAM lies in a movable block that counts as another part's.
    """

    total: int
    movable: int
    borrows: bool


def share_blocks(parts: Sequence[Part], movable: Sequence[tuple[int, int, int]], block_size: int) -> list[Share]:
    """Each part's share of the memory blocks of `block_size` bytes.

    A block in which parts of one node meet counts once: as the lowest hot-pluggable part's, else the lowest part's.
    `movable` are the ranges ``(nid, start, end)`` of whole blocks that can go off-line.
    """
    free: defaultdict[int, RangeSet] = defaultdict(RangeSet)
    for nid, start, end in movable:
        free[nid].add(start // block_size, end // block_size)
    touched = [RangeSet((start // block_size, -(-end // block_size)) for start, end in part.pieces) for part in parts]
    counted: defaultdict[int, RangeSet] = defaultdict(RangeSet)
    shares: dict[int, Share] = {}
    # The first to come has a block: hot-pluggable parts before the others, the lower before the higher.
    for index in sorted(range(len(parts)), key=lambda index: (not parts[index].hotplug, index)):
        able, taken = free[parts[index].nid], counted[parts[index].nid]
        total = good = 0
        borrows = False
        for first, last in touched[index]:
            own = taken.outside(first, last)
            total += sum(high - low for low, high in own)
            good += sum(high - low for start, end in own for low, high in able.within(start, end))
            borrows |= any(able.within(*part) for part in taken.within(first, last))
        for part in touched[index]:
            taken.add(*part)
        shares[index] = Share(total, good, borrows)
    return [shares[index] for index in range(len(parts))]
