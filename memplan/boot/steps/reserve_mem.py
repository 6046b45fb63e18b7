"""Memory that keeps its place over a warm boot: reserve_mem=."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.registry import step
from memplan.owner import Owner, Purpose
from memplan.units import memparse

if TYPE_CHECKING:
    from memplan.boot.context import Boot

#: What reserve_mem= has room for (RESERVE_MEM_MAX_ENTRIES, RESERVE_MEM_NAME_SIZE).
_RESERVE_MEM_ENTRIES = 8
_RESERVE_MEM_NAME = 16


@step("mm/memblock.c")
def reserve_mem(boot: Boot) -> None:
    """``reserve_mem=size:align:name``: memory that keeps its place over a warm boot (6.12 on).

    What is malformed, a name that is taken or too long and the words behind the eighth are passed over.
    """
    names: set[str] = set()
    for value in boot.cmdline.all("reserve_mem"):
        size, rest = memparse(value)
        align, name = memparse(rest[1:])
        if not size or rest[:1] != ":" or name[:1] != ":":
            continue
        name = name[1:]
        if not name.strip() or len(name) >= _RESERVE_MEM_NAME or name in names or len(names) >= _RESERVE_MEM_ENTRIES:
            continue
        if boot.memory.phys_alloc(
            size, max(align, 64), owner=Owner(Purpose.RESERVE_MEM, detail=name), caller="reserve_mem"
        ):
            names.add(name)
