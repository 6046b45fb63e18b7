"""Zones: where each begins on each node, ZONE_MOVABLE above all, and what they span (mm/mm_init.c, mm/page_alloc.c)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.panic import BootPanic
from memplan.boot.registry import step
from memplan.boot.results import ZoneLayout, ZoneLimits
from memplan.errors import NotCoveredError
from memplan.owner import Owner, Purpose
from memplan.plan import Zone
from memplan.ranges import RangeSet
from memplan.units import (
    GIB,
    MIB,
    PAGE_SHIFT,
    PAGE_SIZE,
    SECTION_SIZE,
    U64_MAX,
    leading_number,
    memparse,
    pfn_down,
    pfn_up,
    round_up,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from memplan.boot.context import Boot

_DMA_END_PFN = 16 * MIB >> PAGE_SHIFT
_DMA32_END_PFN = 4 * GIB >> PAGE_SHIFT
#: The largest block of the page allocator (MAX_ORDER_NR_PAGES).
_BUDDY_PAGES = 1024
_PAGES_PER_SECTION = SECTION_SIZE >> PAGE_SHIFT
_HOTPLUG = 1
_MIRROR = 2
_MOVABLE = "Movable"
#: It has no limits of its own.
_MOVABLE_ZONE = ZoneLimits(_MOVABLE, 0, 0)
#: Buckets of a zone's wait table where memory may be added later, else one for 256 pages.
_WAIT_BUCKETS = 4096
_PAGES_PER_WAIT_BUCKET = 256


@step("mm/mm_init.c")
def free_area_init(boot: Boot) -> None:
    """Lays the zones out and tells of them (3.13: free_area_init_nodes).

    Nodes that are possible but have no NODE_DATA yet get theirs here from 5.18 on (rules.memoryless_nodes), 3.13
    gives each populated zone a wait table.
    """
    limits = _limits(boot)
    layout = ZoneLayout(limits, _movable_starts(boot, limits))
    boot.zones = layout
    if boot.recorder.tells:
        _print_ranges(boot, layout)
    movable_high = _highest(limits).high
    for nid in sorted(boot.nodes.possible):
        if nid not in boot.nodes.node_data and not _memoryless_node(boot, nid):
            continue
        _init_node(boot, layout, nid, movable_high)
    if boot.rules.nr_kernel_pages == "free ranges":
        layout.nr_kernel_pages = layout.nr_all_pages = boot.memory.free_pages()
    if boot.rules.memory_map_filled == "with the zones":
        memmap_init(boot)


@step("mm/mm_init.c")
def memmap_init(boot: Boot) -> None:
    """Tells of pages that are no RAM, as the memory map is filled in; up to 7.2 free_area_init calls it."""
    if boot.rules.unavailable_ranges:
        _print_unavailable(boot, boot.zones)


def _limits(boot: Boot) -> list[ZoneLimits]:
    """Each zone begins where the one before it may end; zones of small machines end with RAM (not in 3.13)."""
    capped = boot.rules.zone_limits_by_ram
    ends = [("DMA", _DMA_END_PFN)] if boot.kernel.config("ZONE_DMA") else []
    ends += [("DMA32", _DMA32_END_PFN)] if boot.kernel.config("ZONE_DMA32") else []
    limits = []
    low = next((start for start, _, _ in boot.memblock.pfn_ranges(None)), 0)
    for name, end in [*ends, ("Normal", boot.max_pfn)]:
        high = max(min(end, boot.max_pfn) if capped else end, low)
        limits.append(ZoneLimits(name, low, high))
        low = high
    return limits


def _highest(limits: Sequence[ZoneLimits]) -> ZoneLimits:
    """The highest zone that isn't empty; ZONE_MOVABLE takes from it."""
    return max((zone for zone in limits if zone.high > zone.low), key=lambda zone: zone.low)


# -- ZONE_MOVABLE --------------------------------------------------------------------------------------------------


def _movable_starts(boot: Boot, limits: Sequence[ZoneLimits]) -> dict[int, int]:
    """find_zone_movable_pfns_for_nodes: the first pfn of ZONE_MOVABLE on each node that has one."""
    starts = _unrounded_starts(boot, limits)
    starts = {nid: round_up(pfn, _BUDDY_PAGES) for nid, pfn in starts.items() if pfn}
    if boot.rules.movable_clip:
        ends = _node_ends(boot)
        starts = {nid: pfn for nid, pfn in starts.items() if pfn < ends.get(nid, 0)}
    return starts


