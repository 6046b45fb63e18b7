"""MP5xx: the memory map itself."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from memplan.boot.e820_table import ZEROPAGE_ENTRIES
from memplan.checks.model import Found, Subject, rule
from memplan.machine.model import E820_NAMES, E820_RAM
from memplan.units import PAGE_SIZE, mem_range, round_down, round_up, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.machine.model import E820Entry

_GROUP = "memory map"
_TABLE = "e820__update_table (arch/x86/kernel/e820.c)"


def _entries(subject: Subject) -> tuple[E820Entry, ...]:
    assert subject.machine is not None
    return subject.machine.e820


def _name(kind: int) -> str:
    return E820_NAMES.get(kind, f"type {kind}")


@rule(
    "MP501",
    "ram-beyond-reach",
    "error",
    group=_GROUP,
    checks="RAM lies below the highest address that the kernel's page tables can map.",
    linux="Linux leaves out all RAM beyond 64 TiB (46 bits) with page tables of four levels, 4 PiB with five.",
    mend="Put the RAM below the limit, or boot a kernel and CPUs with five levels (la57).",
    reference="e820__end_of_ram_pfn (arch/x86/kernel/e820.c), MAX_PHYSMEM_BITS (arch/x86/include/asm/sparsemem.h)",
    needs=("memory",),
)
def ram_beyond_reach(subject: Subject) -> Iterator[Found]:
    """RAM that the kernel can't reach."""
    assert subject.machine is not None
    limit = 1 << subject.parameters.physical_bits
    for index, entry in enumerate(_entries(subject)):
        if entry.type == E820_RAM and entry.end > limit:
            lost = entry.end - max(entry.start, limit)
            text = f"{size_text(lost)} of RAM lie at or above {limit:#x}"
            yield Found(text, f"e820[{index}]", mem_range(entry.start, entry.end), weight=lost)


@rule(
    "MP502",
    "types-overlap",
    "warning",
    group=_GROUP,
    checks="No two entries of different types overlap.",
    linux="Linux gives the overlap the type of the higher number; only the mended map is printed, as the loader's.",
    mend="Let the entries end where the next one begins.",
    reference=f"ACPI 6.5, 15; {_TABLE}",
    needs=("memory",),
)
def types_overlap(subject: Subject) -> Iterator[Found]:
    """Memory of two types, and the type that it gets."""
    order = sorted(range(len(_entries(subject))), key=lambda index: (_entries(subject)[index].start, index))
    reach: list[int] = []
    for index in order:
        entry = _entries(subject)[index]
        reach = [other for other in reach if _entries(subject)[other].end > entry.start]
        for other in reach:
            first = _entries(subject)[other]
            if first.type != entry.type:
                both = mem_range(entry.start, min(entry.end, first.end))
                text = (
                    f"{both} is {_name(first.type)} and {_name(entry.type)}: {_name(max(first.type, entry.type))} wins"
                )
                yield Found(text, f"e820[{index}]", both)
        reach.append(index)


@rule(
    "MP503",
    "ram-inside-page",
    "info",
    group=_GROUP,
    checks="RAM begins and ends at whole pages of 4 KiB.",
    linux="Linux cuts RAM to whole pages; the rest is lost.",
    mend="Nothing needs to be done where the EBDA begins; elsewhere let RAM end at a page.",
    reference="memblock_trim_memory (mm/memblock.c)",
    needs=("memory",),
)
def ram_inside_page(subject: Subject) -> Iterator[Found]:
    """Edges inside pages, above the first megabyte, where they are usual."""
    for index, entry in enumerate(_entries(subject)):
        if entry.type != E820_RAM or entry.end <= 1 << 20:
            continue
        lost = entry.end - entry.start - max(0, round_down(entry.end, PAGE_SIZE) - round_up(entry.start, PAGE_SIZE))
        if lost:
            text = f"{lost} bytes of {mem_range(entry.start, entry.end)} are no whole page"
            yield Found(text, f"e820[{index}]", mem_range(entry.start, entry.end))


@rule(
    "MP504",
    "too-few-entries",
    "error",
    group=_GROUP,
    checks="The map has two entries at least.",
    linux="Linux does not believe a map of one entry: it asks the BIOS in an older way, which may hide most RAM.",
    mend="Tell the firmware's reserved ranges, too.",
    reference="append_e820_table (arch/x86/kernel/e820.c)",
    needs=("memory",),
)
def too_few_entries(subject: Subject) -> Iterator[Found]:
    """A map that the kernel refuses."""
    if len(_entries(subject)) < 2:
        yield Found("the map has one entry", "e820", "entries")


@rule(
    "MP505",
    "too-many-entries",
    "warning",
    group=_GROUP,
    checks=f"The map has no more entries than the boot parameters hold ({ZEROPAGE_ENTRIES}).",
    linux="More entries come through setup_data, if the loader passes them (EFI's stub does); else they are lost.",
    mend="Join neighbours of one type.",
    reference="E820_MAX_ENTRIES_ZEROPAGE (arch/x86/include/uapi/asm/bootparam.h), e820__memory_setup_extended",
    needs=("memory",),
)
def too_many_entries(subject: Subject) -> Iterator[Found]:
    """A map that does not fit."""
    count = len(_entries(subject))
    if count > ZEROPAGE_ENTRIES:
        yield Found(f"the map has {count} entries", f"e820[{ZEROPAGE_ENTRIES}]", "entries", weight=count)


@rule(
    "MP506",
    "neighbours-alike",
    "info",
    group=_GROUP,
    checks="No two entries of one type touch.",
    linux="Linux joins them.",
    mend="Nothing needs to be done; one entry would do.",
    reference=_TABLE,
    needs=("memory",),
)
def neighbours_alike(subject: Subject) -> Iterator[Found]:
    """Entries that could be one."""
    for index, (first, second) in enumerate(pairwise(_entries(subject)), 1):
        if first.type == second.type and first.end == second.start:
            text = f"{mem_range(second.start, second.end)} goes on where the entry before ends"
            yield Found(text, f"e820[{index}]", mem_range(second.start, second.end))
