"""The registry of steps: what the rules name is there, and a name has one function."""

import pytest

from memplan.boot.registry import find_step, registered, step
from memplan.errors import NotCoveredError
from memplan.kernel.resolve import all_rules, load_rules


@pytest.mark.parametrize("version", ["3.13", "5.10", "6.1", "6.12"])
def test_all_steps_of_a_version_are_registered(version: str) -> None:
    assert set(load_rules(version).steps) <= set(registered())


def test_no_step_is_left_that_no_version_takes() -> None:
    assert set(registered()) == {step.name for step in all_rules().steps}


def test_a_step_says_which_file_it_follows() -> None:
    found = find_step("reserve_crashkernel")
    assert (found.name, found.source) == ("reserve_crashkernel", "arch/x86/kernel/setup.c")
    assert found.run.__module__ == "memplan.boot.steps.crash"


def test_one_name_for_two_functions_is_refused() -> None:
    registered()
    with pytest.raises(ValueError, match="two functions for the step reserve_brk"):

        @step("arch/x86/kernel/setup.c")
        def reserve_brk(boot: object) -> None:
            """Of the name of another."""


def test_an_unknown_step() -> None:
    with pytest.raises(NotCoveredError, match="reserve_nothing"):
        find_step("reserve_nothing")
