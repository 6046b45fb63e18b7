"""The SRAT's memory entries, as the rules on it look at them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.checks.model import Subject
from memplan.units import U64_MAX, mem_range

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.machine.model import MemoryAffinity, Srat

GROUP = "SRAT against itself"


def srat_of(subject: Subject) -> Srat:
    """The SRAT of what is checked; only for rules that need "srat"."""
    assert subject.srat is not None
    return subject.srat


def enabled(subject: Subject) -> Iterator[tuple[int, MemoryAffinity]]:
    """The enabled memory entries with their indices."""
    return ((index, entry) for index, entry in enumerate(srat_of(subject).memory) if entry.enabled)


def ranges(subject: Subject) -> Iterator[tuple[int, MemoryAffinity]]:
    """The enabled entries that are a range of memory."""
    return ((index, entry) for index, entry in enabled(subject) if entry.length and end_of(entry) <= U64_MAX)


def room(subject: Subject) -> int:
    """How many ranges the kernel has room for (NR_NODE_MEMBLKS)."""
    return 2 * subject.kernel.max_numnodes


def end_of(entry: MemoryAffinity) -> int:
    """The first byte behind the entry; 2^64 or more where it wraps around."""
    return entry.base + entry.length


def path_of(index: int) -> str:
    """The field of the memory entry `index`."""
    return f"srat.memory[{index}]"


def words_of(entry: MemoryAffinity) -> str:
    """The entry as findings name it."""
    return f"domain {entry.pxm} {mem_range(entry.base, end_of(entry))}"
