"""A DIMM is plugged in: slot and address, the kernel's checks, its memory map, its blocks (add_memory_resource)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.hotadd import place
from memplan.hotadd.memory import MAP_SHARE, Blocks
from memplan.hotadd.running import Dimm, Outcome, zone_counts
from memplan.hotadd.zones import GIVEN_AS_ADDED, stretches, zone_when_added
from memplan.ranges import RangeSet
from memplan.units import size_text

if TYPE_CHECKING:
    from memplan.hotadd.running import Running
    from memplan.hotadd.scenario import Add

#: Where memory maps leave the kernel less than this part of what it had, that is told as a risk.
_TIGHT = 4
#: A node whose kernel memory is so many times a memory map's size has room for it.
_AMPLE = 4


def add(running: Running, step: Add) -> Outcome:
    """Plugs a DIMM in and lets the kernel take it, or not."""
    dimm = Dimm(len(running.dimms), step.size, 0 if step.pxm is None else step.pxm)
    running.dimms.append(dimm)
    if refused := _plug(running, dimm, step.address):
        return Outcome(False, f"the hypervisor or the board refuses it: {refused}")
    dimm.device = running.devices
    running.devices += 1
    if running.dead:
        return Outcome(False, running.dead)
    again = _complaints(running, dimm)
    outcome = _take(running, dimm)
    return outcome._replace(lines=(*again, *outcome.lines))


def _plug(running: Running, dimm: Dimm, address: int | None) -> str:
    """Puts the DIMM into a slot; why that can't be, or ""."""
    plugged = [*running.found_added, *(other.range for other in running.dimms if other.plugged)]
    limit, slots = running.window.limit, running.scenario.slots
    size = size_text(dimm.size)
    if limit is not None and sum(high - low for low, high in plugged) + dimm.size > limit:
        return f"maxmem leaves {size_text(limit)} for DIMMs, and {size} more don't fit"
    if slots is not None and len(plugged) >= slots:
        return f"all {slots} slots are in use"
    if address is None:
        address = place.free_address(running.window, plugged, dimm.size)
        if address is None:
            return f"no {size} are free in one piece below maxmem"
    elif (found := place.overlap(plugged, address, address + dimm.size)) is not None:
        return f"another DIMM lies at [{found[0]:#x}-{found[1] - 1:#x}]"
    dimm.address, dimm.plugged = address, True
    return ""


def _complaints(running: Running, newest: Dimm) -> tuple[str, ...]:
    """What the kernel says again of DIMMs that it has refused before, as another one is announced."""
    if not running.rules.retries_failed:
        return ()
    lines: list[str] = []
    for dimm in running.dimms:
        if dimm is not newest and dimm.plugged and not dimm.accepted and dimm.node is not None:
            refused = _refusal(running, dimm)
            lines += refused.lines if refused is not None else ()
    return tuple(lines)


def _refusal(running: Running, dimm: Dimm) -> place.Refusal | None:
    assert dimm.node is not None
    start = running.start
    others = (other.range for other in running.dimms if other is not dimm and other.accepted)
    taken = [*start.ram, *start.reserved, *running.found_added, *others]
    return place.refusal(start, running.rules, running.settings, taken, dimm.range, dimm.node, dimm.device)


