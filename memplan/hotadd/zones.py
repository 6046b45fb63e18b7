"""Which zone a memory block goes to as it comes on-line, and which ones it could: zone_for_pfn_range and its kin.

From 4.14 on a block's zone is chosen at the moment when it comes on-line: by the spans of its node's zones
(contig-zones), or by how much of the memory is movable already (auto-movable, 5.15).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from memplan.hotadd.memory import KERNEL_ZONES, MOVABLE

if TYPE_CHECKING:
    from memplan.hotadd.memory import Block, Memory
    from memplan.hotadd.rules import HotplugRules
    from memplan.hotadd.scenario import OnlineType
    from memplan.hotadd.settings import Settings

_SHORT_PFN = (1 << 32) - 1
#: Rules by which a block's zone is given when it is added, and moves with the zones' borders.
GIVEN_AS_ADDED = ("added", "added to Normal")


class Choice(NamedTuple):
    """The zone that a block goes to (None: it is refused), and why, for people."""

    zone: str | None
    why: str


class Room(NamedTuple):
    """What auto-movable counts, in pages: `movable` on-line in Movable already, and the `limit` that the ratio sets."""

    movable: int
    limit: int

    @property
    def left(self) -> int:
        """Pages that may still become movable."""
        return max(0, self.limit - self.movable)


def choose(memory: Memory, rules: HotplugRules, settings: Settings, block: Block, type_: OnlineType) -> Choice:
    """The zone that `block` goes to when `type_` is written to its state now."""
    if rules.zones in GIVEN_AS_ADDED:
        return _by_adding(memory, block, type_)
    start, end = _span(memory, rules, block)
    kernel = _kernel_zone(memory, block.nid, start, end)
    if rules.zones == "in order":
        return _in_order(memory, settings, block, type_, kernel)
    if type_ == "online_kernel":
        return Choice(kernel, "online_kernel asks for a kernel zone")
    if type_ == "online_movable":
        return Choice(MOVABLE, "online_movable asks for Movable, whatever the ratio and the neighbours")
    if settings.policy == "auto-movable":
        return _by_ratio(memory, settings, block, kernel)
    return _by_span(memory, settings, block, kernel, start, end)


def valid_zones(memory: Memory, rules: HotplugRules, settings: Settings, block: Block) -> tuple[str, ...]:
    """What the block's valid_zones says: its zone, or, off-line, the zones it may go to, the default first."""
    if rules.zones in GIVEN_AS_ADDED:
        return _shiftable(memory, block)
    if block.online:
        return (block.zone,) if block.zone is not None else ("none",)
    types: tuple[OnlineType, ...] = ("online", "online_kernel", "online_movable")
    if rules.zones == "in order":
        types = ("online_kernel", "online_movable")
    zones = (choose(memory, rules, settings, block, type_).zone for type_ in types)
    return tuple(dict.fromkeys(zone for zone in zones if zone is not None)) or ("none",)


