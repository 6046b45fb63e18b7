"""What a listing of memory blocks tells of a machine, and what it leaves open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.machine.model import E820_RAM, E820Entry, MemoryAffinity
from memplan.ranges import RangeSet
from memplan.units import size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.firmware.blocks import Listing
    from memplan.firmware.source import SourceFacts


def tell(found: SourceFacts, listing: Listing) -> None:
    """Puts what the `listing` tells of a machine into `found`, and what it does not."""
    found.blocks = listing
    found.coarse = True
    size = listing.block_size
    if size is None:
        found.lacks(
            "e820",
            "does not tell how large a block is, and so not where memory lies: block_size_bytes, one folder up, does "
            "(grep . /sys/devices/system/memory/* /sys/devices/system/memory/*/*)",
        )
        return
    origin = f"memory blocks of {size_text(size)}"
    ram = RangeSet((one.first, one.last + 1) for one in listing.blocks)
    entries = tuple(E820Entry(start * size, end * size, E820_RAM) for start, end in ram)
    found.put("e820", entries, origin, weak=True)
    found.lacks(
        "e820",
        f"tells of RAM in steps of {size_text(size)} only: neither holes and reserved ranges within a block, nor which "
        "blocks were there at boot, so all count as boot memory; a boot log or /sys/firmware/memmap tells the map",
    )
    for path, what in (
        ("kernel.build", "which kernel runs is not told: --kernel names it"),
        ("cmdline", "the kernel's command line is not told"),
    ):
        found.lacks(path, what)
    nodes = {one.nids for one in listing.blocks}
    if len(nodes) > 1 and () not in nodes:
        found.put("srat.memory", tuple(_affinities(listing, size)), origin, weak=True)
        found.lacks(
            "srat.memory",
            "nodes' proximity domains are not told: the nodes' own numbers stand for them; what is hot-pluggable is "
            "not told either",
        )


def _affinities(listing: Listing, size: int) -> Iterator[MemoryAffinity]:
    """An SRAT entry for each run of blocks of one node; a block of several nodes counts as the first's."""
    runs: dict[int, RangeSet] = {}
    for one in listing.blocks:
        runs.setdefault(one.nids[0], RangeSet()).add(one.first, one.last + 1)
    entries = (
        MemoryAffinity(nid, start * size, (end - start) * size) for nid, own in runs.items() for start, end in own
    )
    yield from sorted(entries, key=lambda entry: entry.base)
