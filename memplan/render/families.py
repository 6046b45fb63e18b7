"""What kinds of owners are shown as one: a name for people, a letter and a colour for maps.

Colour never stands alone: a map's cell always has its family's letter as well.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from memplan.owner import CRASH_KERNEL, LOG, PERCPU, SWIOTLB, Purpose

if TYPE_CHECKING:
    from collections.abc import Collection

    from memplan.owner import Owner


class Family(Enum):
    """Owners that people think of as one: name, letter, and colour.

    The colours are those of Okabe and Ito, which people with any colour vision tell apart.
    """

    KERNEL = "kernel image and brk", "K", "#0072B2"
    INITRD = "initrd", "I", "#56B4E9"
    FIRMWARE = "firmware's tables", "F", "#D55E00"
    LOW = "first megabyte", "L", "#999999"
    PAGE_TABLES = "page tables", "T", "#009E73"
    NODE_DATA = "NODE_DATA", "N", "#CC79A7"
    MEMORY_MAP = "memory map", "M", "#E69F00"
    PERCPU = "per-CPU areas", "P", "#F0E442"
    CRASH = "crash kernel", "C", "#882255"
    CMA = "CMA", "A", "#44AA99"
    HUGE = "gigantic pages", "H", "#117733"
    SWIOTLB = "IO TLB", "S", "#AA4499"
    LOG = "log buffer", "B", "#6699CC"
    HASHES = "hash tables", "h", "#661100"
    OTHER = "other boot allocations", "o", "#777777"

    def __init__(self, label: str, letter: str, colour: str) -> None:
        self.label = label
        self.letter = letter
        self.colour = colour

    def __str__(self) -> str:
        return self.label


_MEMBERS: dict[Family, Collection[Purpose]] = {
    Family.KERNEL: (Purpose.KERNEL_IMAGE, Purpose.BRK),
    Family.INITRD: (Purpose.INITRD, Purpose.SETUP_DATA),
    Family.FIRMWARE: (
        Purpose.SOFT_RESERVED,
        Purpose.IBFT,
        Purpose.MP_TABLE,
        Purpose.NEW_MP_TABLE,
        Purpose.EFI_MEMORY_MAP,
        Purpose.EFI_MEMORY_ATTRIBUTES,
        Purpose.EFI_TABLE,
        Purpose.EFI_BOOT_SERVICES,
        Purpose.ACPI_TABLE,
        Purpose.ACPI_TABLE_UPGRADE,
    ),
    Family.LOW: (
        Purpose.LOW_PAGES,
        Purpose.BIOS_AREA,
        Purpose.BIOS_CORRUPTION_CHECK,
        Purpose.REAL_MODE,
        Purpose.FIRST_MEGABYTE,
        Purpose.CRASH_LOW_MEMORY,
    ),
    Family.PAGE_TABLES: (Purpose.PAGE_TABLES,),
    Family.NODE_DATA: (Purpose.NODE_DATA,),
    Family.MEMORY_MAP: (
        Purpose.MEMORY_MAP,
        Purpose.VMEMMAP_TABLES,
        Purpose.SECTION_ROOTS,
        Purpose.SECTION_USAGE,
        Purpose.SECTION_TABLES,
    ),
    Family.PERCPU: PERCPU,
    Family.CRASH: CRASH_KERNEL,
    Family.CMA: (Purpose.CMA, Purpose.HUGETLB_CMA, Purpose.CRASH_KERNEL_CMA),
    Family.HUGE: (Purpose.GIGANTIC_PAGES,),
    Family.SWIOTLB: SWIOTLB,
    Family.LOG: LOG,
    Family.HASHES: (Purpose.PID_HASH, Purpose.DENTRY_HASH, Purpose.INODE_HASH),
}
_FAMILIES = {kind: family for family, kinds in _MEMBERS.items() for kind in kinds}


def family_of(owner: Owner) -> Family:
    """The family of `owner`; what no family names is another boot allocation."""
    return _FAMILIES.get(owner.kind, Family.OTHER)
