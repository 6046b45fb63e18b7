"""Packed files: gzip, xz, bzip2 and zstd, read as if they were not; what they unpack to is bounded."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from importlib import import_module
from typing import BinaryIO, cast

from memplan.errors import InputError

#: The most that a packed file may unpack to.
UNPACKED_LIMIT = 256 << 20

#: What reading damaged data raises.
_DAMAGE = (OSError, EOFError, zlib.error)


def unpacked(stream: BinaryIO, name: str) -> BinaryIO:
    """`stream`, unpacked where it is packed; `name` is for messages.

    Reading raises InputError for damage and where it would be more than `UNPACKED_LIMIT` bytes.
    """
    head = stream.read(8)
    stream.seek(0)
    for magic, packer, opener in _PACKERS:
        if head.startswith(magic):
            return cast(BinaryIO, io.BufferedReader(_Unpacked(opener(stream, name), stream, packer, name)))
    return stream


class _Unpacked(io.RawIOBase):
    def __init__(self, stream: BinaryIO, packed: BinaryIO, packer: str, name: str) -> None:
        self._stream, self._packed, self._packer, self._name = stream, packed, packer, name
        self._left = UNPACKED_LIMIT

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        try:
            data = self._stream.read(len(buffer))
        except MemoryError:
            # How much memory it takes is for the packed file to say.
            message = f"is packed by {self._packer} so that unpacking it takes more memory than there is"
            raise InputError.single(self._name, message) from None
        except _DAMAGE as error:
            text = str(error) or type(error).__name__
            raise InputError.single(self._name, f"is packed by {self._packer} and damaged: {text}") from None
        self._left -= len(data)
        if self._left < 0:
            raise InputError.single(self._name, f"unpacks to more than {UNPACKED_LIMIT >> 20} MiB, no log is so long")
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._stream.close()
        self._packed.close()
        super().close()


def _gzip(stream: BinaryIO, _: str) -> BinaryIO:
    import gzip

    return cast(BinaryIO, gzip.GzipFile(fileobj=stream))


def _xz(stream: BinaryIO, _: str) -> BinaryIO:
    import lzma

    return cast(BinaryIO, _Errors(cast(BinaryIO, lzma.LZMAFile(stream)), lzma.LZMAError))


def _bzip2(stream: BinaryIO, _: str) -> BinaryIO:
    import bz2

    return cast(BinaryIO, bz2.BZ2File(stream))


def _zstd(stream: BinaryIO, name: str) -> BinaryIO:
    try:
        library = import_module("zstandard")
    except ImportError:
        raise InputError.single(
            name, "is packed by zstd", hint="pip install 'memplan[kernel]' reads it; so does unzstd first"
        ) from None
    reader = library.ZstdDecompressor(max_window_size=1 << 27).stream_reader(stream, read_across_frames=True)
    return cast(BinaryIO, _Errors(reader, library.ZstdError))


class _Errors(io.RawIOBase):
    """A reader whose library has errors of its own."""

    def __init__(self, stream: BinaryIO, error: type[Exception]) -> None:
        self._stream, self._error = stream, error

    def read(self, size: int = -1) -> bytes:
        try:
            return self._stream.read(size)
        except self._error as error:
            raise OSError(str(error)) from None

    def close(self) -> None:
        self._stream.close()
        super().close()


_PACKERS: tuple[tuple[bytes, str, Callable[[BinaryIO, str], BinaryIO]], ...] = (
    (b"\x1f\x8b", "gzip", _gzip),
    (b"\xfd7zXZ\0", "xz", _xz),
    (b"BZh", "bzip2", _bzip2),
    (b"\x28\xb5\x2f\xfd", "zstd", _zstd),
)
