"""A boot of which single steps run: memory as it is just before them, and what they did to it and said."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from memplan.boot.context import Boot
from memplan.boot.e820_table import E820Table
from memplan.boot.replay import run
from memplan.events import Change, Message
from memplan.kernel.facts import FactValue
from memplan.kernel.load import find_kernel, override
from memplan.machine.model import E820_RAM, E820Entry, Machine
from memplan.owner import Purpose
from memplan.units import GIB, MIB, PAGE_SIZE

EMPTY = Machine(e820=())
RAM = ((PAGE_SIZE, 640 * 1024), (MIB, 2 * GIB))


def boot_of(
    version: str,
    machine: Machine = EMPTY,
    *ram: tuple[int, int] | tuple[int, int, int],
    reserved: tuple[tuple[int, int], ...] = (),
    facts: Mapping[str, FactValue] = MappingProxyType({}),
) -> Boot:
    """A boot with `ram` as (start, end) of node 0, or with a node, of a build with other `facts`."""
    boot = Boot(machine, override(find_kernel(version), facts))
    ranges = [(part[0], part[1], part[2] if len(part) == 3 else 0) for part in ram or RAM]
    for start, end, nid in ranges:
        boot.memblock.add_node(start, end - start, nid)
        boot.nodes.online.add(nid)
    boot.nodes.possible = set(boot.nodes.online)
    for start, end in reserved:
        boot.memblock.reserve(start, end - start)
    top = max(end for _, end, _ in ranges)
    boot.max_pfn = boot.max_low_pfn = boot.max_possible_pfn = boot.direct_map.max_pfn_mapped = top // PAGE_SIZE
    boot.memblock.current_limit = top
    boot.memblock.allow_resize()
    boot.e820 = E820Table([E820Entry(start, end, E820_RAM) for start, end, _ in ranges], 1000, boot.printk)
    boot.recorder.events.clear()
    return boot


def ran(boot: Boot, *names: str) -> Boot:
    """`boot` after these steps."""
    for _ in run(boot, names):
        pass
    return boot


def changes(boot: Boot, kind: Purpose | None = None) -> list[tuple[str, int, int]]:
    """Every change block by block, or those for one purpose."""
    return [
        (event.op, start, end)
        for event in boot.recorder.events
        if isinstance(event, Change) and kind in (None, event.owner.kind)
        for start, end in event.blocks()
    ]


def told(boot: Boot) -> list[str]:
    """What is printed."""
    return [event.text for event in boot.recorder.events if isinstance(event, Message)]


def warned(boot: Boot) -> list[str]:
    """What is printed as a warning."""
    return [event.text for event in boot.recorder.events if isinstance(event, Message) and event.warning]
