"""What the steps find out, as data: steps write it, later steps, verdicts and the plan read it.

Addresses and sizes are in bytes; a name that ends in pfn counts pages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from memplan.ranges import RangeSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memplan.machine.model import EfiRange
    from memplan.plan import MappedRange, TableRun, Zone


class DirectMap:
    """The direct map and its page tables: `mapped` are the page frames, `mappings` with which page sizes."""

    def __init__(self) -> None:
        self.mapped = RangeSet()
        self.max_pfn_mapped = 0
        self.max_low_pfn_mapped = 0
        self.table_runs: list[TableRun] = []
        self.mappings: Sequence[MappedRange] = ()


class EfiMap:
    """The EFI memory map as the kernel keeps it, and its place once it lies in memory that memblock gave."""

    def __init__(self) -> None:
        self.descriptors: list[EfiRange] = []
        self.block: tuple[int, int] | None = None


class ZoneLimits(NamedTuple):
    """The machine's zones without ZONE_MOVABLE: pfns ``[low, high)`` that zone `name` may have on any node."""

    name: str
    low: int
    high: int


class ZoneLayout:
    """What free_area_init found out: `zones` that are populated, and ``{nid: first pfn of ZONE_MOVABLE}``.

    `nr_kernel_pages` and `nr_all_pages` are the pages by which hash tables are sized.
    """

    def __init__(self, limits: Sequence[ZoneLimits], movable_start_pfn: dict[int, int]) -> None:
        self.limits = limits
        self.movable_start_pfn = movable_start_pfn
        self.zones: list[Zone] = []
        self.nr_kernel_pages = 0
        self.nr_all_pages = 0

    def crossed(self, nid: int, start: int, end: int) -> bool:
        """Whether more than one zone of the node has a part of the bytes ``[start, end)``."""
        spans = [zone.span for zone in self.zones if zone.nid == nid]
        return sum(low < end and start < high for low, high in spans) > 1
