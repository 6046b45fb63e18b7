"""/sys/firmware/memmap: a tree, and the tree as one text."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memplan.errors import InputError
from memplan.firmware import memmap
from memplan.firmware.source import open_source, read_source
from memplan.machine.model import E820_NVS, E820_RAM, E820_RESERVED, E820_SOFT_RESERVED, E820Entry

#: As /sys/firmware/memmap of a virtual machine has it.
TREE = {
    0: ("0x0", "0x9fbff", "System RAM"),
    1: ("0x9fc00", "0xfffff", "Reserved"),
    2: ("0x100000", "0xbfffffff", "System RAM"),
    3: ("0xeec00000", "0xfebfffff", "reserved"),
    10: ("0xc0000000", "0xc0000fff", "ACPI Non-volatile Storage"),
    11: ("0x100000000", "0x63fffffff", "Soft Reserved"),
}
EXPECTED = (
    E820Entry(0, 0x9FC00, E820_RAM),
    E820Entry(0x9FC00, 0x100000, E820_RESERVED),
    E820Entry(0x100000, 0xC0000000, E820_RAM),
    E820Entry(0xC0000000, 0xC0001000, E820_NVS),
    E820Entry(0xEEC00000, 0xFEC00000, E820_RESERVED),
    E820Entry(0x100000000, 0x640000000, E820_SOFT_RESERVED),
)
FILES = ("start", "end", "type")


def tree(path: Path) -> Path:
    for number, values in TREE.items():
        (path / str(number)).mkdir(parents=True)
        for name, text in zip(FILES, values, strict=True):
            (path / str(number) / name).write_text(text + "\n")
    return path


def test_tree(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path)
    found = read_source(tree(tmp_path))
    assert found.kind == "firmware's memory map"
    assert found.facts["e820"].value == EXPECTED
    assert not found.facts["e820"].weak
    assert not found.problems


def test_tree_as_text(tmp_path: Path) -> None:
    grep = "".join(
        f"/sys/firmware/memmap/{number}/{name}:{text}\n"
        for number, values in TREE.items()
        for name, text in zip(FILES, values, strict=True)
    )
    tail = "".join(
        f"==> /sys/firmware/memmap/{number}/{name} <==\n{text}\n\n"
        for number, values in TREE.items()
        for name, text in zip(FILES, values, strict=True)
    )
    for text in (grep, tail):
        file = tmp_path / "memmap.txt"
        file.write_text(text)
        assert read_source(file).facts["e820"].value == EXPECTED


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    (tree(tmp_path) / "3" / "end").unlink()
    with pytest.raises(InputError, match="3/end: can't be read: No such file"):
        read_source(tmp_path)


def test_number_that_is_none(tmp_path: Path) -> None:
    (tree(tmp_path) / "2" / "start").write_text("1M\n")
    with pytest.raises(InputError, match="entry 2: start is '1M', expected a hexadecimal number"):
        read_source(tmp_path)


def test_damage(tmp_path: Path) -> None:
    (tree(tmp_path) / "2" / "end").write_text("0x1000\n")
    (tmp_path / "3" / "type").write_text("Sponge\n")
    found = read_source(tmp_path)
    assert [problem.message for problem in found.problems] == [
        "entry 2 ends at 0x1000, before its start 0x100000",
        "entry 3: the type 'Sponge' is unknown; it counts as reserved",
    ]
    assert found.facts["e820"].value == (*EXPECTED[:2], *EXPECTED[3:])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(32, 126)), min_size=1, max_size=12))
def test_no_text_raises_anything_else(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    text = bytearray(
        "".join(f"m/{n}/{name}:{text}\n" for n, v in TREE.items() for name, text in zip(FILES, v, strict=True)).encode()
    )
    for place, char in changes:
        text[place % len(text)] = char
    file = tmp_path / "mutated"
    file.write_bytes(text)
    try:
        memmap.read(open_source(file))
    except InputError:
        return


@pytest.mark.parametrize("kind", ["fifo", "device", "link", "folder", "long"])
def test_only_small_regular_files_are_read(kind: str, tmp_path: Path) -> None:
    entry = tree(tmp_path / "tree") / "1" / "end"
    entry.unlink()
    if kind == "fifo":
        os.mkfifo(entry)
    elif kind == "device":
        entry.symlink_to("/dev/zero")
    elif kind == "link":
        (tmp_path / "secret").write_text("secret")
        entry.symlink_to(tmp_path / "secret")
    elif kind == "folder":
        entry.mkdir()
    else:
        entry.write_bytes(b" " * 5000)
    with pytest.raises(InputError) as raised:
        read_source(tmp_path / "tree")
    assert str(raised.value).startswith(f"{entry}: is ")
    assert "secret: " not in str(raised.value)
