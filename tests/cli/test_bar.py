"""On a terminal a bar tells how far long work is; it leaves nothing behind, and results are there as they come."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from memplan.cli.bar import Bar

EXAMPLES = Path(__file__).parents[2] / "examples"
NODES, BLOCKED = str(EXAMPLES / "hotplug-nodes.yaml"), str(EXAMPLES / "blocked-by-acpi.yaml")
#: Runs the command's words; of the replays the one of this number is interrupted, none for 0.
CODE = """
import os, signal, sys
from memplan import cli
from memplan.boot import context
signal.signal(signal.SIGINT, signal.default_int_handler)
at, *words = sys.argv[1:]
made, own = 0, context.Boot.__init__
def begin(*args, **named):
    global made
    made += 1
    if made == int(at):
        os.kill(os.getpid(), signal.SIGINT)
    own(*args, **named)
context.Boot.__init__ = begin
cli.main(words)
"""


class Done(NamedTuple):
    status: int
    out: str
    screen: str


def on_terminal(*words: str, at: int = 0, both: bool = False) -> Done:
    """What a command comes to whose stderr, or `both` streams, are a terminal."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    line = [sys.executable, "-c", CODE, str(at), *words]
    with subprocess.Popen(
        line, stdout=theirs if both else subprocess.PIPE, stderr=theirs, stdin=subprocess.DEVNULL, env=env
    ) as process:
        os.close(theirs)
        screen = b""
        try:
            while more := os.read(ours, 1 << 16):
                screen += more
        except OSError:
            # The other side is closed.
            pass
        os.close(ours)
        out = process.stdout.read() if process.stdout is not None else b""
    return Done(process.returncode, out.decode(), screen.decode())


def left_on(screen: str) -> list[str]:
    """The lines that a terminal shows in the end."""
    lines, row = [""], 0
    for part in re.split(r"(\x1b\[[0-9;?]*[A-Za-z]|[\r\n])", screen):
        if part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part.endswith("A") and part.startswith("\x1b"):
            row -= int(part[2:-1] or 1)
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part and part != "\r" and not part.startswith("\x1b"):
            lines[row] += part
    return [line for line in lines if line]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("sweep", NODES, "--kaslr", "--vary", "nokaslr=off"), r"sweeping .*[0-9]+%  [0-9]+ plans? "),
        (("sweep", NODES, "--vary", "crashkernel=128M..8G"), r"sweeping .*[0-9]+%  [0-9]+ plans? "),
        (("sweep", NODES, "--vary", "nr_cpus=1,2,3"), r"sweeping .* 67%  2 of 3 cases "),
        (("sweep", NODES, "--vary", "nr_cpus=1,2,3", "--jobs", "2"), r"sweeping .* 67%  2 of 3 cases "),
        (("history", NODES), r"planning versions .*[0-9]+%  [0-9]+ plans? "),
        (("advise", BLOCKED, "--want", "removable:all"), r"trying changes [^%]*[0-9]+ plans? "),
    ],
    ids=lambda own: " ".join(own[:1] + own[2:]) if isinstance(own, tuple) else "",
)
def test_a_bar_that_leaves_nothing(words: tuple[str, ...], told: str) -> None:
    done = on_terminal(*words)
    plain = subprocess.run([sys.executable, "-m", "memplan", *words], capture_output=True, text=True, check=True)
    assert (done.status, done.out, plain.stderr) == (0, plain.stdout, "")
    assert re.search(told, re.sub(r"\x1b\[[0-9;]*m", "", done.screen))
    assert left_on(done.screen) == []


@pytest.mark.parametrize(
    "words",
    [
        ("sweep", NODES, "--kaslr", "--vary", "nokaslr=off"),
        ("sweep", NODES, "--vary", "crashkernel=128M..8G"),
        ("history", NODES),
        ("advise", BLOCKED, "--want", "removable:all"),
    ],
    ids=lambda words: words[0] + words[2] if len(words) > 2 else words[0],
)
def test_interrupted_on_a_terminal(words: tuple[str, ...]) -> None:
    done = on_terminal(*words, at=3)
    assert (done.status, done.out) == (130, "")
    assert left_on(done.screen) == ["memplan: interrupted"]
    # The cursor is seen again.
    assert done.screen.rfind("\x1b[?25h") >= done.screen.rfind("\x1b[?25l")


@pytest.mark.parametrize("format_", ["table", "ndjson"])
def test_results_that_came_before_an_interrupt_are_there(format_: str, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    words = ("sweep", NODES, "--vary", "nr_cpus=1,2,3,4", "-f", format_)
    whole = on_terminal(*words).out
    # A case of one plan begins a boot for its remarks and one for its outcome, or just that.
    done = on_terminal(*words, "--resume", str(journal), at=3)
    assert done.status == 130
    kept = len(journal.read_bytes().splitlines())
    assert 0 < kept < 4
    assert whole.startswith(done.out)
    assert all(re.search(rf'nr_cpus(=|": "){number}\b', done.out) for number in range(1, kept + 1))
    again = on_terminal(*words, "--resume", str(journal))
    assert (again.status, again.out) == (0, whole)


def test_results_and_bar_on_one_terminal() -> None:
    words = ("sweep", NODES, "--vary", "nr_cpus=1,2,3")
    done = on_terminal(*words, both=True)
    plain = subprocess.run([sys.executable, "-m", "memplan", *words], capture_output=True, text=True, check=True)
    assert left_on(done.screen) == [line for line in plain.stdout.splitlines() if line]


def test_the_bar_comes_again_where_results_take_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr("memplan.cli.bar.monotonic", lambda: now[0])
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    shown = []
    with Bar("trying") as bar:
        for seconds in (0.0, 0.1, 10.0):
            bar.hide()
            capsys.readouterr()
            now[0] += seconds
            bar.show(0.5, "some")
            shown.append("trying" in capsys.readouterr().err)
    assert shown == [False, False, True]
