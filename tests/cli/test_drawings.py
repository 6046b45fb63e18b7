"""Schemas and drawings as the commands print them: valid schemas, well-formed pictures, maps in their width."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click
import jsonschema
import pytest
from click.testing import CliRunner, Result

from memplan.cli.group import group
from memplan.cli.schema import command as schema_command

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "hotplug-nodes.yaml"
_SVG = "{http://www.w3.org/2000/svg}"


def run(*words: str) -> Result:
    result = CliRunner().invoke(group, words, standalone_mode=False)
    assert result.exception is None, result.exception
    return result


def kinds() -> list[str]:
    (choice,) = [one.type for one in schema_command.params if isinstance(one.type, click.Choice)]
    return list(choice.choices)


@pytest.mark.parametrize("kind", kinds())
def test_each_schema_is_one(kind: str) -> None:
    schema: dict[str, Any] = json.loads(run("schema", kind).output)
    jsonschema.validators.validator_for(schema).check_schema(schema)
    assert schema["title"]


def test_a_picture_of_the_nodes(tmp_path: Path) -> None:
    path = tmp_path / "map.svg"
    assert run("map", str(EXAMPLE), "-o", str(path)).return_value == 0
    root = ElementTree.fromstring(path.read_text())
    assert root.tag == f"{_SVG}svg"
    texts = " ".join(text for element in root.iter(f"{_SVG}text") for text in element.itertext())
    nodes = {int(number) for number in re.findall(r"node (\d+)", texts)}
    assert nodes == {0, 1, 2, 3}
    assert all(float(element.get("width", 1)) >= 0 for element in root.iter(f"{_SVG}rect"))


@pytest.mark.parametrize("width", [20, 60, 200])
def test_strips_keep_to_their_width(width: int) -> None:
    lines = run("map", str(EXAMPLE), "--width", str(width)).output.splitlines()
    strips = [line for line in lines if line.startswith("  ")]
    assert len(strips) >= 4
    assert {len(line) for line in strips} == {width}


def test_the_nodes_as_steps_leave_them() -> None:
    plain, grown = run("map", str(EXAMPLE)), run("map", str(EXAMPLE), "--add", "1G@node1")
    assert grown.return_value == 0
    assert grown.output != plain.output


def test_a_boot_that_dies_has_no_map() -> None:
    result = run("map", str(EXAMPLE), "--append", "memmap=exactmap")
    assert result.return_value == 1
    assert result.output.startswith("The boot dies in ")
