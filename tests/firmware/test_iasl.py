"""Listings of iasl, in its three layouts."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memplan.errors import InputError
from memplan.firmware import iasl
from memplan.firmware.acpi import read_tables
from memplan.firmware.source import SourceFacts, open_source, read_source
from memplan.machine.model import Srat
from tests.firmware.test_acpi import DATA as BINARY
from tests.firmware.test_acpi import SRAT

DATA = Path(__file__).parent / "data" / "iasl"
_OLD = re.compile(r"^\[([0-9A-F]+h \d+) +(\d+)\]", re.MULTILINE)


def listing(text: str, tmp_path: Path) -> SourceFacts:
    file = tmp_path / "listing.dsl"
    file.write_text(text, encoding="latin-1")
    return read_source(file)


def without_raw_data(text: str) -> str:
    return re.sub(r"^ *(Raw Table Data.*|[0-9A-F]{4}: .*)\n", "", text, flags=re.MULTILINE)


def newer(text: str) -> str:
    """The layout since 2022, which has sizes in hexadecimal too."""
    return _OLD.sub(lambda found: f"[{found[1]} {int(found[2]):03X}h]", text)


@pytest.mark.parametrize("name", ["srat.dsl", "srat.asl"])
def test_listing_and_source_say_the_same(name: str) -> None:
    found = read_source(DATA / name)
    assert found.kind == "iasl listing"
    assert found.facts["srat"].value == SRAT
    assert not found.problems


@pytest.mark.parametrize("layout", [str, newer])
@pytest.mark.parametrize("raw", [str, without_raw_data])
def test_layouts(layout, raw, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    found = listing(layout(raw((DATA / "machine.dsl").read_text())), tmp_path)
    assert found.facts["srat"].value == SRAT
    slit = found.facts["acpi.slit"].value
    assert isinstance(slit, tuple)
    assert slit[19][16:] == (0x17, 0x16, 0x10, 0x0A)
    assert found.facts["acpi.ioapics"].value == 1
    assert not found.problems


def test_several_tables_are_those_that_were_listed() -> None:
    tables = iasl.tables(open_source(DATA / "machine.dsl"))
    assert [table.data for table in tables] == [
        (BINARY / f"{name}.aml").read_bytes() for name in ("apic", "slit", "srat")
    ]
    assert not any(table.defects for table in tables)


def test_raw_flags_count_not_the_lines_that_explain_them(tmp_path: Path) -> None:
    text = (DATA / "srat.asl").read_text().replace("Hot Pluggable : 1", "Hot Pluggable : 0")
    assert listing(text, tmp_path).facts["srat"].value == SRAT
    text = text.replace(": 00000003", ": 0000000B")
    found = listing(text, tmp_path)
    assert found.facts["srat"].value == SRAT
    assert not found.problems


def test_edited_listing_is_told_with_its_line(tmp_path: Path) -> None:
    text = (
        (DATA / "srat.dsl").read_text().replace("Flags (decoded below) : 00000003", "Flags (decoded below) : 00000001")
    )
    (problem,) = listing(text, tmp_path).problems
    assert "byte 0xac: this field is 00000001, the raw data say 00000003" in problem.message
    assert text.splitlines()[problem.line - 1].startswith("[0ACh")


def test_listing_without_raw_data_is_checked(tmp_path: Path) -> None:
    text = without_raw_data((DATA / "srat.dsl").read_text())
    changed = text.replace("Flags (decoded below) : 00000003", "Flags (decoded below) : 00000001")
    (problem,) = listing(changed, tmp_path).problems
    assert "checksum" in problem.message
    lines = text.splitlines(keepends=True)
    problems = listing("".join(lines[:90]), tmp_path).problems
    assert "the header says 314 bytes" in problems[0].message


def test_value_that_is_no_number(tmp_path: Path) -> None:
    text = (DATA / "srat.asl").read_text().replace("0000000140000000", "five GiB")
    with pytest.raises(InputError, match="expected 8 bytes in hex, found 'five GiB'") as error:
        listing(text, tmp_path)
    assert error.value.problems[0].line == text[: text.index("five GiB")].count("\n") + 1


def test_missing_rows(tmp_path: Path) -> None:
    text = re.sub(r"^    0040: .*\n", "", (DATA / "srat.dsl").read_text(), flags=re.MULTILINE)
    with pytest.raises(InputError, match="rows are missing"):
        listing(text, tmp_path)


def test_source_that_ends_in_its_header(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs 8 bytes, found 4"):
        listing('[0004]  Signature : "SRAT"\n', tmp_path)


def test_table_beyond_all_bounds(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no table is that long"):
        listing('[000h 0000   4]  Signature : "SRAT"\n[FFFFFFF0h 4294967280   8]  Base Address : 00\n', tmp_path)


def test_endless_listing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iasl, "WHOLE_LIMIT", 20_000)
    with pytest.raises(InputError, match="holds more than ACPI tables can"):
        listing((DATA / "srat.dsl").read_text(), tmp_path)


def test_last_table_cut_in_its_header(tmp_path: Path) -> None:
    found = listing((DATA / "srat.dsl").read_text() + '[000h 0000   4]    Signature : "SLIT"\n', tmp_path)
    assert found.facts["srat"].value == SRAT
    assert "needs 8 bytes, found 4" in found.problems[0].message


def test_other_tables_are_passed_over(tmp_path: Path) -> None:
    other = '[000h 0000   4]    Signature : "HPET"\n[024h 0036  12]   Register : [Generic Address Structure]\n'
    found = listing(other + (DATA / "srat.dsl").read_text(), tmp_path)
    assert found.facts["srat"].value == SRAT
    assert not found.problems


@pytest.mark.skipif(shutil.which("iasl") is None, reason="iasl (package acpica-tools) is not installed")
def test_what_the_installed_iasl_lists(tmp_path: Path) -> None:
    for name in ("srat", "slit", "apic", "hmat", "msct"):
        shutil.copy(BINARY / f"{name}.aml", tmp_path / f"{name}.dat")
        subprocess.run(["iasl", "-d", f"{name}.dat"], cwd=tmp_path, check=True, capture_output=True)
        problems: list[object] = []
        (table,) = iasl.tables(open_source(tmp_path / f"{name}.dsl"), problems)  # type: ignore[arg-type]
        assert table.data == (BINARY / f"{name}.aml").read_bytes()
        assert not problems


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 9000), st.integers(32, 126)), min_size=1, max_size=12))
def test_no_text_raises_anything_else(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    text = bytearray((DATA / "srat.dsl").read_bytes())
    for place, char in changes:
        text[place % len(text)] = char
    file = tmp_path / "mutated.dsl"
    file.write_bytes(text)
    if not iasl.recognises(bytes(text)):
        return
    try:
        found = iasl.read(open_source(file))
    except InputError:
        return
    assert all(isinstance(fact.value, Srat) for path, fact in found.facts.items() if path == "srat")


HMAT = """
/* written by hand: the compiler fills in length and checksum */
[0004]                   Signature : "HMAT"
[0004]                Table Length : 00000000
[0001]                    Revision : 02
[0001]                    Checksum : 00
[0006]                      Oem ID : "OWN   "
[0008]                Oem Table ID : "MEMORY  "
[0004]                Oem Revision : 00000001
[0004]             Asl Compiler ID : "INTL"
[0004]       Asl Compiler Revision : 20200925
[0004]                    Reserved : 00000000

