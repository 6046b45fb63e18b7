"""What is set aside before memblock knows any RAM, and the low memory afterwards: setup_arch's first half."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.e820 import parse_early_mem, parse_early_memmap
from memplan.boot.state import BootPanic
from memplan.boot.swiotlb import setup_io_tlb_npages
from memplan.units import KIB, MIB, PAGE_SIZE, memparse, round_up

if TYPE_CHECKING:
    from memplan.boot.state import Boot

#: Pages that Sandy Bridge graphics can't reach (trim_snb_memory).
_SNB_BAD_PAGES = (0x20050000, 0x20110000, 0x20130000, 0x20138000, 0x40004000)
#: The highest base memory that the kernel believes (BIOS_START_MAX).
_BIOS_START_MAX = 0x9F000
#: Low memory that setup_bios_corruption_check may set aside, in areas.
_MAX_SCAN_AREAS = 8


def reserve_kernel_image(boot: Boot) -> None:
    """Reserves [_text, __end_of_kernel_reserve), in 3.13 [_text, __bss_stop); the brk follows later."""
    end = boot.kernel_start + boot.kernel.fact("image.kernel_reserve_end")
    boot.reserve(boot.kernel_start, end, owner="kernel image", caller="setup_arch")


def reserve_low_pages(boot: Boot) -> None:
    """Reserves page 0 (5.10) or the first 64 KiB (5.13 on), which firmware is known to corrupt."""
    boot.reserve(0, boot.rules.low_reserve, owner="low pages", caller="early_reserve_memory")


def early_reserve_initrd(boot: Boot) -> None:
    """Reserves the initial RAM disk where the loader put it, to the end of its last page; all versions."""
    initrd = boot.machine.initrd
    if initrd is None or not initrd.start or not initrd.size:
        return
    boot.initrd = (initrd.start, round_up(initrd.start + initrd.size, PAGE_SIZE))
    boot.reserve(*boot.initrd, owner="initrd", caller="early_reserve_initrd")


def memblock_x86_reserve_range_setup_data(boot: Boot) -> None:
    """Reserves each setup_data node (header of 16 bytes and data) and what an indirect one points to; all versions."""
    for node in boot.machine.setup_data:
        caller = "memblock_x86_reserve_range_setup_data"
        boot.reserve(node.address, node.address + 16 + node.length, owner="setup_data", caller=caller)
        if node.target is not None:
            boot.reserve(node.target[0], sum(node.target), owner="setup_data", caller=caller)


def reserve_ibft_region(boot: Boot) -> None:
    """Reserves the iSCSI boot firmware table, in whole pages; all versions, not on EFI boots."""
    ibft = boot.machine.bios.ibft
    if ibft is None or not boot.kernel.config("ISCSI_IBFT_FIND") or boot.machine.efi is not None:
        return
    boot.reserve(ibft[0], ibft[0] + round_up(ibft[1], PAGE_SIZE), owner="iBFT", caller="reserve_ibft_region")


def reserve_bios_regions(boot: Boot) -> None:
    """Reserves from the end of base memory, or the EBDA, to 1 MiB (5.x on)."""
    bios = boot.machine.bios
    if not bios.legacy_area:
        return
    smallest = 128 * KIB
    start = bios.lowmem if smallest <= bios.lowmem <= _BIOS_START_MAX else _BIOS_START_MAX
    if smallest <= bios.ebda < start:
        start = bios.ebda
    boot.reserve(start, MIB, owner="BIOS area", caller="reserve_bios_regions")


def reserve_ebda_region(boot: Boot) -> None:
    """Reserves from the lowest of base memory, EBDA and 0x9f000 to 1 MiB (3.13); values below 128K count as 0x9f000."""
    bios = boot.machine.bios
    if not bios.legacy_area:
        return
    places = (place if place >= 128 * KIB else _BIOS_START_MAX for place in (bios.lowmem, bios.ebda))
    boot.reserve(min(*places, _BIOS_START_MAX), MIB, owner="BIOS area", caller="reserve_ebda_region")


def trim_snb_memory(boot: Boot) -> None:
    """Reserves the pages that Sandy Bridge graphics can't reach; all versions."""
    if not boot.machine.cpus.sandy_bridge_graphics:
        return
    if not boot.rules.reserve_first_mib:
        boot.reserve(0, MIB, owner="Sandy Bridge graphics", caller="trim_snb_memory")
    for page in _SNB_BAD_PAGES:
        boot.reserve(page, page + PAGE_SIZE, owner="Sandy Bridge graphics", caller="trim_snb_memory")


def parse_early_param(boot: Boot) -> None:
    """Reads the options that act at once, in their order; from here on memblock=debug prints; all versions."""
    boot.recorder.logged = True
    for name, value in boot.cmdline.args:
        if name == "mem":
            boot.user_map |= parse_early_mem(boot, value)
        elif name == "memmap":
            boot.user_map |= parse_early_memmap(boot, value)
    setup_io_tlb_npages(boot)
    boot.movable_node = boot.cmdline.has("movable_node") and boot.kernel.config(boot.rules.movable_node_config)
    boot.memblock.movable_node = boot.movable_node
    boot.memblock.mirrored_kernelcore = "mirror" in boot.cmdline.all("kernelcore")
    boot.memblock.kernel_end = boot.kernel_end


