"""The initial RAM disk: where the loader put it, and where it goes if that is outside the direct map."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.panic import BootPanic
from memplan.boot.registry import step
from memplan.owner import Purpose
from memplan.units import PAGE_SIZE, pfn_down, round_up

if TYPE_CHECKING:
    from memplan.boot.context import Boot


@step("arch/x86/kernel/setup.c")
def early_reserve_initrd(boot: Boot) -> None:
    """Reserves the initial RAM disk where the loader put it, to the end of its last page."""
    initrd = boot.machine.initrd
    if initrd is None or not initrd.start or not initrd.size:
        return
    boot.initrd = (initrd.start, round_up(initrd.start + initrd.size, PAGE_SIZE))
    boot.memory.reserve(*boot.initrd, owner=Purpose.INITRD, caller="early_reserve_initrd", kern=True)


@step("arch/x86/kernel/setup.c")
def reserve_initrd(boot: Boot) -> None:
    """Moves an initrd that is not wholly in the direct map into it (relocate_initrd), and frees its old place.

    All versions; 3.13 panics first where the initrd is half of the mapped RAM or more.
    """
    if boot.initrd is None or boot.machine.initrd is None:
        return
    start, end = boot.initrd
    size = boot.machine.initrd.size
    mapped_end = boot.direct_map.max_pfn_mapped * PAGE_SIZE
    boot.printk(f"RAMDISK: [mem {start:#010x}-{end - 1:#010x}]")
    if boot.rules.initrd_half_limit:
        mapped = boot.memblock.mem_size_below_pfn(boot.direct_map.max_pfn_mapped)
        if size >= mapped >> 1:
            raise BootPanic(
                f"initrd too large to handle, disabling initrd ({size} needed, {mapped >> 1} available)",
                "the initrd is at least half of the mapped RAM",
            )
    if _mapped(boot, pfn_down(start), pfn_down(end)):
        return
    place = boot.memory.phys_alloc_range(
        round_up(size, PAGE_SIZE), PAGE_SIZE, 0, mapped_end, owner=Purpose.INITRD, caller="relocate_initrd"
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
    boot.memory.free(start, end, owner=Purpose.INITRD, caller="reserve_initrd")
    boot.initrd = (place, place + round_up(size, PAGE_SIZE))


def _mapped(boot: Boot, start_pfn: int, end_pfn: int) -> bool:
    """Whether ``[start_pfn, end_pfn)`` lies in one mapped range (pfn_range_is_mapped)."""
    return boot.direct_map.mapped.covers(start_pfn, end_pfn)
