"""The programs in README.md run."""

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_the_three_questions_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    programs = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
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
