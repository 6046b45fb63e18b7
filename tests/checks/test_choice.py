"""What is checked and told: folders, chosen rules, what-ifs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from memplan.cli.group import group
from memplan.errors import InputError, UsageError

MACHINE = """\
cmdline: movable_node kernelcore=2G
e820:
- {start: 0, size: 640K}
- {start: 1M, size: 4G}
initrd: {start: 2G, size: 16M}
"""


def run(*args: str) -> Result:
    return CliRunner().invoke(group, ["check", *args], standalone_mode=False)


def found(*args: str) -> list[tuple[str, str]]:
    result = run(*args, "-f", "json")
    assert result.exception is None, result.exception
    findings: list[dict[str, Any]] = json.loads(result.stdout)["findings"]
    return [(finding["file"], finding["rule"]) for finding in findings]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.yaml").write_text(MACHINE)
    return "m.yaml"


@pytest.mark.parametrize("word", ["MP701", "mp701", "kernelcore-without-effect", "MP7xx", "MP101, MP701"])
def test_rules_are_chosen_by_id_name_or_group(word: str, machine: str) -> None:
    assert found(machine, "--set", "initrd.start=8G", "--select", word) == [("m.yaml", "MP701")]
    assert found(machine, "--set", "initrd.start=8G", "--ignore", word) == [("--set initrd.start=8G", "MP512")]
    assert "MP701 kernelcore-without-effect" in run("--explain", "kernelcore-without-effect").stdout


def test_a_rule_that_is_not_there(machine: str) -> None:
    for words in (("--select", "MP799"), ("--ignore", "kernelcore-without-efect"), ("--explain", "nothing")):
        assert isinstance(run(machine, *words).exception, UsageError)
    assert "did you mean kernelcore-without-effect" in str(
        run(machine, "--select", "kernelcore-without-efect").exception
    )


def test_what_ifs(machine: str) -> None:
    assert found(machine) == [("m.yaml", "MP701")]
    assert found(machine, "--cmdline", "quiet") == []
    assert found(machine, "--set", "cmdline=quiet") == []
    assert ("--set initrd.start=16G", "MP512") in found(machine, "--set", "initrd.start=16G")
    result = run(machine, "--set", "initrd.start=16G")
    assert "--set initrd.start=16G: error: 16M of the initrd" in result.stdout
    assert found(machine, "--append", "memmap=1M$64G") == [("--append", "MP703"), ("m.yaml", "MP701")]
    problem = json.loads(run(machine, "--append", "mem=4X", "-f", "json").stdout)["problems"][0]
    assert problem["message"].startswith("the boot option mem=4X has a bad value")
    assert isinstance(run(machine, "--set", "x").exception, UsageError)


def test_a_log_and_several_sources_can_be_changed_too(machine: str, tmp_path: Path) -> None:
    (tmp_path / "boot.log").write_text(
        "[    0.000000] Linux version 6.12.1 (x@y) #1\n"
        "[    0.000000] BIOS-provided physical RAM map:\n"
        "[    0.000000] BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable\n"
        "[    0.000000] BIOS-e820: [mem 0x0000000000100000-0x000000007fffffff] usable\n"
        "[    0.000000] NX (Execute Disable) protection: active\n"
    )
    changed = ("--set", "initrd={start: 8G, size: 1M}", "--select", "MP512")
    assert [rule for _, rule in found("boot.log", *changed)] == ["MP512"]
    assert [rule for _, rule in found("boot.log+m.yaml", *changed)] == ["MP512"]


def test_folders_are_searched(machine: str, tmp_path: Path) -> None:
    inner = tmp_path / "tree" / "b" / "c"
    inner.mkdir(parents=True)
    (inner / "deep.yaml").write_text(MACHINE)
    (tmp_path / "tree" / "a.yml").write_text(MACHINE)
    (tmp_path / "tree" / "ci.yaml").write_text("jobs: [build]\n")
    (tmp_path / "tree" / "notes.txt").write_text("nothing")
    (tmp_path / "tree" / ".hidden").mkdir()
    (tmp_path / "tree" / ".hidden" / "h.yaml").write_text(MACHINE)
    (tmp_path / "tree" / "loop").symlink_to(tmp_path / "tree")
    os.mkfifo(tmp_path / "tree" / "fifo.yaml")
    files = ["tree/a.yml", "tree/b/c/deep.yaml"]
    assert found("tree") == [(name, "MP701") for name in files]
    assert found("tree", "m.yaml") == [(name, "MP701") for name in (*files, "m.yaml")]
    (tmp_path / "empty").mkdir()
    assert isinstance(run("empty").exception, InputError)
    assert "holds nothing to check" in str(run("empty").exception)


def test_quiet_and_verbose(machine: str) -> None:
    assert "fingerprint:" not in run(machine).stdout
    assert "left out" not in run(machine).stdout
    assert "fingerprint: " in run(machine, "--verbose").stdout
    assert "\nleft out: MP101" in run(machine, "--verbose").stdout
    assert run(machine, "--cmdline", "quiet", "--quiet").stdout == ""
    assert run(machine, "--quiet").stdout.startswith("m.yaml:1:23: warning: kernelcore=2G")


def test_an_option_is_pointed_at_itself(machine: str) -> None:
    assert "m.yaml:1:23: warning: kernelcore=2G has no effect under movable_node" in run(machine).stdout