def _unrounded_starts(boot: Boot, limits: Sequence[ZoneLimits]) -> dict[int, int]:
    if boot.params.movable_node and boot.rules.movable_node_zone:
        return _first_pfns(boot, lambda _, flags: bool(flags & _HOTPLUG))
    if boot.memblock.mirrored_kernelcore:
        return _mirror_starts(boot)
    needed = _required_kernelcore(boot)
    return _spread_kernelcore(boot, needed, _highest(limits).low) if needed else {}


def _first_pfns(boot: Boot, wanted: Callable[[int, int], bool]) -> dict[int, int]:
    """The lowest pfn of each node's regions that are `wanted` (a test of start pfn and flags)."""
    starts: dict[int, int] = {}
    for base, _, nid, flags in boot.memblock.memory:
        pfn = pfn_up(base) if boot.rules.movable_start_rounds_up else pfn_down(base)
        if nid is not None and wanted(pfn, flags):
            starts[nid] = min(pfn, starts.get(nid, pfn))
    return starts


def _mirror_starts(boot: Boot) -> dict[int, int]:
    """kernelcore=mirror: all memory above 4 GiB that is not mirrored is movable."""
    regions = list(boot.memblock.memory)
    if boot.rules.mirror_needs_memory:
        if not any(flags & _MIRROR for *_, flags in regions):
            boot.printk("The system has no mirror memory, ignore kernelcore=mirror.", warning=True)
            return {}
        if boot.cmdline.has("elfcorehdr"):
            boot.printk("The system is under kdump, ignore kernelcore=mirror.", warning=True)
            return {}
    starts = _first_pfns(boot, lambda start, flags: not flags & _MIRROR and start >= _DMA32_END_PFN)
    if any(not flags & _MIRROR and pfn_down(base) < _DMA32_END_PFN for base, _, _, flags in regions):
        boot.printk("This configuration results in unmirrored kernel memory.", warning=True)
    return starts


def _required_kernelcore(boot: Boot) -> int:
    """The pages that kernelcore= and movablecore= leave to the kernel; 0 for no ZONE_MOVABLE."""
    capped = boot.rules.kernelcore_capped
    total = sum(end - start for start, end, _ in boot.memblock.pfn_ranges(None))
    kernelcore, movablecore = (_core_pages(boot, name, total) for name in ("kernelcore", "movablecore"))
    if movablecore:
        movablecore = round_up(movablecore, _BUDDY_PAGES)
        if not capped and movablecore > total:
            # Up to 4.3 it is subtracted without a look, and what wraps is more than any machine has.
            kernelcore = (total - movablecore) & ((1 << 64) - 1)
        else:
            kernelcore = max(kernelcore, total - min(movablecore, total))
    return 0 if capped and kernelcore >= total else kernelcore


def _core_pages(boot: Boot, option: str, total: int) -> int:
    """The pages that `option` asks for: an amount of memory, or a share in percent (4.17 on); "mirror" is 0."""
    value = boot.cmdline.last(option)
    if not value:
        return 0
    share, rest = leading_number(value)
    if rest.startswith("%") and boot.rules.kernelcore_percent:
        return (total * 100 * (share or 0) & U64_MAX) // 10000
    return memparse(value)[0] >> PAGE_SHIFT


def _spread_kernelcore(boot: Boot, needed: int, usable_start: int) -> dict[int, int]:
    """Shares `needed` pages out over the nodes; ZONE_MOVABLE begins behind each node's share.

    Memory below `usable_start` is the kernel's in any case and counts as part of its share.  What a small node
    can't give is shared out again over the others.
    """
    ranges: dict[int, list[tuple[int, int]]] = {}
    for start, end, nid in boot.memblock.pfn_ranges(None):
        ranges.setdefault(nid or 0, []).append((start, end))
    starts: dict[int, int] = {}
    usable_nodes = len(ranges)
    while True:
        share = needed // usable_nodes
        for nid in sorted(ranges):
            if needed < share:
                share = needed // usable_nodes
            rest = share
            for start, end in ranges[nid]:
                start = max(start, starts.get(nid, start))
                if start >= end:
                    continue
                if start < usable_start:
                    kernel_pages = min(end, usable_start) - start
                    rest -= min(kernel_pages, rest)
                    needed -= min(kernel_pages, needed)
                    if end <= usable_start:
                        starts[nid] = end
                        continue
                    start = usable_start
                pages = min(end - start, rest)
                starts[nid] = start + pages
                needed -= min(needed, pages)
                rest -= pages
                if not rest:
                    break
        usable_nodes -= 1
        if not usable_nodes or needed <= usable_nodes:
            return starts


