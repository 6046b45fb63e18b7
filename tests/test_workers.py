"""Processes that share work: order, deaths, and the end."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from memplan.workers import spread


def work(item: int) -> str:
    if item < 0:
        os.kill(os.getpid(), -item)
    return f"done {item}"


def lost(item: int, status: int) -> str:
    return f"lost {item} by {status}"


def test_results_come_in_the_order_of_the_items() -> None:
    assert list(spread(work, range(50), 3, lost)) == [f"done {item}" for item in range(50)]
    assert list(spread(work, [], 3, lost)) == []


def test_a_death_costs_one_item() -> None:
    items = [1, -signal.SIGKILL, 2, 3, -signal.SIGUSR1, 4]
    told = ["done 1", "lost -9 by -9", "done 2", "done 3", f"lost {-signal.SIGUSR1} by {-signal.SIGUSR1}", "done 4"]
    assert list(spread(work, items, 2, lost)) == told


def test_processes_end_when_nobody_wants_more() -> None:
    results = spread(work, range(1000), 2, lost)
    assert next(results) == "done 0"
    results.close()
    assert children() == []


@pytest.mark.parametrize("room", [1, 2, 4])
def test_as_many_processes_as_there_is_room_for(room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where files or processes run out, the work is done by those that could be had."""
    started: list[int] = []
    fork = os.fork

    def limited() -> int:
        if len(started) == room:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        pid = fork()
        if pid:
            started.append(pid)
        return pid

    monkeypatch.setattr(os, "fork", limited)
    assert list(spread(work, range(20), 10, lost)) == [f"done {item}" for item in range(20)]
    assert len(started) == room
    assert children() == []


def test_not_even_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refused)
    assert list(spread(work, [1, 2], 2, lost)) == ["done 1", "done 2"]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_death_of_the_only_process_that_could_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    forks = iter([os.fork])

    def once() -> int:
        for fork in forks:
            return fork()
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", once)
    told = ["done 1", "lost -9 by -9", "done 2", "done 3"]
    assert list(spread(work, [1, -signal.SIGKILL, 2, 3], 2, lost)) == told


def children() -> list[str]:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


MACHINE = "e820:\n- {start: 0, size: 640K}\n- {start: 1M, size: 2G}\n"


def check(folder: Path, number: int) -> subprocess.Popen[str]:
    """A check by two processes that has begun its work."""
    for index in range(number):
        (folder / f"m{index}.yaml").write_text(MACHINE)
    words = [sys.executable, "-m", "memplan", "check", *(f"m{index}.yaml" for index in range(number))]
    process = subprocess.Popen(
        [*words, "--jobs", "2", "-o", "out.txt"], cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    while len(workers(process)) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    return process


def workers(process: subprocess.Popen[str]) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def test_a_killed_worker_is_told_and_the_rest_is_checked(tmp_path: Path) -> None:
    with check(tmp_path, 60) as process:
        os.kill(workers(process)[0], signal.SIGKILL)
        _, stderr = process.communicate()
    assert process.returncode == 2
    (line,) = stderr.splitlines()
    assert ": a worker died while checking it (signal 9) (" in line
    assert "in 60 inputs, of which 1 could not be checked" in (tmp_path / "out.txt").read_text()


def alive(pid: int | str) -> bool:
    """Whether the process runs; one that ends just now is given a moment to do so."""
    for _ in range(500):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False
        if state in "ZX":
            return False
        time.sleep(0.01)
    return True


def test_a_signal_ends_the_workers_too(tmp_path: Path) -> None:
    with check(tmp_path, 200) as process:
        started = workers(process)
        process.terminate()
        stdout, stderr = process.communicate()
    assert (process.returncode, stdout, stderr) == (128 + signal.SIGTERM, "", "")
    # Nobody waits for processes whose parent has gone but init, in its own time: dead ones may still be listed.
    assert not any(alive(pid) for pid in started)
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".yaml"]


def test_each_result_is_told_as_soon_as_it_is_there(tmp_path: Path) -> None:
    """The first item waits for all others to be told of."""
    told: list[tuple[int, str]] = []

    def slow(item: int) -> str:
        for _ in range(6000 if item == 0 else 0):
            if (tmp_path / "others").exists():
                break
            time.sleep(0.01)
        return work(item)

    def done(item: int, result: str) -> None:
        told.append((item, result))
        if len(told) == 9:
            (tmp_path / "others").touch()

    items = [0, 1, 2, -signal.SIGKILL, 3, 4, 5, 6, 7, 8]
    results = list(spread(slow, items, 2, lost, done))
    assert [item for item, _ in told] == [*items[1:], 0]
    assert sorted(result for _, result in told) == sorted(results)
