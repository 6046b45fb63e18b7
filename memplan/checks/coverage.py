"""MP4xx: the SRAT against the memory map: RAM without a node, ranges without RAM, edges inside sections and blocks."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from memplan.checks.model import Found, Subject, rule
from memplan.checks.quotes import quote
from memplan.machine.model import E820_RAM
from memplan.plan import SratUse
from memplan.ranges import RangeSet
from memplan.units import MIB, SECTION_SIZE, mem_range, round_down, round_up, size_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from memplan.machine.model import MemoryAffinity, Srat

_GROUP = "SRAT against the memory map"
_COVERAGE = "numa_meminfo_cover_memory (arch/x86/mm/numa.c, up to 6.7), memblock_validate_numa_coverage (mm/memblock.c)"
_BLOCKS = "memory_block_size_bytes (arch/x86/mm/init_64.c), memory_block_offline (drivers/base/memory.c)"
Ranges = list[tuple[int, int]]


def without(ranges: Iterable[tuple[int, int]], others: RangeSet) -> Ranges:
    """What of `ranges` is not in `others`."""
    return [part for start, end in ranges for part in others.outside(start, end)]


def common(ranges: Iterable[tuple[int, int]], others: RangeSet) -> Ranges:
    """What of `ranges` is in `others`, too."""
    return [part for start, end in ranges for part in others.within(start, end)]


def ram_of(subject: Subject) -> RangeSet:
    """The map's RAM."""
    machine = subject.machine
    assert machine is not None
    return subject.once(
        "RAM", lambda: RangeSet((entry.start, entry.end) for entry in machine.e820 if entry.type == E820_RAM)
    )


def enabled(srat: Srat) -> Iterator[tuple[int, MemoryAffinity]]:
    """The enabled ranges that are not empty, with their places in the table."""
    return ((index, entry) for index, entry in enumerate(srat.memory) if entry.enabled and entry.length)


def range_of(entry: MemoryAffinity) -> tuple[int, int]:
    """``[start, end)`` of an entry."""
    return entry.base, entry.base + entry.length


def _srat(subject: Subject) -> Srat:
    assert subject.srat is not None
    return subject.srat


def _uncovered(subject: Subject) -> Ranges:
    return without(ram_of(subject), RangeSet(range_of(entry) for _, entry in enabled(_srat(subject))))


def _amount(ranges: Ranges) -> str:
    total = sum(end - start for start, end in ranges)
    shown = ", ".join(mem_range(start, end) for start, end in ranges[:3]) + (" and more" if len(ranges) > 3 else "")
    return f"{size_text(total)} of RAM lie in no enabled range: {shown}"


def _refusal(subject: Subject) -> str:
    """The line in which Linux drops the nodes as they leave RAM out; "" where it doesn't."""
    if subject.plan.srat is not SratUse.UNCOVERED:
        return ""
    return quote(subject, "nodes only cover") or quote(subject, "no nodes coverage")


@rule(
    "MP401",
    "ram-without-node",
    "error",
    group=_GROUP,
    checks="The enabled ranges cover the RAM of the memory map, but for 1 MiB at the most.",
    linux="Linux drops all NUMA information: the machine has one node, hot-plug marks and distances are lost. Up to "
    "6.7 that is from 1 MiB without a node on, since 6.8 above 1 MiB.",
    mend="Let the domains' ranges cover all RAM.",
    reference=f"ACPI 6.5, 5.2.16.2; {_COVERAGE}",
    needs=("srat", "memory", "plan"),
)
def ram_without_node(subject: Subject) -> Iterator[Found]:
    """RAM that costs the machine its nodes."""
    if line := _refusal(subject):
        uncovered = _uncovered(subject)
        yield Found(_amount(uncovered), "srat", "uncovered RAM", line, weight=sum(b - a for a, b in uncovered))


