"""The initrd once the direct map is there, the tables inside it, and firmware's ACPI tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.state import BootPanic
from memplan.machine.model import E820_ACPI, E820_NVS
from memplan.units import PAGE_SIZE, pfn_down, round_up

if TYPE_CHECKING:
    from memplan.boot.state import Boot


def reserve_initrd(boot: Boot) -> None:
    """Moves an initrd that is not wholly in the direct map into it (relocate_initrd), and frees its old place.

    All versions; 3.13 panics first where the initrd is half of the mapped RAM or more.
    """
    if boot.initrd is None or boot.machine.initrd is None:
        return
    start, end = boot.initrd
    size = boot.machine.initrd.size
    mapped_end = boot.max_pfn_mapped * PAGE_SIZE
    boot.printk(f"RAMDISK: [mem {start:#010x}-{end - 1:#010x}]")
    if boot.rules.initrd_half_limit:
        mapped = boot.memblock.mem_size_below_pfn(boot.max_pfn_mapped)
        if size >= mapped >> 1:
            raise BootPanic(
                f"initrd too large to handle, disabling initrd ({size} needed, {mapped >> 1} available)",
                "the initrd is at least half of the mapped RAM",
            )
    if _mapped(boot, pfn_down(start), pfn_down(end)):
        return
    place = boot.phys_alloc_range(
        round_up(size, PAGE_SIZE), PAGE_SIZE, 0, mapped_end, owner="initrd", caller="relocate_initrd"
    )
    if not place:
        raise BootPanic(
            f"Cannot find place for new RAMDISK of size {size}",
            "the initrd lies outside the direct map and no free block inside it is large enough",
        )
    boot.printk(f"Allocated new RAMDISK: [mem {place:#010x}-{place + size - 1:#010x}]")
    boot.printk(
        f"Move RAMDISK from [mem {boot.machine.initrd.start:#010x}-{boot.machine.initrd.start + size - 1:#010x}] "
        f"to [mem {place:#010x}-{place + size - 1:#010x}]"
    )
    boot.free(start, end, owner="initrd", caller="reserve_initrd")
    boot.initrd = (place, place + round_up(size, PAGE_SIZE))


def _mapped(boot: Boot, start_pfn: int, end_pfn: int) -> bool:
    """Whether ``[start_pfn, end_pfn)`` lies in one mapped range (pfn_range_is_mapped)."""
    return boot.mapped.covers(start_pfn, end_pfn)


def acpi_table_upgrade(boot: Boot) -> None:
    """Copies the ACPI tables from the initrd's head to a place of their own; 3.13: acpi_initrd_override."""
    upgrades = boot.machine.acpi.upgrades
    config = "ACPI_TABLE_UPGRADE" if boot.kernel.config("ACPI_TABLE_UPGRADE") else "ACPI_INITRD_TABLE_OVERRIDE"
    if not upgrades or boot.initrd is None or not boot.kernel.config(config):
        return
    for upgrade in upgrades:
        boot.printk(
            f"{boot.rules.acpi_prefix}{upgrade.signature} ACPI table found in initrd "
            f"[kernel/firmware/acpi/{upgrade.signature}.aml][{upgrade.length:#x}]"
        )
    total = sum(upgrade.length for upgrade in upgrades)
    limit = boot.max_low_pfn_mapped * PAGE_SIZE
    place = boot.phys_alloc_range(total, PAGE_SIZE, 0, limit, owner="ACPI table upgrade", caller="acpi_table_upgrade")
    if not place:
        boot.printk("WARNING: no room for the ACPI tables of the initrd", warning=True)
        return
    kind = E820_NVS if boot.rules.upgraded_tables_nvs else E820_ACPI
    boot.e820.range_add(place, place + total, kind)
    boot.e820.update()
    boot.printk(f"{boot.rules.e820_prefix}modified physical RAM map:")
    for upgrade in upgrades:
        boot.upgraded_tables.setdefault(upgrade.signature, (place, place + upgrade.length))
        place += upgrade.length


def acpi_boot_table_init(boot: Boot) -> None:
    """Reserves the ACPI tables, exact bytes, in the root table's order (5.11 and stable 5.10 on).

    An upgraded table counts at its new place.  Tables that the initrd adds come last; not with acpi=off.
    """
    if boot.acpi_disabled:
        return
    replaced = {upgrade.signature for upgrade in boot.machine.acpi.upgrades if upgrade.replaces}
    for table in boot.machine.acpi.tables:
        place = boot.upgraded_tables.get(table.signature) if table.signature in replaced else None
        _reserve_table(boot, table.signature, *(place or (table.address, table.address + table.length)))
    for upgrade in boot.machine.acpi.upgrades:
        if not upgrade.replaces and upgrade.signature in boot.upgraded_tables:
            _reserve_table(boot, upgrade.signature, *boot.upgraded_tables[upgrade.signature])


def _reserve_table(boot: Boot, signature: str, start: int, end: int) -> None:
    boot.printk(f"ACPI: Reserving {signature:4} table memory at [mem {start:#x}-{end - 1:#x}]")
    boot.reserve(start, end, owner=f"ACPI {signature}", caller="acpi_reserve_initial_tables")
