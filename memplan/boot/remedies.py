"""What would move a reservation out of a range that is to be movable, by its owner."""

from __future__ import annotations

#: The head of an owner's name -> what moves it.  The first head that fits counts.
REMEDIES: tuple[tuple[str, str], ...] = (
    ("kernel image", "load the kernel into a node that stays (nokaslr, or the loader's choice of address)"),
    ("brk", "it lies behind the kernel image: load the kernel into a node that stays"),
    ("initrd", "let the boot loader put the initrd into a node that stays"),
    ("setup_data", "let the boot loader put its setup_data into a node that stays"),
    ("ACPI table upgrade", "the copy goes as high as the direct map reaches; put the tables into firmware instead"),
    ("ACPI ", "let firmware put its ACPI tables into a node that stays"),
    ("EFI boot services", "let firmware keep its boot services' memory in a node that stays"),
    ("EFI ", "let firmware and the boot loader keep EFI's tables in a node that stays"),
    ("MP table", "let firmware keep the MP table below 1 MiB"),
    ("crash kernel", "give the place: crashkernel=size@offset in a node that stays, or a smaller size"),
    ("hugetlb CMA", "name the nodes that stay: hugetlb_cma=node:size"),
    ("CMA", "give the place: cma=size@start-end in a node that stays"),
    ("gigantic pages", "allocate them later through sysfs, or name the nodes that stay: hugepages=node:count"),
    ("page tables", "allocate bottom-up until the SRAT is read: movable_node"),
    ("log buffer", "a smaller log_buf_len, or movable_node: bottom-up until the SRAT is read"),
    ("log ", "a smaller log_buf_len, or movable_node: bottom-up until the SRAT is read"),
    ("memblock.", "allocate bottom-up until the SRAT is read: movable_node"),
    (
        "NODE_DATA",
        "it follows the node's own memory: mark the node hot-pluggable in the SRAT and boot with movable_node",
    ),
    (
        "memory map",
        "it follows the node's own memory: mark the node hot-pluggable in the SRAT and boot with movable_node",
    ),
    ("percpu", "mark the node hot-pluggable in the SRAT and boot with movable_node: its CPUs' areas go elsewhere"),
    ("swiotlb", "it must lie below 4 GiB: let a node that stays have memory there, or boot with swiotlb=noforce"),
    ("reserve_mem", "leave the reserve_mem= option out, or make room for it in a node that stays"),
    ("soft reserved", "firmware sets this memory aside for special purposes"),
    ("low pages", "the first megabyte always stays with the kernel: its node can't be removed"),
    ("BIOS", "the first megabyte always stays with the kernel: its node can't be removed"),
    ("first megabyte", "the first megabyte always stays with the kernel: its node can't be removed"),
    ("low memory", "the first megabyte always stays with the kernel: its node can't be removed"),
    ("real-mode", "the first megabyte always stays with the kernel: its node can't be removed"),
    ("Sandy Bridge", "pages that the graphics device can't use lie there"),
    ("iBFT", "the iSCSI firmware table lies below 1 MiB, in a node that stays"),
)
_ELSEWHERE = (
    "mark the range hot-pluggable in the SRAT and boot with movable_node: the kernel's own allocations avoid it"
)


def remedy(owner: str) -> str:
    """What would move what `owner` has; allocations of the kernel proper all obey the hot-plug marks."""
    return next((text for head, text in REMEDIES if owner.startswith(head)), _ELSEWHERE)