# -- nodes ---------------------------------------------------------------------------------------------------------


def _node_ends(boot: Boot) -> dict[int, int]:
    return {nid or 0: end for _, end, nid in boot.memblock.pfn_ranges(None)}


def _memoryless_node(boot: Boot, nid: int) -> bool:
    """NODE_DATA for a possible node that has none so far; False where this version leaves it off-line."""
    if boot.rules.memoryless_nodes != "free_area_init":
        return False
    if boot.rules.memoryless_message:
        boot.printk(f"Initializing node {nid} as memoryless")
    size = boot.kernel.fact("struct.pglist_data")
    place = boot.memory.alloc_or_panic(size, owner=Owner(Purpose.NODE_DATA, nid), caller="arch_alloc_nodedata")
    boot.nodes.node_data[nid] = (place, place + size)
    return True


def _init_node(boot: Boot, layout: ZoneLayout, nid: int, movable_high: int) -> None:
    """free_area_init_node: the zones of one node, and the pages that they give to the kernel."""
    ranges = boot.memblock.pfn_ranges(nid)
    start, end = (ranges[0][0], ranges[-1][1]) if ranges else (0, 0)
    if boot.rules.initmem_line:
        if start < end or not boot.rules.memoryless_setup_line:
            boot.printk(f"Initmem setup node {nid} [mem {start << 12:#018x}-{max((end << 12) - 1, 0):#018x}]")
        else:
            boot.printk(f"Initmem setup node {nid} as memoryless")
    for zone in (*layout.limits, _MOVABLE_ZONE):
        found = _zone_of_node(boot, layout, zone, nid, (start, end), movable_high)
        if found is not None:
            layout.zones.append(found)
            _account(boot, layout, found)
            if boot.rules.zone_wait_tables:
                _wait_table(boot, found)


def _zone_of_node(
    boot: Boot, layout: ZoneLayout, zone: ZoneLimits, nid: int, node: tuple[int, int], movable_high: int
) -> Zone | None:
    """What `zone` spans of the node with pfns `node`, if anything, and how much of that is RAM (of the right kind)."""
    movable = layout.movable_start_pfn.get(nid)
    mirror = boot.memblock.mirrored_kernelcore and boot.rules.mirror_zones_overlap
    if zone.name == _MOVABLE:
        start, end = max(movable or node[1], node[0]), min(node[1], movable_high)
    else:
        start, end = max(node[0], zone.low), min(node[1], zone.high)
        if movable and (start >= movable or not mirror):
            end = min(end, movable)
    if start >= end:
        return None
    present = sum(max(0, min(b, end) - max(a, start)) for a, b, _ in boot.memblock.pfn_ranges(nid))
    if mirror and movable:
        for base, size, _, flags in boot.memblock.memory:
            inside = max(0, min(pfn_down(base + size), end) - max(pfn_up(base), start))
            if bool(flags & _MIRROR) == (zone.name == _MOVABLE) and zone.name in (_MOVABLE, "Normal"):
                present -= inside
        if present < 0:
            raise NotCoveredError(
                f"kernelcore=mirror on nodes that lie in one another: Linux counts pages of node {nid}'s {zone.name} "
                "zone twice and gets below zero; what it does then is not replayed"
            )
    return Zone(nid, zone.name, start, end - start, present)


def _account(boot: Boot, layout: ZoneLayout, zone: Zone) -> None:
    """nr_kernel_pages up to 6.9: the zones' pages without their memory map, and without what is taken below 16 MiB."""
    if boot.rules.nr_kernel_pages != "zones":
        return
    sparse = zone.spanned > zone.present + (zone.present >> 4)
    pages = zone.present if sparse else zone.spanned
    memory_map = round_up(pages * boot.kernel.fact("struct.page"), PAGE_SIZE) >> PAGE_SHIFT
    # A struct page is far smaller than a page, so the map of a zone fits into it.
    free = zone.present - memory_map
    if zone.name == layout.limits[0].name and free > boot.dma_reserve:
        free -= boot.dma_reserve
    layout.nr_kernel_pages += free
    layout.nr_all_pages += free


