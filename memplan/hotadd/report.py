"""The state as it is told: blocks as sysfs shows them, each DIMM with what became of it, what the ratio leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.hotadd import zones
from memplan.hotadd.memory import MAP_SHARE, MOVABLE
from memplan.hotadd.removal import pinned_by, refused_eject
from memplan.hotadd.result import BlockRange, DimmReport, RatioReport, ZoneReason
from memplan.hotadd.running import block_names
from memplan.ranges import RangeSet
from memplan.units import PAGE_SHIFT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from memplan.hotadd.memory import Blocks
    from memplan.hotadd.result import Removal
    from memplan.hotadd.running import Dimm, Running


_MOVABLE_GOES = "what is on-line of it is movable: it goes if what lies in it has room elsewhere, and nobody pins it"


def block_ranges(running: Running) -> tuple[BlockRange, ...]:
    """All blocks as they stand, neighbours that are alike put together."""
    memory = running.memory
    if running.rules.zones in zones.GIVEN_AS_ADDED:
        return ranges_of(running, memory.blocks)
    return _joined(own for dimm in memory.dimms for own in dimm_ranges(running, dimm))


def dimm_ranges(running: Running, dimm: int | None) -> tuple[BlockRange, ...]:
    """The blocks of a DIMM, or (None) those of none, as :func:`ranges_of` tells of them.

    That is told again while they stay as they are, and, if one of them is off-line, while the zones do.
    """
    memory = running.memory
    if running.rules.zones in zones.GIVEN_AS_ADDED:
        return ranges_of(running, memory.of_dimm(dimm))
    known = running.told.get(dimm)
    changes = memory.changes[dimm]
    around = memory.zone_changes, running.settings
    if known is not None and known[0] in ((changes, None), (changes, around)):
        return known[1]
    found = ranges_of(running, memory.of_dimm(dimm))
    settled = all(own.state == "online" for own in found)
    running.told[dimm] = (changes, None if settled else around), found
    return found


def ranges_of(running: Running, blocks: Iterable[Blocks]) -> tuple[BlockRange, ...]:
    """`blocks` as they stand, neighbours that are alike put together."""
    memory, rules = running.memory, running.rules
    return _joined(
        BlockRange(
            part.first,
            part.end - 1,
            part.nid,
            "online" if part.online else "offline",
            zones.valid_zones(memory, rules, running.settings, part),
        )
        for own in blocks
        for part in zones.stretches(memory, rules, own)
    )


def _joined(ranges: Iterable[BlockRange]) -> tuple[BlockRange, ...]:
    """`ranges` upwards, neighbours that are alike as one."""
    found: list[BlockRange] = []
    for own in sorted(ranges):
        if found and found[-1][1:] == (own.first - 1, *own[2:]):
            found[-1] = BlockRange(found[-1].first, *own[1:])
        else:
            found.append(own)
    return tuple(found)


def ratio_report(running: Running) -> tuple[RatioReport, ...]:
    """What auto-movable leaves of the machine and of each node; () under another policy."""
    settings, memory = running.settings, running.memory
    if settings.policy != "auto-movable":
        return ()
    nodes = memory.nodes if settings.numa_aware else []
    rooms = ((nid, zones.room(memory, settings, nid)) for nid in (None, *nodes))
    return tuple(RatioReport(nid, room.movable << PAGE_SHIFT, room.limit << PAGE_SHIFT) for nid, room in rooms)


def dimm_report(running: Running, dimm: Dimm) -> DimmReport:
    """A DIMM as it stands now."""
    blocks = running.memory.of_dimm(dimm.index) if dimm.accepted else []
    removal, why = _removal(running, dimm, blocks)
    return DimmReport(
        name=dimm.name,
        size=dimm.size,
        address=dimm.address,
        nid=dimm.node.nid if dimm.node else None,
        node_why=dimm.node.why if dimm.node else "",
        accepted=dimm.accepted,
        outcome=dimm.outcome,
        risk=dimm.risk,
        blocks=dimm_ranges(running, dimm.index) if blocks else (),
        zone_why=_zone_reasons(dimm, blocks),
        map_bytes=dimm.size // MAP_SHARE if blocks else 0,
        map_place=_map_place(running, dimm, blocks),
        total_growth=dimm.growth,
        removal=removal,
        removal_why=why,
    )


def _zone_reasons(dimm: Dimm, blocks: Sequence[Blocks]) -> tuple[ZoneReason, ...]:
    """Why those of the DIMM's blocks that are on-line are in their zones."""
    online = RangeSet(own.range for own in blocks if own.online)
    found: dict[str, list[tuple[int, int]]] = {}
    for first, end, why in dimm.why:
        if there := online.within(first, end):
            found.setdefault(why, []).extend(there)
    return tuple(ZoneReason(tuple(RangeSet(own)), why) for why, own in found.items())


def _map_place(running: Running, dimm: Dimm, blocks: Sequence[Blocks]) -> str:
    """Where the DIMM's memory map is taken from."""
    if not blocks or dimm.node is None:
        return ""
    if blocks[0].map_pages:
        return "the first pages of each of its own blocks: nothing is taken from elsewhere"
    memory, nid = running.memory, dimm.node.nid
    own = any(zone.present and name != MOVABLE for (other, name), zone in memory.zones.items() if other == nid)
    text = f"kernel zones of node {nid}, else of the nearest node that has room"
    if not own:
        text = f"kernel zones of another node: node {nid} has none"
    hosts = [
        other.name
        for other in running.dimms
        if other.index < dimm.index and other.node is not None and other.node.nid == nid
        if other.accepted and memory.kernel_blocks[other.index]
    ]
    if hosts and not dimm.map_note:
        text += f"; it may lie in {', '.join(hosts)}"
    return f"{text}; {dimm.map_note}" if dimm.map_note else text


def _removal(running: Running, dimm: Dimm, blocks: Sequence[Blocks]) -> tuple[Removal, str]:
    """Whether the DIMM can go again, and why (not)."""
    if not blocks:
        return "nothing there", "it has no blocks"
    kernel = [own.range for own in blocks if own.online and not own.movable]
    if not kernel:
        online = any(own.online for own in blocks)
        return "yes", _MOVABLE_GOES if online else "nothing of it is on-line"
    pins = pinned_by(running, dimm)
    why = [f"{block_names(kernel)}: in a kernel zone, where pages that can't be moved come to lie"]
    guests = [
        other.name
        for other in running.dimms
        if other.index > dimm.index
        and other.accepted
        and other.name not in pins
        and not running.memory.of_dimm(other.index)[0].map_pages
    ]
    if guests:
        why.append(f"the memory maps of {', '.join(guests)} may lie in them, and then these must go first")
    if refused := refused_eject(blocks):
        why.append(refused)
    if pins:
        why.insert(0, f"the memory maps of {', '.join(pins)} lie in it, as their node has no other kernel memory")
        return "not before", "; ".join(why)
    return "no promise", "; ".join(why)
