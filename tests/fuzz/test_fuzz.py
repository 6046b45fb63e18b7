"""A short run of each fuzzing target from fixed numbers; ``make fuzz`` runs for longer."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.mutate import mutated
from tests.fuzz.targets import SEEDS, TARGETS, run

#: Inputs of each target; plans cost more than looks at a text.
_INPUTS = {"pipeline": 25, "options": 40, "source": 40}


@pytest.mark.parametrize("name", TARGETS)
def test_good_inputs_are_good(name: str) -> None:
    for data in SEEDS[name]:
        run(TARGETS[name], data)


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_breaks_the_contract(name: str) -> None:
    numbers = random.Random(f"ci {name}")
    for _ in range(_INPUTS.get(name, 150)):
        data = mutated(numbers, SEEDS[name])
        try:
            run(TARGETS[name], data)
        except Exception as error:
            raise AssertionError(f"{name} is broken by {data!r}") from error
