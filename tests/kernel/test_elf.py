"""A kernel's ELF file, put together by the ELF specification: what is read of it, and what is wrong with others."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memplan.errors import InputError
from memplan.kernel.elf import Elf, ElfSection, Segment

BASE = 0xFFFFFFFF81000000
TEXT = b"code\0text of the kernel\0"
SYMBOLS = (("_text", BASE), ("_end", BASE + 0x1000), ("_text", BASE + 5))


def elf(*, machine: int = 62, segments: int = 2, names_at: int = 4, kind: bytes = b"\x02\x01") -> bytes:
    """.text and .bss, a symbol table with its strings, and the sections' names."""
    names = b"\0.text\0.bss\0.symtab\0.strtab\0.shstrtab\0"
    strings = b"\0" + b"".join(name.encode() + b"\0" for name, _ in SYMBOLS)
    table = b"\0" * 24
    at = 1
    for name, address in SYMBOLS:
        table += struct.pack("<IBBHQQ", at, 0, 0, 1, address, 0)
        at += len(name) + 1
    data_at = 64 + 56 * segments
    places: list[tuple[int, int]] = []
    body = b""
    for content in (TEXT, table, strings, names):
        places.append((data_at + len(body), len(content)))
        body += content
    headers_at = data_at + len(body)
    rows = [
        (1, 1, BASE, *places[0], 0, 0),
        (7, 8, BASE + 0x1000, places[0][0], 1 << 40, 0, 0),
        (12, 2, 0, *places[1], 3, 24),
        (20, 3, 0, *places[2], 0, 0),
        (28, 3, 0, *places[3], 0, 0),
    ]
    head = b"\x7fELF" + kind + b"\x01" + b"\0" * 9
    head += struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, BASE, 64, headers_at, 0, 64, 56, segments, 64, 5, names_at)
    loads = [
        struct.pack("<IIQQQQQQ", 1 if number else 4, 5, places[0][0], BASE, 0x1000000, len(TEXT), 0x2000, 4096)
        for number in range(segments)
    ]
    sections = b"".join(
        struct.pack("<IIQQQQIIQQ", name, kind, 0, address, place, size, link, 0, 0, entry)
        for name, kind, address, place, size, link, entry in rows
    )
    return head + b"".join(loads) + body + sections


def test_segments_sections_and_symbols() -> None:
    image = Elf(elf(), "vmlinux")
    start = 64 + 2 * 56
    assert image.segments == [Segment(start, BASE, 0x1000000, len(TEXT))]
    assert image.text == image.segments[0]
    assert image.sections[".text"] == ElfSection(".text", 1, BASE, start, len(TEXT), 0, 0)
    assert list(image.sections) == [".text", ".bss", ".symtab", ".strtab", ".shstrtab"]
    assert image.content(".text") == TEXT
    assert image.content(".bss") is None
    assert image.content(".data") is None
    # The first of equal names counts; the table begins with a symbol that has none.
    assert image.symbols() == {"": 0, "_text": BASE, "_end": BASE + 0x1000}


def test_bytes_at_an_address() -> None:
    image = Elf(elf(), "vmlinux")
    start = 64 + 2 * 56
    assert image.offset_of(BASE) == start
    assert image.offset_of(BASE + len(TEXT) - 1) == start + len(TEXT) - 1
    assert image.offset_of(BASE + len(TEXT)) is None
    assert image.offset_of(BASE - 1) is None
    assert image.string(BASE) == "code"
    assert image.string(BASE + 5) == "text of the kernel"
    assert image.string(BASE - 1) is None


