"""Which node is what: reading firmware's word, registering nodes in memblock, NODE_DATA (arch/x86/mm/numa.c)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.nodes import Nodes
from memplan.boot.panic import BootPanic
from memplan.boot.registry import step
from memplan.boot.steps.distances import numa_reset_distance
from memplan.boot.steps.meminfo import numa_add_memblk, numa_cleanup_meminfo
from memplan.boot.steps.numa_fake import numa_emulation
from memplan.boot.steps.srat import acpi_numa_init
from memplan.errors import NotCoveredError
from memplan.owner import Owner, Purpose
from memplan.plan import SratUse
from memplan.units import MIB, PAGE_SHIFT, PAGE_SIZE, U64_MAX, mem_range, pfn_down, round_up, size_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from memplan.boot.context import Boot

#: The alignment of NODE_DATA, and of a node's first page as 3.13 tells it.
_CACHE_LINE = 64
_ZONE_ALIGN = 8 * MIB
#: RAM without a node that every version tolerates.
_TOLERATED = MIB
_NO_NODE = -1


@step("arch/x86/mm/numa.c")
def initmem_init(boot: Boot) -> None:
    """Tries firmware's tables, then a single node; the first way that works counts (x86_numa_init).

    Allocations go upwards, where movable_node asks for it, until a way has been parsed; from then on downwards.
    """
    find_nodes(boot)
    accept_nodes(boot)
    bring_nodes_up(boot)


def find_nodes(boot: Boot) -> None:
    """The first part of initmem_init: memory gets its nodes by the first way that can be parsed."""
    boot.recorder.before_srat = False
    nodes = boot.nodes
    if not boot.kernel.config("NUMA"):
        _flat(boot, nodes)
        return
    firmware = boot.kernel.config("ACPI_NUMA") and not nodes.off
    nodes.srat = SratUse.ABSENT
    if boot.machine.srat is not None and (not firmware or nodes.srat_disabled or boot.params.acpi_disabled):
        nodes.srat = SratUse.TURNED_OFF
    if not (firmware and _find(boot, nodes, acpi_numa_init)) and not _find(boot, nodes, _dummy):
        raise _no_node(boot)


def accept_nodes(boot: Boot) -> None:
    """The second part: the nodes count if they have all memory; where not, there is the single node yet."""
    nodes = boot.nodes
    if not boot.kernel.config("NUMA"):
        return
    if not _accepted(boot, nodes) and not (_find(boot, nodes, _dummy) and _accepted(boot, nodes)):
        raise _no_node(boot)


def bring_nodes_up(boot: Boot) -> None:
    """The last part: nodes get their NODE_DATA, and come on-line with it."""
    nodes = boot.nodes
    if not boot.kernel.config("NUMA"):
        return
    spans = _spans(boot, nodes)
    for nid in sorted(nodes.possible):
        span = spans.get(nid)
        if span is not None and span[1] - span[0] >= boot.rules.node_min_size:
            alloc_node_data(boot, nid, span)
    boot.recorder.checkpoint("numa_register_memblks", boot.memblock, dumped=True)
    if boot.rules.kernel_nodes_unmarked == "behind NODE_DATA" and boot.rules.srat_hotplug_marks:
        _clear_kernel_node_hotplug(boot, nodes)
    if not nodes.online:
        raise NotCoveredError(
            f"no node has as much RAM as Linux asks of one ({size_text(max(boot.rules.node_min_size, PAGE_SIZE))}), or "
            "room for its NODE_DATA: none comes on-line, and what the kernel does then is not replayed"
        )
    _numa_init_array(boot, nodes)


def _no_node(boot: Boot) -> NotCoveredError:
    return NotCoveredError(
        f"RAM lies at or above {boot.max_pfn * PAGE_SIZE:#x}, up to which Linux counts it (page tables of "
        f"{boot.params.levels} levels end at {1 << boot.params.physical_bits:#x}): no node can be made of it, and "
        "what the kernel does then is not replayed"
    )


def _flat(boot: Boot, nodes: Nodes) -> None:
    """A kernel without CONFIG_NUMA: all memory is node 0's, whose data (contig_page_data) are part of the image."""
    boot.memblock.set_node(0, U64_MAX, 0)
    boot.memblock.bottom_up = False
    nodes.possible = nodes.online = {0}
    nodes.node_data[0] = (boot.params.kernel_start, boot.params.kernel_start)
    nodes.cpu_to_node = [0] * boot.params.possible_cpus


