"""What one kernel version does differently, as named rules: data from configs/rules/<version>.yaml.

Each field says what it switches; the files say with which commit it changed.  Code that replays the boot asks these
fields and never a version number, so a version that follows known rules is a new file and no code.
"""

import os
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

import yaml

from memplan.errors import InputError, UsageError
from memplan.memblock.rules import MemblockRules


def config_folder() -> str:
    """The folder of the data files: inside the installed package, or beside it in a checkout."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    installed = os.path.join(package, "configs")
    return installed if os.path.isdir(installed) else os.path.join(os.path.dirname(package), "configs")


class Rules(NamedTuple):
    """The rules of one version; see configs/rules/*.yaml for the values and where they come from."""

    version: str
    memblock: MemblockRules
    #: The boot's steps in their order, by the names of the functions in memplan/boot.
    steps: tuple[str, ...]
    #: Lines and wording: "3.13" prints ranges of add/reserve half-open and 14 digits wide; "5.10" on inclusive.
    trace_style: str
    #: What freeing is called in the log.
    free_line: str
    #: Symbols that this version's builds print where a function is inlined: {function: printed}, for changes
    #: that a caller makes itself, and for allocation requests.
    callers: Mapping[str, str]
    request_callers: Mapping[str, str]

    # memblock's callers
    #: memblock_phys_alloc_range is one call with its own line; before, callers search and reserve by themselves.
    phys_alloc_range: bool
    #: Early allocations after the SRAT go through bootmem's calls (mm/nobootmem.c).
    bootmem_calls: bool

    # e820
    #: The type PRAM (memmap=n!s) exists.
    e820_pram: bool
    #: What stands before the lines about the map.
    e820_prefix: str
    #: What stands before the line about low memory that is watched.
    bios_check_prefix: str
    #: The MP table's line tells its virtual address, too.
    mp_table_mapped: bool
    #: memmap=n%s-from+to retypes.
    e820_retype: bool
    #: max_pfn counts ACPI data as RAM.
    max_pfn_counts_acpi: bool
    #: EFI MMIO ranges of at least 256 KiB leave the map.
    efi_mmio_removed: bool
    #: EFI's stub unpacks the image at a random place of its own choice (else the decompressor chooses).
    efi_stub_places_image: bool

    # first reservations
    #: The configuration option that movable_node needs.
    movable_node_config: str
    #: Bytes from 0 that are reserved at the very start.
    low_reserve: int
    #: EFI boot services are reserved where they touch nothing reserved ("untouched"), or only in RAM too ("ram").
    efi_boot_services: str
    #: A boot without room for the real-mode trampoline panics.
    real_mode_required: bool
    #: The whole first megabyte is reserved after the trampoline.
    reserve_first_mib: bool
    #: With crashkernel= the first megabyte is reserved.
    crash_reserves_first_mib: bool

    # page tables
    #: Page-table buffer in brk: pages, pages with config X86_5LEVEL, and whether config RANDOMIZE_MEMORY doubles it.
    pgt_buffer_pages: int
    pgt_buffer_pages_5level: int
    pgt_buffer_doubled: bool
    #: init_mem_mapping top-down takes and frees a probe block (else it only searches).
    mapping_probe_allocates: bool
    #: The step grows by this shift, when the memory mapped so far reaches it ("sum"), or when one range maps more than
    #: all before together ("larger").
    mapping_step_shift: int
    mapping_growth: str
    #: The direct map's base with four levels (without memory randomisation).
    direct_map_base: int
    #: A trampoline page-table page or two are allocated with memory randomisation.
    trampoline_pgd: bool
    #: 1 GiB pages need 2 MiB pages to be allowed.
    gbpages_need_pse: bool
    #: debug_pagealloc=on turns page-allocation debugging on (else the configuration alone does).
    debug_pagealloc_option: bool

    # initrd and ACPI tables
    #: An initrd of half the mapped RAM or more panics.
    initrd_half_limit: bool
    #: What stands before the line of a table found in the initrd.
    acpi_prefix: str
    #: Upgraded tables' place becomes ACPI NVS in the map (else ACPI data).
    upgraded_tables_nvs: bool

    # NUMA
    srat_hotplug_marks: bool
    #: numa_cleanup_meminfo clips to memblock's DRAM ("dram"), or to [0, max_pfn) ("max_pfn").
    meminfo_clip: str
    #: Regions are reset to NUMA_NO_NODE, which does not merge with what was never given a node.
    numa_resets_to_no_node: bool
    #: Blocks without RAM go to the reserved meminfo.
    numa_reserved_meminfo: bool
    #: Generic initiators name nodes, too.
    srat_generic_initiators: bool
    #: Hot-pluggable entries count only with config MEMORY_HOTPLUG (else they lose their mark).
    srat_needs_hotplug_config: bool
    #: The line of a memory entry says "non-volatile".
    srat_tells_nonvolatile: bool
    #: x2APIC entries are parsed in a pass of their own before the others.
    srat_x2apic_first: bool
    #: CPU-to-node lines are printed by default.
    srat_cpu_lines: bool
    srat_line_prefix: str
    #: Prefix of the overlap message.
    numa_overlap_prefix: str
    #: CEDT windows fill or add nodes.
    cfmws: bool
    #: Coverage test: "meminfo" (1 MiB by pages of meminfo) or "memblock" (more than 1 MiB without a node).
    numa_coverage: str
    #: Nodes spanning less than this many bytes get no NODE_DATA.
    node_min_size: int
    #: NODE_DATA's size is rounded to this many bytes.
    node_data_round: int
    #: NODE_DATA on another node is allowed.
    node_data_any_node: bool
    #: A boot without room for NODE_DATA panics.
    node_data_panics: bool
    #: NODE_DATA goes to nodes of memblock's memory ("memblock") or of the meminfo ("meminfo").
    node_range_source: str
    #: How the distance table is allocated: "search" (find + reserve), "phys" or "memblock".
    numa_distance: str
    numa_fake_uniform: bool
    #: Which test ends numa=fake=NU: "running id" or "parts of this node".
    numa_fake_uniform_test: str
    #: numa=fake= carries proximity domains over to the fake nodes.
    numa_fake_keeps_domains: bool
    #: Possible nodes without memory: "free_area_init" (all), "cpu_nodes" (those with CPUs), "none".
    memoryless_nodes: str
    memoryless_message: bool
    #: Wording of the NODE_DATA lines: "3.13" or "5.10".
    node_data_lines: str

    # CMA, crash kernel, huge pages
    #: "range" (within base and limit), or "above 4G first" (upwards from 4 GiB, then the range).
    cma_search: str
    #: The least alignment of a CMA area, in bytes.
    cma_align: int
    #: The alignment that hugetlb_cma asks for, in bytes.
    hugetlb_cma_align: int
    #: A node's share of hugetlb_cma is rounded up to 1 GiB before it is shared out.
    hugetlb_cma_rounds_share: bool
    #: "3.13", "low then high", or "generic" (kernel/crash_reserve.c).
    crashkernel: str
    #: Gigantic pages: the first node that has no room ends it (else the other nodes are tried).
    hugepages_stop_at_failure: bool
    #: possible_cpus= only lowers their number; it sets it before.
    possible_cpus_limits: bool
    #: Each hugepagesz= counts once, and hugepages= behind a good size only; default_hugepagesz= may be gigantic.
    hugepagesz_checked: bool
    #: hugepages=node:count,… exists.
    hugepages_per_node: bool
    #: Gigantic pages are marked so that their struct pages are not initialised.
    hugepages_noinit: bool

    # memory map
    #: "3.13", or "per node" (sparse_init of 4.19 on).
    sparse_init: str

    # zones
    #: kernelcore=mirror, percentages and movable_node decide ZONE_MOVABLE ("5.10"), or sizes alone ("3.13").
    movable_zone_rules: str
    #: Zones end with RAM where it is small.
    zone_limits_by_ram: bool
    #: The first page of a hot-pluggable region is rounded up to a whole one.
    movable_start_rounds_up: bool
    #: A ZONE_MOVABLE that would start at or above the node's end is dropped.
    movable_clip: bool
    mirror_needs_memory: bool
    #: Per-zone wait tables are allocated.
    zone_wait_tables: bool
    #: nr_kernel_pages: "zones" (present minus memory map), or "free ranges".
    nr_kernel_pages: str
    #: Each node's range is told ("Initmem setup node").
    initmem_line: bool
    #: A node without memory is told in words.
    memoryless_setup_line: bool
    #: Pages that are no RAM inside sections are told.
    unavailable_ranges: bool

    # later allocations
    #: PERCPU_DYNAMIC_RESERVE in bytes, and PERCPU_DYNAMIC_EARLY_SIZE, which the areas have where mapped by pages.
    percpu_dynamic_reserve: int
    percpu_dynamic_early: int
    #: What stands before the line about the per-CPU areas.
    percpu_prefix: str
    #: The alignment of pcpu_build_alloc_info's block.
    percpu_info_align: int
    #: Chunk lists beyond those by size, and whether config MEMCG_KMEM doubles them.
    percpu_extra_lists: int
    percpu_lists_per_memcg: bool
    #: The chunk's books: "3.13" (chunk structs only), or "bitmaps".
    percpu_chunk: str
    command_line_copies: int
    #: register_nosave_region's walk: "gaps", "entries", or "low entries" (from the second entry, to low memory).
    nosave: str
    #: CPU masks beside one a node.
    cpumasks: int
    #: The log buffer: "text", or "records" (text, descriptors, infos).
    log_buf: str
    #: Hash tables grow more slowly on large machines.
    hash_adapt: bool
    #: Machines with one node keep hash tables out of vmalloc.
    hash_single_node: bool
    #: swiotlb_init's way: "3.13", "single", or "areas".
    swiotlb: str
    #: The areas' number shrinks with the buffer.
    swiotlb_areas_shrink: bool
    #: "pool", or "pool and metadata".
    kfence: str
    #: free_all gives reserved regions their nodes.
    free_all_sets_nid: bool

    # memory hot-remove
    #: Memory blocks grow with the machine (64 GiB and up).
    large_memory_blocks: bool


def rules_names() -> list[str]:
    """The versions that have rules, oldest first."""
    return sorted(
        (name.removesuffix(".yaml") for name in os.listdir(os.path.join(config_folder(), "rules"))),
        key=lambda name: [int(part) for part in name.split(".")],
    )


@cache
def load_rules(version: str) -> Rules:
    """The rules of `version` ("6.1"); UsageError for one without rules, InputError for a broken file."""
    path = os.path.join(config_folder(), "rules", f"{version}.yaml")
    if not os.path.isfile(path):
        raise UsageError(f"no rules for Linux {version}; there are rules for {', '.join(rules_names())}")
    with open(path, "rb") as file:
        text = file.read()
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    data = yaml.load(text, loader)
    wanted = set(Rules._fields) - {"version"}
    found = set(data)
    if wanted != found:
        lacking, extra = sorted(wanted - found), sorted(found - wanted)
        raise InputError.single(path, f"rules missing: {lacking or 'none'}; rules unknown: {extra or 'none'}")
    data["memblock"] = MemblockRules(**data["memblock"])
    data["steps"] = tuple(data["steps"])
    return Rules(version=version, **data)
