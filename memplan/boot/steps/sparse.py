"""The memory map (struct pages) and the books of its sections: mm/sparse.c and mm/sparse-vmemmap.c.

A section is 128 MiB; its struct pages are mapped into the vmemmap, one 2 MiB page a section where the CPU can.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from memplan.boot.panic import BootPanic
from memplan.boot.registry import step
from memplan.owner import Owner, Purpose
from memplan.ranges import RangeSet
from memplan.units import GIB, MIB, PAGE_SHIFT, PAGE_SIZE, SECTION_SIZE, SIZE_2M, round_up

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from memplan.boot.context import Boot

_DMA_END = 16 * MIB
_POINTER = 8
_PAGES_PER_SECTION = SECTION_SIZE // PAGE_SIZE
_ENTRIES = PAGE_SIZE // _POINTER
#: Bits that a pageblock has in the usage map (NR_PAGEBLOCK_BITS) where pages can't be isolated.
_PAGEBLOCK_BITS = 4
#: The options that select MEMORY_ISOLATION, and itself.
_ISOLATION = ("MEMORY_ISOLATION", "MEMORY_HOTPLUG", "CMA")
_TABLES = Owner(Purpose.VMEMMAP_TABLES)


class SectionRun(NamedTuple):
    """Sections of one node that follow one another, holes left out: numbers ``[start, end)`` a part, and how many."""

    nid: int
    parts: tuple[tuple[int, int], ...]
    sections: int


@step("mm/sparse.c")
def sparse_init(boot: Boot) -> None:
    """Notes the present sections and gives each its usage map and its memory map.

    rules.memory_map_order names the way: all usage maps first, by way of two temporary tables, or (4.19 on, commit
    85c77f791390) both for a run of one node's sections before the next run.
    """
    sparse = _Sparse(boot)
    sparse.index_roots()
    if boot.rules.memory_map_order == "usage maps first":
        sparse.init_by_kind()
    else:
        sparse.init_by_node()


def section_runs(boot: Boot) -> list[SectionRun]:
    """The present sections in runs of one node, upwards; a section belongs to the node whose RAM it holds first."""
    runs: list[tuple[int, list[tuple[int, int]]]] = []
    next_free = 0
    for start_pfn, end_pfn, nid in boot.memblock.pfn_ranges(None):
        start = max(start_pfn // _PAGES_PER_SECTION, next_free)
        end = -(-end_pfn // _PAGES_PER_SECTION)
        if start >= end:
            continue
        next_free = end
        if not runs or runs[-1][0] != (nid or 0):
            runs.append((nid or 0, []))
        parts = runs[-1][1]
        if parts and parts[-1][1] == start:
            parts[-1] = (parts[-1][0], end)
        else:
            parts.append((start, end))
    return [SectionRun(nid, tuple(parts), sum([end - start for start, end in parts])) for nid, parts in runs]


class _Sparse:
    """sparse_init at work."""

    def __init__(self, boot: Boot) -> None:
        self._boot = boot
        self._runs = section_runs(boot)
        kernel = boot.kernel
        self._section_size = kernel.fact("struct.mem_section")
        page_bytes = kernel.fact("struct.page") * _PAGES_PER_SECTION
        #: A section's struct pages in whole 2 MiB pages (section_map_size).
        self._map_size = round_up(page_bytes, SIZE_2M)
        self._usage_size = _usage_size(boot)
        self._vmemmap = _Vmemmap(boot, self._map_size)
        self._circular: tuple[int, int] | None = None

    def init_by_node(self) -> None:
        """4.19 on: node after node."""
        for run in self._runs:
            self._init_nid(run)

    def _init_nid(self, run: SectionRun) -> None:
        """sparse_init_nid: a run's sections that get no map are left out, or the kernel dies of it (7.3 on)."""
        boot, nid = self._boot, run.nid
        dies = boot.rules.memory_map_required
        usage = self._usage_maps(run, "sparse_init_nid")
        if not usage:
            if dies:
                reason = f"no free memory is left for the usage maps of node {nid}"
                raise BootPanic(f"Failed to allocate usemap for node {nid}", reason)
            boot.printk(f"sparse_init_nid: node[{nid}] usemap allocation failed", warning=True)
            return
        missing = self._map_node(run)
        if boot.rules.usage_maps == "near NODE_DATA" and boot.recorder.tells:
            self._check_usemaps(run, usage)
        if missing is not None:
            if dies:
                reason = f"no free memory is left for the memory map of node {nid}"
                raise BootPanic(f"Failed to allocate memmap for section {missing}", reason)
            boot.printk(
                f"sparse_init_nid: node[{nid}] memory map backing failed. Some memory will not be available.",
                warning=True,
            )

    def _map_node(self, run: SectionRun) -> int | None:
        """The memory map of a run's sections, from one block where there is one; the first section without a map."""
        boot, kind = self._boot, self._boot.rules.memory_map_block
        if kind == "none":
            return self._populate(run.parts, run.nid, False)
        exact = kind == "sections on the node"
        size, owner = run.sections * self._map_size, _map_owner(run.nid)
        block = boot.memory.alloc(
            size,
            PAGE_SIZE if kind.startswith("pages") else self._map_size,
            owner=owner,
            caller="sparse_buffer_init",
            min_addr=_DMA_END,
            max_addr=boot.rules.memory_map_max_addr,
            nid=run.nid,
            raw=True,
            exact=exact,
        )
        if not block or not boot.machine.cpus.pse or boot.memory.is_multiple(block, SIZE_2M):
            return self._populate(run.parts, run.nid, bool(block))
        return self._map_from_uneven_block(run, block)

    def _populate(self, parts: Iterable[tuple[int, int]], nid: int, buffered: bool) -> int | None:
        """Backs the maps of sections; the first one for which memory runs out."""
        for start, end in parts:
            backed = self._vmemmap.populate(start, end, nid, buffered)
            if backed < end - start:
                return start + backed
        return None

    def _map_from_uneven_block(self, run: SectionRun, block: int) -> int | None:
        """As :meth:`_map_node` for a block that does not begin with a large page, up to 5.4.

        The block holds one large page fewer than it was meant for: the last one is taken by itself.  What lies behind
        the block's last large page is given back, and in 5.4 what lies before its first, once that is in use.
        """
        memory, owner = self._boot.memory, _map_owner(run.nid)
        start, end = block, block + run.sections * self._map_size
        first, last = run.parts[0][0], run.parts[-1][1] - 1
        missing = None
        if first < last:
            start = round_up(block, SIZE_2M)
            missing = self._populate([(first, first + 1)], run.nid, True)
            if self._boot.rules.memory_map_block == "pages, head freed":
                memory.free(block, start, owner=owner, caller="sparse_buffer_alloc")
        if missing is None:
            missing = self._populate(_less(run.parts, first, last), run.nid, True)
        if missing is None:
            missing = self._populate([(last, last + 1)], run.nid, False)
        memory.free(start + (run.sections - 1) * self._map_size, end, owner=owner, caller="sparse_init_nid")
        return missing

    def init_by_kind(self) -> None:
        """Up to 4.18: all usage maps, then all memory maps."""
        boot = self._boot
        sections = (1 << boot.params.physical_bits) // SECTION_SIZE
        tables_size = _POINTER * sections
        owner = Purpose.SECTION_TABLES
        usage_table = boot.memory.alloc_or_panic(tables_size, owner=owner, caller="sparse_init")
        for run in self._runs:
            usage = self._usage_maps(run, "sparse_init")
            if usage and boot.recorder.tells:
                self._check_usemaps(run, usage)
        map_table = boot.memory.alloc_or_panic(tables_size, owner=owner, caller="sparse_init")
        for run in self._runs:
            self._map_run(run)
        boot.memory.free(map_table, map_table + tables_size, owner=owner, caller="sparse_init")
        boot.memory.free(usage_table, usage_table + tables_size, owner=owner, caller="paging_init")

    def _map_run(self, run: SectionRun) -> None:
        """sparse_mem_maps_populate_node: a block for a run's memory maps, without which it panics up to 4.14."""
        boot, size, owner = self._boot, run.sections * self._map_size, _map_owner(run.nid)
        caller = "sparse_init"
        if boot.rules.memory_map_block == "large pages, or panic":
            start = boot.memory.alloc_or_panic(
                size, SIZE_2M, owner=owner, caller=caller, min_addr=_DMA_END, nid=run.nid
            )
        else:
            start = boot.memory.alloc(
                size, SIZE_2M, owner=owner, caller=caller, min_addr=_DMA_END, nid=run.nid, raw=True
            )
        for first, last in run.parts:
            self._vmemmap.populate(first, last, run.nid, bool(start))
        if start:
            # The rest of the block goes back, even where nothing is left.
            boot.memory.free(start + size, start + size, owner=owner, caller="sparse_mem_maps_populate_node")

    def index_roots(self) -> None:
        """memory_present: the table of roots (4.15 on), and a page of section entries for each root.

        Such a page lies on the node of the first range that needs it.
        """
        per_root = PAGE_SIZE // self._section_size
        if self._boot.rules.section_roots == "allocated":
            roots = (1 << self._boot.params.physical_bits) // SECTION_SIZE // per_root
            self._boot.memory.alloc_or_panic(_POINTER * roots, owner=Purpose.SECTION_ROOTS, caller="sparse_init")
        known = RangeSet()
        for start_pfn, end_pfn, nid in list(self._boot.memblock.pfn_ranges(None)):
            first = start_pfn // _PAGES_PER_SECTION // per_root
            last = -(-end_pfn // _PAGES_PER_SECTION)
            new = known.add(first, -(-last // per_root))
            taken = new and self._boot.memory.alloc_run(
                new, PAGE_SIZE, 64, owner=Purpose.SECTION_ROOTS, caller="sparse_index_alloc", nid=nid
            )
            if taken < new:
                raise BootPanic(
                    f"sparse_index_init: Failed to allocate section array nid={nid}",
                    f"no free memory is left for the section entries of node {nid}",
                )

    def _usage_maps(self, run: SectionRun, caller: str) -> int:
        """Usage maps of a run's sections, up to 7.0 in the section of the node's NODE_DATA where there is room."""
        boot = self._boot
        size = run.sections * self._usage_size
        owner = Owner(Purpose.SECTION_USAGE, run.nid)
        if boot.rules.usage_maps == "on the node" or not boot.kernel.config("MEMORY_HOTREMOVE"):
            return boot.memory.alloc(size, owner=owner, caller=caller, nid=run.nid)
        return boot.memory.alloc_beside(
            _node_data(boot, run.nid), size, SECTION_SIZE, self._node_of, owner=owner, caller=caller
        )

    def _node_of(self, address: int) -> int:
        """early_pfn_to_nid: the node whose RAM holds `address`, else the first node that is on-line."""
        found = self._boot.memblock.search_pfn_nid(address >> PAGE_SHIFT)
        if found is not None and found[0] is not None:
            return found[0]
        return min(self._boot.nodes.online)

    def _check_usemaps(self, run: SectionRun, usage: int) -> None:
        """check_usemap_section_nr: tell where a usage map lies in another section than NODE_DATA."""
        boot = self._boot
        home = _node_data(boot, run.nid) // SECTION_SIZE
        last = (usage + (run.sections - 1) * self._usage_size) // SECTION_SIZE
        for section in range(usage // SECTION_SIZE, last + 1):
            if section == home or self._circular == (section, home):
                continue
            self._circular = section, home
            owner = next((r.nid for r in self._runs if any(low <= section < high for low, high in r.parts)), 0)
            if owner != run.nid:
                boot.printk(f"node {run.nid} must be removed before remove section {section}")
            else:
                boot.printk(
                    f"Section {section} and {home} (node {run.nid}) have a circular dependency"
                    " on usemap and pgdat allocations"
                )


class _Vmemmap:
    """The vmemmap's tables: a page for each 256T (5 levels), 512G, 1G and, with small pages, 2M of it.

    Only the distance from the vmemmap's start counts: its base is a multiple of 512G.
    """

    def __init__(self, boot: Boot, map_size: int) -> None:
        self._boot = boot
        self._map_size = map_size
        self._shifts = (48, 39, 30) if boot.params.levels == 5 else (39, 30)
        self._tables = {shift: RangeSet() for shift in self._shifts}
        self._huge = boot.machine.cpus.pse

    def populate(self, start: int, end: int, nid: int, buffered: bool) -> int:
        """Back the sections ``[start, end)``, from the node's block where `buffered`; how many before memory runs out.

        With the block all of them count as backed, or none.
        """
        low, high = start * self._map_size, end * self._map_size
        if buffered:
            small = 0 if self._huge else (high - low) // SIZE_2M
            return end - start if self._take_tables(self._missing(low, high) + small, nid) else 0
        pieces = _by_gib(low, high) if self._boot.memory.ordered else [(low, high)]
        backed = 0
        for first, last in pieces:
            blocks = self._populate_piece(first, last, nid)
            backed += blocks
            if blocks * SIZE_2M < last - first:
                break
        return backed * SIZE_2M // self._map_size

    def _populate_piece(self, low: int, high: int, nid: int) -> int:
        """A part of 1G at most, block by block: there is no block for all at once.  How many blocks of 2M it got."""
        if not self._take_tables(self._missing(low, high), nid):
            return 0
        blocks = (high - low) // SIZE_2M
        huge = self._take(blocks, SIZE_2M, nid, _map_owner(nid)) if self._huge else 0
        if huge == blocks:
            return blocks
        # Without large pages, or without room for one: small pages, those of each 2M behind their table's.
        pages = self._take((blocks - huge) * (1 + _ENTRIES), PAGE_SIZE, nid, _map_owner(nid))
        return huge + pages // (1 + _ENTRIES)

    def _missing(self, low: int, high: int) -> int:
        """Notes the tables above ``[low, high)`` of the vmemmap; how many are new."""
        return sum(self._tables[shift].add(low >> shift, -(-high >> shift)) for shift in self._shifts)

    def _take_tables(self, count: int, nid: int) -> bool:
        return not count or self._take(count, PAGE_SIZE, nid, _TABLES) == count

    def _take(self, count: int, size: int, nid: int, owner: Owner) -> int:
        """vmemmap_alloc_block, `count` times: how many of them succeed before one fails."""
        return self._boot.memory.alloc_run(
            count,
            size,
            size,
            owner=owner,
            caller="vmemmap_alloc_block_zero" if owner == _TABLES else "vmemmap_alloc_block_buf",
            min_addr=_DMA_END,
            max_addr=self._boot.rules.memory_map_max_addr,
            nid=nid,
            raw=True,
        )


def _less(parts: tuple[tuple[int, int], ...], first: int, last: int) -> Iterator[tuple[int, int]]:
    """`parts` without the sections `first` and `last`, their ends."""
    for start, end in parts:
        low, high = max(start, first + 1), min(end, last)
        if low < high:
            yield low, high


def _by_gib(low: int, high: int) -> Iterator[tuple[int, int]]:
    while low < high:
        stop = min(round_up(low + 1, GIB), high)
        yield low, stop
        low = stop


def _map_owner(nid: int) -> Owner:
    return Owner(Purpose.MEMORY_MAP, nid)


def _node_data(boot: Boot, nid: int) -> int:
    """The physical address of a node's NODE_DATA; what __pa makes of a null pointer where it has none."""
    place = boot.nodes.node_data.get(nid)
    return place[0] if place else (1 << 64) - boot.params.direct_map_base


def _usage_size(boot: Boot) -> int:
    """A section's usage map (mem_section_usage_size): some bits a pageblock, from 5.3 on behind a header."""
    order = 9 if boot.kernel.config("HUGETLB_PAGE") else 10
    isolates = any(boot.kernel.config(option) for option in _ISOLATION)
    bits = (_PAGES_PER_SECTION >> order) * (boot.rules.pageblock_bits if isolates else _PAGEBLOCK_BITS)
    header = boot.kernel.fact("struct.mem_section_usage") if boot.rules.usage_map_header else 0
    return header + -(-bits // 64) * 8
