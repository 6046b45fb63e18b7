"""Hash tables that grow with memory, and the pages that they are sized without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.registry import step
from memplan.owner import Purpose
from memplan.units import GIB, MIB, PAGE_SHIFT, PAGE_SIZE, leading_number, pfn_down, pfn_up, pow2_up, round_up

if TYPE_CHECKING:
    from memplan.boot.context import Boot

_MAX_DMA_PFN = 16 * MIB >> PAGE_SHIFT
#: The most buckets of any table.
_MAX_ENTRIES = 1 << 31


@step("arch/x86/mm/init.c")
def memblock_find_dma_reserve(boot: Boot) -> None:
    """Counts the pages below 16 MiB that are taken by now; hash tables are sized without them (up to 6.7)."""
    present = sum(min(end, _MAX_DMA_PFN) - min(start, _MAX_DMA_PFN) for start, end, _ in boot.memblock.pfn_ranges(None))
    free = 0
    for start, end in boot.memory.free_gaps():
        first, last = min(pfn_up(start), _MAX_DMA_PFN), min(pfn_down(end), _MAX_DMA_PFN)
        free += max(last - first, 0)
    boot.dma_reserve = present - free


@step("kernel/pid.c")
def pidhash_init(boot: Boot) -> None:
    """The hash of process ids, up to 4.14: one bucket of 8 bytes for 256 KiB of kernel memory, 16 to 4096 of them."""
    entries = round_up(boot.zones.nr_kernel_pages, 256) >> 6
    entries = min(max(pow2_up(entries), 16), 4096)
    boot.memory.alloc(8 * entries, owner=Purpose.PID_HASH, caller="alloc_large_system_hash")


@step("fs/dcache.c")
def vfs_caches_init_early(boot: Boot) -> None:
    """Dentry and inode hash tables, where they don't wait for vmalloc: on machines of one node, or as hashdist= has it.

    The tables grow by one bucket for 8 KiB (dentries) and 16 KiB (inodes) of kernel memory, less on large machines
    (4.13 on), to at most a sixteenth of all memory and 2^31 buckets.
    """
    hashdist = boot.kernel.config("NUMA")
    if boot.rules.hash_single_node and sum(1 for nid in boot.nodes.online if any(boot.memblock.pfn_ranges(nid))) == 1:
        hashdist = False
    for value in boot.cmdline.all("hashdist"):
        hashdist = bool(leading_number(value)[0])
    if hashdist:
        return
    for owner, option, scale in ((Purpose.DENTRY_HASH, "dhash_entries", 13), (Purpose.INODE_HASH, "ihash_entries", 14)):
        asked = leading_number(boot.cmdline.last(option) or "")[0] or 0
        entries = _hash_entries(boot, scale, asked)
        while (
            not boot.memory.alloc(8 * entries, owner=owner, caller="alloc_large_system_hash")
            and 8 * entries > PAGE_SIZE
        ):
            entries >>= 1


def _hash_entries(boot: Boot, scale: int, asked: int) -> int:
    entries = asked
    if not entries:
        entries = round_up(boot.zones.nr_kernel_pages, MIB >> PAGE_SHIFT)
        if boot.rules.hash_adapt:
            threshold = 64 * GIB >> PAGE_SHIFT
            while threshold < entries:
                scale += 1
                threshold <<= 2
        entries = max(entries >> (scale - PAGE_SHIFT), PAGE_SIZE // 8)
    limit = min((boot.zones.nr_all_pages << PAGE_SHIFT >> 4) // 8, _MAX_ENTRIES)
    return 1 << (min(pow2_up(entries), limit).bit_length() - 1)
