"""What would move a reservation out of a range that is to be movable, by what it is for."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from memplan.machine.alteration import Alteration
from memplan.owner import CRASH_KERNEL, KERNEL, LOG, PERCPU, SWIOTLB, Mover, Owner, Purpose
from memplan.plan import Remedy
from memplan.ranges import RangeSet
from memplan.units import GIB, MIB, PAGE_SIZE, round_down

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memplan.boot.context import Boot
    from memplan.machine.cmdline import CommandLine
    from memplan.plan import Reservation

_FIRST_MEGABYTE = "the first megabyte always stays with the kernel: its node can't be removed"
_CRASH_KERNEL = "give the place: crashkernel=size@offset in a node that stays, or a smaller size"
_EFI_TABLES = "let firmware and the boot loader keep EFI's tables in a node that stays"
_OWN_NODE = frozenset({Purpose.NODE_DATA, Purpose.MEMORY_MAP})
#: What is allocated before the SRAT is read, and goes behind the kernel where that is done upwards.
_BOTTOM_UP_KINDS = frozenset({Purpose.PAGE_TABLES, Purpose.MEMBLOCK_ARRAY, *LOG})
#: Below this every boot loader can put the initrd (initrd_addr_max of the setup header, and one).
_LOADER_END = 2 * GIB
_CRASH_ALIGN = 16 * MIB
_SENTENCES: dict[Purpose, str] = {
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
    Purpose.CMA: "give the place: cma=size@start-end in a node that stays",
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


def sentence(owner: Owner, cmdline: CommandLine, *, marked: bool) -> str:
    """What would move what `owner` has, beyond what is done already.

    `marked` tells whether the SRAT marks the memory that should be free of it; allocations of the kernel proper all
    obey these marks.
    """
    kind = owner.kind
    if kind in _BOTTOM_UP_KINDS:
        return _upwards(kind, cmdline)
    if kind in SWIOTLB:
        off = "" if cmdline.last("swiotlb") == "noforce" else ", or boot with swiotlb=noforce"
        return f"it must lie below 4 GiB: let a node that stays have memory there{off}"
    if kind is Purpose.KERNEL_IMAGE:
        how = (
            "the loader's choice of address" if cmdline.has("nokaslr") else "nokaslr, or the loader's choice of address"
        )
        return f"load the kernel into a node that stays ({how})"
    if kind in (Purpose.HUGETLB_CMA, Purpose.GIGANTIC_PAGES):
        return _on_nodes(kind, cmdline)
    return _SENTENCES.get(kind) or _marks(kind, cmdline, marked)


def _upwards(kind: Purpose, cmdline: CommandLine) -> str:
    log = "a smaller log_buf_len, or " if kind in LOG else ""
    if cmdline.has("movable_node"):
        return f"{log}more room between the kernel image and the hot-pluggable memory (movable_node is there)"
    return f"{log}allocate bottom-up until the SRAT is read: movable_node"


def _on_nodes(kind: Purpose, cmdline: CommandLine) -> str:
    """Where the pages come from is for the option to say; it may name nodes already."""
    option, unit = ("hugetlb_cma", "size") if kind is Purpose.HUGETLB_CMA else ("hugepages", "count")
    named = any(":" in value for value in cmdline.all(option))
    name = f"name {'other nodes' if named else 'the nodes that stay'}: {option}=node:{unit}"
    return name if kind is Purpose.HUGETLB_CMA else f"allocate them later through sysfs, or {name}"


def _marks(kind: Purpose, cmdline: CommandLine, marked: bool) -> str:
    """The marks and the option that make allocations avoid a node, as far as they are missing."""
    asked = cmdline.has("movable_node")
    if kind in _OWN_NODE:
        return f"it follows the node's own memory: {_missing('node', marked, asked)}"
    if kind in PERCPU:
        return f"{_missing('node', marked, asked)}: its CPUs' areas go elsewhere"
    return f"{_missing('range', marked, asked)}: the kernel's own allocations avoid it"


@cache
def _missing(what: str, marked: bool, asked: bool) -> str:
    """What is missing of the marks on a node or a range, and of the option that heeds them."""
    steps = [] if marked else [f"mark the {what} hot-pluggable in the SRAT"]
    steps += [] if asked else ["boot with movable_node"]
    return " and ".join(steps) or f"keep the {what} free of what takes its hot-plug marks off"


class Remedies:
    """What would move the reservations of one boot, tried out where that can be said exactly.

    `marked` are the hot-pluggable ranges, `reservations` all that is taken at the hand-over.
    """

    def __init__(self, boot: Boot, marked: RangeSet, reservations: Sequence[Reservation]) -> None:
        self._boot = boot
        self._marked = marked
        self._reservations = reservations
        self._known: dict[tuple[Purpose, bool], Remedy] = {}

    def remedy(self, owner: Owner, *, hotplug: bool) -> Remedy:
        """The remedy for what `owner` has in a range that is hot-pluggable, or not."""
        key = owner.kind, hotplug
        if key not in self._known:
            text = sentence(owner, self._boot.cmdline, marked=hotplug)
            self._known[key] = Remedy(text, self._change(owner.kind, hotplug))
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
        if kind in SWIOTLB:
            known = boot.rules.swiotlb_noforce != "unknown" and boot.cmdline.last("swiotlb") != "noforce"
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
        ram = RangeSet((base, base + length) for base, length, _, _ in self._boot.memblock.memory)
        taken = RangeSet(self._boot.memblock.reserved_ranges())
        stays = [part for own in ram.within(low, high) for part in self._marked.outside(*own)]
        for start, end in (gap for own in reversed(stays) for gap in reversed(taken.outside(*own))):
            place = round_down(end - size, align)
            if end - start >= size and place >= start:
                return place
        return None
