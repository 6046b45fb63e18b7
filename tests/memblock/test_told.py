"""What memblock tells its listener of each change, and limits on memory at their edges."""

from __future__ import annotations

import pytest

from memplan.kernel.resolve import load_rules
from memplan.memblock.flags import MEMBLOCK_NOMAP, MEMBLOCK_RSRV_KERN
from memplan.memblock.memblock import Memblock, MemblockPanic
from memplan.units import MIB, PAGE_SIZE, U64_MAX
from tests.memblock.engine import MAX_NUMNODES, Ears, engine


class AllEars(Ears):
    """Keeps each change as it is told."""

    def changed(self, *told: object) -> None:
        """Every word of it."""
        self.heard.append(told)


@pytest.mark.parametrize(
    ("version", "none", "kern"), [("3.13", None, 0), ("6.12", None, 0), ("7.1", -1, MEMBLOCK_RSRV_KERN)]
)
def test_each_change_is_told_with_its_node_and_flags(version: str, none: int | None, kern: int) -> None:
    ears = AllEars()
    memblock = Memblock(load_rules(version).memblock, max_numnodes=MAX_NUMNODES, listener=ears)
    memblock.add(MIB, MIB)
    memblock.add_node(2 * MIB, MIB, 1, MEMBLOCK_NOMAP)
    memblock.remove(MIB, PAGE_SIZE)
    memblock.reserve(MIB + 4 * PAGE_SIZE, 6 * PAGE_SIZE)
    memblock.reserve_kern(MIB + 32 * PAGE_SIZE, PAGE_SIZE)
    memblock.free(MIB + 4 * PAGE_SIZE, PAGE_SIZE)
    memblock.free_run(MIB + 5 * PAGE_SIZE, 4 * PAGE_SIZE, 4, True)
    memblock.free_run(MIB + 9 * PAGE_SIZE, PAGE_SIZE, 1, False)
    assert ears.heard == [
        ("add", MIB, MIB, 1, True, None, 0),
        ("add", 2 * MIB, MIB, 1, True, 1, MEMBLOCK_NOMAP),
        ("remove", MIB, PAGE_SIZE, 1, True, None, 0),
        ("reserve", MIB + 4 * PAGE_SIZE, 6 * PAGE_SIZE, 1, True, none, 0),
        ("reserve", MIB + 32 * PAGE_SIZE, PAGE_SIZE, 1, True, none, kern),
        ("free", MIB + 4 * PAGE_SIZE, PAGE_SIZE, 1, True, None, 0),
        ("free", MIB + 8 * PAGE_SIZE, PAGE_SIZE, 1, True, None, 0),
        ("free", MIB + 5 * PAGE_SIZE, 3 * PAGE_SIZE, 3, True, None, 0),
        ("free", MIB + 9 * PAGE_SIZE, PAGE_SIZE, 1, False, None, 0),
    ]


@pytest.mark.parametrize(
    ("version", "text"),
    [
        ("3.13", "ERROR: Failed to allocate 0x1000 bytes below 0x200000."),
        ("4.10", "ERROR: Failed to allocate 0x1000 bytes below 0x200000."),
        ("4.11", "ERROR: Failed to allocate 0x0000000000001000 bytes below 0x0000000000200000."),
    ],
)
def test_the_panic_of_an_allocation_below_an_address(version: str, text: str) -> None:
    memblock, _ = engine(version)
    memblock.add(2 * MIB, MIB)
    with pytest.raises(MemblockPanic) as panic:
        memblock.alloc_base(PAGE_SIZE, PAGE_SIZE, 2 * MIB)
    assert str(panic.value) == text


def held(memblock: Memblock) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Both arrays, as (first MiB, MiB)."""
    arrays = memblock.memory, memblock.reserved
    memory, reserved = ([(base // MIB, size // MIB) for base, size, _, _ in array] for array in arrays)
    return memory, reserved


ALL = [(1, 3), (8, 4)], [(2, 1), (9, 2), (20, 1)]


@pytest.mark.parametrize("version", ["5.10", "6.12"])
@pytest.mark.parametrize(
    ("limit", "capped", "enforced"),
    [
        (0, ALL, ALL),
        (1, ([(1, 1)], []), ([(1, 1)], [])),
        (3, ([(1, 3)], [(2, 1)]), ([(1, 3)], [(2, 1)])),
        (5, ([(1, 3), (8, 2)], [(2, 1), (9, 1)]), ([(1, 3), (8, 2)], [(2, 1), (9, 1)])),
        # Just as much as there is cuts at memory's end; of more there is nothing to cut.
        (7, ([(1, 3), (8, 4)], [(2, 1), (9, 2)]), ([(1, 3), (8, 4)], [(2, 1), (9, 2)])),
        (8, ALL, ALL),
        (U64_MAX // MIB + 1, ALL, ALL),
    ],
)
def test_limits_count_bytes_of_memory(version: str, limit: int, capped: object, enforced: object) -> None:
    for name, expected in (("mem_limit_remove_map", capped), ("enforce_memory_limit", enforced)):
        memblock, _ = engine(version)
        memblock.add(MIB, 3 * MIB)
        memblock.add(8 * MIB, 4 * MIB)
        for base, size in ALL[1]:
            memblock.reserve(base * MIB, size * MIB)
        getattr(memblock, name)(min(limit * MIB, U64_MAX))
        assert held(memblock) == expected


def test_memory_that_is_not_mapped_stays_behind_a_limit() -> None:
    for name, memory in (("mem_limit_remove_map", [(1, 1), (8, 1)]), ("enforce_memory_limit", [(1, 1)])):
        memblock, _ = engine("6.12")
        memblock.add(MIB, 3 * MIB)
        memblock.add(8 * MIB, MIB)
        memblock.mark_nomap(8 * MIB, MIB)
        getattr(memblock, name)(MIB)
        assert held(memblock)[0] == memory
