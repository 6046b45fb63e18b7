"""What memblock itself does differently between kernel versions, as named rules."""

from typing import Literal, NamedTuple


class MemblockRules(NamedTuple):
    """The memblock rules of one version; the values stand under ``memblock.`` in configs/rules/memblock.yaml."""

    #: Size of struct memblock_region.
    region_size: int
    #: An empty array counts one region of size 0 (else none).
    empty_counts_one: bool
    #: A full array that must not grow yet panics (else the change fails with -ENOMEM).
    refused_growth_panics: bool
    #: After a change regions are merged along the whole array (else only around the change).
    merges_whole_array: bool
    #: Adding what is covered already merges too.
    merges_when_covered: bool
    #: When an addition is made in one pass over the array, without counting first: "below half" means that twice the
    #: regions and one are fewer than the array holds.
    single_pass: Literal["never", "below half", "up to half"]
    #: When adding across regions of another node or with other flags warns, once a gap, difference and pass; "unless
    #: plain" leaves out other flags where the addition has none.
    mixture_warning: Literal["never", "always", "unless plain"]
    #: The function that warns when something is added.
    add_function: Literal["memblock_add_region", "memblock_add_range"]
    #: The width of addresses in the line that tells of a grown array, with the 0x.
    printed_width: int
    #: Which node stands for any node: "max" (MAX_NUMNODES), "none" (NUMA_NO_NODE; MAX_NUMNODES warns once), or
    #: "invalid" (each number that is no node).
    any_node: Literal["max", "none", "invalid"]
    #: Bottom-up searches begin above the kernel image, and go on top-down where they find nothing.
    bottom_up_above_kernel: bool
    #: What is said, once, when they go on top-down.
    bottom_up_warning: Literal["memory hotunplug may be affected", "memory hotremove may be affected"]
    #: The address that a bottom-up search finds passes through an int.
    bottom_up_int: bool
    #: Which searches and walks pass over hot-pluggable memory with movable_node; "unless wanted" by their flags.
    hotplug_skipped: Literal["downwards", "both ways", "both ways unless wanted"]
    #: A search up to address 1 means up to the current limit (it marks allocations that leak checkers leave out).
    end_one_is_accessible: bool
    #: The alignment that stands in for 0.
    default_align: int
    #: What an alignment of 0 gives rise to: a WARN_ON, nothing, or a stack dump.
    zero_align_says: Literal["warning", "nothing", "stack dump"]
    #: Plain allocations round sizes up to the alignment.
    rounds_sizes: bool
    #: How allocations search.  "each its own": memblock_alloc_base and its kin try once, and panic in some forms;
    #: memblock_virt_alloc drops the node, then the minimum, then mirrored memory.  "one core": it drops the node, then
    #: mirrored memory, and its callers then drop the minimum; "within the limit": it keeps to the current limit too.
    allocations: Literal["each its own", "one core within the limit", "one core"]
    #: memblock_virt_alloc returns what it found although it could not be reserved (else it searches on).
    keeps_unreserved: bool
    #: Addresses and sizes in the panic of an allocation have leading zeros.
    padded_panic: bool
    #: Allocations are reserved with the flag RSRV_KERN and their node, and grown arrays with the flag; a reservation of
    #: no node has NUMA_NO_NODE (else MAX_NUMNODES).
    marks_allocations: bool
    #: memblock_estimated_nr_free_pages subtracts what is reserved for the kernel's own use (else all reservations).
    estimate_counts_kern: bool
    #: memblock_mark_mirror works only with kernelcore=mirror.
    mirror_needs_kernelcore: bool
    #: memblock_overlaps_region cuts ranges at the end of the address space (else they wrap around).
    overlap_is_capped: bool
    #: memblock_overlaps_region tells which region overlaps (else whether one does).
    overlap_tells_index: bool
    #: memblock_cap_memory_range does nothing before memory is registered.
    cap_needs_memory: bool
    #: memblock_validate_numa_coverage: which memory counts as without a node ("no node": that of NUMA_NO_NODE alone),
    #: and whether as much as the threshold fails too.
    coverage: Literal["no node, from the threshold", "no valid node, from the threshold", "no valid node, above it"]
    #: Freeing when slab is up hands pages to the page allocator and leaves the reserved array as it is.
    late_free_keeps_reserved: bool
    #: What free_all keeps from the page allocator, and in which order it says so.
    free_all_keeps: Literal["nothing said", "reserved", "reserved then nomap", "nomap then reserved"]
    #: Whether free_all gives reserved regions the nodes of their memory: "up to the end" takes the end of a region of
    #: memory for its size and so reaches beyond it.
    free_all_nodes: Literal["none", "up to the end", "exact"]
    #: Which grown arrays free_all gives to the page allocator, too.
    free_all_frees: Literal["reserved array", "both arrays", "nothing"]
    #: free_all tells the code of the memory map what it keeps (else it marks those pages by itself, unseen).
    free_all_tells: bool
