"""MP6xx: what keeps hot-pluggable memory from being removed, and what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.remedies import sentence
from memplan.checks.coverage import enabled, ram_of, range_of
from memplan.checks.model import Found, Subject, rule
from memplan.checks.quotes import quote
from memplan.owner import CRASH_KERNEL, KERNEL, Purpose
from memplan.ranges import RangeSet
from memplan.units import mem_range, size_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from memplan.plan import Reservation

_GROUP = "hot-plug"
_UNMARK = "numa_clear_kernel_node_hotplug (mm/numa_memblks.c, 6.12; arch/x86/mm/numa.c before)"
#: More movable memory than this for each byte of the kernel's is known to starve the kernel.
_MOST_MOVABLE = 4
#: The share of the kernel's own nodes that memory maps of hot-pluggable nodes may take.
_MOST_MAP = 0.25
#: What is allocated before the SRAT is read, in the direction that movable_node turns.
_EARLY = frozenset(
    {
        Purpose.PAGE_TABLES,
        Purpose.LOG_BUFFER,
        Purpose.LOG_DESCRIPTORS,
        Purpose.LOG_INFOS,
        Purpose.MEMBLOCK_ARRAY,
        Purpose.ACPI_TABLE_UPGRADE,
        Purpose.NUMA_DISTANCES,
    }
)


def _marked(subject: Subject) -> RangeSet:
    """The SRAT's hot-pluggable ranges."""
    srat = subject.srat
    assert srat is not None
    return subject.once(
        "hot-pluggable ranges", lambda: RangeSet(range_of(entry) for _, entry in enabled(srat) if entry.hotplug)
    )


def _inside(subject: Subject, kinds: Collection[Purpose]) -> Iterator[Reservation]:
    """Reservations for one of `kinds` in hot-pluggable ranges."""
    marked = _marked(subject)
    for own in subject.plan.reservations:
        if own.owner.kind in kinds and marked.within(own.start, own.end):
            yield own


def _taken(subject: Subject, field: str, kinds: Collection[Purpose]) -> Iterator[Found]:
    for own in _inside(subject, kinds):
        place = f"{mem_range(own.start, own.end)} ({size_text(own.end - own.start)})"
        moved = sentence(own.owner, subject.parameters.cmdline, marked=True)
        yield Found(f"{own.owner} at {place} lies in a hot-pluggable range; {moved}", field, str(own.owner))


@rule(
    "MP601",
    "kernel-in-hotplug",
    "error",
    group=_GROUP,
    checks="The kernel image lies outside the hot-pluggable ranges.",
    linux="Linux takes the hot-plug marks off the kernel's node: it can never be removed.",
    mend="Load the kernel into a node that stays, or mark another node hot-pluggable.",
    reference=_UNMARK,
    needs=("srat", "plan"),
)
def kernel_in_hotplug(subject: Subject) -> Iterator[Found]:
    """The image or its brk in memory that is to go."""
    yield from _taken(subject, "kernel", KERNEL)


@rule(
    "MP602",
    "initrd-in-hotplug",
    "error",
    group=_GROUP,
    checks="The initrd lies outside the hot-pluggable ranges.",
    linux="Linux takes the hot-plug marks off the initrd's node, although its memory is freed later.",
    mend="Let the boot loader put the initrd into a node that stays.",
    reference=f"early_reserve_initrd (arch/x86/kernel/setup.c); {_UNMARK}",
    needs=("srat", "plan"),
)
def initrd_in_hotplug(subject: Subject) -> Iterator[Found]:
    """The initrd in memory that is to go."""
    yield from _taken(subject, "initrd", {Purpose.INITRD})


@rule(
    "MP603",
    "acpi-tables-in-hotplug",
    "error",
    group=_GROUP,
    checks="Firmware's ACPI tables lie outside the hot-pluggable ranges, holes in RAM included.",
    linux="Linux reserves each table; that one of them lies in a node's range takes the node's hot-plug marks off.",
    mend="Put the tables into a range of a node that stays, or leave their addresses out of the hot-pluggable range.",
    reference=f"acpi_reserve_initial_tables (drivers/acpi/tables.c); {_UNMARK}",
    needs=("srat", "plan"),
)
def acpi_tables_in_hotplug(subject: Subject) -> Iterator[Found]:
    """Tables in memory that is to go."""
    yield from _taken(subject, "acpi.tables", {Purpose.ACPI_TABLE})


@rule(
    "MP604",
    "all-hotplug",
    "error",
    group=_GROUP,
    checks="Some RAM is not hot-pluggable.",
    linux="The kernel has to live somewhere: the nodes that hold its image and early reservations lose their marks.",
    mend="Mark only those ranges that can really be taken out.",
    reference=f"ACPI 6.5, 5.2.16.2; {_UNMARK}",
    needs=("srat", "memory"),
)
def all_hotplug(subject: Subject) -> Iterator[Found]:
    """An SRAT that marks everything."""
    marked, ram = _marked(subject), ram_of(subject)
    if ram and all(marked.covers(start, end) for start, end in ram):
        yield Found("all RAM is marked hot-pluggable", "srat", "all")


