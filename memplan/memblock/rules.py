"""What memblock itself does differently between kernel versions, as named rules."""

from typing import Literal, NamedTuple


class MemblockRules(NamedTuple):
    """The memblock rules of one version; the values stand under ``memblock.`` in configs/rules/memblock.yaml."""

    #: An empty array counts one region of size 0 (else none).
    empty_counts_one: bool
    #: A full array that must not grow yet panics (else the change fails with -ENOMEM).
    refused_growth_panics: bool
    #: After a change regions are merged along the whole array (else only around the change).
    merges_whole_array: bool
    #: Adding what is covered already merges too.
    merges_when_covered: bool
    #: When an addition is made in one pass over the array, without counting first: "never", "below half" (twice the
    #: regions and one are fewer than the array holds), "up to half".
    single_pass: Literal["never", "below half", "up to half"]
    #: Adding across regions of another node or with other flags warns, once a gap, difference and pass.
    warns_about_mixture: bool
    #: The function that warns when something is added.
    add_function: Literal["memblock_add_region", "memblock_add_range"]
    #: The width of addresses in the line that tells of a grown array, with the 0x.
    printed_width: int
    #: Which node stands for any node: "max" (MAX_NUMNODES), "none" (NUMA_NO_NODE; MAX_NUMNODES warns once), or
    #: "invalid" (each number that is no node).
    any_node: Literal["max", "none", "invalid"]
    #: Bottom-up searches begin above the kernel image, and go on top-down where they find nothing.
    bottom_up_above_kernel: bool
    #: The address that a bottom-up search finds passes through an int.
    bottom_up_int: bool
    #: A search up to address 1 means up to the current limit (it marks allocations that leak checkers leave out).
    end_one_is_accessible: bool
    #: The alignment that stands in for 0.
    default_align: int
    #: Plain allocations round sizes up to the alignment and panic where they fail.
    rounds_sizes: bool
    #: memblock_mark_mirror works only with kernelcore=mirror.
    mirror_needs_kernelcore: bool
    #: memblock_overlaps_region cuts ranges at the end of the address space (else they wrap around).
    overlap_is_capped: bool
    #: memblock_cap_memory_range does nothing before memory is registered.
    cap_needs_memory: bool
    #: What free_all keeps from the page allocator: "nothing said", "reserved", "reserved then nomap", or "nomap then
    #: reserved" (reserved regions get their nodes first, and those marked RSRV_NOINIT are left out).
    free_all_keeps: Literal["nothing said", "reserved", "reserved then nomap", "nomap then reserved"]
