"""numa_meminfo at work: blocks are added, and cleaned up before they count (mm/numa_memblks.c)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from memplan.boot.meminfo import Block
from memplan.units import PAGE_SIZE, mem_range

if TYPE_CHECKING:
    from memplan.boot.context import Boot
    from memplan.boot.meminfo import Meminfo
    from memplan.memblock.memblock import Memblock


def numa_add_memblk(boot: Boot, meminfo: Meminfo, start: int, end: int, nid: int) -> bool:
    """Adds a block; False where the list is full (two for each possible node).  Empty ranges count as added."""
    if start == end:
        return True
    prefix = boot.wording.numa
    if start > end:
        boot.printk(f"{prefix}Warning: invalid memblk node {nid} {mem_range(start, end)}", warning=True)
        return True
    if len(meminfo.blocks) >= 2 * boot.kernel.max_numnodes:
        boot.printk(f"{prefix}too many memblk ranges", warning=True)
        return False
    meminfo.blocks.append(Block(start, end, nid))
    return True


def numa_cleanup_meminfo(boot: Boot, meminfo: Meminfo) -> bool:
    """Cuts what is no RAM, and joins what is one node's; False where two nodes claim one range."""
    _trim(boot, meminfo)
    blocks = meminfo.blocks
    of_node: dict[int, list[Block]] = {}
    for block in blocks:
        of_node.setdefault(block.nid, []).append(block)
    apart = _lie_apart(blocks)
    index = 0
    while index < len(blocks):
        first = blocks[index]
        nid, own = first.nid, of_node[first.nid]
        own.remove(first)
        # Of a block that lies apart, and is another node's, there is nothing to tell, and it never joins.
        for second in own.copy() if apart else blocks[index + 1 :]:
            if first.end > second.start and first.start < second.end and not _tell_overlap(boot, first, second):
                return False
            if second.nid != nid:
                continue
            start, end = min(first.start, second.start), max(first.end, second.end)
            if any(block.nid != nid and start < block.end and end > block.start for block in blocks):
                continue
            boot.printk(f"NUMA: Node {nid} {first} + {second} -> {mem_range(start, end)}")
            first.start, first.end = start, end
            blocks.remove(second)
            own.remove(second)
        index += 1
    return True


def _lie_apart(blocks: list[Block]) -> bool:
    """Whether no two of `blocks` overlap."""
    ordered = sorted(blocks, key=lambda block: block.start)
    return all(one.end <= other.start for one, other in pairwise(ordered))


def _trim(boot: Boot, meminfo: Meminfo) -> None:
    memblock, rules = boot.memblock, boot.rules
    low, high = 0, boot.max_pfn * PAGE_SIZE
    if rules.meminfo_clip == "dram":
        low, high = memblock.start_of_DRAM(), memblock.end_of_DRAM()
    kept = []
    for block in meminfo.blocks:
        size = block.end - block.start
        if rules.blocks_without_ram == "remembered" and not _holds_ram(memblock, block.start, size):
            continue
        block.start, block.end = max(block.start, low), min(block.end, high)
        clipped = block.end - block.start
        if rules.blocks_without_ram == "dropped" and clipped > 0 and not _holds_ram(memblock, block.start, clipped):
            continue
        if block.start < block.end:
            kept.append(block)
    meminfo.blocks[:] = kept


def _holds_ram(memblock: Memblock, base: int, size: int) -> bool:
    return memblock.overlaps_region(memblock.memory, base, size) >= 0


def _tell_overlap(boot: Boot, first: Block, second: Block) -> bool:
    """Prints what the kernel says of two blocks that overlap; whether it can live with it."""
    same = first.nid == second.nid
    text = (
        f"Warning: node {first.nid} {first} overlaps with itself {second}"
        if same
        else f"node {first.nid} {first} overlaps with node {second.nid} {second}"
    )
    boot.printk(boot.wording.numa + text, warning=True)
    return same
