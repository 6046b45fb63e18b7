"""``memplan export``: tables that iasl, and the import, read back as they were."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from memplan.cli.export import command
from memplan.errors import MemplanError
from memplan.firmware.source import read_source
from memplan.machine.load import load_machine

MACHINE = """\
e820:
  - {start: 0, end: 0x9fc00, type: usable}
  - {start: 0x100000, end: 0x280000000, type: usable}
srat:
  revision: 3
  memory:
    - {pxm: 0, base: 0, length: 3G}
    - {pxm: 1, base: 4G, length: 6G, hotplug: true}
    - {pxm: 300, base: 16G, length: 1G, nonvolatile: true, enabled: false}
  cpus:
    - {apic_id: 0, pxm: 0}
    - {apic_id: 4, pxm: 300, enabled: false}
    - {apic_id: 0x123, pxm: 1, x2apic: true}
  generic_initiators: [7]
acpi:
  slit: [[10, 21], [21, 10]]
"""


def export(tmp_path: Path, *args: str, text: str = MACHINE) -> Result:
    (tmp_path / "machine.yaml").write_text(text)
    return CliRunner().invoke(command, [str(tmp_path / "machine.yaml"), *args])


def test_import_reads_it_back(tmp_path: Path) -> None:
    srat, slit = tmp_path / "SRAT.aml", tmp_path / "SLIT.aml"
    srat.write_bytes(b"what stood there before")
    assert export(tmp_path, "--srat", str(srat), "--slit", str(slit)).exit_code == 0
    machine = load_machine(tmp_path / "machine.yaml")
    for path, field, value in ((srat, "srat", machine.srat), (slit, "acpi.slit", machine.acpi.slit)):
        found = read_source(path)
        assert found.facts[field].value == value
        assert not found.problems
    assert sorted(file.name for file in tmp_path.iterdir()) == ["SLIT.aml", "SRAT.aml", "machine.yaml"]


@pytest.mark.skipif(shutil.which("iasl") is None, reason="iasl (package acpica-tools) is not installed")
def test_iasl_reads_it_back(tmp_path: Path) -> None:
    assert export(tmp_path, "--srat", str(tmp_path / "SRAT.aml"), "--slit", str(tmp_path / "SLIT.aml")).exit_code == 0
    for name in ("SRAT", "SLIT"):
        done = subprocess.run(["iasl", "-d", f"{name}.aml"], cwd=tmp_path, check=True, capture_output=True, text=True)
        assert "checksum" not in (done.stdout + done.stderr).lower()
    listing = (tmp_path / "SRAT.dsl").read_text()

    def column(name: str) -> list[int]:
        return [int(found, 16) for found in re.findall(rf"\] +{re.escape(name)} : ([0-9A-F]+)", listing)]

    assert column("Subtable Type") == [0, 0, 2, 1, 1, 1, 5]
    assert column("Proximity Domain Low(8)") == [0, 300 & 0xFF]
    assert column("Proximity Domain High(24)") == [0, 1]
    assert column("Proximity Domain") == [1, 0, 1, 300, 7]
    assert column("Apic ID") == [0, 4, 0x123]
    assert column("Base Address") == [0, 4 << 30, 16 << 30]
    assert column("Address Length") == [3 << 30, 6 << 30, 1 << 30]
    assert column("Flags (decoded below)") == [1, 0, 1, 1, 3, 4, 1]
    assert "Locality   1 : 15 0A" in (tmp_path / "SLIT.dsl").read_text()
    assert read_source(tmp_path / "SRAT.dsl").facts["srat"].value == load_machine(tmp_path / "machine.yaml").srat


@pytest.mark.parametrize(
    ("args", "text", "message"),
    [
        ((), MACHINE, "nothing to write"),
        (("--srat", "{}/x", "--slit", "{}/x"), MACHINE, "the same file"),
        (("--srat", "{}/x"), "e820:\n  - {{start: 0, end: 1G, type: usable}}\n", "has no SRAT"),
        (("--slit", "{}/x"), "e820:\n  - {{start: 0, end: 1G, type: usable}}\n", "has no SLIT"),
        (("--srat", "{}/missing/x"), MACHINE, "can't be written: No such file or directory"),
        (("--srat", "{}/x"), MACHINE.replace("revision: 3", "revision: 1"), "domain 300 does not fit"),
        (("--srat", "{}/x"), MACHINE.replace("apic_id: 4", "apic_id: 400"), "needs an x2APIC entry"),
    ],
)
def test_what_can_not_be_written(tmp_path: Path, args: tuple[str, ...], text: str, message: str) -> None:
    text = text.replace("{{", "{").replace("}}", "}")
    result = export(tmp_path, *(arg.replace("{}", str(tmp_path)) for arg in args), text=text)
    assert isinstance(result.exception, MemplanError)
    assert message in str(result.exception)
    assert [file.name for file in tmp_path.iterdir()] == ["machine.yaml"]


def test_device_is_written_to_and_stays(tmp_path: Path) -> None:
    assert export(tmp_path, "--srat", "/dev/null").exit_code == 0
    assert Path("/dev/null").is_char_device()
