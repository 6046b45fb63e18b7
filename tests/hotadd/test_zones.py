"""The choice of zones by version and policy where no recorded run shows it, and what holds whatever is done."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memplan.hotadd.memory import Blocks, Memory
from memplan.hotadd.replay import run
from memplan.hotadd.report import ranges_of
from memplan.hotadd.result import StepResult
from memplan.hotadd.running import Build, Running
from memplan.hotadd.scenario import (
    ONLINE_TYPES,
    Add,
    Offline,
    Online,
    OnlineType,
    Remove,
    Scenario,
    ScenarioStep,
    Shell,
    Target,
)
from memplan.hotadd.settings import Settings, settings_of
from memplan.hotadd.start import Start, StartBlock, StartZone
from memplan.kernel.resolve import load_rules
from tests.hotadd.recorded import kernel_of

GIB = 1 << 30
BLOCK = 128 << 20
PAGES = BLOCK >> 12
D0 = (Target(0, 0, None),)


def start(movable_from: int | None = None) -> Start:
    """A machine of 1 GiB with one node; from block `movable_from` on its memory is movable."""
    cut = 8 if movable_from is None else movable_from
    zones = [StartZone(0, "DMA32", 0, cut * PAGES, cut * PAGES, cut * PAGES)]
    if movable_from is not None:
        zones.append(StartZone(0, "Movable", cut * PAGES, 8 * PAGES, (8 - cut) * PAGES, (8 - cut) * PAGES))
    names = ["DMA32" if number < cut else "Movable" for number in range(8)]
    return Start(
        block_size=BLOCK,
        blocks=tuple(StartBlock(number, 0, True, name, (name,), PAGES) for number, name in enumerate(names)),
        zones=tuple(zones),
        domains={0: 0},
        possible=frozenset((0,)),
        ranges=((0, GIB, 0),),
        fallback=0,
        ram=((0, GIB),),
        reserved=(),
        cpu_nodes=frozenset((0,)),
        window=4 * GIB,
        address_bits=46,
        direct_map_end=None,
        total=GIB,
    )


def steps(
    version: str, *todo: ScenarioStep, options: Settings | None = None, begin: Start | None = None
) -> list[StepResult]:
    rules = load_rules(version).hotplug
    running = Running(begin or start(), rules, options or Settings(), Scenario(todo), Build())
    return list(run(running))


def zones_of(step: StepResult) -> dict[int, tuple[str, ...]]:
    return {
        number: part.zones for part in step.blocks for number in range(part.first, part.last + 1) if part.first >= 32
    }


def online(type_: OnlineType, first: int, last: int | None = None) -> Online:
    return Online(type_, (Target(0, first, first if last is None else last),))


def test_4_13_keeps_normal_below_movable() -> None:
    done = steps("4.13.4", Add(GIB), online("online_movable", 4), online("online_kernel", 6), online("online", 7))
    assert [step.accepted for step in done] == [True, True, False, True]
    assert "a kernel zone must end below Movable" in done[2].reason
    assert zones_of(done[3])[36] == ("Movable",)
    assert zones_of(done[3])[39] == ("Movable",), "behind Movable there is nothing else"
    assert zones_of(done[3])[32] == ("Normal", "Movable")


def test_4_12_gives_a_zone_when_memory_is_added() -> None:
    """From Normal's upper end down, one block after the other, memory becomes movable."""
    done = steps("4.12.0", Add(GIB), online("online_movable", 4), online("online_movable", 7), online("online", 0))
    assert [step.accepted for step in done] == [True, False, True, True]
    assert "only the last block of Normal may become Movable" in done[1].reason
    after = zones_of(done[3])
    assert after[39][0] == "Movable"
    assert after[32][0] == "Normal"


