"""What a terminal is shown: colours, the first screen, a pager where it is too low; the same words as elsewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from memplan.cli import main
from memplan.cli.output import show_lines
from memplan.render.limits_json import limits_schema

EXAMPLES = Path(__file__).parents[2] / "examples"
NODES, BLOCKED = str(EXAMPLES / "hotplug-nodes.yaml"), str(EXAMPLES / "blocked-by-acpi.yaml")
COLOUR = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command; `lines` is how high the terminal is, 0 for none."""

    def call(*words: str, lines: int = 0) -> tuple[int, str, str]:
        size = os.terminal_size((100, lines or 24))
        monkeypatch.setattr("shutil.get_terminal_size", lambda *_: size)
        monkeypatch.setenv("COLUMNS", "100")
        monkeypatch.setattr(sys.stdout, "isatty", lambda: bool(lines))
        with pytest.raises(SystemExit) as left:
            main(list(words))
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return call


@pytest.mark.parametrize(
    ("words", "head"),
    [
        (("simulate", NODES), "12 GiB of 16 GiB can be removed (nodes 1-3)"),
        (("simulate", NODES, "--verbose"), "12G of 16.0G can be removed: node 1 4G, node 2 4G, node 3 4G"),
        (("diff", NODES, BLOCKED), "Nothing can be removed with "),
        (("diff", NODES, "--kernel", "3.13", "--kernel", "6.12"), "12 GiB"),
        (("diff", NODES, "--append", "crashkernel=1G"), "12 GiB"),
        (("diff", NODES, BLOCKED, "--verbose"), "removable"),
        (("hotadd", NODES, "--how-much"), "Never more than "),
        (("hotadd", NODES, "--add", "1G@node1"), "1G of added memory is there in the end: d0"),
        (("map", NODES), "node 0"),
        (("explain", NODES, "0x100000"), "has it, on node 0"),
    ],
    ids=lambda own: " ".join(word.rpartition("/")[2] for word in own) if isinstance(own, tuple) else "",
)
def test_colours_are_added_and_nothing_else(words: tuple[str, ...], head: str, run: Run) -> None:
    status, out, err = run(*words, lines=1000)
    assert (status, err) == (0, "")
    plain = COLOUR.sub("", out)
    assert head in " ".join(plain.split("\n")[:4])
    assert "\x1b" not in plain
    assert all(len(line) <= 100 for line in plain.splitlines()) or "/" in plain
    assert COLOUR.search(run(*words)[1]) is None


def test_no_colour_where_nobody_wants_any(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert re.search(r"\x1b\[[0-9;]*3[0-9]", run("map", NODES, lines=1000)[1])
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", run("map", NODES, lines=1000)[1])


def test_a_pager_where_the_terminal_is_too_low(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[tuple[str, bool]] = []
    monkeypatch.setattr("click.echo_via_pager", lambda text, color: shown.append((text, color)))
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((80, 4)))
    monkeypatch.delenv("NO_COLOR", raising=False)
    for terminal in (True, False):
        monkeypatch.setattr(sys.stdout, "isatty", lambda own=terminal: own)
        for pager in (True, False):
            for count in (3, 4):
                show_lines([f"\x1b[1m{number}\x1b[0m\x07" for number in range(count)], None, pager=pager)
    assert shown == [("".join(f"\x1b[1m{number}\x1b[0m\\u0007\n" for number in range(4)), True)]
    # Three lines on the terminal, then both without a pager, and both where there is no terminal.
    assert len(capsys.readouterr().out.splitlines()) == 3 + (3 + 4) + 2 * (3 + 4)
    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    show_lines(["1", "2", "3", "4"], None, pager=True)
    assert shown[1] == ("1\n2\n3\n4\n", False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("simulate", NODES, BLOCKED), "several machines or kernels: add --summary for one line each"),
        (("simulate", NODES, "--kernel", "6.1", "--kernel", "6.12"), "several machines or kernels: add --summary"),
        (("simulate", NODES, "--summary", "-f", "trace"), "--summary is a table or JSON: a trace is of one plan"),
        (("explain", NODES, "node", "1"), "explain takes a machine and one subject; quote a subject of several words"),
        (("advise", NODES, "--want", "boots", "--apply", "x", "-o", "x"), "--apply and --output name the same file"),
        (("no-such-command",), "No such command 'no-such-command'."),
        (("simulat",), "No such command 'simulat'. Did you mean 'simulate'?"),
    ],
    ids=lambda own: " ".join(own[1:]).rpartition("/")[2] if isinstance(own, tuple) else "",
)
def test_usage_that_can_not_work(words: tuple[str, ...], message: str, run: Run) -> None:
    status, out, err = run(*words)
    assert (status, out) == (2, "")
    assert message in err


def test_what_is_modelled_as_text_and_as_json(run: Run) -> None:
    status, out, _ = run("limits", "-f", "json")
    document = json.loads(out)
    assert status == 0
    jsonschema.validate(document, limits_schema())
    text = " ".join(run("limits")[1].split())
    terminal = " ".join(COLOUR.sub("", run("limits", lines=1000)[1]).split())
    assert text
    assert len(terminal) > len(text) // 2


@pytest.mark.parametrize(
    ("missing", "told"), [("jinja2", "pip install 'memplan[report]'"), ("zlib", "internal error: ModuleNotFoundError")]
)
def test_a_page_needs_its_library(missing: str, told: str, tmp_path: Path) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; from memplan.cli import main; main()"
    words = [sys.executable, "-c", code, "report", NODES, "-o", "page.html"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert list(tmp_path.iterdir()) == []
