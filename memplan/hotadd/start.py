"""The machine as it stands before the first step: its memory blocks, zones and nodes after a planned boot."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from memplan.hotadd.settings import settings_of
from memplan.machine.cmdline import CommandLine
from memplan.machine.model import E820_RAM
from memplan.owner import Purpose
from memplan.ranges import RangeSet
from memplan.units import (
    GIB,
    PAGE_SHIFT,
    PAGE_SIZE,
    SECTION_SIZE,
    TIB,
    memparse,
    pfn_down,
    pfn_up,
    round_down,
    round_up,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from memplan.hotadd.boot_log import BootLog
    from memplan.hotadd.rules import HotplugRules
    from memplan.kernel.model import Kernel
    from memplan.machine.model import Machine
    from memplan.plan import Plan, Zone

#: The pages in one step of the walk that told a block's zone before 5.18 (MAX_ORDER_NR_PAGES).
_BUDDY_PAGES = 1024
_MOVABLE = "Movable"
_CMA = frozenset({Purpose.CMA, Purpose.HUGETLB_CMA})
#: What goes to the page allocator later, or is counted as if it did.
_FREED_LATER = _CMA | {Purpose.INITRD, Purpose.GIGANTIC_PAGES, Purpose.EFI_BOOT_SERVICES}
_DEFAULT_PADDING = 10
#: Facts that MemTotal does not rest on: where the image can lie, and sizes that no build of a version changes.
_NOT_COUNTED = frozenset(
    f"image.{name}"
    for name in ("brk_limit", "end", "init_size", "input_data", "kernel_alignment", "output_len", "total_size")
) | frozenset(f"struct.{name}" for name in ("efi_memory_desc_t", "prb_desc", "printk_info", "zone"))


class StartBlock(NamedTuple):
    """A block at the start: `zone` None means several, and then `zones` names them.

    `present` counts its pages of RAM; `fixed` says why it can never go off-line ("": it may).
    """

    number: int
    nid: int
    online: bool
    zone: str | None
    zones: tuple[str, ...]
    present: int
    fixed: str = ""


class StartZone(NamedTuple):
    """A zone at the start: it spans page frames ``[start_pfn, end_pfn)``; `present` are on-line, `cma` are CMA's.

    `early` are those of the pages present at boot that are still on-line.
    """

    nid: int
    name: str
    start_pfn: int
    end_pfn: int
    present: int
    early: int
    cma: int = 0


class Start(NamedTuple):
    """All that later memory meets.  Bytes, but for what is called pfn or present.

    `domains` maps proximity domains to nodes, `possible` are the nodes that may ever come, `ranges` tells which
    addresses belonged to which node at boot, and `fallback` is the node of addresses that belonged to none.  `ram` and
    `reserved` are taken in the resource tree, `cpu_nodes` have CPUs.  `window` is where hot-plugged memory lies unless
    it is told otherwise.  `direct_map_end` is the end of what KASLR has left room for (None: as far as `address_bits`
    go).  `total` is MemTotal (None: not known), and `total_note` says why it isn't.  With a
    `balloon` (Hyper-V's) memory comes without an ACPI device, and so without a domain.
    """

    block_size: int
    blocks: tuple[StartBlock, ...]
    zones: tuple[StartZone, ...]
    domains: dict[int, int]
    possible: frozenset[int]
    ranges: tuple[tuple[int, int, int], ...]
    fallback: int
    ram: tuple[tuple[int, int], ...]
    reserved: tuple[tuple[int, int], ...]
    cpu_nodes: frozenset[int]
    window: int
    address_bits: int
    direct_map_end: int | None
    total: int | None
    total_note: str = ""
    balloon: bool = False

    @property
    def kernel_memory(self) -> int:
        """RAM in the kernel's zones."""
        return sum(zone.present for zone in self.zones if zone.name != _MOVABLE) << PAGE_SHIFT


def start_of(plan: Plan, machine: Machine, kernel: Kernel, logged: BootLog | None = None) -> Start:
    """The machine after the boot that `plan` tells of; `logged` is what its own log tells."""
    total, note = _total(plan, machine, kernel, logged)
    if total is not None:
        total += _freed_maps(kernel, machine.cmdline)
    ram = _ram(plan)
    size = plan.block_size if logged is None or logged.block_size is None else logged.block_size
    trimmed = machine.kernel.randomized and kernel.config("RANDOMIZE_MEMORY")
    trimmed = trimmed and not (kernel.rules.hotplug.direct_map_whole and kernel.config("ZONE_DEVICE"))
    ranges = tuple((start, end, node.nid) for node in plan.nodes for start, end in node.ranges)
    return Start(
        block_size=size,
        blocks=tuple(_blocks(plan, size, kernel.rules.hotplug, ram)),
        zones=tuple(
            StartZone(
                zone.nid, zone.name, zone.start_pfn, zone.start_pfn + zone.spanned, zone.present, zone.present, cma
            )
            for zone in plan.zones
            for cma in (_cma_pages(plan, zone),)
        ),
        domains=dict(plan.domains),
        possible=frozenset(plan.possible_nodes),
        ranges=ranges,
        fallback=_first_srat_node(plan, machine),
        ram=tuple((entry.start, entry.end) for entry in machine.e820 if entry.type == E820_RAM),
        reserved=tuple(_reserved(machine)),
        cpu_nodes=frozenset(node.nid for node in plan.nodes if node.cpus),
        window=window_of(machine),
        address_bits=52 if plan.page_tables.levels == 5 else 46,
        direct_map_end=_direct_map_end(ram, kernel) if trimmed else None,
        total=total,
        total_note=note,
        balloon=machine.hypervisor == "hyperv",
    )


def _cma_pages(plan: Plan, zone: Zone) -> int:
    """The zone's pages in CMA areas."""
    start, end = zone.span
    areas = (own for own in plan.reservations if own.owner.kind in _CMA and own.nid in (None, zone.nid))
    return sum(max(0, min(own.end, end) - max(own.start, start)) for own in areas) >> PAGE_SHIFT


def window_of(machine: Machine) -> int:
    """Where a hypervisor's hot-plugged memory begins: behind RAM, not below 4 GiB, at a whole GiB."""
    end = max((entry.end for entry in machine.e820 if entry.type == E820_RAM), default=0)
    return round_up(max(end, 4 * GIB), GIB)


def _ram(plan: Plan) -> list[tuple[int, int]]:
    """The boot's RAM in whole pages, neighbours joined."""
    return list(
        RangeSet(
            (round_up(start, PAGE_SIZE), round_down(end, PAGE_SIZE))
            for node in plan.nodes
            for start, end in node.ranges
            if round_up(start, PAGE_SIZE) < round_down(end, PAGE_SIZE)
        )
    )


def _first_srat_node(plan: Plan, machine: Machine) -> int:
    """The node of the SRAT's first range that had RAM at boot (the kernel's numa_meminfo.blk[0])."""
    known = {node.pxm: node for node in plan.nodes if node.pxm is not None}
    for entry in machine.srat.memory if machine.srat is not None else ():
        node = known.get(entry.pxm)
        end = entry.base + entry.length
        if entry.enabled and node is not None and any(a < end and b > entry.base for a, b in node.ranges):
            return node.nid
    return min((node.nid for node in plan.nodes), default=0)


def _reserved(machine: Machine) -> Iterator[tuple[int, int]]:
    """What stands in the resource tree beside RAM: the map's other entries, and those of memmap=."""
    for entry in machine.e820:
        if entry.type != E820_RAM:
            yield entry.start, entry.end
    for value in CommandLine(machine.cmdline).all("memmap"):
        for word in value.split(","):
            size, rest = memparse(word)
            if rest[:1] in ("$", "#", "!"):
                place, _ = memparse(rest[1:])
                yield place, place + size


def _direct_map_end(ram: list[tuple[int, int]], kernel: Kernel) -> int:
    """The end of the direct map's room under KASLR of memory regions (kernel_randomize_memory)."""
    padding = kernel.facts.get("config.RANDOMIZE_MEMORY_PHYSICAL_PADDING")
    tib = padding if isinstance(padding, int) and not isinstance(padding, bool) else _DEFAULT_PADDING
    return round_up(max((end for _, end in ram), default=0), TIB) + tib * TIB


# -- MemTotal ---------------------------------------------------------------------------------------------------------


def _total(plan: Plan, machine: Machine, kernel: Kernel, logged: BootLog | None) -> tuple[int | None, str]:
    """MemTotal after the boot: what memblock hands over, and what is freed later; or why it isn't known.

    Later come the image's parts that are no longer needed (free_initmem, mark_rodata_ro, alternatives for one CPU),
    and the initrd.  What a log tells of these goes before what the plan and the build's facts do.
    """
    freed = _freed(machine, kernel, logged)
    if freed is None:
        return None, (
            f"MemTotal is not known, only its growth: how much of its image kernel {kernel.name} frees after boot is "
            "not among its facts (image.freed; memplan kernel learns it)"
        )
    if logged is not None and logged.handed_over is not None:
        # CMA's areas are counted by the log's line already.
        later = _FREED_LATER - _CMA - ({Purpose.INITRD} if logged.initrd is not None else set())
        if logged.locks_before:
            # The line comes so late in this version that EFI's boot services have been freed before it, too.
            later -= {Purpose.EFI_BOOT_SERVICES}
        return logged.handed_over + freed + _freed_later(plan, machine, later) + (logged.initrd or 0), ""
    if any(fact.startswith(("image.", "struct.")) for fact in kernel.borrowed - _NOT_COUNTED):
        return None, (
            f"MemTotal is not known, only its growth: sizes of kernel {kernel.name} are another build's; the "
            "boot's log tells it"
        )
    if plan.random_steps and machine.kernel.randomized and not CommandLine(machine.cmdline).has("nokaslr"):
        return None, (
            "MemTotal is not known, only its growth: KASLR decides how many page tables there are; the boot's log "
            "tells it"
        )
    if any(own.owner.kind is Purpose.EFI_BOOT_SERVICES for own in plan.reservations):
        return None, (
            "MemTotal is not known, only its growth: how many pages EFI's boot services give back is not known; the "
            "boot's log tells it"
        )
    return plan.free_size + freed + _freed_later(plan, machine, _FREED_LATER), ""


def _freed_maps(kernel: Kernel, cmdline: str) -> int:
    """Bytes of memory maps that huge pages give back as the boot allocates them."""
    settings = settings_of(kernel, cmdline)
    return settings.boot_huge_pages * kernel.rules.hotplug.hugetlb_freed_map if settings.hugetlb_frees_maps else 0


def _freed(machine: Machine, kernel: Kernel, logged: BootLog | None) -> int | None:
    """Bytes of the image that are freed after the hand-over (None: not known)."""
    if logged is not None and logged.handed_over is not None and logged.freed is not None:
        return logged.freed
    fact = kernel.facts.get("image.freed")
    if not isinstance(fact, int) or "image.freed" in kernel.borrowed:
        return None
    kept = machine.cpus.present == 1 and machine.cpus.possible > 1
    locks = 0 if kept or (logged is not None and logged.locks_before) else kernel.facts.get("image.smp_locks", 0)
    return fact + int(locks)


def _freed_later(plan: Plan, machine: Machine, kinds: frozenset[Purpose]) -> int:
    """What of these `kinds` is reserved at the hand-over, and freed, or counted as if it were."""
    retained = CommandLine(machine.cmdline).has("retain_initrd")
    return sum(
        (pfn_up(own.end) - pfn_down(own.start)) << PAGE_SHIFT
        for own in plan.reservations
        if own.owner.kind in kinds and not (retained and own.owner.kind is Purpose.INITRD)
    )


# -- blocks -----------------------------------------------------------------------------------------------------------


def _blocks(plan: Plan, size: int, rules: HotplugRules, ram: list[tuple[int, int]]) -> Iterator[StartBlock]:
    """The blocks that hold RAM, upwards, each with its node and zone as sysfs tells them."""
    sections = RangeSet((round_down(start, SECTION_SIZE), round_up(end, SECTION_SIZE)) for start, end in ram)
    everything = RangeSet(ram)
    indices = sorted({index for start, end in sections for index in range(start // size, -(-end // size))})
    ranges = [(low, high, node.nid) for node in plan.nodes for low, high in node.ranges]
    spans = [(*zone.span, zone) for zone in plan.zones if zone.present > 0]
    for index in indices:
        start, end = index * size, (index + 1) * size
        nodes = list(dict.fromkeys([nid for low, high, nid in ranges if low < end and high > start]))
        nid = max(nodes, key=str)
        touched = [zone for low, high, zone in spans if low < end and high > start]
        present = sum(high - low for low, high in everything.within(start, end)) >> PAGE_SHIFT
        zone = _zone_of(touched, nodes, start, end, sections, rules)
        fixed = ""
        if present << PAGE_SHIFT != size:
            fixed = "it has holes, and only whole blocks go off-line"
        elif zone is None:
            fixed = "it lies in more than one zone"
        elif zone == _MOVABLE and not any(low <= start and end <= high for _, low, high in plan.movable):
            fixed = "boot memory that was reserved lies in it"
        yield StartBlock(index, nid, True, zone, tuple(z.name for z in touched), present, fixed)


def _zone_of(
    touched: list[Zone], nodes: list[int], start: int, end: int, sections: RangeSet, rules: HotplugRules
) -> str | None:
    """The zone that a boot block is said to be in; None for none, or more than one."""
    if len(touched) != 1 or len(nodes) != 1:
        return None
    zone = touched[0]
    if rules.boot_block_zone == "pages" and not _zone_spans(zone, _steps(start, end, sections)):
        return None
    return zone.name


def _steps(start: int, end: int, sections: RangeSet) -> Iterable[int]:
    """The page frames at which test_pages_in_a_zone looks."""
    for low, high in sections.within(start, end):
        yield from range(low >> PAGE_SHIFT, high >> PAGE_SHIFT, _BUDDY_PAGES)


def _zone_spans(zone: Zone, pfns: Iterable[int]) -> bool:
    last = zone.start_pfn + zone.spanned
    return all(zone.start_pfn <= pfn < last for pfn in pfns)
