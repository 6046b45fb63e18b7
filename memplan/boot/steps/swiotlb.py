"""The software IO TLB: bounce buffers below 4 GiB for devices that can't reach higher."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from memplan.boot.registry import step
from memplan.owner import Purpose
from memplan.units import GIB, KIB, MIB, PAGE_SHIFT, PAGE_SIZE, leading_number, pow2_up, round_up

if TYPE_CHECKING:
    from memplan.boot.context import Boot

_SLOT_SHIFT = 11
_SEGMENT_SLOTS = 128
_DEFAULT_SLOTS = 64 * MIB >> _SLOT_SHIFT
_MIN_SLOTS = MIB >> _SLOT_SHIFT
_OVERFLOW_SIZE = 32 * KIB
#: memblock_alloc_low's highest address: the last byte below 4 GiB, as the kernel passes it.
_LOW_LIMIT = 4 * GIB - 1


class _Wish(NamedTuple):
    """What ``swiotlb=`` asks for; slots of None and areas of 0 are not named."""

    slots: int | None = None
    areas: int = 0
    force: bool = False
    disable: bool = False


def setup_io_tlb_npages(boot: Boot) -> None:
    """What the kernel says while it reads the options; 6.0 on."""
    _wish(boot, tell=True)


def _wish(boot: Boot, *, tell: bool = False) -> _Wish:
    """``swiotlb=[slots][,areas][,force|noforce]``; each of several such words adds to what came before.

    Areas come with 6.0; what ``noforce`` does changed twice.  With `tell` it prints what the kernel prints.
    """
    with_areas = boot.rules.swiotlb == "slots and areas"
    wish = _Wish()
    for option in boot.cmdline.all("swiotlb"):
        slots, rest = leading_number(option)
        if slots is not None:
            wish = wish._replace(slots=round_up(slots, _SEGMENT_SLOTS))
        rest = rest.removeprefix(",")
        if with_areas:
            areas, rest = leading_number(rest)
            if areas is not None:
                wish = _with_areas(boot, wish, areas, tell=tell)
            rest = rest.removeprefix(",")
        word = rest
        if boot.rules.swiotlb_words_begin:
            word = next((name for name in ("force", "noforce") if rest.startswith(name)), "")
        if word == "force":
            wish = wish._replace(force=True)
        elif word == "noforce" and boot.rules.swiotlb_noforce == "one slot":
            wish = wish._replace(force=False, slots=1)
        elif word == "noforce" and boot.rules.swiotlb_noforce == "nothing":
            wish = wish._replace(disable=True)
    return wish


def _with_areas(boot: Boot, wish: _Wish, areas: int, *, tell: bool) -> _Wish:
    """A power of two of areas, of a segment each at the least; the slots are rounded up to a power of two too."""
    areas = pow2_up(areas)
    before = _DEFAULT_SLOTS if wish.slots is None else wish.slots
    slots = pow2_up(max(before, areas * _SEGMENT_SLOTS))
    if tell:
        boot.printk(f"software IO TLB: area num {areas}.")
        if slots != before:
            boot.printk(f"software IO TLB: SWIOTLB bounce buffer size roundup to {slots << _SLOT_SHIFT >> 20}MB")
    return wish._replace(areas=areas, slots=slots)


def swiotlb_size_or_default(boot: Boot) -> int:
    """The IO TLB's size in bytes by the command line, else 64 MiB; the crash kernel's low part is sized by it."""
    return (_wish(boot).slots or _DEFAULT_SLOTS) << _SLOT_SHIFT


def _iommu_words(boot: Boot) -> list[str]:
    """The parts of all ``iommu=`` words; of one word those behind ``usedac`` are not read."""
    words: list[str] = []
    for option in boot.cmdline.all("iommu"):
        for word in option.split(","):
            words.append(word)
            if word.startswith("usedac"):
                break
    return words


@step("kernel/dma/swiotlb.c")
def swiotlb_init(boot: Boot) -> None:
    """Allocates the IO TLB where RAM (or hot-pluggable memory to come, 4.5 on) passes 4 GiB.

    rules.swiotlb names what lies behind the buffer itself.
    """
    if not boot.kernel.config("SWIOTLB"):
        return
    wish, iommu = _wish(boot), _iommu_words(boot)
    wanted = boot.max_possible_pfn > 4 * GIB >> PAGE_SHIFT and not any(word.startswith("off") for word in iommu)
    wanted = wanted or wish.force or any(word.startswith("soft") for word in iommu)
    if not wanted or wish.disable:
        return
    if boot.rules.swiotlb == "slots and areas":
        _init_with_areas(boot, wish)
    else:
        _init_single(boot, wish)


def _init_with_areas(boot: Boot, wish: _Wish) -> None:
    if not wish.areas:
        wish = _with_areas(boot, wish, boot.params.possible_cpus, tell=True)
    slots, areas = wish.slots or _DEFAULT_SLOTS, wish.areas
    usable_areas = areas
    while not boot.memory.alloc(
        round_up(slots << _SLOT_SHIFT, PAGE_SIZE),
        PAGE_SIZE,
        max_addr=_LOW_LIMIT,
        owner=Purpose.SWIOTLB,
        caller="swiotlb_init_remap",
    ):
        size = round_up(slots << _SLOT_SHIFT, PAGE_SIZE)
        boot.printk(boot.rules.swiotlb_failure.format(size=size), warning=True)
        if slots <= _MIN_SLOTS or not boot.rules.swiotlb_halves:
            return
        slots = round_up(slots >> 1, _SEGMENT_SLOTS)
        usable_areas = min(usable_areas, slots // _SEGMENT_SLOTS)
    if slots != wish.slots:
        boot.printk(f"software IO TLB: SWIOTLB bounce buffer size adjusted {wish.slots} -> {slots} slabs")
    slot_size = boot.kernel.fact("struct.io_tlb_slot")
    area_size = boot.kernel.fact("struct.io_tlb_area")
    boot.memory.alloc(
        round_up(slot_size * slots, PAGE_SIZE), PAGE_SIZE, owner=Purpose.SWIOTLB_SLOTS, caller="swiotlb_init_remap"
    )
    count = usable_areas if boot.rules.swiotlb_areas_shrink else areas
    boot.memory.alloc(area_size * count, owner=Purpose.SWIOTLB_AREAS, caller="swiotlb_init_remap")


def _init_single(boot: Boot, wish: _Wish) -> None:
    """One table of slots, in the forms that it had up to 5.19."""
    slots, kind = wish.slots or _DEFAULT_SLOTS, boot.rules.swiotlb
    size = round_up(slots << _SLOT_SHIFT, PAGE_SIZE)
    if not boot.memory.alloc(size, PAGE_SIZE, max_addr=_LOW_LIMIT, owner=Purpose.SWIOTLB, caller="swiotlb_init"):
        boot.printk(boot.rules.swiotlb_failure.format(size=size), warning=True)
        return
    if kind == "overflow buffer, list and addresses":
        boot.memory.alloc(
            _OVERFLOW_SIZE, PAGE_SIZE, max_addr=_LOW_LIMIT, owner=Purpose.SWIOTLB_OVERFLOW, caller="swiotlb_init"
        )
    tables = [(Purpose.SWIOTLB_LIST, slots * 4), (Purpose.SWIOTLB_ADDRESSES, slots * 8)]
    if kind == "list, addresses and sizes":
        tables.append((Purpose.SWIOTLB_SIZES, slots * 8))
    elif kind in ("slots", "slots behind a header"):
        header = boot.kernel.fact("struct.io_tlb_mem") if kind == "slots behind a header" else 0
        tables = [(Purpose.SWIOTLB_SLOTS, header + slots * boot.kernel.fact("struct.io_tlb_slot"))]
    for what, table_size in tables:
        boot.memory.alloc(round_up(table_size, PAGE_SIZE), PAGE_SIZE, owner=what, caller="swiotlb_init_with_tbl")
