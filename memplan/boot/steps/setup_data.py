"""The boot loader's setup_data: its nodes in memblock and in the e820 map."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.registry import step
from memplan.machine.model import E820_RAM, E820_RESERVED_KERN
from memplan.owner import Purpose

if TYPE_CHECKING:
    from memplan.boot.context import Boot


@step("arch/x86/kernel/setup.c")
def memblock_x86_reserve_range_setup_data(boot: Boot) -> None:
    """Reserves each setup_data node (header of 16 bytes and data) and what an indirect one points to."""
    for node in boot.machine.setup_data:
        caller = "memblock_x86_reserve_range_setup_data"
        end = node.address + 16 + node.length
        boot.memory.reserve(node.address, end, owner=Purpose.SETUP_DATA, caller=caller, kern=True)
        if node.target is not None:
            target = node.target[0], sum(node.target)
            boot.memory.reserve(*target, owner=Purpose.SETUP_DATA, caller=caller, kern=True)


@step("arch/x86/kernel/e820.c")
def e820__reserve_setup_data(boot: Boot) -> None:
    """RAM under setup_data becomes RESERVED_KERN, and the map is sorted again."""
    if not boot.machine.setup_data:
        return
    for node in boot.machine.setup_data:
        boot.e820.range_update(node.address, node.address + 16 + node.length, E820_RAM, E820_RESERVED_KERN)
        if node.target is not None:
            boot.e820.range_update(node.target[0], sum(node.target), E820_RAM, E820_RESERVED_KERN)
    boot.e820.update()
