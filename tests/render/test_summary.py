"""Many machines, a line each: what it tells of one plan, and what the second of two kernels changes."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

import memplan
from memplan.cli.group import group
from memplan.errors import UsageError
from memplan.events import Message
from memplan.plan import End, Plan
from memplan.render.summary import comparison_table, summary_table
from memplan.render.summary_json import summary_document, summary_schema
from tests.render.plans import a_plan

EXAMPLES = Path(__file__).parents[2] / "examples"


def planned(name: str, kernel: str | None = None, append: str = "") -> tuple[str, str | None, Plan]:
    machine = memplan.load_machine(EXAMPLES / f"{name}.yaml")
    changed = machine._replace(cmdline=f"{machine.cmdline} {append}".strip())
    return name, kernel, memplan.simulate(changed, kernel=kernel)


def test_a_machine_that_loses_nodes_has_them_and_the_reason_on_its_line() -> None:
    plans = [planned(name, kernel) for name in ("kernelcore-percent", "hotplug-nodes") for kernel in ("6.12", "4.14")]
    table = comparison_table(plans, ("6.12", "4.14"))
    assert table.title == "1 of 2 machines can remove less of a node with 4.14 than with 6.12"
    assert [row[0] for row in table.rows] == ["kernelcore-percent", "hotplug-nodes"]
    lost = [row[table.columns.index("nodes that lose")] for row in table.rows]
    assert lost == ["0-1", "-"]
    assert "with 4.14: kernelcore=30% leaves it to the kernel's own zones" in table.rows[0][-1]
    again = comparison_table([plans[1], plans[0]], ("4.14", "6.12"))
    assert again.rows[0][again.columns.index("nodes that gain")] == "0-1"


def test_the_document_says_the_same_and_obeys_its_schema() -> None:
    plans = [planned("kernelcore-percent", kernel) for kernel in ("6.12", "4.14")]
    found = summary_document(plans, ["6.12", "4.14"])
    jsonschema.validate(found, summary_schema())
    assert found["changes"][0]["nodes_lost"] == [0, 1]
    assert found["changes"][0]["removable"][0] > found["changes"][0]["removable"][1] == 0
    assert summary_document(plans[:1], [])["changes"] == []


def test_what_is_to_be_noted_of_a_plan_stands_on_its_line() -> None:
    plans = [planned("hotplug-nodes", append="movable_nodes memtest=1")]
    notes = summary_table(plans).rows[0][-1]
    assert "boot option: movable_nodes is no option of Linux" in notes
    assert "not modelled: memtest" in notes
    (told,) = summary_document(plans, [])["plans"]
    assert told["unheeded_options"] == list(plans[0][2].unheeded)
    assert told["not_modelled"] == list(plans[0][2].limits) != []


def test_of_many_warnings_the_line_has_the_first_and_how_many_are_left() -> None:
    plan = a_plan()
    said = tuple(Message(f"e820: entry {number} is left out", "e820__memory_setup", True) for number in range(3000))
    notes = summary_table([("m.yaml", None, plan._replace(events=(*plan.events, *said)))]).rows[0][-1].split("; ")
    assert [text for text in notes if "entry 0 is" in text]
    warned = sum(1 for event in plan.events if isinstance(event, Message) and event.warning)
    assert notes[-1] == f"{warned + 3000 - 20} more warnings of the kernel"
    assert len([text for text in notes if "is left out" in text]) == 20 - warned


def test_a_dead_boot_has_a_line_too() -> None:
    dead = a_plan(end=End(False, "initmem_init", "words", "no memory"), nodes=(), verdicts=(), movable=())
    (row,) = summary_table([("m.yaml", None, dead)]).rows
    assert row[-1].startswith("dies in initmem_init: no memory")
    assert comparison_table([("m", "a", a_plan()), ("m", "b", dead)], ("a", "b")).rows[0][5] == "1"


def test_the_command() -> None:
    files = [str(EXAMPLES / f"{name}.yaml") for name in ("kernelcore-percent", "two-nodes-3.13")]
    words = ["simulate", *files, "--summary", "--kernel", "6.12", "--kernel", "4.14"]
    run = CliRunner().invoke(group, words, standalone_mode=False)
    assert len(run.output.splitlines()) == 2 + len(files)
    found = json.loads(CliRunner().invoke(group, [*words, "-f", "json"], standalone_mode=False).output)
    assert [change["nodes_lost"] for change in found["changes"]] == [[0, 1], []]
    three = CliRunner().invoke(group, [*words, "--kernel", "5.10"], standalone_mode=False)
    assert len(three.output.splitlines()) == 2 + 3 * len(files)
    with pytest.raises(UsageError, match="a trace is of one plan"):
        CliRunner().invoke(group, [*words, "-f", "trace"], standalone_mode=False, catch_exceptions=False)
