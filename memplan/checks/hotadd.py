"""MP65x and MP903: memory that is to be added after boot, and what will become of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.checks.coverage import enabled, ram_of, range_of
from memplan.checks.model import Found, Subject, rule
from memplan.hotadd.memory import MAP_SHARE, MOST_MOVABLE, MOVABLE
from memplan.hotadd.place import map_pages
from memplan.hotadd.settings import settings_of
from memplan.hotadd.start import start_of
from memplan.units import PAGE_SHIFT, mem_range, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.hotadd.settings import Settings
    from memplan.hotadd.start import Start
    from memplan.machine.model import MemoryAffinity

_GROUP = "hot-plug"
_GUIDE = "Documentation/admin-guide/mm/memory-hotplug.rst"
_STATE = "memhp_default_state"


def _empty(subject: Subject) -> list[tuple[int, MemoryAffinity]]:
    """The SRAT's hot-pluggable entries that hold no RAM at boot, with their places in the table."""
    return subject.once("hot-pluggable ranges without RAM", lambda: list(_without_ram(subject)))


def _without_ram(subject: Subject) -> Iterator[tuple[int, MemoryAffinity]]:
    assert subject.srat is not None
    ram = ram_of(subject)
    for index, entry in enabled(subject.srat):
        start, end = range_of(entry)
        if entry.hotplug and start < end and not ram.within(start, end):
            yield index, entry


def _start(subject: Subject) -> tuple[Start, Settings] | None:
    """The machine after its boot and how its kernel is set; None where the boot dies, or memory has nowhere to go."""
    assert subject.machine is not None
    if not subject.plan.end.completed or not _empty(subject):
        return None
    machine = subject.machine
    start = subject.once("start", lambda: start_of(subject.plan, machine, subject.kernel))
    return start, settings_of(subject.kernel, subject.machine.cmdline)


def _field(index: int) -> str:
    return f"srat.memory[{index}]"


@rule(
    "MP651",
    "hot-range-off-blocks",
    "warning",
    group=_GROUP,
    checks="Hot-pluggable ranges without RAM begin and end at memory blocks.",
    linux="A range that is added must begin at a memory block and be made of whole ones; another is refused, with its "
    "aligned part. Blocks are 128M, and larger on machines from 64G on.",
    mend="Align the range (and the DIMMs in it) to the block size that the message names.",
    reference="check_hotplug_memory_range (mm/memory_hotplug.c); probe_memory_block_size (arch/x86/mm/init_64.c)",
    needs=("srat", "plan"),
)
def hot_range_off_blocks(subject: Subject) -> Iterator[Found]:
    """Empty hot-pluggable ranges that can't be filled as a whole."""
    size = subject.plan.block_size
    for index, entry in _empty(subject):
        start, end = range_of(entry)
        if start % size or end % size:
            text = f"the hot-pluggable range {mem_range(start, end)} is not made of whole memory blocks of"
            yield Found(f"{text} {size_text(size)}: what is added at its edges is refused", _field(index))


@rule(
    "MP652",
    "hot-range-by-address",
    "warning",
    group=_GROUP,
    checks="Where memory's node is found by its address, hot-pluggable ranges without RAM are the first node's.",
    linux="Hyper-V's memory, and with numa=off all of it, goes to the node whose RAM at boot holds the address. A "
    "hot-pluggable range without RAM counts for nothing there: its memory goes to the SRAT's first node.",
    mend="Add memory through devices with _PXM, or expect it on the first node.",
    reference="memory_add_physaddr_to_nid (mm/numa_memblks.c, 6.12; arch/x86/mm/numa.c before)",
    needs=("srat", "plan"),
)
def hot_range_by_address(subject: Subject) -> Iterator[Found]:
    """Empty hot-pluggable ranges whose memory goes to another node than theirs."""
    assert subject.machine is not None
    known = _start(subject)
    if known is None:
        return
    start, settings = known
    if subject.machine.hypervisor != "hyperv" and not settings.numa_off:
        return
    for index, entry in _empty(subject):
        meant = start.domains.get(entry.pxm)
        if meant != start.fallback:
            where = f"node {meant}" if meant is not None else f"domain {entry.pxm}"
            text = f"memory added in {mem_range(*range_of(entry))} goes to node {start.fallback}, not to {where}"
            yield Found(text, _field(index))


@rule(
    "MP653",
    "hot-range-beyond-map",
    "warning",
    group=_GROUP,
    checks="Hot-pluggable ranges end below the end of the direct map.",
    linux="With KASLR the direct map has room for the RAM at boot and CONFIG_RANDOMIZE_MEMORY_PHYSICAL_PADDING TiB "
    "(6.19 on and in stable branches, with CONFIG_ZONE_DEVICE for all addresses); the SRAT is not asked. What lies "
    "above is refused (6.11 on), or overwrites other mappings.",
    mend="Boot with nokaslr, or put hot-pluggable memory lower.",
    reference="kernel_randomize_memory (arch/x86/mm/kaslr.c); mhp_get_pluggable_range (mm/memory_hotplug.c)",
    needs=("srat", "plan"),
)
def hot_range_beyond_map(subject: Subject) -> Iterator[Found]:
    """Hot-pluggable ranges that the direct map has no room for."""
    known = _start(subject)
    if known is None:
        return
    start, _ = known
    limit = 1 << start.address_bits
    if start.direct_map_end is not None:
        limit = min(limit, start.direct_map_end)
    for index, entry in _empty(subject):
        low, high = range_of(entry)
        if high > limit:
            text = f"the hot-pluggable range {mem_range(low, high)} ends above {limit:#x}, where the direct map ends"
            yield Found(text, _field(index), weight=high - limit)


