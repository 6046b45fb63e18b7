"""Unpacking the kernel inside a bzImage: every compression that scripts/Makefile.lib of the kernel can apply.

Behind the packed data stand four bytes with the length unpacked (for gzip they are part of the format).  No more
than that length is ever unpacked, and none is believed that no kernel has.
"""

from __future__ import annotations

import bz2
import lzma
import shutil
import struct
import subprocess
import tempfile
import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any

from memplan.errors import InputError, UsageError
from memplan.kernel.bzimage import BzImage
from memplan.units import KIB, MIB

#: The longest kernel that is unpacked; a build with every driver and sanitizer has less.
MOST_BYTES = 256 * MIB
#: Memory for a dictionary: the kernel's build asks xz for up to 128 MiB.
_MOST_MEMORY = 192 * MIB
_LZ4_CHUNK = 8 * MIB
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
    if image.output_len > MOST_BYTES:
        raise InputError.single(
            source,
            f"has a damaged {name} payload {place}: by its last four bytes it holds {image.output_len:#x} bytes, "
            f"expected at most {MOST_BYTES:#x}",
        )
    try:
        # One byte more than it should hold, so that too much is seen.
        kernel = unpack(payload, image.output_len + 1)
    except (OSError, EOFError, lzma.LZMAError, zlib.error, struct.error, IndexError, _Damaged) as error:
        raise InputError.single(source, f"has a damaged {name} payload {place}: {error}") from None
    if len(kernel) != image.output_len:
        much = "more" if len(kernel) > image.output_len else f"{len(kernel):#x} bytes"
        raise InputError.single(
            source,
            f"has a damaged {name} payload {place}: it holds {much}, but should hold {image.output_len:#x} bytes by "
            "its last four bytes",
        )
    return kernel


def _gzip(payload: bytes, most: int) -> bytes:
    return zlib.decompressobj(31).decompress(payload, most)


def _bzip2(payload: bytes, most: int) -> bytes:
    return bz2.BZ2Decompressor().decompress(payload, most)


def _lzma(payload: bytes, most: int) -> bytes:
    return lzma.LZMADecompressor(lzma.FORMAT_ALONE, _MOST_MEMORY).decompress(payload, most)


def _xz(payload: bytes, most: int) -> bytes:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, _MOST_MEMORY).decompress(payload, most)


def _zstd(payload: bytes, most: int) -> bytes:
    library = _library("zstandard")
    if library is None:
        return _program("zstd", payload[:-4], most)
    try:
        with library.ZstdDecompressor(max_window_size=_MOST_MEMORY).stream_reader(payload[:-4]) as reader:
            return bytes(reader.read(most))
    except library.ZstdError as error:
        raise _Damaged(error) from None


def _lz4(payload: bytes, most: int) -> bytes:
    """The legacy frame: chunks of up to 8 MiB, each behind its packed length."""
    library = _library("lz4.block")
    if library is None:
        return _program("lz4", payload[:-4], most)
    parts = []
    at, end, size = 4, len(payload) - 4, 0
    while at < end and size < most:
        (length,) = struct.unpack_from("<I", payload, at)
        try:
            parts.append(library.decompress(payload[at + 4 : at + 4 + length], uncompressed_size=_LZ4_CHUNK))
        except library.LZ4BlockError as error:
            raise _Damaged(f"{error}, in the chunk at its byte {at:#x}") from None
        size += len(parts[-1])
        at += 4 + length
    return b"".join(parts)[:most]


def _lzo(payload: bytes, most: int) -> bytes:
    """lzop's file: a header with a file name, then blocks of LZO1X with their lengths and checksums."""
    library = _library("lzallright")
    if library is None:
        return _program("lzop", payload[:-4], most)
    at = len(_LZO_MAGIC)
    (version,) = struct.unpack_from(">H", payload, at)
    long_header = version >= _LZO_LONG_HEADER
    at += 8 if long_header else 5
    (flags,) = struct.unpack_from(">I", payload, at)
    at += (8 if flags & _LZO_FILTER else 4) + (12 if long_header else 8)
    at += 1 + payload[at] + 4
    parts: list[bytes] = []
    size = 0
    while size < most:
        (unpacked,) = struct.unpack_from(">I", payload, at)
        if not unpacked:
            break
        if unpacked > most - size:
            raise _Damaged(f"it holds more, but should hold {most - 1:#x} bytes, by the block at its byte {at:#x}")
        (packed,) = struct.unpack_from(">I", payload, at + 4)
        at += 8 + 4 * sum(bool(flags & flag) for flag in _LZO_SUMS_UNPACKED)
        if packed < unpacked:
            at += 4 * sum(bool(flags & flag) for flag in _LZO_SUMS_PACKED)
        block = payload[at : at + packed]
        try:
            parts.append(library.LZOCompressor.decompress(block, unpacked) if packed < unpacked else block)
        except library.LZOError as error:
            raise _Damaged(f"{error}, in the block at its byte {at:#x}") from None
        size += len(parts[-1])
        at += packed
    return b"".join(parts)[:most]


def _library(name: str) -> Any:
    """The optional library `name`, or None where it is not installed."""
    try:
        return import_module(name)
    except ImportError:
        return None


def _program(name: str, data: bytes, most: int) -> bytes:
    """The first `most` bytes of `data` unpacked by the program `name`."""
    program = shutil.which(name)
    if program is None:
        raise UsageError(
            f"this kernel is packed by {name}: pip install 'memplan[kernel]', or install the program {name}"
        )
    with tempfile.TemporaryFile() as packed, tempfile.TemporaryFile() as errors:
        packed.write(data)
        packed.seek(0)
        with subprocess.Popen([program, "-dc"], stdin=packed, stdout=subprocess.PIPE, stderr=errors) as process:
            assert process.stdout is not None
            unpacked = process.stdout.read(most)
            if len(unpacked) == most:
                process.kill()
                return unpacked
        if process.returncode:
            errors.seek(0)
            raise _Damaged(errors.read(KIB).decode("utf-8", "replace").strip())
    return unpacked


_FORMATS: tuple[tuple[bytes, str, Callable[[bytes, int], bytes]], ...] = (
    (b"\x1f\x8b", "gzip", _gzip),
    (b"BZh", "bzip2", _bzip2),
    (b"\xfd7zXZ\0", "xz", _xz),
    (b"\x28\xb5\x2f\xfd", "zstd", _zstd),
    (b"\x02\x21\x4c\x18", "lz4", _lz4),
    (_LZO_MAGIC, "lzo", _lzo),
    (b"\x5d\0\0", "lzma", _lzma),
)
