"""What bounds added memory, bound by bound, and how it is said."""

from __future__ import annotations

import pytest

from memplan.hotadd.howmuch import HowMuch, HowMuchBound, how_much
from memplan.hotadd.scenario import Scenario
from memplan.render.hotadd_how_much import how_much_blocks
from memplan.render.table import Text
from tests.hotadd.test_how_much import GIB, LARGE, MOVABLE, SMALL, booted

BOUND = HowMuchBound("address space", 8, True, "why")
FOUND = HowMuch("m", "6.12", "6.12", "", GIB, None, 8, None, (BOUND,))


def headline(found: HowMuch) -> str:
    first = next(iter(how_much_blocks(found)))
    assert isinstance(first, Text)
    return first.lines[0]


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (FOUND, "Never more than 8 DIMMs of 1G (8G) can be added"),
        (FOUND._replace(dimms=1), "Never more than 1 DIMM of 1G (1G) can be added"),
        (FOUND._replace(dimms=None), "No bound is known for DIMMs of 1G"),
        (FOUND._replace(dimms=0, refused="why"), "No DIMM of 1G can be added: why"),
        (
            FOUND._replace(movable=3),
            "Never more than 8 DIMMs of 1G (8G) can be added; the bounds below leave room for 3 that are movable, and "
            "so can go again",
        ),
    ],
)
def test_the_answer_in_a_sentence(found: HowMuch, text: str) -> None:
    assert headline(found) == text


def bound(name: str, options: str, kernel: str | None, size: int = GIB) -> HowMuchBound:
    machine, build, plan = booted(LARGE, options, kernel)
    return next(own for own in how_much(machine, build, plan, Scenario(()), size).bounds if own.name == name)


@pytest.mark.parametrize(
    ("kernel", "looked_at"), [("6.12.66", True), ("6.1.161", True), ("6.1.109", False), ("5.10.89", False)]
)
def test_kaslr_sizes_the_direct_map_at_boot(kernel: str, looked_at: bool) -> None:
    machine, build, plan = booted(LARGE, f"{MOVABLE} no5lvl", kernel)
    random = machine._replace(kernel=machine.kernel._replace(randomized=True))
    plain, told = (
        next(one for one in how_much(own, build, plan, Scenario(()), GIB).bounds if one.name == "address space")
        for own in (machine, random)
    )
    assert plain.why.startswith("46 bits of physical address: from ")
    assert told.why.startswith("the direct map as KASLR has sized it at boot")
    assert ("does not look at: what is added above overwrites other mappings" in told.why) is not looked_at
    assert plain.dimms is not None
    assert told.dimms is not None
    # The RAM's end rounded up, and ten TiB more.
    assert told.dimms == plain.dimms - (64 - 11) * 1024


@pytest.mark.parametrize(
    ("kernel", "zone_device", "whole"),
    [("6.1.161", True, False), ("6.1.162", True, True), ("6.12.67", True, True), ("6.12.67", False, False)],
)
def test_kaslr_leaves_the_direct_map_whole_for_devices_memory(kernel: str, zone_device: bool, whole: bool) -> None:
    machine, build, plan = booted(LARGE, f"{MOVABLE} no5lvl", kernel)
    build = build._replace(facts={**build.facts, "config.ZONE_DEVICE": zone_device})
    random = machine._replace(kernel=machine.kernel._replace(randomized=True))
    bounds = how_much(random, build, plan, Scenario(()), GIB).bounds
    told = next(one for one in bounds if one.name == "address space")
    assert told.why.startswith("46 bits of physical address: from ") is whole


def test_a_dimm_may_hold_the_map_of_the_next_one() -> None:
    told = bound("memory map", "memhp_default_state=online_kernel", None)
    assert told.why.endswith("each may lie in the DIMM before, which then can't go before the next one")
    assert told.dimms is None


def test_each_block_may_hold_its_own_map() -> None:
    machine, build, plan = booted(SMALL, f"{MOVABLE} memory_hotplug.memmap_on_memory=1", None)
    found = how_much(machine, build, plan, Scenario(()), GIB)
    told = next(own for own in found.bounds if own.name == "memory map")
    assert (told.dimms, told.why) == (None, "each block holds its own memory map")
