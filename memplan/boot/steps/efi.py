"""EFI boots: the map's own place, firmware's tables, boot services, mirrored memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.registry import step
from memplan.machine.model import E820_RAM, E820_RESERVED, EfiRange
from memplan.owner import Owner, Purpose
from memplan.units import MIB, PAGE_SIZE, round_down, round_up

if TYPE_CHECKING:
    from memplan.boot.context import Boot

EFI_BOOT_SERVICES_CODE = 3
EFI_BOOT_SERVICES_DATA = 4
EFI_MEMORY_MORE_RELIABLE = 1 << 16
EFI_MEMORY_RUNTIME = 1 << 63
_EFI_MMIO = (11, 12)
#: What a description calls the boot logo's image among what is reserved.
BOOT_LOGO = "BGRT"
_LARGE_MMIO = 256 << 10


@step("arch/x86/platform/efi/efi.c")
def efi_memblock_x86_reserve_range(boot: Boot) -> None:
    """Reserves the EFI memory map where the loader put it."""
    efi = boot.params.efi
    if efi is None:
        return
    boot.efi_map.descriptors[:] = efi.descriptors
    if efi.memmap is not None:
        boot.memory.reserve(
            efi.memmap[0], sum(efi.memmap), owner=Purpose.EFI_MEMORY_MAP, caller="efi_memblock_x86_reserve_range"
        )


@step("arch/x86/platform/efi/efi.c")
def efi_init(boot: Boot) -> None:
    """Reserves firmware's tables that Linux keeps: memory attributes, TPM event log, MEMRESERVE entries.

    Which ones, rules.efi_tables says.
    6.2 on (commit 07eab0901ede) also takes large MMIO ranges out of the e820 map.
    """
    efi = boot.params.efi
    if efi is None:
        return
    tables = boot.rules.efi_tables
    if efi.memattr is not None and tables.get("memory attributes") != "left":
        boot.memory.reserve(
            efi.memattr[0], sum(efi.memattr), owner=Purpose.EFI_MEMORY_ATTRIBUTES, caller="efi_memattr_init"
        )
    for address, length, what in efi.reserved:
        if what != BOOT_LOGO and tables.get(what, "reserved") == "reserved":
            boot.memory.reserve(
                address, address + length, owner=Owner(Purpose.EFI_TABLE, detail=what), caller="efi_config_parse_tables"
            )
    if boot.rules.efi_mmio_removed:
        for md in efi.descriptors:
            if md.type in _EFI_MMIO and md.end - md.start >= _LARGE_MMIO:
                boot.e820.range_remove(md.start, md.end, E820_RESERVED)
        boot.e820.update()


@step("arch/x86/platform/efi/efi.c")
def efi_find_mirror(boot: Boot) -> None:
    """Marks mirrored memory; 5.10 always, later with kernelcore=mirror only (memblock decides); 4.6 on."""
    mirrored = total = 0
    for md in boot.efi_map.descriptors:
        total += md.end - md.start
        if md.attribute & EFI_MEMORY_MORE_RELIABLE:
            boot.memory.mark_mirror(md.start, md.end)
            mirrored += md.end - md.start
    if mirrored:
        boot.printk(f"efi: Memory: {mirrored // MIB}M/{total // MIB}M mirrored memory")


@step("drivers/firmware/efi/esrt.c")
def efi_mem_reserve_tables(boot: Boot) -> None:
    """ESRT and MOK variables (efi_esrt_init, efi_mokvar_table_init): their boot-services pages become runtime."""
    efi = boot.params.efi
    if efi is None:
        return
    for address, length, what in efi.reserved:
        if boot.rules.efi_tables.get(what) == "apart":
            _efi_mem_reserve(boot, address, length, what)


@step("drivers/firmware/efi/efi-bgrt.c")
def efi_bgrt_init(boot: Boot) -> None:
    """The boot logo's boot-services pages become runtime, long after NODE_DATA; 4.11 on."""
    efi = boot.params.efi
    if (
        efi is None
        or not boot.kernel.config("ACPI_BGRT")
        or boot.params.acpi_disabled
        or boot.cmdline.has("bgrt_disable")
    ):
        return
    for address, length, what in efi.reserved:
        if what == BOOT_LOGO:
            _efi_mem_reserve(boot, address, length, what)


def _efi_mem_reserve(boot: Boot, address: int, length: int, what: str) -> None:
    """efi_mem_reserve with x86's efi_arch_mem_reserve: reserve, then a new map in which the pages are apart."""
    kern = boot.rules.efi_mem_reserve_kern
    if not boot.memblock.is_region_reserved(address, length):
        owner = Owner(Purpose.EFI_TABLE, detail=what)
        boot.memory.reserve(address, address + length, owner=owner, caller="efi_mem_reserve", kern=kern)
    elif kern:
        boot.memblock.reserved_mark_kern(address, length)
    if not boot.efi_map.descriptors:
        # The description says nothing of the map, so the new map that the kernel makes of it can't be placed.
        return
    start, end = round_down(address, PAGE_SIZE), round_up(address + length, PAGE_SIZE)
    index = next((i for i, md in enumerate(boot.efi_map.descriptors) if md.start <= address < md.end), None)
    if index is None or boot.efi_map.descriptors[index].type != EFI_BOOT_SERVICES_DATA:
        boot.printk(f"efi: Failed to lookup EFI memory descriptor for {address:#018x}", warning=True)
        return
    md = boot.efi_map.descriptors[index]
    if address + length > md.end:
        boot.printk(f"efi: Region spans EFI memory descriptors, {address:#018x}", warning=True)
        return
    runtime = md.attribute | EFI_MEMORY_RUNTIME
    parts = [
        EfiRange(low, high, md.type, attribute)
        for low, high, attribute in (
            (md.start, start, md.attribute),
            (start, end, runtime),
            (end, md.end, md.attribute),
        )
        if low < high
    ]
    assert boot.machine.efi is not None
    size = (len(boot.efi_map.descriptors) + len(parts) - 1) * boot.machine.efi.descriptor_size
    place = boot.memory.phys_alloc(size, 64, owner=Purpose.EFI_MEMORY_MAP, caller="__efi_memmap_alloc_early")
    if not place:
        boot.printk("efi: Could not allocate boot services memmap", warning=True)
        return
    if boot.efi_map.block is not None:
        boot.memory.free(*boot.efi_map.block, owner=Purpose.EFI_MEMORY_MAP, caller="__efi_memmap_free")
    boot.efi_map.block = (place, place + size)
    boot.efi_map.descriptors[index : index + 1] = parts
    boot.e820.range_update(start, end, E820_RAM, E820_RESERVED)
    boot.e820.update()


@step("arch/x86/platform/efi/quirks.c")
def efi_reserve_boot_services(boot: Boot) -> None:
    """Reserves the boot services' memory, which firmware is known to use after ExitBootServices.

    5.x on: a range of which not one byte is reserved, whole.  3.13: only where it is RAM altogether and away from
    the kernel image too.
    """
    for md in boot.efi_map.descriptors:
        if md.type not in (EFI_BOOT_SERVICES_CODE, EFI_BOOT_SERVICES_DATA):
            continue
        if boot.memblock.is_region_reserved(md.start, md.end - md.start):
            continue
        if boot.rules.efi_boot_services == "ram":
            meets_kernel = md.end > boot.params.kernel_start and md.start <= boot.params.kernel_end
            if meets_kernel or not boot.e820.mapped_all(md.start, md.end, E820_RAM):
                continue
        boot.memory.reserve(md.start, md.end, owner=Purpose.EFI_BOOT_SERVICES, caller="efi_reserve_boot_services")
