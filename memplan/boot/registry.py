"""The registry of boot steps: each is a function of one Boot, registered under its own name where it is defined."""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from memplan.boot import steps
from memplan.errors import NotCoveredError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from memplan.boot.context import Boot

    Action: TypeAlias = Callable[[Boot], None]


class Step(NamedTuple):
    """One step: `name` is the kernel function that it follows, `source` that function's file in the kernel tree.

    A step is `random` where KASLR has a say in what it allocates, and with that in all that is allocated after it.
    """

    name: str
    source: str
    run: Action
    random: bool = False


_steps: dict[str, Step] = {}


def step(source: str, *, random: bool = False) -> Callable[[Action], Action]:
    """Registers the decorated function as the step of its name; see :class:`Step` for the rest."""

    def register(function: Action) -> Action:
        name = function.__name__
        if name in _steps:
            raise ValueError(f"two functions for the step {name}")
        _steps[name] = Step(name, source, function, random)
        return function

    return register


@cache
def registered() -> Mapping[str, Step]:
    """All steps by name; every module of memplan.boot.steps is imported for it, so that a new one needs no list."""
    for name in sorted(name for folder in steps.__path__ for name in os.listdir(folder)):
        module, _, suffix = name.partition(".")
        if suffix == "py" and module != "__init__":
            import_module(f"{steps.__name__}.{module}")
    return _steps


@cache
def find_step(name: str) -> Step:
    """The step of that name; NotCoveredError where no module has it, though the version's rules name it."""
    found = registered().get(name)
    if found is None:
        raise NotCoveredError(f"the boot step {name} of this version is not replayed")
    return found
