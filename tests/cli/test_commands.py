"""simulate and diff: options in, the right plan out, the right exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import memplan
from memplan.cli.group import group
from memplan.errors import InputError, UsageError
from memplan.machine.model import Machine
from memplan.plan import End, Plan
from tests.render.plans import a_plan


class Library:
    """Stands in for the library: remembers what was asked, answers with made-up plans."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str | None, bool | None]] = []
        self.plan = a_plan()

    def load_machine(self, path: str, *, changes: object = ()) -> Machine:
        return a_machine(path)

    def simulate(self, machine: Machine, *, kernel: str | None = None, bottom_up: bool | None = None) -> Plan:
        self.asked.append((machine.name, machine.cmdline, kernel, bottom_up))
        if kernel == "6.1":
            return self.plan._replace(movable=())
        return self.plan


def a_machine(name: str) -> Machine:
    return Machine((), name=name, cmdline="movable_node")


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    stand_in = Library()
    monkeypatch.setattr(memplan, "load_machine", stand_in.load_machine)
    monkeypatch.setattr(memplan, "simulate", stand_in.simulate)
    return stand_in


def run(*args: str) -> Result:
    return CliRunner().invoke(group, args, standalone_mode=False)


# -- simulate ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "asked"),
    [
        ((), ("m.yaml", "movable_node", None, None)),
        (("--bottom-up",), ("m.yaml", "movable_node", None, True)),
        (("--top-down",), ("m.yaml", "movable_node", None, False)),
        (("--kernel", "3.13"), ("m.yaml", "movable_node", "3.13", None)),
        (("--cmdline", "mem=4G"), ("m.yaml", "mem=4G", None, None)),
        (("--cmdline", ""), ("m.yaml", "", None, None)),
        (("--append", "mem=4G", "--append", "quiet"), ("m.yaml", "movable_node mem=4G quiet", None, None)),
        (("--cmdline", "a", "--append", "b"), ("m.yaml", "a b", None, None)),
    ],
)
def test_options_reach_the_boot(library: Library, args: tuple[str, ...], asked: tuple[Any, ...]) -> None:
    result = run("simulate", "m.yaml", *args)
    assert result.exception is None
    assert library.asked == [asked]


@pytest.mark.parametrize("option", ["--cmdline", "--append"])
def test_a_bad_value_on_the_command_line_is_an_input_error(library: Library, option: str) -> None:
    result = run("simulate", "m.yaml", option, "quiet crashkernel=much mem=4X")
    assert isinstance(result.exception, InputError)
    assert str(result.exception).splitlines() == [
        f"{option}: the boot option crashkernel=much has a bad value, "
        "expected a size such as 512M, 512M@64M, 512M,high or 1G-4G:128M,4G-:256M",
        f"{option}: the boot option mem=4X has a bad value, expected a size such as 4G",
    ]
    assert library.asked == []


def test_formats(library: Library) -> None:
    assert run("simulate", "m.yaml").output.startswith("4G of 9G can be removed: node 1 4G\n")
    assert json.loads(run("simulate", "m.yaml", "--format", "json").output)["machine"] == "two-nodes"
    trace = run("simulate", "m.yaml", "--format", "trace").output
    assert trace.startswith("a word of warning\nmemblock_alloc_try_nid_raw: 2097152 bytes align=0x200000 nid=-1 ")
    assert run("simulate", "m.yaml", "--format", "trace", "--all").output.endswith(trace)


def test_a_boot_that_dies_is_status_1(library: Library) -> None:
    assert run("simulate", "m.yaml").return_value == 0
    library.plan = library.plan._replace(end=End(False, "initmem_init", "words", "cause"))
    assert run("simulate", "m.yaml").return_value == 1


