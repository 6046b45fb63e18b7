"""Which rules make two kernels' outcomes differ."""

from __future__ import annotations

from pathlib import Path

import pytest

import memplan
from memplan.history import Build
from memplan.kernel.load import kernel_of
from memplan.plan import Plan
from memplan.rule_changes import RuleChange, rule_changes

EXAMPLES = Path(__file__).parent.parent / "examples"


def changes(name: str, *kernels: str) -> tuple[RuleChange, ...]:
    machine = memplan.load_machine(EXAMPLES / f"{name}.yaml")
    first, second = (Build(kernel, kernel_of(machine.kernel, kernel)) for kernel in kernels)
    plans: tuple[Plan, Plan] = (
        memplan.simulate(machine, kernel=first.kernel),
        memplan.simulate(machine, kernel=second.kernel),
    )
    return rule_changes(machine, (first, second), plans)


def test_percentages_came_with_one_commit() -> None:
    (change,) = changes("kernelcore-percent", "4.14", "6.12")
    assert change.outcome == "what can be removed"
    assert [(cause.name, cause.commit) for cause in change.causes] == [("kernelcore_percent", "a5c6d6509342")]


@pytest.mark.parametrize("kernels", [("3.13", "6.12"), ("lab-3.13.10", "debian-6.12.107+deb12-amd64")])
def test_a_machine_gains_nodes_by_the_marks_and_the_zone_together(kernels: tuple[str, str]) -> None:
    (change,) = changes("hotplug-nodes-3.13", *kernels)
    assert {"srat_hotplug_marks", "movable_node_zone"} <= {cause.name for cause in change.causes}
    assert len(change.causes) < 6


def test_a_crash_kernel_that_gets_more_names_the_rule() -> None:
    found = {change.outcome: change.causes for change in changes("crash-kernel-high", "3.13", "6.12")}
    assert [cause.name for cause in found["what the crash kernel gets"]] == ["crash_low_default"]


def test_no_rule_is_named_where_nothing_changed() -> None:
    assert changes("two-nodes-3.13", "6.1", "6.1") == ()
    assert changes("hotplug-nodes", "6.1", "6.12") == ()