@rule(
    "MP402",
    "ram-without-node-tolerated",
    "warning",
    group=_GROUP,
    checks="The enabled ranges cover all RAM of the memory map, the last page too.",
    linux="Linux keeps the nodes: so little RAM without one passes its test. It belongs to no node then, which newer "
    "versions die of (MP403); 3.13 boots on.",
    mend="Let the domains' ranges cover all RAM.",
    reference=f"ACPI 6.5, 5.2.16.2; {_COVERAGE}",
    needs=("srat", "memory", "plan"),
)
def ram_without_node_tolerated(subject: Subject) -> Iterator[Found]:
    """RAM without a node that Linux lets pass."""
    uncovered = [part for part in _uncovered(subject) if part[1] - part[0] >= 4096]
    if uncovered and not _refusal(subject) and subject.plan.end.completed and any(enabled(_srat(subject))):
        yield Found(_amount(uncovered), "srat", "uncovered RAM", weight=sum(b - a for a, b in uncovered))


@rule(
    "MP403",
    "boot-dies",
    "error",
    group=_GROUP,
    checks="The boot gets as far as the page allocator.",
    linux="The boot ends in the step that the message names, with the kernel's words.",
    mend="See the message: the plan (memplan simulate) shows all that was reserved until then.",
    reference="setup_arch (arch/x86/kernel/setup.c)",
    needs=("plan",),
)
def boot_dies(subject: Subject) -> Iterator[Found]:
    """A boot that ends early."""
    end = subject.plan.end
    if not end.completed:
        yield Found(f"the boot dies in {end.step}: {end.cause}", "", f"dies in {end.step}", end.text)


@rule(
    "MP404",
    "range-without-ram",
    "info",
    group=_GROUP,
    checks="An enabled range that is not hot-pluggable holds RAM.",
    linux="Linux puts the range aside (5.7 on) or cuts it off; the node may stay without memory.",
    mend="Mark the range hot-pluggable if memory may be added there; else disable it.",
    reference="ACPI 6.5, 5.2.16.2; numa_cleanup_meminfo (mm/numa_memblks.c, 6.12; arch/x86/mm/numa.c before)",
    needs=("srat", "memory"),
)
def range_without_ram(subject: Subject) -> Iterator[Found]:
    """Ranges that promise RAM where there is none."""
    srat, ram = _srat(subject), ram_of(subject)
    for index, entry in enabled(srat):
        if not entry.hotplug and not ram.within(*range_of(entry)):
            text = f"domain {entry.pxm}'s range {mem_range(*range_of(entry))} holds no RAM"
            yield Found(text, f"srat.memory[{index}]", mem_range(*range_of(entry)))


@rule(
    "MP405",
    "boundary-inside-section",
    "warning",
    group=_GROUP,
    checks=f"No section of {SECTION_SIZE // MIB} MiB holds RAM of two domains.",
    linux="Linux hands the section's memory map to one of the nodes; its memory block can't go off-line.",
    mend=f"Let domains begin and end at multiples of {SECTION_SIZE // MIB} MiB.",
    reference=f"sparse_init_nid (mm/sparse.c); {_BLOCKS}",
    needs=("srat", "memory"),
)
def boundary_inside_section(subject: Subject) -> Iterator[Found]:
    """Sections that two domains share."""
    srat, ram = _srat(subject), ram_of(subject)
    parts = sorted(
        (start, end, entry.pxm, index) for index, entry in enabled(srat) for start, end in ram.within(*range_of(entry))
    )
    for (_, end, pxm, _), (start, _, other, index) in pairwise(parts):
        section = round_down(start, SECTION_SIZE)
        if pxm != other and round_down(end - 1, SECTION_SIZE) == section:
            text = f"domains {pxm} and {other} share the section {mem_range(section, section + SECTION_SIZE)}"
            yield Found(text, f"srat.memory[{index}]", f"section {section:#x}")


