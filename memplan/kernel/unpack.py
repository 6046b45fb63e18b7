"""Unpacking the kernel inside a bzImage: every compression that scripts/Makefile.lib of the kernel can apply.

Behind the packed data stand four bytes with the length unpacked (for gzip they are part of the format).
"""

from __future__ import annotations

import bz2
import lzma
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any

from memplan.errors import InputError, UsageError
from memplan.kernel.bzimage import BzImage

_LZ4_CHUNK = 8 << 20
_LZO_MAGIC = b"\x89LZO\0\r\n\x1a\n"
#: lzop's flags: checksums of the data unpacked and packed, and an extra field for a filter.
_LZO_SUMS_UNPACKED, _LZO_SUMS_PACKED, _LZO_FILTER = (0x1, 0x100), (0x2, 0x200), 0x800
_LZO_LONG_HEADER = 0x940


class _Damaged(Exception):
    """What is wrong with the packed data."""


def unpack_kernel(image: BzImage, source: str) -> bytes:
    """The ELF file inside: gzip, bzip2, lzma, xz, lz4, lzo or zstd, as its first bytes say.

    Raises InputError (naming `source`) for damage, and UsageError where nothing installed unpacks that format.
    """
    payload, place = image.payload, f"at byte {image.payload_at:#x}"
    name, unpack = next(((name, unpack) for magic, name, unpack in _FORMATS if payload.startswith(magic)), ("", None))
    if unpack is None:
        raise InputError.single(source, f"has a payload of an unknown format {place}: {payload[:8].hex(' ')}")
    try:
        kernel = unpack(payload)
    except (OSError, EOFError, lzma.LZMAError, zlib.error, struct.error, _Damaged) as error:
        raise InputError.single(source, f"has a damaged {name} payload {place}: {error}") from None
    if len(kernel) != image.output_len:
        raise InputError.single(
            source,
            f"has a damaged {name} payload {place}: it holds {len(kernel):#x} bytes, but should hold "
            f"{image.output_len:#x} by its last four bytes",
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


def _zstd(payload: bytes) -> bytes:
    library = _library("zstandard")
    if library is None:
        return _program("zstd", payload[:-4])
    try:
        return bytes(library.ZstdDecompressor().decompressobj().decompress(payload[:-4]))
    except library.ZstdError as error:
        raise _Damaged(error) from None


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
            raise _Damaged(f"{error}, in the chunk at its byte {at:#x}") from None
        at += 4 + length
    return b"".join(parts)


def _lzo(payload: bytes) -> bytes:
    """lzop's file: a header with a file name, then blocks of LZO1X with their lengths and checksums."""
    library = _library("lzallright")
    if library is None:
        return _program("lzop", payload[:-4])
    at = len(_LZO_MAGIC)
    (version,) = struct.unpack_from(">H", payload, at)
    long_header = version >= _LZO_LONG_HEADER
    at += 8 if long_header else 5
    (flags,) = struct.unpack_from(">I", payload, at)
    at += (8 if flags & _LZO_FILTER else 4) + (12 if long_header else 8)
    at += 1 + payload[at] + 4
    parts: list[bytes] = []
    while True:
        (unpacked,) = struct.unpack_from(">I", payload, at)
        if not unpacked:
            return b"".join(parts)
        (packed,) = struct.unpack_from(">I", payload, at + 4)
        at += 8 + 4 * sum(bool(flags & flag) for flag in _LZO_SUMS_UNPACKED)
        if packed < unpacked:
            at += 4 * sum(bool(flags & flag) for flag in _LZO_SUMS_PACKED)
        block = payload[at : at + packed]
        try:
            parts.append(library.LZOCompressor.decompress(block, unpacked) if packed < unpacked else block)
        except library.LZOError as error:
            raise _Damaged(f"{error}, in the block at its byte {at:#x}") from None
        at += packed


def _library(name: str) -> Any:
    """The optional library `name`, or None where it is not installed."""
    try:
        return import_module(name)
    except ImportError:
        return None


def _program(name: str, data: bytes) -> bytes:
    """`data` unpacked by the program `name`."""
    program = shutil.which(name)
    if program is None:
        raise UsageError(
            f"this kernel is packed by {name}: pip install 'memplan[kernel]', or install the program {name}"
        )
    done = subprocess.run([program, "-dc"], input=data, capture_output=True, check=False)
    if done.returncode:
        raise _Damaged(done.stderr.decode("utf-8", "replace").strip())
    return done.stdout


_FORMATS: tuple[tuple[bytes, str, Callable[[bytes], bytes]], ...] = (
    (b"\x1f\x8b", "gzip", _gzip),
    (b"BZh", "bzip2", _bzip2),
    (b"\xfd7zXZ\0", "xz", _xz),
    (b"\x28\xb5\x2f\xfd", "zstd", _zstd),
    (b"\x02\x21\x4c\x18", "lz4", _lz4),
    (_LZO_MAGIC, "lzo", _lzo),
    (b"\x5d\0\0", "lzma", _lzma),
)
