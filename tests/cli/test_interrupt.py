"""Ctrl-C: wherever a command is interrupted, it ends at once, with one line, and undoes what is half done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
MACHINE = str(EXAMPLES / "hotplug-nodes.yaml")
BLOCKED = str(EXAMPLES / "blocked-by-acpi.yaml")

#: The command's words behind a count of calls: a run counts the calls of memplan's functions and prints how many there
#: were, or interrupts itself `times` times at the call of that number.
COUNTING = """
import os, signal, sys
from memplan import cli
# A job in the background of a shell is born with interrupts ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
at, times, *words = sys.argv[1:]
calls = 0
def count(frame, event, _):
    global calls
    if event == "call" and "/memplan/" in frame.f_code.co_filename:
        calls += 1
        if int(at) <= calls < int(at) + int(times):
            os.kill(os.getpid(), signal.SIGINT)
sys.setprofile(count)
try:
    cli.main(words)
finally:
    sys.setprofile(None)
    if at == "1000000000":
        print(calls, file=sys.stderr)
"""
NEVER = 10**9
#: The first call is that of main itself, before it can tell anything of an interrupt.
BEFORE = 2


def run(folder: Path, at: int, words: tuple[str, ...], times: int = 1) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-c", COUNTING, str(at), str(times), *words]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "words",
    [
        ("simulate", MACHINE, "-f", "json", "-o", "out"),
        ("check", MACHINE, BLOCKED, "-o", "out"),
        ("check", MACHINE, BLOCKED, "--jobs", "2", "-o", "out"),
        ("sweep", MACHINE, "--kaslr", "-o", "out"),
        ("sweep", MACHINE, "--vary", "nr_cpus=1,2", "--jobs", "2", "-o", "out"),
        ("history", MACHINE, "--from", "6.10", "-o", "out"),
        ("advise", BLOCKED, "--want", "removable:all", "--apply", "new.yaml", "-o", "out"),
        ("hotadd", MACHINE, "--how-much", "-o", "out"),
        ("report", MACHINE, "-o", "out"),
    ],
    ids=lambda words: " ".join(word.rpartition("/")[2] for word in words[:4]),
)
def test_wherever_it_is_interrupted(words: tuple[str, ...], tmp_path: Path) -> None:
    # What is kept of the first run makes the others shorter.
    run(tmp_path, NEVER, words)
    whole = run(tmp_path, NEVER, words)
    assert whole.returncode == (1 if words[0] == "check" else 0), whole.stderr
    calls = int(whole.stderr.split()[-1])
    assert calls > 1000
    for path in tmp_path.iterdir():
        path.unlink()
    for part in (0.0, 0.3, 0.6, 0.9):
        # Once, or as somebody does who loses patience.
        for times in (1, 50):
            done = run(tmp_path, BEFORE + int(part * calls), words, times)
            assert (done.returncode, done.stdout, done.stderr) == (130, "", "memplan: interrupted\n"), (part, times)
            assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_is_ignored_stays_so(number: signal.Signals, tmp_path: Path) -> None:
    """As nohup has it, and a shell for what it starts in the background."""
    code = (
        "import os, signal, sys\nfrom memplan import cli\nfrom memplan.cli import group\n"
        f"signal.signal({int(number)}, signal.SIG_IGN)\n"
        f"group.run = lambda _: os.kill(os.getpid(), {int(number)})\ncli.main(['simulate'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_interrupt_for_all_processes_ends_in_one_line(tmp_path: Path) -> None:
    """A terminal sends it to the workers as well, from the moment when each begins."""
    code = (
        "import os, signal, sys\nfrom memplan import workers\nfrom memplan.cli import main\n"
        "own = os.fork\n"
        "def fork():\n    pid = own()\n    if pid == 0:\n        os.kill(os.getpid(), signal.SIGINT)\n    return pid\n"
        "os.fork = fork\nmain(sys.argv[1:])"
    )
    line = [sys.executable, "-c", code, "check", MACHINE, BLOCKED, "--jobs", "2", "-q", "-o", "out"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, check=False, text=True)
    assert (done.returncode, done.stderr) == (1, "")
    assert "blocked-by-acpi" in (tmp_path / "out").read_text()