def test_page_frame_numbers_of_32_bits() -> None:
    """Above 16 TiB a version that keeps 32 bits looks at the zones of other addresses."""
    high = Add(GIB, address=(1 << 44))
    for version, zone in (("5.9.1", "DMA32"), ("5.15.135", "Normal")):
        done = steps(version, high, Online("online", D0))
        blocks = {part.first: part for part in done[1].blocks}
        assert blocks[(1 << 44) // BLOCK].zones == (zone,)


def test_ratio_is_read_when_a_block_comes_on_line() -> None:
    options = Settings(policy="auto-movable", default_state="online")
    ratio = Shell("echo 0 > /sys/module/memory_hotplug/parameters/auto_movable_ratio")
    done = steps("6.1.192", Add(GIB), ratio, Add(GIB), options=options)
    assert zones_of(done[2])[32] == ("Movable",)
    assert zones_of(done[2])[40] == ("Normal",)


def test_cma_counts_as_movable() -> None:
    """present_early_pages less CMA's pages, and these on the movable side (auto_movable_stats_account_zone)."""
    begin = start()
    (zone,) = begin.zones
    half = begin._replace(zones=(zone._replace(cma=4 * PAGES),))
    options = Settings(policy="auto-movable", default_state="online", ratio=200)
    assert zones_of(steps("6.1.192", Add(GIB), options=options)[0])[32] == ("Movable",)
    assert zones_of(steps("6.1.192", Add(GIB), options=options, begin=half)[0])[32] == ("Normal",)


def test_boot_memory_that_is_movable_can_go_and_come() -> None:
    target = (Target(None, 7, 7),)
    done = steps("6.1.192", Offline(target), Online("online", target), begin=start(movable_from=4))
    assert [step.accepted for step in done] == [True, True]
    assert done[0].total == GIB - BLOCK
    assert done[1].total == GIB


def test_blocks_that_a_dimm_has_not() -> None:
    done = steps("6.1.192", Add(GIB), Online("online", (Target(0, 6, 9),)), Offline((Target(0, 99, 99),)))
    assert [step.accepted for step in done] == [True, False, False]
    assert "d0 has 8 blocks: d0:6-9 is not there" in done[1].reason
    assert "2 on-line" in done[1].reason
    assert "d0 has 8 blocks: d0:99 is not there" in done[2].reason


@pytest.mark.parametrize(
    ("version", "refused"),
    [("4.19.72", False), ("5.4.273", True), ("5.6.4", True), ("5.7.14", False), ("6.1.192", False)],
)
def test_mem_option(version: str, refused: bool) -> None:

    options = settings_of(kernel_of(version), "mem=1G")
    assert steps(version, Add(GIB), options=options)[0].accepted is not refused


STEP = st.one_of(
    st.sampled_from([Add(BLOCK), Add(GIB), Add(GIB // 2), Add(100 << 20)]),
    st.builds(
        lambda type_, dimm, first: Online(type_, (Target(dimm, first, first + 2),)),
        st.sampled_from(["online", "online_kernel", "online_movable"]),
        st.integers(0, 1),
        st.integers(0, 7),
    ),
    st.builds(lambda dimm, first: Offline((Target(dimm, first, first),), ()), st.integers(0, 1), st.integers(0, 7)),
    st.builds(lambda dimm: Remove(dimm, (Target(dimm, 1, 1),)), st.integers(0, 1)),
    st.builds(lambda dimm: Remove(dimm, ()), st.integers(0, 1)),
)


SETTINGS = st.builds(
    Settings,
    default_state=st.sampled_from(["offline", "online", "online_movable"]),
    movable_node=st.booleans(),
    policy=st.sampled_from(["contig-zones", "auto-movable"]),
    ratio=st.integers(0, 400),
    numa_aware=st.booleans(),
    driver=st.just(True),
    removal=st.just(True),
    memmap_on_memory=st.just("no"),
    mem_limit=st.none(),
    numa_off=st.booleans(),
    hugetlb_frees_maps=st.just(False),
    notes=st.just(()),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(STEP, max_size=12),
    st.sampled_from(["4.19.72", "5.4.273", "5.15.135", "6.1.192", "6.12.107", "7.1.5", "7.3.4"]),
    SETTINGS,
)
def test_what_holds_whatever_is_done(todo: list[ScenarioStep], version: str, options: Settings) -> None:
    todo = [Add(GIB), Add(GIB), *todo]
    running = Running(start(), load_rules(version).hotplug, options, Scenario(tuple(todo)), Build())
    results = run(running)
    for step in results:
        online_bytes = sum((part.last - part.first + 1) * BLOCK for part in step.blocks if part.state == "online")
        assert step.total == online_bytes, "MemTotal is what is on-line"
        added = sum(part.last - max(part.first, 8) + 1 for part in step.blocks if part.last >= 8)
        assert step.map_bytes == added * BLOCK // 64
        for part in step.blocks:
            assert (len(part.zones) == 1) or part.state == "offline"
            assert part.zones
    for (nid, name), zone in running.memory.zones.items():
        inside = [b for b in running.memory.blocks if b.online and (b.nid, b.zone) == (nid, name)]
        assert zone.present == sum(own.present * own.count for own in inside)
        assert all(zone.start <= own.first * PAGES and own.end * PAGES <= zone.end for own in inside)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.one_of(STEP, st.just(Shell("echo auto-movable > /sys/module/memory_hotplug/parameters/online_policy")))
    ),
    st.sampled_from(["4.10.17", "4.13.16", "4.19.72", "5.15.135", "6.12.107"]),
    SETTINGS,
)
def test_what_is_told_again_is_what_would_be_told_anew(
    todo: list[ScenarioStep], version: str, options: Settings
) -> None:
    todo = [Add(GIB), Add(GIB), *todo[:8]]
    rules = load_rules(version).hotplug
    told = run(Running(start(), rules, options, Scenario(tuple(todo)), Build()))
    for number, step in enumerate(told, 1):
        anew = Running(start(), rules, options, Scenario(tuple(todo[:number])), Build())
        run(anew)
        assert step.blocks == ranges_of(anew, anew.memory.blocks)
        if step.dimm is not None and step.dimm.accepted:
            assert step.dimm.blocks == ranges_of(anew, anew.memory.of_dimm(int(step.dimm.name[1:])))
    for dimm in anew.dimms:
        online = [own for own in anew.memory.of_dimm(dimm.index) if own.online]
        assert anew.memory.movable_blocks[dimm.index] == sum(own.count for own in online if own.movable)
        assert anew.memory.kernel_blocks[dimm.index] == sum(own.count for own in online if not own.movable)


class Apart(Memory):
    """Memory whose blocks are all looked at by themselves."""

    def add(self, blocks: Blocks) -> None:
        while blocks.count > 1:
            rest = blocks.cut(blocks.first + 1)
            super().add(blocks)
            blocks = rest
        super().add(blocks)


TARGET = st.one_of(
    st.builds(lambda dimm: Target(dimm, 0, None), st.integers(0, 2)),
    st.builds(lambda dimm, first, more: Target(dimm, first, first + more), *[st.integers(0, n) for n in (2, 9, 9)]),
    st.builds(lambda dimm, last: Target(dimm, -last, -last), st.integers(0, 2), st.integers(1, 9)),
    st.builds(lambda number: Target(None, number, number), st.one_of(st.integers(0, 9), st.integers(30, 60))),
)
TARGETS = st.lists(TARGET, min_size=1, max_size=3).map(tuple)
STUCK = st.one_of(st.none(), st.lists(TARGET, max_size=2).map(tuple))
ANY_STEP = st.one_of(
    st.builds(
        Add, st.sampled_from([BLOCK, GIB, 4 * GIB]), address=st.sampled_from([None, None, 6 * GIB, (1 << 44) - GIB])
    ),
    st.builds(Online, st.sampled_from(ONLINE_TYPES), TARGETS),
    st.builds(Offline, TARGETS, STUCK),
    st.builds(Remove, st.integers(0, 1), STUCK),
    st.builds(
        lambda file, word: Shell(f"echo {word} > /sys/{file}"),
        st.sampled_from(["module/memory_hotplug/parameters/online_policy", "devices/system/memory/memory33/state"]),
        st.sampled_from(["auto-movable", "contig-zones", "online_movable", "online_kernel", "offline"]),
    ),
)


@pytest.mark.parametrize("version", ["4.4.302", "4.12.0", "4.13.4", "4.19.72", "5.10.209", "6.12.107"])
@settings(max_examples=60, deadline=None)
@given(
    st.lists(ANY_STEP, max_size=10),
    SETTINGS,
    st.sampled_from([None, 3, 8]),
    st.sampled_from([GIB, 4 * GIB, (1 << 44) - GIB]),
)
def test_blocks_that_are_alike_fare_as_each_by_itself(
    version: str, todo: list[ScenarioStep], options: Settings, movable_from: int | None, window: int
) -> None:
    scenario = Scenario((Add(2 * GIB), Add(GIB), Add(GIB), *todo))
    begin = start(movable_from)._replace(window=window)

    def told() -> object:
        running = Running(begin, load_rules(version).hotplug, options, scenario, Build())
        done = run(running)
        zones = {key: (own.start, own.end, own.present, own.early) for key, own in running.memory.zones.items()}
        return done, running.warnings, zones

    together = told()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("memplan.hotadd.running.Memory", Apart)
        assert told() == together


def test_a_dimm_that_ends_a_block_of_the_boot_brings_no_block() -> None:
    """Linux 4.4 asks for whole sections: those that share a block with boot memory are no block of their own."""
    begin = start()._replace(block_size=2 * GIB, blocks=(StartBlock(0, 0, True, "DMA32", ("DMA32",), 8 * PAGES),))
    (done,) = steps("4.4.302", Add(GIB, address=GIB), begin=begin)
    assert done.reason.startswith("0 blocks of node 0")
    assert [(part.first, part.last, part.state) for part in done.blocks] == [(0, 0, "online")]
