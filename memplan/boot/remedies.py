"""What would move a reservation out of a range that is to be movable, by what it is for."""

from __future__ import annotations

from memplan.owner import CRASH_KERNEL, Owner, Purpose

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
    **{kind: _SWIOTLB for kind in Purpose if kind.name.startswith("SWIOTLB")},
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
