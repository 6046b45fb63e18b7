"""Reading the SRAT, and with it SLIT and CEDT: who is on which node (drivers/acpi/numa/srat.c, arch/x86/mm/srat.c)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.proximity import cpus_in_order, domain_of
from memplan.boot.steps.distances import numa_set_distance
from memplan.boot.steps.meminfo import numa_add_memblk
from memplan.plan import SratUse
from memplan.units import U64_MAX, mem_range, pfn_up

if TYPE_CHECKING:
    from memplan.boot.context import Boot
    from memplan.boot.nodes import Nodes
    from memplan.machine.model import CpuAffinity, MemoryAffinity, Srat

#: Proximity domains that the map from domain to node has room for, where nodes are fewer (MAX_PXM_DOMAINS).
_LEAST_DOMAINS = 256
#: APIC ids that the kernel has room for (MAX_LOCAL_APIC).
_MAX_LOCAL_APIC = 32768
_LOCAL_DISTANCE = 10


class _BadSrat(Exception):
    """Something in the table makes the kernel drop it; the text is the kernel's message."""


def acpi_numa_init(boot: Boot, nodes: Nodes) -> bool:
    """Parses SRAT, SLIT and CEDT into `numa`; whether the kernel takes what they say.

    Nodes are numbered as their proximity domains turn up: CPUs' first, then generic initiators', then memory's.
    """
    if boot.params.acpi_disabled:
        return False
    accepted = 0
    srat = boot.machine.srat
    if srat is not None and not nodes.srat_disabled:
        try:
            _parse_cpus(boot, nodes, srat)
            for entry in srat.memory:
                accepted += _parse_memory(boot, nodes, srat, entry)
        except _BadSrat as problem:
            boot.printk(str(problem), warning=True)
            boot.printk(f"{boot.wording.srat}SRAT: SRAT not used.", warning=True)
            nodes.srat_disabled = True
            nodes.srat = SratUse.BAD_ENTRY
    _parse_slit(boot, nodes)
    if boot.rules.cfmws != "nothing":
        _parse_cfmws(boot, nodes)
    if srat is not None and not nodes.srat_disabled:
        nodes.srat = SratUse.USED if accepted else SratUse.EMPTY
    if not accepted or nodes.srat_disabled:
        return False
    for (_, apic_id), nid in zip(boot.params.apic_ids(), boot.machine.cpus.nodes, strict=False):
        nodes.apic_to_node[apic_id] = nid
        nodes.parsed.add(nid)
    return True


def _node_of(boot: Boot, nodes: Nodes, pxm: int) -> int | None:
    """acpi_map_pxm_to_node: the domain's node, a new one the first time; None where there is no room for more."""
    if pxm in nodes.pxm_to_node:
        return nodes.pxm_to_node[pxm]
    limit = boot.kernel.max_numnodes
    if pxm >= max(limit, _LEAST_DOMAINS) or len(nodes.pxm_to_node) >= limit:
        return None
    nid = nodes.pxm_to_node[pxm] = len(nodes.pxm_to_node)
    nodes.node_to_pxm[nid] = pxm
    return nid


def _parse_cpus(boot: Boot, nodes: Nodes, srat: Srat) -> None:
    """Enabled CPUs, then generic initiators (5.7 on)."""
    for cpu in cpus_in_order(srat, boot.rules):
        _parse_cpu(boot, nodes, srat, cpu)
    if boot.rules.srat_generic_initiators:
        for pxm in srat.generic_initiators:
            nid = _node_of(boot, nodes, pxm)
            if nid is None:
                boot.printk(f"{boot.wording.srat}SRAT: Too many proximity domains.", warning=True)
                return
            nodes.parsed.add(nid)
            nodes.initiators.add(nid)


