"""The first screen of a comparison."""

from __future__ import annotations

from pathlib import Path

import pytest

import memplan
from memplan.differences import compare
from memplan.machine.model import Machine
from memplan.plan import Plan
from memplan.render.diff_overview import diff_overview
from memplan.render.spans import plain

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name: str) -> Machine:
    return memplan.load_machine(EXAMPLES / f"{name}.yaml")


def screen(before: Plan, after: Plan, labels: tuple[str, str] = ("old", "new"), width: int = 80) -> list[str]:
    return list(plain(diff_overview((before, after), compare(before, after), labels, width, 23)))


def test_equal_plans_have_no_differences() -> None:
    plan = memplan.simulate(example("two-nodes-3.13"))
    assert screen(plan, plan)[0] == "No differences between old and new"


def test_what_is_lost_comes_first_with_the_reason_of_the_plan_that_loses_it() -> None:
    machine = example("hotplug-nodes")
    without = machine._replace(cmdline=machine.cmdline.replace(" movable_node", ""))
    lines = screen(memplan.simulate(machine), memplan.simulate(without))
    assert lines[0] == "Nothing can be removed with new, 12 GiB with old"
    told = " ".join(" ".join(lines).split())
    assert "nodes 1-3: lost: with new, no boot option asks for ZONE_MOVABLE" in told


def test_what_is_gained_says_why_it_was_not_there_before() -> None:
    machine = example("hotplug-nodes")
    without = machine._replace(cmdline=machine.cmdline.replace(" movable_node", ""))
    told = " ".join(" ".join(screen(memplan.simulate(without), memplan.simulate(machine))).split())
    assert "nodes 1-3: gained: with old, no boot option asks for ZONE_MOVABLE" in told


def test_warnings_of_one_side_name_it() -> None:
    machine = example("blocked-by-acpi")
    failing = memplan.simulate(machine._replace(cmdline=f"{machine.cmdline} crashkernel=64G"))
    told = " ".join(" ".join(screen(memplan.simulate(machine), failing)).split())
    assert "warning only with new: " in told


def test_families_that_changed_have_a_row_and_others_none() -> None:
    machine = example("crash-kernel-high")
    smaller = machine._replace(cmdline=machine.cmdline.replace("crashkernel=512M,high", "crashkernel=256M,high"))
    lines = screen(memplan.simulate(machine), memplan.simulate(smaller))
    rows = [line.split("  ") for line in lines if line.startswith("  crash kernel")]
    assert len(rows) == 1
    assert not any(line.startswith("  kernel image") for line in lines)


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_screen_fits(width: int) -> None:
    machine = example("many-cpus")
    lines = screen(memplan.simulate(machine), memplan.simulate(machine, kernel="3.13"), width=width)
    assert len(lines) <= 23
    assert max(map(len, lines)) <= width
