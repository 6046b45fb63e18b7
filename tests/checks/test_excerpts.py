"""The lines and bytes that findings show: each as if it alone were asked for, and no file read once a line."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest

from memplan.checks.places import excerpts
from memplan.machine.places import Place

TEXT = "e820: []\ncmdline: quiet  # a comment\n\tkernel: 6.12\n"


def test_the_caret_stands_below_what_is_meant(tmp_path: Path) -> None:
    file = tmp_path / "machine.yaml"
    file.write_text(TEXT)
    places = [Place(str(file), 2, 10), Place(str(file), 1), Place(str(file), 9), Place(str(file))]
    assert list(excerpts(places)) == [
        ("    2 | cmdline: quiet  # a comment", "      |          ^~~~~"),
        ("    1 | e820: []", "      | ^~~~~~~~"),
        ("    9 | ", "      | ^"),
        (),
    ]


def test_a_file_that_is_gone_shows_nothing(tmp_path: Path) -> None:
    assert list(excerpts([Place(str(tmp_path / "gone.yaml"), 1), Place(str(tmp_path / "gone.aml"), offset=4)])) == [
        (),
        (),
    ]


def test_bytes_of_a_table_stand_in_hexadecimal(tmp_path: Path) -> None:
    file = tmp_path / "SRAT.aml"
    file.write_bytes(bytes(range(32)))
    assert list(excerpts([Place(str(file), offset=30)])) == [("0x001e | 1e 1f", "       | ^^")]


def test_a_file_is_read_once_for_all_its_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "machine.yaml"
    file.write_text(TEXT * 100)
    opened: list[object] = []
    real = builtins.open

    def noted(name: Any, *args: Any, **kwargs: Any) -> Any:
        opened.append(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "open", noted)
    assert len(list(excerpts(Place(str(file), line) for line in range(1, 301)))) == 300
    assert opened == [str(file)]
