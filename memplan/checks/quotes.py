"""What the kernel says: lines quoted from the replayed boot, and what they name where there is none to quote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.plan import Message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.checks.model import Subject


def lines(subject: Subject, *words: str) -> Iterator[str]:
    """The lines of the replayed boot that hold all of `words`, in their order; none where nothing was replayed."""
    if subject.has("plan"):
        for event in subject.plan.events:
            if isinstance(event, Message) and all(word in event.text for word in words):
                yield event.text


def quote(subject: Subject, *words: str, otherwise: str = "") -> str:
    """The first such line, or `otherwise` where nothing was replayed ("" where the replayed boot has no such line)."""
    return next(lines(subject, *words), "") if subject.has("plan") else otherwise


def node_numbers(subject: Subject) -> dict[int, int]:
    """The node of each proximity domain of enabled entries: numbered as they turn up (acpi_map_pxm_to_node)."""
    srat, rules = subject.srat, subject.kernel.rules
    if srat is None:
        return {}
    cpus = [cpu for cpu in srat.cpus if cpu.enabled]
    if rules.srat_x2apic_first:
        cpus.sort(key=lambda cpu: not cpu.x2apic)
    domains = [cpu.pxm for cpu in cpus]
    if rules.srat_generic_initiators:
        domains += srat.generic_initiators
    domains += (entry.pxm for entry in srat.memory if entry.enabled)
    return {pxm: nid for nid, pxm in enumerate(dict.fromkeys(domains))}