def test_a_file_is_written_whole_or_not_at_all(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "plan.json"
    result = run("simulate", "m.yaml", "--format", "json", "-o", str(target))
    assert (result.output, result.return_value) == ("", 0)
    written = target.read_text()
    assert json.loads(written)["machine"] == "two-nodes"

    def broken(*_: object) -> Any:
        yield "half"
        raise UsageError("stopped half-way")

    monkeypatch.setattr("memplan.render.plan_json.plan_lines", broken)
    assert isinstance(run("simulate", "m.yaml", "--format", "json", "-o", str(target)).exception, UsageError)
    assert target.read_text() == written
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


def test_a_file_that_cannot_be_written_is_an_error_of_usage(library: Library, tmp_path: Path) -> None:
    result = run("simulate", "m.yaml", "-o", str(tmp_path / "missing" / "plan.json"))
    assert isinstance(result.exception, UsageError)
    assert "missing/plan.json: can't be written: No such file or directory" in str(result.exception)


def test_output_is_utf_8_in_every_locale() -> None:
    code = "from memplan.cli.output import write_lines; write_lines(['\\u2026 \\udcff'], None)"
    environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "latin-1", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=True)
    assert done.stdout == b"\xe2\x80\xa6 \\udcff\n"


# -- diff ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "asked"),
    [
        (
            ("--top-down", "--bottom-up", "m.yaml"),
            [("m.yaml", "movable_node", None, False), ("m.yaml", "movable_node", None, True)],
        ),
        (
            ("--bottom-up", "m.yaml", "--top-down"),
            [("m.yaml", "movable_node", None, True), ("m.yaml", "movable_node", None, False)],
        ),
        (("a.yaml", "b.yaml"), [("a.yaml", "movable_node", None, None), ("b.yaml", "movable_node", None, None)]),
        (
            ("m.yaml", "--kernel", "5.10", "--kernel", "6.12", "--bottom-up"),
            [("m.yaml", "movable_node", "5.10", True), ("m.yaml", "movable_node", "6.12", True)],
        ),
        (
            ("m.yaml", "--cmdline", "", "--cmdline", "mem=4G", "--kernel", "6.12"),
            [("m.yaml", "", "6.12", None), ("m.yaml", "mem=4G", "6.12", None)],
        ),
    ],
)
def test_what_is_given_twice_makes_the_two_plans(
    library: Library, args: tuple[str, ...], asked: list[tuple[Any, ...]]
) -> None:
    result = run("diff", *args)
    assert result.exception is None
    assert library.asked == asked


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("m.yaml",), "nothing to compare"),
        (("m.yaml", "--kernel", "6.1"), "nothing to compare"),
        (("a", "b", "c"), "MACHINE: given 3 times"),
        (("a", "--kernel", "1", "--kernel", "2", "--kernel", "3"), "--kernel: given 3 times"),
    ],
)
def test_a_diff_needs_two_plans(library: Library, args: tuple[str, ...], text: str) -> None:
    result = run("diff", *args)
    assert isinstance(result.exception, UsageError)
    assert text in str(result.exception)
    assert library.asked == []


def test_exit_code_tells_of_differences(library: Library) -> None:
    different = ("m.yaml", "--kernel", "6.12", "--kernel", "6.1")
    assert run("diff", *different).return_value == 0
    assert run("diff", *different, "--exit-code").return_value == 1
    assert run("diff", "a.yaml", "b.yaml", "--exit-code").return_value == 0


def test_diff_formats(library: Library) -> None:
    result = run("diff", "m.yaml", "--kernel", "6.12", "--kernel", "6.1")
    assert result.output.startswith("removable  4G in 6.12, 0 in 6.1\n")
    document = json.loads(run("diff", "m.yaml", "--top-down", "--bottom-up", "--format", "json").output)
    assert document["plans"] == ["top-down", "bottom-up"]


# -- schema --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "title"), [((), "memplan machine description"), (("plan",), "memplan plan"), (("diff",), "memplan diff")]
)
def test_schema_prints_each_schema(args: tuple[str, ...], title: str) -> None:
    assert json.loads(run("schema", *args).output)["title"] == title
