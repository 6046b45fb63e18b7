"""Memory blocks, the zones that they are in, and how both change: what mm/memory_hotplug.c keeps up to date.

Counts are pages unless a name says otherwise; a block's number is its address divided by the block size.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from memplan.units import PAGE_SHIFT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from memplan.hotadd.start import Start

MOVABLE = "Movable"
#: A memory map takes this part of what it describes, with a struct page of 64 bytes.
MAP_SHARE = 64
#: More movable memory than this for each byte of the kernel's is known to starve the kernel.
MOST_MOVABLE = 4
#: The kernel's zones, lowest first; the last one takes what lies in none.
KERNEL_ZONES = ("DMA", "DMA32", "Normal")


class Block:
    """A memory block of node `nid`.

    `zone` is the one that it is in (None: it is off-line, or in more than one), `last_zone` the one that its pages
    carried last.  `dimm` is the device that brought it (None: none of the scenario's), `boot` whether it was there at
    boot, `present` its pages of RAM, and `map_pages` how many of them hold its own memory map.  `fixed` says why it can
    never go off-line ("": it may).
    """

    __slots__ = ("boot", "dimm", "fixed", "index", "last_zone", "map_pages", "nid", "online", "present", "zone")

    def __init__(
        self,
        index: int,
        nid: int,
        present: int,
        *,
        dimm: int | None = None,
        boot: bool = False,
        map_pages: int = 0,
        online: bool = False,
        zone: str | None = None,
        fixed: str = "",
    ) -> None:
        self.index = index
        self.nid = nid
        self.present = present
        self.dimm = dimm
        self.boot = boot
        self.map_pages = map_pages
        self.online = online
        self.zone = zone
        self.last_zone = zone
        self.fixed = fixed

    @property
    def movable(self) -> bool:
        """Whether it is on-line in ZONE_MOVABLE."""
        return self.online and self.zone == MOVABLE


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
        self.blocks: dict[int, Block] = {}
        for block in start.blocks:
            self.blocks[block.number] = Block(
                block.number,
                block.nid,
                block.present,
                boot=True,
                online=block.online,
                zone=block.zone,
                fixed=block.fixed,
            )
        self.zones: dict[tuple[int, str], ZoneState] = {
            (zone.nid, zone.name): ZoneState(zone.start_pfn, zone.end_pfn, zone.present, zone.early, zone.cma)
            for zone in start.zones
        }
        #: The blocks by their device, those of none under None; and how often any of them has changed.
        self._of_dimm: dict[int | None, list[Block]] = {None: list(self.blocks.values())}
        self.changes: Counter[int | None] = Counter()
        #: How often a block has come into a zone or left it; and how many of each DIMM's blocks are on-line where.
        self.zone_changes = 0
        self.kernel_blocks: Counter[int] = Counter()
        self.movable_blocks: Counter[int] = Counter()
        #: How many blocks each node has.
        self._on_node = Counter(block.nid for block in self.blocks.values())
        self._at_boot = len(self.blocks)
        #: Boot blocks that lie in more than one zone, and in which.
        self._mixed = {block.number: block.zones for block in start.blocks if block.zone is None}

    def span(self, block: Block) -> tuple[int, int]:
        """The block's page frames, half-open."""
        start = block.index * self.block_pages
        return start, start + self.block_pages

    def zone(self, nid: int, name: str) -> ZoneState:
        """The zone of that node, made empty where there was none."""
        zone = self.zones.get((nid, name))
        if zone is None:
            zone = self.zones[nid, name] = ZoneState()
        return zone

    def of_dimm(self, dimm: int | None) -> list[Block]:
        """The blocks that a DIMM brought, upwards; or those that no DIMM of the scenario did."""
        return self._of_dimm.get(dimm, [])

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
        return (len(self.blocks) - self._at_boot) * self.block_size // MAP_SHARE

    def kernel_early(self, nid: int | None = None) -> int:
        """Pages of kernel zones that were there at boot, without CMA's: of one node, or of all."""
        return sum(zone.early - zone.cma for name, zone in self._zones_of(nid) if name != MOVABLE)

    def movable_present(self, nid: int | None = None) -> int:
        """Pages on-line in ZONE_MOVABLE, and those of CMA areas: of one node, or of all."""
        return sum(zone.present if name == MOVABLE else zone.cma for name, zone in self._zones_of(nid))

    def kernel_pages(self, *, added: bool = False) -> int:
        """Pages of blocks that are on-line outside ZONE_MOVABLE: of all, or of those that were not there at boot."""
        loose = (own for own in self.of_dimm(None) if own.online and not own.movable and not (added and own.boot))
        return sum(own.present for own in loose) + sum(self.kernel_blocks.values()) * self.block_pages

    def added_is_movable(self) -> bool:
        """Whether a block that was not there at boot is on-line in ZONE_MOVABLE."""
        loose = (own.movable and not own.boot for own in self.of_dimm(None))
        return any(self.movable_blocks.values()) or any(loose)

    def _zones_of(self, nid: int | None) -> Iterator[tuple[str, ZoneState]]:
        return ((name, zone) for (own, name), zone in self.zones.items() if nid in (None, own))

    def add(self, blocks: Iterable[Block]) -> None:
        """New blocks, off-line, upwards."""
        for block in blocks:
            self.blocks[block.index] = block
            self._of_dimm.setdefault(block.dimm, []).append(block)
            self.changes[block.dimm] += 1
            self._on_node[block.nid] += 1

    def give_up(self, block: Block) -> None:
        """The zone at whose end an off-line block lies ends before it (move_pfn_range_left and _right, up to 4.12)."""
        if block.last_zone is None:
            return
        start, end = self.span(block)
        state = self.zone(block.nid, block.last_zone)
        if state.end == end:
            state.end = start
        else:
            state.start = end

    def online(self, block: Block, zone: str) -> None:
        """Put an off-line block into `zone` (online_pages)."""
        self._count(block, zone, 1)
        start, end = self.span(block)
        state = self.zone(block.nid, zone)
        state.grow(start, end)
        state.present += block.present
        if block.boot:
            state.early += block.present
        block.online, block.zone, block.last_zone = True, zone, zone
        self.growth += (block.present - block.map_pages) << PAGE_SHIFT

    def offline(self, block: Block, *, shrink: bool) -> None:
        """Take an on-line block out of its zone (offline_pages); `shrink` is whether the zone's span may shrink."""
        zone = block.zone
        assert zone is not None
        self._count(block, zone, -1)
        state = self.zone(block.nid, zone)
        state.present -= block.present
        if block.boot:
            state.early -= block.present
        block.online, block.zone = False, None
        self.growth -= (block.present - block.map_pages) << PAGE_SHIFT
        if shrink:
            others = (other for other in self.blocks.values() if self._in_zone(other, block.nid, zone))
            self._shrink(state, self.span(block), others)

    def remove(self, dimm: int, *, shrink: bool) -> None:
        """Take a DIMM's blocks away; where `shrink`, the zone that its first page carried last may shrink."""
        self.changes[dimm] += 1
        self.zone_changes += 1
        blocks = self._of_dimm.pop(dimm, [])
        zone = blocks[0].last_zone if blocks else None
        for block in blocks:
            del self.blocks[block.index]
            self._on_node[block.nid] -= 1
            if shrink and zone is not None:
                state = self.zone(block.nid, zone)
                others = (
                    other
                    for other in self.blocks.values()
                    if other.nid == block.nid and (other.last_zone == zone or self._in_zone(other, block.nid, zone))
                )
                self._shrink(state, self.span(block), others)

    def lose(self, block: Block) -> None:
        """A block that the kernel oopsed over as it came on-line: off-line, but its pages are in their zone."""
        assert block.zone is not None
        self._count(block, block.zone, -1)
        block.online, block.zone = False, None

    def _count(self, block: Block, zone: str, blocks: int) -> None:
        """So many blocks more of this one's DIMM are on-line in `zone`."""
        self.changes[block.dimm] += 1
        self.zone_changes += 1
        if block.dimm is not None:
            (self.movable_blocks if zone == MOVABLE else self.kernel_blocks)[block.dimm] += blocks

    def _in_zone(self, block: Block, nid: int, zone: str) -> bool:
        """Whether the block is on-line in that zone, be it with a part of it."""
        if block.nid != nid or not block.online:
            return False
        return block.zone == zone or (block.zone is None and zone in self._mixed.get(block.index, ()))

    def _shrink(self, state: ZoneState, span: tuple[int, int], others: Iterator[Block]) -> None:
        """shrink_zone_span: at an edge the span ends with what is left of the zone; an empty zone spans nothing."""
        start, end = span
        left = [(low, high) for low, high in map(self.span, others) if low < state.end and high > state.start]
        if not left:
            state.start = state.end = 0
        elif state.start == start:
            state.start = min(low for low, _ in left)
        elif state.end == end:
            state.end = max(high for _, high in left)
