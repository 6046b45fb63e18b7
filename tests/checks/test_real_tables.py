"""Tables that Linux boots without complaint give no error, be they old, gapped or full of disabled entries.

The folder that MEMPLAN_REAL_TABLES names may hold tables of real machines (``iasl -d`` listings, acpidump texts or
binary tables); those are checked as well.  The made ones have the shapes of real ones.
"""

from __future__ import annotations

import os
from pathlib import Path
from struct import pack

import pytest

from memplan.checks.model import Finding
from memplan.checks.run import Options, check_input
from memplan.firmware.acpi_encode import encode_slit, encode_srat
from memplan.machine.model import CpuAffinity, MemoryAffinity, Srat
from memplan.units import GIB, KIB, MIB
from tests.boot import real

REAL = os.environ.get("MEMPLAN_REAL_TABLES", "")
FILES = sorted(path for path in Path(REAL).glob("*") if path.suffix != ".md") if REAL else []
CPUS = tuple(CpuAffinity(number, number % 2) for number in range(8))
TWO = (
    MemoryAffinity(0, 0, 640 * KIB),
    MemoryAffinity(0, MIB, 2 * GIB - MIB),
    MemoryAffinity(0, 4 * GIB, 6 * GIB),
    MemoryAffinity(1, 10 * GIB, 8 * GIB),
)
UNUSED = MemoryAffinity(0, 0, 0, enabled=False)
FOUR = tuple(MemoryAffinity(pxm, (pxm - 1) * 8 * GIB, 8 * GIB) for pxm in (1, 2, 3, 4))
FAR = tuple(tuple(10 if row == column else 20 for column in range(5)) for row in range(5))
SHAPES = {
    "revision 1": encode_srat(Srat(TWO, CPUS, revision=1)),
    "revision 2": encode_srat(Srat(TWO, CPUS, revision=2)),
    "31 of 35 entries disabled": encode_srat(Srat((*TWO, *(UNUSED,) * 31), CPUS)),
    "domains from 1 on, distances from 0 on": encode_srat(
        Srat(FOUR, tuple(CpuAffinity(number, number + 1) for number in range(4)))
    )
    + encode_slit(FAR),
    "a disabled entry with a length": encode_srat(
        Srat((*TWO, MemoryAffinity(0, 0xE0000000, 512 * MIB, enabled=False)), CPUS)
    ),
    "several ranges a domain, in turn": encode_srat(
        Srat(tuple(MemoryAffinity(number % 2, number * 4 * GIB, 4 * GIB) for number in range(8)), CPUS)
    ),
    "no memory enabled, one domain": encode_srat(Srat((UNUSED,) * 4, (CpuAffinity(0, 0),))),
    "the first megabyte whole": encode_srat(Srat((MemoryAffinity(0, 0, 4 * GIB),), (CpuAffinity(0, 0),))),
}


def found(text: str) -> list[Finding]:
    report = check_input(text, Options())
    assert not report.problems, report.problems
    return [finding for finding in report.findings if finding.rule < "MP4"]


def _swapped(table: bytes, at: int, value: int) -> bytes:
    """The table with another byte at `at`, and a right checksum."""
    changed = bytearray(table)
    changed[at] = value
    changed[9] = (changed[9] - sum(changed)) & 0xFF
    return bytes(changed)


SHAPES["compatibility field 0"] = _swapped(SHAPES["revision 1"], 36, 0)
SHAPES["something in a reserved field"] = _swapped(SHAPES["revision 2"], 48 + 8 * 16 + 24, 1)
SHAPES["a structure of a vendor"] = encode_srat(Srat(TWO, CPUS))[:4] + pack("<I", 48 + 8 * 16 + 4 * 40 + 16)
SHAPES["a structure of a vendor"] = _swapped(
    SHAPES["a structure of a vendor"] + encode_srat(Srat(TWO, CPUS))[8:] + pack("<BB14x", 0x80, 16), 8, 3
)


@pytest.mark.parametrize("shape", SHAPES)
def test_tables_of_normal_shapes_give_no_error(shape: str, tmp_path: Path) -> None:
    (tmp_path / "tables.aml").write_bytes(SHAPES[shape])
    findings = found(str(tmp_path / "tables.aml"))
    worst = {"warning", "info"} if shape == "no memory enabled, one domain" else {"info"}
    assert {finding.severity for finding in findings} <= worst, findings


@pytest.mark.parametrize("name", real.NAMES)
def test_what_is_an_error_the_kernel_complains_of(name: str, tmp_path: Path) -> None:
    boot = tmp_path / "boot.log"
    boot.write_text("\n".join(real.lines(name)) + "\n")
    for finding in found(str(boot)):
        assert finding.dmesg in real.lines(name) or not finding.dmesg, finding
        assert finding.dmesg or finding.severity != "error", finding


@pytest.mark.skipif(not FILES, reason="MEMPLAN_REAL_TABLES names no folder of real machines' tables")
def test_real_tables_give_no_error() -> None:
    for file in FILES:
        report = check_input(str(file), Options())
        assert not report.problems, report.problems
        assert not [finding for finding in report.findings if finding.severity == "error"], file
