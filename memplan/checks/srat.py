"""MP2xx: the SRAT against itself: overlaps, wrap, empty and disabled entries, the numbers of domains and ranges."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from memplan.checks.model import Found, Subject, rule
from memplan.checks.quotes import lines, node_numbers, quote, wording
from memplan.machine.model import E820_RAM
from memplan.units import U64_MAX, mem_range, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.machine.model import MemoryAffinity, Srat

_GROUP = "SRAT against itself"
#: Overlaps that are told, beginning with the lowest; of more ranges than that over one another those that end last.
_MOST = 64
#: APIC ids that the kernel has room for (MAX_LOCAL_APIC), and domains at least (MAX_PXM_DOMAINS).
_APIC_IDS = 32768
_LEAST_DOMAINS = 256


class _Overlap(NamedTuple):
    """Two enabled entries by their indices, the lower one first, and what both claim."""

    first: int
    second: int
    start: int
    end: int


def _table(subject: Subject) -> Srat:
    assert subject.srat is not None
    return subject.srat


def _enabled(subject: Subject) -> Iterator[tuple[int, MemoryAffinity]]:
    return ((index, entry) for index, entry in enumerate(_table(subject).memory) if entry.enabled)


def _ranges(subject: Subject) -> Iterator[tuple[int, MemoryAffinity]]:
    """The enabled entries that are a range of memory."""
    return ((index, entry) for index, entry in _enabled(subject) if entry.length and _end(entry) <= U64_MAX)


def _room(subject: Subject) -> int:
    """How many ranges the kernel has room for (NR_NODE_MEMBLKS)."""
    return 2 * subject.kernel.max_numnodes


def _end(entry: MemoryAffinity) -> int:
    return entry.base + entry.length


def _path(index: int) -> str:
    return f"srat.memory[{index}]"


def _words(entry: MemoryAffinity) -> str:
    return f"domain {entry.pxm} {mem_range(entry.base, _end(entry))}"


# -- overlaps ------------------------------------------------------------------------------------------------------


def _overlaps(subject: Subject) -> Iterator[_Overlap]:
    """Pairs of enabled entries that claim the same memory, by its start.

    Entries that wrap around claim nothing, nor do those that the kernel has no room for.
    """
    entries = sorted((own.base, _end(own), index) for index, own in islice(_ranges(subject), _room(subject)))
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
    memory = _table(subject).memory
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
    memory = _table(subject).memory
    pair = (memory[overlap.first], memory[overlap.second])
    holds = all(any(own.base < part.end and part.start < _end(own) for part in ram) for own in pair)
    return holds and overlap.start < max((part.end for part in ram), default=0)


def _overlap_line(subject: Subject, overlap: _Overlap) -> str:
    """What the kernel says of the two nodes: it prints the first overlap that it finds, in the table's order."""
    first, second = sorted((overlap.first, overlap.second))
    memory, nodes = _table(subject).memory, node_numbers(subject)
    one, other = memory[first], memory[second]
    text = (
        f"{wording(subject).numa}node {nodes[one.pxm]} {mem_range(one.base, _end(one))} "
        f"overlaps with node {nodes[other.pxm]} {mem_range(other.base, _end(other))}"
    )
    for pair in ((one, other), (other, one)):
        words = (f"node {nodes[pair[0].pxm]} [", f"overlaps with node {nodes[pair[1].pxm]} [")
        if line := quote(subject, *words, otherwise=text):
            return line
    return ""


def _overlap_text(subject: Subject, overlap: _Overlap) -> str:
    memory = _table(subject).memory
    both = f"{mem_range(overlap.start, overlap.end)} ({size_text(overlap.end - overlap.start)})"
    return f"{_words(memory[overlap.second])} and {_words(memory[overlap.first])} both claim {both}"


def _pair(overlap: _Overlap) -> str:
    return f"{_path(min(overlap.first, overlap.second))} {_path(max(overlap.first, overlap.second))}"


