"""Memory blocks as a running machine lists them, whatever the listing looked like."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from memplan.errors import InputError
from memplan.machine.model import E820_RAM
from memplan.ranges import RangeSet

if TYPE_CHECKING:
    from collections.abc import Iterable

    from memplan.machine.model import Machine

STATES = ("online", "offline", "going-offline")
#: What stands for a block that lies in more than one zone.
SEVERAL = "none"
ZONES = ("DMA", "DMA32", "Normal", "Movable", "Device", SEVERAL)
#: The command that writes all that counts.
LSMEM = "lsmem --json --output RANGE,STATE,BLOCK,NODE,ZONES"
#: More blocks than any machine has.
MOST_BLOCKS = 1 << 22
#: Linux numbers no block beyond what 52 bits of physical address hold.
_MOST_ADDRESS = 1 << 52


class ListedBlocks(NamedTuple):
    """Blocks number `first` to `last` that are alike.

    `nids` are the nodes that they are listed under, () where that is not told; `zone` is the zone of blocks that are
    on-line (`SEVERAL`: more than one), None where it is not told.
    """

    first: int
    last: int
    nids: tuple[int, ...]
    online: bool
    zone: str | None


class Listing(NamedTuple):
    """All blocks, upwards; `block_size` in bytes, None where it is not told.

    `default_state` is what auto_online_blocks says ("": not told).
    """

    source: str
    block_size: int | None
    blocks: tuple[ListedBlocks, ...]
    default_state: str = ""


def listing_of(source: str, block_size: int | None, blocks: Iterable[ListedBlocks], default_state: str = "") -> Listing:
    """The listing of `blocks` in any order, neighbours that are alike put together.

    Raises InputError for blocks that are listed twice, are too many, or lie where no memory can.
    """
    joined: list[ListedBlocks] = []
    count = 0
    for one in sorted(blocks):
        last = joined[-1] if joined else None
        if last is not None and one.first <= last.last:
            raise InputError.single(source, f"lists block {one.first} twice")
        count += one.last - one.first + 1
        if last is not None and last[1:] == (one.first - 1, *one[2:]):
            joined[-1] = last._replace(last=one.last)
        else:
            joined.append(one)
    if not joined:
        raise InputError.single(source, "holds no memory blocks (memory0, memory1, ...)")
    if count > MOST_BLOCKS:
        raise InputError.single(source, f"lists {count} blocks, more than {MOST_BLOCKS}")
    if block_size is not None and (joined[-1].last + 1) * block_size > _MOST_ADDRESS:
        raise InputError.single(
            source, f"block {joined[-1].last} lies above {_MOST_ADDRESS:#x}, where no memory can be"
        )
    return Listing(source, block_size, tuple(joined), default_state)


def beyond_boot(listing: Listing, machine: Machine) -> list[str]:
    """What the `listing` says of memory that came or went after the boot of `machine`, in words."""
    size = listing.block_size
    if size is None:
        return []
    boot = RangeSet((entry.start // size, -(-entry.end // size)) for entry in machine.e820 if entry.type == E820_RAM)
    listed = RangeSet((one.first, one.last + 1) for one in listing.blocks)
    notes = []
    added = [run for one in listing.blocks for run in boot.outside(one.first, one.last + 1)]
    if added:
        notes.append(f"added after boot: {_names(added)} (hotadd --state begins with them)")
    if gone := [run for first, end in boot for run in listed.outside(first, end)]:
        notes.append(
            f"not listed, though the memory map has RAM there: {_names(gone)} (taken away, or another machine?)"
        )
    off = [(one.first, one.last + 1) for one in listing.blocks if not one.online]
    if off:
        notes.append(f"off-line: {_names(off)} (no description keeps that; hotadd --state does)")
    return [f"{listing.source}: {note}" for note in notes]


def _names(runs: Iterable[tuple[int, int]]) -> str:
    """Half-open runs of blocks, by their numbers."""
    runs = RangeSet(runs)
    return "blocks " + ", ".join(str(first) if end == first + 1 else f"{first}-{end - 1}" for first, end in runs)
