"""The sizes of structures, from a kernel's BTF (Documentation/bpf/btf.rst)."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from memplan.errors import InputError

_MAGIC = 0xEB9F
_STRUCT, _UNION, _TYPEDEF = 4, 5, 8
#: Bytes that follow a type's 12, by kind: at once, and for each of its vlen members.
_TRAILERS = {
    1: (4, 0),
    3: (12, 0),
    4: (0, 12),
    5: (0, 12),
    6: (0, 8),
    13: (0, 8),
    14: (4, 0),
    15: (0, 12),
    17: (4, 0),
    19: (0, 12),
}
_NEWEST_KIND = 19


def struct_sizes(data: bytes, names: Iterable[str], source: str) -> dict[str, int]:
    """sizeof in bytes of those of `names` (structs, unions or typedefs of such) that the BTF `data` knows.

    Where several types have one name, the first counts.  Raises InputError with the byte offset of damage.
    """

    def fail(message: str, offset: int) -> InputError:
        return InputError.single(source, f"BTF {message} (byte {offset:#x} of it)")

    if len(data) < 24:
        raise fail(f"is cut short: {len(data)} bytes, should be at least 24", len(data))
    magic, version, _, header = struct.unpack_from("<HBBI", data)
    if magic != _MAGIC:
        raise fail(f"begins with {magic:#x}, should be {_MAGIC:#x}", 0)
    if version != 1:
        raise fail(f"has version {version}, should be 1", 2)
    types_at, types_len, strings_at, strings_len = struct.unpack_from("<4I", data, 8)
    at, end = header + types_at, header + types_at + types_len
    strings_at += header
    if end > len(data) or strings_at + strings_len > len(data):
        raise fail(f"is cut short: types end at {end:#x}, strings at {strings_at + strings_len:#x}", len(data))
    wanted = {}
    for name in names:
        place = data.find(b"\0" + name.encode() + b"\0", strings_at, strings_at + strings_len)
        if place >= 0:
            wanted[place + 1 - strings_at] = name
    sizes: dict[str, int] = {}
    typedefs: dict[str, int] = {}
    by_id = [0]
    unpack = struct.Struct("<III").unpack_from
    while at < end:
        if at + 12 > end:
            raise fail("ends inside a type", at)
        name_at, info, size = unpack(data, at)
        kind = info >> 24 & 31
        if not 1 <= kind <= _NEWEST_KIND:
            raise fail(f"has a type of the unknown kind {kind}", at)
        named = wanted.get(name_at)
        if kind in (_STRUCT, _UNION):
            by_id.append(size)
            if named:
                sizes.setdefault(named, size)
        else:
            by_id.append(0)
            if kind == _TYPEDEF and named:
                typedefs.setdefault(named, size)
        once, each = _TRAILERS.get(kind, (0, 0))
        at += 12 + once + each * (info & 0xFFFF)
    for name, target in typedefs.items():
        size = by_id[target] if target < len(by_id) else 0
        if size > 0:
            sizes.setdefault(name, size)
    return sizes
