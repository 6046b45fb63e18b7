"""EFI memory maps: what OVMF's shell listed, and what two kernels printed with efi=debug on OVMF."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memplan.errors import InputError
from memplan.firmware import efi
from memplan.firmware.source import SourceFacts, open_source, read_source
from memplan.machine.model import E820_ACPI, E820_NVS, E820_RAM, E820_RESERVED, E820_SOFT_RESERVED, E820Entry, EfiRange

DATA = Path(__file__).parent / "data" / "efi"
_BIOS_E820 = re.compile(r"BIOS-e820: \[mem 0x([0-9a-f]+)-0x([0-9a-f]+)\] (.*)")
_TYPES = {"usable": E820_RAM, "reserved": E820_RESERVED, "ACPI data": E820_ACPI, "ACPI NVS": E820_NVS}


def read(text: str, tmp_path: Path, encoding: str = "latin-1") -> SourceFacts:
    file = tmp_path / "map.txt"
    file.write_bytes(text.encode(encoding))
    return read_source(file)


def descriptors(found: SourceFacts) -> tuple[EfiRange, ...]:
    value = found.facts["efi.descriptors"].value
    assert isinstance(value, tuple)
    return value


@pytest.mark.parametrize("kernel", ["6.1", "6.12"])
def test_e820_is_what_the_kernel_got_from_its_stub(kernel: str) -> None:
    printed = tuple(
        E820Entry(int(row[1], 16), int(row[2], 16) + 1, _TYPES[row[3]])
        for row in _BIOS_E820.finditer((DATA / f"ovmf-{kernel}.e820").read_text())
    )
    found = read_source(DATA / f"ovmf-{kernel}.log")
    assert found.kind == "EFI memory map"
    assert found.facts["e820"].value == printed
    assert found.facts["e820"].weak
    assert not found.problems
    assert any("printed again" in note for note in found.notes)


def test_shell_formats_say_the_same() -> None:
    plain, sfo = (read_source(DATA / name) for name in ("shell.txt", "shell-sfo.txt"))
    assert not plain.problems
    assert not sfo.problems
    assert len(descriptors(plain)) == (DATA / "shell.txt").read_text().count("-00000000")
    assert descriptors(plain)[0] == EfiRange(0, 0xA0000, 7, 0xF)
    assert descriptors(plain)[-1] == EfiRange(0xFFC00000, 0x100000000, 11, 0x8000000000000001)
    # The shell itself needed memory between its two listings; what firmware has fixed is the same in both.
    fixed = [{row for row in descriptors(found) if row.type in (0, 5, 6, 9, 10, 11)} for found in (plain, sfo)]
    assert fixed[0] == fixed[1]
    assert sum(row.end - row.start for row in descriptors(plain) if row.type == 7) == 492_036_096


def test_listing_saved_by_the_shell_is_utf_16(tmp_path: Path) -> None:
    text = (DATA / "shell.txt").read_text()
    assert descriptors(read(text.replace("\n", "\r\n"), tmp_path, "utf-16")) == descriptors(read(text, tmp_path))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        # until 3.19: numbers, and half-open ranges
        (
            "[    0.0] efi: mem04: type=6, attr=0x800000000000000f, range=[0x9f000-0xa0000) (0MB)",
            EfiRange(0x9F000, 0xA0000, 6, 0x800000000000000F),
        ),
        # until 4.7: names, and half-open ranges
        (
            "efi: mem02: [Reserved           |   |  |  |  |   |WB|WT|WC|UC] range=[0x8e000-0x90000) (0MB)",
            EfiRange(0x8E000, 0x90000, 0, 0xF),
        ),
        (
            "efi: mem00: [Conventional Memory|attr=0x080000000000000f] range=[0x0000-0x58000) (0MB)",
            EfiRange(0, 0x58000, 7, 0x080000000000000F),
        ),
        (
            "efi: mem07: [Memory Mapped I/O  |RUN|  |XP|  |  |  |   |  |  |  |UC] range=[0xfed1c000-0xfed1ffff] (0MB)",
            EfiRange(0xFED1C000, 0xFED20000, 11, 1 << 63 | 1 << 14 | 1),
        ),
        (
            "efi: mem07: [type=16|   |  |  |  |SP|  |  |  |  |  |   |WB|  |  |  ] range=[0x1000-0x1fff] (0MB)",
            EfiRange(0x1000, 0x2000, 16, 1 << 18 | 8),
        ),
    ],
)
def test_lines_of_every_age(line: str, expected: EfiRange, tmp_path: Path) -> None:
    assert descriptors(read(line + "\n", tmp_path)) == (expected,)


def test_specific_purpose_memory_is_soft_reserved() -> None:
    ranges = [EfiRange(0, 0x1000, 7, 0xF), EfiRange(0x1000, 0x2000, 7, 1 << 18 | 0xF), EfiRange(0x2000, 0x3000, 20)]
    assert efi.e820_of(ranges) == (E820Entry(0, 0x1000, E820_RAM), E820Entry(0x1000, 0x2000, E820_SOFT_RESERVED))


def test_damage_has_its_line(tmp_path: Path) -> None:
    good = "Available  0000000000001000-000000000009FFFF 000000000000009F 000000000000000F\n"
    found = read(
        good
        + "Available  0000000000100000-00000000001FFFFF 0000000000000001 000000000000000F\n"
        + "Available  0000000000300000-00000000002FFFFE 0000000000000001 000000000000000F\n"
        + "Mystery    0000000000400000-00000000004FFFFF 0000000000000100 000000000000000F\n",
        tmp_path,
    )
    assert [(problem.line, problem.message) for problem in found.problems] == [
        (2, "says 1 pages, its range has 256"),
        (3, "range 0x300000-0x2ffffe: ends before it begins, or not at a page's end"),
        (4, "an EFI memory type called 'Mystery' is unknown"),
    ]
    assert len(descriptors(found)) == 2


def test_nothing_whole(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'Mystery' is unknown"):
        read("Mystery    0000000000400000-00000000004FFFFF 0000000000000100 000000000000000F\n", tmp_path)


def test_whole_log_is_not_for_this_reader() -> None:
    lines = (DATA / "ovmf-6.12.e820").read_bytes() + (DATA / "ovmf-6.12.log").read_bytes()
    assert not efi.recognises(lines)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(32, 126)), min_size=1, max_size=20))
def test_no_text_raises_anything_else(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    text = bytearray((DATA / "shell.txt").read_bytes()[:1500] + (DATA / "ovmf-6.12.log").read_bytes()[:1500])
    for place, char in changes:
        text[place % len(text)] = char
    file = tmp_path / "mutated.txt"
    file.write_bytes(text)
    try:
        efi.read(open_source(file))
    except InputError:
        return
