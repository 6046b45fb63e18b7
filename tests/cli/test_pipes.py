"""Machines that come through a pipe: every command says of them what it says of the same text in a file."""

from __future__ import annotations

import lzma
import subprocess
import sys
from pathlib import Path

import pytest

LOG = Path(__file__).parents[1] / "boots" / "two-nodes-6.1.log.xz"
MACHINE = "cmdline: movable_node\ne820:\n- {start: 0, size: 640K}\n- {start: 1M, size: 1G}\n"
MEMPLAN = [sys.executable, "-m", "memplan"]


def run(folder: Path, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([*MEMPLAN, *words], cwd=folder, input=stdin, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "words",
    [
        ("simulate", "X"),
        ("check", "X"),
        ("check", "X", "--set", "booted=true", "-f", "json"),
        ("diff", "X", "--append", "nr_cpus=1"),
        ("sweep", "X", "--vary", "nr_cpus=1,2"),
        ("sweep", "X", "--vary", "nr_cpus=1,2", "--resume", "journal"),
        ("hotadd", "X", "--how-much"),
        ("explain", "X", "0x1000"),
        ("advise", "X", "--want", "boots"),
    ],
    ids=" ".join,
)
def test_a_pipe_is_as_good_as_a_file(words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(MACHINE)
    told = run(tmp_path, *("m.yaml" if word == "X" else word for word in words))
    assert told.returncode == 0, told.stderr
    for name, shown in (("-", "<stdin>"), ("/dev/stdin", "/dev/stdin")):
        (tmp_path / "journal").unlink(missing_ok=True)
        found = run(tmp_path, *(name if word == "X" else word for word in words), stdin=MACHINE)
        out = found.stdout.replace(f" {name} ", " m.yaml ").replace(f"{name}\n", "m.yaml\n").replace(shown, "m.yaml")
        assert found.stderr.replace(shown, "m.yaml") == told.stderr
        assert (found.returncode, lines(out, name)) == (0, lines(told.stdout, name))


def lines(out: str, name: str) -> list[list[str]]:
    """The words of `out`, as the length of a name makes columns narrower, and those that name the file left out."""
    return [[word for word in line.split() if not {"m.yaml", name} & set(word.split('"'))] for line in out.splitlines()]


def test_a_log_and_a_page_may_come_through_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(MACHINE)
    log = lzma.decompress(LOG.read_bytes())
    (tmp_path / "boot.log").write_bytes(log)
    for words in (("hotadd", "X", "--add", "1G"), ("check", "X"), ("report", "X", "-o", "out")):
        told, found = (
            run(tmp_path, *(name if word == "X" else word for word in words), stdin=log.decode())
            for name in ("boot.log", "-")
        )
        assert (told.returncode, told.stdout) == (found.returncode, found.stdout.replace("<stdin>", "boot.log"))
        assert told.returncode in (0, 1)
    assert run(tmp_path, "report", "m.yaml", "-o", "page.html").returncode == 0
    page = (tmp_path / "page.html").read_text()
    assert run(tmp_path, "simulate", "-", stdin=page).stdout == run(tmp_path, "simulate", "page.html").stdout


def test_several_processes_can_not_share_a_pipe(tmp_path: Path) -> None:
    for words in (("--jobs", "2"), ("--engine", "dask", "--scheduler", "tcp://127.0.0.1:1")):
        done = run(tmp_path, "sweep", "-", "--vary", "nr_cpus=1,2", *words, stdin=MACHINE)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("-: is a pipe, which only one process can read")


def test_a_description_needs_no_certain_name(tmp_path: Path) -> None:
    (tmp_path / "machine").write_text(MACHINE)
    (tmp_path / "words").write_text("nothing of the kind\n")
    assert run(tmp_path, "check", "machine").returncode == 0
    done = run(tmp_path, "check", "words")
    assert (done.returncode, done.stderr.partition(":")[0]) == (2, "words")
    assert "not recognised" in done.stderr
