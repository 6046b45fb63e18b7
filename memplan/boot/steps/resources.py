"""Entries of /proc/iomem and of /sys/firmware/memmap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.registry import step
from memplan.owner import Purpose

if TYPE_CHECKING:
    from memplan.boot.context import Boot


@step("arch/x86/kernel/acpi/boot.c")
def acpi_parse_hpet(boot: Boot) -> None:
    """The HPET's resource, with its name of nine characters."""
    if boot.machine.acpi.hpet and not boot.params.acpi_disabled and boot.kernel.config("HPET_TIMER"):
        boot.memory.alloc_or_panic(
            boot.kernel.fact("struct.resource") + 9, owner=Purpose.HPET_RESOURCE, caller="acpi_parse_hpet"
        )


@step("arch/x86/kernel/apic/io_apic.c")
def io_apic_init_mappings(boot: Boot) -> None:
    """The IO-APICs' resources, with names of eleven characters."""
    count = boot.params.ioapics
    if count:
        size = count * (boot.kernel.fact("struct.resource") + 11)
        boot.memory.alloc_or_panic(size, owner=Purpose.IOAPIC_RESOURCES, caller="io_apic_init_mappings")


@step("arch/x86/kernel/e820.c")
def e820__reserve_resources(boot: Boot) -> None:
    """The e820 entries' resources, and an entry of /sys/firmware/memmap for each of firmware's."""
    size = boot.kernel.fact("struct.resource") * len(boot.e820)
    boot.memory.alloc_or_panic(size, owner=Purpose.E820_RESOURCES, caller="e820__reserve_resources")
    if not boot.kernel.config("FIRMWARE_MEMMAP"):
        return
    size = boot.kernel.fact("struct.firmware_map_entry")
    for _ in boot.e820_firmware:
        boot.memory.alloc_or_panic(size, owner=Purpose.FIRMWARE_MEMMAP, caller="firmware_map_add_early")
