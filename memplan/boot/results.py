"""What the steps find out, as data: steps write it, later steps, verdicts and the plan read it.

Addresses and sizes are in bytes; a name that ends in pfn counts pages.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from memplan.boot.ranges import RangeSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memplan.machine.model import EfiRange
    from memplan.plan import Mapping, TableRun, Zone


@dataclass(slots=True)
class DirectMap:
    """The direct map and its page tables: `mapped` are the page frames, `mappings` with which page sizes."""

    mapped: RangeSet = field(default_factory=RangeSet)
    max_pfn_mapped: int = 0
    max_low_pfn_mapped: int = 0
    table_runs: list[TableRun] = field(default_factory=list)
    mappings: Sequence[Mapping] = ()


@dataclass(slots=True)
class EfiMap:
    """The EFI memory map as the kernel keeps it, and its place once it lies in memory that memblock gave."""

    descriptors: list[EfiRange] = field(default_factory=list)
    block: tuple[int, int] | None = None


class ZoneLimits(NamedTuple):
    """The machine's zones without ZONE_MOVABLE: pfns ``[low, high)`` that zone `name` may have on any node."""

    name: str
    low: int
    high: int


@dataclass(slots=True)
class ZoneLayout:
    """What free_area_init found out: `zones` that are populated, and ``{nid: first pfn of ZONE_MOVABLE}``.

    `nr_kernel_pages` and `nr_all_pages` are the pages by which hash tables are sized.
    """

    limits: Sequence[ZoneLimits]
    movable_start_pfn: dict[int, int]
    zones: list[Zone] = field(default_factory=list)
    nr_kernel_pages: int = 0
    nr_all_pages: int = 0
