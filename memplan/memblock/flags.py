"""The flags that regions of memblock's arrays have, by the kernel's names."""

from __future__ import annotations

from types import MappingProxyType

MEMBLOCK_HOTPLUG = 1
MEMBLOCK_MIRROR = 2
MEMBLOCK_NOMAP = 4
MEMBLOCK_DRIVER_MANAGED = 8
MEMBLOCK_RSRV_NOINIT = 16
MEMBLOCK_RSRV_KERN = 32
MEMBLOCK_KHO_SCRATCH = 64
MEMBLOCK_RSRV_HUGETLB = 128

#: Their names by their bits.
FLAG_NAMES = MappingProxyType(
    {
        MEMBLOCK_HOTPLUG: "MEMBLOCK_HOTPLUG",
        MEMBLOCK_MIRROR: "MEMBLOCK_MIRROR",
        MEMBLOCK_NOMAP: "MEMBLOCK_NOMAP",
        MEMBLOCK_DRIVER_MANAGED: "MEMBLOCK_DRIVER_MANAGED",
        MEMBLOCK_RSRV_NOINIT: "MEMBLOCK_RSRV_NOINIT",
        MEMBLOCK_RSRV_KERN: "MEMBLOCK_RSRV_KERN",
        MEMBLOCK_KHO_SCRATCH: "MEMBLOCK_KHO_SCRATCH",
        MEMBLOCK_RSRV_HUGETLB: "MEMBLOCK_RSRV_HUGETLB",
    }
)


def flag_word(flag: int) -> str:
    """The flag of that bit in words ("driver managed")."""
    return FLAG_NAMES[flag].removeprefix("MEMBLOCK_").lower().replace("_", " ")
