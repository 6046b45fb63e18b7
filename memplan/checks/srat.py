"""MP204 on: the SRAT against itself: wrap, empty and disabled entries, the numbers of domains and ranges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.checks.model import Found, Subject, rule
from memplan.checks.quotes import node_numbers, quote, wording
from memplan.checks.srat_entries import GROUP, enabled, end_of, path_of, ranges, room, srat_of, words_of
from memplan.units import U64_MAX, mem_range

if TYPE_CHECKING:
    from collections.abc import Iterator

#: APIC ids that the kernel has room for (MAX_LOCAL_APIC), and domains at least (MAX_PXM_DOMAINS).
_APIC_IDS = 32768
_LEAST_DOMAINS = 256


# -- single entries ------------------------------------------------------------------------------------------------


@rule(
    "MP204",
    "range-wraps",
    "error",
    group=GROUP,
    checks="An enabled range ends below 2^64.",
    linux="Linux leaves out the range, with a warning, and uses the others: RAM in it has no node.",
    mend="Correct the range's base or length.",
    reference="ACPI 6.5, 5.2.16.2; numa_add_memblk_to (mm/numa_memblks.c, 6.12; arch/x86/mm/numa.c before)",
    needs=("srat",),
)
def range_wraps(subject: Subject) -> Iterator[Found]:
    """Ranges that go beyond the last address."""
    nodes = node_numbers(subject)
    for index, entry in enabled(subject):
        if entry.length and end_of(entry) > U64_MAX:
            shown = (
                mem_range(entry.base, end_of(entry) & U64_MAX)
                if end_of(entry) & U64_MAX
                else f"[mem {entry.base:#010x}"
            )
            words = f"Warning: invalid memblk node {nodes[entry.pxm]} {shown}"
            line = quote(subject, words, otherwise=f"{wording(subject).numa}{words}")
            text = f"domain {entry.pxm}: {entry.length:#x} bytes from {entry.base:#x} on end beyond 2^64"
            yield Found(text, path_of(index), dmesg=line)


@rule(
    "MP205",
    "empty-range",
    "info",
    group=GROUP,
    checks="An enabled range has a length.",
    linux="Linux gives the domain a node, but no memory.",
    mend="Clear the Enabled flag of entries that are not in use.",
    reference="ACPI 6.5, 5.2.16.2; numa_add_memblk_to (mm/numa_memblks.c, 6.12; arch/x86/mm/numa.c before)",
    needs=("srat",),
)
def empty_range(subject: Subject) -> Iterator[Found]:
    """Enabled ranges of no length."""
    nodes = node_numbers(subject)
    for index, entry in enabled(subject):
        if not entry.length:
            words = f"SRAT: Node {nodes[entry.pxm]} PXM {entry.pxm} {mem_range(entry.base, entry.base)}"
            line = quote(subject, words, otherwise=f"{wording(subject).srat}{words}")
            yield Found(f"domain {entry.pxm} has a range of no length at {entry.base:#x}", path_of(index), dmesg=line)


@rule(
    "MP206",
    "disabled-entries",
    "info",
    group=GROUP,
    checks="How many memory entries are disabled. Firmware that keeps a fixed number of entries has many; that is "
    "normal.",
    linux="Linux skips disabled entries and prints nothing about them.",
    mend="Nothing needs to be done, unless memory that is there should be found in one of them.",
    reference="ACPI 6.5, 5.2.16.2; acpi_parse_memory_affinity (drivers/acpi/numa/srat.c)",
    needs=("srat",),
)
def disabled_entries(subject: Subject) -> Iterator[Found]:
    """Disabled entries, all in one finding."""
    memory = srat_of(subject).memory
    disabled = [index for index, entry in enumerate(memory) if not entry.enabled]
    if disabled:
        text = f"{len(disabled)} of {len(memory)} memory entries are disabled"
        yield Found(text, path_of(disabled[0]), "disabled entries", weight=len(disabled))


@rule(
    "MP207",
    "disabled-entry-immovable",
    "info",
    group=GROUP,
    checks="No disabled entry that isn't hot-pluggable has a length.",
    linux="The decompressor does not look at the Enabled flag: where it knows of ranges that are not hot-pluggable, it "
    "puts the kernel into these alone (KASLR), and this one counts among them. It prints nothing.",
    mend="Let the length of disabled entries be 0.",
    reference="count_immovable_mem_regions (arch/x86/boot/compressed/acpi.c, since 5.1)",
    needs=("srat",),
)
def disabled_entry_immovable(subject: Subject) -> Iterator[Found]:
    """Disabled entries that count for KASLR."""
    for index, entry in enumerate(srat_of(subject).memory):
        if not entry.enabled and not entry.hotplug and entry.length:
            yield Found(
                f"the disabled entry of {words_of(entry)} counts as memory that can't be removed", path_of(index)
            )


@rule(
    "MP208",
    "hotpluggable-not-enabled",
    "warning",
    group=GROUP,
    checks="A hot-pluggable range is enabled: without that its other flags mean nothing.",
    linux="Linux skips the entry: memory in it has no node and is not hot-pluggable. It prints nothing about it.",
    mend="Set the Enabled flag, too, or set the length to 0 until the range is in use.",
    reference="ACPI 6.5, 5.2.16.2; acpi_parse_memory_affinity (drivers/acpi/numa/srat.c)",
    needs=("srat",),
)
def hotpluggable_not_enabled(subject: Subject) -> Iterator[Found]:
    """Hot-pluggable ranges that are disabled."""
    for index, entry in enumerate(srat_of(subject).memory):
        if entry.hotplug and not entry.enabled and entry.length:
            yield Found(f"{words_of(entry)} is hot-pluggable, but not enabled", path_of(index), weight=entry.length)


@rule(
    "MP209",
    "apic-id-too-high",
    "warning",
    group=GROUP,
    checks="The APIC id of an enabled processor entry is below 32768.",
    linux="Linux has no room for the id (MAX_LOCAL_APIC): it ignores the entry, and the CPU can't be used.",
    mend="Give the CPU an APIC id below 32768.",
    reference="ACPI 6.5, 5.2.16.3; acpi_numa_x2apic_affinity_init (arch/x86/mm/srat.c)",
    needs=("srat",),
)
def apic_id_too_high(subject: Subject) -> Iterator[Found]:
    """CPUs whose APIC id Linux has no room for."""
    for index, cpu in enumerate(srat_of(subject).cpus):
        if cpu.enabled and cpu.apic_id >= _APIC_IDS:
            yield Found(f"the APIC id {cpu.apic_id:#x} of a CPU in domain {cpu.pxm} is too high", f"srat.cpus[{index}]")


@rule(
    "MP210",
    "cpu-in-two-domains",
    "warning",
    group=GROUP,
    checks="A CPU is in one domain.",
    linux="For Linux the entry that it reads last counts.",
    mend="Leave out all entries of the CPU but one.",
    reference="ACPI 6.5, 5.2.16.1; acpi_numa_processor_affinity_init (arch/x86/mm/srat.c)",
    needs=("srat",),
)
def cpu_in_two_domains(subject: Subject) -> Iterator[Found]:
    """CPUs that several domains claim."""
    domains: dict[int, int] = {}
    for index, cpu in enumerate(srat_of(subject).cpus):
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
    group=GROUP,
    checks="The SRAT has an enabled memory entry.",
    linux="Linux drops what the SRAT says: the machine has one node.",
    mend="Describe the memory, and set the Enabled flag.",
    reference="ACPI 6.5, 5.2.16.2; acpi_numa_init (drivers/acpi/numa/srat.c), dummy_numa_init (arch/x86/mm/numa.c)",
    needs=("srat",),
)
def no_enabled_memory(subject: Subject) -> Iterator[Found]:
    """An SRAT that gives no memory to any domain."""
    memory = srat_of(subject).memory
    if not any(entry.enabled for entry in memory):
        line = quote(subject, "No NUMA configuration found", otherwise="No NUMA configuration found")
        text = f"none of {len(memory)} memory entries is enabled" if memory else "there is no memory entry"
        yield Found(f"the SRAT gives no memory to any domain: {text}", "srat", dmesg=line)


@rule(
    "MP212",
    "domain-gaps",
    "info",
    group=GROUP,
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
    group=GROUP,
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
    group=GROUP,
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
    srat, prefix = srat_of(subject), wording(subject).srat
    for index, cpu in enumerate(srat.cpus):
        if cpu.enabled and cpu.pxm == pxm:
            words = f"SRAT: Too many proximity domains {pxm:x}"
            return f"srat.cpus[{index}]", quote(subject, words, otherwise=words)
    words = "SRAT: Too many proximity domains."
    named = (path_of(index) for index, entry in enabled(subject) if entry.pxm == pxm)
    return next(named, "srat"), quote(subject, words, otherwise=prefix + words)


@rule(
    "MP215",
    "too-many-ranges",
    "error",
    group=GROUP,
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
    most = room(subject)
    named = [index for index, _ in ranges(subject)]
    if len(named) > most:
        words = "too many memblk ranges"
        line = quote(subject, words, otherwise=wording(subject).numa + words)
        yield Found(f"{len(named)} enabled ranges, the kernel has room for {most}", path_of(named[most]), "srat", line)
