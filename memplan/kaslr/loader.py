"""Where a boot loader may put the kernel where KASLR has no choice: kexec and EFI's loaders put it anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.kaslr.places import LOAD_PHYSICAL_ADDR, Area, Places, disjoint
from memplan.machine.model import E820_RAM
from memplan.ranges import RangeSet
from memplan.units import PAGE_SIZE, round_down, round_up

if TYPE_CHECKING:
    from memplan.kernel.model import Kernel
    from memplan.machine.model import Machine


def loader_places(machine: Machine, kernel: Kernel) -> Places:
    """All aligned places in RAM with room for the kernel and what it needs to unpack, away from the initrd.

    Raises NotCoveredError where a fact of the build is missing without which nothing can be said.
    """
    align, size = kernel.config_number("PHYSICAL_ALIGN"), round_up(kernel.fact("image.init_size"), PAGE_SIZE)
    initrd = machine.initrd
    taken = RangeSet([(initrd.start, initrd.start + initrd.size)] if initrd is not None else [])
    areas = []
    for ram in machine.e820:
        for start, end in taken.outside(ram.start, ram.end) if ram.type == E820_RAM else ():
            first, last = round_up(max(start, LOAD_PHYSICAL_ADDR), align), round_down(end - size, align)
            if first <= last:
                areas.append(Area(first, (last - first) // align + 1))
    return Places("boot loader", align, size, disjoint(areas, align))
