"""Cases worked out here, by several processes, by a cluster, or found in a journal: the same records in any way."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from memplan.errors import InputError, UsageError
from memplan.machine.dump import dump_machine
from memplan.machine.model import KernelImage
from memplan.sweep import engines
from memplan.sweep.case import Case, Record, run_case
from memplan.sweep.engines import run_here, run_on_dask
from memplan.sweep.journal import Journal, _digest, key_of
from tests.sweep.machines import machine


@pytest.fixture
def cases(tmp_path: Path) -> list[Case]:
    path = tmp_path / "machine.yaml"
    path.write_text(dump_machine(machine()))
    settings = [(("crashkernel", f"{size}M"),) for size in range(64, 1024, 64)]
    every = [Case(str(path), kernel, own) for kernel in ("6.1", "6.12") for own in settings]
    return [*every, Case(str(path), None, (), kaslr=True), Case(str(tmp_path / "missing.yaml"))]


def test_a_record_says_what_was_asked_and_what_came_of_it(cases: list[Case]) -> None:
    record = run_case(cases[0])
    assert record == {
        "machine": cases[0].machine,
        "kernel": "6.1",
        "settings": {"crashkernel": "64M"},
        "removable": [1, 2],
        "crash_kernel": True,
        "crash_kernel_place": "low",
        "died": None,
        "simulate": f"memplan simulate {cases[0].machine} --kernel 6.1 --cmdline 'movable_node crashkernel=64M'",
    }
    assert "can't be read" in run_case(cases[-1])["error"]


def test_processes_make_no_difference(cases: list[Case]) -> None:
    assert list(run_here(cases, 3)) == list(run_here(cases, 1))


@pytest.mark.parametrize("jobs", [1, 3])
def test_each_record_is_given_to_who_keeps_it(jobs: int, cases: list[Case]) -> None:
    kept: dict[Case, Record] = {}
    for number, record in enumerate(run_here(cases, jobs, done=kept.__setitem__)):
        assert kept[cases[number]] == record
    assert list(map(kept.get, cases)) == list(run_here(cases, 1))


@pytest.mark.parametrize(
    ("die", "how"),
    [(lambda: os.kill(os.getpid(), signal.SIGKILL), "killed by signal 9"), (lambda: os._exit(3), "exit status 3")],
)
def test_a_worker_that_dies_costs_its_case_alone(
    die: Callable[[], None], how: str, cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when memory runs out; the workers are forked, so what is changed here is changed there."""
    expected = [run_case(case) for case in cases[:6]]

    def dying(case: Case) -> Record:
        if case == cases[3]:
            die()
        return run_case(case)

    monkeypatch.setattr(engines, "run_case", dying)
    found = list(run_here(cases[:6], 2))
    assert found[3] == {
        "machine": cases[3].machine,
        "kernel": cases[3].kernel,
        "settings": dict(cases[3].settings),
        "error": f"a worker died while planning it ({how})",
    }
    assert [*found[:3], *found[4:]] == [*expected[:3], *expected[4:]]


def test_a_killed_sweep_goes_on_where_it_was(cases: list[Case], tmp_path: Path) -> None:
    path = tmp_path / "journal"
    records = list(run_here(cases, 1))
    with Journal(str(path)) as journal:
        for case, record in zip(cases[:5], records, strict=False):
            journal.keep(case, record)
    cut = path.read_bytes()[:-7]
    path.write_bytes(cut)
    with Journal(str(path)) as journal:
        assert [journal.done(case) for case in cases[:5]] == [*records[:4], None]
        journal.keep(cases[4], records[4])
    with Journal(str(path)) as journal:
        assert [journal.done(case) for case in cases[:6]] == [*records[:5], None]
    assert len(path.read_bytes().splitlines()) == 5


