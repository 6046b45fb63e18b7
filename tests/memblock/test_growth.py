"""What memblock tells while an array grows, and in which order."""

from __future__ import annotations

import pytest

from memplan.memblock.memblock import MemblockPanic
from memplan.units import MIB, PAGE_SIZE
from tests.memblock.engine import engine


@pytest.mark.parametrize(("version", "width"), [("3.13", 10), ("5.10", 18), ("6.1", 18), ("6.12", 18)])
def test_the_new_storage_is_reserved_while_the_request_waits(version: str, width: int) -> None:
    """The order of the lines that memblock=debug prints; the old storage of the second growth is freed first."""
    memblock, ears = engine(version)
    memblock.allow_resize()
    memblock.add(1 * MIB, 511 * MIB)
    base = 16 * MIB
    for number in range(128):
        memblock.reserve(base + 2 * number * PAGE_SIZE, PAGE_SIZE)
    ears.heard.clear()
    memblock.reserve(base + 256 * PAGE_SIZE, PAGE_SIZE)
    first = 512 * MIB - 2 * PAGE_SIZE
    assert ears.heard == [
        ("reserve", base + 256 * PAGE_SIZE, PAGE_SIZE),
        ("grows", "reserved"),
        (f"memblock: reserved is doubled to 256 at [{first:#0{width}x}-{first + 256 * 24 - 1:#0{width}x}]", False),
        ("reserve", first, 2 * PAGE_SIZE),
        ("grown",),
    ]
    for number in range(129, 255):
        memblock.reserve(base + 2 * number * PAGE_SIZE, PAGE_SIZE)
    ears.heard.clear()
    memblock.reserve(base + 510 * PAGE_SIZE, PAGE_SIZE)
    second = first - 3 * PAGE_SIZE
    assert ears.heard == [
        ("reserve", base + 510 * PAGE_SIZE, PAGE_SIZE),
        ("grows", "reserved"),
        (f"memblock: reserved is doubled to 512 at [{second:#0{width}x}-{second + 512 * 24 - 1:#0{width}x}]", False),
        ("free", first, 2 * PAGE_SIZE),
        ("reserve", second, 3 * PAGE_SIZE),
        ("grown",),
    ]


def test_a_full_array_that_must_not_grow() -> None:
    for version in ("3.13", "5.10", "6.1"):
        memblock, _ = engine(version)
        memblock.add(1 * MIB, 511 * MIB)
        assert {memblock.reserve(2 * number * MIB, MIB) for number in range(128)} == {0}
        assert memblock.reserve(400 * MIB, MIB) == -12
    memblock, _ = engine("6.12")
    for number in range(128):
        memblock.reserve(2 * number * MIB, MIB)
    with pytest.raises(MemblockPanic, match="memblock: cannot resize reserved array"):
        memblock.reserve(400 * MIB, MIB)
