"""Whether KASLR can put the kernel into hot-pluggable memory, by the kernel that boots and the way that it does."""

from pathlib import Path

import pytest

from memplan.checks.run import Options, check_input

MAP = """e820:
- {start: 0x0, end: 0x9fbff, type: usable}
- {start: 0x100000, end: 0x7fffffff, type: usable}
- {start: 0x100000000, end: 0x17fffffff, type: usable}
srat:
  memory:
  - {pxm: 1, base: 4G, length: 2G, hotplug: true}
"""
STAYS = "  - {pxm: 0, base: 0, length: 2G}\n"
HOT = "  - {pxm: 0, base: 0, length: 2G, hotplug: true}\n"
DISABLED = "  - {pxm: 1, base: 4G, length: 2G, enabled: false}\n"
EFI = "efi: {memmap: {address: 0x70000000, length: 4800}}\n"


@pytest.mark.parametrize(
    ("build", "text", "found"),
    [
        ("lab-5.10.89", MAP + STAYS, False),
        ("lab-5.10.89", MAP + STAYS + DISABLED, True),
        ("lab-5.10.89", MAP + HOT, True),
        ("lab-5.10.89", MAP + STAYS + EFI, False),
        ("debian-6.1.0-55-amd64", MAP + STAYS + EFI, True),
        ("debian-6.12.107+deb12-amd64", MAP + STAYS + EFI, True),
        ("debian-6.12.107+deb12-amd64", MAP + STAYS + EFI + "cmdline: nokaslr\n", False),
        ("debian-6.12.107+deb12-amd64", MAP + STAYS + EFI + "cmdline: mem=6G\n", False),
        ("lab-3.13.10", MAP + STAYS + EFI, False),
    ],
)
def test_who_may_put_the_kernel_there(build: str, text: str, found: bool, tmp_path: Path) -> None:
    machine = tmp_path / "machine.yaml"
    machine.write_text(text)
    report = check_input(str(machine), Options(kernel=build))
    assert "MP801" in report.ran, (report.problems, report.left_out)
    assert any(finding.rule == "MP801" for finding in report.findings) == found