def test_a_text_that_never_ends_is_none() -> None:
    data = elf()
    long = bytearray(data + b"y" * 600)
    # The one load segment is made to lie over the long text at the end.
    struct.pack_into("<QQQQ", long, 64 + 56 + 8, len(data), BASE, 0, 600)
    assert Elf(bytes(long), "x").string(BASE) is None
    long[-100] = 0
    assert Elf(bytes(long), "x").string(BASE) == "y" * 500


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is no ELF file: begins with nothing"),
        (b"MZ\0\0\0", "is no ELF file: begins with 4d 5a 00 00$"),
        (elf(kind=b"\x01\x01"), "is no 64-bit little-endian ELF file"),
        (elf(kind=b"\x02\x02"), "is no 64-bit little-endian ELF file"),
        (elf(machine=183), r"is for ELF machine 183; memplan plans x86-64 \(62\)"),
        (elf(segments=0), "has no load segments, so it is no kernel image"),
        (elf(segments=1), "has no load segments, so it is no kernel image"),
        (elf(segments=65), "has 65 program headers; a kernel has a handful"),
        (elf(names_at=5), "names its sections in section 5, but has 5"),
        (elf()[:40], "is cut short: the ELF header at byte 0x20 is beyond the end"),
        (elf()[:50], "is cut short: the ELF header at byte 0x36 is beyond the end"),
        (elf()[:100], "is cut short: a program header at byte 0x40 is beyond the end"),
        (elf()[:-1], "is cut short: a section header at byte "),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_kernel(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=f"^vmlinux: {message}"):
        Elf(data, "vmlinux")


def test_as_many_segments_as_may_be() -> None:
    assert len(Elf(elf(segments=64), "vmlinux").segments) == 63


def test_a_program_header_of_which_only_the_end_is_missing() -> None:
    data = elf(segments=1)
    with pytest.raises(InputError, match="is cut short: a program header at byte 0x40 is beyond the end"):
        Elf(data[: 64 + 39], "vmlinux")


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 40), st.integers(0, 500)), min_size=1, max_size=5))
def test_the_first_segment_that_has_an_address_tells_where_it_is(rows: list[tuple[int, int, int]]) -> None:
    image = Elf(elf(), "vmlinux")
    image.segments = [Segment(offset, address, 0, size) for address, size, offset in rows]
    for wanted in range(345):
        having = [offset + wanted - start for start, size, offset in rows if start <= wanted < start + size]
        assert image.offset_of(wanted) == (having[0] if having else None)


@given(st.lists(st.binary(max_size=6), min_size=1, max_size=8), st.integers(0, 60), st.integers(0, 3))
def test_a_symbol_s_name_ends_with_a_zero_or_its_table(names: list[bytes], at: int, rest: int) -> None:
    """Bytes behind the last whole symbol count for nothing, nor do those behind the table of names."""
    strings = b"\0".join(names)
    table = b"".join(struct.pack("<IBBHQQ", place, 0, 0, 1, place, 0) for place in range(at + 1))
    data = b"\x7fELF" + strings + b"behind" + table + b"\1" * rest
    image = Elf(elf(), "vmlinux")
    image.data = data
    strings_at, table_at = 4, 4 + len(strings) + 6
    image.sections = {".symtab": ElfSection(".symtab", 2, 0, table_at, len(table) + rest, 1, 24)}
    image._rows = [(), (0, 0, 0, 0, strings_at, len(strings))]
    wanted: dict[str, int] = {}
    for place in range(at + 1):
        wanted.setdefault(strings[place:].split(b"\0")[0].decode("latin-1"), place)
    assert image.symbols() == wanted


@pytest.mark.parametrize("length", [511, 512, 513])
def test_text_is_at_most_as_long_as_a_name(length: int) -> None:
    image = Elf(elf(), "vmlinux")
    image.data = b"x" * length + b"\0"
    image.segments = [Segment(0, BASE, 0, length + 1)]
    assert image.string(BASE) == ("x" * length if length < 512 else None)
    assert image.string(BASE + 5) == ("x" * (length - 5))
    assert image.string(BASE - 1) is None


def test_a_section_that_ends_beyond_the_file() -> None:
    data = bytearray(elf())
    struct.pack_into("<Q", data, len(data) - 5 * 64 + 32, len(data))
    image = Elf(bytes(data), "vmlinux")
    with pytest.raises(InputError, match=rf"is cut short: section \.text should end at byte {len(data) + 176:#x}$"):
        image.content(".text")
