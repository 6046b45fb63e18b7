"""Pages that Sandy Bridge graphics can't use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.registry import step
from memplan.owner import Purpose
from memplan.units import MIB, PAGE_SIZE

if TYPE_CHECKING:
    from memplan.boot.context import Boot

#: Pages that Sandy Bridge graphics can't reach (trim_snb_memory).
_SNB_BAD_PAGES = (0x20050000, 0x20110000, 0x20130000, 0x20138000, 0x40004000)


@step("arch/x86/kernel/setup.c")
def trim_snb_memory(boot: Boot) -> None:
    """Reserves the pages that Sandy Bridge graphics can't reach."""
    if not boot.machine.cpus.sandy_bridge_graphics:
        return
    if not boot.rules.reserve_first_mib:
        boot.memory.reserve(0, MIB, owner=Purpose.GRAPHICS, caller="trim_snb_memory")
    for page in _SNB_BAD_PAGES:
        boot.memory.reserve(page, page + PAGE_SIZE, owner=Purpose.GRAPHICS, caller="trim_snb_memory")
