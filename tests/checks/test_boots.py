"""What rules on tables say that Linux prints is what real kernels printed when they booted with those tables.

``boots/tables-NAME.aml.xz`` are the tables that a guest was booted with (an SRAT, and what goes with it),
``boots/tables-NAME-VERSION.log.xz`` what the kernel of that version said.
"""

from __future__ import annotations

import lzma
import re
from functools import cache
from pathlib import Path

import pytest

from memplan.checks.model import Finding
from memplan.checks.run import Options, check_input

BOOTS = Path(__file__).parent / "boots"
VERSIONS = {"6.1": "debian-6.1.0-55-amd64", "6.12": "debian-6.12.107+deb12-amd64"}
#: The rule that finds what was wrong with each guest's tables; None where the kernel says nothing about it.
RULES = {
    "zero-length-subtable": ("MP109", "[SRAT:0x01] Invalid zero length"),
    "short-memory-entry": ("MP110", "ACPI: SRAT: SRAT not used."),
    "long-cpu-entry": ("MP110", "ACPI: SRAT: SRAT not used."),
    "checksum": ("MP102", "ACPI BIOS Warning (bug): Incorrect checksum in table [SRAT] - 0x8E"),
    "two-srats": ("MP114", ""),
    "revision-1": ("MP115", "ACPI: SRAT: Node 1 PXM 1 [mem 0x40000000-0x7fffffff]"),
    "initiator-off": ("MP116", ""),
    "cross-overlap": ("MP201", "overlaps with node 1 [mem 0x20000000-0x7ffdffff]"),
    "self-overlap": ("MP203", "Warning: node 1 [mem 0x40000000-0x7ffdffff] overlaps with itself"),
    "wrap": ("MP204", "Warning: invalid memblk node 1 [mem 0xffffffff00000000-0xffffffff]"),
    "zero-size": ("MP205", "ACPI: SRAT: Node 2 PXM 2 [mem 0x200000000-0x1ffffffff]"),
    "zero-size-at-0": ("MP205", "ACPI: SRAT: Node 2 PXM 2 [mem 0x00000000-0xffffffffffffffff]"),
    "none-enabled": ("MP211", "No NUMA configuration found"),
    "domain-too-high": ("MP214", "ACPI: SRAT: Too many proximity domains."),
    "cpu-domain-too-high": ("MP214", "SRAT: Too many proximity domains 1388"),
    "too-many-domains": ("MP214", "ACPI: SRAT: Too many proximity domains."),
    "too-many-ranges": ("MP215", "too many memblk ranges"),
    "slit-diagonal": ("MP301", "ACPI: SLIT table looks invalid. Not used."),
    "slit-off-diagonal": ("MP302", "ACPI: SLIT table looks invalid. Not used."),
    "hmat-revision": ("MP311", "acpi/hmat: Ignoring: Unknown revision:3"),
    "hmat-domain": ("MP312", "acpi/hmat: Ignoring: Invalid table"),
    "hmat-initiator": ("MP313", "acpi/hmat: Ignoring: Invalid table"),
    "hmat-list": ("MP314", "acpi/hmat: Unexpected locality header length:44, minimum required:56"),
    "cxl-windows": ("MP321", "cxl_acpi ACPI0017:00: CFMWS Base HPA not 256MB aligned"),
    "cfmws-too-many": ("MP325", "ACPI: ACPI NUMA: Too many proximity domains while processing CFMWS."),
}
_STAMP = re.compile(r"^\[[^]]*\] ?")


@cache
def log(name: str, version: str) -> tuple[str, ...]:
    """What the kernel printed, without time stamps."""
    text = lzma.decompress((BOOTS / f"tables-{name}-{version}.log.xz").read_bytes()).decode()
    return tuple(_STAMP.sub("", line).rstrip() for line in text.splitlines())


def findings(tmp_path: Path, name: str, version: str, *, whole: bool) -> list[Finding]:
    """What is found in the guest's tables: with the memory map of its log (`whole`), or in the tables alone."""
    table, boot = tmp_path / "tables.aml", tmp_path / "boot.log"
    table.write_bytes(lzma.decompress((BOOTS / f"tables-{name}.aml.xz").read_bytes()))
    boot.write_text("\n".join(line for line in log(name, version) if not line.startswith("ACPI: SRAT:")) + "\n")
    text = f"{boot}+{table}" if whole else str(table)
    report = check_input(text, Options(kernel=VERSIONS[version]))
    assert not report.problems, report.problems
    return [finding for finding in report.findings if finding.rule < "MP4"]


def test_each_boot_has_its_rule() -> None:
    assert {path.name for path in BOOTS.glob("tables-*.aml.xz")} == {f"tables-{name}.aml.xz" for name in RULES}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", RULES)
def test_the_kernel_prints_what_findings_say(name: str, version: str, tmp_path: Path) -> None:
    rule, line = RULES[name]
    found = findings(tmp_path, name, version, whole=True)
    assert [finding for finding in found if finding.rule == rule and line in finding.dmesg]
    for finding in found:
        assert any(finding.dmesg in said for said in log(name, version)), finding


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", RULES)
def test_tables_without_a_memory_map_tell_the_same(name: str, version: str, tmp_path: Path) -> None:
    rule, line = RULES[name]
    found = [finding for finding in findings(tmp_path, name, version, whole=False) if finding.rule == rule]
    assert found
    if name not in ("cross-overlap", "self-overlap"):  # where the line has ranges cut at the end of RAM
        assert [finding for finding in found if line in finding.dmesg]
        for finding in found:
            assert any(finding.dmesg in said for said in log(name, version)), finding


@pytest.mark.parametrize("version", VERSIONS)
def test_the_second_srat_is_not_read(version: str) -> None:
    assert "  node   1: [mem 0x0000000040000000-0x000000007ffdffff]" not in log("two-srats", version)


@pytest.mark.parametrize("version", VERSIONS)
def test_no_processor_is_read_behind_a_disabled_initiator(version: str, tmp_path: Path) -> None:
    told = [line for line in log("initiator-off", "6.1") if line.startswith("SRAT: PXM")]
    assert told == ["SRAT: PXM 0 -> APIC 0x00 -> Node 0"]
    assert "ACPI: SRAT: Node 1 PXM 1 [mem 0x40000000-0x7fffffff]" in log("initiator-off", version)


def test_an_old_kernel_is_quoted_in_its_own_words(tmp_path: Path) -> None:
    text = lzma.decompress((BOOTS / "srat-overlap-3.13.log.xz").read_bytes()).decode()
    boot = tmp_path / "boot.log"
    boot.write_text(text)
    report = check_input(str(boot), Options())
    (finding,) = (finding for finding in report.findings if finding.rule == "MP201")
    assert finding.dmesg.startswith("NUMA: node 0 ")
    assert finding.dmesg in {_STAMP.sub("", line).rstrip() for line in text.splitlines()}