@rule(
    "MP406",
    "stranded-in-block",
    "warning",
    group=_GROUP,
    checks="Hot-pluggable memory fills whole memory blocks.",
    linux="A memory block goes off-line only as a whole, and only if all of it is RAM of one node: what the range has "
    "of other blocks stays.",
    mend="Let hot-pluggable ranges begin and end at multiples of the block's size.",
    reference=_BLOCKS,
    needs=("srat", "memory", "plan"),
)
def stranded_in_block(subject: Subject) -> Iterator[Found]:
    """Capacity that can never go off-line."""
    size = subject.plan.block_size
    marked = [(index, entry) for index, entry in enabled(_srat(subject)) if entry.hotplug]
    ram = ram_of(subject)
    for pxm in dict.fromkeys(entry.pxm for _, entry in marked):
        own = RangeSet(range_of(entry) for _, entry in marked if entry.pxm == pxm)
        held = RangeSet(common(own, ram))
        lost = sum(end - start - max(0, round_down(end, size) - round_up(start, size)) for start, end in held)
        if lost:
            index = next(index for index, entry in marked if entry.pxm == pxm)
            text = (
                f"domain {pxm} has {lost / MIB:g} MiB of hot-pluggable RAM outside whole "
                f"memory blocks of {size_text(size)}"
            )
            yield Found(text, f"srat.memory[{index}]", f"domain {pxm}", weight=lost)


@rule(
    "MP407",
    "domain-without-memory",
    "info",
    group=_GROUP,
    checks="A domain that has CPUs has RAM.",
    linux="The node has no memory of its own: its CPUs use that of the nearest other node. What Linux allocates for "
    "the node lies elsewhere; 3.13 gives its CPUs to another node.",
    mend="Nothing needs to be done if the domain's memory is not plugged in.",
    reference="init_cpu_to_node (arch/x86/mm/numa.c), free_area_init (mm/mm_init.c; mm/page_alloc.c before 6.2)",
    needs=("srat", "memory"),
)
def domain_without_memory(subject: Subject) -> Iterator[Found]:
    """Domains of CPUs alone."""
    srat, ram = _srat(subject), ram_of(subject)
    holding = {entry.pxm for _, entry in enabled(srat) if ram.within(*range_of(entry))}
    for index, cpu in enumerate(srat.cpus):
        if cpu.enabled and cpu.pxm not in holding:
            holding.add(cpu.pxm)
            yield Found(f"domain {cpu.pxm} has CPUs and no RAM", f"srat.cpus[{index}]", f"domain {cpu.pxm}")


@rule(
    "MP408",
    "domain-without-cpus",
    "info",
    group=_GROUP,
    checks="A domain that has RAM has CPUs.",
    linux="The node has no CPUs: its memory is used by those of other nodes.",
    mend="Nothing needs to be done for memory that stands for itself (CXL, say).",
    reference="ACPI 6.5, 5.2.16; numa_init_array (arch/x86/mm/numa.c)",
    needs=("srat", "memory"),
)
def domain_without_cpus(subject: Subject) -> Iterator[Found]:
    """Domains of memory alone, where other domains have CPUs."""
    srat, ram = _srat(subject), ram_of(subject)
    with_cpus = {cpu.pxm for cpu in srat.cpus if cpu.enabled}
    if not with_cpus:
        return
    for index, entry in enabled(srat):
        if entry.pxm not in with_cpus and ram.within(*range_of(entry)):
            with_cpus.add(entry.pxm)
            yield Found(f"domain {entry.pxm} has RAM and no CPUs", f"srat.memory[{index}]", f"domain {entry.pxm}")


@rule(
    "MP409",
    "srat-unused",
    "warning",
    group=_GROUP,
    checks="Linux uses the SRAT.",
    linux="Linux takes the machine for one node.",
    mend="See what the other findings say of the SRAT, or the boot options numa=off, numa=noacpi and acpi=off.",
    reference="x86_numa_init (arch/x86/mm/numa.c)",
    needs=("srat", "memory", "plan"),
)
def srat_unused(subject: Subject) -> Iterator[Found]:
    """An SRAT that decides nothing."""
    if any(enabled(_srat(subject))) and subject.plan.srat not in (SratUse.USED, SratUse.NOT_REACHED):
        line = quote(subject, "No NUMA configuration found") or quote(subject, "NUMA turned off")
        yield Found("Linux does not use the SRAT", "srat", "unused", line)