@rule(
    "MP654",
    "hotadd-starves-kernel",
    "warning",
    group=_GROUP,
    checks=f"Where added memory becomes movable by itself, at most {MOST_MOVABLE} times the kernel's memory can be.",
    linux="Memory maps (1/64 of what is added), page tables and slabs can't come from ZONE_MOVABLE: the kernel runs "
    "out of memory, and dies, while most is free. online_movable and movable_node ask for no ratio.",
    mend="Add less, give the kernel more at boot, or boot with memory_hotplug.online_policy=auto-movable (5.15 on).",
    reference=f"{_GUIDE}, ZONE_MOVABLE sizing considerations",
    needs=("srat", "plan"),
)
def hotadd_starves_kernel(subject: Subject) -> Iterator[Found]:
    """Room for more movable memory than the kernel can serve."""
    known = _start(subject)
    if known is None:
        return
    start, settings = known
    if not _becomes_movable(settings):
        return
    room = sum(end - low for low, end in (range_of(entry) for _, entry in _empty(subject)))
    on_memory, _ = map_pages(start, subject.kernel.rules.hotplug, settings, start.block_size, 64)
    maps = 0 if on_memory else room // MAP_SHARE
    movable = room + (sum(zone.present for zone in start.zones if zone.name == MOVABLE) << PAGE_SHIFT)
    kernel = start.kernel_memory
    if room and movable > MOST_MOVABLE * max(kernel - maps, 1):
        text = f"up to {size_text(room)} can be added, all of it movable, beside {kernel >> 20}M of the kernel's"
        if maps:
            text += f", of which memory maps take {size_text(maps)}"
        yield Found(text, "cmdline", "added memory", weight=room)


@rule(
    "MP655",
    "hotadd-pinned",
    "warning",
    group=_GROUP,
    checks="Memory that is hot-pluggable does not become the kernel's as soon as it is added.",
    linux="In kernel zones added memory soon holds pages that can't be moved, and memory maps of later DIMMs: these "
    "must go first then, and nothing promises that any goes.",
    mend=f"Boot with {_STATE}=online_movable (5.7 on), movable_node, or auto-movable; or leave it off-line.",
    reference=f"{_GUIDE}; default_zone_for_pfn (mm/memory_hotplug.c)",
    needs=("srat", "plan"),
)
def hotadd_pinned(subject: Subject) -> Iterator[Found]:
    """Boot options that make all added memory the kernel's."""
    assert subject.machine is not None
    known = _start(subject)
    asked = subject.parameters.cmdline.last(_STATE)
    if known is None or asked is None:
        return
    _, settings = known
    plain = settings.default_state == "online" and settings.policy == "contig-zones" and not settings.movable_node
    if settings.default_state == "online_kernel" or plain:
        yield Found(
            f"with {_STATE}={asked} all added memory goes to kernel zones, and none is sure to go again", "cmdline"
        )


@rule(
    "MP903",
    "expected-dimm",
    "error",
    group="expectations",
    checks="A DIMM that was expected to fit (--expect dimm:1G@node1) is taken, on the node of that domain.",
    linux="Added memory must lie in free addresses, at memory blocks and below the direct map's end; its node is that "
    "of its device's proximity domain (_PXM), if the SRAT names that.",
    mend="Do what the message says, or take the expectation back; memplan hotadd shows all of it.",
    reference="add_memory_resource (mm/memory_hotplug.c); acpi_memory_enable_device (drivers/acpi/acpi_memhotplug.c)",
    needs=(),
)
def expected_dimm(subject: Subject) -> Iterator[Found]:
    """DIMMs that should be taken and are not, or elsewhere."""
    for expectation in subject.expectations:
        if expectation.what == "dimm" and (why := _not_taken(subject, expectation.target)):
            yield Found(f"a DIMM {expectation.target} was expected to fit: {why}", "srat", f"dimm:{expectation.target}")


def _becomes_movable(settings: Settings) -> bool:
    """Whether all added memory becomes movable by itself, without regard to a ratio."""
    if settings.default_state == "online_movable":
        return True
    return settings.default_state == "online" and settings.policy == "contig-zones" and settings.movable_node


def _not_taken(subject: Subject, target: str) -> str:
    """Why a DIMM (``1G@node1``) is not taken as it is meant; "" where it is."""
    if not subject.has("plan"):
        return subject.plan_problem or "the input has no memory map, so its boot can't be replayed"
    from memplan.hotadd.replay import hotadd
    from memplan.hotadd.scenario import Scenario, parse_add

    assert subject.machine is not None
    plan = subject.plan
    if not plan.end.completed:
        return f"the boot dies in {plan.end.step}: {plan.end.cause}"
    dimm = parse_add(target)
    step = hotadd(subject.machine, subject.kernel, plan, Scenario((dimm,))).steps[0]
    if not step.accepted or step.dimm is None:
        return step.reason
    meant = dict(plan.domains).get(dimm.pxm) if dimm.pxm is not None else None
    if dimm.pxm is not None and step.dimm.nid != meant:
        return f"it goes to node {step.dimm.nid}: {step.dimm.node_why}"
    return ""
