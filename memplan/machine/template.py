"""A commented description to start from: a made-up machine of given size, with what one may want to change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.errors import UsageError
from memplan.units import GIB, MIB, round_down, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Set

#: Where RAM below 4 GiB ends, for the sake of devices.
_LOW_END = 2 * GIB
_HIGH = 4 * GIB
_CPUS_PER_NODE = 2
#: Nodes begin and end with memory blocks, which have up to 2 GiB on machines of 64 GiB or more.
_UNIT, _LARGE_UNIT = 128 * MIB, 2 * GIB


def template(nodes: int, memory: int, hotplug: Set[int], *, kernel: str = "6.12") -> Iterator[str]:
    """The lines of a description of `nodes` nodes that share `memory` bytes of RAM; those in `hotplug` can go.

    Raises UsageError for nodes that can't be: too little memory for each, or a hot-pluggable one that isn't there.
    """
    share = round_down(memory // nodes, _LARGE_UNIT if memory // nodes >= 2 * _LARGE_UNIT else _UNIT)
    if share < GIB:
        raise UsageError(f"{size_text(memory)} for {nodes} nodes is less than 1G for each")
    if wrong := sorted(nid for nid in hotplug if not 0 <= nid < nodes):
        raise UsageError(f"there is no node {wrong[0]} to be hot-pluggable: nodes are 0 to {nodes - 1}")
    if 0 in hotplug:
        raise UsageError("node 0 holds the kernel and can't be hot-pluggable")
    ranges = list(_ranges(nodes, share))
    yield "# A machine description for memplan: what firmware, the boot loader and you say."
    yield "# Sizes and addresses take K, M, G, T or 0x; memplan schema has every key for your editor."
    yield ""
    yield "name: my machine"
    yield "# memplan kernel --list names versions, builds and distributions; a file of memplan kernel works, too."
    yield f"kernel: {kernel}"
    yield "# Boot options as typed. movable_node makes hot-pluggable nodes removable."
    yield f"cmdline: {'movable_node' if hotplug else 'quiet'}"
    yield ""
    yield "# Firmware's memory map: fields, or the lines of a boot log as they are (BIOS-e820: [mem ...] usable)."
    yield "e820:"
    yield "- {start: 0, size: 639K, type: usable}"
    yield "- {start: 0x9fc00, end: 0xfffff, type: reserved}"
    yield f"- {{start: 1M, end: {size_text(min(_LOW_END, share))}, type: usable}}"
    yield "- {start: 0xfe000000, end: 0xffffffff, type: reserved}"
    high = [(start, end) for _, start, end in ranges if start >= _HIGH]
    if high:
        yield f"- {{start: {size_text(high[0][0])}, end: {size_text(high[-1][1])}, type: usable}}"
    yield ""
    yield "# Which memory and which CPUs belong to which node (without srat: there is one node)."
    yield "srat:"
    yield "  memory:"
    for nid, start, end in ranges:
        hot = ", hotplug: true" if nid in hotplug else ""
        base = size_text(start) if start else "0"
        yield f"  - {{pxm: {nid}, base: {base}, length: {size_text(end - start)}{hot}}}"
    yield "  cpus:"
    for cpu in range(nodes * _CPUS_PER_NODE):
        yield f"  - {{apic_id: {cpu}, pxm: {cpu // _CPUS_PER_NODE}}}"
    yield ""
    yield f"cpus: {{possible: {nodes * _CPUS_PER_NODE}, present: {nodes * _CPUS_PER_NODE}}}"
    yield ""
    yield "# Where the boot loader put the initrd."
    yield f"initrd: {{start: {size_text(min(_LOW_END, share) - 64 * MIB)}, size: 32M}}"
    yield ""
    yield "# Further keys: acpi (tables, upgrades, slit, cxl_windows), bios, efi, setup_data, hypervisor, encryption,"
    yield "# mtrr_limit."


def _ranges(nodes: int, share: int) -> Iterator[tuple[int, int, int]]:
    """Each node's memory as (node, start, end): node 0 on both sides of the hole below 4 GiB, the others above."""
    low = min(_LOW_END, share)
    yield 0, 0, low
    at = _HIGH
    for nid in range(nodes):
        size = share - low if nid == 0 else share
        if size:
            yield nid, at, at + size
            at += size