def test_a_journal_is_not_taken_for_another_machine_s(cases: list[Case], tmp_path: Path) -> None:
    path = str(tmp_path / "journal")
    with Journal(path) as journal:
        journal.keep(cases[0], {"removable": []})
    other = tmp_path / "other.yaml"
    other.write_text(dump_machine(machine(nodes=2)))
    with Journal(path) as journal:
        assert journal.done(cases[0]._replace(machine=str(other))) is None
        assert journal.done(cases[0]._replace(kernel="5.10")) is None


def test_a_journal_is_not_taken_for_another_kernel_s(cases: list[Case], tmp_path: Path) -> None:
    """A kernel's file may have been made anew, be it named with the case or in the description."""
    path, own = str(tmp_path / "journal"), tmp_path / "own.yaml"
    named = tmp_path / "named.yaml"
    named.write_text(dump_machine(machine()._replace(kernel=KernelImage(build=str(own)))))
    asked = [cases[0]._replace(kernel=str(own)), Case(str(named))]
    for facts in ("", "facts: {}\n"):
        _digest.cache_clear()
        own.write_text(f"version: '6.1'\n{facts}")
        with Journal(path) as journal:
            assert [journal.done(case) for case in asked] == [None, None]
            for case in asked:
                journal.keep(case, {"removable": []})


def test_what_could_not_be_planned_is_not_done(cases: list[Case], tmp_path: Path) -> None:
    path = str(tmp_path / "journal")
    with Journal(path) as journal:
        journal.keep(cases[0], {"error": "a worker died while planning it (killed by signal 9)"})
        journal.keep(cases[1], {"removable": []})
    with Journal(path) as journal:
        assert [journal.done(case) for case in cases[:2]] == [None, {"removable": []}]


@pytest.mark.parametrize("text", ["no journal\n", "{}\n", "machine: x", "[" * 100_000 + "\n"])
def test_other_files_are_left_alone(text: str, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(text)
    with pytest.raises(InputError, match="no journal"):
        Journal(str(path))
    assert path.read_text() == text


def test_a_cluster_makes_no_difference_even_if_a_worker_dies(cases: list[Case], tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    file = tmp_path / "scheduler.json"
    common = {**os.environ, "DASK_DISTRIBUTED__DASHBOARD__ENABLED": "False"}

    def start(*words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "distributed.cli." + words[0], *words[1:]]
        return subprocess.Popen(command, env=common, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    scheduler = start(
        "dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file), "--no-dashboard"
    )
    processes = [scheduler]
    try:
        deadline = time.monotonic() + 60
        while not file.exists() or not file.read_text().strip():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        address = json.loads(file.read_text())["address"]
        workers = [
            start("dask_worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1")
            for _ in range(3)
        ]
        processes += workers
        records = run_on_dask(cases, address)
        found = [next(records)]
        workers[0].send_signal(signal.SIGKILL)
        found += records
        assert json.dumps(found) == json.dumps(list(run_here(cases, 1)))
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_dask_is_wanted_where_it_is_missing(cases: list[Case], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"needs dask\.distributed: pip install 'memplan\[dask\]'"):
        next(iter(run_on_dask(cases, "tcp://127.0.0.1:1")))


def test_a_journal_that_can_not_be_kept(cases: list[Case], tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    for name, told in (
        ("dir", "dir: is a directory, expected a journal"),
        ("none/x", "can't be written: No such file"),
    ):
        with pytest.raises(InputError, match=told):
            Journal(str(tmp_path / name))


def test_a_description_that_is_not_there_has_a_key_as_well(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("e820: []\n")
    keys = {key_of(Case(str(tmp_path / name))) for name in ("m.yaml", "none.yaml", "other.yaml")}
    assert len(keys) == 3


def test_a_scheduler_that_is_not_there(cases: list[Case]) -> None:
    pytest.importorskip("distributed")
    with pytest.raises(UsageError, match="no dask scheduler answers"):
        list(run_on_dask(cases, "tcp://127.0.0.1:9"))
