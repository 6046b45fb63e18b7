"""MP7xx: boot options about memory that do nothing, fail, or are misspelt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.checks.coverage import common, ram_of
from memplan.checks.model import Found, Subject, rule
from memplan.checks.quotes import lines
from memplan.machine.cmdline import CommandLine
from memplan.units import memparse, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

_GROUP = "boot options"
#: Options that decide what early boot does with memory.
MEMORY_OPTIONS = (
    "acpi",
    "cma",
    "crashkernel",
    "debug_pagealloc",
    "default_hugepagesz",
    "dhash_entries",
    "hashdist",
    "hugepages",
    "hugepagesz",
    "hugetlb_cma",
    "ihash_entries",
    "kernelcore",
    "log_buf_len",
    "mem",
    "memblock",
    "memmap",
    "memory_corruption_check",
    "memory_corruption_check_size",
    "memtest",
    "mminit_loglevel",
    "movable_node",
    "movablecore",
    "no5lvl",
    "nogbpages",
    "nokaslr",
    "numa",
    "reserve_mem",
    "reservelow",
    "swiotlb",
    "vmalloc",
)


def _cmdline(subject: Subject) -> CommandLine:
    assert subject.machine is not None
    return CommandLine(subject.machine.cmdline)


@rule(
    "MP701",
    "kernelcore-without-effect",
    "warning",
    group=_GROUP,
    checks="kernelcore= and movablecore= are not given together with movable_node.",
    linux="With movable_node Linux (3.14 on) takes ZONE_MOVABLE from the SRAT's marks alone, whatever the sizes.",
    mend="Leave one of the two out.",
    reference="find_zone_movable_pfns_for_nodes (mm/page_alloc.c, since 6.2 mm/mm_init.c)",
    needs=("memory",),
)
def kernelcore_without_effect(subject: Subject) -> Iterator[Found]:
    """Sizes that movable_node overrules."""
    cmdline = _cmdline(subject)
    if not cmdline.has("movable_node") or subject.kernel.rules.movable_zone_rules == "3.13":
        return
    for name in ("kernelcore", "movablecore"):
        if cmdline.has(name):
            yield Found(f"{name}={cmdline.last(name)} has no effect under movable_node", "cmdline", name)


@rule(
    "MP702",
    "crashkernel-fails",
    "error",
    group=_GROUP,
    checks="crashkernel= finds its memory.",
    linux="Linux prints that it failed and boots on: kdump can't be loaded.",
    mend="Ask for no more than the largest gap, or let it lie above 4 GiB (crashkernel=size,high).",
    reference="reserve_crashkernel (arch/x86/kernel/setup.c), 6.6 on kernel/crash_reserve.c",
    needs=("memory", "plan"),
)
def crashkernel_fails(subject: Subject) -> Iterator[Found]:
    """A crash kernel that gets nothing, and the largest gap."""
    value = _cmdline(subject).last("crashkernel")
    plan = subject.plan
    if value is None or not plan.end.completed or memparse(value)[0] == 0:
        return
    if any(own.owner.startswith("crash kernel") for own in plan.reservations):
        return
    assert subject.machine is not None
    taken = sorted((own.start, own.end) for own in plan.reservations)
    gaps: list[int] = []
    for start, end in ram_of(subject.machine):
        at = start
        for low, high in taken:
            if low < end and high > at:
                gaps.append(low - at)
                at = max(at, high)
        gaps.append(end - at)
    line = next(
        (line for words in (("rashkernel", "fail"), ("annot", "crashkernel")) for line in lines(subject, *words)), ""
    )
    largest = max(gaps, default=0) >> 24 << 24
    text = f"crashkernel={value} gets no memory; the largest gap is {size_text(largest)}"
    yield Found(text, "cmdline", "crashkernel", line)


@rule(
    "MP703",
    "memmap-outside-ram",
    "warning",
    group=_GROUP,
    checks="memmap= reserves or retypes memory that is RAM.",
    linux="Linux adds the range to the map as it is; where no RAM is, nothing is gained.",
    mend="Correct the place: memmap=size$start (a shell and GRUB want the $ quoted).",
    reference="parse_memmap_one (arch/x86/kernel/e820.c)",
    needs=("memory",),
)
def memmap_outside_ram(subject: Subject) -> Iterator[Found]:
    """Ranges of memmap= without RAM."""
    assert subject.machine is not None
    ram = ram_of(subject.machine)
    for value in _cmdline(subject).all("memmap"):
        for part in (value or "").split(","):
            size, rest = memparse(part)
            if rest[:1] in ("$", "#", "!") and size:
                start = memparse(rest[1:])[0]
                if not common([(start, start + size)], ram):
                    yield Found(f"memmap={part} names no RAM", "cmdline", f"memmap={part}")


@rule(
    "MP704",
    "misspelt-option",
    "warning",
    group=_GROUP,
    checks="No boot option is a misspelt one about memory.",
    linux="Linux hands words that it does not know to init; since 5.13 it lists them.",
    mend="Write the option as the message says.",
    reference="print_unknown_bootoptions (init/main.c, 5.13 on)",
    needs=("memory",),
)
def misspelt_option(subject: Subject) -> Iterator[Found]:
    """Words that are nearly one of the memory options."""
    from difflib import get_close_matches

    known = subject.kernel.options or frozenset()
    line = next(lines(subject, "Unknown kernel command line parameters"), "")
    for name, _ in _cmdline(subject).args:
        word = name.replace("-", "_")
        if word in MEMORY_OPTIONS or word in known or len(word) < 4 or "." in word:
            continue
        near = get_close_matches(word, MEMORY_OPTIONS, 1, 0.8)
        if near:
            yield Found(f"{name} is no option of Linux; {near[0]} is", "cmdline", name, line if name in line else "")
