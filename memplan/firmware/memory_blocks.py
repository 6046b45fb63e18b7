"""Reader of /sys/devices/system/memory: live, a copied tree, a tar of it, or all of it as one text.

As text it comes from ``grep . /sys/devices/system/memory/* /sys/devices/system/memory/*/*`` or ``tail -n +1``; grep's
complaints about folders count, as nodes show as links to folders.
"""

from __future__ import annotations

import io
import os
import re
import tarfile
from typing import TYPE_CHECKING, BinaryIO

from memplan.errors import InputError
from memplan.files import read_entry
from memplan.firmware import blocks
from memplan.firmware.block_facts import tell
from memplan.firmware.blocks import ListedBlocks, Listing
from memplan.firmware.source import SourceFacts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from memplan.firmware.source import Source

_BLOCK = re.compile(r"memory(\d{1,9})")
_NODE = re.compile(r"node(\d{1,9})")
#: A file of a block, or one beside the blocks.
_PATH = r"(?:\S*/)?(?:memory(\d{1,9})/(state|valid_zones|node\d{1,9})|(block_size_bytes|auto_online_blocks))"
_ENTRY = re.compile(_PATH)
_GREP = re.compile(rf"(?:grep: )?{_PATH}:(.*)")
_TAIL = re.compile(rf"==> {_PATH} <==\s*")
_TREE = re.compile(
    rb"^(?:==> |grep: )?(?:\S*/)?memory\d{1,9}/(?:state|valid_zones|phys_index|online|removable|node\d{1,9})(?::| <==)",
    re.MULTILINE,
)
_TAR = (257, b"ustar")
#: Files of /sys hold one page at the most.
_FILE_LIMIT = 4096
#: Files and folders in a tar, of which each block has some twenty.
_MOST_ENTRIES = 1 << 22


class _Tree:
    """What the files of the tree say, as they are met."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._size = self._default = ""
        self._states: dict[int, str] = {}
        self._zones: dict[int, str] = {}
        self._nids: dict[int, set[int]] = {}

    def put(self, block: str | None, name: str, text: str) -> None:
        """The file `name` (of block number `block`, or beside the blocks) says `text`."""
        if block is None:
            if name == "block_size_bytes":
                self._size = text
            else:
                self._default = text
        elif name == "state":
            self._states[int(block)] = text
        elif name == "valid_zones":
            self._zones[int(block)] = text
        else:
            self._nids.setdefault(int(block), set()).add(int(name.removeprefix("node")))
        if len(self._states) > blocks.MOST_BLOCKS:
            raise InputError.single(self._source, f"lists more than {blocks.MOST_BLOCKS} blocks")

    def listing(self) -> Listing:
        """All of it; InputError where it isn't whole."""
        if self._size and not re.fullmatch(r"[0-9a-fA-F]{1,12}", self._size):
            raise self._wrong("block_size_bytes", f"should be a hexadecimal number, found {self._size!r}")
        size = int(self._size, 16) if self._size else None
        if size is not None and (size & (size - 1) or not size):
            raise self._wrong("block_size_bytes", f"should be a power of two, found {self._size!r}")
        if lost := sorted(self._zones.keys() - self._states.keys()):
            raise self._wrong(f"memory{lost[0]}/state", "is missing, while there is valid_zones beside it")
        return blocks.listing_of(self._source, size, self._blocks(), self._default)

    def _blocks(self) -> Iterator[ListedBlocks]:
        for number, state in self._states.items():
            if state not in blocks.STATES:
                raise self._wrong(f"memory{number}/state", f"should be online or offline, found {state!r}")
            zone = self._zones.get(number, "").split(" ")[0] or None
            if zone is not None and zone not in blocks.ZONES:
                raise self._wrong(f"memory{number}/valid_zones", f"should name zones, found {zone!r}")
            online = state != "offline"
            nids = tuple(sorted(self._nids.get(number, ())))
            yield ListedBlocks(number, number, nids, online, zone if online else None)

    def _wrong(self, field: str, message: str) -> InputError:
        return InputError.single(self._source, message, field=field, hint="as in /sys/devices/system/memory")


