"""Which zone a memory block goes to as it comes on-line, and which ones it could: zone_for_pfn_range and its kin.

From 4.14 on a block's zone is chosen at the moment when it comes on-line: by the spans of its node's zones
(contig-zones), or by how much of the memory is movable already (auto-movable, 5.15).
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, NamedTuple

from memplan.hotadd.memory import KERNEL_ZONES, MOVABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.hotadd.memory import Blocks, Memory
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


def choose(memory: Memory, rules: HotplugRules, settings: Settings, blocks: Blocks, type_: OnlineType) -> Choice:
    """The zone that the first of `blocks` goes to when `type_` is written to its state now."""
    if rules.zones in GIVEN_AS_ADDED:
        return _by_adding(memory, blocks, type_)
    start, end = _span(memory, rules, blocks)
    kernel = _kernel_zone(memory, blocks.nid, start, end)
    if rules.zones == "in order":
        return _in_order(memory, settings, blocks, type_, kernel)
    if type_ == "online_kernel":
        return Choice(kernel, "online_kernel asks for a kernel zone")
    if type_ == "online_movable":
        return Choice(MOVABLE, "online_movable asks for Movable, whatever the ratio and the neighbours")
    if settings.policy == "auto-movable":
        return _by_ratio(memory, settings, blocks, kernel)
    return _by_span(memory, settings, blocks, kernel, start, end)


def alike(
    memory: Memory, rules: HotplugRules, settings: Settings, blocks: Blocks, type_: OnlineType, choice: Choice
) -> int:
    """How many of `blocks` have the first one's `choice` if they come on-line one after the other.

    At least one; those behind may have it, too, and are to be asked for when these are on-line.
    """
    if choice.zone is None:
        return _first_stretch(memory, rules, blocks)
    if rules.zones in GIVEN_AS_ADDED and choice.zone != blocks.last_zone:
        return 1
    if type_ == "online" and settings.policy == "auto-movable" and settings.ratio:
        # What is movable and what of the DIMM is yet to come are asked for as one sum, which movable blocks leave as
        # it is; one in a kernel zone decides for those behind it.
        dimm = blocks.dimm
        if dimm is None or (choice.zone != MOVABLE and not memory.kernel_blocks[dimm]):
            return 1
    zone = memory.zone(blocks.nid, choice.zone)
    start, end = memory.first_span(blocks)
    if zone.start <= start and end <= zone.end:
        return _first_stretch(memory, rules, blocks)
    if zone.start < zone.end == start:
        # Its end moves on with each of them, so that the next one finds it as the first did.
        return _first_stretch(memory, rules, blocks, moving=start)
    return 1


def _first_stretch(memory: Memory, rules: HotplugRules, blocks: Blocks, moving: int | None = None) -> int:
    return next(stretches(memory, rules, blocks, moving)).count


def stretches(memory: Memory, rules: HotplugRules, blocks: Blocks, moving: int | None = None) -> Iterator[Blocks]:
    """`blocks` in parts, of each of which all lie alike to where the zones of their node begin and end.

    An end `moving` counts for none.
    """
    pages = memory.block_pages
    edges = {edge for edge in memory.edges(blocks.nid) if edge != moving}
    if rules.short_pfns:
        low, high = memory.span(blocks)
        windows = range(low & ~_SHORT_PFN, high, _SHORT_PFN + 1)
        edges |= {window + edge for window in windows for edge in (0, *edges)}
    # A block at whose border a zone begins or ends is a part by itself, as one is in which it does.
    cuts = {edge // pages + beside for edge in edges for beside in (-1, 0, 1)}
    part = copy(blocks)
    for number in sorted(cuts):
        if part.first < number < part.end:
            rest = part.cut(number)
            yield part
            part = rest
    yield part


def valid_zones(memory: Memory, rules: HotplugRules, settings: Settings, blocks: Blocks) -> tuple[str, ...]:
    """What valid_zones of the first of `blocks` says: its zone, or, off-line, those it may go to, the default first."""
    if rules.zones in GIVEN_AS_ADDED:
        return _shiftable(memory, blocks)
    if blocks.online:
        return (blocks.zone,) if blocks.zone is not None else ("none",)
    types: tuple[OnlineType, ...] = ("online", "online_kernel", "online_movable")
    if rules.zones == "in order":
        types = ("online_kernel", "online_movable")
    zones = (choose(memory, rules, settings, blocks, type_).zone for type_ in types)
    return tuple(dict.fromkeys(zone for zone in zones if zone is not None)) or ("none",)


def room(memory: Memory, settings: Settings, nid: int | None = None) -> Room:
    """What the ratio allows: on one node, or (None) on the whole machine."""
    return Room(memory.movable_present(nid), settings.ratio * memory.kernel_early(nid) // 100)


def _span(memory: Memory, rules: HotplugRules, blocks: Blocks) -> tuple[int, int]:
    """The first one's page frames for the choice of a zone; above 16 TiB they lose their high bits in some versions."""
    start, end = memory.first_span(blocks)
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


