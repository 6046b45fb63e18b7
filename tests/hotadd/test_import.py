"""The machine by way of ``memplan import``: what a description keeps of a log is enough for added memory, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from memplan.boot.replay import replay
from memplan.firmware.combine import import_files
from memplan.hotadd.replay import hotadd
from memplan.kernel.load import kernel_of
from tests.hotadd import recorded
from tests.hotadd.recorded import NAMES
from tests.hotadd.test_command import OTHERWISE, boot_log
from tests.hotadd.test_runs import UNPREDICTABLE, blocks_of


@pytest.mark.parametrize("name", NAMES)
def test_a_description_is_enough(name: str, tmp_path: Path) -> None:
    """Blocks, zones and nodes as in the run; MemTotal too, unless KASLR or EFI hides it."""
    taken = recorded.load(name)
    machine, _, _ = import_files([boot_log(name, tmp_path)])
    kernel = kernel_of(machine.kernel)
    result = hotadd(machine, kernel, replay(machine, kernel), taken.scenario)
    unknown_total = any(note.startswith("MemTotal ") for note in result.warnings)
    for step, record in zip(result.steps, taken.steps, strict=False):
        if record.number >= OTHERWISE.get(name, len(taken.steps)):
            break
        if record.look is None:
            continue
        unknown = UNPREDICTABLE.get((name, step.number), set())
        mine = {number: one for number, one in blocks_of(step).items() if number not in unknown}
        real = {number: rest for number, *rest in record.look.blocks if number not in unknown}
        assert {number: list(one) for number, one in mine.items()} == real, f"step {step.number}"
        if unknown_total:
            assert "nokaslr" not in machine.cmdline or machine.efi is not None
            assert step.total is None
        else:
            assert step.total == record.look.total, f"step {step.number}"


def test_a_domain_that_no_line_names_is_told(tmp_path: Path) -> None:
    """Node 0 has a CPU and no memory, and this version prints no CPU's domain."""
    machine, _, notes = import_files([boot_log("cpufirst-6.18", tmp_path)])
    assert any("no line names its proximity domain: 0 is taken" in note for note in notes)
    assert machine.srat is not None
    assert {cpu.pxm for cpu in machine.srat.cpus} == {0, 1, 3}