def room(memory: Memory, settings: Settings, nid: int | None = None) -> Room:
    """What the ratio allows: on one node, or (None) on the whole machine."""
    return Room(memory.movable_present(nid), settings.ratio * memory.kernel_early(nid) // 100)


def _span(memory: Memory, rules: HotplugRules, block: Block) -> tuple[int, int]:
    """The page frames for which the zone is chosen; those above 16 TiB lose their high bits in some versions."""
    start, end = memory.span(block)
    if rules.short_pfns:
        start &= _SHORT_PFN
        end = start + memory.block_pages
    return start, end


def _kernel_zone(memory: Memory, nid: int, start: int, end: int) -> str:
    """The lowest kernel zone of the node whose span touches the range, else Normal (default_kernel_zone_for_pfn)."""
    for name in KERNEL_ZONES:
        zone = memory.zones.get((nid, name))
        if zone is not None and zone.touches(start, end):
            return name
    return KERNEL_ZONES[-1]


def _by_span(memory: Memory, settings: Settings, block: Block, kernel: str, start: int, end: int) -> Choice:
    """The policy contig-zones (default_zone_for_pfn)."""
    in_kernel = memory.zone(block.nid, kernel).touches(start, end)
    in_movable = memory.zone(block.nid, MOVABLE).touches(start, end)
    where = f"node {block.nid}"
    if in_kernel != in_movable:
        zone = kernel if in_kernel else MOVABLE
        return Choice(zone, f"it lies within the span of {where}'s {zone} zone")
    both = f"within the spans of both {where}'s {kernel} and Movable zones" if in_kernel else f"in no zone of {where}"
    if settings.movable_node:
        return Choice(MOVABLE, f"it lies {both}, and with movable_node that means Movable")
    return Choice(kernel, f"it lies {both}, and without movable_node that means {kernel}")


def _by_ratio(memory: Memory, settings: Settings, block: Block, kernel: str) -> Choice:
    """The policy auto-movable (auto_movable_zone_for_pfn)."""
    if not settings.ratio:
        return Choice(kernel, "auto_movable_ratio is 0")
    pages = memory.block_pages
    if block.dimm is not None:
        if memory.kernel_blocks[block.dimm]:
            return Choice(kernel, "another block of the DIMM is in a kernel zone, and a DIMM goes whole")
        pages *= len(memory.of_dimm(block.dimm)) - memory.movable_blocks[block.dimm]
    for nid in (None, block.nid) if settings.numa_aware else (None,):
        found = room(memory, settings, nid)
        if found.movable + pages > found.limit:
            where = "the machine" if nid is None else f"node {nid}"
            return Choice(
                kernel,
                f"{_mib(found.movable + pages)} of {where} would be movable, and {settings.ratio} % of the kernel's "
                f"boot memory there is {_mib(found.limit)}",
            )
    return Choice(MOVABLE, f"at most {settings.ratio} % of the kernel's boot memory is movable with it")


def _mib(pages: int) -> str:
    return f"{pages >> 8}M"


# -- before 4.14 ------------------------------------------------------------------------------------------------------


def _in_order(memory: Memory, settings: Settings, block: Block, type_: OnlineType, kernel: str) -> Choice:
    """4.13: Normal lies below Movable, always (allow_online_pfn_range, move_pfn_range)."""
    start, end = memory.span(block)
    movable, below = memory.zone(block.nid, MOVABLE), memory.zone(block.nid, kernel)
    may_kernel = movable.start == movable.end or movable.start >= end
    may_movable = below.end <= start
    if type_ == "online_kernel":
        return Choice(kernel if may_kernel else None, "a kernel zone must end below Movable")
    if type_ == "online_movable":
        return Choice(MOVABLE if may_movable else None, "Movable must begin above the kernel zone")
    if not may_kernel:
        return Choice(MOVABLE, "it lies within or behind Movable")
    if settings.movable_node and may_movable:
        return Choice(MOVABLE, "it lies behind the kernel zone, and with movable_node that means Movable")
    return Choice(kernel, "it lies below Movable")


def _by_adding(memory: Memory, block: Block, type_: OnlineType) -> Choice:
    """Up to 4.12: the zone was given when the memory was added, and moves by one block at the zones' border only."""
    zone = block.last_zone or KERNEL_ZONES[-1]
    start, end = memory.span(block)
    if type_ == "online_movable" and zone != MOVABLE:
        movable, own = memory.zone(block.nid, MOVABLE), memory.zone(block.nid, zone)
        last = zone == KERNEL_ZONES[-1] and own.end == end and movable.start in (movable.end, end)
        return Choice(MOVABLE if last else None, "only the last block of Normal may become Movable")
    if type_ == "online_kernel" and zone == MOVABLE:
        first = memory.zone(block.nid, MOVABLE).start == start
        return Choice(KERNEL_ZONES[-1] if first else None, "only the first block of Movable may become Normal")
    return Choice(zone, "it was given this zone when it was added")


def zone_when_added(memory: Memory, rules: HotplugRules, nid: int, start: int) -> str | None:
    """The zone that memory at page frame `start` is given when it is added (up to 4.12; None: later)."""
    if rules.zones not in GIVEN_AS_ADDED:
        return None
    movable = memory.zone(nid, MOVABLE)
    if rules.zones == "added" and movable.start < movable.end and movable.start <= start:
        return MOVABLE
    return KERNEL_ZONES[-1]


def _shiftable(memory: Memory, block: Block) -> tuple[str, ...]:
    """valid_zones up to 4.12: the block's zone, and its neighbour where the block lies at their border."""
    zone = block.last_zone
    if zone is None:
        return ("none",)
    start, end = memory.span(block)
    if zone == KERNEL_ZONES[-1] and end == memory.zone(block.nid, zone).end:
        return zone, MOVABLE
    if zone == MOVABLE and start == memory.zone(block.nid, zone).start:
        return zone, KERNEL_ZONES[-1]
    return (zone,)
