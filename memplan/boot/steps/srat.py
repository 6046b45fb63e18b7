"""Reading the SRAT, and with it SLIT and CEDT: who is on which node (drivers/acpi/numa/srat.c, arch/x86/mm/srat.c)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.units import U64_MAX, mem_range, pfn_up

if TYPE_CHECKING:
    from memplan.boot.state import Boot
    from memplan.boot.steps.numa import Numa
    from memplan.machine.model import CpuAffinity, MemoryAffinity, Srat

#: Proximity domains that the map from domain to node has room for, where nodes are fewer (MAX_PXM_DOMAINS).
_LEAST_DOMAINS = 256
#: APIC ids that the kernel has room for (MAX_LOCAL_APIC).
_MAX_LOCAL_APIC = 32768
_LOCAL_DISTANCE = 10


class _BadSrat(Exception):
    """Something in the table makes the kernel drop it; the text is the kernel's message."""


def acpi_numa_init(boot: Boot, numa: Numa) -> bool:
    """Parses SRAT, SLIT and CEDT into `numa`; whether the kernel takes what they say.

    Nodes are numbered as their proximity domains turn up: CPUs' first, then generic initiators', then memory's.
    """
    if boot.acpi_disabled:
        return False
    accepted = 0
    srat = boot.machine.srat
    if srat is not None and not numa.srat_disabled:
        try:
            _parse_cpus(boot, numa, srat)
            for entry in srat.memory:
                accepted += _parse_memory(boot, numa, srat, entry)
        except _BadSrat as problem:
            boot.printk(str(problem), warning=True)
            boot.printk(f"{boot.rules.srat_line_prefix}SRAT: SRAT not used.", warning=True)
            numa.srat_disabled = True
    _parse_slit(boot, numa)
    if boot.rules.cfmws:
        _parse_cfmws(boot, numa)
    if not accepted or numa.srat_disabled:
        return False
    for (_, apic_id), nid in zip(present_cpus(boot), boot.machine.cpus.nodes, strict=False):
        numa.apic_to_node[apic_id] = nid
        numa.parsed.add(nid)
    return True


def present_cpus(boot: Boot) -> list[tuple[int, int]]:
    """The CPUs of which the kernel knows the APIC id: those present at boot, as (CPU, APIC id)."""
    cpus = boot.machine.cpus
    return [(cpu, cpus.apic_ids[cpu] if cpu < len(cpus.apic_ids) else cpu) for cpu in range(boot.present_cpus)]


def _node_of(boot: Boot, numa: Numa, pxm: int) -> int | None:
    """acpi_map_pxm_to_node: the domain's node, a new one the first time; None where there is no room for more."""
    if pxm in numa.pxm_to_node:
        return numa.pxm_to_node[pxm]
    limit = boot.kernel.max_numnodes
    if pxm >= max(limit, _LEAST_DOMAINS) or len(numa.pxm_to_node) >= limit:
        return None
    nid = numa.pxm_to_node[pxm] = len(numa.pxm_to_node)
    numa.node_to_pxm[nid] = pxm
    return nid


def _parse_cpus(boot: Boot, numa: Numa, srat: Srat) -> None:
    """Enabled CPUs in the table's order; 3.13 takes all x2APIC entries before the others."""
    cpus = srat.cpus
    if boot.rules.srat_x2apic_first:
        cpus = (*(cpu for cpu in cpus if cpu.x2apic), *(cpu for cpu in cpus if not cpu.x2apic))
    for cpu in cpus:
        if cpu.enabled:
            _parse_cpu(boot, numa, srat, cpu)
    if boot.rules.srat_generic_initiators:
        for pxm in srat.generic_initiators:
            nid = _node_of(boot, numa, pxm)
            if nid is None:
                boot.printk(f"{boot.rules.srat_line_prefix}SRAT: Too many proximity domains.", warning=True)
                return
            numa.parsed.add(nid)
            numa.initiators.add(nid)


def _parse_cpu(boot: Boot, numa: Numa, srat: Srat, cpu: CpuAffinity) -> None:
    pxm = cpu.pxm if cpu.x2apic or srat.revision >= 2 else cpu.pxm & 0xFF
    nid = _node_of(boot, numa, pxm)
    if nid is None:
        raise _BadSrat(f"SRAT: Too many proximity domains {pxm:x}")
    text = f"SRAT: PXM {pxm} -> APIC {cpu.apic_id:#0{6 if cpu.x2apic else 4}x} -> Node {nid}"
    if cpu.apic_id >= _MAX_LOCAL_APIC:
        boot.printk(f"{text} skipped apicid that is too big")
        return
    numa.apic_to_node[cpu.apic_id] = nid
    numa.parsed.add(nid)
    if boot.rules.srat_cpu_lines:
        boot.printk(text)


def _parse_memory(boot: Boot, numa: Numa, srat: Srat, entry: MemoryAffinity) -> bool:
    """acpi_numa_memory_affinity_init; whether the entry counts."""
    if not entry.enabled:
        return False
    hotplug = entry.hotplug and boot.kernel.config("MEMORY_HOTPLUG")
    if entry.hotplug and not hotplug and boot.rules.srat_needs_hotplug_config:
        return False
    start, end = entry.base, (entry.base + entry.length) & U64_MAX
    pxm = entry.pxm if srat.revision > 1 else entry.pxm & 0xFF
    nid = _node_of(boot, numa, pxm)
    if nid is None:
        raise _BadSrat(f"{boot.rules.srat_line_prefix}SRAT: Too many proximity domains.")
    if not numa.meminfo.add(start, end, nid):
        raise _BadSrat(f"{boot.rules.srat_line_prefix}SRAT: Failed to add memblk to node {nid} {mem_range(start, end)}")
    numa.parsed.add(nid)
    boot.printk(
        f"{boot.rules.srat_line_prefix}SRAT: Node {nid} PXM {pxm} {mem_range(start, end)}"
        + " hotplug" * hotplug
        + " non-volatile" * (entry.nonvolatile and boot.rules.srat_tells_nonvolatile)
    )
    if hotplug and entry.length:
        numa.hotplug.append((start, end))
        if boot.rules.srat_hotplug_marks:
            boot.memblock.mark_hotplug(start, entry.length)
    if boot.rules.srat_hotplug_marks:
        boot.max_possible_pfn = max(boot.max_possible_pfn, pfn_up(max(end - 1, 0)))
    return True


def _parse_slit(boot: Boot, numa: Numa) -> None:
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
            source, target = numa.pxm_to_node.get(row), numa.pxm_to_node.get(column)
            if source is not None and target is not None:
                numa.set_distance(source, target, distance)


def _parse_cfmws(boot: Boot, numa: Numa) -> None:
    """CXL windows: blocks inside one are stretched to cover it; a window without any becomes a node of its own."""
    pxm = max(numa.pxm_to_node, default=-1) + 1
    for window in boot.machine.acpi.cxl_windows:
        start, end = window.base, window.base + window.size
        if numa.meminfo.fill(start, end):
            continue
        nid = _node_of(boot, numa, pxm)
        if nid is None:
            boot.printk("ACPI: ACPI NUMA: Too many proximity domains while processing CFMWS.", warning=True)
            return
        if not numa.meminfo.add(start, end, nid):
            place = f"[mem {start:#x}-{end:#x}]"
            boot.printk(f"ACPI: ACPI NUMA: Failed to add memblk for CFMWS node {nid} {place}", warning=True)
        numa.parsed.add(nid)
        pxm += 1
