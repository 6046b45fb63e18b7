"""Memory blocks, the zones that they are in, and how both change: what mm/memory_hotplug.c keeps up to date.

Counts are pages unless a name says otherwise; a block's number is its address divided by the block size.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from copy import copy
from itertools import groupby
from typing import TYPE_CHECKING

from memplan.units import PAGE_SHIFT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.hotadd.start import Start
    from memplan.ranges import RangeSet

MOVABLE = "Movable"
#: A memory map takes this part of what it describes, with a struct page of 64 bytes.
MAP_SHARE = 64
#: More movable memory than this for each byte of the kernel's is known to starve the kernel.
MOST_MOVABLE = 4
#: The kernel's zones, lowest first; the last one takes what lies in none.
KERNEL_ZONES = ("DMA", "DMA32", "Normal")


class Blocks:
    """Neighbouring memory blocks of node `nid` that are alike: those numbered from `first` up to, but without, `end`.

    `zone` is the one that they are in (None: they are off-line, or lie in several, which `zones` names), `last_zone`
    the one that their pages carried last.  `dimm` is the device that brought them (None: none of the scenario's),
    `boot` whether they were there at boot, `present` the pages of RAM in each, and `map_pages` how many of these hold
    its own memory map.  `fixed` says why they can never go off-line ("": they may).
    """

    __slots__ = (
        "boot",
        "dimm",
        "end",
        "first",
        "fixed",
        "last_zone",
        "map_pages",
        "nid",
        "online",
        "present",
        "zone",
        "zones",
    )

    def __init__(
        self,
        first: int,
        end: int,
        nid: int,
        present: int,
        *,
        dimm: int | None = None,
        boot: bool = False,
        map_pages: int = 0,
        online: bool = False,
        zone: str | None = None,
        zones: tuple[str, ...] = (),
        fixed: str = "",
    ) -> None:
        self.first = first
        self.end = end
        self.nid = nid
        self.present = present
        self.dimm = dimm
        self.boot = boot
        self.map_pages = map_pages
        self.online = online
        self.zone = zone
        self.zones = zones
        self.last_zone = zone
        self.fixed = fixed

    @property
    def range(self) -> tuple[int, int]:
        """The blocks' numbers, half-open."""
        return self.first, self.end

    @property
    def count(self) -> int:
        """How many there are."""
        return self.end - self.first

    @property
    def movable(self) -> bool:
        """Whether they are on-line in ZONE_MOVABLE."""
        return self.online and self.zone == MOVABLE

    def cut(self, number: int) -> Blocks:
        """End before block `number`; what was from there on is given back."""
        rest = copy(self)
        self.end = rest.first = number
        return rest


class ZoneState:
    """A zone of one node: it spans the page frames ``[start, end)``, of which `present` are on-line.

    `early` are those of the pages present at boot that are still on-line, `cma` those of CMA areas.
    """

    __slots__ = ("cma", "early", "end", "present", "start")

    def __init__(self, start: int = 0, end: int = 0, present: int = 0, early: int = 0, cma: int = 0) -> None:
        self.cma = cma
        self.start = start
        self.end = end
        self.present = present
        self.early = early

    def touches(self, start: int, end: int) -> bool:
        """Whether its span and ``[start, end)`` have a page frame in common (zone_intersects)."""
        return self.start < self.end and start < self.end and end > self.start

    def grow(self, start: int, end: int) -> None:
        """Span ``[start, end)``, too (resize_zone_range)."""
        if self.start == self.end or start < self.start:
            old_end = self.end
            self.end = max(end, old_end)
            self.start = start
        else:
            self.end = max(end, self.end)


class Memory:
    """All blocks and zones.  `growth` is by how many bytes MemTotal has grown since the start."""

    def __init__(self, start: Start) -> None:
        self.block_size = start.block_size
        #: Pages in a block.
        self.block_pages = start.block_size >> PAGE_SHIFT
        self.growth = 0
        self.zones: dict[tuple[int, str], ZoneState] = {
            (zone.nid, zone.name): ZoneState(zone.start_pfn, zone.end_pfn, zone.present, zone.early, zone.cma)
            for zone in start.zones
        }
        #: All blocks upwards; and those of each device, those of none under None, with how often any has changed.
        self.blocks: list[Blocks] = []
        self._of_dimm: dict[int | None, list[Blocks]] = {None: []}
        self.changes: Counter[int | None] = Counter()
        #: How often a block has come into a zone or left it; and how many of each DIMM's blocks are on-line where.
        self.zone_changes = 0
        self.kernel_blocks: Counter[int] = Counter()
        self.movable_blocks: Counter[int] = Counter()
        #: How many blocks each node has, and how many came after the boot.
        self._on_node: Counter[int] = Counter()
        self._added = 0
        for blocks in _at_boot(start):
            self.add(blocks)

    def span(self, blocks: Blocks) -> tuple[int, int]:
        """The blocks' page frames, half-open."""
        return blocks.first * self.block_pages, blocks.end * self.block_pages

    def first_span(self, blocks: Blocks) -> tuple[int, int]:
        """The page frames of the first of the blocks, half-open."""
        start = blocks.first * self.block_pages
        return start, start + self.block_pages

    def edges(self, nid: int) -> list[int]:
        """The page frames at which zones of node `nid` begin and end."""
        return [edge for (own, _), zone in self.zones.items() if own == nid for edge in (zone.start, zone.end)]

    def within(self, first: int, end: int) -> list[Blocks]:
        """The blocks that there are from number `first` up to, but without, `end`, upwards.

        Blocks that were alike are cut there, and whoever holds them then holds the lower part.
        """
        self.cut(first)
        self.cut(end)
        low = bisect_left(self.blocks, first, key=_first)
        return self.blocks[low : bisect_left(self.blocks, end, low, key=_first)]

    def apart(self, blocks: Blocks, numbers: RangeSet) -> list[Blocks]:
        """`blocks` in parts, of each of which all are among `numbers`, or none."""
        first, end = blocks.range
        for low, high in numbers.within(first, end):
            self.cut(low)
            self.cut(high)
        return self.within(first, end)

    def cut(self, number: int) -> None:
        """Keep what begins with block `number` apart from what lies before it."""
        index = bisect_left(self.blocks, number, key=_first)
        if not index or self.blocks[index - 1].end <= number:
            return
        before = self.blocks[index - 1]
        rest = before.cut(number)
        self.blocks.insert(index, rest)
        insort(self._of_dimm[before.dimm], rest, key=_first)

    def zone(self, nid: int, name: str) -> ZoneState:
        """The zone of that node, made empty where there was none."""
        zone = self.zones.get((nid, name))
        if zone is None:
            zone = self.zones[nid, name] = ZoneState()
        return zone

    def of_dimm(self, dimm: int | None) -> list[Blocks]:
        """The blocks that a DIMM brought, upwards; or those that no DIMM of the scenario did."""
        return list(self._of_dimm.get(dimm, ()))

    def count(self, dimm: int) -> int:
        """How many blocks the DIMM brought."""
        return sum(own.count for own in self.of_dimm(dimm))

    @property
    def dimms(self) -> list[int | None]:
        """The devices that have blocks, None for blocks without one."""
        return list(self._of_dimm)

    @property
    def nodes(self) -> list[int]:
        """The nodes that have blocks, upwards."""
        return sorted(nid for nid, count in self._on_node.items() if count)

    def map_bytes(self) -> int:
        """The memory maps of added blocks, wherever they lie (nr_memmap_pages), in bytes."""
        return self._added * self.block_size // MAP_SHARE

    def kernel_early(self, nid: int | None = None) -> int:
        """Pages of kernel zones that were there at boot, without CMA's: of one node, or of all."""
        return sum(zone.early - zone.cma for name, zone in self._zones_of(nid) if name != MOVABLE)

    def movable_present(self, nid: int | None = None) -> int:
        """Pages on-line in ZONE_MOVABLE, and those of CMA areas: of one node, or of all."""
        return sum(zone.present if name == MOVABLE else zone.cma for name, zone in self._zones_of(nid))

    def kernel_pages(self, *, added: bool = False) -> int:
        """Pages of blocks that are on-line outside ZONE_MOVABLE: of all, or of those that were not there at boot."""
        loose = (own for own in self.of_dimm(None) if own.online and not own.movable and not (added and own.boot))
        return sum(own.present * own.count for own in loose) + sum(self.kernel_blocks.values()) * self.block_pages

    def added_is_movable(self) -> bool:
        """Whether a block that was not there at boot is on-line in ZONE_MOVABLE."""
        loose = (own.movable and not own.boot for own in self.of_dimm(None))
        return any(self.movable_blocks.values()) or any(loose)

    def _zones_of(self, nid: int | None) -> Iterator[tuple[str, ZoneState]]:
        return ((name, zone) for (own, name), zone in self.zones.items() if nid in (None, own))

    def add(self, blocks: Blocks) -> None:
        """New blocks."""
        insort(self.blocks, blocks, key=_first)
        insort(self._of_dimm.setdefault(blocks.dimm, []), blocks, key=_first)
        self.changes[blocks.dimm] += 1
        self._on_node[blocks.nid] += blocks.count
        if not blocks.boot:
            self._added += blocks.count

    def give_up(self, block: Blocks) -> None:
        """The zone at whose end an off-line block lies ends before it (move_pfn_range_left and _right, up to 4.12)."""
        if block.last_zone is None:
            return
        start, end = self.span(block)
        state = self.zone(block.nid, block.last_zone)
        if state.end == end:
            state.end = start
        else:
            state.start = end

    def online(self, blocks: Blocks, zone: str) -> None:
        """Put off-line blocks into `zone` (online_pages)."""
        self._count(blocks, zone, 1)
        start, end = self.span(blocks)
        state = self.zone(blocks.nid, zone)
        state.grow(start, end)
        pages = blocks.present * blocks.count
        state.present += pages
        if blocks.boot:
            state.early += pages
        blocks.online, blocks.zone, blocks.last_zone = True, zone, zone
        self.growth += (blocks.present - blocks.map_pages) * blocks.count << PAGE_SHIFT

    def offline(self, blocks: Blocks, *, shrink: bool) -> None:
        """Take on-line blocks out of their zone (offline_pages); `shrink` is whether the zone's span may shrink."""
        zone = blocks.zone
        assert zone is not None
        self._count(blocks, zone, -1)
        state = self.zone(blocks.nid, zone)
        pages = blocks.present * blocks.count
        state.present -= pages
        if blocks.boot:
            state.early -= pages
        blocks.online, blocks.zone = False, None
        self.growth -= (blocks.present - blocks.map_pages) * blocks.count << PAGE_SHIFT
        if shrink:
            others = (other for other in self.blocks if _in_zone(other, blocks.nid, zone))
            self._shrink(state, self.span(blocks), others)

    def remove(self, dimm: int, *, shrink: bool) -> None:
        """Take a DIMM's blocks away; where `shrink`, the zone that its first page carried last may shrink."""
        self.changes[dimm] += 1
        self.zone_changes += 1
        gone = self._of_dimm.pop(dimm, [])
        zone = gone[0].last_zone if gone else None
        for blocks in gone:
            del self.blocks[bisect_left(self.blocks, blocks.first, key=_first)]
            self._on_node[blocks.nid] -= blocks.count
            self._added -= blocks.count
            if shrink and zone is not None:
                state = self.zone(blocks.nid, zone)
                others = (
                    other
                    for other in self.blocks
                    if other.nid == blocks.nid and (other.last_zone == zone or _in_zone(other, blocks.nid, zone))
                )
                self._shrink(state, self.span(blocks), others)

    def lose(self, blocks: Blocks) -> None:
        """Blocks that the kernel oopsed over as they came on-line: off-line, but their pages are in their zone."""
        assert blocks.zone is not None
        self._count(blocks, blocks.zone, -1)
        blocks.online, blocks.zone = False, None

    def _count(self, blocks: Blocks, zone: str, sign: int) -> None:
        """These blocks come on-line in `zone` (1), or leave it (-1)."""
        self.changes[blocks.dimm] += 1
        self.zone_changes += 1
        if blocks.dimm is not None:
            counts = self.movable_blocks if zone == MOVABLE else self.kernel_blocks
            counts[blocks.dimm] += sign * blocks.count

    def _shrink(self, state: ZoneState, span: tuple[int, int], others: Iterator[Blocks]) -> None:
        """shrink_zone_span for each block of `span`, upwards.

        At an edge of it the zone's span ends with what is left of the zone; an empty zone spans nothing.
        """
        start, end = span
        left = [(low, high) for low, high in map(self.span, others) if low < state.end and high > state.start]
        if not left:
            state.start = state.end = 0
        elif state.start in range(start, end, self.block_pages):
            state.start = min(low for low, _ in left)
        elif state.end in range(start + self.block_pages, end + 1, self.block_pages):
            state.end = max(high for _, high in left)


def _first(blocks: Blocks) -> int:
    return blocks.first


def _in_zone(blocks: Blocks, nid: int, zone: str) -> bool:
    """Whether blocks are on-line in that zone, be it with a part of them."""
    if blocks.nid != nid or not blocks.online:
        return False
    return blocks.zone == zone or (blocks.zone is None and zone in blocks.zones)


def _at_boot(start: Start) -> Iterator[Blocks]:
    """The blocks that there are at the start, upwards."""
    for _, found in groupby(enumerate(start.blocks), lambda item: (item[1].number - item[0], item[1][1:])):
        alike = [block for _, block in found]
        one = alike[0]
        yield Blocks(
            one.number,
            one.number + len(alike),
            one.nid,
            one.present,
            boot=True,
            online=one.online,
            zone=one.zone,
            zones=one.zones,
            fixed=one.fixed,
        )