[0002]              Structure Type : 0000 [Memory Proximity Domain Attributes]
[0002]                    Reserved : 0000
[0004]                      Length : 00000028
[0002]                       Flags : 0001
[0002]                   Reserved1 : 0000
[0004]  Initiator Proximity Domain : 00000001
[0004]     Memory Proximity Domain : 00000002
[0004]                   Reserved2 : 00000000
[0008]                   Reserved3 : 0000000000000000
[0008]                   Reserved4 : 0000000000000000

[0002]              Structure Type : 0001 [System Locality Latency and Bandwidth Information]
[0002]                    Reserved : 0000
[0004]                      Length : 00000032
[0001]                       Flags : 00
[0001]                   Data Type : 00
[0001]           Min Transfer Size : 00
[0001]                   Reserved1 : 00
[0004]    Initiator Proximity Domains # : 00000001
[0004]       Target Proximity Domains # : 00000002
[0004]                   Reserved2 : 00000000
[0008]             Entry Base Unit : 0000000000000064
[0004] Initiator Proximity Domain List : 00000001
[0004]    Target Proximity Domain List : 00000001
[0004]    Target Proximity Domain List : 00000002
[0002]                       Entry : 000A
[0002]                       Entry : 0014
[0002]                       Entry : 0000
"""


@pytest.mark.parametrize("layout", ["sizes", "nothing", "comments"])
def test_a_source_of_memory_attributes(layout: str, tmp_path: Path) -> None:
    text = HMAT
    if layout != "sizes":
        text = re.sub(r"^\[\d{4}\] *", "", text, flags=re.MULTILINE)
    if layout == "comments":
        text = text.replace("\n\n", "\n// the next one\n\n/* a structure\n   of two lines */\n")
    path = tmp_path / "hmat.dsl"
    path.write_text(text)
    (table,) = read_tables(path)
    assert not table.defects
    assert [(entry.type, entry.length) for entry in table.entries] == [(0, 40), (1, 50)]
    assert table.data[-14:-6] == bytes.fromhex("0100000002000000")
    assert table.data[-6:] == bytes.fromhex("0a0014000000")
