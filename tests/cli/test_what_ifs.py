"""--set, --cmdline and --append: the plan of the changed machine is the plan of the edited description."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from memplan.cli.group import group
from memplan.errors import InputError, UsageError

MACHINE = """\
name: m
cmdline: {cmdline}
e820:
- {{start: 0, size: 640K}}
- {{start: 1M, size: 3G}}
- {{start: 4G, size: 4G}}
srat:
  memory:
  - {{pxm: 0, base: 0, length: 4G}}
  - {{pxm: 1, base: 4G, length: 4G, hotplug: {hotplug}}}
initrd: {{start: {initrd}, size: 64M}}
"""


def run(*args: str) -> Result:
    return CliRunner().invoke(group, args, standalone_mode=False)


def plan(*args: str) -> dict[str, Any]:
    result = run("simulate", *args, "-f", "json")
    assert result.exception is None, result.exception
    document: dict[str, Any] = json.loads(result.stdout)
    return document


@pytest.fixture
def machine(tmp_path: Path) -> str:
    (tmp_path / "m.yaml").write_text(MACHINE.format(cmdline="movable_node", hotplug="false", initrd="1G"))
    edited = MACHINE.format(cmdline="movable_node mem=6G", hotplug="true", initrd="2G")
    (tmp_path / "edited.yaml").write_text(edited)
    return str(tmp_path / "m.yaml")


def test_changes_equal_the_edited_file(machine: str, tmp_path: Path) -> None:
    sets = ("--set", "initrd.start=2G", "--set", "srat.memory[1].hotplug=true")
    edited = plan(str(tmp_path / "edited.yaml"))
    assert plan(machine, *sets, "--append", "mem=6G") == edited
    assert plan(machine, *sets, "--cmdline", "movable_node mem=6G") == edited
    assert plan(machine, *sets, "--set", "cmdline=movable_node mem=6G") == edited
    assert plan(machine) != edited


def diff(*args: str) -> str:
    result = run("diff", *args)
    assert result.exception is None, result.exception
    return result.output


def test_a_diff_of_changes(machine: str) -> None:
    once = diff(machine, "--set", "initrd.start=2G")
    assert "as described" in once
    assert "initrd.start=2G" in once
    twice = diff(machine, "--set", "initrd.start=1G", "--set", "initrd.start=2G")
    assert "initrd.start=1G" in twice
    same = ("--set", "srat.memory[1].hotplug=true", "--kernel", "6.1", "--kernel", "6.12")
    assert "srat" not in diff(machine, *same).split("\n")[0]
    assert "nothing appended" in diff(machine, "--append", "", "--append", "mem=6G")
    assert run("diff", machine, "--exit-code", "--set", "name=other").return_value == 0
    assert run("diff", machine, "--exit-code", "--append", "mem=6G").return_value == 1


@pytest.mark.parametrize(
    ("args", "error", "text"),
    [
        (("simulate", "--set", "initrd"), UsageError, "expected KEY=VALUE"),
        (("simulate", "--set", "initrd.begin=1G"), InputError, "unknown key begin"),
        (("simulate", "--append", "quiet " * 400), InputError, "--append: the boot options would have 2413 characters"),
        (("simulate", "--cmdline", "q" * 2048), InputError, "--cmdline: the boot options would have 2048 characters"),
        (("diff", *("--set", "mtrr_limit=1G") * 3), UsageError, "--set mtrr_limit: given 3 times"),
        (("diff", *("--append", "x") * 3), UsageError, "--append: given 3 times"),
        (("diff",), UsageError, "nothing to compare"),
    ],
)
def test_what_can_not_be(args: tuple[str, ...], error: type[Exception], text: str, machine: str) -> None:
    exception = run(*args, machine).exception
    assert isinstance(exception, error)
    assert text in str(exception)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_get_completion(shell: str) -> None:
    import os
    import subprocess
    import sys

    def asked(instruction: str, words: str, index: int) -> str:
        environment = {
            **os.environ,
            "_MEMPLAN_COMPLETE": f"{shell}_{instruction}",
            "COMP_WORDS": words,
            "COMP_CWORD": words.split()[-1] if shell == "fish" and words else str(index),
        }
        done = subprocess.run(
            [sys.executable, "-m", "memplan"], env=environment, capture_output=True, text=True, check=False
        )
        assert done.stderr == ""
        return done.stdout

    assert "_MEMPLAN_COMPLETE" in asked("source", "", 0)
    for words, wanted in (
        ("memplan sim", "simulate"),
        ("memplan simulate --kernel 6.1", "6.12"),
        ("memplan check --profile hot", "hotplug-server"),
        ("memplan check --explain MP51", "MP512"),
        ("memplan check --select initrd-out", "initrd-outside-ram"),
        ("memplan simulate --set initrd.s", "initrd.start="),
        ("memplan simulate --section res", "reserved"),
    ):
        assert wanted in asked("complete", words, len(words.split()) - 1), words


def test_a_folder_is_no_log(tmp_path: Path) -> None:
    assert str(run("verify", str(tmp_path)).exception) == f"{tmp_path}: is a directory, expected a file or a pipe"


def test_both_directions_at_once_are_a_contradiction(machine: str) -> None:
    exception = run("simulate", machine, "--top-down", "--bottom-up").exception
    assert isinstance(exception, UsageError)
    assert "contradict" in str(exception)
