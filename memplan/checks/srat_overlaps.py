"""MP201 to MP203: ranges of the SRAT that overlap."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from memplan.checks.model import Found, Subject, rule
from memplan.checks.quotes import lines, node_numbers, quote, wording
from memplan.checks.srat_entries import GROUP, end_of, path_of, ranges, room, srat_of, words_of
from memplan.machine.model import E820_RAM
from memplan.units import mem_range, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Overlaps that are told, beginning with the lowest; of more ranges than that over one another those that end last.
_MOST = 64


class _Overlap(NamedTuple):
    """Two enabled entries by their indices, the lower one first, and what both claim."""

    first: int
    second: int
    start: int
    end: int


def _overlaps(subject: Subject) -> Iterator[_Overlap]:
    """Pairs of enabled entries that claim the same memory, by its start.

    Entries that wrap around claim nothing, nor do those that the kernel has no room for.
    """
    entries = sorted((own.base, end_of(own), index) for index, own in islice(ranges(subject), room(subject)))
    open_: list[tuple[int, int, int]] = []
    for start, end, index in entries:
        open_ = [own for own in open_ if own[1] > start]
        for _, other_end, other in open_:
            yield _Overlap(other, index, start, min(end, other_end))
        open_.append((start, end, index))
        if len(open_) > _MOST:
            open_.remove(min(open_, key=lambda own: own[1]))


def _between_domains(subject: Subject) -> Iterator[tuple[_Overlap, bool]]:
    """Overlaps of entries of different domains, and whether Linux refuses the SRAT because of them."""
    memory = srat_of(subject).memory
    pairs = (own for own in _overlaps(subject) if memory[own.first].pxm != memory[own.second].pxm)
    found = list(islice(pairs, _MOST))
    if not found:
        return
    refused = not subject.has("plan") or any("overlaps with node" in text for text in lines(subject, " overlaps "))
    for own in found:
        yield own, refused and _both_in_ram(subject, own)


def _both_in_ram(subject: Subject, overlap: _Overlap) -> bool:
    """Whether both entries hold RAM and overlap below its end; Linux cuts or puts aside all else before it looks."""
    if subject.machine is None:
        return True
    ram = [entry for entry in subject.machine.e820 if entry.type == E820_RAM]
    memory = srat_of(subject).memory
    pair = (memory[overlap.first], memory[overlap.second])
    holds = all(any(own.base < part.end and part.start < end_of(own) for part in ram) for own in pair)
    return holds and overlap.start < max((part.end for part in ram), default=0)


def _overlap_line(subject: Subject, overlap: _Overlap) -> str:
    """What the kernel says of the two nodes: it prints the first overlap that it finds, in the table's order."""
    first, second = sorted((overlap.first, overlap.second))
    memory, nodes = srat_of(subject).memory, node_numbers(subject)
    one, other = memory[first], memory[second]
    text = (
        f"{wording(subject).numa}node {nodes[one.pxm]} {mem_range(one.base, end_of(one))} "
        f"overlaps with node {nodes[other.pxm]} {mem_range(other.base, end_of(other))}"
    )
    for pair in ((one, other), (other, one)):
        words = (f"node {nodes[pair[0].pxm]} [", f"overlaps with node {nodes[pair[1].pxm]} [")
        if line := quote(subject, *words, otherwise=text):
            return line
    return ""


def _overlap_text(subject: Subject, overlap: _Overlap) -> str:
    memory = srat_of(subject).memory
    both = f"{mem_range(overlap.start, overlap.end)} ({size_text(overlap.end - overlap.start)})"
    return f"{words_of(memory[overlap.second])} and {words_of(memory[overlap.first])} both claim {both}"


def _pair(overlap: _Overlap) -> str:
    return f"{path_of(min(overlap.first, overlap.second))} {path_of(max(overlap.first, overlap.second))}"


@rule(
    "MP201",
    "domains-overlap",
    "error",
    group=GROUP,
    checks="No memory belongs to two domains.",
    linux="Linux drops all NUMA information, after cutting what is no RAM: the machine has one node, hot-plug marks "
    "and distances are lost.",
    mend="Give the memory to one of the two domains.",
    reference="ACPI 6.5, 5.2.16.2; numa_cleanup_meminfo (mm/numa_memblks.c, 6.12; arch/x86/mm/numa.c before)",
    needs=("srat",),
)
def domains_overlap(subject: Subject) -> Iterator[Found]:
    """Memory that two domains claim."""
    for overlap, refused in _between_domains(subject):
        if refused:
            text, size = _overlap_text(subject, overlap), overlap.end - overlap.start
            yield Found(text, path_of(overlap.second), _pair(overlap), _overlap_line(subject, overlap), weight=size)


@rule(
    "MP202",
    "domains-overlap-unseen",
    "info",
    group=GROUP,
    checks="No range belongs to two domains, not even where there is no RAM now.",
    linux="Linux does not look at ranges without RAM, nor at any under numa=off: it prints nothing. Memory "
    "that is added there later goes to the first of the two nodes.",
    mend="Give the range to one of the two domains.",
    reference="ACPI 6.5, 5.2.16.2; numa_cleanup_meminfo, memory_add_physaddr_to_nid (mm/numa_memblks.c, 6.12)",
    needs=("srat",),
)
def domains_overlap_unseen(subject: Subject) -> Iterator[Found]:
    """Overlaps that make no difference to this boot."""
    for overlap, refused in _between_domains(subject):
        if not refused:
            yield Found(_overlap_text(subject, overlap), path_of(overlap.second), _pair(overlap))


@rule(
    "MP203",
    "domain-overlaps-itself",
    "warning",
    group=GROUP,
    checks="No two ranges of one domain overlap.",
    linux="Linux warns, where there is RAM, and joins the two.",
    mend="Let the second range begin where the first one ends.",
    reference="ACPI 6.5, 5.2.16.2; numa_cleanup_meminfo (mm/numa_memblks.c, 6.12; arch/x86/mm/numa.c before)",
    needs=("srat",),
)
def domain_overlaps_itself(subject: Subject) -> Iterator[Found]:
    """Ranges of one domain that overlap."""
    memory, nodes = srat_of(subject).memory, node_numbers(subject)
    pairs = (own for own in _overlaps(subject) if memory[own.first].pxm == memory[own.second].pxm)
    for overlap in islice(pairs, _MOST):
        first, second = (memory[index] for index in sorted((overlap.first, overlap.second)))
        node = nodes[first.pxm]
        line = quote(
            subject,
            f"Warning: node {node} [",
            "overlaps with itself",
            otherwise=f"{wording(subject).numa}Warning: node {node} "
            f"{mem_range(first.base, end_of(first))} overlaps with itself {mem_range(second.base, end_of(second))}",
        )
        yield Found(_overlap_text(subject, overlap), path_of(overlap.second), _pair(overlap), line)
