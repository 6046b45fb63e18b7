"""Places that go one way through a boot are replayed once: the answer equals planning every place by itself."""

import random
from contextlib import suppress
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import memplan
from memplan.boot.context import Boot
from memplan.errors import NotCoveredError
from memplan.kaslr.choice import possible_places
from memplan.machine.model import (
    AcpiTable,
    E820Entry,
    Efi,
    EfiRange,
    Extent,
    Initrd,
    Machine,
    MemoryAffinity,
    TableUpgrade,
)
from memplan.owner import Purpose
from memplan.sweep import outcome
from memplan.sweep.kaslr import KaslrSweep, Result, placed, sweep_kaslr
from memplan.sweep.outcome import Outcomes, outcome_of, rough_outcome
from memplan.sweep.rest import End, Rest, Told
from memplan.sweep.vague import Undecided, Vague
from memplan.sweep.ways import Begun
from memplan.units import GIB, MIB, TIB
from tests.sweep.machines import BUILD, kernel_of, machine


def planned(own: Machine, kernel: str, address: int) -> Result:
    """The result as the plan of that one place has it."""
    plan = memplan.simulate(placed(own, address), kernel=kernel_of(kernel))
    removable = tuple(sorted({nid for nid, _, _ in plan.movable}))
    crash = any(own.owner.kind is Purpose.CRASH_KERNEL for own in plan.reservations)
    return Result(removable, crash, plan.end.text)


def by_place(swept: KaslrSweep) -> dict[int, Result]:
    """The result of every place; each is in one range of one class, and the classes count right."""
    found: dict[int, Result] = {}
    for own in swept.classes:
        places = [at for start, end in own.ranges for at in range(start, end + 1, swept.places.align or 1)]
        assert len(places) == own.slots
        assert not found.keys() & set(places)
        found.update(dict.fromkeys(places, own.result))
    return found


@pytest.mark.parametrize(
    ("kernel", "own"),
    [
        ("6.12.107", machine(nodes=2, hole=True)),
        ("6.12.107", machine("movable_node crashkernel=256M", nodes=2, hot=False)),
        ("6.4.0", machine("crashkernel=300M kernelcore=700M", nodes=2, hot=False)),
        ("4.19.72", machine(nodes=3)),
        ("4.19.72", machine("crashkernel=200M", nodes=2, hole=True)),
        ("4.12.0", machine("movable_node gbpages=off", nodes=3)),
        ("4.12.0", machine("", nodes=2)),
    ],
)
def test_every_place_one_by_one(kernel: str, own: Machine) -> None:
    swept = sweep_kaslr(own, kernel_of(kernel))
    assert swept.replays < swept.places.slots / 4
    assert by_place(swept) == {
        at: planned(own, kernel, at)
        for area in swept.places.areas
        for at in range(area.start, area.start + area.slots * swept.places.align, swept.places.align)
    }


@pytest.mark.parametrize(
    ("kernel", "cmdline", "hot"),
    [
        ("4.19.72", "movable_node", True),
        ("5.4.0", "crashkernel=1G movablecore=30%", False),
        ("5.10.89", "movable_node", True),
        ("5.15.135", "", False),
        ("6.1.192", "movable_node gbpages=off", True),
        ("6.12.107", "crashkernel=1G movablecore=30%", True),
        ("6.18.8", "movable_node", False),
    ],
)
def test_some_thousand_places(kernel: str, cmdline: str, hot: bool) -> None:
    """Of some thousand places those at the ends of ranges, and every 97th, planned by themselves."""
    own = machine(cmdline, nodes=5, hot=hot, hole=True)._replace(srat=machine(nodes=5, hot=False).srat)
    swept = sweep_kaslr(own, kernel_of(kernel))
    assert swept.places.slots > 2000
    found = by_place(swept)
    ends = [at for one in swept.classes for pair in one.ranges[:4] for at in pair]
    for at in {*sorted(found)[::97], *ends}:
        assert found[at] == planned(own, kernel, at), hex(at)


