"""The software IO TLB: bounce buffers below 4 GiB for devices that can't reach higher."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.units import GIB, KIB, MIB, PAGE_SHIFT, PAGE_SIZE, memparse, pow2_up, round_up

if TYPE_CHECKING:
    from memplan.boot.state import Boot

_SLOT_SHIFT = 11
_SEGMENT_SLOTS = 128
_DEFAULT_SLOTS = 64 * MIB >> _SLOT_SHIFT
_MIN_SLOTS = MIB >> _SLOT_SHIFT
_OVERFLOW_SIZE = 32 * KIB
#: memblock_alloc_low's highest address: the last byte below 4 GiB, as the kernel passes it.
_LOW_LIMIT = 4 * GIB - 1


def _options(boot: Boot) -> tuple[int, int, str]:
    """``swiotlb=[slots][,areas][,force|noforce]``: slots (0: default), areas (0: default), the word."""
    slots = areas = 0
    word = ""
    for part in (boot.cmdline.last("swiotlb") or "").split(","):
        number, rest = memparse(part)
        if rest != part and not slots:
            slots = round_up(number, _SEGMENT_SLOTS)
        elif rest != part:
            areas = number
        elif part in ("force", "noforce"):
            word = part
    return slots, areas, word


def swiotlb_size_or_default(boot: Boot) -> int:
    """The IO TLB's size in bytes by the command line, else 64 MiB; the crash kernel's low part is sized by it."""
    slots, areas, _ = _options(boot)
    slots = slots or _DEFAULT_SLOTS
    if areas and boot.rules.swiotlb == "areas":
        slots = max(slots, pow2_up(areas) * _SEGMENT_SLOTS)
    return slots << _SLOT_SHIFT


def swiotlb_init(boot: Boot) -> None:
    """Allocates the IO TLB where RAM (or hot-pluggable memory to come) passes 4 GiB; rules.swiotlb names the way.

    "areas" (6.0 on), "single" (to 5.19), "3.13" (with an overflow buffer).
    """
    if not boot.kernel.config("SWIOTLB"):
        return
    _, _, word = _options(boot)
    iommu = (boot.cmdline.last("iommu") or "").split(",")
    highest_pfn = boot.max_pfn if boot.rules.swiotlb == "3.13" else boot.max_possible_pfn
    wanted = highest_pfn > 4 * GIB >> PAGE_SHIFT and "off" not in iommu
    wanted = wanted or word == "force" or (boot.rules.swiotlb != "areas" and "soft" in iommu)
    if boot.rules.swiotlb == "areas":
        if wanted and word != "noforce":
            _init_with_areas(boot)
    elif wanted:
        _init_single(boot, word)


def _init_with_areas(boot: Boot) -> None:
    slots, areas, _ = _options(boot)
    areas = pow2_up(areas or boot.machine.cpus.possible)
    slots = max(slots or _DEFAULT_SLOTS, areas * _SEGMENT_SLOTS)
    boot.printk(f"software IO TLB: area num {areas}.")
    usable_areas = areas
    while not boot.alloc(
        round_up(slots << _SLOT_SHIFT, PAGE_SIZE),
        PAGE_SIZE,
        max_addr=_LOW_LIMIT,
        owner="swiotlb",
        caller="swiotlb_init_remap",
    ):
        size = round_up(slots << _SLOT_SHIFT, PAGE_SIZE)
        boot.printk(
            f"software IO TLB: swiotlb_memblock_alloc: Failed to allocate {size} bytes tlb structure", warning=True
        )
        if slots <= _MIN_SLOTS:
            return
        slots = round_up(slots >> 1, _SEGMENT_SLOTS)
        usable_areas = min(usable_areas, slots // _SEGMENT_SLOTS)
    slot_size = boot.kernel.fact("struct.io_tlb_slot")
    area_size = boot.kernel.fact("struct.io_tlb_area")
    boot.alloc(round_up(slot_size * slots, PAGE_SIZE), PAGE_SIZE, owner="swiotlb slots", caller="swiotlb_init_remap")
    count = usable_areas if boot.rules.swiotlb_areas_shrink else areas
    boot.alloc(area_size * count, owner="swiotlb areas", caller="swiotlb_init_remap")


def _init_single(boot: Boot, word: str) -> None:
    slots = _options(boot)[0] or _DEFAULT_SLOTS
    old = boot.rules.swiotlb == "3.13"
    if word == "noforce" and not old:
        slots = 1
    size = round_up(slots << _SLOT_SHIFT, PAGE_SIZE)
    if not boot.alloc(size, PAGE_SIZE, max_addr=_LOW_LIMIT, owner="swiotlb", caller="swiotlb_init"):
        boot.printk("software IO TLB: Cannot allocate buffer", warning=True)
        return
    if old:
        boot.alloc(
            _OVERFLOW_SIZE, PAGE_SIZE, max_addr=_LOW_LIMIT, owner="swiotlb overflow buffer", caller="swiotlb_init"
        )
    for what, entry in (("swiotlb list", 4), ("swiotlb addresses", 8)):
        boot.alloc(round_up(slots * entry, PAGE_SIZE), PAGE_SIZE, owner=what, caller="swiotlb_init_with_tbl")
