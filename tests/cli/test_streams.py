"""Closed, full and left standard streams: no answer on the wrong one, the right status in any case."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

MEMPLAN = f"{sys.executable} -m memplan"
MACHINE = "e820:\n- {start: 0, size: 640K}\n- {start: 1M, size: 2G}\n"


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "m.yaml").write_text(MACHINE)
    (folder / "bad.yaml").write_text("e820: 1\n")
    words = ["bash", "-c", line.replace("memplan", MEMPLAN)]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("line", "status", "stderr"),
    [
        ("memplan simulate m.yaml >&-", 2, "standard output: can't be written: Bad file descriptor\n"),
        ("memplan --help >&-", 2, "standard output: can't be written: Bad file descriptor\n"),
        ("memplan check m.yaml -f json >&-", 2, "standard output: can't be written: Bad file descriptor\n"),
        ("memplan import - <&-", 2, "<stdin>: can't be read: Bad file descriptor\n"),
        ("memplan simulate bad.yaml 2>&-", 2, ""),
        ("memplan simulate m.yaml >/dev/null 2>&-", 0, ""),
        ("memplan simulate m.yaml >&- 2>&- <&-", 2, ""),
        ("memplan simulate bad.yaml 2>/dev/full", 2, ""),
        ("memplan simulate --bogus 2>/dev/full", 2, ""),
        ("memplan map m.yaml -o /dev/stdout >&-", 2, "/dev/stdout: can't be written: No space left on device\n"),
        ("memplan map m.yaml -o /dev/stderr 2>&-", 2, ""),
        ("memplan simulate m.yaml >/dev/full", 2, "standard output: can't be written: No space left on device\n"),
        ("memplan --help >/dev/full", 2, "standard output: can't be written: No space left on device\n"),
        ("memplan simulate m.yaml -f json | true; exit ${PIPESTATUS[0]}", 0, ""),
        ("memplan simulate m.yaml -f trace | head -1 >/dev/null; exit ${PIPESTATUS[0]}", 0, ""),
        ("memplan simulate --help | true; exit ${PIPESTATUS[0]}", 0, ""),
        ("memplan simulate bad.yaml 2>&1 | true; exit ${PIPESTATUS[0]}", 2, ""),
    ],
)
def test_status_and_message(line: str, status: int, stderr: str, tmp_path: Path) -> None:
    done = shell(line, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", stderr)


def test_what_a_machine_says_never_steers_a_terminal(tmp_path: Path) -> None:
    escapes = '"x\\e]0;title\\a\\u202e"'
    (tmp_path / "name.yaml").write_text(f"name: {escapes}\ncmdline: {escapes}\n{MACHINE}")
    (tmp_path / "key.yaml").write_text(f"{escapes}: 1\n{MACHINE}")
    (tmp_path / "e\x1b[2J.yaml").write_text("e820: 1\n")
    lines = [f"memplan simulate name.yaml -f {form}" for form in ("table", "json", "trace")]
    lines += [f"memplan check name.yaml key.yaml -f {form}" for form in ("text", "json", "sarif", "junit", "github")]
    lines += ["memplan simulate key.yaml", "memplan simulate e*.yaml", "memplan diff name.yaml m.yaml"]
    lines += ["script -qec 'memplan simulate name.yaml' /dev/null"]
    lines += ["memplan import name.yaml", "memplan $'simul\\e[2Jate'", "memplan simulate m.yaml --kernel $'a\\e[2J'"]
    for line in lines:
        done = shell(line, tmp_path)
        shown = done.stdout + done.stderr
        assert done.returncode in (0, 1, 2)
        assert shown
        assert "No module named" not in shown
        for char in "\x07\x9b\u202e":
            assert char not in shown, line
        assert "\x1b]" not in shown, line
        assert "\x1b[2J" not in shown, line


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_no_half_file(number: signal.Signals, tmp_path: Path) -> None:
    code = (
        "import signal, time\nfrom memplan import cli\nfrom memplan.cli import group\n"
        "from memplan.cli.output import write_lines\n"
        # What nohup starts is born with hang-ups ignored.
        f"signal.signal({int(number)}, signal.SIG_DFL)\n"
        "def lines():\n    yield 'half'\n    open('begun', 'w').close()\n    time.sleep(600)\n"
        "group.run = lambda _: write_lines(lines(), 'out')\ncli.main(['simulate'])"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stderr=subprocess.PIPE) as process:
        while not (tmp_path / "begun").exists():
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, number)
        assert process.wait() == 128 + number
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert [path.name for path in tmp_path.iterdir()] == ["begun"]


def test_a_table_goes_to_stdout_where_its_file_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(f"{MACHINE}srat: {{memory: [{{pxm: 0, base: 0, length: 4G}}]}}\n")
    both = "memplan export s.yaml --srat a.aml && memplan export s.yaml --srat - | cmp - a.aml"
    done = shell(f"{both} && memplan export s.yaml --srat - >/dev/full", tmp_path)
    message = "standard output: can't be written: No space left on device\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", message)
    assert not (tmp_path / "-").exists()
