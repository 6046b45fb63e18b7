"""ACPI's tables and the SRAT, as a boot log tells them."""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING

from memplan.firmware.dmesg_cpus import affinities
from memplan.klog.boot import BootLines
from memplan.machine.model import AcpiTable, Srat, TableUpgrade

if TYPE_CHECKING:
    from memplan.firmware.source import SourceFacts

_PAGE_SLIT = 44


def acpi_facts(boot: BootLines, found: SourceFacts) -> None:
    """The tables and their places, upgrades from the initrd, I/O APICs, HPET, and the SLIT's size."""
    tables: list[AcpiTable] = []
    upgraded: list[tuple[str, int]] = []
    pending: set[str] = set()
    line = 0
    for table in boot.tables:
        line = line or table.line
        if table.signature == "RSDP":
            found.put("acpi.rsdp", table.address, "ACPI: RSDP", line=table.line)
        elif table.signature in ("RSDT", "XSDT"):
            continue
        elif table.upgrade:
            upgraded.append((table.signature, table.length))
            continue
        elif table.length == 0:
            pending.add(table.signature)
            tables.append(AcpiTable(table.signature, table.address, 0))
            continue
        elif table.signature in pending:
            # The line behind a table that an upgrade replaces: the upgrade at its new place.
            pending.discard(table.signature)
            upgraded.append((table.signature, table.length))
            continue
        else:
            tables.append(AcpiTable(table.signature, table.address, table.length))
    if tables:
        found.put("acpi.tables", tuple(tables), "ACPI tables", line=line)
        if any(not t.length for t in tables):
            found.note(
                "the length of firmware's own table is not printed where one from the initrd replaces it; it is 0"
            )
    else:
        found.lacks("acpi.tables", "the log lists no ACPI tables")
    _upgrades(boot, upgraded, found)
    if boot.has("ioapic"):
        found.put("acpi.ioapics", boot.ioapics, "IOAPIC", line=boot.lines["ioapic"])
    elif boot.has("cpus"):
        found.put("acpi.ioapics", 0, "no IOAPIC line before the CPU count", line=boot.lines["cpus"])
    if boot.has("hpet") or boot.has("cpus"):
        found.put("acpi.hpet", boot.has("hpet"), "HPET id", line=boot.lines.get("hpet", 0))
    slit = next((t for t in tables if t.signature == "SLIT"), None)
    if slit is not None and slit.length > _PAGE_SLIT:
        count = isqrt(slit.length - _PAGE_SLIT)
        matrix = tuple(tuple(10 if row == column else 20 for column in range(count)) for row in range(count))
        found.put("acpi.slit", matrix, "SLIT's length; distances assumed", line=line, weak=True)
        found.lacks("acpi.slit", "there is a SLIT, whose distances the log does not print; 10 and 20 are assumed")


def _upgrades(boot: BootLines, upgraded: list[tuple[str, int]], found: SourceFacts) -> None:
    listed = boot.upgrades or upgraded
    if not listed:
        return
    installed = list(boot.installed)
    upgrades = []
    for signature, length in listed:
        replaces = signature not in installed
        if not replaces:
            installed.remove(signature)
        upgrades.append(TableUpgrade(signature, length, replaces))
    line = boot.lines.get("upgrade") or boot.lines.get("override", 0)
    found.put("acpi.upgrades", tuple(upgrades), "tables in the initrd", line=line)


def srat_facts(boot: BootLines, found: SourceFacts) -> None:
    """The affinities of memory and CPUs."""
    listed = next((t for t in reversed(boot.tables) if t.signature == "SRAT" and t.length), None)
    if not boot.srat_memory and not boot.srat_cpus:
        if listed is not None:
            found.lacks(
                "srat",
                "there is an SRAT, but its entries are not in the log (numa=off, or a log that ends early)",
                listed.line,
            )
        return
    line = boot.lines.get("srat_memory") or boot.lines.get("srat_cpu", 0)
    revision = listed.revision if listed is not None and listed.revision else 3
    srat = Srat(tuple(boot.srat_memory), affinities(boot), revision=revision)
    found.put("srat", srat, "SRAT", line=line)
    found.put_entries("srat.memory", srat.memory, boot.srat_memory, boot.places["srat_memory"])
    found.put_entries("srat.cpus", srat.cpus, boot.srat_cpus, boot.places["srat_cpus"])
    if unnamed := dict.fromkeys(cpu.pxm for cpu in srat.cpus if cpu.pxm not in boot.pxm_nodes):
        domains = ", ".join(map(str, unnamed))
        found.note(f"a node has no memory, and no line names its proximity domain: {domains} is taken", line)