def of_large_nodes(cmdline: str, size: int) -> Machine:
    small = machine(cmdline)
    assert small.srat is not None
    memory = tuple(entry._replace(base=entry.pxm * size, length=size) for entry in small.srat.memory)
    ram = [(0, 0x9FC00), (MIB, 3 * GIB), (4 * GIB, len(memory) * size)]
    return small._replace(
        e820=tuple(E820Entry(start, stop, 1) for start, stop in ram), srat=small.srat._replace(memory=memory)
    )


@pytest.mark.parametrize("kernel", ["4.12.0", "4.19.72"])
@pytest.mark.parametrize("cmdline", ["", "movable_node", "movable_node gbpages=off crashkernel=1G"])
def test_nodes_of_some_tib(kernel: str, cmdline: str) -> None:
    """Of millions of places those around what a boot rounds to, the ends of ranges, and some in between."""
    size, align = TIB + 900 * GIB, 2 * MIB
    own = of_large_nodes(cmdline, size)
    swept = sweep_kaslr(own, kernel_of(kernel))
    ranges = [(*pair, one.result) for one in swept.classes for pair in one.ranges]
    assert sum(end - start + align for start, end, _ in ranges) == swept.places.slots * align
    borders = [unit * number for unit in (size, TIB, 512 * GIB, 128 * GIB, GIB) for number in (1, 2, 3, 5)]
    near = [border + slots * align for border in borders for slots in (-31, -30, -29, -1, 0)]
    rng = random.Random(1)
    anywhere = [rng.randrange(5 * GIB, 3 * size, align) // align * align for _ in range(40)]
    for at in {*near, *anywhere, *(at for pair in ranges for at in pair[:2])}:
        results = [result for start, end, result in ranges if start <= at <= end]
        assert results in ([], [planned(own, kernel, at)]), hex(at)


@pytest.mark.parametrize("kernel", ["4.12.0", "4.19.72", "6.12.107"])
def test_nodes_with_the_image_or_without_it_share_their_rest(monkeypatch: pytest.MonkeyPatch, kernel: str) -> None:
    """All ways are still as planned (the tests above): here, that more nodes make no more rests that are shared."""
    replayed: list[int] = []

    class Counted(Rest):
        def __init__(self, boot: Boot, common: Machine | None = None, told: Told = Told.REGIONS) -> None:
            super().__init__(boot, common, told)
            self.is_shared = common is not None

        def end(self) -> End:
            replayed[-1] += self.is_shared
            return super().end()

    monkeypatch.setattr(outcome, "Rest", Counted)
    for nodes in (6, 10):
        replayed.append(0)
        swept = sweep_kaslr(machine("movable_node", nodes=nodes), kernel_of(kernel))
        assert 0 < replayed[-1] < swept.replays / 5
    assert replayed[0] == replayed[1]


def test_zones_before_the_memory_map_make_no_more_to_replay() -> None:
    """7.3 has the order of these two changed, and what a place leads to does not depend on it."""
    large = of_large_nodes("movable_node", 1000 * GIB)
    own = large._replace(cpus=large.cpus._replace(possible=1, present=1))
    before, since = (sweep_kaslr(own, kernel_of(kernel)).replays for kernel in ("7.2.0", "7.3.0"))
    assert since == before


def by_efi(own: Machine) -> Machine:
    """The machine booted by EFI: its map has the RAM as free memory, but for what firmware keeps at 512 MiB."""
    taken = (512 * MIB, 520 * MIB)
    (_, _), (low, high) = ((entry.start, entry.end) for entry in own.e820)
    ranges = (
        EfiRange(0, 0x9F000, 7),
        EfiRange(low, taken[0], 7),
        EfiRange(*taken, 4),
        EfiRange(taken[1], high, 7),
    )
    return own._replace(efi=Efi(memmap=Extent(0x9000, 0x1000), descriptors=ranges))


@pytest.mark.parametrize(
    "kernel", ["3.13.10", "4.4.0", "4.14.0", "4.19.72", "5.10.89", "6.1.192", "6.12.107", "7.1.5", "7.3.4"]
)
@pytest.mark.parametrize("efi", [False, True])
@pytest.mark.parametrize(
    "cmdline",
    [
        "movable_node mem=1300M",
        "movable_node memmap=64M$256M,16M$1200M crashkernel=100M",
        "hugepagesz=1G hugepages=1 movable_node",
    ],
)
def test_kernels_with_options_that_the_choice_looks_at(kernel: str, efi: bool, cmdline: str) -> None:
    """The ends of all ranges, and every 41st place."""
    own = machine(cmdline, nodes=2)
    own = by_efi(own) if efi else own
    if efi and kernel == "5.10.89":
        # The stub leaves the compressed image where firmware has put it.
        with pytest.raises(NotCoveredError, match="where firmware has loaded the compressed kernel"):
            sweep_kaslr(own, kernel_of(kernel))
        return
    swept = sweep_kaslr(own, kernel_of(kernel))
    found = by_place(swept)
    assert len(found) == swept.places.slots
    ends = [at for one in swept.classes for pair in one.ranges[:4] for at in pair]
    for at in {*sorted(found)[::41], *ends}:
        assert found[at] == planned(own, kernel, at), hex(at)


def test_without_a_choice_the_one_place_is_told() -> None:
    swept = sweep_kaslr(machine("nokaslr movable_node"), BUILD)
    (only,) = swept.classes
    assert (only.slots, only.ranges, only.result.removable) == (1, ((16 << 20, 16 << 20),), (1, 2))


def test_places_that_are_not_known_are_no_answer() -> None:
    with pytest.raises(NotCoveredError, match="EFI memory map"):
        sweep_kaslr(machine()._replace(efi=Efi()), BUILD)


def test_the_decompressor_does_not_see_an_srat_of_the_initrd() -> None:
    own = machine("movable_node", nodes=3)
    own = own._replace(acpi=own.acpi._replace(upgrades=(TableUpgrade("SRAT", 300),)))
    swept = sweep_kaslr(own, BUILD)
    slots = {one.result.removable: one.slots for one in swept.classes}
    assert {(1, 2), (1,), (2,)} <= set(slots)
    assert sum(slots.values()) == possible_places(own, BUILD).slots > possible_places(machine(nodes=3), BUILD).slots


@st.composite
def machines(draw: st.DrawFn) -> Machine:
    """Small machines, some of them so small that what a boot allocates hardly finds room."""
    nodes, size = draw(st.integers(2, 4)), draw(st.sampled_from([96, 160, 256, 512])) * MIB
    own = machine(draw(st.sampled_from(CMDLINES)), nodes=nodes)
    assert own.srat is not None
    marked = draw(st.lists(st.booleans(), min_size=nodes, max_size=nodes))
    cpus = draw(st.sampled_from([1, 4, 64]))
    end = nodes * size
    hole = draw(st.integers(20, end // MIB - 2)) * MIB + draw(st.sampled_from([0, 0x1000]))
    ram = [(0, 0x9FC00), (MIB, hole), (hole + MIB, end)]
    initrd = draw(st.integers(20, end // MIB - 20)) * MIB
    return own._replace(
        e820=tuple(E820Entry(start, stop, 1) for start, stop in ram),
        srat=own.srat._replace(
            memory=tuple(MemoryAffinity(nid, nid * size, size, True, marked[nid]) for nid in range(nodes))
        ),
        acpi=own.acpi._replace(tables=(AcpiTable("SRAT", end - 0x8000, 0x300),)),
        cpus=own.cpus._replace(possible=cpus, present=min(cpus, 4)),
        initrd=Initrd(initrd, draw(st.integers(1, 16)) * MIB),
    )


CMDLINES = [
    "movable_node",
    "movable_node crashkernel=64M",
    "movable_node swiotlb=force",
    "movable_node hashdist=0 log_buf_len=4M",
    "movable_node kernelcore=30%",
    "kernelcore=40%",
    "swiotlb=force",
    "",
]


@settings(deadline=None, max_examples=12, suppress_health_check=list(HealthCheck))
@given(
    machines(),
    st.sampled_from(["4.19.72", "5.10.89", "6.1.192", "6.12.107", "6.18.8", "7.2.13", "7.3.4"]),
    st.randoms(),
)
def test_any_machine(own: Machine, kernel: str, rng: random.Random) -> None:
    """Places at the ends of ranges and some in between, each as its own plan has it; or none has a plan."""
    try:
        swept = sweep_kaslr(own, kernel_of(kernel))
    except NotCoveredError:
        return
    found = by_place(swept)
    ends = {at for one in swept.classes for pair in one.ranges[:6] for at in pair}
    for at in ends | set(rng.sample(sorted(found), min(len(found), 12))):
        assert found[at] == planned(own, kernel, at), hex(at)


@settings(deadline=None, max_examples=12, suppress_health_check=list(HealthCheck))
@given(machines(), st.sampled_from(["5.10.89", "6.12.107", "6.18.8", "7.3.4"]), st.integers(0, 2000))
def test_a_rough_replay_is_the_exact_one_or_undecided(own: Machine, kernel: str, number: int) -> None:
    try:
        places = possible_places(own, kernel_of(kernel))
        if not places.areas:
            return
        area = places.areas[number % len(places.areas)]
        at = area.start + number % area.slots * places.align
        exact = outcome_of(placed(own, at), kernel_of(kernel))
    except NotCoveredError:
        return
    with suppress(Undecided):
        assert rough_outcome(placed(own, at), kernel_of(kernel)) == exact


@settings(deadline=None, max_examples=12, suppress_health_check=list(HealthCheck))
@given(machines(), st.sampled_from(["4.19.72", "6.1.192", "6.12.107", "7.1.5", "7.3.4"]), st.data())
def test_a_rest_that_was_replayed_for_others_is_the_exact_one_or_none(
    own: Machine, kernel: str, data: st.DataObject
) -> None:
    """Places in any order go by one memory of ends; each outcome is that of the whole boot at that place."""
    try:
        places = possible_places(own, kernel_of(kernel))
        if not places.areas:
            return
        every = [area.start + slot * places.align for area in places.areas for slot in range(area.slots)]
        vague = Vague(every[0], every[-1], places.align)
        outcomes = Outcomes(kernel_of(kernel), placed(own, cast("int", vague)))
        for at in data.draw(st.lists(st.sampled_from(every), max_size=8)):
            assert outcomes.of(placed(own, at)) == outcome_of(placed(own, at), kernel_of(kernel)), hex(at)
    except NotCoveredError:
        return


@pytest.mark.parametrize(("version", "least"), [("4.19.72", 5), ("6.12.107", 2)])
def test_from_a_state_a_boot_goes_on_again_and_again(version: str, least: int) -> None:
    """Nothing that one replay does behind it is seen by the next one."""
    own, kernel = placed(machine("movable_node", nodes=3, hole=True), GIB + 200 * MIB), kernel_of(version)
    exact = outcome_of(own, kernel)
    found = Outcomes(kernel).begun(own)
    parts = 0
    while isinstance(found, Begun):
        assert found.state() is not None
        end = found.go_on()
        while isinstance(end, Begun):
            end = end.go_on()
        assert end == exact
        found = found.go_on()
        parts += 1
    assert found == exact
    assert parts >= least


@pytest.mark.parametrize("version", ["4.19.72", "6.12.107"])
def test_how_far_it_is_grows_to_the_last_replay(version: str) -> None:
    heard: list[tuple[float | None, int]] = []
    own = machine("movable_node", nodes=4)
    swept = sweep_kaslr(own, kernel_of(version), lambda share, replays: heard.append((share, replays)))
    shares = [share for share, _ in heard if share is not None]
    assert [replays for _, replays in heard] == list(range(swept.replays))
    assert shares[0] == 0
    assert shares == sorted(shares)
    assert 0.4 < shares[-1] < 1
