"""Sources that hold more than any machine has are refused at their limits, and hold at them."""

from __future__ import annotations

import io
import lzma
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from memplan.errors import InputError
from memplan.firmware import acpi, blocks, iomem, memmap, memory_blocks
from memplan.firmware.acpi import read_tables
from memplan.firmware.acpi_encode import encode_srat
from memplan.firmware.combine import import_files
from memplan.firmware.source import SourceFacts, read_source
from memplan.machine.load import load_machine

SRAT = load_machine(Path(__file__).parents[2] / "examples" / "hotplug-nodes.yaml").srat


def source(path: Path, text: str | bytes) -> SourceFacts:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_source(path)


def memmap_text(count: int) -> str:
    return "".join(
        f"{number}/{what}:{value}\n"
        for number in range(count)
        for what, value in (
            ("end", hex(number * 0x1000 + 0xFFF)),
            ("start", hex(number * 0x1000)),
            ("type", "System RAM"),
        )
    )


def blocks_text(count: int) -> str:
    return "block_size_bytes:8000000\n" + "".join(f"memory{number}/state:online\n" for number in range(count))


def iomem_text(count: int) -> str:
    return "".join(
        f"{number * 0x1000:08x}-{number * 0x1000 + 0xFFF:08x} : System RAM\n" for number in range(1, count + 1)
    )


@pytest.mark.parametrize(
    ("module", "limit", "text", "message"),
    [
        (memmap, "_ENTRY_LIMIT", memmap_text, "more than 3 entries, too many for a map"),
        (blocks, "MOST_BLOCKS", blocks_text, "lists more than 3 blocks"),
        (iomem, "_LIMIT", iomem_text, "more than 3 lines, too many for /proc/iomem"),
    ],
)
def test_entries_beyond_the_limit(
    module: object,
    limit: str,
    text: Callable[[int], str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, limit, 3)
    assert source(tmp_path / "x", text(3)).facts
    with pytest.raises(InputError, match=message):
        source(tmp_path / "x", text(4))


def test_an_archive_of_more_files_than_a_tree_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_blocks, "_MOST_ENTRIES", 3)
    for count in (3, 6):
        with tarfile.open(tmp_path / "memory.tar", "w") as tar:
            for name, text in [
                ("block_size_bytes", b"8000000\n"),
                *((f"memory{n}/state", b"online\n") for n in range(count - 1)),
            ]:
                entry = tarfile.TarInfo(f"memory/{name}")
                entry.size = len(text)
                tar.addfile(entry, io.BytesIO(text))
        if count == 3:
            listing = read_source(tmp_path / "memory.tar").blocks
            assert listing is not None
            assert sum(one.last - one.first + 1 for one in listing.blocks) == 2
        else:
            with pytest.raises(InputError, match="holds more than 3 files"):
                read_source(tmp_path / "memory.tar")


def test_maps_of_which_nothing_is_whole(tmp_path: Path) -> None:
    backwards = "0/start:0x2000\n0/end:0x1000\n0/type:System RAM\n"
    with pytest.raises(InputError, match="no entry of the memory map is whole"):
        source(tmp_path / "x", backwards)
    found = source(tmp_path / "x", iomem_text(1) + "\nwords\n")
    assert [problem.line for problem in found.problems] == [3]


def test_files_among_tables_that_are_none(tmp_path: Path) -> None:
    assert SRAT is not None
    (tmp_path / "SRAT").write_bytes(encode_srat(SRAT))
    (tmp_path / "SLIT").write_text("no table\n")
    (tmp_path / "APIC").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("nothing\n")
    (tmp_path / "empty.txt").write_bytes(b"")
    assert [table.signature for table in read_tables(tmp_path)] == ["SRAT"]
    notes = "\n".join(read_source(tmp_path).notes)
    assert "SLIT: is no ACPI table, though it has a table's name" in notes
    assert "APIC: is empty" in notes
    assert "notes.txt" not in notes
    (tmp_path / "SRAT").unlink()
    with pytest.raises(InputError, match="APIC: is empty"):
        read_tables(tmp_path)
    (tmp_path / "none").mkdir()
    assert read_tables(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("signature", "body", "kind", "message"),
    [
        (b"SLIT", b"\0" * 4, "length", "a SLIT has at least 44 bytes, found 40"),
        (b"SRAT", b"\0" * 4, "length", "found 40"),
    ],
)
def test_tables_that_end_within_their_heads(
    signature: bytes, body: bytes, kind: str, message: str, tmp_path: Path
) -> None:
    head = signature + struct.pack("<IBB6s8sI4sI", 36 + len(body), 1, 0, b"A     ", b"B       ", 1, b"C   ", 1)
    data = bytearray(head + body)
    data[9] = -sum(data) & 0xFF
    (tmp_path / "x.aml").write_bytes(data)
    (table,) = read_tables(tmp_path / "x.aml")
    assert [(defect.kind, message in defect.message) for defect in table.defects] == [(kind, True)]


def test_sub_tables_beyond_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert SRAT is not None
    assert acpi.recognises(encode_srat(SRAT))
    monkeypatch.setattr("memplan.firmware.acpi_tables.ENTRY_LIMIT", 2)
    (tmp_path / "SRAT").write_bytes(encode_srat(SRAT))
    (table,) = read_tables(tmp_path / "SRAT")
    assert len(table.entries) == 2
    assert [defect.kind for defect in table.defects] == ["too-many-entries"]


def test_a_packed_file_that_asks_for_more_memory_than_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> bytes:
        raise MemoryError

    path = tmp_path / "boot.log.xz"
    path.write_bytes(lzma.compress(b"Linux version 6.1.0 (a@b) #1"))
    monkeypatch.setattr(lzma.LZMAFile, "read", refused)
    with pytest.raises(InputError, match=r"boot\.log\.xz: is packed by xz so that unpacking it takes more memory"):
        import_files([path])
