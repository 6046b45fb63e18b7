"""What one kernel version does differently, as named rules: the values that code knows how to replay.

Each rule is explained, with all its values, their commits and how they are known, in configs/rules/*.yaml; which of
them a version has is worked out in memplan/kernel/resolve.py.  Code that replays the boot asks these fields and never
a version number, so a version that follows known rules is some lines of data and no code.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from memplan.hotadd.rules import HotplugRules
from memplan.kernel.structures import StructRules
from memplan.kernel.unreplayed import Unreplayed
from memplan.kernel.version import KernelVersion, Release
from memplan.memblock.rules import MemblockRules

#: The first release with rules.
OLDEST = Release(3, 13)


class Rules(NamedTuple):
    """The rules of one version."""

    version: KernelVersion
    memblock: MemblockRules
    hotplug: HotplugRules
    structs: StructRules
    #: The boot's steps in their order, by the names of the functions in memplan/boot.
    steps: tuple[str, ...]
    #: Rules and steps of which it isn't known whether this version has them already.
    doubts: tuple[str, ...]
    #: What isn't replayed of its boots.
    unreplayed: tuple[Unreplayed, ...]

    # the log
    printed_ranges: Literal["half-open", "inclusive with flags", "inclusive"]
    printed_changes: Literal["reserve and free", "add, too", "all"]
    printed_requests: Literal["none", "short addresses", "whole addresses"]
    printed_range_requests: Literal["none", "crash kernel and initrd", "all"]
    mapping_lines: bool
    zone_digits: int
    free_line: str
    callers: Mapping[str, str]
    request_callers: Mapping[str, str]

    # memblock's callers
    phys_alloc_range: bool
    allocation_calls: Literal["bootmem", "memblock_virt_alloc", "memblock_alloc"]
    calls_without_panic: bool

    # e820
    e820_pram: bool
    max_pfn_counts_pram: bool
    e820_kept_apart: Literal["none", "PRAM", "PRAM and soft reserved"]
    e820_prefix: str
    bios_check_prefix: str
    mp_table_mapped: bool
    e820_retype: bool
    max_pfn_counts_acpi: bool
    efi_mmio_removed: bool
    efi_stub_places_image: bool

    # placing the kernel
    kaslr: Literal["none", "below 1G", "anywhere"]
    kaslr_wants_option: bool
    kaslr_max_offset_config: bool
    kaslr_walk: Literal["places", "areas"]
    kaslr_exact_fit: bool
    kaslr_avoids_run_space: bool
    kaslr_avoids_setup_data: bool
    kaslr_avoids_indirect_data: bool
    kaslr_size_rounded: bool
    kaslr_mem_options: Literal["none", "last memmap", "last limit", "lowest limit"]
    kaslr_efi_fake_mem: bool
    kaslr_gb_pages_whole: bool
    kaslr_gb_pages: Literal["none", "more than one left", "all"]
    kaslr_efi_map: bool
    kaslr_soft_reserved: bool
    kaslr_unaccepted: bool
    kaslr_srat: bool
    kaslr_final_check: bool
    kaslr_kho: bool
    efi_stub_relocation: Literal["always", "out of reach"]
    efi_stub_minimum: Literal["none", "counted", "16M"]
    efi_stub_fixed_words: str
    efi_stub_hot_pluggable: bool

    # first reservations
    movable_node_config: Literal["MOVABLE_NODE", "MEMORY_HOTPLUG"]
    low_reserve: int
    efi_mem_reserve_kern: bool
    efi_boot_services: Literal["ram", "untouched"]
    real_mode_required: bool
    real_mode_failure: str
    efi_tables: Mapping[str, str]
    reserve_first_mib: bool
    low_memory_scratch: bool
    crash_reserves_first_mib: bool

    # page tables
    pgt_buffer_pages: int
    pgt_buffer_pages_5level: int
    pgt_buffer_doubled: bool
    mapping_probe_allocates: bool
    mapping_step_shift: int
    mapping_growth: Literal["larger", "sum"]
    direct_map_base: int
    trampoline_tables: Literal["none", "one", "two with five levels"]
    gbpages_need_pse: bool
    debug_pagealloc_option: bool

    # initrd and ACPI tables
    initrd_half_limit: bool
    acpi_prefix: str
    upgraded_tables_nvs: bool

    # NUMA
    srat_hotplug_marks: bool
    kernel_nodes_unmarked: Literal["behind NODE_DATA", "before NODE_DATA"]
    srat_raises_max_possible: bool
    meminfo_clip: Literal["max_pfn", "dram"]
    numa_resets_to_no_node: bool
    blocks_without_ram: Literal["kept", "dropped", "remembered"]
    srat_generic_initiators: bool
    srat_needs_hotplug_config: bool
    srat_tells_nonvolatile: bool
    srat_x2apic_first: bool
    srat_cpu_lines: bool
    srat_line_prefix: str
    numa_overlap_prefix: str
    cfmws: Literal["nothing", "a node unless its start is known", "stretches blocks"]
    cfmws_nodes_possible: bool
    numa_coverage: Literal["meminfo", "memblock"]
    node_min_size: int
    node_data_round: int
    node_data_any_node: bool
    node_data_panics: bool
    node_range_source: Literal["meminfo", "memblock"]
    numa_distance: Literal["search", "phys", "memblock"]
    numa_fake_uniform: bool
    numa_fake_uniform_test: Literal["running id", "parts of this node"]
    numa_fake_keeps_domains: bool
    memoryless_nodes: Literal["none", "cpu_nodes", "free_area_init"]
    memoryless_message: bool
    node_data_lines: Literal["behind the node's range", "of its own"]
    node_data_failure: str

    # CMA, crash kernel, huge pages
    cma_search: Literal["range", "above 4G first"]
    cma_align: int
    cma_node_areas: bool
    hugetlb_cma_align: int
    hugetlb_cma_rounds_share: bool
    hugetlb_cma_may_fail: bool
    hugetlb_cma_several_ranges: bool
    hugetlb_cma_only: bool
    hugetlb_cma_whole_pages: bool
    hugetlb_cma_percent: bool
    hugetlb_cma_in_one_zone: bool
    hugetlb_nodes: Literal["online", "with memory"]
    crashkernel: Literal["arch/x86", "kernel/crash_reserve.c"]
    crash_config: Literal["KEXEC", "KEXEC_CORE", "CRASH_RESERVE"]
    crash_limit: Literal["below-896M", "low-then-high"]
    crash_high_limit: Literal["MAXMEM", "64T"]
    crash_low_default: int
    crash_low_search: Literal["its size", "0"]
    crash_low_failure: Literal["high part stays", "high part goes"]
    crash_low_told: Literal["System low RAM", "low RAM limit"]
    crash_total_rounds: bool
    crash_size_tested: bool
    crash_zero_told: bool
    crash_ignored_on_xen: bool
    crashkernel_auto: str
    crashkernel_auto_share: int
    crashkernel_cma: bool
    hugepages_stop_at_failure: bool
    possible_cpus_limits: bool
    hugepagesz_checked: bool
    hugepages_per_node: bool
    hugepages_node_exact: bool
    hugepages_noinit: bool
    gigantic_pages_shrink_map: bool
    gigantic_pages_call: Literal["memblock_alloc_try_nid_raw", "memblock_alloc_hugetlb"]
    gigantic_pages_in_one_zone: bool

    # memory map
    section_roots: Literal["static", "allocated"]
    memory_map_order: Literal["usage maps first", "node by node"]
    memory_map_block: Literal[
        "large pages, or panic",
        "large pages",
        "pages, head lost",
        "pages, head freed",
        "sections on the node",
        "none",
    ]
    usage_map_header: bool
    usage_maps: Literal["near NODE_DATA", "on the node"]
    pageblock_bits: int
    memory_map_max_addr: int
    memory_map_required: bool

    # zones
    movable_node_zone: bool
    kernelcore_capped: bool
    kernelcore_mirror: bool
    kernelcore_percent: bool
    zone_limits_by_ram: bool
    movable_start_rounds_up: bool
    movable_clip: bool
    mirror_needs_memory: bool
    mirror_zones_overlap: bool
    zone_wait_tables: bool
    nr_kernel_pages: Literal["zones", "free ranges"]
    initmem_line: bool
    memoryless_setup_line: bool
    unavailable_ranges: bool
    memory_map_filled: Literal["with the zones", "when it is allocated"]

    # later allocations
    percpu_dynamic_reserve: int
    percpu_dynamic_early: int
    percpu_random_kmalloc: bool
    percpu_profiling_reserve: int
    percpu_prefix: str
    percpu_info_align: int
    percpu_extra_lists: int
    percpu_lists_per_memcg: bool
    percpu_chunk: Literal["structs", "bitmaps"]
    percpu_populated_bytes: int
    percpu_base: Literal["told", "hashed", "not told"]
    percpu_distance_test: Literal["behind the freeing", "before the freeing"]
    command_line_copies: int
    kvm_wall_clock: bool
    nosave: Literal["low entries behind the first", "low entries", "entries", "gaps"]
    cpumasks: int
    log_buf: Literal["text", "records"]
    log_buf_align: int
    hash_adapt: bool
    hash_single_node: bool
    swiotlb: Literal[
        "overflow buffer, list and addresses",
        "list and addresses",
        "list, addresses and sizes",
        "slots behind a header",
        "slots",
        "slots and areas",
    ]
    swiotlb_halves: bool
    swiotlb_words_begin: bool
    swiotlb_noforce: Literal["unknown", "one slot", "nothing"]
    swiotlb_failure: str
    swiotlb_areas_shrink: bool
    kho_in_kdump: bool
    kho_scratch_nodes: Literal["online", "with memory"]
    kho_scratch_rounds: Literal["the low part first", "all sizes"]
    kfence: Literal["pool", "pool and metadata"]

    # memory hot-remove
    memory_block_size: Literal[
        "128M",
        "divides RAM from 64G on",
        "2G from 64G of RAM on",
        "2G from 64G on",
        "divides the end of RAM from 64G on",
        "2G on bare metal from 64G on",
    ]

    @property
    def zones_tell_kernel_pages(self) -> bool:
        """Whether tables are sized by the pages that the zones have (else by what is free when they are laid out)."""
        return self.nr_kernel_pages == "zones"

    @property
    def marks_go_behind_node_data(self) -> bool:
        """Whether the kernel's nodes lose their hot-plug marks when nodes have got their NODE_DATA (else before)."""
        return self.kernel_nodes_unmarked == "behind NODE_DATA"

    @property
    def knows_cxl_windows(self) -> bool:
        """Whether nodes are made of the windows that a CEDT describes."""
        return self.cfmws != "nothing"

    @property
    def crash_stays_below_896m(self) -> bool:
        """Whether the crash kernel's memory lies below 896 MiB where the option names no other place."""
        return self.crash_limit == "below-896M"

    @property
    def kaslr_offset_tells_place(self) -> bool:
        """Whether the offset that KASLR adds to virtual addresses is how far it moves the image in memory, too."""
        return self.kaslr == "below 1G"
