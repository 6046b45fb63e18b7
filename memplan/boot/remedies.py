"""What would move a reservation out of a range that is to be movable, by what it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.ranges import RangeSet
from memplan.machine.alteration import Alteration
from memplan.owner import CRASH_KERNEL, KERNEL, Mover, Owner, Purpose
from memplan.plan import Remedy
from memplan.units import GIB, MIB, PAGE_SIZE, round_down

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from memplan.boot.context import Boot
    from memplan.plan import Reservation

_FIRST_MEGABYTE = "the first megabyte always stays with the kernel: its node can't be removed"
_BOTTOM_UP = "allocate bottom-up until the SRAT is read: movable_node"
_SMALLER_LOG = "a smaller log_buf_len, or movable_node: bottom-up until the SRAT is read"
_CRASH_KERNEL = "give the place: crashkernel=size@offset in a node that stays, or a smaller size"
_NODE = "it follows the node's own memory: mark the node hot-pluggable in the SRAT and boot with movable_node"
_PERCPU = "mark the node hot-pluggable in the SRAT and boot with movable_node: its CPUs' areas go elsewhere"
_SWIOTLB = "it must lie below 4 GiB: let a node that stays have memory there, or boot with swiotlb=noforce"
_EFI_TABLES = "let firmware and the boot loader keep EFI's tables in a node that stays"
_ELSEWHERE = (
    "mark the range hot-pluggable in the SRAT and boot with movable_node: the kernel's own allocations avoid it"
)
_SWIOTLB_KINDS = frozenset(kind for kind in Purpose if kind.name.startswith("SWIOTLB"))
#: What is allocated before the SRAT is read, and goes behind the kernel where that is done upwards.
_BOTTOM_UP_KINDS = frozenset(
    {
        Purpose.PAGE_TABLES,
        Purpose.MEMBLOCK_ARRAY,
        Purpose.LOG_BUFFER,
        Purpose.LOG_DESCRIPTORS,
        Purpose.LOG_INFOS,
    }
)
#: Below this every boot loader can put the initrd (initrd_addr_max of the setup header, and one).
_LOADER_END = 2 * GIB
_CRASH_ALIGN = 16 * MIB
_SENTENCES: dict[Purpose, str] = {
    Purpose.KERNEL_IMAGE: "load the kernel into a node that stays (nokaslr, or the loader's choice of address)",
    Purpose.BRK: "it lies behind the kernel image: load the kernel into a node that stays",
    Purpose.INITRD: "let the boot loader put the initrd into a node that stays",
    Purpose.SETUP_DATA: "let the boot loader put its setup_data into a node that stays",
    Purpose.ACPI_TABLE_UPGRADE: "the copy goes as high as the direct map reaches; put the tables into firmware instead",
    Purpose.ACPI_TABLE: "let firmware put its ACPI tables into a node that stays",
    Purpose.EFI_BOOT_SERVICES: "let firmware keep its boot services' memory in a node that stays",
    Purpose.EFI_MEMORY_MAP: _EFI_TABLES,
    Purpose.EFI_MEMORY_ATTRIBUTES: _EFI_TABLES,
    Purpose.EFI_TABLE: _EFI_TABLES,
    Purpose.MP_TABLE: "let firmware keep the MP table below 1 MiB",
    **dict.fromkeys(CRASH_KERNEL, _CRASH_KERNEL),
    Purpose.HUGETLB_CMA: "name the nodes that stay: hugetlb_cma=node:size",
    Purpose.CMA: "give the place: cma=size@start-end in a node that stays",
    Purpose.GIGANTIC_PAGES: "allocate them later through sysfs, or name the nodes that stay: hugepages=node:count",
    Purpose.PAGE_TABLES: _BOTTOM_UP,
    Purpose.MEMBLOCK_ARRAY: _BOTTOM_UP,
    Purpose.LOG_BUFFER: _SMALLER_LOG,
    Purpose.LOG_DESCRIPTORS: _SMALLER_LOG,
    Purpose.LOG_INFOS: _SMALLER_LOG,
    Purpose.NODE_DATA: _NODE,
    Purpose.MEMORY_MAP: _NODE,
    **{kind: _PERCPU for kind in Purpose if kind.name.startswith("PERCPU")},
    **dict.fromkeys(_SWIOTLB_KINDS, _SWIOTLB),
    Purpose.RESERVE_MEM: "leave the reserve_mem= option out, or make room for it in a node that stays",
    Purpose.SOFT_RESERVED: "firmware sets this memory aside for special purposes",
    Purpose.LOW_PAGES: _FIRST_MEGABYTE,
    Purpose.BIOS_AREA: _FIRST_MEGABYTE,
    Purpose.BIOS_CORRUPTION_CHECK: _FIRST_MEGABYTE,
    Purpose.FIRST_MEGABYTE: _FIRST_MEGABYTE,
    Purpose.CRASH_LOW_MEMORY: _FIRST_MEGABYTE,
    Purpose.REAL_MODE: _FIRST_MEGABYTE,
    Purpose.GRAPHICS: "pages that the graphics device can't use lie there",
    Purpose.IBFT: "the iSCSI firmware table lies below 1 MiB, in a node that stays",
}


def sentence(owner: Owner) -> str:
    """What would move what `owner` has; allocations of the kernel proper all obey the hot-plug marks."""
    return _SENTENCES.get(owner.kind, _ELSEWHERE)


class Remedies:
    """What would move the reservations of one boot, tried out where that can be said exactly.

    `marked` are the hot-pluggable ranges, `reservations` all that is taken at the hand-over.
    """

    def __init__(self, boot: Boot, marked: Iterable[tuple[int, int]], reservations: Sequence[Reservation]) -> None:
        self._boot = boot
        self._marked = RangeSet(marked)
        self._reservations = reservations
        self._known: dict[tuple[Purpose, bool], Remedy] = {}

    def remedy(self, owner: Owner, *, hotplug: bool) -> Remedy:
        """The remedy for what `owner` has in a range that is hot-pluggable, or not."""
        key = owner.kind, hotplug
        if key not in self._known:
            self._known[key] = Remedy(sentence(owner), self._change(owner.kind, hotplug))
        return self._known[key]

    def _change(self, kind: Purpose, hotplug: bool) -> Alteration | None:
        boot = self._boot
        if kind in KERNEL:
            return self._usual_place()
        if kind is Purpose.INITRD and boot.machine.initrd is not None:
            start = self._room(boot.machine.initrd.size, PAGE_SIZE, boot.params.kernel_end, _LOADER_END)
            return None if start is None else Alteration(initrd_start=start)
        if kind in CRASH_KERNEL or kind is Purpose.CMA:
            return self._placed_option(kind)
        if kind is Purpose.RESERVE_MEM:
            return Alteration(drop=("reserve_mem",))
        if kind in _SWIOTLB_KINDS:
            known = boot.rules.swiotlb_noforce != "unknown"
            return Alteration(add=("swiotlb=noforce",)) if known else None
        if kind in _BOTTOM_UP_KINDS or (hotplug and kind.mover is Mover.SRAT and boot.rules.srat_hotplug_marks):
            possible = boot.kernel.config(boot.rules.movable_node_config) and not boot.cmdline.has("movable_node")
            return Alteration(add=("movable_node",)) if possible else None
        return None

    def _usual_place(self) -> Alteration | None:
        """Without KASLR, where that put the kernel elsewhere, and its usual place stays."""
        image = self._boot.machine.kernel
        usual = self._boot.kernel.fact("image.load_address")
        size = self._boot.params.kernel_end - self._boot.params.kernel_start
        if not image.randomized or image.load_address in (None, usual) or self._marked.within(usual, usual + size):
            return None
        return Alteration(add=("nokaslr",), usual_place=True)

    def _placed_option(self, kind: Purpose) -> Alteration | None:
        """crashkernel= or cma= with a place in memory that stays; None where there is none."""
        name, align = ("cma", self._boot.rules.cma_align) if kind is Purpose.CMA else ("crashkernel", _CRASH_ALIGN)
        wanted = Purpose.CMA if kind is Purpose.CMA else Purpose.CRASH_KERNEL
        size = sum(own.end - own.start for own in self._reservations if own.owner.kind is wanted)
        start = self._room(size, align, align, GIB * 4) if size else None
        if start is None:
            return None
        place = f"{start:#x}-{start + size:#x}" if kind is Purpose.CMA else f"{start:#x}"
        return Alteration(add=(f"{name}={size:#x}@{place}",), drop=(name,))

    def _room(self, size: int, align: int, low: int, high: int) -> int | None:
        """The highest free place for `size` bytes within ``[low, high)`` in memory that is not hot-pluggable."""
        free = self._stays()
        for start, end in reversed(free.within(low, high)):
            place = round_down(end - size, align)
            if end - start >= size and place >= start:
                return place
        return None

    def _stays(self) -> RangeSet:
        """Free memory of the ranges that are not hot-pluggable."""
        ram = ((base, base + length) for base, length, _, _ in self._boot.memblock.memory)
        taken = RangeSet((own.start, own.end) for own in self._reservations)
        stays = RangeSet(part for start, end in ram for part in self._marked.outside(start, end))
        return RangeSet(part for start, end in stays for part in taken.outside(start, end))
