"""acpidump's text: all tables of a machine, with their addresses."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memplan.errors import InputError
from memplan.firmware import acpidump
from memplan.firmware.acpi_encode import encode_table
from memplan.firmware.source import SourceFacts, open_source, read_source
from memplan.machine.model import AcpiTable
from tests.firmware.test_acpi import DATA as BINARY
from tests.firmware.test_acpi import SRAT

#: Written by acpidump (acpica-tools 20200925) from srat.aml.
DUMP = Path(__file__).parent / "data" / "acpidump" / "srat.txt"


def dump(signature: str, address: int, data: bytes) -> str:
    """A table as acpidump writes it."""
    rows = [f"{signature} @ 0x{address:016X}"]
    for at in range(0, len(data), 16):
        part = data[at : at + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        rows.append(f"    {at:04X}: {' '.join(f'{byte:02X}' for byte in part):<47}  {text}")
    return "\n".join([*rows, "", ""])


def table(signature: str, body: bytes) -> bytes:
    return encode_table(signature, 1, body, b"OEM   ", b"TABLE   ", 1)


def read(text: str, tmp_path: Path) -> SourceFacts:
    file = tmp_path / "acpi.txt"
    file.write_text(text)
    return read_source(file)


def test_dump_of_acpidump(tmp_path: Path) -> None:
    assert DUMP.read_text().rstrip() == dump("SRAT", 0, (BINARY / "srat.aml").read_bytes()).rstrip()
    found = read_source(DUMP)
    assert found.kind == "acpidump"
    assert found.facts["srat"].value == SRAT
    assert "acpi.tables" not in found.facts
    assert not found.problems


def test_places_in_the_root_tables_order(tmp_path: Path) -> None:
    fadt = bytearray(table("FACP", bytes(244 - 36)))
    struct.pack_into("<II", fadt, 36, 0x7000, 0x8000)
    fadt[9] = (fadt[9] - sum(fadt)) & 0xFF
    xsdt = table("XSDT", struct.pack("<QQQ", 0x3000, 0x2000, 0x5000))
    srat, apic, dsdt = (BINARY / "srat.aml").read_bytes(), (BINARY / "apic.aml").read_bytes(), table("DSDT", b"code")
    facs = b"FACS" + struct.pack("<I", 64) + bytes(56)
    found = read(
        dump("DSDT", 0x8000, dsdt)
        + dump("FACS", 0x7000, facs)
        + dump("APIC", 0x2000, apic)
        + dump("FACP", 0x3000, bytes(fadt))
        + dump("RSDP", 0xF0010, b"RSD PTR " + bytes(28))
        + dump("SRAT", 0x5000, srat)
        + dump("XSDT", 0x1000, xsdt),
        tmp_path,
    )
    assert found.facts["acpi.tables"].value == (
        AcpiTable("FACP", 0x3000, 244),
        AcpiTable("DSDT", 0x8000, 40),
        AcpiTable("FACS", 0x7000, 64),
        AcpiTable("APIC", 0x2000, len(apic)),
        AcpiTable("SRAT", 0x5000, len(srat)),
    )
    assert found.facts["acpi.rsdp"].value == 0xF0010
    assert found.facts["acpi.hpet"].value is False
    assert found.facts["srat"].origin.endswith("SRAT")
    assert not found.problems


def test_heading_without_rows(tmp_path: Path) -> None:
    found = read("XSDT @ 0x0000000000001000\n" + DUMP.read_text(), tmp_path)
    assert found.facts["srat"].value == SRAT


def test_damage_has_line_and_byte(tmp_path: Path) -> None:
    text = DUMP.read_text().replace("0060: 00 00", "0060: 01 00")
    (problem,) = read(text, tmp_path).problems
    assert "byte 0x9: the checksum" in problem.message
    assert problem.line == 2


def test_missing_row(tmp_path: Path) -> None:
    lines = [line for line in DUMP.read_text().splitlines() if not line.startswith("    0030:")]
    with pytest.raises(InputError, match="for byte 0x40, expected 0x30: rows are missing") as error:
        read("\n".join(lines), tmp_path)
    assert error.value.problems[0].line == 5


def test_truncated_dump(tmp_path: Path) -> None:
    lines = DUMP.read_text().splitlines()
    (problem,) = read("\n".join(lines[:10]), tmp_path).problems
    assert "the header says 314 bytes, 144 are there" in problem.message
    with pytest.raises(InputError, match="header has 36 bytes, found 16"):
        read("\n".join(lines[:2]), tmp_path)


def test_endless_dump_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acpidump, "WHOLE_LIMIT", 1000)
    with pytest.raises(InputError, match="holds more than ACPI tables can") as error:
        read(DUMP.read_text(), tmp_path)
    assert error.value.problems[0].line == 17


def test_last_table_cut_in_its_header(tmp_path: Path) -> None:
    found = read(DUMP.read_text() + "\nSLIT @ 0x0000000000000000\n    0000: 53 4C 49 54 6C 00 00 00\n", tmp_path)
    assert found.facts["srat"].value == SRAT
    assert "header has 36 bytes, found 8" in found.problems[0].message


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(32, 126)), min_size=1, max_size=12))
def test_no_text_raises_anything_else(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    text = bytearray(DUMP.read_bytes())
    for place, char in changes:
        text[place % len(text)] = char
    file = tmp_path / "mutated.txt"
    file.write_bytes(text)
    if not acpidump.recognises(bytes(text)):
        return
    try:
        acpidump.read(open_source(file))
    except InputError:
        return
