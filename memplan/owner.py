"""What reserved memory is for, and who has a say in where it lies."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Mover(Enum):
    """Who can put a reservation elsewhere."""

    FIRMWARE = "firmware"
    LOADER = "the boot loader"
    OPTION = "a boot option"
    SRAT = "the SRAT's hot-plug marks"
    NOBODY = "nobody"


class Purpose(Enum):
    """What memory is for: its name in words (with the node or the detail where those belong to it), and who moves it.

    Allocations of the kernel proper obey the hot-plug marks, so the SRAT moves them.
    """

    RAM = "e820 RAM", Mover.NOBODY
    SOFT_RESERVED = "soft reserved memory", Mover.FIRMWARE

    KERNEL_IMAGE = "kernel image", Mover.LOADER
    BRK = "brk", Mover.LOADER
    INITRD = "initrd", Mover.LOADER
    SETUP_DATA = "setup_data", Mover.LOADER

    LOW_PAGES = "low pages", Mover.NOBODY
    BIOS_AREA = "BIOS area", Mover.NOBODY
    BIOS_CORRUPTION_CHECK = "BIOS corruption check", Mover.NOBODY
    REAL_MODE = "real-mode trampoline", Mover.NOBODY
    FIRST_MEGABYTE = "first megabyte", Mover.NOBODY
    CRASH_LOW_MEMORY = "low memory for the crash kernel", Mover.NOBODY
    GRAPHICS = "Sandy Bridge graphics", Mover.NOBODY
    IBFT = "iBFT", Mover.FIRMWARE
    MP_TABLE = "MP table", Mover.FIRMWARE
    NEW_MP_TABLE = "new MP table", Mover.SRAT

    EFI_MEMORY_MAP = "EFI memory map", Mover.FIRMWARE
    EFI_MEMORY_ATTRIBUTES = "EFI memory attributes", Mover.FIRMWARE
    EFI_TABLE = "{detail}", Mover.FIRMWARE
    EFI_BOOT_SERVICES = "EFI boot services", Mover.FIRMWARE
    ACPI_TABLE = "ACPI {detail}", Mover.FIRMWARE
    ACPI_TABLE_UPGRADE = "ACPI table upgrade", Mover.FIRMWARE

    PAGE_TABLES = "page tables", Mover.OPTION
    LOG_BUFFER = "log buffer", Mover.OPTION
    LOG_DESCRIPTORS = "log descriptors", Mover.OPTION
    LOG_INFOS = "log infos", Mover.OPTION
    MEMBLOCK_ARRAY = "memblock.{detail} array", Mover.OPTION

    CRASH_KERNEL = "crash kernel", Mover.OPTION
    CRASH_KERNEL_LOW = "crash kernel, low part", Mover.OPTION
    CRASH_KERNEL_CMA = "crash kernel, CMA", Mover.OPTION
    CMA = "CMA", Mover.OPTION
    HUGETLB_CMA = "hugetlb CMA, node {nid}", Mover.OPTION
    GIGANTIC_PAGES = "gigantic pages", Mover.OPTION
    KHO_SCRATCH = "KHO scratch areas", Mover.OPTION
    RESERVE_MEM = "reserve_mem {detail}", Mover.OPTION
    SWIOTLB = "swiotlb", Mover.OPTION
    SWIOTLB_SLOTS = "swiotlb slots", Mover.OPTION
    SWIOTLB_AREAS = "swiotlb areas", Mover.OPTION
    SWIOTLB_OVERFLOW = "swiotlb overflow buffer", Mover.OPTION
    SWIOTLB_LIST = "swiotlb list", Mover.OPTION
    SWIOTLB_ADDRESSES = "swiotlb addresses", Mover.OPTION
    SWIOTLB_SIZES = "swiotlb sizes", Mover.OPTION

    NUMA_DISTANCES = "NUMA distances", Mover.SRAT
    NODE_DATA = "NODE_DATA({nid})", Mover.SRAT
    MEMORY_MAP = "memory map (node {nid})", Mover.SRAT
    VMEMMAP_TABLES = "vmemmap page tables", Mover.SRAT
    SECTION_ROOTS = "section roots", Mover.SRAT
    SECTION_USAGE = "section usage maps (node {nid})", Mover.SRAT
    SECTION_TABLES = "temporary section tables", Mover.SRAT
    WAIT_TABLE = "wait table of node {nid}, {detail}", Mover.SRAT

    PERCPU = "percpu", Mover.SRAT
    PERCPU_INFO = "percpu info", Mover.SRAT
    PERCPU_PAGE_TABLES = "percpu page tables", Mover.SRAT
    PERCPU_GROUP_OFFSETS = "percpu group offsets", Mover.SRAT
    PERCPU_GROUP_SIZES = "percpu group sizes", Mover.SRAT
    PERCPU_UNIT_MAP = "percpu unit map", Mover.SRAT
    PERCPU_UNIT_OFFSETS = "percpu unit offsets", Mover.SRAT
    PERCPU_CHUNK_LISTS = "percpu chunk lists", Mover.SRAT
    PERCPU_CHUNK = "percpu chunk", Mover.SRAT
    PERCPU_ALLOCATION_MAP = "percpu allocation map", Mover.SRAT
    PERCPU_BOUNDARY_MAP = "percpu boundary map", Mover.SRAT
    PERCPU_BLOCK_METADATA = "percpu block metadata", Mover.SRAT

    CPU_ENTRY_TABLES = "cpu entry area page tables", Mover.SRAT
    VSYSCALL_TABLE = "vsyscall page table", Mover.SRAT
    HPET_RESOURCE = "HPET resource", Mover.SRAT
    IOAPIC_RESOURCES = "IO-APIC resources", Mover.SRAT
    E820_RESOURCES = "e820 resources", Mover.SRAT
    FIRMWARE_MEMMAP = "firmware memory map", Mover.SRAT
    NOSAVE_REGION = "nosave region", Mover.SRAT
    COMMAND_LINE = "command line", Mover.SRAT
    UNKNOWN_OPTIONS = "unknown options", Mover.SRAT
    CPU_MASK = "CPU mask", Mover.SRAT
    KVM_CLOCK = "KVM guest clock", Mover.SRAT
    XSAVE_STATE = "xsave state", Mover.SRAT
    XSAVE_OFFSETS = "xsave offsets", Mover.SRAT
    PID_HASH = "PID hash", Mover.SRAT
    DENTRY_HASH = "dentry hash", Mover.SRAT
    INODE_HASH = "inode hash", Mover.SRAT
    KFENCE_POOL = "KFENCE pool", Mover.SRAT
    KFENCE_METADATA = "KFENCE metadata", Mover.SRAT

    def __init__(self, label: str, mover: Mover) -> None:
        self.label = label
        self.mover = mover

    #: By identity: an enumeration's own hash is that of the name, worked out by a call.
    __hash__ = object.__hash__

    def __str__(self) -> str:
        return self.label

    def __repr__(self) -> str:
        return f"Purpose.{self.name}"


#: The crash kernel's memory: what crashkernel= asks for, and the part below 4 GiB that goes with it.
CRASH_KERNEL = frozenset({Purpose.CRASH_KERNEL, Purpose.CRASH_KERNEL_LOW})
#: The image and what grows behind it.
KERNEL = frozenset({Purpose.KERNEL_IMAGE, Purpose.BRK})
#: The log's buffer, with what describes its records.
LOG = frozenset({Purpose.LOG_BUFFER, Purpose.LOG_DESCRIPTORS, Purpose.LOG_INFOS})
#: The bounce buffers of swiotlb=, and what keeps book of them.
SWIOTLB = frozenset(
    {
        Purpose.SWIOTLB,
        Purpose.SWIOTLB_SLOTS,
        Purpose.SWIOTLB_AREAS,
        Purpose.SWIOTLB_OVERFLOW,
        Purpose.SWIOTLB_LIST,
        Purpose.SWIOTLB_ADDRESSES,
        Purpose.SWIOTLB_SIZES,
    }
)
#: The CPUs' areas, and what the per-CPU allocator needs for them.
PERCPU = frozenset(
    {
        Purpose.PERCPU,
        Purpose.PERCPU_INFO,
        Purpose.PERCPU_PAGE_TABLES,
        Purpose.PERCPU_GROUP_OFFSETS,
        Purpose.PERCPU_GROUP_SIZES,
        Purpose.PERCPU_UNIT_MAP,
        Purpose.PERCPU_UNIT_OFFSETS,
        Purpose.PERCPU_CHUNK_LISTS,
        Purpose.PERCPU_CHUNK,
        Purpose.PERCPU_ALLOCATION_MAP,
        Purpose.PERCPU_BOUNDARY_MAP,
        Purpose.PERCPU_BLOCK_METADATA,
    }
)


class Owner(NamedTuple):
    """What a piece of memory is for: `kind`, and where those tell one from another the node `nid` and a `detail`.

    The detail is a table's signature, an array's name, an option's word.  As text it is what reports call it.
    """

    kind: Purpose
    nid: int | None = None
    detail: str = ""

    @classmethod
    def of(cls, owner: Owner | Purpose) -> Owner:
        """`owner` itself, or the owner of that purpose without node and detail."""
        return owner if isinstance(owner, Owner) else _PLAIN[owner]

    def __str__(self) -> str:
        return self.kind.label.format(nid=self.nid, detail=self.detail)


#: The owner of each purpose without node and detail.
_PLAIN = {purpose: Owner(purpose) for purpose in Purpose}
