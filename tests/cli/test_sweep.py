"""``memplan sweep``: its answers in all formats, each with a command that shows the plan."""

import json
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from memplan.cli import main
from memplan.machine.dump import dump_machine
from memplan.render.sweep_json import sweep_document, sweep_schema
from memplan.sweep.case import Case, run_case
from tests.sweep.machines import machine


@pytest.fixture
def described(tmp_path: Path) -> str:
    path = tmp_path / "machine.yaml"
    path.write_text(dump_machine(machine("movable_node", nodes=2)))
    return str(path)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(words)
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


def test_kaslr_as_json(described: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "sweep", described, "--kaslr", "-f", "json")
    found = json.loads(out)
    assert (status, err) == (0, "")
    assert set(found) == {"format", "version", "machine", "kernel", "settings", "slots", "classes"}
    assert (found["format"], found["version"], found["machine"]) == ("memplan sweep", 1, described)
    assert sum(own["slots"] for own in found["classes"]) == found["slots"]
    keys = {"slots", "ranges", "removable", "crash_kernel", "died", "example", "simulate"}
    assert all(set(own) == keys for own in found["classes"])
    assert {own["died"] for own in found["classes"]} == {None}
    jsonschema.validate(found, sweep_schema())


def test_of_places_at_which_the_boot_dies_json_says_so(described: str) -> None:
    record = run_case(Case(described, kaslr=True))
    record["classes"][0] |= {"removable": [], "died": "PANIC: early exception 0e"}
    document = sweep_document([record])
    jsonschema.validate(document, sweep_schema())
    assert document["classes"][0]["died"] == "PANIC: early exception 0e"


def verdict(out: str) -> dict[str, object]:
    """What a plan in JSON says of what a sweep tells."""
    plan = json.loads(out)
    ends = [own["end"] for own in plan["reservations"] if own["owner"] == "crash kernel"]
    return {
        "removable": sorted({own["node"] for own in plan["movable"]}),
        "crash_kernel": bool(ends),
        "crash_kernel_place": "none" if not ends else "low" if max(ends) < 4 << 30 else "high",
    }


def verdicts(document: dict[str, Any]) -> list[dict[str, Any]]:
    """All parts of a document that have a command."""
    parts = [own for case in document.get("cases", [document]) for own in (case, *case.get("segments", ()))]
    parts += [own for case in document.get("cases", [document]) for own in case.get("classes", ())]
    return [own for own in parts if "simulate" in own]