def _take(running: Running, dimm: Dimm) -> Outcome:
    """The kernel's part: the node, the checks, the memory map, the blocks, and what comes on-line by itself."""
    start, rules, settings = running.start, running.rules, running.settings
    dimm.node = place.node_of(start, rules, settings, running.domains, dimm.pxm, dimm.range[0])
    refused = _refusal(running, dimm)
    if refused is not None:
        if refused.silent:
            running.warn(f"{dimm.name} is dropped without a word: it overlaps what is reserved, or there already")
        return Outcome(False, refused.reason, refused.lines)
    own_map, dimm.map_note = place.map_pages(start, rules, settings, dimm.size, running.build.struct_page)
    if dimm.map_note:
        running.warn(dimm.map_note)
    if not own_map:
        need, room = dimm.size // MAP_SHARE, running.kernel_left + running.added_kernel_bytes()
        if need > room:
            return _no_room(dimm, need, room)
        if need * 2 > room:
            dimm.risk = f"its memory map takes {size_text(need)} and less than {_mib(room)} can be free"
    nid = dimm.node.nid
    if dimm.node.made_up:
        running.warn(f"{dimm.name}: {dimm.node.why}, though it was not possible at boot")
    memory, numbers = running.memory, place.blocks_of(start, dimm.range)
    # Where sections are asked for only, the first may belong to a block that is there already, and stays as it is.
    there = RangeSet(own.range for own in memory.within(numbers.start, numbers.stop))
    for first, end in there.outside(numbers.start, numbers.stop):
        memory.add(Blocks(first, end, nid, memory.block_pages, dimm=dimm.index, map_pages=own_map))
    dimm.accepted = True
    dimm.outcome = "at risk" if dimm.risk else "there"
    _give_zones(running, dimm)
    if not own_map:
        _take_map(running, dimm)
    count = memory.count(dimm.index)
    what = f"{count} block{'s' if count != 1 else ''} of node {nid}"
    risk = f"; at risk, as {dimm.risk}" if dimm.risk else ""
    type_ = settings.online_type()
    if type_ is None:
        return Outcome(True, f"{what}, off-line until they are put on-line{risk}")
    for blocks in memory.of_dimm(dimm.index):
        if (oops := running.oops(blocks, type_)) is not None:
            return oops
        running.put_online(blocks, type_)
    counts = zone_counts(memory.of_dimm(dimm.index))
    return Outcome(True, f"{what}, on-line at once ({settings.default_state}): {counts}{risk}")


def _no_room(dimm: Dimm, need: int, room: int) -> Outcome:
    """The end of a DIMM whose memory map would not fit if all of the kernel's memory were free."""
    text = f"its memory map takes {size_text(need)}, and less than {_mib(room)} of kernel memory can be free (-ENOMEM)"
    return Outcome(
        False,
        f"{text}; the machine may die of the attempt",
        ("vmemmap alloc failure: order:9", *place.failed(dimm.device)),
    )


def _take_map(running: Running, dimm: Dimm) -> None:
    """The memory map comes out of the kernel's memory, its own node's first; warns where little is left."""
    dimm.map_hosts = _hosts(running, dimm)
    running.kernel_left -= dimm.size // MAP_SHARE
    room = running.kernel_left + running.added_kernel_bytes()
    if room * _TIGHT < running.start.kernel_memory:
        running.warn(
            f"{dimm.name}: memory maps leave the kernel less than {_mib(room)} of {_mib(running.start.kernel_memory)}; "
            "at which DIMM the next one no longer fits can't be told, but then the machine may die "
            "(System is deadlocked on memory)"
        )


def _hosts(running: Running, dimm: Dimm) -> tuple[int, ...]:
    """The DIMMs one of which the memory map must lie in; () where its node has other kernel memory, or none."""
    assert dimm.node is not None
    nid, memory = dimm.node.nid, running.memory
    if any(own.nid == nid and own.online and not own.movable for own in memory.of_dimm(None)):
        return ()
    hosts = [other.index for other in running.dimms if other.node is not None and other.node.nid == nid]
    blocks = {host: memory.kernel_blocks[host] for host in hosts if memory.kernel_blocks[host]}
    ample = sum(blocks.values()) * memory.block_size >= _AMPLE * dimm.size // MAP_SHARE
    return tuple(blocks) if ample else ()


def _give_zones(running: Running, dimm: Dimm) -> None:
    """Up to 4.12 memory is in a zone, and widens it, as soon as it is added."""
    memory, rules = running.memory, running.rules
    if rules.zones not in GIVEN_AS_ADDED:
        return
    for added in memory.of_dimm(dimm.index):
        for part in stretches(memory, rules, added):
            (blocks,) = memory.within(*part.range)
            low, high = memory.span(blocks)
            blocks.last_zone = zone_when_added(memory, rules, blocks.nid, low)
            memory.zone(blocks.nid, blocks.last_zone).grow(low, high)


def _mib(size: int) -> str:
    return f"{max(size, 0) >> 20}M"
