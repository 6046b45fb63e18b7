"""Which node is what: reading firmware's word, registering nodes in memblock, NODE_DATA (arch/x86/mm/numa.c)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.registry import step
from memplan.boot.state import BootPanic
from memplan.boot.steps.meminfo import Meminfo
from memplan.boot.steps.numa_fake import numa_emulation
from memplan.boot.steps.srat import acpi_numa_init, present_cpus
from memplan.errors import NotCoveredError
from memplan.units import MIB, PAGE_SHIFT, PAGE_SIZE, U64_MAX, mem_range, pfn_down, round_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from memplan.boot.state import Boot

_LOCAL, _REMOTE = 10, 20
#: The alignment of NODE_DATA, and of a node's first page as 3.13 tells it.
_CACHE_LINE = 64
_ZONE_ALIGN = 8 * MIB
#: RAM without a node that every version tolerates.
_TOLERATED = MIB
_NO_NODE = -1
_DISTANCES = "NUMA distances"


class Numa:
    """What is known of the machine's nodes; nodes are numbers from 0, addresses bytes.

    `possible` are all nodes that may ever come, `online` those that serve; `node_data` gives the places of NODE_DATA,
    which nodes off-line may have too.  `table_nodes` counts the nodes in the table of distances.
    `hotplug` are the ranges that the SRAT marks hot-pluggable (none where it was not used), and `unmarked` the nodes
    that lost their marks, each with the reservations inside it that cost them.  `rejected` says why the firmware's word
    was not taken ("" where it was, or where there is none).
    """

    def __init__(self, boot: Boot) -> None:
        self._boot = boot
        options = boot.cmdline.all("numa")
        #: numa=off, and numa=noacpi or a table that the kernel has refused.
        self.off = any(option.startswith("off") for option in options)
        self.srat_disabled = any(option.startswith("noacpi") for option in options)
        #: What numa=fake= asks for; the first way that comes so far uses it up.
        self.fake = next((option[5:] for option in reversed(options) if option.startswith("fake=")), None)
        self.rejected = ""
        self.pxm_to_node: dict[int, int] = {}
        self.node_to_pxm: dict[int, int] = {}
        self.possible: set[int] = set()
        self.online: set[int] = set()
        self.node_data: dict[int, tuple[int, int]] = {}
        self.cpu_to_node: list[int] = []
        self.distances: dict[tuple[int, int], int] = {}
        self._table: tuple[int, int] | None = None
        self.table_nodes = 0
        self._physical: dict[int, int] = {}
        self.forget()

    def forget(self) -> None:
        """What every method begins with: nothing parsed; the map from domain to node stays, as in the kernel."""
        self.meminfo = Meminfo(self._boot)
        self.parsed: set[int] = set()
        self.initiators: set[int] = set()
        self.apic_to_node: dict[int, int] = {}
        self.hotplug: list[tuple[int, int]] = []
        self.unmarked: dict[int, tuple[tuple[int, int], ...]] = {}

    @property
    def nr_node_ids(self) -> int:
        """One more than the highest possible node."""
        return max(self.possible, default=0) + 1

    # -- distances ----------------------------------------------------------------------------------------------

    def set_distance(self, source: int, target: int, distance: int) -> None:
        """numa_set_distance: the first one allocates the table."""
        if self._table is None:
            self._make_table()
        if max(source, target) < self.table_nodes:
            self.distances[source, target] = distance

    def distance(self, source: int, target: int) -> int:
        """node_distance; that of fake nodes is their physical nodes'."""
        source, target = self._physical.get(source, source), self._physical.get(target, target)
        return self.distances.get((source, target), _LOCAL if source == target else _REMOTE)

    def copy_distances(self) -> tuple[int, int] | None:
        """A copy of the table, where there is one: its range."""
        if not self.table_nodes:
            return None
        size = self.table_nodes**2
        place = self._allocate(size)
        return (place, place + size) if place else None

    def emulate_distances(self, physical: dict[int, int]) -> None:
        """A new table, for fake nodes; `physical` tells each one's physical node."""
        distances = self.distances
        self.reset_distances()
        self._make_table()
        self.distances, self._physical = distances, physical

    def reset_distances(self) -> None:
        """Frees the table (numa_reset_distance)."""
        if self._table is not None and self.table_nodes:
            self._boot.free(*self._table, owner=_DISTANCES, caller="numa_reset_distance")
        self._table = None
        self.table_nodes = 0
        self.distances = {}
        self._physical = {}

    def _make_table(self) -> None:
        """One byte for each pair of the nodes known so far; without room for it distances stay unknown."""
        nodes = max(self.parsed | self.meminfo.nodes(), default=0) + 1
        place = self._allocate(nodes * nodes)
        if not place:
            self._boot.printk("Warning: can't allocate distance table!", warning=True)
        self._table = (place, place + nodes * nodes)
        self.table_nodes = nodes if place else 0

    def _allocate(self, size: int) -> int:
        boot = self._boot
        if boot.rules.numa_distance == "memblock":
            return boot.alloc(size, PAGE_SIZE, owner=_DISTANCES, caller="numa_alloc_distance")
        caller = "numa_set_distance" if boot.rules.numa_distance == "search" else "numa_alloc_distance"
        end = boot.max_pfn_mapped * PAGE_SIZE
        return boot.phys_alloc_range(size, PAGE_SIZE, 0, end, owner=_DISTANCES, caller=caller)