def _dummy(boot: Boot, nodes: Nodes) -> bool:
    """One node with all memory."""
    boot.printk("NUMA turned off" if nodes.off else "No NUMA configuration found")
    end = boot.max_pfn * PAGE_SIZE
    boot.printk(f"Faking a node at [mem {0:#018x}-{end - 1:#018x}]")
    nodes.parsed.add(0)
    numa_add_memblk(boot, nodes.meminfo, 0, end, 0)
    return True


def _find(boot: Boot, nodes: Nodes, parse: Callable[[Boot, Nodes], bool]) -> bool:
    """numa_init's first part, one way from the parsing to memory's nodes; False where it fails."""
    _reset(boot, nodes)
    if not parse(boot, nodes):
        return False
    boot.memblock.bottom_up = False
    if not numa_cleanup_meminfo(boot, nodes.meminfo):
        nodes.srat = SratUse.OVERLAP
        return False
    if nodes.fake is not None:
        option, nodes.fake = nodes.fake, None
        numa_emulation(boot, nodes, option)
    nodes.possible = nodes.parsed | nodes.meminfo.nodes()
    for block in nodes.meminfo.blocks:
        boot.memory.set_node(block.start, block.end, block.nid)
    return True


def _accepted(boot: Boot, nodes: Nodes) -> bool:
    """The first part of numa_register_memblks; False where memory is left without a node."""
    if boot.rules.kernel_nodes_unmarked == "before NODE_DATA" and boot.rules.srat_hotplug_marks:
        _clear_kernel_node_hotplug(boot, nodes)
    if not _covers_memory(boot, nodes):
        nodes.srat = SratUse.UNCOVERED
        return False
    return True


def _reset(boot: Boot, nodes: Nodes) -> None:
    """Takes nodes and hot-plug marks off all regions, and forgets what another way has parsed."""
    nodes.forget()
    nid = _NO_NODE if boot.rules.numa_resets_to_no_node else None
    boot.memory.set_node(0, U64_MAX, nid)
    if boot.rules.srat_hotplug_marks:
        boot.memory.set_node_reserved(0, U64_MAX, nid)
        boot.memory.clear_hotplug(0, U64_MAX)
    numa_reset_distance(boot)


def _clear_kernel_node_hotplug(boot: Boot, nodes: Nodes) -> None:
    """Takes the hot-plug marks off each node in which anything is reserved, were it a table outside RAM."""
    memblock = boot.memblock
    for block in nodes.meminfo.blocks:
        boot.memory.set_node_reserved(block.start, block.end, block.nid)
    taken: dict[int, list[tuple[int, int]]] = {}
    for base, size, nid, _ in memblock.reserved:
        if nid is not None and nid >= 0:
            taken.setdefault(nid, []).append((base, base + size))
    for block in nodes.meminfo.blocks:
        if block.nid in taken:
            boot.memory.clear_hotplug(block.start, block.end)
    for nid, reserved in taken.items():
        blocks = [block for block in nodes.meminfo.blocks if block.nid == nid]
        if any(start < block.end and end > block.start for block in blocks for start, end in nodes.hotplug):
            nodes.unmarked[nid] = tuple(reserved)


def _covers_memory(boot: Boot, nodes: Nodes) -> bool:
    """Whether all RAM has a node, but for a tolerated rest; prints the kernel's message where not."""
    memblock = boot.memblock
    if boot.rules.numa_coverage == "memblock":
        return memblock.validate_numa_coverage(_TOLERATED)
    covered = 0
    for block in nodes.meminfo.blocks:
        first, last = pfn_down(block.start), pfn_down(block.end)
        covered += sum(max(0, min(end, last) - max(start, first)) for start, end, _ in memblock.pfn_ranges(block.nid))
    total = sum(max(0, min(end, boot.max_pfn) - start) for start, end, _ in memblock.pfn_ranges(None))
    if total - covered >= _TOLERATED >> PAGE_SHIFT:
        boot.printk(
            f"NUMA: nodes only cover {covered << PAGE_SHIFT >> 20}MB of your {total << PAGE_SHIFT >> 20}MB "
            "e820 RAM. Not used.",
            warning=True,
        )
        return False
    return True


