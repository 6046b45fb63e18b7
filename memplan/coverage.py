"""What of Linux's early boot is modelled, against what that was verified, and what isn't modelled.

All of it is read from where it is decided: the steps that are registered, the versions of configs/rules, the counts of
configs/verified.yaml, and the entries by which a plan tells what it leaves out.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from memplan.boot.limits import UNSEEN
from memplan.boot.registry import registered
from memplan.configs import config_folder
from memplan.kernel.nodes import compose, fields_of, numbers_of, pairs_of
from memplan.kernel.resolve import all_rules
from memplan.kernel.rules import OLDEST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from memplan.kernel.unreplayed import Unreplayed

_VERIFIED = "verified.yaml"
_KEYS = {"boots", "traces", "operations", "reports", "hotadd_runs"}


class Verified(NamedTuple):
    """What plans are held against in the tests.

    `boots` counts real boots, and `traces` recorded traces of memblock, each by release; `operations` are those of all
    traces; `reports` are logs that people published, `hotadd_runs` runs of memory that came and went.
    """

    boots: Mapping[str, int]
    traces: Mapping[str, int]
    operations: int
    reports: int
    hotadd_runs: int


class Coverage(NamedTuple):
    """What is modelled: the `steps` (the kernel's functions) by source file, from the `oldest` release to the `newest`.

    `read` are the versions whose source the rules were read from, `limits` what a plan names where its boot comes to
    it, and `unseen` what no plan can know of.
    """

    oldest: str
    newest: str
    steps: dict[str, tuple[str, ...]]
    read: tuple[str, ...]
    verified: Verified
    limits: tuple[Unreplayed, ...]
    unseen: tuple[str, ...]


def coverage() -> Coverage:
    """What is modelled, verified and left out; InputError where a data file is broken."""
    rules = all_rules()
    named = {step.name for step in rules.steps}
    steps: dict[str, list[str]] = {}
    for step in registered().values():
        if step.name in named:
            steps.setdefault(step.source, []).append(step.name)
    return Coverage(
        oldest=str(OLDEST),
        newest=str(rules.versions.newest),
        steps={source: tuple(sorted(names)) for source, names in sorted(steps.items())},
        read=tuple(map(str, rules.versions.read)),
        verified=_verified(os.path.join(config_folder(), _VERIFIED)),
        limits=tuple(one for one, _, _ in rules.unreplayed),
        unseen=UNSEEN,
    )


def _verified(path: str) -> Verified:
    entry = fields_of(path, compose(path), _KEYS)

    def count(key: str) -> int:
        return numbers_of(path, entry[key], key)[0]

    def by_release(key: str) -> dict[str, int]:
        return {release: numbers_of(path, node, key)[0] for release, node in pairs_of(path, entry[key])}

    return Verified(
        by_release("boots"), by_release("traces"), count("operations"), count("reports"), count("hotadd_runs")
    )