def _parse_cpu(boot: Boot, nodes: Nodes, srat: Srat, cpu: CpuAffinity) -> None:
    pxm = domain_of(cpu, srat)
    nid = _node_of(boot, nodes, pxm)
    if nid is None:
        raise _BadSrat(f"SRAT: Too many proximity domains {pxm:x}")
    text = f"SRAT: PXM {pxm} -> APIC {cpu.apic_id:#0{6 if cpu.x2apic else 4}x} -> Node {nid}"
    if cpu.apic_id >= _MAX_LOCAL_APIC:
        boot.printk(f"{text} skipped apicid that is too big")
        return
    nodes.apic_to_node[cpu.apic_id] = nid
    nodes.parsed.add(nid)
    if boot.rules.srat_cpu_lines:
        boot.printk(text)


def _parse_memory(boot: Boot, nodes: Nodes, srat: Srat, entry: MemoryAffinity) -> bool:
    """acpi_numa_memory_affinity_init; whether the entry counts."""
    if not entry.enabled:
        return False
    hotplug = entry.hotplug and boot.kernel.config("MEMORY_HOTPLUG")
    if entry.hotplug and not hotplug and boot.rules.srat_needs_hotplug_config:
        return False
    start, end = entry.base, (entry.base + entry.length) & U64_MAX
    pxm = domain_of(entry, srat)
    nid = _node_of(boot, nodes, pxm)
    if nid is None:
        raise _BadSrat(f"{boot.wording.srat}SRAT: Too many proximity domains.")
    if not numa_add_memblk(boot, nodes.meminfo, start, end, nid):
        raise _BadSrat(f"{boot.wording.srat}SRAT: Failed to add memblk to node {nid} {mem_range(start, end)}")
    nodes.parsed.add(nid)
    boot.printk(
        f"{boot.wording.srat}SRAT: Node {nid} PXM {pxm} {mem_range(start, end)}"
        + " hotplug" * hotplug
        + " non-volatile" * (entry.nonvolatile and boot.rules.srat_tells_nonvolatile)
    )
    if hotplug and entry.length:
        nodes.hotplug.append((start, end))
        if boot.rules.srat_hotplug_marks:
            boot.memory.mark_hotplug(start, start + entry.length)
    if boot.rules.srat_raises_max_possible:
        boot.max_possible_pfn = max(boot.max_possible_pfn, pfn_up(max(end - 1, 0)))
    return True


def _parse_slit(boot: Boot, nodes: Nodes) -> None:
    """Distances between the nodes that the SRAT named; a table with wrong ones is refused as a whole."""
    slit = boot.machine.acpi.slit
    if not slit:
        return
    for row, distances in enumerate(slit):
        for column, distance in enumerate(distances):
            if (distance != _LOCAL_DISTANCE) if row == column else (distance <= _LOCAL_DISTANCE):
                boot.printk("ACPI: SLIT table looks invalid. Not used.", warning=True)
                return
    for row, distances in enumerate(slit):
        for column, distance in enumerate(distances):
            source, target = nodes.pxm_to_node.get(row), nodes.pxm_to_node.get(column)
            if source is not None and target is not None:
                numa_set_distance(boot, source, target, distance)


def _parse_cfmws(boot: Boot, nodes: Nodes) -> None:
    """CXL windows: blocks inside one are stretched to cover it; a window without any becomes a node of its own."""
    pxm = max(nodes.pxm_to_node, default=-1) + 1
    for window in boot.machine.acpi.cxl_windows:
        start, end = window.base, window.base + window.size
        if boot.rules.cfmws == "stretches blocks":
            if nodes.meminfo.fill(start, end):
                continue
        elif any(block.start <= start < block.end for block in nodes.meminfo.blocks):
            continue
        nid = _node_of(boot, nodes, pxm)
        if nid is None:
            boot.printk("ACPI: ACPI NUMA: Too many proximity domains while processing CFMWS.", warning=True)
            return
        if not numa_add_memblk(boot, nodes.meminfo, start, end, nid):
            place = f"[mem {start:#x}-{end:#x}]"
            boot.printk(f"ACPI: ACPI NUMA: Failed to add memblk for CFMWS node {nid} {place}", warning=True)
        if boot.rules.cfmws_nodes_possible:
            nodes.parsed.add(nid)
        pxm += 1
