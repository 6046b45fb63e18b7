"""Logs in which a digit has changed: damage is told in one message, in no time."""

from __future__ import annotations

from pathlib import Path

import pytest

import memplan
from memplan.errors import InputError
from memplan.firmware.combine import import_files
from memplan.render.trace import trace_lines
from memplan.verification import verify
from tests.firmware.logs import ordinary, text


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("Node 1 PXM 1", "Node 1999999999 PXM 1", "there is no node"),
        ("nr_node_ids:2", "nr_node_ids:900000000", "there is no node"),
        ("Allowing 2 ", "Allowing 99999999 ", "there are no"),
        ("nr_cpu_ids:2", "nr_cpu_ids:999999999", "there are no"),
        ("#1, CPUs:", "#123456789, CPUs:", "there is no node"),
        ("CPUs:      #1", "CPUs:      #12345678", "there are no"),
    ],
)
def test_numbers_that_no_machine_has_are_damage(old: str, new: str, words: str, tmp_path: Path) -> None:
    log = ordinary(text("two-nodes-6.1")) + "[    1.0] setup_percpu: NR_CPUS:64 nr_cpu_ids:2 nr_node_ids:2\n"
    if old not in log:
        pytest.skip("no such line in this log")
    path = tmp_path / "boot.log"
    path.write_text(log.replace(old, new))
    with pytest.raises(InputError, match=words):
        import_files([path])
    with pytest.raises(InputError, match=words):
        verify(path)
    import_files([path], force=True)


def test_digits_of_other_scripts_are_none(tmp_path: Path) -> None:
    path = tmp_path / "boot.log"
    path.write_text(ordinary(text("two-nodes-6.1")).replace("Allowing 2 CPUs", "Allowing ٢ CPUs"))
    machine, _, _ = import_files([path])
    assert machine.cpus.possible >= 1


def test_a_plan_equals_its_own_trace(tmp_path: Path) -> None:
    boot = tmp_path / "boot.log"
    boot.write_text(text("two-nodes-6.1"))
    machine = import_files([boot])[0]
    own = tmp_path / "own.log"
    head = f"Linux version 6.1.0 (a@b) #1\nCommand line: {machine.cmdline}\n"
    own.write_text(head + "\n".join(trace_lines(memplan.simulate(machine))) + "\n")
    result = verify(own, machine)
    assert result.same, result.first
