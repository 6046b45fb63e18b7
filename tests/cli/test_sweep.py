"""``memplan sweep``: its answers in all formats, each with a command that shows the plan."""

import json
import shlex
from pathlib import Path

import jsonschema
import pytest

from memplan.cli import main
from memplan.machine.dump import dump_machine
from memplan.render.sweep_json import sweep_schema
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
    assert (status, err, set(found)) == (0, "", {"slots", "classes"})
    assert sum(own["slots"] for own in found["classes"]) == found["slots"]
    assert all(set(own) == {"slots", "ranges", "removable", "crash_kernel", "example"} for own in found["classes"])
    jsonschema.validate(found, sweep_schema())


@pytest.mark.parametrize(
    "words",
    [
        ("--vary", "crashkernel=128M..2G..64M"),
        ("--vary", "movable_node=on,off", "--kernel", "6.1", "--kernel", "6.12"),
        ("--kaslr", "--vary", "nokaslr=on,off"),
        ("--vary", "initrd.start=0x20000000..0x2f000000..1M"),
    ],
)
def test_every_format_and_the_commands_it_prints(
    words: tuple[str, ...], described: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, text, err = run(capsys, "sweep", described, *words)
    assert (status, err) == (0, "")
    whole = json.loads(run(capsys, "sweep", described, *words, "-f", "json")[1])
    jsonschema.validate(whole, sweep_schema())
    lines = [json.loads(line) for line in run(capsys, "sweep", described, *words, "-f", "ndjson")[1].splitlines()]
    assert lines == whole.get("cases", [whole])
    commands = [line[line.index("memplan simulate") :] for line in text.splitlines() if "memplan simulate" in line]
    answers = [own for case in lines for own in case.get("segments", [case])]
    assert commands
    for command, answer in zip(commands, answers, strict=False):
        status, out, _ = run(capsys, *shlex.split(command)[1:], "-f", "json")
        if "removable" in answer:
            assert sorted({own["node"] for own in json.loads(out)["movable"]}) == answer["removable"], command


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
        (("--engine", "dask"), "go together"),
        (("--scheduler", "tcp://127.0.0.1:1"), "go together"),
    ],
)
def test_bad_usage(words: tuple[str, ...], message: str, described: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "sweep", described, *words)
    assert (status, out) == (2, "")
    assert message in err


def test_cases_that_cannot_be_planned_do_not_end_the_sweep(described: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "sweep", "nowhere.yaml", described, "--vary", "initrd.start=x,0x2f000000")
    assert status == 2
    assert out.count("can't be planned") == 3
    assert "initrd.start: found" in out
    assert "node 1 is removable" in out