@rule(
    "MP605",
    "node-unmarked",
    "error",
    group=_GROUP,
    checks="No reservation that is made before the SRAT is read lies in a hot-pluggable node.",
    linux="Linux takes the hot-plug marks off the whole node, and says nothing; under movable_node all of it stays the "
    "kernel's.",
    mend="Move what the message names; memplan simulate says what moves each.",
    reference=_UNMARK,
    needs=("srat", "plan"),
)
def node_unmarked(subject: Subject) -> Iterator[Found]:
    """Nodes that a reservation cost their marks."""
    for verdict in subject.plan.verdicts:
        if verdict.unmarked:
            named = ", ".join(dict.fromkeys(str(own.owner) for own in verdict.blockers))
            size = size_text(verdict.end - verdict.start)
            yield Found(
                f"node {verdict.nid} ({size}) can't be removed because of: {named}", "srat", f"node {verdict.nid}"
            )


@rule(
    "MP606",
    "bottom-up-spills",
    "warning",
    group=_GROUP,
    checks="What is allocated bottom-up before the SRAT is read ends below the first hot-pluggable range.",
    linux="With movable_node Linux allocates upwards from the kernel's end until the SRAT is read; what does not fit "
    "below goes into hot-pluggable memory, whose node loses its marks. 3.13 warns when it must search downwards.",
    mend="Give the kernel's node more memory below the first hot-pluggable range, or use larger pages.",
    reference=f"memblock_find_in_range_node (mm/memblock.c); {_UNMARK}",
    needs=("srat", "plan"),
)
def bottom_up_spills(subject: Subject) -> Iterator[Found]:
    """Early allocations in memory that is to go."""
    if not subject.plan.bottom_up:
        return
    spilt = [own for own in _inside(subject, _EARLY) if own.before_srat]
    line = quote(subject, "bottom-up allocation failed") if spilt else ""
    for own in spilt:
        text = f"{own.owner} at {mem_range(own.start, own.end)} spill into a hot-pluggable range"
        yield Found(text, "srat", str(own.owner), line)


@rule(
    "MP607",
    "too-much-movable",
    "warning",
    group=_GROUP,
    checks=f"At most {_MOST_MOVABLE} times as much memory is movable as is the kernel's.",
    linux="Page tables, slabs and the like can't come from ZONE_MOVABLE: the kernel runs out while most is free.",
    mend="Leave the kernel more memory: fewer hot-pluggable nodes, or a larger kernelcore=.",
    reference="Documentation/admin-guide/mm/memory-hotplug.rst, ZONE_MOVABLE sizing considerations",
    needs=("plan",),
)
def too_much_movable(subject: Subject) -> Iterator[Found]:
    """ZONE_MOVABLE against the rest."""
    movable = sum(zone.present for zone in subject.plan.zones if zone.name == "Movable")
    rest = sum(zone.present for zone in subject.plan.zones if zone.name != "Movable")
    if movable > _MOST_MOVABLE * rest:
        ratio = f"{movable / max(rest, 1):.1f} to 1"
        text = f"{size_text(movable << 12)} are movable and {size_text(rest << 12)} the kernel's: {ratio}"
        yield Found(text, "srat", "ratio", weight=movable // max(rest, 1))


@rule(
    "MP608",
    "memory-map-cost",
    "warning",
    group=_GROUP,
    checks=f"The memory maps of hot-pluggable nodes take at most {_MOST_MAP:.0%} of the other nodes' memory.",
    linux="Boot allocations keep out of hot-pluggable memory: its struct pages (1/64 of it) lie in nodes that stay.",
    mend="Give the nodes that stay more memory.",
    reference="sparse_init_nid (mm/sparse.c)",
    needs=("srat", "plan"),
)
def memory_map_cost(subject: Subject) -> Iterator[Found]:
    """struct pages of memory that can go, in memory that can't."""
    plan = subject.plan
    hot = {node.nid for node in plan.nodes if node.hotplug}
    stays = sum(node.memory for node in plan.nodes if node.nid not in hot)
    cost = sum(
        own.end - own.start
        for own in plan.reservations
        if own.nid not in hot and own.owner.kind is Purpose.MEMORY_MAP and own.owner.nid in hot
    )
    if stays and cost > _MOST_MAP * stays:
        text = f"memory maps of hot-pluggable nodes take {size_text(cost)}, {cost / stays:.0%} of the nodes that stay"
        yield Found(text, "srat", "memory maps", weight=cost)


@rule(
    "MP609",
    "crash-kernel-in-hotplug",
    "warning",
    group=_GROUP,
    checks="The crash kernel's memory lies outside the hot-pluggable ranges.",
    linux="crashkernel= is taken after the SRAT is read: without movable_node it may lie in a hot-pluggable node, "
    "whose blocks there can't go off-line.",
    mend="Give the place (crashkernel=size@offset), or boot with movable_node.",
    reference="reserve_crashkernel (arch/x86/kernel/setup.c), 6.6 on kernel/crash_reserve.c",
    needs=("srat", "plan"),
)
def crash_kernel_in_hotplug(subject: Subject) -> Iterator[Found]:
    """The crash kernel in memory that is to go."""
    yield from _taken(subject, "cmdline", CRASH_KERNEL)
