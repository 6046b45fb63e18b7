"""Which entries of an SRAT name which proximity domains, and in which order the kernel meets them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.kernel.rules import Rules
    from memplan.machine.model import CpuAffinity, MemoryAffinity, Srat


def cpus_in_order(srat: Srat, rules: Rules) -> list[CpuAffinity]:
    """The enabled CPU entries in the order in which they are parsed; 3.13 takes all x2APIC entries first."""
    cpus = [cpu for cpu in srat.cpus if cpu.enabled]
    if rules.srat_x2apic_first:
        cpus.sort(key=lambda cpu: not cpu.x2apic)
    return cpus


def domain_of(entry: CpuAffinity | MemoryAffinity, srat: Srat) -> int:
    """The entry's domain; tables of revision 1 have eight bits for it, but for x2APIC entries."""
    x2apic = getattr(entry, "x2apic", False)
    return entry.pxm if x2apic or srat.revision >= 2 else entry.pxm & 0xFF


def node_numbers(srat: Srat, rules: Rules) -> dict[int, int]:
    """The node of each domain, numbered as they turn up (acpi_map_pxm_to_node) while there is room for them."""
    return {pxm: nid for nid, pxm in enumerate(dict.fromkeys(_domains(srat, rules)))}


def _domains(srat: Srat, rules: Rules) -> Iterator[int]:
    for cpu in cpus_in_order(srat, rules):
        yield domain_of(cpu, srat)
    if rules.srat_generic_initiators:
        yield from srat.generic_initiators
    for entry in srat.memory:
        if entry.enabled:
            yield domain_of(entry, srat)
