"""What the BIOS keeps in low memory, and what is set aside because BIOSes corrupt it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.registry import step
from memplan.owner import Purpose
from memplan.units import KIB, MIB, PAGE_SIZE, memparse, round_up

if TYPE_CHECKING:
    from memplan.boot.context import Boot

#: The highest base memory that the kernel believes (BIOS_START_MAX).
_BIOS_START_MAX = 0x9F000
#: Low memory that setup_bios_corruption_check may set aside, in areas.
_MAX_SCAN_AREAS = 8


@step("arch/x86/kernel/setup.c")
def reserve_low_pages(boot: Boot) -> None:
    """Reserves page 0 (5.10) or the first 64 KiB (5.13 on), which firmware is known to corrupt."""
    boot.memory.reserve(0, boot.rules.low_reserve, owner=Purpose.LOW_PAGES, caller="early_reserve_memory")


@step("arch/x86/kernel/ebda.c")
def reserve_bios_regions(boot: Boot) -> None:
    """Reserves from the end of base memory, or the EBDA, to 1 MiB (5.x on)."""
    bios = boot.machine.bios
    if not bios.legacy_area:
        return
    smallest = 128 * KIB
    start = bios.lowmem if smallest <= bios.lowmem <= _BIOS_START_MAX else _BIOS_START_MAX
    if smallest <= bios.ebda < start:
        start = bios.ebda
    boot.memory.reserve(start, MIB, owner=Purpose.BIOS_AREA, caller="reserve_bios_regions")


@step("arch/x86/kernel/head.c")
def reserve_ebda_region(boot: Boot) -> None:
    """Reserves from the lowest of base memory, EBDA and 0x9f000 to 1 MiB (3.13); values below 128K count as 0x9f000."""
    bios = boot.machine.bios
    if not bios.legacy_area:
        return
    places = (place if place >= 128 * KIB else _BIOS_START_MAX for place in (bios.lowmem, bios.ebda))
    boot.memory.reserve(min(*places, _BIOS_START_MAX), MIB, owner=Purpose.BIOS_AREA, caller="reserve_ebda_region")


@step("arch/x86/kernel/setup.c")
def trim_low_memory_range(boot: Boot) -> None:
    """Reserves the first `reservelow=` KiB (default X86_RESERVE_LOW; 4K to 640K), up to 5.12."""
    size = boot.kernel.config_number("X86_RESERVE_LOW") * KIB
    if value := boot.cmdline.last("reservelow"):
        size = min(max(memparse(value)[0], PAGE_SIZE), 640 * KIB)
    boot.memory.reserve(0, round_up(size, PAGE_SIZE), owner=Purpose.LOW_PAGES, caller="setup_arch")


@step("arch/x86/kernel/check.c")
def setup_bios_corruption_check(boot: Boot) -> None:
    """Reserves the free low pages that are watched for corruption by the BIOS."""
    if not boot.kernel.config("X86_CHECK_BIOS_CORRUPTION"):
        return
    enabled = boot.kernel.config("X86_BOOTPARAM_MEMORY_CORRUPTION_CHECK")
    if (value := boot.cmdline.last("memory_corruption_check")) is not None:
        enabled = value != "0"
    value = boot.cmdline.last("memory_corruption_check_size")
    size = memparse(value)[0] if value else 64 * KIB
    if not enabled or not size:
        return
    size = round_up(size, PAGE_SIZE)
    areas = 0
    index = 0
    # The kernel's iterator goes on by addresses it has passed: an area that it has just reserved is not met again.
    gaps = list(boot.memory.free_gaps())
    while index < len(gaps) and areas < _MAX_SCAN_AREAS:
        start, end = gaps[index]
        index += 1
        start = min(max(round_up(start, PAGE_SIZE), PAGE_SIZE), size)
        end = min(max(end // PAGE_SIZE * PAGE_SIZE, PAGE_SIZE), size)
        if start < end:
            boot.memory.reserve(start, end, owner=Purpose.BIOS_CORRUPTION_CHECK, caller="setup_bios_corruption_check")
            areas += 1
    if areas:
        boot.printk(f"{boot.wording.bios_check}Scanning {areas} areas for low memory corruption")


@step("drivers/firmware/iscsi_ibft_find.c")
def reserve_ibft_region(boot: Boot) -> None:
    """Reserves the iSCSI boot firmware table, in whole pages, not on EFI boots."""
    ibft = boot.machine.bios.ibft
    if ibft is None or not boot.kernel.config("ISCSI_IBFT_FIND") or boot.machine.efi is not None:
        return
    boot.memory.reserve(
        ibft[0], ibft[0] + round_up(ibft[1], PAGE_SIZE), owner=Purpose.IBFT, caller="reserve_ibft_region"
    )


@step("drivers/firmware/dmi_scan.c")
def dmi_setup(boot: Boot) -> None:
    """Copies the SMBIOS structures into the brk (dmi_alloc), in units of 8 bytes."""
    boot.brk_end += round_up(boot.machine.bios.dmi_length, 8)
