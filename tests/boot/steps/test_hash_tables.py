"""Hash tables that grow with memory, and the resources of firmware's devices, by their sizes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import memplan
from memplan.boot.context import Boot
from memplan.boot.results import ZoneLayout
from memplan.boot.steps.hash_tables import memblock_find_dma_reserve
from memplan.events import Refused
from memplan.kernel.load import find_kernel
from memplan.machine.model import Acpi, AcpiTable
from memplan.owner import Purpose
from memplan.plan import Plan
from memplan.units import GIB, MIB
from tests.boot.steps.single import EMPTY, boot_of, changes, ran
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


# -- the steps on their own --------------------------------------------------------------------------------------------


def zoned(version: str, kernel_pages: int, all_pages: int, cmdline: str = "", *ram: tuple[int, int]) -> Boot:
    boot = boot_of(version, EMPTY._replace(cmdline=cmdline), *(ram or ((MIB, 64 * GIB),)))
    boot.zones = ZoneLayout((), {})
    boot.zones.nr_kernel_pages, boot.zones.nr_all_pages = kernel_pages, all_pages
    return boot


def taken_by(boot: Boot, kind: Purpose) -> list[int]:
    return [end - start for _, start, end in changes(boot, kind)]


@pytest.mark.parametrize(
    ("pages", "entries"),
    [(0, 16), (1, 16), (1024, 16), (1025, 32), (2048, 32), (2049, 64), (262144, 4096), (262145, 4096), (1 << 30, 4096)],
)
def test_the_hash_of_process_ids(pages: int, entries: int) -> None:
    """One for 64 pages, of which 256 are counted at a time; a power of two from 16 to 4096."""
    assert taken_by(ran(zoned("4.4", pages, pages), "pidhash_init"), Purpose.PID_HASH) == [8 * entries]


@given(st.integers(1, 1 << 34), st.sampled_from(("4.12", "4.13", "6.12")), st.sampled_from((1, 2, 3)))
def test_hash_tables_by_the_pages_of_the_kernel(pages: int, version: str, share: int) -> None:
    """A bucket for two (dentries) or four pages (inodes), fewer on large machines since 4.13, 512 at the least."""
    boot = zoned(version, pages, pages * share, "hashdist=0", (MIB, 1 << 45))
    ran(boot, "vfs_caches_init_early")
    whole = -(-pages // 256) * 256
    for kind, each in ((Purpose.DENTRY_HASH, 2), (Purpose.INODE_HASH, 4)):
        if version != "4.12":
            threshold = 64 * GIB // 4096
            while threshold < whole:
                each *= 2
                threshold *= 4
        entries = 1 << (max(whole // each, 512) - 1).bit_length()
        most = pages * share * 4096 // 16 // 8
        while entries > min(most, 1 << 31):
            entries //= 2
        assert taken_by(boot, kind) == [8 * entries]


@pytest.mark.parametrize(
    ("pages", "entries"),
    # A sixteenth of them is 2^20 buckets, or a page's worth fewer; 16 TiB at most, whatever there is.
    [(1 << 15, 1 << 20), ((1 << 15) - 1, 1 << 19), ((1 << 16) - 1, 1 << 20), (1 << 26, 1 << 31), (1 << 28, 1 << 31)],
)
def test_tables_that_the_command_line_makes_too_large(pages: int, entries: int) -> None:
    words = f"hashdist=0 dhash_entries={1 << 40} ihash_entries={entries}"
    boot = ran(zoned("6.12", pages, pages, words, (MIB, 1 << 45)), "vfs_caches_init_early")
    assert taken_by(boot, Purpose.DENTRY_HASH) == taken_by(boot, Purpose.INODE_HASH) == [8 * entries]


def test_a_hash_table_for_which_there_is_no_room_is_halved() -> None:
    boot = zoned("6.12", 1 << 20, 1 << 20, "hashdist=0", (MIB, MIB + 300 * 1024))
    ran(boot, "vfs_caches_init_early")
    assert taken_by(boot, Purpose.DENTRY_HASH) == [256 * 1024]
    assert taken_by(boot, Purpose.INODE_HASH) == [32 * 1024]
    # What a page holds is asked for once; half of it is not.
    full = zoned("6.12", 1 << 20, 1 << 20, "hashdist=0", (MIB, MIB + 2048))
    ran(full, "vfs_caches_init_early")
    assert changes(full) == []
    asked = [event.request.size for event in full.recorder.events if isinstance(event, Refused)]
    assert asked == [8 << shift for shift in (*range(19, 8, -1), *range(18, 8, -1))]


@pytest.mark.parametrize(
    ("version", "numa", "nodes", "made"),
    [
        ("6.12", True, 1, True),
        ("6.12", True, 2, False),
        ("6.12", False, 2, True),
        ("3.13", True, 1, False),
        ("3.13", False, 1, True),
    ],
)
def test_whether_they_wait_for_vmalloc(version: str, numa: bool, nodes: int, made: bool) -> None:
    boot = boot_of(version, EMPTY, *((MIB, GIB, 0), (GIB, 2 * GIB, 1))[:nodes], facts={"config.NUMA": numa})
    boot.nodes.online |= {5}
    boot.zones = ZoneLayout((), {})
    boot.zones.nr_kernel_pages = boot.zones.nr_all_pages = 1 << 18
    assert bool(changes(ran(boot, "vfs_caches_init_early"))) is made
