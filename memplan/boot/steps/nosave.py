"""What hibernation must not save."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.registry import step
from memplan.machine.model import E820_RAM, E820_RESERVED_KERN
from memplan.owner import Purpose
from memplan.units import pfn_down, pfn_up

if TYPE_CHECKING:
    from memplan.boot.context import Boot


@step("arch/x86/kernel/e820.c")
def e820__register_nosave_regions(boot: Boot) -> None:
    """What hibernation must not save: the gaps of RAM; rules.nosave names how a version walks the map."""
    if not boot.kernel.config("HIBERNATION"):
        return
    last_end: int | None = None
    for start_pfn, end_pfn in _nosave_regions(boot):
        if start_pfn >= end_pfn:
            continue
        if start_pfn != last_end:
            boot.memory.alloc_or_panic(
                boot.kernel.fact("struct.nosave_region"), owner=Purpose.NOSAVE_REGION, caller="register_nosave_region"
            )
        last_end = end_pfn


def _nosave_regions(boot: Boot) -> list[tuple[int, int]]:
    entries = list(boot.e820)
    regions = []
    if boot.rules.nosave == "gaps":
        last = 0
        for start, end, kind in entries:
            if kind in (E820_RAM, E820_RESERVED_KERN):
                if last < start:
                    regions.append((pfn_down(last), pfn_up(start)))
                last = end
        return [*regions, (pfn_down(last), boot.max_pfn)]
    # Every hole between entries, and every entry that is not RAM.
    walk = boot.rules.nosave
    limit = boot.max_pfn if walk == "entries" else boot.max_low_pfn
    pfn, skipped = (pfn_down(entries[0][1]), 1) if walk == "low entries behind the first" else (0, 0)
    for start, end, kind in entries[skipped:]:
        if pfn < pfn_up(start):
            regions.append((pfn, pfn_up(start)))
        pfn = pfn_down(end)
        if kind not in (E820_RAM, E820_RESERVED_KERN):
            regions.append((pfn_up(start), pfn))
        if pfn >= limit:
            break
    return regions
