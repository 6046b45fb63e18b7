"""A bzImage: the setup header's fields, and where the compressed kernel is (Documentation/arch/x86/boot.rst)."""

from __future__ import annotations

import struct
from typing import NamedTuple

from memplan.errors import InputError

_SECTOR = 512
_HEADER_END = 0x268
_LONGEST_VERSION = 512
#: The boot protocol that brought init_size, 2.10 (Linux 2.6.31).
_PROTOCOL = 0x020A


class BzImage(NamedTuple):
    """What the setup header tells, and `payload`, the compressed kernel with the length at its end.

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
    end = data.find(b"\0", version_at, version_at + _LONGEST_VERSION)
    if end < 0:
        raise fail(f"has no version text of at most {_LONGEST_VERSION} bytes at byte {version_at:#x}")
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
