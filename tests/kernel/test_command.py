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
    assert err.startswith("note: from the generic 6.1, as this build does not tell: ")
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
