"""EFI's map and tables: which memory is kept, each step on its own (arch/x86/platform/efi, drivers/firmware/efi)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memplan.boot.context import Boot
from memplan.boot.e820_table import E820Table
from memplan.machine.model import E820_RESERVED, E820Entry, Efi, EfiRange, EfiReserved, Extent
from memplan.owner import Purpose
from memplan.units import GIB, KIB, MIB, PAGE_SIZE
from tests.boot.steps.single import EMPTY, boot_of, changes, ran, told, warned

CODE, DATA, FREE, MMIO, PORTS = 3, 4, 7, 11, 12
RUNTIME = 1 << 63
MAP = (
    EfiRange(MIB, 256 * MIB, FREE),
    EfiRange(256 * MIB, 257 * MIB, DATA),
    EfiRange(257 * MIB, 258 * MIB, CODE),
    EfiRange(258 * MIB, GIB, FREE),
    EfiRange(GIB, GIB + 64 * KIB, DATA),
)


def booted(version: str, efi: Efi | None, *names: str, **more: object) -> Boot:
    boot = boot_of(version, EMPTY._replace(efi=efi), facts={"config.EFI": True}, **more)  # type: ignore[arg-type]
    return ran(boot, "efi_memblock_x86_reserve_range", *names)


def efi(*reserved: tuple[int, int, str], memmap: Extent | None = None) -> Efi:
    return Efi(memmap, 48, MAP, reserved=tuple(EfiReserved(*one) for one in reserved))


def test_the_map_that_the_loader_left() -> None:
    boot = booted("6.12", efi(memmap=Extent(0x6E000010, 0xC1)))
    assert changes(boot) == [("reserve", 0x6E000010, 0x6E0000D1)]
    assert boot.efi_map.descriptors == list(MAP)
    assert changes(booted("6.12", efi())) == []
    assert changes(booted("6.12", None, "efi_init", "efi_mem_reserve_tables")) == []
    without = boot_of("6.12", EMPTY._replace(efi=efi(memmap=Extent(0, 1))), facts={"config.EFI": False})
    names = ("efi_memblock_x86_reserve_range", "efi_init", "efi_mem_reserve_tables", "efi_bgrt_init")
    assert changes(ran(without, *names)) == []


def test_tables_that_are_reserved_at_once() -> None:
    subject = efi((0x70000000, 0x11, "TPM event log"), (0x70001000, 0x22, "BGRT"), (0x70002000, 1, "ESRT"))
    boot = booted("6.12", subject._replace(memattr=Extent(0x70003000, 0x123)), "efi_init")
    own = changes(boot)
    assert ("reserve", 0x70003000, 0x70003123) in own
    assert ("reserve", 0x70000000, 0x70000011) in own
    assert not [start for _, start, _ in own if start in (0x70001000, 0x70002000)]


@pytest.mark.parametrize(("version", "removed"), [("6.1", False), ("6.2", True), ("6.12", True)])
@pytest.mark.parametrize(
    ("kind", "size", "large"),
    [(MMIO, 256 * KIB, True), (PORTS, 256 * KIB, True), (MMIO, 256 * KIB - 1, False), (FREE, MIB, False)],
)
def test_large_ranges_of_devices_leave_the_map(version: str, removed: bool, kind: int, size: int, large: bool) -> None:
    """256 KiB and more since 6.2; smaller ones stay reserved."""
    place = 3 * GIB
    subject = Efi(descriptors=(EfiRange(place, place + size, kind),))
    boot = boot_of(version, EMPTY._replace(efi=subject), facts={"config.EFI": True})
    boot.e820 = E820Table([E820Entry(0, GIB), E820Entry(place, place + MIB, E820_RESERVED)], 100, boot.printk)
    ran(boot, "efi_init")
    left = [(start, end) for start, end, kind in boot.e820 if kind == E820_RESERVED]
    assert left == [(place + size if removed and large else place, place + MIB)]


def test_mirrored_memory_is_counted_in_whole_mebibytes() -> None:
    parts = (
        EfiRange(0, 3 * MIB, FREE, 1 << 16 | 0xF),
        EfiRange(3 * MIB, 7 * MIB, FREE, 1 << 17),
        EfiRange(8 * MIB, 9 * MIB - PAGE_SIZE, FREE, 1 << 16),
    )
    boot = booted("5.10", Efi(descriptors=parts), "efi_find_mirror")
    assert told(boot) == ["efi: Memory: 3M/7M mirrored memory"]
    marked = [(base, base + size) for base, size, _, flags in boot.memblock.memory if flags & 2]
    assert marked == [(PAGE_SIZE, 640 * KIB), (MIB, 3 * MIB), (8 * MIB, 9 * MIB - PAGE_SIZE)]
    assert told(booted("5.10", Efi(descriptors=parts[1:2]), "efi_find_mirror")) == []


# -- tables for which the map is made anew -----------------------------------------------------------------------------


def kept(*tables: tuple[int, int, str], version: str = "6.12", **more: object) -> Boot:
    return booted(version, efi(*tables), "efi_mem_reserve_tables", **more)


def test_the_pages_of_a_table_are_a_range_of_their_own() -> None:
    start = 256 * MIB + 0x10010
    boot = kept((start, 0x1000, "ESRT"))
    middle = EfiRange(256 * MIB + 0x10000, 256 * MIB + 0x12000, DATA, 0xF | RUNTIME)
    parts = [
        MAP[0],
        EfiRange(256 * MIB, middle.start, DATA),
        middle,
        EfiRange(middle.end, 257 * MIB, DATA),
        *MAP[2:],
    ]
    assert boot.efi_map.descriptors == parts
    (table, new) = changes(boot)
    assert table == ("reserve", start, start + 0x1000)
    assert new[2] - new[1] == 7 * 48
    assert new[1] % 64 == 0
    assert boot.efi_map.block == new[1:]
    assert [(low, high) for low, high, kind in boot.e820 if kind == E820_RESERVED] == [(middle.start, middle.end)]


@pytest.mark.parametrize(
    ("start", "length", "count"),
    [
        (256 * MIB, PAGE_SIZE, 6),
        (257 * MIB - PAGE_SIZE, PAGE_SIZE, 6),
        (256 * MIB, MIB, 5),
        (256 * MIB + PAGE_SIZE, PAGE_SIZE, 7),
        (257 * MIB - 1, 1, 6),
    ],
)
def test_at_a_range_s_edges_it_is_cut_once(start: int, length: int, count: int) -> None:
    boot = kept((start, length, "ESRT"))
    (_, (_, low, high)) = changes(boot)
    assert high - low == 48 * count
    assert len(boot.efi_map.descriptors) == count


@pytest.mark.parametrize(
    ("start", "length", "text"),
    [
        (257 * MIB, PAGE_SIZE, "efi: Failed to lookup EFI memory descriptor for 0x0000000010100000"),
        (2 * GIB, 1, "efi: Failed to lookup EFI memory descriptor for 0x0000000080000000"),
        (257 * MIB - 1, 2, "efi: Region spans EFI memory descriptors, 0x00000000100fffff"),
    ],
)
def test_a_table_elsewhere_is_reserved_and_that_is_all(start: int, length: int, text: str) -> None:
    boot = kept((start, length, "ESRT"))
    assert changes(boot) == [("reserve", start, start + length)]
    assert warned(boot) == [text]
    assert boot.efi_map.descriptors == list(MAP)


def test_the_map_before_is_freed_where_memblock_gave_it() -> None:
    boot = kept((256 * MIB, 1, "ESRT"), (GIB + PAGE_SIZE, 1, "MOK variables"))
    own = changes(boot, Purpose.EFI_MEMORY_MAP)
    assert [(op, end - start) for op, start, end in own] == [("reserve", 48 * 6), ("reserve", 48 * 8), ("free", 48 * 6)]
    assert own[2][1:] == own[0][1:]
    assert boot.efi_map.block == own[1][1:]


def test_what_is_reserved_already_is_not_reserved_again() -> None:
    boot = kept((256 * MIB, 2, "ESRT"), reserved=((256 * MIB + 1, 256 * MIB + 2),))
    assert [kind for kind, start, _ in changes(boot) if start == 256 * MIB] == []
    assert len(boot.efi_map.descriptors) == 6


def test_a_map_of_which_nothing_is_known_is_left() -> None:
    subject = Efi(reserved=(EfiReserved(256 * MIB, 1, "ESRT"),))
    boot = booted("6.12", subject, "efi_mem_reserve_tables")
    assert changes(boot) == [("reserve", 256 * MIB, 256 * MIB + 1)]
    assert warned(boot) == []


def test_without_room_for_the_new_map() -> None:
    boot = kept((256 * MIB, 1, "ESRT"), reserved=((PAGE_SIZE, 640 * KIB), (MIB, 256 * MIB), (257 * MIB, 2 * GIB)))
    boot.recorder.events.clear()
    assert len(boot.efi_map.descriptors) in (5, 6)
    full = kept((256 * MIB, 1, "ESRT"), reserved=((0, 2 * GIB),))
    assert warned(full) == ["efi: Could not allocate boot services memmap"]
    assert full.efi_map.descriptors == list(MAP)


# -- boot services -----------------------------------------------------------------------------------------------------


@settings(deadline=None, derandomize=True)
@given(
    st.sampled_from(("3.13", "6.12")),
    st.lists(st.tuples(st.integers(256, 300), st.integers(1, 6), st.sampled_from((CODE, DATA, FREE))), max_size=8),
    st.lists(st.tuples(st.integers(256, 306), st.integers(0, 3)), max_size=6),
    st.lists(st.tuples(st.integers(256, 306), st.integers(1, 3)), max_size=4),
    st.integers(250, 310),
)
def test_memory_of_boot_services(
    version: str,
    ranges: list[tuple[int, int, int]],
    taken: list[tuple[int, int]],
    holes: list[tuple[int, int]],
    image: int,
) -> None:
    """Page by page; what meets a reservation is not kept at all, and in 3.13 it must be RAM, and not the kernel's."""
    base = 256 * MIB - 256 * PAGE_SIZE
    descriptors = tuple(
        EfiRange(base + low * PAGE_SIZE, base + (low + size) * PAGE_SIZE, kind) for low, size, kind in ranges
    )
    boot = boot_of(version, EMPTY._replace(efi=Efi(descriptors=descriptors)), facts={"config.EFI": True})
    boot.params.kernel_start = base + image * PAGE_SIZE
    boot.params.kernel_end = boot.params.kernel_start + 4 * PAGE_SIZE
    for low, size in taken:
        boot.memblock.reserve(base + low * PAGE_SIZE, size * 1024)
    for low, size in holes:
        boot.e820.range_update(base + low * PAGE_SIZE, base + (low + size) * PAGE_SIZE, 1, E820_RESERVED)
    boot.e820.update()
    boot.recorder.events.clear()
    reserved = {low for low, size in taken if size}
    gone = {low + page for low, size in holes for page in range(size)}
    expected = []
    for low, size, kind in ranges:
        pages = set(range(low, low + size))
        if kind == FREE or pages & reserved:
            continue
        # What begins where the image ends counts as meeting it, too.
        if version == "3.13" and (pages & gone or (low <= image + 4 and low + size > image)):
            continue
        expected.append(("reserve", base + low * PAGE_SIZE, base + (low + size) * PAGE_SIZE))
        reserved |= pages
    ran(boot, "efi_memblock_x86_reserve_range", "efi_reserve_boot_services")
    assert changes(boot, Purpose.EFI_BOOT_SERVICES) == expected
