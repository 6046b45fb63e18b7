"""Reader of the boot parameters, /sys/kernel/boot_params: what the boot loader handed to the kernel.

The layout is that of Documentation/arch/x86/zero-page.rst and boot.rst.  Either the file ``data`` or the folder is
read; the folder also has the content of setup_data nodes, of which further e820 entries (type 1) are taken.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from struct import iter_unpack, unpack_from

from memplan.errors import InputError
from memplan.files import read_entry
from memplan.firmware.source import Source, SourceFacts, open_source
from memplan.machine.model import E820Entry, Initrd

SIZE = 4096
#: The boot protocol's version, 2.x; loaders that enter the kernel's 64-bit code leave out the magic number before it.
_PROTOCOL, _PROTOCOL_AT = 2, 0x207
_COUNT_AT, _E820_AT, _E820_SIZE, _E820_MOST = 0x1E8, 0x2D0, 20, 128
_EFI_SIGNATURE = b"EL64"
_KASLR_FLAG = 1 << 1
_SETUP_E820_EXT = 1
_SECURE_BOOT_ENABLED = 3
_NODES_LIMIT = 1024
_NODE_LIMIT = 1 << 20
_TYPE_LIMIT = 4096
_ENTRIES_LIMIT = 1 << 16


def recognises(head: bytes) -> bool:
    """Whether these are the boot parameters: one page with the boot protocol's version and an e820 table."""
    return len(head) == SIZE and head[_PROTOCOL_AT] == _PROTOCOL and 0 < head[_COUNT_AT] <= _E820_MOST


def read(source: Source) -> SourceFacts:
    """What the parameters say."""
    return _read(source, ())


def recognises_folder(path: Path) -> bool:
    """Whether a folder is a boot_params tree."""
    try:
        return recognises(read_entry(path / "data", SIZE, "boot parameters"))
    except InputError:
        return False


def read_folder(path: Path) -> SourceFacts:
    """What the parameters and the setup_data nodes of a tree say."""
    return _read(open_source(path / "data"), _further_entries(path / "setup_data"))


def _read(source: Source, further: tuple[E820Entry, ...]) -> SourceFacts:
    data = source.head
    found = SourceFacts(source.name, "boot parameters")
    if not recognises(data):
        raise InputError.single(
            source.name, "these are no boot parameters (one page, with a version and an e820 table)"
        )
    end = _E820_AT + data[_COUNT_AT] * _E820_SIZE
    found.put("e820", _entries(data[_E820_AT:end]) + further, "e820_table")
    low_start, low_size = unpack_from("<II", data, 0x218)
    high_start, high_size = unpack_from("<II", data, 0xC0)
    if size := high_size << 32 | low_size:
        found.put("initrd", Initrd(high_start << 32 | low_start, size), "ramdisk_image")
    found.put("kernel.randomized", bool(data[0x211] & _KASLR_FLAG), "loadflags")
    if rsdp := unpack_from("<Q", data, 0x70)[0]:
        found.put("acpi.rsdp", rsdp, "acpi_rsdp_addr")
    if data[0x1C0:0x1C4] == _EFI_SIGNATURE:
        _, descriptor, _, start, length, _, high = unpack_from("<7I", data, 0x1C4)
        found.put("efi.memmap", (high << 32 | start, length), "efi_memmap")
        found.put("efi.descriptor_size", descriptor, "efi_memdesc_size")
        found.put("efi.secure", data[0x1EC] == _SECURE_BOOT_ENABLED, "secure_boot")
    return found


def _entries(table: bytes) -> tuple[E820Entry, ...]:
    whole = table[: len(table) // _E820_SIZE * _E820_SIZE]
    return tuple(E820Entry(start, start + size, kind) for start, size, kind in iter_unpack("<QQI", whole) if size)


def _further_entries(path: Path) -> tuple[E820Entry, ...]:
    """The entries of setup_data nodes of type E820_EXT, which follow those of the parameters.

    Raises InputError for a node that can't be read, and for more entries than any machine has.
    """
    try:
        names = sorted((name for name in os.listdir(path) if name.isascii() and name.isdigit()), key=int)
    except OSError:
        return ()
    result: tuple[E820Entry, ...] = ()
    for name in names[:_NODES_LIMIT]:
        node = path / name
        if _type_of(node / "type") == _SETUP_E820_EXT:
            result += _entries(read_entry(node / "data", _NODE_LIMIT, "e820 entries"))
        if len(result) > _ENTRIES_LIMIT:
            raise InputError.single(str(path), f"has more than {_ENTRIES_LIMIT} e820 entries, too many for a map")
    return result


def _type_of(path: Path) -> int:
    text = read_entry(path, _TYPE_LIMIT, "the type of a setup_data node").decode("latin-1").strip()
    if not re.fullmatch(r"0x[0-9a-fA-F]{1,8}|[0-9]{1,10}", text):
        raise InputError.single(str(path), "is no number, expected the type of a setup_data node (0x1)")
    return int(text, 16) if text.startswith("0x") else int(text)