def recognises(head: bytes) -> bool:
    """Whether a file that begins so is the tree as one text, or a tar of it."""
    return _TREE.search(head) is not None or (_is_tar(head) and re.search(rb"memory\d{1,9}/", head) is not None)


def recognises_folder(path: Path) -> bool:
    """Whether a folder is such a tree."""
    return (path / "block_size_bytes").is_file() or (path / "memory0" / "state").is_file()


def read(source: Source) -> SourceFacts:
    """The blocks of a tree as a text or a tar; InputError where it isn't whole."""
    tree = _Tree(source.name)
    if _is_tar(source.head):
        _read_tar(source, tree)
    else:
        _read_text(source, tree)
    return _found(source.name, tree)


def read_folder(path: Path) -> SourceFacts:
    """The blocks of a tree; InputError, with the file, where it isn't whole."""
    tree = _Tree(str(path))
    for name in ("block_size_bytes", "auto_online_blocks"):
        tree.put(None, name, _text(path / name))
    try:
        names = os.listdir(path)
        for name in names:
            found = _BLOCK.fullmatch(name)
            if found is None:
                continue
            tree.put(found[1], "state", _text(path / name / "state"))
            tree.put(found[1], "valid_zones", _text(path / name / "valid_zones"))
            for link in filter(_NODE.fullmatch, os.listdir(path / name)):
                tree.put(found[1], link, "")
    except OSError as error:
        raise InputError.single(str(error.filename or path), f"can't be read: {error.strerror}") from None
    return _found(str(path), tree)


def _text(path: Path) -> str:
    """What a file says; "" where there is none."""
    if not os.path.lexists(path):
        return ""
    return read_entry(path, _FILE_LIMIT, "a value of a memory block").decode("latin-1").strip()


def _read_tar(source: Source, tree: _Tree) -> None:
    """A tar's entries; files of /sys are padded with zeros in it, as they are shorter than they say."""
    try:
        with source.open() as file, tarfile.open(fileobj=(counted := _Counted(file)), mode="r|") as tar:
            for count, entry in enumerate(tar):
                if count > _MOST_ENTRIES:
                    raise InputError.single(source.name, f"holds more than {_MOST_ENTRIES} files")
                found = _ENTRY.fullmatch(entry.name)
                if found is None:
                    continue
                name = found[2] or found[3]
                if _NODE.fullmatch(name):
                    tree.put(found[1], name, "")
                elif entry.isfile() and (content := tar.extractfile(entry)) is not None:
                    data = content.read(_FILE_LIMIT)
                    tree.put(found[1], name, data.partition(b"\0")[0].decode("latin-1").strip())
            # Where the file is cut between two entries, tarfile takes that for the end.
            if counted.count < tar.offset + tarfile.BLOCKSIZE:
                raise InputError.single(source.name, "is a damaged tar: its end is missing")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise InputError.single(source.name, f"is a damaged tar: {error}") from None


class _Counted(io.RawIOBase):
    """A stream that counts the bytes read from it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.count += len(data)
        return data


def _read_text(source: Source, tree: _Tree) -> None:
    heading: re.Match[str] | None = None
    for _, raw in source.lines():
        line = raw.decode("latin-1")
        if row := _GREP.fullmatch(line):
            tree.put(row[1], row[2] or row[3], row[4].strip())
        elif row := _TAIL.fullmatch(line):
            heading = row
            if _NODE.fullmatch(row[2] or ""):
                tree.put(row[1], row[2], "")
        elif heading is not None and line.strip():
            if not _NODE.fullmatch(heading[2] or ""):
                tree.put(heading[1], heading[2] or heading[3], line.strip())
            heading = None


def _found(name: str, tree: _Tree) -> SourceFacts:
    found = SourceFacts(name, "memory blocks")
    tell(found, tree.listing())
    return found


def _is_tar(head: bytes) -> bool:
    at, magic = _TAR
    return head[at : at + len(magic)] == magic
