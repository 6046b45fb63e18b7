"""Which addresses belong to which node: the kernel's numa_meminfo."""

from __future__ import annotations

from memplan.units import mem_range


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
    """The blocks in the order in which they were added."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []

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
