"""Scenarios that can't be read, or begun, and DIMMs that find no place."""

from __future__ import annotations

import pytest

from memplan.boot.replay import replay
from memplan.errors import InputError, UsageError
from memplan.hotadd import scenario
from memplan.hotadd.place import Window
from memplan.hotadd.replay import hotadd, run
from memplan.hotadd.running import Build, Running
from memplan.hotadd.scenario import Add, Offline, Online, Remove, Scenario, ScenarioStep, parse_scenario
from memplan.hotadd.settings import Settings
from memplan.kernel.load import kernel_of
from memplan.kernel.resolve import load_rules
from memplan.machine.load import parse_machine
from tests.hotadd.test_zones import D0, GIB, start

DIES = """\
kernel: 3.13
cmdline: memmap=exactmap memmap=640K@0
e820:
- {start: 0, size: 640K}
- {start: 1M, size: 1G}
"""


def test_files_that_are_no_scenario(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"^s:2:1: maxmem: this key is given a second time$"):
        parse_scenario("maxmem: 1G\nmaxmem: 2G\nsteps: []\n", "s")
    monkeypatch.setattr(scenario, "_MOST_STEPS", 2)
    assert len(parse_scenario("[{show: ''}, {show: ''}]", "s").steps) == 2
    with pytest.raises(InputError, match="holds 3 steps, more than 2"):
        parse_scenario("[{show: ''}, {show: ''}, {show: ''}]", "s")


def test_a_boot_that_dies_takes_nothing() -> None:
    machine = parse_machine(DIES, "m")
    kernel = kernel_of(machine.kernel)
    with pytest.raises(UsageError, match="no memory can be added after this boot, as it dies in "):
        hotadd(machine, kernel, replay(machine, kernel), Scenario((Add(GIB),)))


def ran(version: str, *steps: ScenarioStep, build: Build, settings: Settings, window: Window | None = None) -> Running:
    running = Running(start(), load_rules(version).hotplug, settings, Scenario(steps), build)
    running.window = window or running.window
    return running


def test_room_in_pieces_is_no_room() -> None:
    running = ran(
        "6.1",
        *(Add(GIB), Add(GIB), Add(GIB), Remove(1), Add(2 * GIB), Add(GIB)),
        build=Build(),
        settings=Settings(),
        window=Window(4 * GIB, 7 * GIB, 4 * GIB),
    )
    done = list(run(running))
    assert [step.accepted for step in done] == [True, True, True, True, False, True]
    assert done[4].reason.endswith("no 2G are free in one piece below maxmem")


def test_a_kernel_that_removes_nothing() -> None:
    done = list(run(ran("6.1", Add(GIB), Remove(0), build=Build(), settings=Settings(removal=False))))
    assert (done[1].accepted, done[1].reason) == (False, "this kernel removes no memory")


@pytest.mark.parametrize("offstack", [True, False, None])
def test_after_an_oops_nothing_comes_or_goes_any_more(offstack: bool | None) -> None:
    """Memory of a node that the SRAT does not know, of a version that makes one up."""
    others = (Online("online", D0), Offline(D0, ()), Add(GIB), Remove(0))
    running = ran(
        "5.4", Add(GIB, 7), Online("online", D0), *others, build=Build(offstack=offstack), settings=Settings()
    )
    done = list(run(running))
    assert done[0].accepted is True
    if not offstack:
        assert done[1].accepted is True
        assert any("OFFSTACK" in text for text in running.warnings) is (offstack is None)
        return
    assert done[1].reason.startswith("the kernel oopses as block 32 comes on-line: node 1 is made up")
    assert {(step.accepted, step.reason) for step in done[2:]} == {(False, running.dead)}
    assert running.dead.startswith("the lock for hot-plugging is held since the oops")


@pytest.mark.parametrize(
    ("nodes", "pxm", "made_up"),
    [(1024, 1023, True), (1024, 1024, False), (64, 255, True), (64, 256, False), (1, 7, False)],
)
def test_no_node_is_made_up_beyond_those_that_the_build_can_have(nodes: int, pxm: int, made_up: bool) -> None:
    """acpi_map_pxm_to_node gives none from MAX_PXM_DOMAINS on, nor where MAX_NUMNODES are found: by address then."""
    (done,) = run(ran("5.4", Add(GIB, pxm), build=Build(offstack=False), settings=Settings(max_numnodes=nodes)))
    assert done.accepted is True
    assert ("node 1 is made up" in str(done)) is made_up
    assert ("falls to the SRAT's first" in str(done)) is not made_up
