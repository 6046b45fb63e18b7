"""``memplan kernel``: what it writes, what it says, and how it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from memplan.cli import main
from memplan.kernel.load import find_kernel
from tests.kernel.tiny import PACKERS, bzimage, elf


def run(*args: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["kernel", *args])
    return int(end.value.code or 0)


@pytest.fixture
def vmlinuz(tmp_path: Path) -> str:
    path = tmp_path / "vmlinuz"
    path.write_bytes(bzimage(PACKERS["xz"](elf())))
    return str(path)


def test_writes_a_kernel_file(vmlinuz: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "tiny.yaml"
    assert run("--vmlinuz", vmlinuz, "--set", "struct.zone=1600,gdb", "-o", str(target)) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("note: no configuration tells ")
    kernel = find_kernel(str(target))
    assert kernel.fact("struct.zone") == 1600
    assert kernel.sources["struct.zone"] == "gdb"
    assert kernel.fact("image.end") == 0x20000


def test_prints_the_same_without_a_file(vmlinuz: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "tiny.yaml"
    assert run("--vmlinuz", vmlinuz, "-o", str(target)) == 0
    capsys.readouterr()
    assert run("--vmlinuz", vmlinuz) == 0
    assert capsys.readouterr().out == target.read_text()


def test_name(vmlinuz: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("--vmlinuz", vmlinuz, "--name", "mine") == 0
    assert find_kernel("./mine.yaml").name == "mine"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "give --vmlinuz, or --system-map with --config"),
        (["--vmlinuz", "{vmlinuz}", "--name", "x", "-o", "y"], "--name and --output exclude each other"),
        (["--vmlinuz", "{vmlinuz}", "--name", "../x"], "--name: found '../x', expected a name without slashes"),
        (["--vmlinuz", "{vmlinuz}", "--name", "x\x1b[2J"], r"--name: found 'x\x1b[2J', expected a name"),
        (["--vmlinuz", "{vmlinuz}", "--set", "struct.page"], "--set struct.page: should be NAME=VALUE"),
        (["--vmlinuz", "{vmlinuz}", "--set", "struct.page=big"], "struct.page should be a number from 8 to"),
        (["--vmlinuz", "/no/vmlinuz"], "/no/vmlinuz: can't be read: No such file"),
        (["--vmlinuz", "/dev/zero"], "/dev/zero: is a character device, expected a bzImage or a vmlinux"),
        (["--vmlinuz", "{vmlinuz}", "--config", "/dev/zero"], "is a character device, expected a kernel configuration"),
        (["--vmlinuz", "{vmlinuz}", "--system-map", "/dev/zero"], "is a character device, expected a System.map"),
        (["--vmlinuz", "{vmlinuz}", "--btf", "/dev/zero"], "is a character device, expected type information"),
        (["--vmlinuz", "{vmlinuz}", "--release", "6.1\x1b"], "'6.1\\x1b' is no kernel release"),
        (["--vmlinuz", "{vmlinuz}", "--release", "6.1/../x"], "'6.1/../x' is no kernel release"),
    ],
)
def test_bad_usage(args: list[str], message: str, vmlinuz: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*(arg.format(vmlinuz=vmlinuz) for arg in args)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert "Traceback" not in err


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--list") == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = [" ".join(line.split()) for line in out.splitlines()]
    boots, traces, sources = "5.10.89, 5.10.262", "5.10.89", "5.10.7, 5.10.89, 5.10.262"
    assert f"5.10 real boots ({boots}); traces of memblock ({traces}); sources ({sources})" in lines
    assert any(line.startswith("5.13 interpolation: no source was read") for line in lines)
    assert any(line.startswith("debian-6.1.0-55-amd64 Linux 6.1.192") for line in lines)
    assert any(line.startswith("rhel-8 Red Hat Enterprise Linux 8") for line in lines)


def test_rules(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--rules", "6.8") == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[:2] == ["Linux 6.8.0", "note: Linux 6.8 means 6.8.0 here, the newest one of 6.8 that is known"]
    assert any(line.startswith("numa_coverage memblock 6.8 ff6c3d81f2e8 the test that RAM has nodes") for line in lines)
    assert "acpi_boot_table_init 5.12 1a1c130ab757" in lines


def test_rules_that_differ(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--rules", "5.10.89", "--against", "4.18.0-147.el8.x86_64") == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "Linux 4.18.0 with rhel-8's back-ports" in lines
    assert "initrd_half_limit yes no 5.10 3c45ee6dc7a1" in lines
    assert "mp_table_mapped yes no 5.2 not in 5.0.1, in 5.2.1" in lines
    assert "step hugetlb_cma_reserve comes: behind dma_contiguous_reserve (since 5.7, cf11e85fc08c)" in lines
    assert "step pidhash_init is gone (until 4.15)" not in lines
    assert not any(line.startswith("low_reserve ") for line in lines)
    assert run("--rules", "5.10.262", "--against", "5.10") == 0
    assert capsys.readouterr().out.splitlines()[-3:] == ["no rule differs", "", "no step differs"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--list", "--rules", "6.1"], "--list and --rules exclude each other"),
        (["--against", "6.1"], "--against needs --rules"),
        (["--list", "--vmlinuz", "x"], "--list and --rules take no files"),
        (["--rules", "3.12"], "no rules for Linux 3.12; there are rules for 3.13 and later"),
        (["--rules", "banana"], "'banana' is no kernel release"),
    ],
)
def test_bad_usage_of_rules(args: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*args) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
