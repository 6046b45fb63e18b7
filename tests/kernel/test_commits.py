"""Every change of a rule and of a step should name the commit that brought it.

`without_commit.yaml` counts, by file, the changes whose commit no public source shows.  A number may only shrink: a new
change comes with its commit, and a change that gets one lowers the number.  Only with a release whose source was read
without its history does it grow.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import yaml

from memplan.configs import config_folder
from memplan.kernel.timeline import STEPS_FILE, timeline

COUNTS = Path(__file__).parent / "without_commit.yaml"


def commits() -> list[tuple[str, str]]:
    """The file and the commit of each change: all values but a rule's first, and all steps that begin or end."""
    known = timeline(os.path.join(config_folder(), "rules"))
    changes = [(os.path.basename(rule.path), own.commit) for rule in known.rules.values() for own in rule.changes[1:]]
    moves = [step.commit for step in known.steps if step.first.release or step.last.release]
    return changes + [(STEPS_FILE, commit) for commit in moves]


def test_changes_without_a_commit_grow_fewer() -> None:
    counted = Counter(name for name, commit in commits() if not commit)
    assert dict(counted) == yaml.safe_load(COUNTS.read_text())


def test_a_commit_is_twelve_digits_of_its_id() -> None:
    assert [pair for pair in commits() if pair[1] and not re.fullmatch("[0-9a-f]{12}", pair[1])] == []