@step("arch/x86/mm/numa.c")
def initmem_init(boot: Boot) -> None:
    """Tries firmware's tables, then a single node; the first way that works counts (x86_numa_init).

    Allocations go upwards, where movable_node asks for it, until a way has been parsed; from then on downwards.
    """
    boot.recorder.before_srat = False
    numa = boot.numa = Numa(boot)
    if not boot.kernel.config("NUMA"):
        raise NotCoveredError(f"kernel {boot.kernel.name} is built without CONFIG_NUMA; such boots are not replayed")
    firmware = boot.kernel.config("ACPI_NUMA") and not numa.off
    if not (firmware and _try(boot, numa, acpi_numa_init)) and not _try(boot, numa, _dummy):
        raise NotCoveredError(
            f"RAM lies at or above {boot.max_pfn * PAGE_SIZE:#x}, where page tables of {boot.levels} levels end: no "
            "node can be made of it, and what the kernel does then is not replayed"
        )
    _numa_init_array(boot, numa)


def _dummy(boot: Boot, numa: Numa) -> bool:
    """One node with all memory."""
    boot.printk("NUMA turned off" if numa.off else "No NUMA configuration found")
    end = boot.max_pfn * PAGE_SIZE
    boot.printk(f"Faking a node at [mem {0:#018x}-{end - 1:#018x}]")
    numa.parsed.add(0)
    numa.meminfo.add(0, end, 0)
    return True


def _try(boot: Boot, numa: Numa, parse: Callable[[Boot, Numa], bool]) -> bool:
    """numa_init: one way from the parsing to NODE_DATA; False where it fails."""
    _reset(boot, numa)
    if not parse(boot, numa):
        return False
    boot.memblock.bottom_up = False
    if not numa.meminfo.clean_up():
        numa.rejected = "two nodes claim the same memory"
        return False
    if numa.fake is not None:
        option, numa.fake = numa.fake, None
        numa_emulation(boot, numa, option)
    numa.possible = numa.parsed | numa.meminfo.nodes()
    for block in numa.meminfo.blocks:
        boot.memblock.set_node(block.start, block.end - block.start, block.nid)
    if boot.rules.srat_hotplug_marks:
        _clear_kernel_node_hotplug(boot, numa)
    if not _covers_memory(boot, numa):
        numa.rejected = "memory is left without a node"
        return False
    for nid in sorted(numa.possible):
        span = _span(boot, numa, nid)
        if span is not None and span[1] - span[0] >= boot.rules.node_min_size:
            alloc_node_data(boot, nid, span)
    boot.recorder.checkpoint("numa_register_memblks", boot.memblock, dumped=True)
    return True


def _reset(boot: Boot, numa: Numa) -> None:
    """Takes nodes and hot-plug marks off all regions, and forgets what another way has parsed."""
    numa.forget()
    nid = _NO_NODE if boot.rules.numa_resets_to_no_node else None
    boot.memblock.set_node(0, U64_MAX, nid)
    if boot.rules.srat_hotplug_marks:
        boot.memblock.set_node_reserved(0, U64_MAX, nid)
        boot.memblock.clear_hotplug(0, U64_MAX)
    numa.reset_distances()


def _clear_kernel_node_hotplug(boot: Boot, numa: Numa) -> None:
    """Takes the hot-plug marks off each node in which anything is reserved, were it a table outside RAM."""
    memblock = boot.memblock
    for block in numa.meminfo.blocks:
        memblock.set_node_reserved(block.start, block.end - block.start, block.nid)
    taken: dict[int, list[tuple[int, int]]] = {}
    for base, size, nid, _ in memblock.reserved:
        if nid is not None and nid >= 0:
            taken.setdefault(nid, []).append((base, base + size))
    for block in numa.meminfo.blocks:
        if block.nid in taken:
            memblock.clear_hotplug(block.start, block.end - block.start)
    for nid, reserved in taken.items():
        blocks = [block for block in numa.meminfo.blocks if block.nid == nid]
        if any(start < block.end and end > block.start for block in blocks for start, end in numa.hotplug):
            numa.unmarked[nid] = tuple(reserved)


