"""Descriptions to start from: they load, plan and pass the checks, whatever their size."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import memplan
from memplan.cli.group import group
from memplan.machine.load import parse_machine
from memplan.units import GIB, TIB


def init(*words: str) -> str:
    result = CliRunner().invoke(group, ["init", *words], standalone_mode=False)
    assert result.exception is None
    return result.stdout


@pytest.mark.parametrize(
    ("words", "nodes", "memory", "hot"),
    [
        ((), 2, 16 * GIB, {1}),
        (("--nodes", "4", "--memory", "2T", "--hotplug", "1-3"), 4, 2 * TIB, {1, 2, 3}),
        (("--nodes", "1", "--memory", "1G"), 1, GIB, set()),
        (("--nodes", "3", "--memory", "6G", "--hotplug", "2"), 3, 6 * GIB, {2}),
        (("--nodes", "64", "--memory", "64T", "--hotplug", "1-31,40"), 64, 64 * TIB, {*range(1, 32), 40}),
    ],
)
def test_the_machine_has_what_was_asked_for(words: tuple[str, ...], nodes: int, memory: int, hot: set[int]) -> None:
    machine = parse_machine(init(*words), "init")
    assert machine.srat is not None
    assert sum(entry.length for entry in machine.srat.memory) == memory
    assert {entry.pxm for entry in machine.srat.memory} == set(range(nodes))
    assert {entry.pxm for entry in machine.srat.memory if entry.hotplug} == hot
    plan = memplan.simulate(machine)
    assert plan.end.completed
    assert len(plan.nodes) == nodes
    assert {verdict.nid for verdict in plan.verdicts if verdict.movable} == hot


@pytest.mark.parametrize("words", [(), ("--nodes", "4", "--memory", "2T"), ("--nodes", "1", "--memory", "1G")])
def test_nothing_is_to_be_mended_in_it(words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(init(*words))
    result = CliRunner().invoke(group, ["check", str(tmp_path / "m.yaml")], standalone_mode=False)
    assert result.stdout == "nothing found in 1 input\n"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--hotplug", "2"), "there is no node 2 to be hot-pluggable: nodes are 0 to 1"),
        (("--hotplug", "0"), "node 0 holds the kernel"),
        (("--hotplug", "a-b"), "'a-b' names no nodes"),
        (("--memory", "much"), "'much' is no size"),
        (("--memory", "1G"), "1G for 2 nodes is less than 1G for each"),
        (("--nodes", "0"), "0 is not in the range"),
    ],
)
def test_what_can_not_be_is_refused(words: tuple[str, ...], text: str) -> None:
    result = CliRunner().invoke(group, ["init", *words], standalone_mode=False)
    assert text in str(getattr(result.exception, "message", result.exception))
