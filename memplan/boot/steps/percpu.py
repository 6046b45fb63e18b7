"""The per-CPU areas of the first chunk: mm/percpu.c's two allocators, as x86 uses them."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from memplan.boot.panic import BootPanic
from memplan.boot.registry import step
from memplan.owner import Purpose
from memplan.units import GIB, KIB, MIB, PAGE_SIZE, SIZE_2M, TIB, round_up

if TYPE_CHECKING:
    from memplan.boot.context import Boot
    from memplan.memblock.memblock import Run

_DMA_END = 16 * MIB
_MIN_UNIT = 32 * KIB
_MODULE_RESERVE = 8 * KIB
#: Dynamic memory grows by as much where each kind of kmalloc has many caches.
_RANDOM_KMALLOC = 4
#: The smallest unit that the bitmaps of a chunk count (PCPU_MIN_ALLOC_SIZE).
_BITMAP_UNIT = 4
#: The vmalloc area with page tables of four levels (VMALLOC_TOTAL); areas further apart than 3/4 of it can't be
#: embedded.  With five levels it is larger than all memory that there can be.
_VMALLOC = 32 * TIB - 1
_ENOMEM, _EINVAL = 12, 22


class _Layout(NamedTuple):
    """What pcpu_build_alloc_info decides: bytes of each part of a unit, units of each group, and the unit's size."""

    static: int
    reserved: int
    dynamic: int
    unit_size: int
    slots: tuple[int, ...]

    @property
    def used(self) -> int:
        """The bytes of a unit that are in use."""
        return self.static + self.reserved + self.dynamic


@step("arch/x86/kernel/setup_percpu.c")
def setup_per_cpu_areas(boot: Boot) -> None:
    """Allocates the CPUs' units and then the chunks' own books.

    The areas are embedded in the direct map, or mapped page by page with percpu_alloc=page and where that fails.
    """
    if boot.cmdline.last("percpu_alloc") == "page":
        _map_pages(boot)
        return
    error = _embed(boot)
    if error:
        boot.printk(f"setup_percpu: auto allocator failed ({error}), falling back to page size", warning=True)
        _map_pages(boot)


def _embed(boot: Boot) -> int:
    """pcpu_embed_first_chunk: one block for each node's CPUs, less what the units don't use; the error, 0 for none."""
    rules = boot.rules
    groups = _groups(boot)
    layout, info, info_size = _build_info(boot, rules.percpu_dynamic_reserve, SIZE_2M, groups)
    areas_size = round_up(8 * len(groups), PAGE_SIZE)
    areas = boot.memory.alloc_or_panic(areas_size, owner=Purpose.PERCPU_INFO, caller="pcpu_embed_first_chunk")
    bases: list[int] = []
    error = 0
    for (nid, _), count in zip(groups.items(), layout.slots, strict=True):
        base = _alloc_units(boot, nid, count * layout.unit_size, SIZE_2M)
        if not base:
            error = -_ENOMEM
            break
        bases.append(base)
    tested_late = rules.percpu_distance_test == "behind the freeing"
    if not error and tested_late:
        _free_unused(boot, bases, layout, groups)
    if not error:
        error = _distance_error(boot, bases, layout)
    if error and not (tested_late and error == -_EINVAL):
        for base, count in zip(bases, layout.slots, strict=False):
            boot.memory.free(base, base + count * layout.unit_size, owner=Purpose.PERCPU, caller="pcpu_fc_free")
    if not error:
        if not tested_late:
            _free_unused(boot, bases, layout, groups)
        sizes = f"s{layout.static} r{layout.reserved} d{layout.dynamic} u{layout.unit_size}"
        if rules.percpu_base != "not told":
            told = (
                f"{boot.params.direct_map_base + min(bases):x}" if rules.percpu_base == "told" else "(____ptrval____)"
            )
            sizes = f"@{told} {sizes}"
        boot.printk(f"{boot.wording.percpu}Embedded {layout.used // PAGE_SIZE} pages/cpu {sizes}")
        _setup_first_chunk(boot, layout)
    boot.memory.free(info, info + info_size, owner=Purpose.PERCPU_INFO, caller="pcpu_free_alloc_info")
    boot.memory.free(areas, areas + areas_size, owner=Purpose.PERCPU_INFO, caller="pcpu_embed_first_chunk")
    return error


