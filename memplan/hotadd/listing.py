"""The state of a running machine, as its memory blocks are listed, as the beginning of a scenario."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from memplan.errors import InputError
from memplan.firmware.blocks import LSMEM, SEVERAL, ListedBlocks, Listing
from memplan.firmware.source import read_source
from memplan.hotadd.memory import KERNEL_ZONES, MAP_SHARE, Blocks
from memplan.hotadd.place import map_pages
from memplan.hotadd.running import block_names
from memplan.hotadd.shell import with_default_state
from memplan.ranges import RangeSet
from memplan.units import GIB, size_text

if TYPE_CHECKING:
    from memplan.hotadd.running import Running

#: What ends below this is DMA or DMA32, what begins above it neither.
_DMA32_END = 4 * GIB
_LOW_ZONES = KERNEL_ZONES[:2]


def read_listing(path: str) -> Listing:
    """The listing in the folder or file at `path`; InputError where it is none."""
    found = read_source(Path(path))
    if found.blocks is None:
        hint = f"/sys/devices/system/memory, a copy of it, or {LSMEM}"
        raise InputError.single(path, f"is a {found.kind}, and lists no memory blocks", hint=hint)
    return found.blocks


def begin_with(running: Running, listing: Listing) -> None:
    """Take over the state that a running machine lists; InputError where it is another machine's.

    Blocks beyond those of the boot count as added; which device brought which isn't known.
    """
    _check_blocks(running, listing)
    memory = running.memory
    boot: list[tuple[Blocks, ListedBlocks]] = []
    added: list[tuple[Blocks, ListedBlocks]] = []
    for one in listing.blocks:
        there = memory.within(one.first, one.last + 1)
        boot += [(own, one) for own in there]
        for first, end in RangeSet(own.range for own in there).outside(one.first, one.last + 1):
            added.append((Blocks(first, end, _node(running, listing, one), memory.block_pages), one))
    _take_boot(running, listing, boot)
    if added:
        _take_added(running, listing, added)
    for own, one in (*boot, *added):
        if one.online and not own.online and one.zone is not None and one.zone != SEVERAL:
            memory.online(own, one.zone)
    if listing.default_state:
        running.settings = with_default_state(running.settings, running.rules, listing.default_state)


def _check_blocks(running: Running, listing: Listing) -> None:
    """The blocks' size, and that those of the boot are there."""
    memory = running.memory
    if listing.block_size is None:
        text = f"does not tell how large a block is: {size_text(memory.block_size)}, as in the planned boot, is taken"
        running.warn(f"{listing.source} {text}")
    elif listing.block_size != memory.block_size:
        sizes = f"{size_text(listing.block_size)}, those of the planned boot have {size_text(memory.block_size)}"
        raise _another(listing, f"has blocks of {sizes}")
    listed = RangeSet((one.first, one.last + 1) for one in listing.blocks)
    if lacking := [gap for own in memory.blocks for gap in listed.outside(*own.range)]:
        raise _another(listing, f"lacks {block_names(lacking)}, which the planned boot has")
    limit = 1 << running.start.address_bits
    if (listing.blocks[-1].last + 1) * memory.block_size > limit:
        raise _another(listing, f"has block {listing.blocks[-1].last}, which lies above {limit:#x}")


def _take_boot(running: Running, listing: Listing, boot: list[tuple[Blocks, ListedBlocks]]) -> None:
    """Boot memory that went off-line, or came back in another zone, since the boot."""
    untold, moved = [], []
    for own, one in boot:
        if own.zone is None:
            # They lie in several zones, and so stay as they are.
            continue
        if one.nids and own.nid not in one.nids:
            where = f"node {one.nids[0]}, and in the planned boot of node {own.nid}"
            raise _another(listing, f"says that block {own.first} is of {where}")
        if not one.online:
            running.take_offline(own)
        elif one.zone is None:
            untold.append(own.range)
        elif one.zone not in (SEVERAL, own.zone):
            if one.zone in KERNEL_ZONES and own.zone in KERNEL_ZONES:
                where = f"zone {one.zone}, and in the planned boot in {own.zone}"
                raise _another(listing, f"says that block {own.first} is in {where}")
            moved.append(own.range)
            running.take_offline(own)
    if untold:
        running.warn(f"{listing.source} does not tell the zone of {block_names(untold)}: the planned boot's are taken")
    if moved:
        running.warn(
            f"{listing.source} has {block_names(moved)} in another zone than the planned boot: either they were "
            "off-line in between, or it was another boot"
        )


def _take_added(running: Running, listing: Listing, added: list[tuple[Blocks, ListedBlocks]]) -> None:
    """Memory that has come since the boot, off-line at first."""
    memory, size = running.memory, running.memory.block_size
    untold = [own.range for own, one in added if one.online and one.zone is None]
    if untold:
        raise InputError.single(
            listing.source, f"does not tell the zone of {block_names(untold)}, which were added after boot", hint=LSMEM
        )
    for own, one in added:
        if one.online and (own.end * size > _DMA32_END and one.zone in _LOW_ZONES):
            number = max(own.first, _DMA32_END // size)
            raise _another(listing, f"says that block {number} is in zone {one.zone}, above 4G")
        if running.rules.possible_nodes_only and own.nid not in running.start.possible:
            where = f"node {own.nid}, which was not possible in the planned boot"
            raise _another(listing, f"has block {own.first} on {where}")
    own_map, _ = map_pages(running.start, running.rules, running.settings, size, running.build.struct_page)
    if own_map and running.rules.memmap_on_memory == "single blocks":
        running.warn(
            f"whether {block_names(own.range for own, _ in added)} hold their own memory map is not told (they do if "
            "they came as DIMMs of one block): MemTotal counts as if they did not"
        )
        own_map = 0
    count = 0
    for own, _ in added:
        own.map_pages = own_map
        memory.add(own)
        running.found_added += [(number * size, (number + 1) * size) for number in range(*own.range)]
        count += own.count
    if not own_map:
        running.kernel_left -= count * size // MAP_SHARE
    if running.settings.policy == "auto-movable":
        running.warn("which blocks came in one DIMM is not told: the ratio is asked for each of them by itself")


def _node(running: Running, listing: Listing, one: ListedBlocks) -> int:
    """The node of blocks that were added."""
    if one.nids:
        return one.nids[0]
    if len(running.start.possible) == 1:
        return next(iter(running.start.possible))
    names = block_names([(one.first, one.last + 1)])
    raise InputError.single(
        listing.source, f"does not tell the node of {names}, which were added after boot", hint=LSMEM
    )


def _another(listing: Listing, message: str) -> InputError:
    return InputError.single(listing.source, message, hint="is it the same machine, and the same boot?")
