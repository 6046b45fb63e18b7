"""Where the image can lie by what was allocated after it, held against replays at single places."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import memplan
from memplan.firmware.combine import import_files
from memplan.kaslr.choice import possible_places
from memplan.kernel.load import kernel_of
from memplan.machine.model import Machine
from memplan.sweep.evidence import fit, shifts
from memplan.sweep.kaslr import placed
from tests.reports.logs import report

REPORTS = ("f04-verify-other-boot", "f05-mtrr-hole", "f08-dynamic-ssdt", "f15-plain")


def described(name: str, folder: Path) -> Machine:
    """The machine of that report, without a word on where the image lies."""
    path = folder / f"{name}.log"
    path.write_text(report(name))
    machine = import_files([path]).machine
    return machine._replace(kernel=machine.kernel._replace(load_address=None))


def node_data(machine: Machine) -> int:
    (place,) = (node.node_data for node in memplan.simulate(machine).nodes)
    assert place is not None
    return place[0]


def some_places(machine: Machine, count: int) -> list[int]:
    places = possible_places(machine, kernel_of(machine.kernel))
    chosen = random.Random(10)
    areas = chosen.choices(places.areas, [area.slots for area in places.areas], k=count)
    ends = [at for area in places.areas for at in (area.start, area.start + (area.slots - 1) * places.align)]
    return [area.start + chosen.randrange(area.slots) * places.align for area in areas] + ends


@pytest.mark.parametrize("name", REPORTS)
def test_what_fits_leads_to_the_same_node_data(name: str, tmp_path: Path) -> None:
    machine = described(name, tmp_path)
    kernel = kernel_of(machine.kernel)
    places = possible_places(machine, kernel)
    for start in {node_data(placed(machine, address)) for address in some_places(machine, 20)}:
        found = fit(machine, kernel, {0: start}, places)
        assert found is not None
        assert found.fitting == 1
        assert found.usual == (node_data(machine) == start)
        assert {node_data(placed(machine, address)) for address in (found.lowest, found.highest)} == {start}


@pytest.mark.parametrize("name", REPORTS)
def test_every_place_is_planned_or_among_the_shifts(name: str, tmp_path: Path) -> None:
    machine = described(name, tmp_path)
    planned = node_data(machine)
    kernel = kernel_of(machine.kernel)
    places = possible_places(machine, kernel)
    found = shifts(machine, kernel, places)
    distances = {own.distance for own in found}
    for address in some_places(machine, 20):
        assert node_data(placed(machine, address)) - planned in {0, *distances}
    assert sum(own.slots for own in found) <= places.slots


def test_a_place_that_no_choice_leads_to_fits_nothing(tmp_path: Path) -> None:
    machine = described("f04-verify-other-boot", tmp_path)
    kernel = kernel_of(machine.kernel)
    assert fit(machine, kernel, {0: 0x12345000}, possible_places(machine, kernel)) is None
