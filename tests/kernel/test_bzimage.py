"""bzImages: the header's fields, every compression, and damage."""

from __future__ import annotations

import os
import struct
import tracemalloc
from importlib import import_module
from pathlib import Path

import pytest

from memplan.errors import InputError, UsageError
from memplan.kernel import unpack
from memplan.kernel.bzimage import read_bzimage
from memplan.kernel.unpack import unpack_kernel
from tests.kernel.tiny import PACKERS, VERSION, bzimage, elf


def test_setup_header() -> None:
    image = read_bzimage(bzimage(PACKERS["gzip"](b"kernel")), "vmlinuz")
    assert image.version == VERSION
    assert (image.init_size, image.pref_address, image.kernel_alignment) == (0x123000, 0x1000000, 0x200000)
    assert image.output_len == 6


@pytest.mark.parametrize("name", PACKERS)
def test_every_compression(name: str) -> None:
    kernel = elf()
    assert unpack_kernel(read_bzimage(bzimage(PACKERS[name](kernel)), "vmlinuz"), "vmlinuz") == kernel


@pytest.mark.parametrize("name", [name for name in PACKERS if name != "lz4"])  # its legacy frame has no checksum
def test_damage_inside_the_payload(name: str) -> None:
    payload = bytearray(PACKERS[name](elf()))
    middle = len(payload) // 2
    payload[middle : middle + 64] = bytes(byte ^ 0xFF for byte in payload[middle : middle + 64])
    with pytest.raises(InputError, match=rf"^vmlinuz: has a damaged {name} payload at byte 0x410: "):
        unpack_kernel(read_bzimage(bzimage(bytes(payload)), "vmlinuz"), "vmlinuz")


