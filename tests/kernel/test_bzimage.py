"""bzImages: the header's fields, every compression, and damage."""

from __future__ import annotations

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
