"""Binary ACPI tables: what was compiled by iasl comes back, and damage is told with its place."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memplan.errors import InputError
from memplan.firmware.acpi import folder_tables, parse_tables, read_tables
from memplan.firmware.acpi_encode import encode_slit, encode_srat, encode_table
from memplan.firmware.acpi_facts import found_of
from memplan.firmware.acpi_tables import RawTable
from memplan.firmware.source import SourceFacts, read_source
from memplan.machine.model import CpuAffinity, CxlWindow, MemoryAffinity, Srat

DATA = Path(__file__).parent / "data" / "acpi"
#: What tests/firmware/data/iasl/srat.asl says; iasl made srat.aml of it.
SRAT = Srat(
    memory=(
        MemoryAffinity(0x10203, 0, 0xC0000000),
        MemoryAffinity(1, 0x100000000, 0x140000000, hotplug=True),
        MemoryAffinity(4, 0x240000000, 0x40000000, nonvolatile=True),
        MemoryAffinity(0, 0, 0, enabled=False),
    ),
    cpus=(CpuAffinity(7, 0x10203), CpuAffinity(2, 1, enabled=False), CpuAffinity(0x123, 1, x2apic=True)),
    generic_initiators=(6,),
    revision=3,
)


def value(found: SourceFacts, path: str) -> object:
    return found.facts[path].value


def one(data: bytes) -> RawTable:
    (table,) = parse_tables(data, "table")
    return table


def with_checksum(data: bytes) -> bytes:
    table = bytearray(data)
    table[9] = (table[9] - sum(table)) & 0xFF
    return bytes(table)


def madt(*entries: bytes, revision: int = 3) -> bytes:
    return encode_table(
        "APIC", revision, struct.pack("<II", 0xFEE00000, 1) + b"".join(entries), b"OEM   ", b"TABLE   ", 1
    )


def lapic(apic_id: int, flags: int = 1) -> bytes:
    return struct.pack("<BBBBI", 0, 8, apic_id, apic_id, flags)


def x2apic(apic_id: int, flags: int = 1) -> bytes:
    return struct.pack("<BBHIII", 9, 16, 0, apic_id, flags, apic_id)


def test_srat_of_iasl() -> None:
    found = read_source(DATA / "srat.aml")
    assert found.kind == "ACPI table"
    assert value(found, "srat") == SRAT
    assert not found.problems
    assert any("GICC" in note for note in found.notes)


def test_slit_of_iasl() -> None:
    matrix = value(read_source(DATA / "slit.aml"), "acpi.slit")
    assert isinstance(matrix, tuple)
    assert len(matrix) == 20
    assert matrix[0][:4] == (0x0A, 0x10, 0x16, 0x17)
    assert matrix[19][16:] == (0x17, 0x16, 0x10, 0x0A)


def test_madt_of_iasl() -> None:
    table = one((DATA / "apic.aml").read_bytes())
    names = [entry.name for entry in table.entries]
    assert names[:3] == ["Processor Local APIC", "I/O APIC", "Interrupt Source Override"]
    assert not table.defects


def test_hmat_of_iasl() -> None:
    table = one((DATA / "hmat.aml").read_bytes())
    attributes, locality, cache = table.entries
    assert attributes["memory_pxm"] == 0
    assert (locality["initiators"], locality["targets"], locality.items) == (1, 1, (0,))
    assert cache["handles"] == 1
    assert not table.defects


def test_msct_of_iasl() -> None:
    table = one((DATA / "msct.aml").read_bytes())
    assert table.values["max_pxms"] == 3
    first = table.entries[0]
    assert (first["start"], first["end"], first["memory"]) == (0, 3, 0x4000000000)
    assert len(table.entries) == 4
    assert not table.defects


def test_cedt_windows() -> None:
    # Structures of CXL 3.0, 9.17.1: a host bridge, and a window of two ways over hosts 7 and 8.
    chbs = struct.pack("<BBHIIIQQ", 0, 0, 32, 7, 1, 0, 0xFE000000, 0x10000)
    cfmws = struct.pack("<BBHIQQBBHIHHII", 1, 0, 44, 0, 0x1050000000, 0x40000000, 1, 0, 0, 0, 6, 0, 7, 8)
    table = one(encode_table("CEDT", 1, chbs + cfmws, b"OEM   ", b"TABLE   ", 1))
    assert not table.defects
    assert table.entries[1].items == (7, 8)
    assert value(found_of("cedt", "table", [table]), "acpi.cxl_windows") == (CxlWindow(0x1050000000, 0x40000000),)


def test_cedt_window_without_its_targets() -> None:
    cfmws = struct.pack("<BBHIQQBBHIHHI", 1, 0, 40, 0, 0, 0x10000000, 2, 0, 0, 0, 6, 0, 7)
    (defect,) = one(encode_table("CEDT", 1, cfmws, b"OEM   ", b"TABLE   ", 1)).defects
    assert (defect.kind, defect.offset) == ("subtable-length", 36)


def test_cpus_that_can_come() -> None:
    data = madt(lapic(4), lapic(0), lapic(6, 0), lapic(0xFF, 0), lapic(8, 2), x2apic(4), x2apic(0x100))
    found = found_of("madt", "table", [one(data)])
    assert value(found, "cpus.apic_ids") == (4, 0, 0x100)
    assert value(found, "cpus.possible") == 3
    assert "2 disabled CPUs" in found.notes[0]


def test_online_capable_cpus_count_since_acpi_6_3() -> None:
    found = found_of("madt", "table", [one(madt(lapic(0), lapic(2, 2), lapic(4, 0), revision=5))])
    assert (value(found, "cpus.present"), value(found, "cpus.possible")) == (1, 2)
    assert value(found, "cpus.apic_ids") == (0, 2)


def test_revision_1_has_8_bits_of_domain() -> None:
    data = bytearray((DATA / "srat.aml").read_bytes())
    data[8] = 1
    found = found_of("srat", "table", [one(with_checksum(bytes(data)))])
    srat = value(found, "srat")
    assert isinstance(srat, Srat)
    assert srat.memory[0].pxm == 3
    assert srat.cpus[0].pxm == 3
    assert any("low 8 bits" in note and "byte 0x30" in note for note in found.notes)
    assert not found.problems


@pytest.mark.parametrize(
    ("change", "kind", "offset"),
    [
        (lambda data: data[:9] + b"\x00" + data[10:], "checksum", 9),
        (lambda data: data[:200], "length", 4),
        (lambda data: data + b"rubbish", "length", 314),
        (lambda data: with_checksum(data[:0x31] + b"\x00" + data[0x32:]), "zero-length-subtable", 0x30),
        (lambda data: with_checksum(data[:0x31] + b"\x11" + data[0x32:]), "subtable-length", 0x30),
        (lambda data: with_checksum(data[: -32 + 1] + b"\x30" + data[-30:]), "overrun", 314 - 32),
    ],
)
def test_damage_is_told_with_its_byte(change, kind: str, offset: int) -> None:  # type: ignore[no-untyped-def]
    table = one(change((DATA / "srat.aml").read_bytes()))
    assert (kind, offset) in [(defect.kind, defect.offset) for defect in table.defects]
    found = found_of("srat", "table", [table])
    assert any(f"byte {offset:#x}" in problem.message for problem in found.problems)


def test_faults_of_form_are_no_damage() -> None:
    # Real firmware has a reserved field set, and unknown types; Linux takes no notice.
    data = bytearray((DATA / "srat.aml").read_bytes())
    data[0x68 + 24] = 1
    data[0x68 + 28 + 3] = 0x80
    table = one(with_checksum(bytes(data)))
    assert {(defect.kind, defect.offset) for defect in table.defects} == {
        ("reserved-field", 0x68 + 24),
        ("reserved-bits", 0x68 + 28),
    }
    assert not found_of("srat", "table", [table]).problems
    unknown = one(madt(lapic(0), b"\x7f\x04ab"))
    assert [(defect.kind, defect.offset) for defect in unknown.defects] == [("unknown-type", 52)]
    assert not found_of("madt", "table", [unknown]).problems


def test_tables_one_behind_the_other(tmp_path: Path) -> None:
    file = tmp_path / "all.dat"
    file.write_bytes((DATA / "srat.aml").read_bytes() + (DATA / "slit.aml").read_bytes())
    assert [(table.signature, table.offset) for table in read_tables(file)] == [("SRAT", 0), ("SLIT", 314)]


def test_second_srat_is_not_used() -> None:
    first, second = (DATA / "srat.aml").read_bytes(), encode_srat(Srat())
    found = found_of("two", "table", parse_tables(first + second, "two"))
    assert value(found, "srat") == SRAT
    assert any("further SRAT" in note and "0x13a" in note for note in found.notes)


def test_damage_in_a_table_that_tells_nothing_is_noted() -> None:
    broken = bytearray(encode_table("OEMX", 1, b"body", b"OEM   ", b"TABLE   ", 1))
    broken[40 - 1] ^= 0xFF
    found = found_of("two", "table", parse_tables(bytes(broken) + (DATA / "srat.aml").read_bytes(), "two"))
    assert not found.problems
    assert any("OEMX, byte 0x9: the checksum" in note for note in found.notes)


def test_folder(tmp_path: Path) -> None:
    (tmp_path / "SRAT").write_bytes((DATA / "srat.aml").read_bytes())
    (tmp_path / "SLIT").write_bytes((DATA / "slit.aml").read_bytes())
    for name in ("SSDT10", "SSDT2"):
        (tmp_path / name).write_bytes(encode_table("SSDT", 2, name.encode(), b"OEM   ", b"TABLE   ", 1))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "BERT").write_bytes(b"\xff" * 64)
    (tmp_path / "dynamic").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "APIC")
    tables = folder_tables(tmp_path)
    assert [table.data[36:].decode() for table in tables if table.signature == "SSDT"] == ["SSDT2", "SSDT10"]
    found = read_source(tmp_path)
    assert value(found, "srat") == SRAT
    assert "acpi.slit" in found.facts
    assert not found.problems


def test_folder_with_what_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "SRAT").write_bytes(b"not a table")
    with pytest.raises(InputError, match="SRAT: is no ACPI table"):
        read_source(tmp_path)
    (tmp_path / "SLIT").write_bytes((DATA / "slit.aml").read_bytes())
    assert any("SRAT: is no ACPI table" in note for note in read_source(tmp_path).notes)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"SRAT\x00\x01\x00\x00\x03", "header has 36 bytes, found 9"),
        (b"SRAT\x01", "needs 8 bytes, found 5"),
        (b"SRAT", "not recognised"),
        (b"", "is empty"),
    ],
)
def test_truncated_header(tmp_path: Path, data: bytes, message: str) -> None:
    file = tmp_path / "table"
    file.write_bytes(data)
    with pytest.raises(InputError, match=message):
        read_source(file)


def test_huge_file_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "SRAT.bin"
    with file.open("wb") as stream:
        stream.write((DATA / "srat.aml").read_bytes())
        stream.truncate(2 << 30)
    with pytest.raises(InputError, match="too long"):
        read_source(file)


PXMS = st.integers(0, 0xFFFFFFFF)
U64 = st.integers(0, (1 << 64) - 1)
SRATS = st.builds(
    Srat,
    memory=st.lists(
        st.builds(MemoryAffinity, PXMS, U64, U64, st.booleans(), st.booleans(), st.booleans()), max_size=6
    ).map(tuple),
    cpus=st.lists(
        st.builds(CpuAffinity, st.integers(0, 255), PXMS, st.booleans())
        | st.builds(CpuAffinity, PXMS, PXMS, st.booleans(), st.just(True)),
        max_size=6,
    ).map(tuple),
    generic_initiators=st.lists(PXMS, max_size=3).map(tuple),
    revision=st.integers(2, 255),
)


@given(SRATS)
def test_encoded_srat_comes_back(srat: Srat) -> None:
    table = one(encode_srat(srat))
    assert not table.defects
    assert value(found_of("srat", "table", [table]), "srat") == srat


@given(st.integers(0, 12).flatmap(lambda n: st.lists(st.binary(min_size=n, max_size=n), min_size=n, max_size=n)))
def test_encoded_slit_comes_back(rows: list[bytes]) -> None:
    table = one(encode_slit([list(row) for row in rows]))
    assert not table.defects
    assert table.matrix == tuple(tuple(row) for row in rows)


@given(
    st.sampled_from(("srat", "slit", "apic", "hmat", "msct")),
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 255)), min_size=1, max_size=8),
    st.integers(0, 500),
)
def test_no_bytes_raise_anything_else(name: str, changes: list[tuple[int, int]], length: int) -> None:
    data = bytearray((DATA / f"{name}.aml").read_bytes())
    for place, byte in changes:
        data[place % len(data)] = byte
    for mutated in (bytes(data), bytes(data[:length])):
        try:
            found_of("mutated", "table", parse_tables(mutated, "mutated"))
        except InputError:
            continue
