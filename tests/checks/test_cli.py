"""The command: options, exit status, what goes where; and the jobs for CI that are shipped."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from memplan.cli.check import command
from memplan.cli.group import group
from memplan.errors import InputError, UsageError
from tests.checks.stubs import MACHINE

ROOT = Path(__file__).parents[2]
CI = ROOT / "examples" / "ci"


def run(*args: str) -> Result:
    return CliRunner().invoke(group, ["check", *args], standalone_mode=False)


def test_status_and_streams(stubs: Path) -> None:
    (stubs / "m.yaml").write_text(MACHINE)
    (stubs / "good.yaml").write_text(MACHINE.replace("length: 0", "length: 1G"))
    assert run("good.yaml").return_value == 0
    assert run("good.yaml", "--fail-on", "warning").return_value == 1
    assert run("m.yaml", "good.yaml").return_value == 1
    broken = run("m.yaml", "gone.yaml")
    assert broken.return_value == 2
    assert broken.stderr == "gone.yaml: can't be read: No such file or directory\n"
    assert "m.yaml:8:5: error: domain 7 has a range of no length [MP201 empty-ranges]\n" in broken.stdout


def test_the_formats(stubs: Path) -> None:
    (stubs / "m.yaml").write_text(MACHINE)
    heads = {"text": "m.yaml:1:10: ", "json": '{"findings": [', "junit": "<?xml", "sarif": "{", "github": "::warning "}
    for format_, head in heads.items():
        result = run("m.yaml", "--format", format_)
        assert result.exception is None
        assert result.stdout.startswith(head)
        assert run("m.yaml", "--format", format_, "-o", f"out.{format_}").stdout == ""
        assert (stubs / f"out.{format_}").read_text() == result.stdout


def test_the_same_input_gives_the_same_bytes_whatever_the_jobs(stubs: Path) -> None:
    names = [f"{number}.yaml" for number in range(30)]
    for name in names:
        (stubs / name).write_text(MACHINE)
    for format_ in ("text", "json", "junit", "sarif", "github"):
        assert run(*names, "-f", format_).stdout == run(*names, "-f", format_, "--jobs", "3").stdout


def test_no_bar_without_a_terminal(stubs: Path) -> None:
    names = [f"{number}.yaml" for number in range(30)]
    for name in names:
        (stubs / name).write_text(MACHINE)
    assert run(*names).stderr == ""


def test_a_bar_on_a_terminal(stubs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(30):
        (stubs / f"{number}.yaml").write_text(MACHINE)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    command.main([f"{number}.yaml" for number in range(30)], standalone_mode=False)
    captured = capsys.readouterr()
    assert "checking" in captured.err
    assert "checking" not in captured.out
    command.main(["1.yaml"], standalone_mode=False)
    assert capsys.readouterr().err == ""


def test_expectations_on_the_command_line(stubs: Path) -> None:
    (stubs / "m.yaml").write_text(MACHINE)
    result = run("m.yaml", "--expect", "movable:nodeX")
    assert isinstance(result.exception, InputError)
    assert str(result.exception).startswith("--expect: found the expectation 'movable:nodeX', expected movable:node1")


def test_a_baseline(stubs: Path) -> None:
    (stubs / "old.yaml").write_text(MACHINE)
    (stubs / "new.yaml").write_text(MACHINE.replace("pxm: 7", "pxm: 8"))
    assert run("old.yaml", "--baseline", "old.yaml").return_value == 0
    findings = json.loads(run("new.yaml", "--baseline", "old.yaml", "-f", "json").stdout)["findings"]
    assert [finding["rule"] for finding in findings] == ["MP201"]


def test_the_day_comes_from_the_option(stubs: Path) -> None:
    (stubs / "m.yaml").write_text(MACHINE)
    fingerprint = json.loads(run("m.yaml", "-f", "json").stdout)["findings"][0]["fingerprint"]
    entry = f"suppress: [{{fingerprint: {fingerprint}, until: 2027-01-01, reason: known}}]"
    (stubs / "own.yaml").write_text(entry)
    shown = {
        day: len(json.loads(run("m.yaml", "--config", "own.yaml", "--today", day, "-f", "json").stdout)["findings"])
        for day in ("2026-06-01", "2027-06-01")
    }
    assert shown == {"2026-06-01": 1, "2027-06-01": 2}
    assert isinstance(run("m.yaml", "--today", "tomorrow").exception, UsageError)


def test_no_input_is_an_error_of_usage() -> None:
    assert isinstance(run().exception, UsageError)


def test_the_list_of_rules(stubs: Path) -> None:
    lines = run("--list-rules").stdout.splitlines()
    assert [line.split()[:3] for line in lines][:2] == [
        ["MP101", "info", "every-table"],
        ["MP201", "error", "empty-ranges"],
    ]


def test_a_rule_explained(stubs: Path) -> None:
    text = run("--explain", "mp201").stdout
    assert text.startswith("MP201 empty-ranges: error, of the group made up\n")
    for part in (
        "Something <that> & matters.",
        "Linux says so.",
        "Do otherwise.",
        "a_function (a/file.c)",
        "SRATMadeUp",
    ):
        assert f"\n  {part}\n" in text
    assert "has no test for this" in run("--explain", "MP701").stdout
    assert "'MP203'; did you mean" in str(run("--explain", "MP203").exception)


def test_schema_prints_the_schema_of_findings() -> None:
    result = CliRunner().invoke(group, ["schema", "check"], standalone_mode=False)
    assert json.loads(result.stdout)["title"] == "memplan check"


# -- jobs for CI ---------------------------------------------------------------------------------------------------


def workflow(name: str) -> Any:
    return yaml.safe_load((CI / name).read_text())


def commands(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("memplan ")]


GITHUB = [step.get("run", "") for step in workflow("github.yml")["jobs"]["memplan"]["steps"]]
GITLAB = workflow("gitlab.yml")["firmware"]["script"]


@pytest.mark.parametrize("line", [*commands(GITHUB), *commands(GITLAB)])
def test_the_commands_of_the_jobs_run(line: str, tmp_path: Path) -> None:
    (tmp_path / "builds").mkdir()
    (tmp_path / "builds" / "m.yaml").write_text(MACHINE)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode in (0, 1), done.stderr) == (True, "")
    if "-o" in (words := shlex.split(line)):
        assert (tmp_path / words[words.index("-o") + 1]).stat().st_size


def test_the_github_workflow_has_what_a_workflow_needs() -> None:
    content = workflow("github.yml")
    assert content[True] == ["push", "pull_request"]
    job = content["jobs"]["memplan"]
    assert job["runs-on"]
    assert len(commands(GITHUB)) == 2
    upload = next(step for step in job["steps"] if "upload-sarif" in step.get("uses", ""))
    assert f"-o {upload['with']['sarif_file']}" in GITHUB[-2]
    assert content["permissions"]["security-events"] == "write"


def test_the_gitlab_job_hands_over_its_report() -> None:
    job = workflow("gitlab.yml")["firmware"]
    (line,) = commands(job["script"])
    assert f"--format junit -o {job['artifacts']['reports']['junit']}" in line
    assert job["artifacts"]["when"] == "always"


@pytest.mark.parametrize(("length", "status"), [("1G", 0), ("X", 2)])
def test_the_makefile_fragment_runs(length: str, status: int, tmp_path: Path) -> None:
    (tmp_path / "builds").mkdir()
    (tmp_path / "builds" / "m.yaml").write_text(MACHINE.replace("length: 0", f"length: {length}"))
    memplan = f"MEMPLAN={sys.executable} -m memplan"
    arguments = ["make", "-f", str(CI / "check.mk"), "firmware-check", memplan, "BASELINE=builds/m.yaml"]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert "check builds/m.yaml --jobs 2 --fail-on warning --baseline builds/m.yaml" in done.stdout


def test_the_pre_commit_hook(tmp_path: Path) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert {"id", "name", "entry", "language", "files", "types"} <= set(hook)
    assert hook["entry"] == "memplan check"
    (tmp_path / "m.yaml").write_text("e820: [")
    arguments = [sys.executable, "-m", *shlex.split(hook["entry"]), "m.yaml"]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("m.yaml:1:7: not YAML")
