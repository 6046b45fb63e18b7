"""The facts that a kernel's file can hold, by name: what `memplan kernel` looks for and what may be overridden."""

from __future__ import annotations

import re

from memplan.kernel.version import Release

#: Addresses, offsets from _text and sizes of the image, in bytes.
IMAGE = (
    "load_address",
    "kernel_reserve_end",
    "brk_start",
    "brk_limit",
    "end",
    "init_size",
    "kernel_alignment",
    "total_size",
    "output_len",
    "input_data",
    "real_mode_size",
    "percpu_static",
    "freed",
    "smp_locks",
    "direct_map_base",
)

#: Structures whose sizes in bytes the boot or a plan's reader may need, by the kernel's names.
STRUCTS = (
    "cpu_entry_area",
    "efi_memory_desc_t",
    "firmware_map_entry",
    "io_tlb_area",
    "io_tlb_mem",
    "io_tlb_slot",
    "kfence_metadata",
    "mem_section",
    "mem_section_usage",
    "nosave_region",
    "page",
    "pcpu_alloc_info",
    "pcpu_block_md",
    "pcpu_chunk",
    "pcpu_group_info",
    "pglist_data",
    "prb_desc",
    "printk_info",
    "resource",
    "__wait_queue_head",
    "zone",
)

#: CONFIG_ options that decide what early boot takes, or where.
CONFIGS = (
    "ACPI_BGRT",
    "ACPI_HMAT",
    "ACPI_HOTPLUG_MEMORY",
    "ACPI_INITRD_TABLE_OVERRIDE",
    "ACPI_NUMA",
    "ACPI_TABLE_UPGRADE",
    "AMD_MEM_ENCRYPT",
    "AMD_NUMA",
    "ARCH_FORCE_MAX_ORDER",
    "BLK_DEV_INITRD",
    "BOOT_CONFIG",
    "CMA",
    "CMA_ALIGNMENT",
    "CMA_AREAS",
    "CMA_SIZE_MBYTES",
    "CMA_SIZE_PERCENTAGE",
    "CMA_SIZE_PERNUMA",
    "CMA_SIZE_SEL_MAX",
    "CMA_SIZE_SEL_MBYTES",
    "CMA_SIZE_SEL_MIN",
    "CMA_SIZE_SEL_PERCENTAGE",
    "CMDLINE",
    "CMDLINE_BOOL",
    "CMDLINE_OVERRIDE",
    "CPUMASK_OFFSTACK",
    "CPU_SUP_INTEL",
    "CRASH_DUMP",
    "CRASH_RESERVE",
    "CXL_ACPI",
    "DEBUG_KMEMLEAK",
    "DEBUG_PAGEALLOC",
    "DEBUG_PAGEALLOC_ENABLE_DEFAULT",
    "DEBUG_RODATA",
    "DEFERRED_STRUCT_PAGE_INIT",
    "DIRECT_GBPAGES",
    "DMA_CMA",
    "DMA_NUMA_CMA",
    "DMA_PERNUMA_CMA",
    "DMI",
    "EFI",
    "EFI_FAKE_MEMMAP",
    "EFI_SOFT_RESERVE",
    "EFI_STUB",
    "FIRMWARE_MEMMAP",
    "GART_IOMMU",
    "HIBERNATION",
    "HPET_TIMER",
    "HUGETLBFS",
    "HUGETLB_PAGE",
    "HUGETLB_PAGE_FREE_VMEMMAP",
    "HUGETLB_PAGE_FREE_VMEMMAP_DEFAULT_ON",
    "HUGETLB_PAGE_OPTIMIZE_VMEMMAP",
    "HUGETLB_PAGE_OPTIMIZE_VMEMMAP_DEFAULT_ON",
    "HYPERVISOR_GUEST",
    "ISCSI_IBFT_FIND",
    "KASAN",
    "KEXEC",
    "KEXEC_CORE",
    "KEXEC_HANDOVER",
    "KEXEC_HANDOVER_ENABLE_DEFAULT",
    "KFENCE",
    "KFENCE_NUM_OBJECTS",
    "KFENCE_SAMPLE_INTERVAL",
    "KMEMCHECK",
    "KMSAN",
    "KVM_GUEST",
    "LEGACY_VSYSCALL_NONE",
    "LOG_BUF_SHIFT",
    "LOG_CPU_MAX_BUF_SHIFT",
    "LRU_GEN",
    "MEMBLOCK_KHO_SCRATCH",
    "MEMCG",
    "MEMCG_KMEM",
    "MEMORY_FAILURE",
    "MEMORY_HOTPLUG",
    "MEMORY_HOTPLUG_DEFAULT_ONLINE",
    "MEMORY_HOTREMOVE",
    "MEMORY_ISOLATION",
    "MEMTEST",
    "MEM_ALLOC_PROFILING",
    "MHP_DEFAULT_ONLINE_TYPE_OFFLINE",
    "MHP_DEFAULT_ONLINE_TYPE_ONLINE_AUTO",
    "MHP_DEFAULT_ONLINE_TYPE_ONLINE_KERNEL",
    "MHP_DEFAULT_ONLINE_TYPE_ONLINE_MOVABLE",
    "MHP_MEMMAP_ON_MEMORY",
    "MITIGATION_PAGE_TABLE_ISOLATION",
    "MODULES",
    "MOVABLE_NODE",
    "MTRR",
    "NODES_SHIFT",
    "NR_CPUS",
    "NUMA",
    "NUMA_BALANCING",
    "NUMA_EMU",
    "NUMA_KEEP_MEMINFO",
    "PAGE_BLOCK_MAX_ORDER",
    "PAGE_BLOCK_ORDER",
    "PAGE_EXTENSION",
    "PAGE_TABLE_ISOLATION",
    "PARAVIRT",
    "PHYSICAL_ALIGN",
    "PHYSICAL_START",
    "PREEMPT_RT",
    "PRINTK_EXECUTION_CTX",
    "RANDOMIZE_BASE",
    "RANDOMIZE_BASE_MAX_OFFSET",
    "RANDOMIZE_MEMORY",
    "RANDOMIZE_MEMORY_PHYSICAL_PADDING",
    "RANDOM_KMALLOC_CACHES",
    "RELOCATABLE",
    "SLUB",
    "SMP",
    "SPARSEMEM_EXTREME",
    "SPARSEMEM_VMEMMAP",
    "SPARSEMEM_VMEMMAP_PREINIT",
    "STACKDEPOT",
    "STACKDEPOT_ALWAYS_INIT",
    "SWIOTLB",
    "TRANSPARENT_HUGEPAGE",
    "UNACCEPTED_MEMORY",
    "X86_5LEVEL",
    "X86_64_ACPI_NUMA",
    "X86_BOOTPARAM_MEMORY_CORRUPTION_CHECK",
    "X86_CHECK_BIOS_CORRUPTION",
    "X86_DIRECT_GBPAGES",
    "X86_MPPARSE",
    "X86_RESERVE_LOW",
    "XEN",
    "ZONE_DEVICE",
    "ZONE_DMA",
    "ZONE_DMA32",
)