@pytest.mark.parametrize("name", PACKERS)
def test_payload_cut_short(name: str) -> None:
    payload = PACKERS[name](elf())
    short = payload[: len(payload) // 2] + payload[-4:]
    with pytest.raises(InputError, match=rf"^vmlinuz: has a damaged {name} payload at byte 0x410: "):
        unpack_kernel(read_bzimage(bzimage(short), "vmlinuz"), "vmlinuz")


@pytest.mark.parametrize("name", PACKERS)
def test_no_more_is_unpacked_than_the_payload_says(name: str) -> None:
    bomb = PACKERS[name](bytes(64 << 20))[:-4] + struct.pack("<I", 1 << 20)
    tracemalloc.start()
    with pytest.raises(
        InputError, match=rf"damaged {name} payload at byte 0x410: it holds more, but should hold 0x100000 bytes"
    ):
        unpack_kernel(read_bzimage(bzimage(bomb), "vmlinuz"), "vmlinuz")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32 << 20


@pytest.mark.parametrize("name", ["gzip", "xz", "zstd"])
def test_no_payload_is_longer_than_a_kernel(name: str) -> None:
    bomb = PACKERS[name](b"kernel")[:-4] + struct.pack("<I", 0xFFFFFFFF)
    with pytest.raises(
        InputError, match=r"by its last four bytes it holds 0xffffffff bytes, expected at most 0x10000000"
    ):
        unpack_kernel(read_bzimage(bzimage(bomb), "vmlinuz"), "vmlinuz")


@pytest.mark.parametrize("name", ["lz4", "lzo", "zstd"])
@pytest.mark.parametrize(
    ("script", "length", "ending"),
    [
        ("cat", 6, ""),
        ("cat /dev/zero", 6, "it holds more, but should hold 0x6 bytes"),
        ("echo broken >&2; exit 1", 6, ": broken$"),
    ],
)
def test_programs_in_place_of_libraries(
    name: str, script: str, length: int, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The programs are stand-ins: what is asked is what becomes of their output."""

    def missing(_: str) -> None:
        raise ImportError

    program = tmp_path / {"lzo": "lzop"}.get(name, name)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(unpack, "import_module", missing)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    payload = PACKERS[name](b"kernel")
    payload = payload[:-4] + struct.pack("<I", len(payload) - 4 if script == "cat" else length)
    image = read_bzimage(bzimage(payload), "vmlinuz")
    if ending:
        with pytest.raises(InputError, match=ending):
            unpack_kernel(image, "vmlinuz")
    else:
        assert unpack_kernel(image, "vmlinuz") == payload[:-4]


def test_unknown_compression() -> None:
    with pytest.raises(InputError, match="unknown format at byte 0x410: 77 68 61 74 3f"):
        unpack_kernel(read_bzimage(bzimage(b"what?what?"), "vmlinuz"), "vmlinuz")


def test_file_cut_short() -> None:
    image = bzimage(PACKERS["xz"](elf()))
    with pytest.raises(InputError, match=f"the payload should be bytes 0x410 to {len(image):#x}, but the file ends at"):
        read_bzimage(image[:-100], "vmlinuz")


def test_header_cut_short() -> None:
    with pytest.raises(InputError, match="cut short inside the setup header: 0x230 bytes"):
        read_bzimage(bzimage(b"")[:0x230], "vmlinuz")


def test_version_text_without_an_end() -> None:
    image = bytearray(bzimage(b"x" * 2000))
    image[0x300:] = b"x" * (len(image) - 0x300)
    with pytest.raises(InputError, match="has no version text of at most 512 bytes at byte 0x300"):
        read_bzimage(bytes(image), "vmlinuz")


def test_no_bzimage() -> None:
    with pytest.raises(InputError, match="is no bzImage: bytes 00 00 00 00 at 0x202"):
        read_bzimage(bytes(1024), "vmlinuz")


def test_too_old_protocol() -> None:
    image = bytearray(bzimage(b"payload"))
    image[0x206:0x208] = b"\x09\x02"
    with pytest.raises(InputError, match=r"boot protocol 2\.09 at byte 0x206"):
        read_bzimage(bytes(image), "vmlinuz")


@pytest.mark.parametrize(("name", "program"), [("lz4", "lz4"), ("lzo", "lzop"), ("zstd", "zstd")])
def test_without_a_library_or_program_says_what_to_install(
    name: str, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = read_bzimage(bzimage(PACKERS[name](elf())), "vmlinuz")

    def missing(_: str) -> None:
        raise ImportError

    monkeypatch.setattr(unpack, "import_module", missing)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match=rf"pip install 'memplan\[kernel\]', or install the program {program}$"):
        unpack_kernel(image, "vmlinuz")


def test_without_a_number_of_setup_sectors_there_are_four() -> None:
    """By the boot protocol, for loaders of old."""
    data = bytearray(bzimage(PACKERS["gzip"](b"kernel")))
    data[0x1F1] = 0
    data[1024:1024] = bytes(3 * 512)
    image = read_bzimage(bytes(data), "vmlinuz")
    assert (image.payload_at, image.payload) == (5 * 512 + 0x10, PACKERS["gzip"](b"kernel"))


def test_the_shortest_payload() -> None:
    assert read_bzimage(bzimage(bytes(8)), "vmlinuz").payload == bytes(8)
    with pytest.raises(InputError, match="is cut short: the payload should be bytes 0x410 to 0x417"):
        read_bzimage(bzimage(bytes(7)), "vmlinuz")


@pytest.mark.parametrize("more", [0, 1])
def test_lz4_has_chunks_of_up_to_8_mib(more: int) -> None:
    kernel = bytes((8 << 20) + more)
    chunk = import_module("lz4.block").compress(kernel, store_size=False)
    packed = b"\x02\x21\x4c\x18" + struct.pack("<I", len(chunk)) + chunk + struct.pack("<I", len(kernel))
    image = read_bzimage(bzimage(packed), "vmlinuz")
    if more:
        with pytest.raises(InputError, match="has a damaged lz4 payload"):
            unpack_kernel(image, "vmlinuz")
    else:
        assert unpack_kernel(image, "vmlinuz") == kernel


@pytest.mark.parametrize("long_header", [False, True])
@pytest.mark.parametrize("flags", [0, 0x1, 0x2, 0x3, 0x100, 0x200, 0x303, 0x800, 0xB03])
def test_every_form_of_lzop_s_header(long_header: bool, flags: int) -> None:
    """Fields as lzop's own reader takes them: some from version 0.940 on, a filter's, and checksums as flags say."""
    kernel = b"kernel " * 100
    head = struct.pack(
        ">HHHBB" if long_header else ">HHB", *((0x940, 0x20A0, 0x940, 3, 9) if long_header else (0x93F, 0x20A0, 3))
    )
    head += struct.pack(">I", flags) + (bytes(4) if flags & 0x800 else b"") + bytes(12 if long_header else 8)
    out = b"\x89LZO\0\r\n\x1a\n" + head + bytes([7]) + b"vmlinux" + bytes(4)
    unpacked_sums = bytes(4 * sum(bool(flags & flag) for flag in (0x1, 0x100)))
    packed_sums = bytes(4 * sum(bool(flags & flag) for flag in (0x2, 0x200)))
    block = import_module("lzallright").LZOCompressor().compress(kernel)
    out += struct.pack(">II", len(kernel), len(block)) + unpacked_sums + packed_sums + block
    out += struct.pack(">II", 5, 5) + unpacked_sums + b"stored"[:5]
    packed = out + bytes(4) + struct.pack("<I", len(kernel) + 5)
    assert unpack_kernel(read_bzimage(bzimage(packed), "vmlinuz"), "vmlinuz") == kernel + b"store"


@pytest.mark.parametrize(("name", "length"), [("lz4", 10000), ("lzo", 16)])
def test_a_whole_block_too_many_is_seen(name: str, length: int) -> None:
    """The first block has just as many bytes as there should be."""
    payload = PACKERS[name](bytes(range(250)) * 80)[:-4] + struct.pack("<I", length)
    with pytest.raises(InputError, match="it holds more, but should hold"):
        unpack_kernel(read_bzimage(bzimage(payload), "vmlinuz"), "vmlinuz")


@pytest.mark.parametrize("length", [1000, 10000, 10001, 30000])
@pytest.mark.parametrize("name", PACKERS)
def test_kernels_of_any_length(name: str, length: int) -> None:
    kernel = (bytes(range(251)) * (length // 251 + 1))[:length]
    assert unpack_kernel(read_bzimage(bzimage(PACKERS[name](kernel)), "vmlinuz"), "vmlinuz") == kernel


@pytest.mark.parametrize("length", [0x267, 0x268])
def test_where_the_setup_header_ends(length: int) -> None:
    image = bzimage(bytes(8))[:length]
    what = "inside the setup header: 0x267 bytes" if length == 0x267 else "the payload should be bytes 0x410 to 0x418"
    with pytest.raises(InputError, match=f"is cut short[: ]*{what}"):
        read_bzimage(image, "vmlinuz")


@pytest.mark.parametrize(("protocol", "words"), [(0x0209, r"2\.09"), (0x01FF, r"1\.255"), (0x020A, "")])
def test_the_oldest_protocol(protocol: int, words: str) -> None:
    image = bytearray(bzimage(PACKERS["gzip"](b"kernel")))
    struct.pack_into("<H", image, 0x206, protocol)
    if words:
        with pytest.raises(InputError, match=f"has boot protocol {words} at byte 0x206"):
            read_bzimage(bytes(image), "vmlinuz")
    else:
        assert read_bzimage(bytes(image), "vmlinuz").output_len == 6


@pytest.mark.parametrize("length", [511, 512])
def test_version_text_of_the_longest(length: int) -> None:
    image = bytearray(bzimage(b"v" * length + bytes(8)))
    struct.pack_into("<H", image, 0x20E, 0x410 - 0x200)
    if length == 511:
        assert read_bzimage(bytes(image), "vmlinuz").version == "v" * 511
    else:
        with pytest.raises(InputError, match="has no version text of at most 512 bytes at byte 0x410"):
            read_bzimage(bytes(image), "vmlinuz")


@pytest.mark.parametrize("more", [0, 1])
def test_as_long_as_a_kernel_may_be(more: int, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = bytes(1000)
    monkeypatch.setattr(unpack, "MOST_BYTES", 1000 - more)
    image = read_bzimage(bzimage(PACKERS["gzip"](kernel)), "vmlinuz")
    if more:
        with pytest.raises(InputError, match="it holds 0x3e8 bytes, expected at most 0x3e7"):
            unpack_kernel(image, "vmlinuz")
    else:
        assert unpack_kernel(image, "vmlinuz") == kernel


@pytest.mark.parametrize(("size", "right"), [(128, True), (191, True), (192, False), (1024, False)])
def test_dictionaries_of_lzma(size: int, right: bool) -> None:
    """In MiB; with what it needs beside, there are 192."""
    payload = bytearray(PACKERS["lzma"](b"kernel"))
    struct.pack_into("<I", payload, 1, size << 20)
    image = read_bzimage(bzimage(bytes(payload)), "vmlinuz")
    if right:
        assert unpack_kernel(image, "vmlinuz") == b"kernel"
    else:
        with pytest.raises(InputError, match="has a damaged lzma payload at byte 0x410: "):
            unpack_kernel(image, "vmlinuz")


@pytest.mark.parametrize(("eighths", "right"), [(8, True), (12, True), (13, False), (16, False)])
def test_windows_of_zstd(eighths: int, right: bool) -> None:
    """In eighths of 128 MiB."""
    payload = bytearray(PACKERS["zstd"](b"kernel"))
    payload[5] = (17 << 3) + eighths - 8
    image = read_bzimage(bzimage(bytes(payload)), "vmlinuz")
    if right:
        assert unpack_kernel(image, "vmlinuz") == b"kernel"
    else:
        with pytest.raises(InputError, match="has a damaged zstd payload at byte 0x410: "):
            unpack_kernel(image, "vmlinuz")


@pytest.mark.parametrize("count", [0, 1, 2])
def test_lz4_s_chunks_end_with_the_payload(count: int) -> None:
    """Each is as long as the four bytes before it say, up to the length of the whole."""
    pack = import_module("lz4.block").compress
    chunks = [pack(bytes([65 + n]) * 500, store_size=False) for n in range(count)]
    packed = b"\x02\x21\x4c\x18" + b"".join(struct.pack("<I", len(chunk)) + chunk for chunk in chunks)
    image = read_bzimage(bzimage(packed + struct.pack("<I", 500 * count)), "vmlinuz")
    assert unpack_kernel(image, "vmlinuz") == b"".join(bytes([65 + n]) * 500 for n in range(count))
    if count:
        # A chunk that says to be longer than what there is, or less than four bytes for its length.
        for tail in (b"\x10\0\0\0abc", b"\1\0"):
            image = read_bzimage(bzimage(packed + tail + struct.pack("<I", 500 * count + 1)), "vmlinuz")
            with pytest.raises(InputError, match="has a damaged lz4 payload"):
                unpack_kernel(image, "vmlinuz")
