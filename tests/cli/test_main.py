"""The group: what it imports, and how it ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

from memplan import cli
from memplan.cli.group import group
from memplan.errors import UsageError


def run(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "memplan", *args], capture_output=True, text=True, check=False)


def test_help_lists_commands_and_imports_nothing_heavy() -> None:
    light = ("memplan.cli", "memplan.cli.streams", "memplan.errors", "memplan.printable")
    code = (
        "import sys\nfrom memplan.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit as e: assert not e.code\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'click', 'pydantic', 'rich', 'yaml'}))\n"
        f"print([m for m in sys.modules if m.startswith('memplan.') and m not in {light}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "  simulate  " in done.stdout
    assert done.stdout.splitlines()[-2:] == ["[]", "[]"]


@pytest.mark.parametrize("words", [("simulate",), ("check",), ("sweep", "--vary", "movable_node=on,off")])
def test_a_command_imports_nothing_that_it_does_not_use(words: tuple[str, ...]) -> None:
    heavy = {"pydantic", "rich", "jinja2", "subprocess", "hashlib", "lzma", "memplan.hotadd.replay"}
    code = (
        "import sys\nfrom memplan.cli import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit as e: assert not e.code\n"
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    command, *options = words
    line = [sys.executable, "-c", code, command, "examples/hotplug-nodes.yaml", *options]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_misspelt_command_gets_the_nearest_right_one() -> None:
    done = run("simulat")
    assert (done.returncode, done.stdout) == (2, "")
    assert "No such command 'simulat'. Did you mean 'simulate'?" in done.stderr


def test_a_missing_file_is_one_line_and_status_2() -> None:
    done = run("simulate", "/nonexistent/machine.yaml")
    assert done.returncode == 2
    assert "/nonexistent/machine.yaml" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_help_fits_a_terminal_and_is_the_groups_own() -> None:
    lines = cli.help_text().splitlines()
    assert max(map(len, lines)) <= 80
    listed = [line.split()[0] for line in lines[lines.index("Commands:") + 1 :]]
    assert listed == cli.available()
    with group.make_context("memplan", [], resilient_parsing=True) as context:
        assert group.get_help(context) == cli.help_text()
        for name in listed:
            command = group.get_command(context, name)
            assert command is not None
            assert command.get_short_help_str(), name
        assert {option for p in group.get_params(context) for option in p.opts} == {"--version", "-h", "--help"}


def test_version() -> None:
    assert run("--version").stdout.startswith("memplan 0.")


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (UsageError("a.yaml:3: what is wrong"), 2, "a.yaml:3: what is wrong\n"),
        (FileNotFoundError(2, "No such file or directory", "b.yaml"), 2, "b.yaml: No such file or directory\n"),
        (KeyboardInterrupt(), 130, "memplan: interrupted\n"),
        (
            ZeroDivisionError("by nought"),
            2,
            "memplan: internal error: ZeroDivisionError: by nought (test_main.py:{line}); "
            "with MEMPLAN_DEBUG=1 it shows its traceback\n",
        ),
    ],
)
def test_errors_become_a_message_and_a_status(
    error: BaseException,
    status: int,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr("memplan.cli.group.run", fail)
    monkeypatch.delenv("MEMPLAN_DEBUG", raising=False)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["simulate"])
    assert stopped.value.code == status
    assert capsys.readouterr().err == text.format(line=fail.__code__.co_firstlineno + 1)


def test_a_closed_pipe_is_no_error() -> None:
    code = (
        "from memplan import cli\nfrom memplan.cli import group\n"
        "group.run = lambda *a, **k: [print('x' * 1000) for _ in range(10000)]\ncli.main(['simulate'])"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait() == 0
        assert process.stderr.read() == b""