def _wait_table(boot: Boot, zone: Zone) -> None:
    """The table of wait queues for a zone's pages (zone_wait_table_init, up to 4.8)."""
    buckets = _WAIT_BUCKETS
    if not boot.kernel.config("MEMORY_HOTPLUG"):
        pages = zone.spanned // _PAGES_PER_WAIT_BUCKET
        buckets = max(min(1 << (pages - 1).bit_length(), _WAIT_BUCKETS), 4)
    size = buckets * boot.kernel.fact("struct.__wait_queue_head")
    boot.memory.alloc_or_panic(
        size, owner=Owner(Purpose.WAIT_TABLE, zone.nid, zone.name), caller="zone_wait_table_init", nid=zone.nid
    )


# -- what is printed -----------------------------------------------------------------------------------------------


def _print_ranges(boot: Boot, layout: ZoneLayout) -> None:
    width = boot.wording.zone_digits
    boot.printk("Zone ranges:")
    device = [ZoneLimits("Device", 0, 0)] if boot.kernel.config("ZONE_DEVICE") else []
    for zone in (*layout.limits, *device):
        text = "empty" if zone.low == zone.high else _pages(zone.low, zone.high, width)
        boot.printk(f"  {zone.name:8} {text}")
    boot.printk("Movable zone start for each node")
    for nid, pfn in sorted(layout.movable_start_pfn.items()):
        boot.printk(f"  Node {nid}: {pfn << PAGE_SHIFT:#0{width}x}")
    boot.printk("Early memory node ranges")
    for start, end, node in boot.memblock.pfn_ranges(None):
        number = boot.kernel.max_numnodes if node is None else node
        boot.printk(f"  node {number:3}: {_pages(start, end, width)}")


def _pages(start: int, end: int, width: int) -> str:
    return f"[mem {start << PAGE_SHIFT:#0{width}x}-{(end << PAGE_SHIFT) - 1:#0{width}x}]"


def _print_unavailable(boot: Boot, layout: ZoneLayout) -> None:
    """Tells of pages in present sections that are no RAM; they go to the zone above them, the last to the one below.

    The kernel meets them as it walks all RAM by node (memmap_init); it dies at RAM that has none.
    """
    zones: dict[int, list[Zone]] = {}
    for zone in layout.zones:
        if zone.present:
            zones.setdefault(zone.nid, []).append(zone)
    sections = _present_sections(boot)
    hole = end_pfn = 0
    last: Zone | None = None
    for start, end_pfn, nid in boot.memblock.pfn_ranges(None):
        if nid not in boot.nodes.node_data:
            raise BootPanic(
                "BUG: kernel NULL pointer dereference",
                f"no SRAT entry covers the RAM at {start << PAGE_SHIFT:#x}; so little of it passes the kernel's test "
                "of the SRAT, but it has no node, and the kernel then reads the data of its node",
            )
        for zone in zones.get(nid or 0, ()):
            last = zone
            low = min(max(start, zone.start_pfn), zone.start_pfn + zone.spanned)
            high = min(max(end_pfn, zone.start_pfn), zone.start_pfn + zone.spanned)
            if low < high:
                _print_hole(boot, sections, hole, low, zone)
                hole = high
    if last is not None:
        _print_hole(boot, sections, hole, round_up(end_pfn, _PAGES_PER_SECTION), last)


def _print_hole(boot: Boot, sections: RangeSet, start: int, end: int, zone: Zone) -> None:
    pages = sum(high - low for low, high in sections.within(start, end)) if start < end else 0
    if pages:
        boot.printk(f"On node {zone.nid}, zone {zone.name}: {pages} pages in unavailable ranges")


def _present_sections(boot: Boot) -> RangeSet:
    """The pfns of sections that hold RAM."""
    return RangeSet(_section_ranges(boot))


def _section_ranges(boot: Boot) -> Iterator[tuple[int, int]]:
    for start, end, _ in boot.memblock.pfn_ranges(None):
        yield start // _PAGES_PER_SECTION * _PAGES_PER_SECTION, round_up(end, _PAGES_PER_SECTION)
