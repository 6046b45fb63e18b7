"""Memory blocks as a running machine lists them: /sys/devices/system/memory, or a copy of it, or lsmem's JSON."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from memplan.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK = re.compile(r"memory(\d{1,9})")
_NODE = re.compile(r"node(\d{1,9})")
_RANGE = re.compile(r"0x([0-9a-fA-F]{1,16})-0x([0-9a-fA-F]{1,16})")
_NUMBERS = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?")
_MOST_BYTES = 64 << 20
_MOST_BLOCKS = 1 << 22
_STATES = ("online", "offline", "going-offline")
_ZONES = ("DMA", "DMA32", "Normal", "Movable", "Device")
_COLUMNS = "lsmem --json --output RANGE,STATE,BLOCK,NODE,ZONES"


class ListedBlock(NamedTuple):
    """A block: `zone` is the one that it is in (None: off-line, or more than one); `nid` None where it is not told."""

    number: int
    nid: int | None
    online: bool
    zone: str | None


class Listing(NamedTuple):
    """All blocks, upwards; `block_size` in bytes, `default_state` as auto_online_blocks says ("": not told)."""

    source: str
    block_size: int
    blocks: tuple[ListedBlock, ...]
    default_state: str = ""


def read_listing(path: str) -> Listing:
    """The listing in the folder or file at `path`; InputError where it is none."""
    if os.path.isdir(path):
        return _folder(path)
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise InputError.single(path, f"can't be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > _MOST_BYTES:
        raise InputError.single(path, f"is longer than {_MOST_BYTES >> 20} MiB, no list of memory blocks is")
    return _lsmem(path, data)


def _folder(path: str) -> Listing:
    """A folder like /sys/devices/system/memory."""
    size_text = _text(path, "block_size_bytes")
    if not re.fullmatch(r"[0-9a-fA-F]{1,12}", size_text):
        hint = "it should be like /sys/devices/system/memory"
        raise InputError.single(path, "holds no block_size_bytes with a hexadecimal number", hint=hint)
    blocks = []
    for name in os.listdir(path):
        found = _BLOCK.fullmatch(name)
        if found is None:
            continue
        place = os.path.join(path, name)
        state = _text(place, "state")
        if state not in _STATES:
            raise InputError.single(os.path.join(place, "state"), f"should be online or offline, found {state!r}")
        nodes = sorted(int(one[1]) for one in map(_NODE.fullmatch, os.listdir(place)) if one)
        zones = _text(place, "valid_zones").split()
        zone = zones[0] if state != "offline" and zones and zones[0] in _ZONES else None
        blocks.append(ListedBlock(int(found[1]), nodes[-1] if nodes else None, state != "offline", zone))
    if not blocks:
        raise InputError.single(path, "holds no memory blocks (memory0, memory1, ...)")
    return Listing(path, int(size_text, 16), tuple(sorted(blocks)), _text(path, "auto_online_blocks"))


def _text(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
            return file.read(4096).strip()
    except OSError:
        return ""


def _lsmem(path: str, data: bytes) -> Listing:
    """What lsmem --json writes: ranges of blocks that are alike."""
    import json

    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 0)
        raise InputError.single(path, f"is no JSON: {getattr(error, 'msg', error)}", line=line, hint=_COLUMNS) from None
    rows = document.get("memory") if isinstance(document, dict) else None
    if not isinstance(rows, list) or not rows:
        raise InputError.single(path, "holds no list named memory", hint=_COLUMNS)
    size = 0
    blocks: list[ListedBlock] = []
    for index, row in enumerate(rows):
        field = f"memory[{index}]"
        if not isinstance(row, dict):
            raise InputError.single(path, "should be an object", field=field)
        start, end = _range(path, field, row)
        first, last = _numbers(path, field, row)
        own = (end - start) // (last - first + 1)
        if size and own != size:
            raise InputError.single(path, f"has blocks of {own:#x} bytes, those before have {size:#x}", field=field)
        size = own
        if last - first + 1 + len(blocks) > _MOST_BLOCKS:
            raise InputError.single(path, f"more than {_MOST_BLOCKS} blocks", field=field)
        blocks += _row(path, field, row, range(first, last + 1))
    return Listing(path, size, tuple(sorted(blocks)))


def _range(path: str, field: str, row: dict[str, Any]) -> tuple[int, int]:
    found = _RANGE.fullmatch(str(row.get("range", "")))
    if found is None or int(found[2], 16) <= int(found[1], 16):
        raise InputError.single(path, "should be like 0x0-0x7ffffff", field=f"{field}.range", hint=_COLUMNS)
    return int(found[1], 16), int(found[2], 16) + 1


def _numbers(path: str, field: str, row: dict[str, Any]) -> tuple[int, int]:
    found = _NUMBERS.fullmatch(str(row.get("block", "")))
    if found is None or int(found[2] or found[1]) < int(found[1]):
        raise InputError.single(path, "should be like 8 or 0-15", field=f"{field}.block", hint=_COLUMNS)
    return int(found[1]), int(found[2] or found[1])


def _row(path: str, field: str, row: dict[str, Any], numbers: range) -> Iterator[ListedBlock]:
    state = row.get("state")
    if state not in _STATES:
        raise InputError.single(path, f"should be online or offline, found {state!r}", field=f"{field}.state")
    node = str(row.get("node", ""))
    if not node.isdecimal():
        raise InputError.single(path, "should be the number of a node", field=f"{field}.node", hint=_COLUMNS)
    zones = row.get("zones")
    if not isinstance(zones, str):
        raise InputError.single(path, "should name the blocks' zones", field=f"{field}.zones", hint=_COLUMNS)
    first = zones.partition("/")[0]
    online = state != "offline"
    zone = first if online and first in _ZONES else None
    return (ListedBlock(number, int(node), online, zone) for number in numbers)
