"""The per-CPU areas of the first chunk: mm/percpu.c's embedding allocator, as x86 uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.state import BootPanic
from memplan.units import KIB, MIB, PAGE_SIZE, SIZE_2M, round_up

if TYPE_CHECKING:
    from memplan.boot.state import Boot

_DMA_END = 16 * MIB
_MIN_UNIT = 32 * KIB
_MODULE_RESERVE = 8 * KIB
#: The smallest unit that the bitmaps of a chunk count (PCPU_MIN_ALLOC_SIZE).
_BITMAP_UNIT = 4


def setup_per_cpu_areas(boot: Boot) -> None:
    """Allocates each node's CPUs' units, gives back what the units don't use, then the chunks' own books."""
    kernel, rules = boot.kernel, boot.rules
    groups = _groups(boot)
    static = kernel.fact("image.percpu_static")
    reserved = _MODULE_RESERVE if kernel.config("MODULES") else 0
    used = round_up(static + reserved + rules.percpu_dynamic_reserve, PAGE_SIZE)
    dynamic = used - static - reserved
    units_per_alloc, unit_size = _units(max(used, _MIN_UNIT), groups)
    slots = [round_up(len(cpus), units_per_alloc) for cpus in groups.values()]

    info_size = _alloc_info_size(boot, slots)
    info = boot.alloc_or_panic(info_size, rules.percpu_info_align, owner="percpu info", caller="pcpu_build_alloc_info")
    areas_size = round_up(8 * len(groups), PAGE_SIZE)
    areas = boot.alloc_or_panic(areas_size, owner="percpu info", caller="pcpu_embed_first_chunk")
    bases = []
    for (nid, _), count in zip(groups.items(), slots, strict=True):
        base = boot.alloc(
            count * unit_size,
            SIZE_2M,
            min_addr=_DMA_END,
            nid=nid if nid in boot.numa.online else None,
            owner="percpu",
            caller="pcpu_fc_alloc",
        )
        if not base:
            raise BootPanic(
                "Failed to initialize percpu areas (error=-12).",
                f"no free block holds the {count * unit_size} bytes of node {nid}'s per-CPU areas",
            )
        bases.append(base)
    for base, count, cpus in zip(bases, slots, groups.values(), strict=True):
        for unit in range(count):
            start = base + unit * unit_size
            boot.free(
                start + used if unit < len(cpus) else start,
                start + unit_size,
                owner="percpu",
                caller="pcpu_fc_free",
            )
    sizes = f"s{static} r{reserved} d{dynamic} u{unit_size}"
    if rules.percpu_chunk == "3.13":
        sizes = f"@{boot.direct_map_base + min(bases):x} {sizes}"
    boot.printk(f"{rules.percpu_prefix}Embedded {used // PAGE_SIZE} pages/cpu {sizes}")
    _setup_first_chunk(boot, len(groups), static, reserved, dynamic, unit_size)
    boot.free(info, info + info_size, owner="percpu info", caller="pcpu_free_alloc_info")
    boot.free(areas, areas + areas_size, owner="percpu info", caller="pcpu_embed_first_chunk")


def _groups(boot: Boot) -> dict[int, tuple[int, ...]]:
    """The CPUs of each node, in the order in which CPU numbers meet the nodes."""
    groups: dict[int, list[int]] = {}
    for cpu, nid in enumerate(boot.numa.cpu_to_node):
        groups.setdefault(nid, []).append(cpu)
    return {nid: tuple(cpus) for nid, cpus in groups.items()}


def _units(min_unit: int, groups: dict[int, tuple[int, ...]]) -> tuple[int, int]:
    """How many units share one 2 MiB-grained allocation, and a unit's size (pcpu_build_alloc_info).

    The most units that waste no more than a third of the CPUs' number, and that need the fewest allocations.
    """
    alloc_size = round_up(min_unit, SIZE_2M)
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


def _alloc_info_size(boot: Boot, slots: list[int]) -> int:
    """pcpu_alloc_alloc_info: a header, one entry a group, and the map of all units, in whole pages."""
    header = round_up(
        boot.kernel.fact("struct.pcpu_alloc_info") + len(slots) * boot.kernel.fact("struct.pcpu_group_info"), 4
    )
    return round_up(header + 4 * sum(slots), PAGE_SIZE)


def _setup_first_chunk(boot: Boot, groups: int, static: int, reserved: int, dynamic: int, unit_size: int) -> None:
    """pcpu_setup_first_chunk: maps and offsets, the lists of chunks, then the chunks of the first area."""
    rules = boot.rules
    cpus = boot.possible_cpus
    for what, size in (
        ("percpu group offsets", 8 * groups),
        ("percpu group sizes", 8 * groups),
        ("percpu unit map", 4 * cpus),
        ("percpu unit offsets", 8 * cpus),
    ):
        boot.alloc_or_panic(size, owner=what, caller="pcpu_setup_first_chunk")
    lists = unit_size.bit_length() - 3 + rules.percpu_extra_lists
    if rules.percpu_lists_per_memcg and boot.kernel.config("MEMCG_KMEM"):
        lists *= 2
    boot.alloc_or_panic(16 * lists, owner="percpu chunk lists", caller="pcpu_setup_first_chunk")
    if rules.percpu_chunk == "3.13":
        for _ in range(2 if reserved else 1):
            size = boot.kernel.fact("struct.pcpu_chunk") + unit_size // PAGE_SIZE // 8
            boot.alloc_or_panic(round_up(size, 8), owner="percpu chunk", caller="pcpu_setup_first_chunk")
        return
    # A first chunk for the modules' reserve comes first, then the dynamic one; each begins where static data ends.
    if reserved:
        _first_chunk(boot, static, reserved)
    _first_chunk(boot, static + reserved, dynamic)


def _first_chunk(boot: Boot, offset: int, size: int) -> None:
    """pcpu_alloc_first_chunk: the chunk, its allocation and boundary bitmaps, and a block of metadata a page."""
    head = offset % PAGE_SIZE
    region = round_up(head + size, PAGE_SIZE)
    pages = region // PAGE_SIZE
    bits = region // _BITMAP_UNIT
    kernel = boot.kernel
    for what, length in (
        ("percpu chunk", kernel.fact("struct.pcpu_chunk") + 8 * -(-pages // 64)),
        ("percpu allocation map", 8 * -(-bits // 64)),
        ("percpu boundary map", 8 * -(-(bits + 1) // 64)),
        ("percpu block metadata", pages * kernel.fact("struct.pcpu_block_md")),
    ):
        boot.alloc_or_panic(length, owner=what, caller="pcpu_alloc_first_chunk")