def _by_span(memory: Memory, settings: Settings, blocks: Blocks, kernel: str, start: int, end: int) -> Choice:
    """The policy contig-zones (default_zone_for_pfn)."""
    in_kernel = memory.zone(blocks.nid, kernel).touches(start, end)
    in_movable = memory.zone(blocks.nid, MOVABLE).touches(start, end)
    where = f"node {blocks.nid}"
    if in_kernel != in_movable:
        zone = kernel if in_kernel else MOVABLE
        return Choice(zone, f"it lies within the span of {where}'s {zone} zone")
    both = f"within the spans of both {where}'s {kernel} and Movable zones" if in_kernel else f"in no zone of {where}"
    if settings.movable_node:
        return Choice(MOVABLE, f"it lies {both}, and with movable_node that means Movable")
    return Choice(kernel, f"it lies {both}, and without movable_node that means {kernel}")


def _by_ratio(memory: Memory, settings: Settings, blocks: Blocks, kernel: str) -> Choice:
    """The policy auto-movable (auto_movable_zone_for_pfn)."""
    if not settings.ratio:
        return Choice(kernel, "auto_movable_ratio is 0")
    pages = memory.block_pages
    if blocks.dimm is not None:
        if memory.kernel_blocks[blocks.dimm]:
            return Choice(kernel, "another block of the DIMM is in a kernel zone, and a DIMM goes whole")
        pages *= memory.count(blocks.dimm) - memory.movable_blocks[blocks.dimm]
    for nid in (None, blocks.nid) if settings.numa_aware else (None,):
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


def _in_order(memory: Memory, settings: Settings, blocks: Blocks, type_: OnlineType, kernel: str) -> Choice:
    """4.13: Normal lies below Movable, always (allow_online_pfn_range, move_pfn_range)."""
    start, end = memory.first_span(blocks)
    movable, below = memory.zone(blocks.nid, MOVABLE), memory.zone(blocks.nid, kernel)
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


def _by_adding(memory: Memory, blocks: Blocks, type_: OnlineType) -> Choice:
    """Up to 4.12: the zone was given when the memory was added, and moves by one block at the zones' border only."""
    zone = blocks.last_zone or KERNEL_ZONES[-1]
    start, end = memory.first_span(blocks)
    if type_ == "online_movable" and zone != MOVABLE:
        movable, own = memory.zone(blocks.nid, MOVABLE), memory.zone(blocks.nid, zone)
        last = zone == KERNEL_ZONES[-1] and own.end == end and movable.start in (movable.end, end)
        return Choice(MOVABLE if last else None, "only the last block of Normal may become Movable")
    if type_ == "online_kernel" and zone == MOVABLE:
        first = memory.zone(blocks.nid, MOVABLE).start == start
        return Choice(KERNEL_ZONES[-1] if first else None, "only the first block of Movable may become Normal")
    return Choice(zone, "it was given this zone when it was added")


def zone_when_added(memory: Memory, rules: HotplugRules, nid: int, start: int) -> str:
    """The zone that memory at page frame `start` is given when it is added (up to 4.12)."""
    movable = memory.zone(nid, MOVABLE)
    if rules.zones == "added" and movable.start < movable.end and movable.start <= start:
        return MOVABLE
    return KERNEL_ZONES[-1]


def _shiftable(memory: Memory, blocks: Blocks) -> tuple[str, ...]:
    """valid_zones up to 4.12: the block's zone, and its neighbour where the block lies at their border."""
    zone = blocks.last_zone
    if zone is None:
        return ("none",)
    start, end = memory.first_span(blocks)
    if zone == KERNEL_ZONES[-1] and end == memory.zone(blocks.nid, zone).end:
        return zone, MOVABLE
    if zone == MOVABLE and start == memory.zone(blocks.nid, zone).start:
        return zone, KERNEL_ZONES[-1]
    return (zone,)