def _spans(boot: Boot, nodes: Nodes) -> dict[int, tuple[int, int]]:
    """Each node's first and last byte: of its blocks, or (6.12) of its RAM."""
    if boot.rules.node_range_source == "memblock":
        pages = boot.memblock.pfn_ranges(None)
        ranges = [(start << PAGE_SHIFT, end << PAGE_SHIFT, nid) for start, end, nid in pages if nid is not None]
    else:
        ranges = [(block.start, block.end, block.nid) for block in nodes.meminfo.blocks]
    spans: dict[int, tuple[int, int]] = {}
    for start, end, nid in ranges:
        low, high = spans.get(nid, (start, end))
        spans[nid] = min(low, start), max(high, end)
    return spans


def alloc_node_data(boot: Boot, nid: int, span: tuple[int, int]) -> None:
    """NODE_DATA on the node, else on any other (not in 3.13); the node is on-line from here on."""
    rules = boot.rules
    size = round_up(boot.kernel.fact("struct.pglist_data"), rules.node_data_round)
    if rules.node_data_lines == "behind the node's range":
        boot.printk(f"Initmem setup node {nid} {mem_range(round_up(span[0], _ZONE_ALIGN), span[1])}")
    owner = Owner(Purpose.NODE_DATA, nid)
    place = boot.memory.phys_alloc_try_nid(
        size, _CACHE_LINE, nid, any_node=rules.node_data_any_node, owner=owner, caller="alloc_node_data"
    )
    if not place:
        where = rules.node_data_failure.format(nid=nid)
        if rules.node_data_panics:
            raise BootPanic(f"Cannot allocate {size} bytes for node {nid} data", "no free memory is left for NODE_DATA")
        boot.printk(f"Cannot find {size} bytes {where}", warning=True)
        return
    if boot.recorder.tells:
        _tell_node_data(boot, nid, place, size)
    boot.nodes.node_data[nid] = (place, place + size)
    boot.nodes.online.add(nid)


def _tell_node_data(boot: Boot, nid: int, place: int, size: int) -> None:
    """The lines of a NODE_DATA that was taken."""
    old = boot.rules.node_data_lines == "behind the node's range"
    boot.printk(f"{'  NODE_DATA' if old else f'NODE_DATA({nid}) allocated'} {mem_range(place, place + size)}")
    found = boot.memblock.search_pfn_nid(place >> PAGE_SHIFT)
    if found is not None and found[0] != nid:
        boot.printk(f"    NODE_DATA({nid}) on node {found[0]}")


# -- CPUs ----------------------------------------------------------------------------------------------------------


def _numa_init_array(boot: Boot, nodes: Nodes) -> None:
    """CPUs take turns over the nodes on-line, until the APIC ids tell more."""
    online = sorted(nodes.online)
    nodes.cpu_to_node = [online[cpu % len(online)] if online else 0 for cpu in range(boot.params.possible_cpus)]


@step("arch/x86/mm/numa.c")
def init_cpu_to_node(boot: Boot) -> None:
    """CPUs that are present go to the nodes of their APIC ids; what becomes of nodes off-line is by version.

    They come on-line with the NODE_DATA that free_area_init made (5.18 on), or get theirs here (5.10), as those of
    generic initiators do; in 3.13 the CPU goes to the nearest node on-line.
    """
    nodes, way = boot.nodes, boot.rules.memoryless_nodes
    params = boot.params
    if params.wanted_cpus > params.most_cpus and not boot.rules.possible_cpus_limits:
        text = f"smpboot: {params.wanted_cpus} Processors exceeds NR_CPUS limit of {params.most_cpus}"
        boot.printk(text, warning=True)
    for cpu, apic_id in boot.params.apic_ids():
        nid = nodes.apic_to_node.get(apic_id)
        if nid is None:
            continue
        if nid not in nodes.online:
            if way == "none":
                home = nid
                nid = min(sorted(nodes.online), key=lambda other: nodes.distances.between(home, other))
            else:
                _bring_online(boot, nid)
        nodes.cpu_to_node[cpu] = nid
    for nid in sorted(nodes.initiators - nodes.online):
        _bring_online(boot, nid)


def _bring_online(boot: Boot, nid: int) -> None:
    if boot.rules.memoryless_nodes == "cpu_nodes":
        alloc_node_data(boot, nid, (0, 0))
        boot.printk(f"Initmem setup node {nid} [mem {0:#018x}-{0:#018x}]")
    else:
        boot.nodes.online.add(nid)
