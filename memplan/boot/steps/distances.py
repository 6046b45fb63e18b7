"""The table of distances between nodes: numa_set_distance and its kin (arch/x86/mm/numa.c)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.nodes import Distances
from memplan.owner import Purpose
from memplan.units import PAGE_SIZE

if TYPE_CHECKING:
    from memplan.boot.context import Boot


def numa_set_distance(boot: Boot, source: int, target: int, distance: int) -> None:
    """Sets one distance; the first one allocates the table."""
    table = boot.nodes.distances
    if table.place is None:
        _make_table(boot, table)
    if max(source, target) < table.nodes:
        table.values[source, target] = distance


def copy_distances(boot: Boot) -> tuple[int, int] | None:
    """A copy of the table, where there is one: its range."""
    table = boot.nodes.distances
    if not table.nodes:
        return None
    size = table.nodes**2
    place = _allocate(boot, size)
    return (place, place + size) if place else None


def emulate_distances(boot: Boot, physical: dict[int, int]) -> None:
    """A new table, for fake nodes; `physical` tells each one's physical node."""
    values = boot.nodes.distances.values
    numa_reset_distance(boot)
    table = boot.nodes.distances
    _make_table(boot, table)
    table.values, table.physical = values, physical


def numa_reset_distance(boot: Boot) -> None:
    """Frees the table, and forgets it."""
    table = boot.nodes.distances
    if table.place is not None and table.nodes:
        boot.memory.free(*table.place, owner=Purpose.NUMA_DISTANCES, caller="numa_reset_distance")
    boot.nodes.distances = Distances()


def _make_table(boot: Boot, table: Distances) -> None:
    """One byte for each pair of the nodes known so far; without room for it distances stay unknown."""
    nodes = max(boot.nodes.parsed | boot.nodes.meminfo.nodes(), default=0) + 1
    place = _allocate(boot, nodes * nodes)
    if not place:
        boot.printk("Warning: can't allocate distance table!", warning=True)
    table.place = (place, place + nodes * nodes)
    table.nodes = nodes if place else 0


def _allocate(boot: Boot, size: int) -> int:
    if boot.rules.numa_distance == "memblock":
        return boot.memory.alloc(size, PAGE_SIZE, owner=Purpose.NUMA_DISTANCES, caller="numa_alloc_distance")
    caller = "numa_set_distance" if boot.rules.numa_distance == "search" else "numa_alloc_distance"
    end = boot.direct_map.max_pfn_mapped * PAGE_SIZE
    return boot.memory.phys_alloc_range(size, PAGE_SIZE, 0, end, owner=Purpose.NUMA_DISTANCES, caller=caller)
