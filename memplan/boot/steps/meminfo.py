"""Which addresses belong to which node: the kernel's numa_meminfo, its clean-up, and how firmware's gaps are filled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.units import PAGE_SIZE, mem_range

if TYPE_CHECKING:
    from memplan.boot.state import Boot


class Block:
    """``[start, end)`` of node `nid`."""

    __slots__ = ("end", "nid", "start")

    def __init__(self, start: int, end: int, nid: int) -> None:
        self.start = start
        self.end = end
        self.nid = nid

    def __str__(self) -> str:
        return mem_range(self.start, self.end)


class Meminfo:
    """The blocks in the order in which they were added, at most two for each possible node."""

    def __init__(self, boot: Boot) -> None:
        self._boot = boot
        self.blocks: list[Block] = []

    def add(self, start: int, end: int, nid: int) -> bool:
        """numa_add_memblk; False where the list is full.  Empty ranges count as added."""
        if start == end:
            return True
        if start > end:
            self._boot.printk(f"{self._prefix}Warning: invalid memblk node {nid} {mem_range(start, end)}", warning=True)
            return True
        if len(self.blocks) >= 2 * self._boot.kernel.max_numnodes:
            self._boot.printk(f"{self._prefix}too many memblk ranges", warning=True)
            return False
        self.blocks.append(Block(start, end, nid))
        return True

    @property
    def _prefix(self) -> str:
        return self._boot.rules.numa_overlap_prefix

    def nodes(self) -> set[int]:
        """The nodes that have blocks."""
        return {block.nid for block in self.blocks}

    def fill(self, start: int, end: int) -> bool:
        """numa_fill_memblks (6.1 on): stretch the blocks that meet ``[start, end)`` so that they cover it.

        False where there are none.
        """
        met = sorted((b for b in self.blocks if b.start < end and start < b.end), key=lambda block: block.start)
        if not met:
            return False
        met[0].start = min(met[0].start, start)
        met[-1].end = max(met[-1].end, end)
        filled = met[0].end
        for block in met[1:]:
            if filled < block.start:
                block.start = filled
                filled = block.end
            else:
                filled = max(filled, block.end)
        return True

    def clean_up(self) -> bool:
        """numa_cleanup_meminfo: cut what is no RAM, join what is one node's; False where two nodes claim one range."""
        self._trim()
        blocks = self.blocks
        index = 0
        while index < len(blocks):
            other = index + 1
            while other < len(blocks):
                first, second = blocks[index], blocks[other]
                if first.end > second.start and first.start < second.end and not self._tell_overlap(first, second):
                    return False
                if first.nid != second.nid:
                    other += 1
                    continue
                start, end = min(first.start, second.start), max(first.end, second.end)
                if any(block.nid != first.nid and start < block.end and end > block.start for block in blocks):
                    other += 1
                    continue
                self._boot.printk(f"NUMA: Node {first.nid} {first} + {second} -> {mem_range(start, end)}")
                first.start, first.end = start, end
                del blocks[other]
            index += 1
        return True

    def _trim(self) -> None:
        memblock, rules = self._boot.memblock, self._boot.rules
        low, high = 0, self._boot.max_pfn * PAGE_SIZE
        if rules.meminfo_clip == "dram":
            low, high = memblock.start_of_DRAM(), memblock.end_of_DRAM()
        kept = []
        for block in self.blocks:
            size = block.end - block.start
            if rules.numa_reserved_meminfo and memblock.overlaps_region(memblock.memory, block.start, size) < 0:
                continue
            block.start, block.end = max(block.start, low), min(block.end, high)
            if block.start < block.end:
                kept.append(block)
        self.blocks[:] = kept

    def _tell_overlap(self, first: Block, second: Block) -> bool:
        """Prints what the kernel says of two blocks that overlap; whether it can live with it."""
        same = first.nid == second.nid
        text = (
            f"Warning: node {first.nid} {first} overlaps with itself {second}"
            if same
            else f"node {first.nid} {first} overlaps with node {second.nid} {second}"
        )
        self._boot.printk(self._prefix + text, warning=True)
        return same
