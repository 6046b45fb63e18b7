"""What in a folder is checked: descriptions, logs, folders of tables; and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from memplan.checks.folders import expand
from memplan.checks.run import Options, check_input
from memplan.errors import InputError
from memplan.firmware.acpi_encode import encode_srat
from memplan.machine.load import load_machine

NODES = Path(__file__).parents[2] / "examples" / "hotplug-nodes.yaml"


def test_inputs_of_a_folder(tmp_path: Path) -> None:
    srat = load_machine(NODES).srat
    assert srat is not None
    for name, text in (
        ("b/machine.yaml", "e820: []\n"),
        ("b/values.yaml", "other: 1\n"),
        ("b/boot.LOG", "words\n"),
        ("b/notes.txt", "words\n"),
        (".hidden/machine.yaml", "e820: []\n"),
        (".hidden.yaml", "e820: []\n"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "SRAT").write_bytes(encode_srat(srat))
    (tmp_path / "link").symlink_to("b")
    os.mkfifo(tmp_path / "b" / "pipe.yaml")
    found = [Path(own).relative_to(tmp_path).as_posix() for own in expand((str(tmp_path),))]
    assert found == ["a", "b/boot.LOG", "b/machine.yaml"]
    assert expand((str(tmp_path / "a"), "nowhere")) == [str(tmp_path / "a"), "nowhere"]


def test_a_folder_without_any(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("words\n")
    with pytest.raises(InputError, match="this folder holds nothing to check"):
        expand((str(tmp_path),))


def test_an_empty_configuration_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(NODES.read_text())
    plain = check_input(str(tmp_path / "m.yaml"), Options())
    (tmp_path / "memplan.yaml").write_text("# nothing yet\n")
    empty = check_input(str(tmp_path / "m.yaml"), Options())
    assert empty.problems == ()
    assert [own.rule for own in empty.findings] == [own.rule for own in plain.findings]