def _distance_error(boot: Boot, bases: list[int], layout: _Layout) -> int:
    """-EINVAL where the areas lie too far apart for the vmalloc area, with a line that says so; else 0.

    Up to 4.8 the last area counts as one unit, from 4.9 on with all its units.
    """
    if boot.params.levels == 5:
        return 0
    whole = boot.rules.percpu_distance_test == "before the freeing"
    areas = [
        (base, base + (count if whole else 1) * layout.unit_size)
        for base, count in zip(bases, layout.slots, strict=True)
    ]
    if boot.memory.lie_within(areas, _VMALLOC * 3 // 4):
        return 0
    distance = boot.memory.spread(areas)
    boot.printk(
        f"{boot.wording.percpu}max_distance={distance:#x} too large for vmalloc space {_VMALLOC:#x}", warning=True
    )
    return -_EINVAL


def _map_pages(boot: Boot) -> None:
    """pcpu_page_first_chunk: single pages of each CPU's node, mapped at the start of the vmalloc area."""
    everyone = {0: tuple(range(boot.params.possible_cpus))}
    layout, info, info_size = _build_info(boot, boot.rules.percpu_dynamic_early, PAGE_SIZE, everyone)
    count = layout.unit_size // PAGE_SIZE
    list_size = round_up(8 * count * boot.params.possible_cpus, PAGE_SIZE)
    pages = boot.memory.alloc_or_panic(list_size, owner=Purpose.PERCPU_INFO, caller="pcpu_page_first_chunk")
    taken: list[Run] = []
    wanted = 0
    # CPUs of one node that follow one another take their pages in one go.
    for nid, cpus in groupby(boot.nodes.cpu_to_node):
        wanted += count * sum(1 for _ in cpus)
        got = sum(run.count for run in taken)
        taken += boot.memory.alloc_runs(
            wanted - got,
            PAGE_SIZE,
            PAGE_SIZE,
            min_addr=_DMA_END,
            nid=_near(boot, nid),
            owner=Purpose.PERCPU,
            caller="pcpu_fc_alloc",
        )
        got = sum(run.count for run in taken)
        if got < wanted:
            cpu = got // count
            boot.printk(f"{boot.wording.percpu}failed to allocate 4K page for cpu{cpu}", warning=True)
            for run in reversed(taken):
                boot.memory.free_run(run, owner=Purpose.PERCPU, caller="pcpu_fc_free")
            _free_books(boot, (pages, list_size), (info, info_size))
            raise BootPanic(
                f"cannot initialize percpu area (err=-{_ENOMEM})",
                f"no free memory is left for CPU {cpu}'s {layout.unit_size} bytes of per-CPU area",
            )
    mapped = layout.unit_size * boot.params.possible_cpus
    tables = (boot.params.levels == 5) + sum(-(-mapped // size) for size in (512 * GIB, GIB, SIZE_2M))
    boot.memory.alloc_run(tables, PAGE_SIZE, PAGE_SIZE, owner=Purpose.PERCPU_PAGE_TABLES, caller="spp_getpage")
    sizes = f"s{layout.static} r{layout.reserved} d{layout.dynamic}"
    boot.printk(f"{boot.wording.percpu}{count} 4K pages/cpu {sizes}")
    _setup_first_chunk(boot, layout)
    _free_books(boot, (pages, list_size), (info, info_size))


def _free_books(boot: Boot, pages: tuple[int, int], info: tuple[int, int]) -> None:
    """Gives back the list of pages and the layout's block, each with its place and size."""
    for (start, size), caller in ((pages, "pcpu_page_first_chunk"), (info, "pcpu_free_alloc_info")):
        boot.memory.free(start, start + size, owner=Purpose.PERCPU_INFO, caller=caller)


def _build_info(
    boot: Boot, dynamic_reserve: int, atom: int, groups: dict[int, tuple[int, ...]]
) -> tuple[_Layout, int, int]:
    """The layout, and the place and size of the block that the kernel notes it in."""
    rules, kernel = boot.rules, boot.kernel
    static = kernel.fact("image.percpu_static")
    if rules.percpu_random_kmalloc and kernel.config("RANDOM_KMALLOC_CACHES"):
        dynamic_reserve *= _RANDOM_KMALLOC
    reserved = 0
    if kernel.config("MODULES"):
        reserved = rules.percpu_profiling_reserve if kernel.config("MEM_ALLOC_PROFILING") else _MODULE_RESERVE
    used = round_up(static + reserved + dynamic_reserve, PAGE_SIZE)
    units_per_alloc, unit_size = _units(max(used, _MIN_UNIT), atom, groups)
    slots = tuple(round_up(len(cpus), units_per_alloc) for cpus in groups.values())
    size = _alloc_info_size(boot, slots)
    align = rules.percpu_info_align
    info = boot.memory.alloc_or_panic(size, align, owner=Purpose.PERCPU_INFO, caller="pcpu_build_alloc_info")
    return _Layout(static, reserved, used - static - reserved, unit_size, slots), info, size


def _alloc_units(boot: Boot, nid: int, size: int, align: int) -> int:
    """pcpu_fc_alloc: memory of the node, or of any where it is not on-line; 0 where there is none."""
    return boot.memory.alloc(
        size, align, min_addr=_DMA_END, nid=_near(boot, nid), owner=Purpose.PERCPU, caller="pcpu_fc_alloc"
    )


def _near(boot: Boot, nid: int) -> int | None:
    """The node from which a CPU of `nid` gets its memory; None for any."""
    return nid if nid in boot.nodes.online else None


def _free_unused(boot: Boot, bases: list[int], layout: _Layout, groups: dict[int, tuple[int, ...]]) -> None:
    """Gives back whole units without a CPU, and what lies behind the used part of the others."""
    for base, count, cpus in zip(bases, layout.slots, groups.values(), strict=True):
        for unit in range(count):
            start = base + unit * layout.unit_size
            boot.memory.free(
                start + layout.used if unit < len(cpus) else start,
                start + layout.unit_size,
                owner=Purpose.PERCPU,
                caller="pcpu_fc_free",
            )


def _groups(boot: Boot) -> dict[int, tuple[int, ...]]:
    """The CPUs of each node, in the order in which CPU numbers meet the nodes."""
    groups: dict[int, list[int]] = {}
    for cpu, nid in enumerate(boot.nodes.cpu_to_node):
        groups.setdefault(nid, []).append(cpu)
    return {nid: tuple(cpus) for nid, cpus in groups.items()}


def _units(min_unit: int, atom: int, groups: dict[int, tuple[int, ...]]) -> tuple[int, int]:
    """How many units share one allocation of whole `atom` bytes, and a unit's size (pcpu_build_alloc_info).

    The most units that waste no more than a third of the CPUs' number, and that need the fewest allocations.
    """
    alloc_size = round_up(min_unit, atom)
    possible = sum(map(len, groups.values()))
    best = upa = alloc_size // min_unit
    last_allocs = None
    found = False
    while upa:
        if alloc_size % upa == 0 and (alloc_size // upa) % PAGE_SIZE == 0:
            per_group = [-(-len(cpus) // upa) for cpus in groups.values()]
            allocs = sum(per_group)
            wasted = sum(n * upa - len(cpus) for n, cpus in zip(per_group, groups.values(), strict=True))
            if wasted <= possible // 3:
                if last_allocs is not None and allocs > last_allocs:
                    break
                last_allocs, best, found = allocs, upa, True
        upa -= 1
    assert found, "one unit an allocation never wastes any"
    return best, alloc_size // best


def _alloc_info_size(boot: Boot, slots: tuple[int, ...]) -> int:
    """pcpu_alloc_alloc_info: a header, one entry a group, and the map of all units, in whole pages."""
    header = round_up(
        boot.kernel.fact("struct.pcpu_alloc_info") + len(slots) * boot.kernel.fact("struct.pcpu_group_info"), 4
    )
    return round_up(header + 4 * sum(slots), PAGE_SIZE)


def _setup_first_chunk(boot: Boot, layout: _Layout) -> None:
    """pcpu_setup_first_chunk: maps and offsets, the lists of chunks, then the chunks of the first area."""
    rules = boot.rules
    cpus = boot.params.possible_cpus
    for what, size in (
        (Purpose.PERCPU_GROUP_OFFSETS, 8 * len(layout.slots)),
        (Purpose.PERCPU_GROUP_SIZES, 8 * len(layout.slots)),
        (Purpose.PERCPU_UNIT_MAP, 4 * cpus),
        (Purpose.PERCPU_UNIT_OFFSETS, 8 * cpus),
    ):
        boot.memory.alloc_or_panic(size, owner=what, caller="pcpu_setup_first_chunk")
    lists = layout.unit_size.bit_length() - 3 + rules.percpu_extra_lists
    if rules.percpu_lists_per_memcg and boot.kernel.config("MEMCG_KMEM"):
        lists *= 2
    boot.memory.alloc_or_panic(16 * lists, owner=Purpose.PERCPU_CHUNK_LISTS, caller="pcpu_setup_first_chunk")
    if rules.percpu_chunk == "structs":
        for _ in range(2 if layout.reserved else 1):
            size = boot.kernel.fact("struct.pcpu_chunk") + layout.unit_size // PAGE_SIZE // 8
            boot.memory.alloc_or_panic(round_up(size, 8), owner=Purpose.PERCPU_CHUNK, caller="pcpu_setup_first_chunk")
        return
    # A first chunk for the modules' reserve comes first, then the dynamic one; each begins where static data ends.
    if layout.reserved:
        _first_chunk(boot, layout.static, layout.reserved)
    _first_chunk(boot, layout.static + layout.reserved, layout.dynamic)


def _first_chunk(boot: Boot, offset: int, size: int) -> None:
    """pcpu_alloc_first_chunk: the chunk, its allocation and boundary bitmaps, and a block of metadata a page."""
    head = offset % PAGE_SIZE
    region = round_up(head + size, PAGE_SIZE)
    pages = region // PAGE_SIZE
    bits = region // _BITMAP_UNIT
    kernel = boot.kernel
    for what, length in (
        (Purpose.PERCPU_CHUNK, kernel.fact("struct.pcpu_chunk") + boot.rules.percpu_populated_bytes * -(-pages // 64)),
        (Purpose.PERCPU_ALLOCATION_MAP, 8 * -(-bits // 64)),
        (Purpose.PERCPU_BOUNDARY_MAP, 8 * -(-(bits + 1) // 64)),
        (Purpose.PERCPU_BLOCK_METADATA, pages * kernel.fact("struct.pcpu_block_md")),
    ):
        boot.memory.alloc_or_panic(length, owner=what, caller="pcpu_alloc_first_chunk")