def fact_names() -> list[str]:
    """All facts' dotted names, sorted."""
    groups = (("image", IMAGE), ("struct", STRUCTS), ("config", CONFIGS))
    return sorted(f"{group}.{name}" for group, names in groups for name in names)


def nearest(word: str, right: list[str]) -> str:
    """The end of an error's sentence: the names that `word` may have meant, or all of a short list.

    Names that are versions are near by number: 6.13 means 6.12 rather than 3.13.
    """
    from difflib import get_close_matches

    versions = {name: number for name in right if (number := _ordinal(name)) is not None}
    wanted = _ordinal(word)
    if wanted is None or not versions:
        close = get_close_matches(word, right, 3, 0.6) or ([] if len(right) > 20 else right)
    else:
        distance = min(abs(number - wanted) for number in versions.values())
        close = [name for name, number in versions.items() if abs(number - wanted) == distance]
        close = get_close_matches(word, close, 3, 0.6) or close
    return f"; did you mean {' or '.join(close)}?" if close else ""


def _ordinal(name: str) -> int | None:
    """The number of the release in `name`, in the row of releases; None where it names none."""
    found = re.search(r"(?<![0-9])[0-9]{1,3}\.[0-9]{1,3}(?![0-9])", name)
    return Release.parse(found[0]).ordinal if found else None
