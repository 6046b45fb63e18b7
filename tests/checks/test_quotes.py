"""What findings say that Linux prints, it printed: every quoted line stands in the boot's own log."""

import lzma
import re
from pathlib import Path

import pytest

from memplan.checks.run import Options, check_input

BOOTS = Path(__file__).parent.parent / "boots"
STAMP = re.compile(r"^\[ *\d+\.\d+\] ?")


@pytest.mark.parametrize("path", sorted(BOOTS.glob("*.log.xz")), ids=lambda path: path.name.removesuffix(".log.xz"))
def test_quoted_lines_stand_in_the_log(path: Path, tmp_path: Path) -> None:
    text = lzma.decompress(path.read_bytes()).decode()
    log = tmp_path / "boot.log"
    log.write_text(text)
    report = check_input(str(log), Options())
    assert not report.problems
    printed = {STAMP.sub("", line).strip() for line in text.splitlines()}
    quoted = [finding.dmesg for finding in report.findings if finding.dmesg]
    assert [line for line in quoted if line.strip() not in printed] == []


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("srat-uncovered-3.13", "MP401"),
        ("srat-uncovered-6.1", "MP401"),
        ("srat-uncovered-6.12", "MP401"),
        ("hot1-blocked-by-acpi-6.12", "MP603"),
        ("hot1-blocked-by-acpi-6.12", "MP605"),
    ],
)
def test_a_boot_with_lying_firmware_is_told(name: str, rule: str, tmp_path: Path) -> None:
    log = tmp_path / "boot.log"
    log.write_bytes(lzma.decompress((BOOTS / f"{name}.log.xz").read_bytes()))
    found = [finding for finding in check_input(str(log), Options()).findings if finding.rule == rule]
    assert found
    assert all(finding.dmesg for finding in found) or rule != "MP401"