@pytest.mark.parametrize(
    "words",
    [
        ("--vary", "crashkernel=128M..2G..64M"),
        ("--vary", "crashkernel=128M..4G,high", "--kernel", "3.13", "--kernel", "6.12"),
        ("--vary", "movable_node=on,off", "--kernel", "6.1", "--kernel", "6.12"),
        ("--vary", "mem=64M,128M,1G", "--kernel", "6.1"),
        ("--vary", "mem=30M..2G..97M"),
        ("--kaslr",),
        ("--kaslr", "--vary", "nokaslr=on,off", "--vary", "crashkernel=300M,900M"),
        ("--vary", "initrd.start=0x20000000..0x2f000000..1M"),
        ("--vary", "kernel.load_address=0x1000000..1800M..2M"),
        ("--vary", "initrd.start=x,0x2f000000"),
    ],
)
def test_every_format_and_the_commands_it_prints(
    words: tuple[str, ...], described: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every verdict, of every kind, is what the command beside it shows."""
    status, text, _ = run(capsys, "sweep", described, *words)
    whole = json.loads(run(capsys, "sweep", described, *words, "-f", "json")[1])
    jsonschema.validate(whole, sweep_schema())
    lines = [json.loads(line) for line in run(capsys, "sweep", described, *words, "-f", "ndjson")[1].splitlines()]
    heading = {"format": "memplan sweep", "version": 1}
    assert whole == heading | ({"cases": lines} if len(lines) > 1 else lines[0])
    assert status == (2 if any("error" in own for own in lines) else 0)
    found = verdicts(whole)
    assert len(found) >= len([own for own in lines if "error" not in own])
    for own in found:
        assert own["simulate"].startswith(f"memplan simulate {described} ")
        left, out, err = run(capsys, *shlex.split(own["simulate"])[1:], "-f", "json")
        if "error" in own:
            assert (left, out) == (2, "")
            assert err
            continue
        shown = verdict(out)
        assert {name: own[name] for name in shown if name in own} == {n: v for n, v in shown.items() if n in own}
        died = json.loads(out)["end"]["text"] or None
        assert own.get("died", died) == died
    printed = {line[line.index("memplan simulate") :] for line in text.splitlines() if "memplan simulate" in line}
    assert printed
    assert printed <= {own["simulate"] for own in found}


def test_going_on_with_a_journal(described: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("sweep", described, "--vary", "crashkernel=64M,128M,2G", "--resume", str(tmp_path / "journal"))
    first = run(capsys, *words)
    assert run(capsys, *words) == first
    assert len((tmp_path / "journal").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--vary", "crashkernel"), "expected NAME=VALUES"),
        (("--vary", "crashkernel=8G..1G"), "from its lower limit"),
        (("--kaslr", "--vary", "initrd.start=0..1G"), "one range at a time"),
        (("--vary", "nr_cpus=1,2", "--vary", "nr-cpus=3"), "nr-cpus is varied already"),
        (("--vary", "mem=4G,8G", "--vary", "mem=1G..2G"), "mem is varied already"),
        (("--resume", "one/kept", "--output", "one/../one/kept"), "keeps the results"),
        (("--engine", "dask"), "go together"),
        (("--scheduler", "tcp://127.0.0.1:1"), "go together"),
    ],
)
def test_bad_usage(words: tuple[str, ...], message: str, described: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "sweep", described, *words)
    assert (status, out) == (2, "")
    assert message in err


def test_why_the_only_case_cannot_be_planned_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "sweep", "nowhere.yaml", "--kaslr")
    assert (status, out) == (2, "")
    assert err == "nowhere.yaml: can't be read: No such file or directory\n"


def test_cases_that_cannot_be_planned_do_not_end_the_sweep(described: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "sweep", "nowhere.yaml", described, "--vary", "initrd.start=x,0x2f000000")
    assert status == 2
    assert err.count("nowhere.yaml: can't be read") == 1
    assert "initrd.start: found" in err
    assert out.count("can't be planned") == 3
    assert "initrd.start: found" in out
    assert "node 1 is removable" in out


def test_options_that_the_kernel_does_not_know_are_told(described: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = "crashkernle is no option of Linux; crashkernel is"
    for values in ("64M,128M", "64M..128M"):
        status, out, _ = run(capsys, "sweep", described, "--vary", f"crashkernle={values}")
        assert status == 0
        assert f"no effect: {told}" in out
        document = json.loads(run(capsys, "sweep", described, "--vary", f"crashkernle={values}", "-f", "json")[1])
        jsonschema.validate(document, sweep_schema())
        assert all(own["unheeded_options"] == [told] for own in document.get("cases", [document]))
    assert "no effect" not in run(capsys, "sweep", described, "--vary", "crashkernel=64M..128M")[1]


def test_a_sweep_that_is_killed_loses_at_most_the_case_in_hand(
    described: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal, printed = tmp_path / "journal", tmp_path / "printed"
    words = (
        "sweep",
        described,
        "--vary",
        "crashkernel=" + ",".join(f"{size}M" for size in range(16, 416)),
        "-f",
        "ndjson",
    )
    with printed.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", "memplan", *words, "--resume", str(journal)], stdout=out)
        try:
            deadline = time.monotonic() + 120
            while not journal.exists() or journal.read_bytes().count(b"\n") < 5:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        finally:
            process.kill()
            process.wait()
    kept = journal.read_bytes()
    done = kept[: kept.rfind(b"\n") + 1].splitlines()
    assert 5 <= len(done) < 400
    # What was shown is kept.
    assert printed.read_bytes().count(b"\n") <= len(done)
    resumed = run(capsys, *words, "--resume", str(journal))
    lines = journal.read_bytes().splitlines()
    assert lines[: len(done)] == done
    assert len(lines) == 400
    assert resumed == run(capsys, *words)


def test_progress_is_shown_on_a_terminal_alone(
    described: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("sweep", described, "--vary", "crashkernel=64M,128M,256M")
    silent = run(capsys, *words)
    assert silent[2] == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    shown = run(capsys, *words)
    assert shown[:2] == silent[:2]
    assert "sweeping" in shown[2]
