"""Contiguous memory areas: cma= and hugetlb_cma=."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from memplan.boot.registry import step
from memplan.owner import Owner, Purpose
from memplan.units import GIB, MIB, PAGE_SIZE, decimal_number, memparse, round_down, round_up

if TYPE_CHECKING:
    from memplan.boot.context import Boot


@step("kernel/dma/contiguous.c")
def dma_contiguous_reserve(boot: Boot) -> None:
    """Reserves the default area for DMA, sized by ``cma=`` or the configuration; all versions with DMA_CMA.

    3.13 does it before the SRAT is read, in the direction then in force; later versions after it.
    """
    if not boot.kernel.config("DMA_CMA"):
        return
    limit = boot.direct_map.max_pfn_mapped * PAGE_SIZE
    value = boot.cmdline.last("cma")
    base = 0
    fixed = False
    if value is not None:
        size, rest = memparse(value)
        if rest.startswith("@"):
            base, rest = memparse(rest[1:])
            own_limit = memparse(rest[1:])[0] if rest.startswith("-") else base + size
            limit = min(limit, own_limit) if own_limit else limit
            fixed = base + size == own_limit
    else:
        size = _configured_size(boot)
    if size:
        _declare_contiguous(boot, base, size, limit, boot.rules.cma_align, fixed, Owner(Purpose.CMA))


def _configured_size(boot: Boot) -> int:
    """CMA_SIZE_MBYTES and CMA_SIZE_PERCENTAGE as the configuration combines them."""
    kernel = boot.kernel
    size = kernel.config_number("CMA_SIZE_MBYTES") * MIB if "config.CMA_SIZE_MBYTES" in kernel.facts else 0
    if kernel.config("CMA_SIZE_SEL_MBYTES"):
        return size
    pages = sum(end - start for start, end, _ in boot.memblock.pfn_ranges(None))
    share = pages * kernel.config_number("CMA_SIZE_PERCENTAGE") // 100 * PAGE_SIZE
    if kernel.config("CMA_SIZE_SEL_PERCENTAGE"):
        return share
    return min(size, share) if kernel.config("CMA_SIZE_SEL_MIN") else max(size, share)


@step("mm/hugetlb.c")
def hugetlb_cma_reserve(boot: Boot) -> None:
    """Reserves ``hugetlb_cma=`` for gigantic pages, shared out over the nodes; 5.7 on, with 1 GiB pages."""
    value = boot.cmdline.last("hugetlb_cma")
    if value is None or not boot.kernel.config("CMA") or not boot.machine.cpus.gbpages:
        return
    online = sorted(boot.nodes.online)
    wanted: dict[int, int] = {}
    if ":" in value and boot.rules.hugepages_per_node:
        for part in value.split(","):
            node, _, size_text = part.partition(":")
            if re.fullmatch(r"[0-9]+", node):
                wanted[decimal_number(node)] = memparse(size_text)[0]
        total = sum(wanted.values())
    else:
        total = memparse(value)[0]
    if not total:
        return
    if total < GIB:
        boot.printk("hugetlb_cma: cma area should be at least 1024 MiB", warning=True)
        return
    boot.hugetlb_cma = True
    per_node = -(-total // len(online))
    if boot.rules.hugetlb_cma_rounds_share:
        per_node = round_up(per_node, GIB)
    if not wanted:
        boot.printk(f"hugetlb_cma: reserve {total // MIB} MiB, up to {per_node // MIB} MiB per node")
    reserved = 0
    for nid in online:
        if wanted and not wanted.get(nid):
            continue
        size = round_up(wanted[nid] if wanted else min(per_node, total - reserved), GIB)
        align = boot.rules.hugetlb_cma_align
        if not _declare_contiguous(boot, 0, size, 0, align, False, Owner(Purpose.HUGETLB_CMA, nid)):
            boot.printk(f"hugetlb_cma: reservation failed: err -12, node {nid}", warning=True)
            continue
        reserved += size
        boot.printk(f"hugetlb_cma: reserved {size // MIB} MiB on node {nid}")
        if reserved >= total:
            break


def _declare_contiguous(boot: Boot, base: int, size: int, limit: int, align: int, fixed: bool, owner: Owner) -> bool:
    """cma_declare_contiguous_nid; rules.cma_search says whether memory above 4 GiB is tried upwards first (6.0 on)."""
    memblock = boot.memblock
    align = max(align, boot.rules.cma_align)
    if fixed and base % align:
        boot.printk(f"cma: Region at {base:#018x} must be aligned to {align:#018x} bytes", warning=True)
        return False
    base, size, limit = round_up(base, align), round_up(size, align), round_down(limit, align)
    fixed = fixed and base != 0
    memory_end = memblock.end_of_DRAM()
    if not limit or limit > memory_end:
        limit = memory_end
    if base + size > limit:
        boot.printk(f"cma: Size ({size:#018x}) of region at {base:#018x} exceeds limit ({limit:#018x})", warning=True)
        return False
    if fixed:
        if memblock.is_region_reserved(base, size):
            boot.printk(f"cma: Failed to reserve {size // MIB} MiB", warning=True)
            return False
        boot.memory.reserve(base, base + size, owner=owner, caller="cma_declare_contiguous_nid")
        return True
    found = 0
    if boot.rules.cma_search == "above 4G first" and not memblock.bottom_up and memory_end >= 4 * GIB + size:
        memblock.bottom_up = True
        found = boot.memory.alloc_range_nid(
            size, align, 4 * GIB, limit, owner.nid, owner=owner, caller="cma_declare_contiguous_nid"
        )
        memblock.bottom_up = False
    if not found:
        found = boot.memory.alloc_range_nid(
            size, align, base, limit, owner.nid, owner=owner, caller="cma_declare_contiguous_nid"
        )
    if not found:
        boot.printk(f"cma: Failed to reserve {size // MIB} MiB", warning=True)
        return False
    boot.printk(f"cma: Reserved {size // MIB} MiB at {found:#018x}")
    return True
