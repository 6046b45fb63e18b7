"""Which rules, and which of their values, the boots and traces of the tests ask for.

`never_asked.yaml` lists those that they don't, by the reason.  The list may only shrink: a value that a new boot asks
for has to leave it, and a new value has to come with a boot or a trace.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import yaml

import memplan
from memplan.boot.replay import replay
from memplan.configs import config_folder
from memplan.kernel.load import override
from memplan.kernel.rules import Rules
from memplan.kernel.timeline import find, timeline
from tests.boot import real

EXCEPTIONS = Path(__file__).parent / "never_asked.yaml"
#: The engine's rules, for which the traces ask.
_MEMBLOCK = "memblock."
#: Rules of memory that is added after boot, and sizes that a version gives a build: tests/hotadd and tests/kernel ask.
_ELSEWHERE = ("hotplug.", "struct.")


#: What the watched rules were asked for, and what they said.
ASKED: set[tuple[str, str]] = set()


class Watched(Rules):
    """Rules that note which of them are asked, and what they say."""

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if name in Rules._fields:
            ASKED.add((name, repr(value)))
        return value


def asked_by_boots() -> set[tuple[str, str]]:
    """The rules and values that the replays of all logs here ask for."""
    ASKED.clear()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "boot.log")
        for name in real.NAMES:
            log.write_text("\n".join(real.lines(name)) + "\n")
            machine = memplan.import_files([log]).machine
            kernel = memplan.find_kernel(machine.kernel.build)
            if machine.kernel.overrides:
                kernel = override(kernel, machine.kernel.overrides)
            replay(machine, kernel._replace(rules=Watched(*kernel.rules)))
    return set(ASKED)


def never_asked() -> list[str]:
    """``rule: value`` of all that the timeline knows and neither a boot nor a trace asks for."""
    known = timeline(os.path.join(config_folder(), "rules"))
    asked = asked_by_boots()
    traced = {
        (name, repr(find(rule, version).value))
        for name, rule in known.rules.items()
        if name.startswith(_MEMBLOCK)
        for version in known.versions.traced
    }
    pairs = {
        (name, repr(change.value))
        for name, rule in known.rules.items()
        if not name.startswith(_ELSEWHERE)
        for change in rule.changes
    }
    return sorted(f"{name}: {value}" for name, value in pairs - asked - traced)


def test_values_that_no_boot_asks_for_have_a_reason_and_grow_fewer() -> None:
    excepted = yaml.safe_load(EXCEPTIONS.read_text())
    listed = [entry for entries in excepted.values() for entry in entries]
    assert len(listed) == len(set(listed))
    assert all(len(reason) > 10 for reason in excepted)
    never = never_asked()
    assert [entry for entry in never if entry not in listed] == [], "bring a boot or a trace that asks for it"
    assert [entry for entry in listed if entry not in never] == [], "a boot asks for it by now: take it off the list"
