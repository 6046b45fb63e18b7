"""Contiguous memory areas: cma= and hugetlb_cma=."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from memplan.boot.registry import step
from memplan.owner import Owner, Purpose
from memplan.units import GIB, MIB, PAGE_SIZE, decimal_number, memparse, round_down, round_up

if TYPE_CHECKING:
    from collections.abc import Mapping

    from memplan.boot.context import Boot


#: Ranges that one area may have (CMA_MAX_RANGES).
_MAX_RANGES = 8
#: All of it, in percent.
_ALL = 100


@step("kernel/dma/contiguous.c")
def dma_contiguous_reserve(boot: Boot) -> None:
    """Reserves the default area for DMA, sized by ``cma=`` or the configuration, with DMA_CMA.

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
    area = size and declare_contiguous(boot, base, size, limit, boot.rules.cma_align, fixed, Owner(Purpose.CMA))
    if boot.rules.cma_node_areas and boot.kernel.config("DMA_NUMA_CMA") and (area or not size):
        _reserve_on_nodes(boot, round_up(size, boot.rules.cma_align))


def _reserve_on_nodes(boot: Boot, default: int) -> None:
    """dma_numa_cma_reserve: an area on each node by ``numa_cma=``, else ``cma_pernuma=``, else as the `default` one."""
    cmdline, nodes = boot.cmdline, boot.nodes
    sizes: dict[int, int] = {}
    for value in cmdline.all("numa_cma"):
        rest = value
        while (found := re.match(r"([0-9]+):", rest)) and decimal_number(found[1]) < boot.kernel.max_numnodes:
            sizes[decimal_number(found[1])], rest = memparse(rest[found.end() :])
            if not rest.startswith(","):
                break
            rest = rest[1:]
    each = memparse(cmdline.last("cma_pernuma") or "")[0]
    named = cmdline.has("numa_cma") or cmdline.has("cma_pernuma")
    if boot.kernel.config("CMA_SIZE_PERNUMA") and not named and len(nodes.online) > 1:
        each = default
    for nid in sorted(nodes.possible):
        size = sizes.get(nid) or each
        if nid not in nodes.online:
            if size:
                boot.printk(f"cma: invalid node {nid} specified", warning=True)
        elif size:
            area = declare_contiguous(boot, 0, size, 0, boot.rules.cma_align, False, Owner(Purpose.CMA, nid))
            if not area:
                error = -12 if area is None else -22
                boot.printk(f"cma: dma_numa_cma_reserve: reservation failed: err {error}, node {nid}", warning=True)


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
    """Reserves ``hugetlb_cma=`` for gigantic pages, shared out over the nodes; 5.7 on, with 1 GiB pages.

    The nodes are those on-line, from 6.15 on those with memory.
    """
    value = boot.cmdline.last("hugetlb_cma")
    if value is None or not boot.kernel.config("CMA") or not boot.machine.cpus.gbpages:
        return
    nodes = sorted(boot.nodes.online)
    if boot.rules.hugetlb_nodes == "with memory":
        nodes = sorted({nid for _, _, nid in boot.memblock.pfn_ranges(None) if nid is not None})
    wish = _hugetlb_cma_wish(boot, value)
    if boot.rules.hugetlb_cma_percent:
        wish = _without_shares(boot, wish)
    total, wanted = _on_good_nodes(boot, wish, nodes)
    if not total:
        return
    boot.hugetlb_cma = not boot.rules.hugetlb_cma_may_fail
    if refused := _refused_size(boot, total):
        boot.printk(f"hugetlb_cma: cma area {refused}", warning=True)
        return
    per_node = -(-total // len(nodes))
    if boot.rules.hugetlb_cma_rounds_share:
        per_node = round_up(per_node, GIB)
    if not wanted:
        share = f" ({wish.share}%)" if wish.share else ""
        boot.printk(f"hugetlb_cma: reserve {total // MIB} MiB{share}, up to {per_node // MIB} MiB per node")
    reserved = 0
    for nid in nodes:
        if wanted and nid not in wanted:
            continue
        size = round_up(wanted[nid] if wanted else min(per_node, total - reserved), GIB)
        area = _declare_for_hugetlb(boot, size, nid)
        if not area:
            boot.printk(f"hugetlb_cma: reservation failed: err -12, node {nid}", warning=True)
            continue
        if boot.rules.hugetlb_cma_in_one_zone and any(boot.zones.crossed(nid, start, end) for start, end in area):
            boot.printk(f"hugetlb_cma: reserved area spans zones: err 0, node {nid}", warning=True)
            continue
        boot.hugetlb_areas[nid] = area
        boot.hugetlb_cma = True
        reserved += size
        share = f" ({wish.shares[nid]}%)" if wish.shares.get(nid) else ""
        boot.printk(f"hugetlb_cma: reserved {size // MIB} MiB{share} on node {nid}")
        if reserved >= total:
            break


class _Wish(NamedTuple):
    """What ``hugetlb_cma=`` asks for: bytes in `total` and of nodes, percentages in all and of nodes."""

    total: int
    sizes: dict[int, int]
    share: int = 0
    shares: Mapping[int, int] = MappingProxyType({})


def _hugetlb_cma_wish(boot: Boot, value: str) -> _Wish:
    """What the option asks for; nodes come with 5.16, percentages of at most 100 with 7.3."""
    percent = boot.rules.hugetlb_cma_percent
    sizes: dict[int, int] = {}
    shares: dict[int, int] = {}
    rest = value
    total = 0
    while found := re.match(r"([0-9]+)(:)?", rest):
        if not found[2] or not boot.rules.hugepages_per_node:
            # A size without a node stands for all, and counts from the option's first word on.
            total, rest = memparse(value)
            if not percent:
                break
            if not rest.startswith("%"):
                return _Wish(total, {})
            if total > _ALL:
                boot.printk(f"hugetlb_cma: invalid percentage {total}", warning=True)
            return _Wish(0, {}, total if total <= _ALL else 0)
        nid = decimal_number(found[1])
        if nid >= boot.kernel.max_numnodes:
            break
        size, rest = memparse(rest[found.end() :])
        if percent and rest.startswith("%"):
            if size > _ALL:
                boot.printk(f"hugetlb_cma: invalid percentage {size} for node {nid}", warning=True)
                break
            shares[nid], sizes[nid], rest = size, 0, rest[1:]
        else:
            sizes[nid], shares[nid] = size, 0
            total += size
        if not rest.startswith(","):
            break
        rest = rest[1:]
    return _Wish(total, sizes, 0, shares)


def _without_shares(boot: Boot, wish: _Wish) -> _Wish:
    """Percentages as bytes: of all memory or of a node's, in whole GiB."""
    memblock = boot.memblock
    sizes = dict(wish.sizes)
    if wish.share:
        total = _whole(boot, memblock.phys_mem_size() * wish.share // _ALL, f"({wish.share}%)")
    elif any(sizes.values()) or any(wish.shares.values()):
        for nid, share in sorted(wish.shares.items()):
            if share:
                memory = sum(size for _, size, node, _ in memblock.memory if node == nid)
                sizes[nid] = _whole(boot, memory * share // _ALL, f"({share}%) on node {nid}")
        total = sum(sizes.values())
    else:
        total = wish.total
    return wish._replace(total=total, sizes=sizes)


def _whole(boot: Boot, size: int, what: str) -> int:
    """The whole GiB of `size`; the kernel says where there is none."""
    if 0 < size < GIB:
        boot.printk(f"hugetlb_cma: reservation size rounded down to 0 from {size // MIB} MiB {what}", warning=True)
    return round_down(size, GIB)


def _on_good_nodes(boot: Boot, wish: _Wish, nodes: list[int]) -> tuple[int, dict[int, int]]:
    """What is left in all, and of nodes, without nodes that are none and sizes that are no good."""
    total, sizes = wish.total, dict(wish.sizes)
    for nid, size in sorted(sizes.items()):
        if size and nid not in nodes:
            boot.printk(f"hugetlb_cma: invalid node {nid} specified", warning=True)
        elif size and (refused := _refused_size(boot, size)):
            boot.printk(f"hugetlb_cma: cma area of node {nid} {refused}", warning=True)
        else:
            continue
        total -= size
        sizes[nid] = 0
    return total, {nid: size for nid, size in sizes.items() if size}


def _refused_size(boot: Boot, size: int) -> str:
    """What the kernel has against an area of `size`; "" for nothing."""
    if boot.rules.hugetlb_cma_whole_pages:
        return "must be a multiple of 1024 MiB" if size % GIB else ""
    return "should be at least 1024 MiB" if size < GIB else ""


def _declare_for_hugetlb(boot: Boot, size: int, nid: int) -> list[tuple[int, int]]:
    """The ranges of a node's area: one, or from 6.15 on several where none is large enough; empty without room."""
    owner, align = Owner(Purpose.HUGETLB_CMA, nid), boot.rules.hugetlb_cma_align
    several = boot.rules.hugetlb_cma_several_ranges
    found = declare_contiguous(boot, 0, size, 0, align, False, owner, tells=not several)
    ranges = [(found, found + size)] if found else []
    if not several:
        return ranges
    if found is None:
        ranges = _declare_contiguous_multi(boot, size, align, owner, nid)
    if ranges:
        boot.printk(f"cma: Reserved {size // MIB} MiB in {len(ranges)} range{'s' * (len(ranges) > 1)}")
    else:
        boot.printk(f"cma: Failed to reserve {size // MIB} MiB", warning=True)
    return ranges


def _declare_contiguous_multi(boot: Boot, total: int, align: int, owner: Owner, nid: int) -> list[tuple[int, int]]:
    """cma_declare_contiguous_multi: up to eight free ranges of the node above 4 GiB, upwards; empty without room.

    The list of ranges is kept by size, as it seems from the largest down; yet each goes before the first one that is
    larger, or before the last one.
    """
    align = max(align, boot.rules.cma_align)
    ranges: list[tuple[int, int]] = []
    for start, end, _ in boot.memblock.free_ranges(nid):
        start, end = round_up(start, align), round_down(end, align)
        if start < 4 * GIB or start >= end:
            continue
        if len(ranges) == _MAX_RANGES:
            if end - start < ranges[-1][1] - ranges[-1][0]:
                continue
            ranges.pop()
        larger = [at for at, (low, high) in enumerate(ranges) if high - low > end - start]
        ranges.insert(larger[0] if larger else max(len(ranges) - 1, 0), (start, end))
    if sum(end - start for start, end in ranges) < total:
        return []
    chosen: list[tuple[int, int]] = []
    for start, end in ranges:
        lower = [at for at, (low, _) in enumerate(chosen) if low < start]
        chosen.insert(lower[0] if lower else max(len(chosen) - 1, 0), (start, end))
        if sum(end - start for start, end in chosen) >= total:
            break
    taken: list[tuple[int, int]] = []
    for start, end in chosen:
        end = min(end, start + total)
        boot.memory.reserve(start, end, owner=owner, caller="cma_declare_contiguous_multi")
        taken.append((start, end))
        total -= end - start
        if not total:
            break
    return taken


def declare_contiguous(
    boot: Boot, base: int, size: int, limit: int, align: int, fixed: bool, owner: Owner, *, tells: bool = True
) -> int | None:
    """cma_declare_contiguous_nid: where the area lies; 0 where it can't be, None where there is no room for it.

    rules.cma_search says whether memory above 4 GiB is tried upwards first.  `tells`: the outcome is printed.
    """
    memblock = boot.memblock
    align = max(align, boot.rules.cma_align)
    if fixed and base % align:
        boot.printk(f"cma: Region at {base:#018x} must be aligned to {align:#018x} bytes", warning=True)
        return 0
    base, size, limit = round_up(base, align), round_up(size, align), round_down(limit, align)
    fixed = fixed and base != 0
    memory_end = memblock.end_of_DRAM()
    if not limit or limit > memory_end:
        limit = memory_end
    if base + size > limit:
        boot.printk(f"cma: Size ({size:#018x}) of region at {base:#018x} exceeds limit ({limit:#018x})", warning=True)
        return 0
    failed = f"cma: Failed to reserve {size // MIB} MiB"
    if fixed:
        if memblock.is_region_reserved(base, size):
            boot.printk(failed, warning=True)
            return 0
        boot.memory.reserve(base, base + size, owner=owner, caller="cma_declare_contiguous_nid")
        return base
    found = 0
    caller = "cma_declare_contiguous_nid"
    if boot.rules.cma_search == "above 4G first" and not memblock.bottom_up and memory_end >= 4 * GIB + size:
        memblock.bottom_up = True
        found = boot.memory.alloc_range_nid(size, align, 4 * GIB, limit, owner.nid, owner=owner, caller=caller)
        memblock.bottom_up = False
    if not found:
        found = boot.memory.alloc_range_nid(size, align, base, limit, owner.nid, owner=owner, caller=caller)
    if not found:
        if tells:
            boot.printk(failed, warning=True)
        return None
    if tells:
        boot.printk(f"cma: Reserved {size // MIB} MiB at {found:#018x}")
    return found
