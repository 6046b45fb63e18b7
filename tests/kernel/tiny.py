"""Small kernels for tests: the ELF files in data/, and bzImages around them."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import zlib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

DATA = Path(__file__).parent / "data"
VERSION = "6.1.77-tiny (someone) #3 SMP PREEMPT Tiny 1"


def elf(name: str = "6.12") -> bytes:
    return lzma.decompress((DATA / f"tiny-{name}.elf.xz").read_bytes())


def symbol_map() -> dict[str, int]:
    """What nm said of tiny-6.12; kallsyms leaves out file names."""
    lines = lzma.decompress((DATA / "tiny-6.12.map.xz").read_bytes()).decode().splitlines()
    rows = (line.split() for line in lines)
    return {name: int(address, 16) for address, kind, name in rows if not name.endswith(".c")}


def bzimage(payload: bytes, *, version: str = VERSION) -> bytes:
    """A bzImage of one setup sector (boot protocol 2.15) with `payload` behind the setup."""
    head = bytearray(2 * 512)
    head[0x1F1] = 1
    head[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", head, 0x206, 0x020F)
    struct.pack_into("<H", head, 0x20E, 0x300 - 0x200)
    struct.pack_into("<I", head, 0x230, 0x200000)
    struct.pack_into("<II", head, 0x248, 0x10, len(payload))
    struct.pack_into("<QI", head, 0x258, 0x1000000, 0x123000)
    head[0x300 : 0x300 + len(version)] = version.encode()
    return bytes(head) + b"\x90" * 0x10 + payload


def _with_length(packed: bytes, data: bytes) -> bytes:
    return packed + struct.pack("<I", len(data))


def _lz4(data: bytes) -> bytes:
    """The legacy frame, in chunks smaller than the kernel's so that there are several."""
    block = import_module("lz4.block")
    chunks = [block.compress(data[at : at + 10000], store_size=False) for at in range(0, len(data), 10000)]
    return b"\x02\x21\x4c\x18" + b"".join(struct.pack("<I", len(chunk)) + chunk for chunk in chunks)


def _lzo(data: bytes) -> bytes:
    """A file as lzop writes it: version 1.04, a name, Adler-32 of both forms of a block, one block stored."""
    from lzallright import LZOCompressor

    fields = struct.pack(">HHHBBIIII", 0x1040, 0x20A0, 0x0940, 3, 9, 0x3, 0o100644, 0, 0)
    header = fields + bytes([7]) + b"vmlinux"
    out = b"\x89LZO\0\r\n\x1a\n" + header + struct.pack(">I", zlib.adler32(header))
    stored, rest = data[:16], data[16:]
    out += struct.pack(">III", len(stored), len(stored), zlib.adler32(stored)) + stored
    packed = LZOCompressor().compress(rest)
    out += struct.pack(">IIII", len(rest), len(packed), zlib.adler32(rest), zlib.adler32(packed)) + packed
    return out + struct.pack(">I", 0)


def _zstd(data: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(write_checksum=True, write_content_size=False).compress(data)


#: Name -> what the kernel's build makes of an image with it.
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "bzip2": lambda data: _with_length(bz2.compress(data), data),
    "lzma": lambda data: _with_length(lzma.compress(data, lzma.FORMAT_ALONE), data),
    "xz": lambda data: _with_length(
        lzma.compress(
            data,
            check=lzma.CHECK_CRC32,
            filters=[{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2}],
        ),
        data,
    ),
    "lz4": lambda data: _with_length(_lz4(data), data),
    "lzo": lambda data: _with_length(_lzo(data), data),
    "zstd": lambda data: _with_length(_zstd(data), data),
}
