"""A bzImage: the setup header's fields, and the compressed kernel inside (Documentation/arch/x86/boot.rst)."""

from __future__ import annotations

import bz2
import lzma
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from memplan.errors import InputError, UsageError

_SECTOR = 512
_HEADER_END = 0x268
#: The boot protocol that brought init_size, 2.10 (Linux 2.6.31).
_PROTOCOL = 0x020A
_LEGACY_LZ4 = b"\x02\x21\x4c\x18"
_LZ4_CHUNK = 8 << 20
_LZOP = b"\x89LZO\x00\r\n\x1a\n"


class BzImage(NamedTuple):
    """What the setup header tells, and `payload`, the compressed kernel without the length at its end.

    `version` is the whole version text; sizes and addresses are in bytes; `output_len` is the length that the
    decompressed kernel has with its relocations.
    """

    version: str
    init_size: int
    pref_address: int
    kernel_alignment: int
    output_len: int
    payload: bytes
    payload_at: int


def is_bzimage(data: bytes) -> bool:
    """Whether `data` begins like a bzImage ("HdrS" at byte 0x202)."""
    return data[0x202:0x206] == b"HdrS"


def read_bzimage(data: bytes, source: str) -> BzImage:
    """The header and payload of the bzImage `data`; InputError (naming `source`) where it is damaged or too old."""

    def fail(message: str) -> InputError:
        return InputError.single(source, message)

    if not is_bzimage(data):
        raise fail(f"is no bzImage: bytes {data[0x202:0x206].hex(' ') or 'missing'} at 0x202, should be 48 64 72 53")
    if len(data) < _HEADER_END:
        raise fail(f"is cut short inside the setup header: {len(data):#x} bytes, should be at least {_HEADER_END:#x}")
    (protocol,) = struct.unpack_from("<H", data, 0x206)
    if protocol < _PROTOCOL:
        raise fail(f"has boot protocol {protocol >> 8}.{protocol & 255:02} at byte 0x206; 2.10 or later is needed")
    sectors = data[0x1F1] or 4
    (version_at,) = struct.unpack_from("<H", data, 0x20E)
    (alignment,) = struct.unpack_from("<I", data, 0x230)
    offset, length = struct.unpack_from("<II", data, 0x248)
    pref_address, init_size = struct.unpack_from("<QI", data, 0x258)
    start = (sectors + 1) * _SECTOR + offset
    if length < 8 or start + length > len(data):
        raise fail(
            f"is cut short: the payload should be bytes {start:#x} to {start + length:#x}, but the file ends at "
            f"{len(data):#x}"
        )
    version_at += 0x200
    end = data.find(b"\0", version_at)
    (output_len,) = struct.unpack_from("<I", data, start + length - 4)
    return BzImage(
        version=data[version_at:end].decode("latin-1"),
        init_size=init_size,
        pref_address=pref_address,
        kernel_alignment=alignment,
        output_len=output_len,
        payload=data[start : start + length],
        payload_at=start,
    )


def decompress(image: BzImage, source: str) -> bytes:
    """The kernel inside: gzip, bzip2, lzma, xz, lz4, lzo or zstd, as its first bytes say.

    Raises InputError for damage, and UsageError where nothing here can unpack that format.
    """
    payload = image.payload
    name, unpack = next(((name, unpack) for magic, name, unpack in _FORMATS if payload.startswith(magic)), ("", None))
    if unpack is None:
        raise InputError.single(
            source, f"has a payload in an unknown format: {payload[:8].hex(' ')} at byte {image.payload_at:#x}"
        )
    try:
        kernel = unpack(payload)
    except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error, struct.error, RuntimeError) as error:
        raise InputError.single(
            source, f"has a damaged {name} payload at byte {image.payload_at:#x}: {error}"
        ) from None
    if len(kernel) != image.output_len:
        raise InputError.single(
            source,
            f"has a payload ({name}, at byte {image.payload_at:#x}) of {len(kernel):#x} bytes, but its last four "
            f"bytes say {image.output_len:#x}",
        )
    return kernel


def _gzip(payload: bytes) -> bytes:
    return zlib.decompressobj(31).decompress(payload)


def _bzip2(payload: bytes) -> bytes:
    return bz2.BZ2Decompressor().decompress(payload)


def _lzma(payload: bytes) -> bytes:
    return lzma.LZMADecompressor(lzma.FORMAT_ALONE).decompress(payload)


def _xz(payload: bytes) -> bytes:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(payload)


def _library(name: str) -> Any:
    """The optional library `name`, or None where it is not installed."""
    try:
        return import_module(name)
    except ImportError:
        return None


def _zstd(payload: bytes) -> bytes:
    library = _library("zstandard")
    if library is None:
        return _program("zstd", payload[:-4])
    try:
        return bytes(library.ZstdDecompressor().decompressobj().decompress(payload[:-4]))
    except library.ZstdError as error:
        raise ValueError(str(error)) from None


def _lz4(payload: bytes) -> bytes:
    """The legacy frame: chunks of up to 8 MiB, each behind its packed length."""
    library = _library("lz4.block")
    if library is None:
        return _program("lz4", payload[:-4])
    parts = []
    at, end = 4, len(payload) - 4
    while at < end:
        (length,) = struct.unpack_from("<I", payload, at)
        try:
            parts.append(library.decompress(payload[at + 4 : at + 4 + length], uncompressed_size=_LZ4_CHUNK))
        except library.LZ4BlockError as error:
            raise ValueError(str(error)) from None
        at += 4 + length
    return b"".join(parts)


def _lzo(payload: bytes) -> bytes:
    return _program("lzop", payload[:-4])


def _program(name: str, data: bytes) -> bytes:
    """`data` unpacked by the program `name`; ValueError with its words where it fails."""
    program = shutil.which(name)
    if program is None:
        raise UsageError(
            f"this kernel is packed with {name}, which needs "
            + ("the program lzop" if name == "lzop" else f"pip install 'memplan[kernel]' or the program {name}")
        )
    done = subprocess.run([program, "-dc"], input=data, capture_output=True, check=False)
    if done.returncode:
        raise ValueError(done.stderr.decode("utf-8", "replace").strip())
    return done.stdout


_FORMATS: tuple[tuple[bytes, str, Callable[[bytes], bytes]], ...] = (
    (b"\x1f\x8b", "gzip", _gzip),
    (b"BZh", "bzip2", _bzip2),
    (b"\xfd7zXZ\0", "xz", _xz),
    (b"\x28\xb5\x2f\xfd", "zstd", _zstd),
    (_LEGACY_LZ4, "lz4", _lz4),
    (_LZOP, "lzo", _lzo),
    (b"\x5d\0\0", "lzma", _lzma),
)
