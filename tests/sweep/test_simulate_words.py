"""The command that a sweep prints beside each answer gives that answer."""

import json
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from memplan.cli import main
from memplan.machine.dump import dump_machine
from memplan.machine.model import Machine
from memplan.sweep.case import Case, run_case
from memplan.sweep.span import Span
from memplan.units import MIB
from tests.sweep.machines import machine


def told(record: Mapping[str, object], planned: Callable[[str], Mapping[str, object]]) -> None:
    """Hold what `record` says of one case against the plan of its command."""
    plan = planned(str(record["simulate"]))
    movable, reservations = plan["movable"], plan["reservations"]
    assert isinstance(movable, list)
    assert isinstance(reservations, list)
    assert sorted({part["node"] for part in movable}) == record["removable"]
    assert any(own["owner"] == "crash kernel" for own in reservations) == record["crash_kernel"]


@pytest.fixture
def planned(capsys: pytest.CaptureFixture[str]) -> Callable[[str], Mapping[str, object]]:
    """What a command of memplan plans."""

    def run(command: str) -> Mapping[str, object]:
        with pytest.raises(SystemExit):
            main([*shlex.split(command)[1:], "-f", "json"])
        plan: Mapping[str, object] = json.loads(capsys.readouterr().out)
        return plan

    return run


def written(own: Machine, folder: Path) -> str:
    path = folder / "a machine.yaml"
    path.write_text(dump_machine(own))
    return str(path)


def test_one_plan(tmp_path: Path, planned: Callable[[str], Mapping[str, object]]) -> None:
    path = written(machine(hole=True), tmp_path)
    for kernel in (None, "4.19", "6.1"):
        for settings in ((), (("movable_node", "off"),), (("crashkernel", "64M"), ("initrd.start", "1100M"))):
            told(run_case(Case(path, kernel, settings)), planned)


@pytest.mark.parametrize("cmdline", ["movable_node", "movable_node nokaslr"])
@pytest.mark.parametrize(("place", "randomized"), [(None, False), (None, True), (1500 * MIB, True)])
def test_every_place(
    cmdline: str, place: int | None, randomized: bool, tmp_path: Path, planned: Callable[[str], Mapping[str, object]]
) -> None:
    own = machine(f"{cmdline} crashkernel=256M")
    image = own.kernel._replace(load_address=place, randomized=randomized)
    record = run_case(Case(written(own._replace(kernel=image), tmp_path), kaslr=True))
    assert ("nokaslr" in cmdline) == (record["slots"] == 1) == bool(record["reason"])
    for own_class in record["classes"]:
        assert ("kernel.randomized=true" in own_class["simulate"]) == (record["slots"] > 1)
        told(own_class, planned)


def test_values(tmp_path: Path, planned: Callable[[str], Mapping[str, object]]) -> None:
    path = written(machine(), tmp_path)
    record = run_case(Case(path, span=Span("crashkernel", 64 * MIB, 4096 * MIB, MIB)))
    assert len(record["segments"]) > 1
    for segment in record["segments"]:
        told(segment, planned)
