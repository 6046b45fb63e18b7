"""Hash tables that grow with memory, and the resources of firmware's devices, by their sizes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import memplan
from memplan.boot.context import Boot
from memplan.boot.steps.hash_tables import memblock_find_dma_reserve
from memplan.kernel.load import find_kernel
from memplan.machine.model import Acpi, AcpiTable
from memplan.owner import Purpose
from memplan.plan import Plan
from memplan.units import GIB, MIB
from tests.boot.steps.test_areas import machine, plan, taken


def size(plan: Plan, kind: Purpose) -> int:
    return sum(end - start for start, end in taken(plan, kind))


def hashes(words: str, *ram: tuple[int, int], kernel: str = "6.12") -> tuple[int, int]:
    found = plan(words, *ram, kernel=kernel)
    return size(found, Purpose.DENTRY_HASH), size(found, Purpose.INODE_HASH)


@pytest.mark.parametrize(
    ("words", "dentries", "inodes"),
    [
        # 14 GiB, less what is taken: a bucket for 8 KiB or 16 KiB is rounded up to a power of two.
        ("", 16 * MIB, 8 * MIB),
        ("dhash_entries=1000", 8 * 1024, 8 * MIB),
        ("ihash_entries=3", 16 * MIB, 8 * 4),
        ("dhash_entries=1024 ihash_entries=1025", 8 * 1024, 8 * 2048),
        ("dhash_entries=0", 16 * MIB, 8 * MIB),
        ("dhash_entries=word", 16 * MIB, 8 * MIB),
        ("dhash_entries=1 dhash_entries=2", 8 * 2, 8 * MIB),
        # At most a sixteenth of all memory, down to a power of two.
        ("dhash_entries=1000000000", 512 * MIB, 8 * MIB),
        ("hashdist=1", 0, 0),
        ("hashdist=0", 16 * MIB, 8 * MIB),
        ("hashdist=1 hashdist=0", 16 * MIB, 8 * MIB),
        ("hashdist", 16 * MIB, 8 * MIB),
    ],
)
def test_hash_tables_of_files(words: str, dentries: int, inodes: int) -> None:
    assert hashes(words) == (dentries, inodes)


@pytest.mark.parametrize(
    ("end", "dentries"), [(6, 4), (8, 8), (12, 16), (36, 64), (64, 64), (68, 128), (80, 64), (300, 256)]
)
def test_they_grow_more_slowly_with_much_memory(end: int, dentries: int) -> None:
    """MiB of the dentries' table by where RAM ends, in GiB: from 64 GiB on it doubles with each fourfold of memory."""
    found, inodes = hashes("", (4 * GIB, end * GIB))
    assert found == 2 * inodes
    pages = (end - 4 + 2) * GIB // 4096
    scale, threshold = 13, 64 * GIB // 4096
    # What is taken by then is less than a tenth.
    while threshold < pages * 0.98:
        scale, threshold = scale + 1, threshold * 4
    assert found in {8 << ((pages * share // 100 >> (scale - 12)) - 1).bit_length() for share in (90, 98)}


@given(st.lists(st.tuples(st.integers(0, 17 * 1024), st.integers(1, 3000)), max_size=12))
def test_pages_below_16m_that_are_taken(taken: list[tuple[int, int]]) -> None:
    """Ranges in KiB: a page of which a byte is taken does not count as free."""
    boot = Boot(machine(""), find_kernel("6.1"))
    boot.memblock.add(0, 640 * 1024)
    boot.memblock.add(MIB, 31 * MIB)
    for start, size in taken:
        boot.memblock.reserve(start * 1024, size * 1024)
    memblock_find_dma_reserve(boot)
    pages = {page for start, size in taken for page in range(start // 4, -(-(start + size) // 4))}
    assert boot.dma_reserve == len(pages & {*range(160), *range(256, 4096)})


def test_where_the_resources_lie() -> None:
    own = machine("")
    build = memplan.find_kernel("6.12")
    one = build.fact("struct.resource")
    hpet = Acpi(tables=(AcpiTable("HPET", 0x7F000000, 56), AcpiTable("APIC", 0x7F001000, 100)), hpet=True, ioapics=2)
    with_it = memplan.simulate(own._replace(acpi=hpet), kernel=build)
    assert size(with_it, Purpose.HPET_RESOURCE) == one + 9
    assert size(with_it, Purpose.IOAPIC_RESOURCES) == 2 * (one + 11)
    off = memplan.simulate(own._replace(acpi=hpet, cmdline="nokaslr acpi=off"), kernel=build)
    assert size(off, Purpose.HPET_RESOURCE) == size(off, Purpose.IOAPIC_RESOURCES) == 0
    without = memplan.simulate(own._replace(acpi=hpet._replace(hpet=False, ioapics=0)), kernel=build)
    assert size(without, Purpose.HPET_RESOURCE) == size(without, Purpose.IOAPIC_RESOURCES) == 0
    # The map has three entries of RAM, which the kernel cuts at the first page.
    assert size(with_it, Purpose.FIRMWARE_MEMMAP) == 3 * build.fact("struct.firmware_map_entry")
    assert size(with_it, Purpose.E820_RESOURCES) == 4 * one
