"""The boot parameters' page, laid out as Documentation/arch/x86/zero-page.rst says."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from memplan.errors import InputError
from memplan.firmware.source import read_source
from memplan.machine.model import E820_PMEM, E820_RAM, E820_RESERVED, E820Entry, Initrd

E820 = (
    E820Entry(0, 0x9FC00, E820_RAM),
    E820Entry(0x9FC00, 0x100000, E820_RESERVED),
    E820Entry(1 << 20, 1 << 32, E820_RAM),
)
EXTENDED = E820Entry(1 << 32, 1 << 33, E820_PMEM)


def entries(*ranges: E820Entry) -> bytes:
    return b"".join(struct.pack("<QQI", entry.start, entry.end - entry.start, entry.type) for entry in ranges)


def page(*, efi: bool = False, loadflags: int = 1) -> bytes:
    data = bytearray(4096)
    struct.pack_into("<Q", data, 0x70, 0xF0010)
    struct.pack_into("<II", data, 0xC0, 1, 0)
    data[0x1E8] = len(E820)
    data[0x202:0x208] = b"HdrS\x0f\x02"
    data[0x211] = loadflags
    struct.pack_into("<II", data, 0x218, 0x37000000, 0x123456)
    data[0x2D0 : 0x2D0 + 60] = entries(*E820)
    if efi:
        data[0x1C0:0x1C4] = b"EL64"
        struct.pack_into("<7I", data, 0x1C4, 0x7F000000, 48, 1, 0x78000000, 48 * 100, 0, 2)
        data[0x1EC] = 3
    return bytes(data)


def test_page(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(page())
    found = read_source(tmp_path / "data")
    assert found.kind == "boot parameters"
    assert {path: fact.value for path, fact in found.facts.items()} == {
        "e820": E820,
        "initrd": Initrd(1 << 32 | 0x37000000, 0x123456),
        "kernel.randomized": False,
        "acpi.rsdp": 0xF0010,
    }


def test_efi_and_kaslr(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(page(efi=True, loadflags=3))
    facts = read_source(tmp_path / "data").facts
    assert facts["efi.memmap"].value == (2 << 32 | 0x78000000, 4800)
    assert facts["efi.descriptor_size"].value == 48
    assert facts["efi.secure"].value is True
    assert facts["kernel.randomized"].value is True


def test_tree_with_more_entries(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(page())
    for number, kind, data in (("0", "0x3", b"rom"), ("1", "0x1", entries(EXTENDED))):
        node = tmp_path / "setup_data" / number
        node.mkdir(parents=True)
        (node / "type").write_text(kind + "\n")
        (node / "data").write_bytes(data)
    assert read_source(tmp_path).facts["e820"].value == (*E820, EXTENDED)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("type", "fifo", "is a FIFO"),
        ("type", "/dev/zero", "is a link"),
        ("type", "x", "is no number"),
        ("type", "٣", "is no number"),
        ("type", "1" * 5000, "is longer than 4096 bytes"),
        ("data", "/dev/zero", "is a link"),
        ("data", "fifo", "is a FIFO"),
        ("data", "missing", "can't be read: No such file or directory"),
    ],
)
def test_a_copied_tree_is_not_trusted(name: str, content: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(page())
    node = tmp_path / "setup_data" / "0"
    node.mkdir(parents=True)
    (node / "type").write_text("0x1\n")
    (node / name).unlink(missing_ok=True)
    if content == "fifo":
        os.mkfifo(node / name)
    elif content.startswith("/"):
        (node / name).symlink_to(content)
    elif content != "missing":
        (node / name).write_text(content)
    with pytest.raises(InputError) as raised:
        read_source(tmp_path)
    assert str(raised.value).startswith(f"{node / name}: {told}")


def test_the_page_itself_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "data")
    with pytest.raises(InputError, match="nothing that can be imported"):
        read_source(tmp_path)


def test_entries_have_a_limit(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(page())
    for number in range(3):
        node = tmp_path / "setup_data" / str(number)
        node.mkdir(parents=True)
        (node / "type").write_text("1")
        (node / "data").write_bytes(entries(EXTENDED) * 30_000)
    with pytest.raises(InputError, match="more than 65536 e820 entries"):
        read_source(tmp_path)