def memblock_set_bottom_up(boot: Boot) -> None:
    """Allocate upwards from here to the SRAT where movable_node asks for it, or as the user forces; all versions."""
    forced = boot.forced_bottom_up
    boot.memblock.bottom_up = boot.movable_node if forced is None else forced
    boot.bottom_up = boot.memblock.bottom_up


def dmi_setup(boot: Boot) -> None:
    """Copies the SMBIOS structures into the brk (dmi_alloc), in units of 8 bytes; all versions."""
    boot.brk_end += round_up(boot.machine.bios.dmi_length, 8)


def find_smp_config(boot: Boot) -> None:
    """Reserves the MP floating pointer and the table that it names (smp_scan_config); all versions."""
    mp_table = boot.machine.bios.mp_table
    if mp_table is None:
        return
    mapped = f" mapped at [{boot.direct_map_base + mp_table.pointer:x}]" if boot.rules.mp_table_mapped else ""
    boot.printk(f"found SMP MP-table at [mem {mp_table.pointer:#010x}-{mp_table.pointer + 15:#010x}]{mapped}")
    boot.reserve(mp_table.pointer, mp_table.pointer + 16, owner="MP table", caller="smp_scan_config")
    if mp_table.length:
        boot.reserve(mp_table.table, mp_table.table + mp_table.length, owner="MP table", caller="smp_scan_config")


def reserve_brk(boot: Boot) -> None:
    """Reserves what early code took from the brk; it is closed from here on; all versions."""
    if boot.brk_end > boot.brk_start:
        boot.reserve(boot.brk_start, boot.brk_end, owner="brk", caller="reserve_brk")


def e820__memblock_alloc_reserved_mpc_new(boot: Boot) -> None:
    """A place for a new MP table, only with `update_mptable` and `alloc_mptable[=size]`; all versions.

    The kernel marks the place reserved only in the map for kexec, so memory itself stays as it is.
    """
    if not boot.cmdline.has("alloc_mptable") or not boot.kernel.config("X86_MPPARSE"):
        return
    value = boot.cmdline.last("alloc_mptable")
    size = memparse(value)[0] if value else 4096
    boot.phys_alloc(size, 4, owner="new MP table", caller="e820__memblock_alloc_reserved")


def setup_bios_corruption_check(boot: Boot) -> None:
    """Reserves the free low pages that are watched for corruption by the BIOS; all versions."""
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
    gaps = list(boot.free_gaps())
    while index < len(gaps) and areas < _MAX_SCAN_AREAS:
        start, end = gaps[index]
        index += 1
        start = min(max(round_up(start, PAGE_SIZE), PAGE_SIZE), size)
        end = min(max(end // PAGE_SIZE * PAGE_SIZE, PAGE_SIZE), size)
        if start < end:
            boot.reserve(start, end, owner="BIOS corruption check", caller="setup_bios_corruption_check")
            areas += 1
    if areas:
        boot.printk(f"{boot.rules.bios_check_prefix}Scanning {areas} areas for low memory corruption")


def reserve_real_mode(boot: Boot) -> None:
    """Finds a place below 1 MiB for the real-mode trampoline; all versions.

    From 5.13 on (commit f1d4d47c5851) the whole first megabyte is reserved after it; 3.13 panics without a place.
    """
    size = boot.kernel.fact("image.real_mode_size")
    found = boot.phys_alloc_range(size, PAGE_SIZE, 0, MIB, owner="real-mode trampoline", caller="reserve_real_mode")
    if not found:
        if boot.rules.real_mode_required:
            raise BootPanic("Cannot allocate trampoline", "no free block below 1 MiB is large enough for it")
        boot.printk("No sub-1M memory is available for the trampoline", warning=True)
    elif boot.rules.crash_reserves_first_mib and boot.cmdline.has("crashkernel"):
        boot.reserve(0, MIB, owner="low memory for the crash kernel", caller="crash_reserve_low_1M")
    if boot.rules.reserve_first_mib:
        boot.reserve(0, MIB, owner="first megabyte", caller="setup_arch")


def trim_low_memory_range(boot: Boot) -> None:
    """Reserves the first `reservelow=` KiB (default X86_RESERVE_LOW; 4K to 640K), up to 5.12."""
    size = boot.kernel.config_number("X86_RESERVE_LOW") * KIB
    if value := boot.cmdline.last("reservelow"):
        size = min(max(memparse(value)[0], PAGE_SIZE), 640 * KIB)
    boot.reserve(0, round_up(size, PAGE_SIZE), owner="low pages", caller="setup_arch")


def set_current_limit(boot: Boot) -> None:
    """Searches end at the direct map's end from here on (memblock_set_current_limit); all versions."""
    boot.memblock.current_limit = boot.max_pfn_mapped * PAGE_SIZE
