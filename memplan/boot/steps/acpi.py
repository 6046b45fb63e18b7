"""ACPI tables: those that the initrd brings, and firmware's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.registry import step
from memplan.machine.model import E820_ACPI, E820_NVS
from memplan.owner import Owner, Purpose
from memplan.units import PAGE_SIZE

if TYPE_CHECKING:
    from memplan.boot.context import Boot


@step("drivers/acpi/tables.c")
def acpi_table_upgrade(boot: Boot) -> None:
    """Copies the ACPI tables from the initrd's head to a place of their own; 3.13: acpi_initrd_override."""
    upgrades = boot.machine.acpi.upgrades
    config = "ACPI_TABLE_UPGRADE" if boot.kernel.config("ACPI_TABLE_UPGRADE") else "ACPI_INITRD_TABLE_OVERRIDE"
    if not upgrades or boot.initrd is None or not boot.kernel.config(config):
        return
    for upgrade in upgrades:
        boot.printk(
            f"{boot.wording.acpi}{upgrade.signature} ACPI table found in initrd "
            f"[kernel/firmware/acpi/{upgrade.signature}.aml][{upgrade.length:#x}]"
        )
    total = sum(upgrade.length for upgrade in upgrades)
    limit = boot.direct_map.max_low_pfn_mapped * PAGE_SIZE
    place = boot.memory.phys_alloc_range(
        total, PAGE_SIZE, 0, limit, owner=Purpose.ACPI_TABLE_UPGRADE, caller="acpi_table_upgrade"
    )
    if not place:
        boot.printk("WARNING: no room for the ACPI tables of the initrd", warning=True)
        return
    kind = E820_NVS if boot.rules.upgraded_tables_nvs else E820_ACPI
    boot.e820.range_add(place, place + total, kind)
    boot.e820.update()
    boot.printk(f"{boot.wording.e820}modified physical RAM map:")
    for upgrade in upgrades:
        boot.upgraded_tables.setdefault(upgrade.signature, (place, place + upgrade.length))
        place += upgrade.length


@step("arch/x86/kernel/acpi/boot.c")
def acpi_boot_table_init(boot: Boot) -> None:
    """Reserves the ACPI tables, exact bytes, in the root table's order (5.11 and stable 5.10 on).

    An upgraded table counts at its new place; tables that the initrd adds are installed only behind this.  Not with
    acpi=off.
    """
    if boot.params.acpi_disabled:
        return
    replaced = {upgrade.signature for upgrade in boot.machine.acpi.upgrades if upgrade.replaces}
    for table in boot.machine.acpi.tables:
        place = boot.upgraded_tables.get(table.signature) if table.signature in replaced else None
        start, end = place or (table.address, table.address + table.length)
        boot.printk(f"ACPI: Reserving {table.signature:4} table memory at [mem {start:#x}-{end - 1:#x}]")
        boot.memory.reserve(
            start, end, owner=Owner(Purpose.ACPI_TABLE, detail=table.signature), caller="acpi_reserve_initial_tables"
        )
