"""The direct map's page tables: arch/x86/mm/init.c and init_64.c.

The kernel walks pages; here one range is arithmetic.  A range of the direct map needs so many pages of each level,
and pages of all levels are alike for memblock, so what one part of RAM needs is taken as one run, however large.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from memplan.boot.panic import BootPanic
from memplan.boot.parameters import page_table_buffer
from memplan.boot.registry import step
from memplan.errors import NotCoveredError
from memplan.owner import Purpose
from memplan.plan import MappedRange, TableRun
from memplan.ranges import RangeSet
from memplan.units import GIB, MIB, PAGE_SHIFT, PAGE_SIZE, SIZE_2M, mem_range, round_down, round_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.boot.context import Boot

#: The end of the ISA range, which is mapped whether it is RAM or not.
_ISA_END = MIB
_PMD_SHIFT = 21
_PUD_SHIFT = 30
_P4D_SHIFT = 39
_PGDIR_SHIFT = 48
_LOW_END_PFN = 1 << (32 - PAGE_SHIFT)


class PageSizes(NamedTuple):
    """Which large pages a range may be mapped with."""

    pmd: bool
    pud: bool


_SMALL = PageSizes(False, False)


class Piece(NamedTuple):
    """A range that is mapped with one choice of page sizes (the kernel's struct map_range)."""

    start: int
    end: int
    sizes: PageSizes


@step("arch/x86/mm/init.c")
def early_alloc_pgt_buf(boot: Boot) -> None:
    """Takes the buffer of the first table pages from the brk; see page_table_buffer for its size."""
    start = round_up(boot.brk_end, PAGE_SIZE)
    boot.brk_end = start + page_table_buffer(boot.kernel)
    boot.pgt_buffer = (start, boot.brk_end)


@step("arch/x86/mm/init.c")
def init_mem_mapping(boot: Boot) -> None:
    """Maps all RAM, and makes the page tables on the way, in the direction of allocations."""
    mapper = Mapper(boot)
    while mapper.go_on():
        pass


def _trampoline_tables(boot: Boot) -> dict[str, int]:
    """The trampoline's pages by level: the topmost below the PGD, from 5.2 on a PUD page too."""
    if boot.params.levels < 5:
        return {"pud": 1}
    return {"p4d": 1} if boot.rules.trampoline_tables == "one" else {"pud": 1, "p4d": 1}


@step("arch/x86/kernel/setup.c")
def set_current_limit(boot: Boot) -> None:
    """Searches end at the direct map's end from here on (memblock_set_current_limit)."""
    boot.memblock.current_limit = boot.direct_map.max_pfn_mapped * PAGE_SIZE


def probe_page_size_mask(boot: Boot) -> PageSizes:
    """The page sizes that CPU, configuration and options allow (probe_page_size_mask; 3.13 init_gbpages too).

    Page-allocation debugging maps with small pages: as an option since 4.6, before by the
    configuration alone, which also covers KMEMCHECK.
    """
    kernel, cmdline, cpus = boot.kernel, boot.cmdline, boot.machine.cpus
    if boot.rules.debug_pagealloc_option:
        value = cmdline.last("debug_pagealloc")
        chosen = kernel.config("DEBUG_PAGEALLOC_ENABLE_DEFAULT") if value is None else value in ("on", "1", "y", "Y")
        debug = kernel.config("DEBUG_PAGEALLOC") and chosen
    else:
        debug = kernel.config("DEBUG_PAGEALLOC") or kernel.config("KMEMCHECK")
    pmd = cpus.pse and not debug
    pud = kernel.config("X86_DIRECT_GBPAGES") or kernel.config("DIRECT_GBPAGES")
    for name, _ in cmdline.args:
        if name in ("gbpages", "nogbpages"):
            pud = name == "gbpages"
    pud = pud and cpus.gbpages and (pmd or not boot.rules.gbpages_need_pse)
    if pud:
        boot.printk("Using GB pages for direct mapping")
    return PageSizes(pmd, pud and not debug)


def split_mem_range(boot: Boot, start: int, end: int, allowed: PageSizes) -> list[Piece]:
    """``[start, end)`` cut where the page size can change, large pages to the borders of what is RAM around it."""
    limit = round_down(end, PAGE_SIZE)
    at = round_down(start, PAGE_SIZE)
    limit_2m = round_down(limit, SIZE_2M)
    middle = PageSizes(allowed.pmd, False)
    pieces: list[Piece] = []
    # A head of small pages, then 2M pages to the first 1G border, 1G pages, and the same the other way round.
    for unit, stop, sizes in (
        (PAGE_SIZE, min(round_up(at, SIZE_2M), limit), _SMALL),
        (SIZE_2M, min(round_up(at, GIB), limit_2m), middle),
        (GIB, round_down(limit, GIB), allowed),
        (SIZE_2M, limit_2m, middle),
        (PAGE_SIZE, limit, _SMALL),
    ):
        if at < stop and (first := round_up(at, unit)) < stop:
            piece = _adjusted(boot, Piece(first, stop, sizes), allowed)
            at = stop
            last = pieces[-1] if pieces else None
            if last is not None and last.end == piece.start and last.sizes == piece.sizes:
                pieces[-1] = Piece(last.start, piece.end, piece.sizes)
            else:
                pieces.append(piece)
    return pieces


def _adjusted(boot: Boot, piece: Piece, allowed: PageSizes) -> Piece:
    """`piece` with large pages where one region of RAM holds the large pages around it too."""
    if piece.sizes == allowed:
        return piece

    def whole(size: int) -> bool:
        low = round_down(piece.start, size)
        return boot.memblock.is_region_memory(low, round_up(piece.end, size) - low)

    sizes = PageSizes(
        piece.sizes.pmd or (allowed.pmd and whole(SIZE_2M)),
        piece.sizes.pud or (allowed.pud and whole(GIB)),
    )
    return piece._replace(sizes=sizes)


class _Tables:
    """Which tables exist, by the units that they map: 2M, 1G, 512G and 256T (the last two of virtual space)."""

    def __init__(self, levels: int, base: int) -> None:
        self._levels = levels
        self._base = base
        self._p4d = RangeSet()
        self._pud = RangeSet()
        self.pmd = RangeSet()
        self.pte = RangeSet()

    def fill(self, piece: Piece) -> dict[str, int]:
        """Make what `piece` needs and lacks; the new pages of each level."""
        start, end, sizes = piece
        made: dict[str, int] = {}
        if self._levels == 5:
            made["p4d"] = self._p4d.add(*_units(self._base + start, self._base + end, _PGDIR_SHIFT))
        made["pud"] = self._pud.add(*_units(self._base + start, self._base + end, _P4D_SHIFT))
        slots = _units(start, end, _PUD_SHIFT)
        # A slot without a table becomes one large page where that is allowed; one with a table is filled further.
        made["pmd"] = 0 if sizes.pud else self.pmd.add(*slots)
        made["pte"] = 0
        if not sizes.pmd:
            for low, high in self.pmd.within(*slots):
                inside = max(start, low << _PUD_SHIFT), min(end, high << _PUD_SHIFT)
                made["pte"] += self.pte.add(*_units(*inside, _PMD_SHIFT))
        return made

    def mapped_end(self, end: int) -> int:
        """The end of the page that maps the byte before `end`."""
        if not self.pmd.holds((end - 1) >> _PUD_SHIFT):
            return round_up(end, GIB)
        if not self.pte.holds((end - 1) >> _PMD_SHIFT):
            return round_up(end, SIZE_2M)
        return round_up(end, PAGE_SIZE)


def _units(start: int, end: int, shift: int) -> tuple[int, int]:
    """The numbers of the units of ``1 << shift`` bytes that ``[start, end)`` touches."""
    return start >> shift, -(-end >> shift)


class _Ascent(NamedTuple):
    """memory_map_bottom_up on its way from `start` to `end`: `at` is where it has come to, `step` how far it goes next.

    So much it has `mapped` so far.
    """

    start: int
    end: int
    at: int
    step: int = SIZE_2M
    mapped: int = 0


class Mapper:
    """init_mem_mapping at work: the tables so far, the brk buffer, and the window from which pages come.

    It goes in parts; at the end of each, it goes on with nothing but what it and the boot hold.
    """

    def __init__(self, boot: Boot) -> None:
        self._boot = boot
        self._allowed = probe_page_size_mask(boot)
        self._tables = _Tables(boot.params.levels, boot.params.direct_map_base)
        self._next, self._top = boot.pgt_buffer
        self._can_use_brk = True
        self._min_mapped = 0
        self.init_memory_mapping(0, _ISA_END)
        if boot.rules.trampoline_tables != "none" and boot.params.randomize_memory:
            self.take(_trampoline_tables(boot), (0, 0))
        #: What is mapped upwards, the last one first.
        self._ascents: list[_Ascent] = []
        if boot.memblock.bottom_up:
            image_end = boot.params.kernel_end
            self._ascents.append(_Ascent(_ISA_END, image_end, _ISA_END))
            self._ascents.append(_Ascent(image_end, boot.max_pfn * PAGE_SIZE, image_end))

    def go_on(self) -> bool:
        """The next part; False where it is the last one."""
        boot = self._boot
        if self._ascents:
            self._map_upwards()
            return True
        if not boot.memblock.bottom_up:
            self.map_top_down(_ISA_END, boot.max_pfn * PAGE_SIZE)
        boot.max_low_pfn = boot.max_pfn
        boot.direct_map.mappings = tuple(self.mappings())
        boot.memory.mapped = boot.direct_map.mapped
        return False

    def map_top_down(self, map_start: int, map_end: int) -> None:
        """memory_map_top_down: first the highest free 2M, then downwards in growing steps, then what is above."""
        step = SIZE_2M
        last = real_end = self._probe(map_start, map_end)
        self._min_mapped = real_end
        mapped = 0
        while last > map_start:
            start = max(round_down(last - 1, step), map_start)
            step, mapped = self._grown(step, mapped, self._map_ram(start, last))
            # Steps through a hole change nothing: they are taken at once.
            last = self._min_mapped = max(min(start, round_up(self._ram_below(start, map_start), step)), map_start)
        if real_end < map_end:
            self._map_ram(real_end, map_end)

    def _map_upwards(self) -> None:
        """memory_map_bottom_up, up to where its steps grow; the window begins where the first one began throughout."""
        start, end, at, step, mapped = self._ascents.pop()
        self._min_mapped = start
        while at < end:
            stop = min(round_up(at + 1, step), end) if end - at > step else end
            before = step
            step, mapped = self._grown(step, mapped, self._map_ram(at, stop))
            at = max(stop, round_down(self._ram_above(stop, end), step))
            if step > before:
                self._ascents.append(_Ascent(start, end, at, step, mapped))
                return

    def _grown(self, step: int, mapped: int, new: int) -> tuple[int, int]:
        """The next step's size, and all that is mapped so far, after a step that mapped `new` bytes of RAM.

        A step maps no more than its size, so one that maps nothing never makes the next one larger.
        """
        grows = new > mapped if self._boot.rules.mapping_growth == "larger" else mapped + new >= step
        return step << self._boot.rules.mapping_step_shift if grows else step, mapped + new

    def _ram_below(self, address: int, limit: int) -> int:
        """The end of the RAM below `address`; `limit` where there is none."""
        ranges = self._boot.memblock.pfn_ranges(None)
        below = (min(end * PAGE_SIZE, address) for start, end, _ in ranges if start * PAGE_SIZE < address)
        return max(below, default=limit)

    def _ram_above(self, address: int, limit: int) -> int:
        """Where RAM begins at or above `address`; `limit` where there is none."""
        ranges = self._boot.memblock.pfn_ranges(None)
        above = (max(start * PAGE_SIZE, address) for start, end, _ in ranges if end * PAGE_SIZE > address)
        return min(above, default=limit)

    def _probe(self, map_start: int, map_end: int) -> int:
        """The end of the highest free, aligned 2M block, where the mapping begins.

        From 5.15 on (commit a7259df76702) the block is allocated and freed again, before that it is only looked for.
        """
        boot = self._boot
        if not boot.rules.mapping_probe_allocates:
            return boot.memblock.find(map_start, map_end, SIZE_2M, SIZE_2M) + SIZE_2M
        caller = "init_mem_mapping"
        found = boot.memory.phys_alloc_range(
            SIZE_2M, SIZE_2M, map_start, map_end, owner=Purpose.PAGE_TABLES, caller=caller
        )
        if not found:
            boot.printk("Failed to release memory for alloc_low_pages()", warning=True)
            return max(map_start, round_down(map_end, SIZE_2M))
        boot.memory.free(found, found + SIZE_2M, owner=Purpose.PAGE_TABLES, caller=caller)
        return found + SIZE_2M

    def _map_ram(self, start: int, end: int) -> int:
        """init_range_memory_mapping: maps the RAM in ``[start, end)``, each region on its own; the bytes mapped."""
        mapped = 0
        for low_pfn, high_pfn, _ in list(self._boot.memblock.pfn_ranges(None)):
            low, high = max(low_pfn * PAGE_SIZE, start), min(high_pfn * PAGE_SIZE, end)
            if low < high:
                # Pages of the buffer that are not in use yet can't be used while they are being mapped themselves.
                self._can_use_brk = max(low, self._next) >= min(high, self._top)
                self.init_memory_mapping(low, high)
                mapped += high - low
        return mapped

    def init_memory_mapping(self, start: int, end: int) -> None:
        """Map ``[start, end)`` and note it as mapped, to the end of its last page."""
        boot = self._boot
        if boot.wording.mapping_lines:
            boot.printk(f"init_memory_mapping: {mem_range(start, end)}")
        needed: dict[str, int] = {}
        since, last = start, end
        for piece in split_mem_range(boot, start, end, self._allowed):
            for part in self._in_order(piece):
                for level, pages in self._tables.fill(part).items():
                    needed[level] = needed.get(level, 0) + pages
                if self._next < self._top and self._can_use_brk:
                    self.take(needed, (since, part.end))
                    needed, since = {}, part.end
            last = self._tables.mapped_end(piece.end)
        self.take(needed, (since, end))
        start_pfn, end_pfn = start >> PAGE_SHIFT, last >> PAGE_SHIFT
        boot.direct_map.mapped.add(start_pfn, end_pfn)
        boot.direct_map.max_pfn_mapped = max(boot.direct_map.max_pfn_mapped, end_pfn)
        if start_pfn < _LOW_END_PFN:
            boot.direct_map.max_low_pfn_mapped = max(boot.direct_map.max_low_pfn_mapped, min(end_pfn, _LOW_END_PFN))

    def _in_order(self, piece: Piece) -> Iterator[Piece]:
        """`piece` slot by slot while the buffer lasts, so that its pages go to levels in their order; then the rest."""
        at = piece.start
        while at < piece.end:
            more = self._next < self._top and self._can_use_brk and not piece.sizes.pud
            stop = min(round_up(at + 1, GIB), piece.end) if more else piece.end
            yield Piece(at, stop, piece.sizes)
            at = stop

    def take(self, needed: dict[str, int], mapped: tuple[int, int]) -> None:
        """alloc_low_pages for all of `needed` (pages by level, in their order), to map the range `mapped`."""
        from_brk = (self._top - self._next) // PAGE_SIZE if self._can_use_brk else 0
        rest: dict[str, int] = {}
        for level, pages in needed.items():
            now = min(pages, from_brk)
            if now:
                end = self._next + now * PAGE_SIZE
                self._boot.direct_map.table_runs.append(TableRun(level, "brk", self._next, end, now, None, mapped))
                self._next = end
                from_brk -= now
            if pages > now:
                rest[level] = pages - now
        count = sum(rest.values())
        if not count:
            return
        start, end = self._alloc_low_pages(count)
        for level, pages in rest.items():
            self._boot.direct_map.table_runs.append(TableRun(level, "memblock", start, end, pages, None, mapped))

    def _alloc_low_pages(self, count: int) -> tuple[int, int]:
        """`count` pages from the mapped window; where they lie, from the lowest to the highest."""
        boot = self._boot
        low, high = self._min_mapped, boot.direct_map.max_pfn_mapped * PAGE_SIZE
        runs = (
            boot.memory.phys_alloc_range_run(
                PAGE_SIZE, PAGE_SIZE, low, high, count, owner=Purpose.PAGE_TABLES, caller="alloc_low_pages"
            )
            if low < high
            else []
        )
        if runs and not low <= runs[-1].start < high:
            raise NotCoveredError(
                "a page of the page tables was found above 4 GiB, and Linux of this version keeps such an address in "
                f"32 bits: it takes {runs[-1].start:#x}, for the next page as well; what comes of it is not replayed"
            )
        if sum(run.count for run in runs) < count:
            raise BootPanic(
                "alloc_low_pages: can not alloc memory",
                f"the page tables need {count} pages more, and RAM that is mapped so far"
                f" ({mem_range(low, high) if low < high else 'none'}) has too few free ones",
            )
        return min(run.start for run in runs), max(run.end for run in runs)

    def mappings(self) -> Iterator[MappedRange]:
        """What the direct map maps, upwards, each stretch with the size of its pages."""
        for start_pfn, end_pfn in self._boot.direct_map.mapped:
            start, end = start_pfn * PAGE_SIZE, end_pfn * PAGE_SIZE
            for low, high, split in _by_table(self._tables.pmd, start, end, _PUD_SHIFT):
                if not split:
                    yield MappedRange(low, high, GIB)
                    continue
                for first, stop, small in _by_table(self._tables.pte, low, high, _PMD_SHIFT):
                    yield MappedRange(first, stop, PAGE_SIZE if small else SIZE_2M)


def _by_table(tables: RangeSet, start: int, end: int, shift: int) -> list[tuple[int, int, bool]]:
    """``[start, end)`` cut by whether its units of ``1 << shift`` bytes have a table."""
    units = _units(start, end, shift)
    parts = [(*part, True) for part in tables.within(*units)] + [(*part, False) for part in tables.outside(*units)]
    return [(max(start, low << shift), min(end, high << shift), split) for low, high, split in sorted(parts)]