def _covers_memory(boot: Boot, numa: Numa) -> bool:
    """Whether all RAM has a node, but for a tolerated rest; prints the kernel's message where not."""
    memblock = boot.memblock
    if boot.rules.numa_coverage == "memblock":
        return memblock.validate_numa_coverage(_TOLERATED)
    covered = 0
    for block in numa.meminfo.blocks:
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


def _span(boot: Boot, numa: Numa, nid: int) -> tuple[int, int] | None:
    """The node's first and last byte: of its blocks, or (6.12) of its RAM."""
    if boot.rules.node_range_source == "memblock":
        ranges = [(start << PAGE_SHIFT, end << PAGE_SHIFT) for start, end, _ in boot.memblock.pfn_ranges(nid)]
    else:
        ranges = [(block.start, block.end) for block in numa.meminfo.blocks if block.nid == nid]
    if not ranges:
        return None
    return min(start for start, _ in ranges), max(end for _, end in ranges)


def alloc_node_data(boot: Boot, nid: int, span: tuple[int, int]) -> None:
    """NODE_DATA on the node, else on any other (not in 3.13); the node is on-line from here on."""
    rules = boot.rules
    size = round_up(boot.kernel.fact("struct.pglist_data"), rules.node_data_round)
    old = rules.node_data_lines == "3.13"
    if old:
        boot.printk(f"Initmem setup node {nid} {mem_range(round_up(span[0], _ZONE_ALIGN), span[1])}")
    owner = f"NODE_DATA({nid})"
    place = boot.phys_alloc_try_nid(size, _CACHE_LINE, nid, any_node=rules.node_data_any_node, owner=owner)
    if not place:
        where = f"in any node (initial node: {nid})" if rules.node_data_any_node else f"in node {nid}"
        if rules.node_data_panics:
            raise BootPanic(f"Cannot allocate {size} bytes for node {nid} data", "no free memory is left for NODE_DATA")
        boot.printk(f"Cannot find {size} bytes {where}", warning=True)
        return
    boot.printk(f"{'  NODE_DATA' if old else f'NODE_DATA({nid}) allocated'} {mem_range(place, place + size)}")
    found = boot.memblock.search_pfn_nid(place >> PAGE_SHIFT)
    if found is not None and found[0] != nid:
        boot.printk(f"    NODE_DATA({nid}) on node {found[0]}")
    boot.numa.node_data[nid] = (place, place + size)
    boot.numa.online.add(nid)


# -- CPUs ----------------------------------------------------------------------------------------------------------


def _numa_init_array(boot: Boot, numa: Numa) -> None:
    """CPUs take turns over the nodes on-line, until the APIC ids tell more."""
    nodes = sorted(numa.online)
    numa.cpu_to_node = [nodes[cpu % len(nodes)] if nodes else 0 for cpu in range(boot.possible_cpus)]


@step("arch/x86/mm/numa.c")
def init_cpu_to_node(boot: Boot) -> None:
    """CPUs that are present go to the nodes of their APIC ids; what becomes of nodes off-line is by version.

    They come on-line with the NODE_DATA that free_area_init made (5.18 on), or get theirs here (5.10), as those of
    generic initiators do; in 3.13 the CPU goes to the nearest node on-line.
    """
    numa, way = boot.numa, boot.rules.memoryless_nodes
    for cpu, apic_id in present_cpus(boot):
        nid = numa.apic_to_node.get(apic_id)
        if nid is None:
            continue
        if nid not in numa.online:
            if way == "none":
                home = nid
                nid = min(sorted(numa.online), key=lambda other: numa.distance(home, other))
            else:
                _bring_online(boot, nid)
        numa.cpu_to_node[cpu] = nid
    for nid in sorted(numa.initiators - numa.online):
        _bring_online(boot, nid)


def _bring_online(boot: Boot, nid: int) -> None:
    if boot.rules.memoryless_nodes == "cpu_nodes":
        alloc_node_data(boot, nid, (0, 0))
        boot.printk(f"Initmem setup node {nid} [mem {0:#018x}-{0:#018x}]")
    else:
        boot.numa.online.add(nid)
