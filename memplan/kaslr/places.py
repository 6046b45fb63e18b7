"""The answer: the places that a kernel may be put at, or the one at which it stays, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from memplan.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable

    from memplan.machine.model import Efi

#: Who decides: the boot loader where nobody else does.
Chooser: TypeAlias = Literal["boot loader", "decompressor", "EFI stub"]

#: LOAD_PHYSICAL_ADDR, below which no kernel of today's configurations is unpacked.
LOAD_PHYSICAL_ADDR = 16 * MIB
#: MIN_KERNEL_ALIGN: the kernel is mapped with 2 MiB pages, and its size is counted in them.
MIN_KERNEL_ALIGN = 2 * MIB

#: EFI's type of free memory.
_CONVENTIONAL = 7
NO_EFI_MAP = "the EFI memory map is not known (efi=debug prints it), so all RAM is taken for free"


class Area(NamedTuple):
    """`slots` places, from `start` on, one alignment apart."""

    start: int
    slots: int


class Places(NamedTuple):
    """All places that KASLR chooses from, each as likely as another, in ascending `areas` that don't overlap.

    Places are `align` bytes apart, and each has room for `size` bytes.  Without a choice `areas` is empty, `fixed` is
    where the kernel lies (None: nobody knows) and `reason` says why.  `unknown` tells what had to be taken for granted
    for want of a fact, so that the places need not be exact; `notes` tell what a reader should know besides.
    """

    chooser: Chooser
    align: int
    size: int
    areas: tuple[Area, ...] = ()
    fixed: int | None = None
    reason: str = ""
    unknown: str = ""
    notes: tuple[str, ...] = ()

    @property
    def slots(self) -> int:
        """How many places there are."""
        return sum(area.slots for area in self.areas)

    def holds(self, address: int) -> bool:
        """Whether `address` is one of the places."""
        return any(
            area.start <= address < area.start + area.slots * self.align and (address - area.start) % self.align == 0
            for area in self.areas
        )

    def touching(self, ranges: Iterable[tuple[int, int]]) -> int:
        """At how many of the places the kernel's memory touches one of `ranges`, which are sorted and don't overlap."""
        met = 0
        for area in self.areas:
            behind = 0
            for start, end in ranges:
                first = max(behind, -(-(start - self.size + 1 - area.start) // self.align))
                last = min(area.slots, -(-(end - area.start) // self.align))
                met += max(0, last - first)
                behind = max(behind, last)
        return met


def knows_free_memory(efi: Efi) -> bool:
    """Whether the map is whole: of some boots only what boot services had is known."""
    return any(own.type == _CONVENTIONAL for own in efi.descriptors)


def disjoint(areas: Iterable[Area], align: int) -> tuple[Area, ...]:
    """`areas` in ascending order, each place once: memory that is described twice is stored twice."""
    merged: list[Area] = []
    for area in sorted(areas):
        last = merged[-1] if merged else None
        if last is not None and area.start <= last.start + last.slots * align:
            slots = max(last.slots, (area.start - last.start) // align + area.slots)
            merged[-1] = Area(last.start, slots)
        else:
            merged.append(area)
    return tuple(merged)
