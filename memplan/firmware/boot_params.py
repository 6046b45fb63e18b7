"""Reader of the boot parameters, /sys/kernel/boot_params: what the boot loader handed to the kernel.

The layout is that of Documentation/arch/x86/zero-page.rst and boot.rst.  Either the file ``data`` or the folder is
read; the folder also has the content of setup_data nodes, of which further e820 entries (type 1) are taken.
"""

from __future__ import annotations

import os
from pathlib import Path
from struct import iter_unpack, unpack_from

from memplan.errors import InputError
from memplan.firmware.source import Found, Source, open_source
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


def recognises(head: bytes) -> bool:
    """Whether these are the boot parameters: one page with the boot protocol's version and an e820 table."""
    return len(head) == SIZE and head[_PROTOCOL_AT] == _PROTOCOL and 0 < head[_COUNT_AT] <= _E820_MOST


def read(source: Source) -> Found:
    """What the parameters say."""
    return _read(source, ())


def recognises_folder(path: Path) -> bool:
    """Whether a folder is a boot_params tree."""
    try:
        with (path / "data").open("rb") as file:
            return recognises(file.read(SIZE + 1))
    except OSError:
        return False


def read_folder(path: Path) -> Found:
    """What the parameters and the setup_data nodes of a tree say."""
    return _read(open_source(path / "data"), _further_entries(path / "setup_data"))


def _read(source: Source, further: tuple[E820Entry, ...]) -> Found:
    data = source.head
    found = Found(source.name, "boot parameters")
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
    """The entries of setup_data nodes of type E820_EXT, which follow those of the parameters."""
    result: tuple[E820Entry, ...] = ()
    try:
        names = sorted((name for name in os.listdir(path) if name.isascii() and name.isdigit()), key=int)
        for name in names[:_NODES_LIMIT]:
            if int((path / name / "type").read_text("ascii"), 0) == _SETUP_E820_EXT:
                with (path / name / "data").open("rb") as file:
                    result += _entries(file.read(_NODE_LIMIT))
    except (OSError, ValueError):
        return result
    return result