@rule(
    "MP201",
    "domains-overlap",
    "error",
    group=_GROUP,
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
            yield Found(text, _path(overlap.second), _pair(overlap), _overlap_line(subject, overlap), weight=size)


@rule(
    "MP202",
    "domains-overlap-unseen",
    "info",
    group=_GROUP,
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
            yield Found(_overlap_text(subject, overlap), _path(overlap.second), _pair(overlap))


@rule(
    "MP203",
    "domain-overlaps-itself",
    "warning",
    group=_GROUP,
    checks="No two ranges of one domain overlap.",
    linux="Linux warns, where there is RAM, and joins the two.",
    mend="Let the second range begin where the first one ends.",
    reference="ACPI 6.5, 5.2.16.2; numa_cleanup_meminfo (mm/numa_memblks.c, 6.12; arch/x86/mm/numa.c before)",
    needs=("srat",),
)
def domain_overlaps_itself(subject: Subject) -> Iterator[Found]:
    """Ranges of one domain that overlap."""
    memory, nodes = _table(subject).memory, node_numbers(subject)
    pairs = (own for own in _overlaps(subject) if memory[own.first].pxm == memory[own.second].pxm)
    for overlap in islice(pairs, _MOST):
        first, second = (memory[index] for index in sorted((overlap.first, overlap.second)))
        node = nodes[first.pxm]
        line = quote(
            subject,
            f"Warning: node {node} [",
            "overlaps with itself",
            otherwise=f"{wording(subject).numa}Warning: node {node} "
            f"{mem_range(first.base, _end(first))} overlaps with itself {mem_range(second.base, _end(second))}",
        )
        yield Found(_overlap_text(subject, overlap), _path(overlap.second), _pair(overlap), line)


# -- single entries ------------------------------------------------------------------------------------------------


@rule(
    "MP204",
    "range-wraps",
    "error",
    group=_GROUP,
    checks="An enabled range ends below 2^64.",
    linux="Linux leaves out the range, with a warning, and uses the others: RAM in it has no node.",
    mend="Correct the range's base or length.",
    reference="ACPI 6.5, 5.2.16.2; numa_add_memblk_to (mm/numa_memblks.c, 6.12; arch/x86/mm/numa.c before)",
    needs=("srat",),
)
def range_wraps(subject: Subject) -> Iterator[Found]:
    """Ranges that go beyond the last address."""
    nodes = node_numbers(subject)
    for index, entry in _enabled(subject):
        if entry.length and _end(entry) > U64_MAX:
            shown = (
                mem_range(entry.base, _end(entry) & U64_MAX) if _end(entry) & U64_MAX else f"[mem {entry.base:#010x}"
            )
            words = f"Warning: invalid memblk node {nodes[entry.pxm]} {shown}"
            line = quote(subject, words, otherwise=f"{wording(subject).numa}{words}")
            text = f"domain {entry.pxm}: {entry.length:#x} bytes from {entry.base:#x} on end beyond 2^64"
            yield Found(text, _path(index), dmesg=line)


@rule(
    "MP205",
    "empty-range",
    "info",
    group=_GROUP,
    checks="An enabled range has a length.",
    linux="Linux gives the domain a node, but no memory.",
    mend="Clear the Enabled flag of entries that are not in use.",
    reference="ACPI 6.5, 5.2.16.2; numa_add_memblk_to (mm/numa_memblks.c, 6.12; arch/x86/mm/numa.c before)",
    needs=("srat",),
)
def empty_range(subject: Subject) -> Iterator[Found]:
    """Enabled ranges of no length."""
    nodes = node_numbers(subject)
    for index, entry in _enabled(subject):
        if not entry.length:
            words = f"SRAT: Node {nodes[entry.pxm]} PXM {entry.pxm} {mem_range(entry.base, entry.base)}"
            line = quote(subject, words, otherwise=f"{wording(subject).srat}{words}")
            yield Found(f"domain {entry.pxm} has a range of no length at {entry.base:#x}", _path(index), dmesg=line)


@rule(
    "MP206",
    "disabled-entries",
    "info",
    group=_GROUP,
    checks="How many memory entries are disabled. Firmware that keeps a fixed number of entries has many; that is "
    "normal.",
    linux="Linux skips disabled entries and prints nothing about them.",
    mend="Nothing needs to be done, unless memory that is there should be found in one of them.",
    reference="ACPI 6.5, 5.2.16.2; acpi_parse_memory_affinity (drivers/acpi/numa/srat.c)",
    needs=("srat",),
)
def disabled_entries(subject: Subject) -> Iterator[Found]:
    """Disabled entries, all in one finding."""
    memory = _table(subject).memory
    disabled = [index for index, entry in enumerate(memory) if not entry.enabled]
    if disabled:
        text = f"{len(disabled)} of {len(memory)} memory entries are disabled"
        yield Found(text, _path(disabled[0]), "disabled entries", weight=len(disabled))


@rule(
    "MP207",
    "disabled-entry-immovable",
    "info",
    group=_GROUP,
    checks="No disabled entry that isn't hot-pluggable has a length.",
    linux="The decompressor does not look at the Enabled flag: where it knows of ranges that are not hot-pluggable, it "
    "puts the kernel into these alone (KASLR), and this one counts among them. It prints nothing.",
    mend="Let the length of disabled entries be 0.",
    reference="count_immovable_mem_regions (arch/x86/boot/compressed/acpi.c, since 5.1)",
    needs=("srat",),
)
def disabled_entry_immovable(subject: Subject) -> Iterator[Found]:
    """Disabled entries that count for KASLR."""
    for index, entry in enumerate(_table(subject).memory):
        if not entry.enabled and not entry.hotplug and entry.length:
            yield Found(f"the disabled entry of {_words(entry)} counts as memory that can't be removed", _path(index))


@rule(
    "MP208",
    "hotpluggable-not-enabled",
    "warning",
    group=_GROUP,
    checks="A hot-pluggable range is enabled: without that its other flags mean nothing.",
    linux="Linux skips the entry: memory in it has no node and is not hot-pluggable. It prints nothing about it.",
    mend="Set the Enabled flag, too, or set the length to 0 until the range is in use.",
    reference="ACPI 6.5, 5.2.16.2; acpi_parse_memory_affinity (drivers/acpi/numa/srat.c)",
    needs=("srat",),
)
def hotpluggable_not_enabled(subject: Subject) -> Iterator[Found]:
    """Hot-pluggable ranges that are disabled."""
    for index, entry in enumerate(_table(subject).memory):
        if entry.hotplug and not entry.enabled and entry.length:
            yield Found(f"{_words(entry)} is hot-pluggable, but not enabled", _path(index), weight=entry.length)


@rule(
    "MP209",
    "apic-id-too-high",
    "warning",
    group=_GROUP,
    checks="The APIC id of an enabled processor entry is below 32768.",
    linux="Linux has no room for the id (MAX_LOCAL_APIC): it ignores the entry, and the CPU can't be used.",
    mend="Give the CPU an APIC id below 32768.",
    reference="ACPI 6.5, 5.2.16.3; acpi_numa_x2apic_affinity_init (arch/x86/mm/srat.c)",
    needs=("srat",),
)
def apic_id_too_high(subject: Subject) -> Iterator[Found]:
    """CPUs whose APIC id Linux has no room for."""
    for index, cpu in enumerate(_table(subject).cpus):
        if cpu.enabled and cpu.apic_id >= _APIC_IDS:
            yield Found(f"the APIC id {cpu.apic_id:#x} of a CPU in domain {cpu.pxm} is too high", f"srat.cpus[{index}]")


@rule(
    "MP210",
    "cpu-in-two-domains",
    "warning",
    group=_GROUP,
    checks="A CPU is in one domain.",
    linux="For Linux the entry that it reads last counts.",
    mend="Leave out all entries of the CPU but one.",
    reference="ACPI 6.5, 5.2.16.1; acpi_numa_processor_affinity_init (arch/x86/mm/srat.c)",
    needs=("srat",),
)
def cpu_in_two_domains(subject: Subject) -> Iterator[Found]:
    """CPUs that several domains claim."""
    domains: dict[int, int] = {}
    for index, cpu in enumerate(_table(subject).cpus):
        if not cpu.enabled:
            continue
        first = domains.setdefault(cpu.apic_id, cpu.pxm)
        if first != cpu.pxm:
            text = f"the CPU of APIC id {cpu.apic_id:#x} is in the domains {first} and {cpu.pxm}"
            yield Found(text, f"srat.cpus[{index}]", f"APIC id {cpu.apic_id:#x}")


# -- the table as a whole ------------------------------------------------------------------------------------------


@rule(
    "MP211",
    "no-enabled-memory",
    "warning",
    group=_GROUP,
    checks="The SRAT has an enabled memory entry.",
    linux="Linux drops what the SRAT says: the machine has one node.",
    mend="Describe the memory, and set the Enabled flag.",
    reference="ACPI 6.5, 5.2.16.2; acpi_numa_init (drivers/acpi/numa/srat.c), dummy_numa_init (arch/x86/mm/numa.c)",
    needs=("srat",),
)
def no_enabled_memory(subject: Subject) -> Iterator[Found]:
    """An SRAT that gives no memory to any domain."""
    memory = _table(subject).memory
    if not any(entry.enabled for entry in memory):
        line = quote(subject, "No NUMA configuration found", otherwise="No NUMA configuration found")
        text = f"none of {len(memory)} memory entries is enabled" if memory else "there is no memory entry"
        yield Found(f"the SRAT gives no memory to any domain: {text}", "srat", dmesg=line)


@rule(
    "MP212",
    "domain-gaps",
    "info",
    group=_GROUP,
    checks="Domains are numbered without gaps, so that Linux's nodes have the domains' numbers.",
    linux="Linux numbers nodes from 0 on, as their domains turn up: those of CPUs first, then those of memory.",
    mend="Nothing needs to be done; mind that node numbers and domain numbers differ.",
    reference="acpi_map_pxm_to_node (drivers/acpi/numa/srat.c)",
    needs=("srat",),
)
def domain_gaps(subject: Subject) -> Iterator[Found]:
    """Domains whose numbers are not those of their nodes."""
    nodes = node_numbers(subject)
    other = [f"domain {pxm} is node {nid}" for pxm, nid in nodes.items() if pxm != nid]
    if other and sorted(nodes) != list(range(len(nodes))):
        more = f" and {len(other) - 8} more" if len(other) > 8 else ""
        yield Found(f"the domains' numbers have gaps: {', '.join(other[:8])}{more}", "srat", "domain gaps")


@rule(
    "MP213",
    "domain-order",
    "info",
    group=_GROUP,
    checks="Domains turn up in the order of their numbers, so that Linux's nodes have the domains' numbers.",
    linux="Linux numbers nodes from 0 on, as their domains turn up: those of CPUs first, then those of memory.",
    mend="Nothing needs to be done; sort the entries by domain if node numbers should be domain numbers.",
    reference="acpi_map_pxm_to_node (drivers/acpi/numa/srat.c)",
    needs=("srat",),
)
def domain_order(subject: Subject) -> Iterator[Found]:
    """Domains without gaps whose numbers are not those of their nodes."""
    nodes = node_numbers(subject)
    other = [f"domain {pxm} is node {nid}" for pxm, nid in nodes.items() if pxm != nid]
    if other and sorted(nodes) == list(range(len(nodes))):
        more = f" and {len(other) - 8} more" if len(other) > 8 else ""
        yield Found(f"domains turn up out of order: {', '.join(other[:8])}{more}", "srat", "domain order")


@rule(
    "MP214",
    "too-many-domains",
    "error",
    group=_GROUP,
    checks="There are no more domains than the kernel has nodes (MAX_NUMNODES, 1 << CONFIG_NODES_SHIFT), and none has "
    "a number of MAX_NUMNODES or more (256 or more, where there are fewer nodes).",
    linux="Linux drops the whole SRAT: the machine has one node.",
    mend="Use fewer domains and lower numbers, or a kernel built with a higher CONFIG_NODES_SHIFT.",
    reference="acpi_map_pxm_to_node, acpi_parse_memory_affinity (drivers/acpi/numa/srat.c)",
    needs=("srat",),
    fwts="KlogAcpiSratTooManyNodes",
)
def too_many_domains(subject: Subject) -> Iterator[Found]:
    """Domains that Linux has no room for."""
    most = subject.kernel.max_numnodes
    for number, pxm in enumerate(node_numbers(subject)):
        if number < most and pxm < max(most, _LEAST_DOMAINS):
            continue
        text = f"the number of domain {pxm} is too high, the kernel takes those up to {max(most, _LEAST_DOMAINS) - 1}"
        if number >= most:
            text = f"domain {pxm} is one more than the {most} nodes of the kernel"
        path, line = _first_named(subject, pxm)
        yield Found(text, path, f"domain {pxm}", line)
        return


def _first_named(subject: Subject, pxm: int) -> tuple[str, str]:
    """Where a domain that there is no room for turns up first, and what the kernel says about it."""
    srat, prefix = _table(subject), wording(subject).srat
    for index, cpu in enumerate(srat.cpus):
        if cpu.enabled and cpu.pxm == pxm:
            words = f"SRAT: Too many proximity domains {pxm:x}"
            return f"srat.cpus[{index}]", quote(subject, words, otherwise=words)
    words = "SRAT: Too many proximity domains."
    named = (_path(index) for index, entry in _enabled(subject) if entry.pxm == pxm)
    return next(named, "srat"), quote(subject, words, otherwise=prefix + words)


@rule(
    "MP215",
    "too-many-ranges",
    "error",
    group=_GROUP,
    checks="There are no more enabled ranges than the kernel has room for: two for each possible node "
    "(NR_NODE_MEMBLKS).",
    linux="Linux drops the whole SRAT: the machine has one node.",
    mend="Join neighbouring ranges of a domain, or use a kernel built with a higher CONFIG_NODES_SHIFT.",
    reference="numa_add_memblk_to (mm/numa_memblks.c, 6.12; arch/x86/mm/numa.c before)",
    needs=("srat",),
    fwts="KlogAcpiSratMemBlkAddFailed",
)
def too_many_ranges(subject: Subject) -> Iterator[Found]:
    """More ranges than the kernel has room for."""
    most = _room(subject)
    ranges = [index for index, _ in _ranges(subject)]
    if len(ranges) > most:
        words = "too many memblk ranges"
        line = quote(subject, words, otherwise=wording(subject).numa + words)
        yield Found(f"{len(ranges)} enabled ranges, the kernel has room for {most}", _path(ranges[most]), "srat", line)
