"""The programs in README.md run, and its commands print what it shows."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

import memplan
from memplan.cli import main
from memplan.differences import compare
from memplan.render.diff_overview import diff_overview
from memplan.render.map_svg import map_svg
from memplan.render.spans import plain

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_three_questions_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    programs = re.findall(r"```python\n(.*?)```", README, re.S)
    assert len(programs) == 3
    names: dict[str, object] = {}
    answers = []
    for program in programs:
        with contextlib.redirect_stdout(io.StringIO()) as said:
            exec(compile(program, "README.md", "exec"), names)
        answers.append(said.getvalue())
    assert "initrd: let the boot loader put the initrd into a node that stays" in answers[0]
    assert "memory blocks go off-line" in answers[0]
    assert re.search(r"^\d+ MiB from 0x[0-9a-f]+ on, in node 0$", answers[2], re.M)


# -- what commands print -------------------------------------------------------------------------------------------


def shown() -> list[tuple[str, str]]:
    """The commands in README.md whose output follows, and that output."""
    blocks: list[list[str]] = [[]]
    fenced = False
    for line in README.splitlines():
        if line.startswith("```"):
            fenced = line == "```console"
            blocks.append([])
        elif fenced or line.startswith("    "):
            blocks[-1].append(line if fenced else line[4:])
        elif line:
            blocks.append([])
        else:
            blocks[-1].append(line)
    found: list[tuple[str, str]] = []
    for block in blocks:
        lines = iter(block)
        for line in lines:
            if line.startswith("$ memplan "):
                words = line[2:]
                while words.endswith("\\"):
                    words = words[:-1] + next(lines)
                found.append((words, ""))
            elif found and any(own.startswith("$ ") for own in block):
                found[-1] = found[-1][0], f"{found[-1][1]}{line}\n"
    return found


@pytest.mark.parametrize(("words", "output"), shown(), ids=[words for words, _ in shown()])
def test_a_command_prints_what_the_readme_shows(
    words: str, output: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Line ends count as spaces, as the text is wrapped; an ellipsis stands for what is left out."""
    monkeypatch.chdir(ROOT / "examples" / "hotadd" if " hotadd " in words else ROOT)
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit):
        main(shlex.split(words)[1:])
    parts = [re.escape(" ".join(part.split())) for part in output.split("…")]
    printed = " ".join(capsys.readouterr().out.split())
    assert re.fullmatch(r"\s*.*?\s*".join(parts), printed), printed


def test_the_readme_shows_the_diff_of_directions_as_a_terminal_does() -> None:
    machine = memplan.load_machine(ROOT / "examples" / "hotplug-nodes.yaml")
    plans = memplan.simulate(machine, bottom_up=False), memplan.simulate(machine, bottom_up=True)
    lines = plain(diff_overview(plans, compare(*plans), ("top-down", "bottom-up"), 80, 40))
    assert "".join(f"    {line}".rstrip() + "\n" for line in lines) in README


def test_the_picture_is_that_of_today() -> None:
    plan = memplan.simulate(memplan.load_machine(ROOT / "examples" / "blocked-by-acpi.yaml"))
    assert (ROOT / "examples" / "blocked-by-acpi.svg").read_text().splitlines() == list(map_svg(plan))
    assert "(examples/blocked-by-acpi.svg)" in README
