"""The machine by way of ``memplan import``: what a description keeps of a log is enough for added memory, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from memplan.boot.replay import replay
from memplan.firmware.combine import import_files
from memplan.hotadd.replay import hotadd
from memplan.kernel.load import find_kernel
from tests.hotadd import recorded
from tests.hotadd.recorded import NAMES
from tests.hotadd.test_command import OTHERWISE, boot_log
from tests.hotadd.test_runs import UNPREDICTABLE, blocks_of


@pytest.mark.parametrize("name", NAMES)
def test_a_description_is_enough(name: str, tmp_path: Path) -> None:
    """Blocks, zones and nodes as in the run; MemTotal too, unless it is said not to be known, or not for sure."""
    taken = recorded.load(name)
    machine, _, _ = import_files([boot_log(name, tmp_path)])
    kernel = find_kernel(machine.kernel.build)
    result = hotadd(machine, kernel, replay(machine, kernel), taken.scenario)
    doubts = any(note.startswith("MemTotal ") for note in result.warnings)
    for step, record in zip(result.steps, taken.steps, strict=False):
        if record.number >= OTHERWISE.get(name, len(taken.steps)):
            break
        if record.look is None:
            continue
        unknown = UNPREDICTABLE.get((name, step.number), set())
        mine = {number: one for number, one in blocks_of(step).items() if number not in unknown}
        real = {number: rest for number, *rest in record.look.blocks if number not in unknown}
        assert {number: list(one) for number, one in mine.items()} == real, f"step {step.number}"
        if not doubts:
            assert step.total == record.look.total, f"step {step.number}"
