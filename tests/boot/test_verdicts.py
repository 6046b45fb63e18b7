"""Verdicts: what of each range can go off-line, and the reason, on a machine of 5 + 4 GiB in two nodes."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import NamedTuple, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import memplan
from memplan.boot.context import Boot
from memplan.boot.results import ZoneLayout
from memplan.boot.verdicts import _parts, _pieces, verdicts
from memplan.kernel.load import find_kernel, override
from memplan.machine.model import Acpi, AcpiTable, E820Entry, Initrd, Machine, MemoryAffinity, Srat
from memplan.owner import Owner, Purpose
from memplan.plan import Plan, Reservation, SratUse, Verdict
from memplan.units import GIB, MIB, PAGE_SIZE

BORDER, END = 5 * GIB, 9 * GIB
UNMARKED = "the SRAT does not mark it hot-pluggable, and movable_node takes only what is marked"
UNKNOWN = "no range is known to be hot-pluggable, and movable_node takes only what is marked"
KEPT = "leaves it to the kernel's own zones"


def two_nodes(border: int = BORDER, *, cmdline: str = "movable_node", acpi: tuple[AcpiTable, ...] = ()) -> Machine:
    """Node 0 below `border`, node 1 hot-pluggable above it."""
    srat = Srat(memory=(MemoryAffinity(0, 0, border), MemoryAffinity(1, border, END - border, hotplug=True)))
    ram = ((0, 0x9FC00), (MIB, 3 * GIB), (4 * GIB, END))
    return Machine(
        e820=tuple(E820Entry(start, end) for start, end in ram), cmdline=cmdline, srat=srat, acpi=Acpi(tables=acpi)
    )


def planned(machine: Machine, version: str = "6.12") -> Plan:
    return memplan.simulate(machine, kernel=version)


def of_node(plan: Plan, nid: int) -> Verdict:
    (found,) = [verdict for verdict in plan.verdicts if verdict.nid == nid]
    return found


def test_a_node_that_is_free_goes_off_line_as_a_whole() -> None:
    verdict = of_node(planned(two_nodes()), 1)
    assert verdict.reason == "all 32 memory blocks of 128 MiB can go off-line"
    assert (verdict.start, verdict.end, verdict.hotplug, verdict.movable) == (BORDER, END, True, True)
    assert (verdict.blocks, verdict.total_blocks, verdict.start_pfn) == (32, 32, BORDER // PAGE_SIZE)
    assert verdict.blockers == ()
    assert not verdict.unmarked


def test_a_node_that_is_not_marked_stays_and_names_all_that_lies_in_it() -> None:
    plan = planned(two_nodes())
    verdict = of_node(plan, 0)
    assert verdict.reason == UNMARKED
    assert (verdict.hotplug, verdict.movable, verdict.blocks, verdict.start_pfn) == (False, False, 0, None)
    inside = [r for r in plan.reservations if r.nid == 0]
    assert [(b.start, b.end, b.owner) for b in verdict.blockers] == [(r.start, r.end, r.owner) for r in inside]
    # Its RAM touches 24 blocks up to 3 GiB, and fills eight above 4 GiB.
    assert verdict.total_blocks == 32


@pytest.mark.parametrize(("cmdline", "srat"), [("movable_node numa=off", True), ("movable_node", False)])
def test_without_the_srat_nothing_is_known_to_be_hot_pluggable(cmdline: str, srat: bool) -> None:
    machine = two_nodes(cmdline=cmdline)
    plan = planned(machine if srat else machine._replace(srat=None))
    assert [(v.nid, v.hotplug, v.reason) for v in plan.verdicts] == [(0, False, UNKNOWN)]


def test_an_srat_that_the_kernel_refuses_is_the_reason() -> None:
    machine = two_nodes()
    assert machine.srat is not None
    overlapping = machine._replace(srat=Srat(memory=(*machine.srat.memory, MemoryAffinity(2, 4 * GIB, 2 * GIB))))
    (verdict,) = planned(overlapping).verdicts
    assert verdict.reason.startswith("the kernel does not use the SRAT (")
    uncovered = machine._replace(srat=Srat(memory=machine.srat.memory[1:]))
    assert [v.reason.partition(" (")[0] for v in planned(uncovered).verdicts] == ["the kernel does not use the SRAT"]


@pytest.mark.parametrize("version", ["3.13", "4.19", "6.12"])
def test_without_an_option_nothing_is_movable(version: str) -> None:
    plan = planned(two_nodes(cmdline=""), version)
    reason = "no boot option asks for ZONE_MOVABLE (movable_node, kernelcore= or movablecore=)"
    assert [v.reason for v in plan.verdicts] == [reason, reason]
    assert plan.movable == ()


def test_movable_node_of_3_13_only_turns_the_direction() -> None:
    reason = "movable_node of this version only turns the direction; ZONE_MOVABLE needs kernelcore= or movablecore="
    assert [v.reason for v in planned(two_nodes(), "3.13").verdicts] == [reason, reason]
    both = planned(two_nodes(cmdline="movable_node kernelcore=6G"), "3.13")
    assert of_node(both, 1).blocks > 0


@pytest.mark.parametrize("cmdline", ["kernelcore=100G", "kernelcore=100G movablecore=1G"])
def test_what_sizes_leave_to_the_kernel(cmdline: str) -> None:
    assert [v.reason for v in planned(two_nodes(cmdline=cmdline)).verdicts] == [f"{cmdline} {KEPT}"] * 2


def test_an_option_that_is_not_built_in() -> None:
    kernel = override(find_kernel("6.12"), {"config.MEMORY_HOTPLUG": False})
    plan = memplan.simulate(two_nodes(), kernel=kernel)
    assert of_node(plan, 1).reason == "movable_node has no effect: this kernel is built without CONFIG_MEMORY_HOTPLUG"
    kernel = override(find_kernel("4.4"), {"config.MOVABLE_NODE": False})
    plan = memplan.simulate(two_nodes(), kernel=kernel)
    assert of_node(plan, 1).reason == "movable_node has no effect: this kernel is built without CONFIG_MOVABLE_NODE"


def test_a_zone_that_begins_inside_the_node() -> None:
    # 9215 MiB of RAM: half of 6 GiB is node 0's share, as it has 4095 MiB; node 1 gives 3 GiB and keeps the last.
    plan = planned(two_nodes(cmdline="kernelcore=6G crashkernel=192M@6G"))
    verdict = of_node(plan, 1)
    assert verdict.start_pfn == 8 * GIB // PAGE_SIZE
    assert verdict.total_blocks == 32
    head = "ZONE_MOVABLE begins only at pfn 0x200000"
    assert verdict.reason == f"{head}: {verdict.blocks} of 32 memory blocks of 128 MiB can go off-line"
    assert 0 < verdict.blocks < 8
    assert Purpose.CRASH_KERNEL in {r.owner.kind for r in plan.reservations if r.nid == 1}
    above = [(r.start, r.end) for r in plan.reservations if r.nid == 1 and r.end > 8 * GIB]
    assert [(b.start, b.end) for b in verdict.blockers] == above


def test_a_reservation_behind_the_srat_takes_single_blocks() -> None:
    kernel = override(find_kernel("6.12"), {"config.DMA_CMA": True})
    verdict = of_node(memplan.simulate(two_nodes(cmdline="movable_node cma=192M@6G"), kernel=kernel), 1)
    assert verdict.reason == "reservations lie in ZONE_MOVABLE: 30 of 32 memory blocks of 128 MiB can go off-line"
    assert [(b.start, b.end, b.owner.kind) for b in verdict.blockers] == [(6 * GIB, 6 * GIB + 192 * MIB, Purpose.CMA)]


def test_ends_that_fill_no_blocks() -> None:
    verdict = of_node(planned(two_nodes(BORDER + 64 * MIB)), 1)
    assert verdict.reason == "its ends don't fill memory blocks: 31 of 32 memory blocks of 128 MiB can go off-line"
    assert verdict.blocks == 31


def test_a_range_that_has_no_block_of_its_own() -> None:
    """16 MiB at the end of a node that are not marked lie in the marked range's last block, which counts once."""
    end = END - 16 * MIB
    srat = Srat(
        memory=(
            MemoryAffinity(0, 0, BORDER),
            MemoryAffinity(1, BORDER, end - BORDER, hotplug=True),
            MemoryAffinity(1, end, 16 * MIB),
        )
    )
    plan = planned(two_nodes()._replace(srat=srat))
    first, last = [v for v in plan.verdicts if v.nid == 1]
    assert (last.start, last.end, last.hotplug, last.total_blocks, last.movable) == (end, END, False, 0, False)
    assert last.reason == "the memory block of 128 MiB that it shares with another range of the node can't go off-line"
    inside = [(r.start, r.end) for r in plan.reservations if r.nid == 1]
    assert min(inside)[0] >= end
    assert [(b.start, b.end) for b in last.blockers] == inside
    assert (first.blocks, first.total_blocks, first.blockers) == (31, 32, ())


def test_what_lies_in_a_marked_node_before_the_srat_is_read_costs_its_marks() -> None:
    machine = two_nodes()._replace(initrd=Initrd(6 * GIB, 16 * MIB))
    verdict = of_node(planned(machine), 1)
    assert verdict.reason == (
        "what was reserved before the SRAT was read lies in node 1's range (initrd), "
        "so the kernel took the hot-plug marks off the whole node"
    )
    assert verdict.unmarked
    assert (verdict.movable, verdict.start_pfn, verdict.hotplug) == (False, None, True)
    assert [(b.start, b.end, b.owner.kind) for b in verdict.blockers] == [(6 * GIB, 6 * GIB + 16 * MIB, Purpose.INITRD)]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_of_many_that_cost_them_three_are_named(count: int) -> None:
    names = ["FACP", "APIC", "HPET", "MCFG", "WAET"][:count]
    tables = tuple(AcpiTable(name, 6 * GIB + index * PAGE_SIZE, 0x100) for index, name in enumerate(names))
    verdict = of_node(planned(two_nodes(acpi=tables)), 1)
    told = ", ".join(f"ACPI {name}" for name in names[:3]) + (" and others" if count > 3 else "")
    assert f"lies in node 1's range ({told}), so" in verdict.reason
    assert [b.owner.detail for b in verdict.blockers] == names


#: Pages of RAM, of a hole behind them, and the node; and ranges that the SRAT marks.
RAM = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 4), st.integers(0, 2)), min_size=1, max_size=6)
MARKS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12)), max_size=4)


@given(RAM, MARKS)
def test_ram_is_cut_where_the_marks_begin_and_end(
    layout: list[tuple[int, int, int]], marks: list[tuple[int, int]]
) -> None:
    """Held against looking at each page: its node, and whether a mark covers it."""
    regions, at = [], 0
    for pages, hole, nid in layout:
        regions.append((at, pages, nid, 0))
        at += pages + hole
    hotplug = [(start, start + size) for start, size in marks]
    boot = SimpleNamespace(memblock=SimpleNamespace(memory=regions), nodes=SimpleNamespace(hotplug=hotplug))
    pieces = list(_pieces(cast(Boot, boot)))
    assert all(start < end for start, end, _, _ in pieces)
    assert {page: (nid, hot) for start, end, nid, hot in pieces for page in range(start, end)} == {
        page: (nid, any(start <= page < end for start, end in hotplug))
        for base, pages, nid, _ in regions
        for page in range(base, base + pages)
    }
    assert all(one[1] <= two[0] for one, two in pairwise(pieces))
    parts = _parts(cast(Boot, boot))
    assert [piece for part in parts for piece in part.pieces] == [(start, end) for start, end, _, _ in pieces]
    assert all((one.nid, one.hotplug) != (two.nid, two.hotplug) for one, two in pairwise(parts))


STRIPES = ((BORDER, 6 * GIB, True), (6 * GIB, 7 * GIB, False), (7 * GIB, 8 * GIB, True), (8 * GIB, END, False))


@pytest.mark.parametrize("initrd", [None, Initrd(6 * GIB, 16 * MIB)])
def test_each_part_that_the_srat_treats_alike_has_its_verdict(initrd: Initrd | None) -> None:
    """Whether the kernel keeps the marks, so that its memory is in as many pieces, or takes them off the node."""
    marked = tuple(MemoryAffinity(1, start, end - start, hotplug=hotplug) for start, end, hotplug in STRIPES)
    srat = Srat(memory=(MemoryAffinity(0, 0, BORDER), *marked))
    plan = planned(two_nodes()._replace(srat=srat, initrd=initrd))
    assert tuple((v.start, v.end, v.hotplug) for v in plan.verdicts if v.nid == 1) == STRIPES
    assert {v.unmarked for v in plan.verdicts if v.nid == 1 and v.hotplug} == {initrd is not None}


# -- any layout, looked at piece by piece ----------------------------------------------------------------------------

#: RAM in quarters of a page, of which a memory block here has sixteen: its size, the hole behind it, node, mark.
#: Seven quarters have a whole page, wherever they begin.
QUARTER, BLOCK = PAGE_SIZE // 4, 4 * PAGE_SIZE
LAYOUT = st.lists(
    st.tuples(st.integers(7, 24), st.integers(0, 12), st.integers(0, 1), st.booleans()), min_size=1, max_size=6
)
SPANS = st.lists(st.tuples(st.integers(0, 90), st.integers(1, 16)), max_size=5)


class Place(NamedTuple):
    """What one verdict is for: quarters of pages of a node that the SRAT treats alike."""

    nid: int
    hotplug: bool
    quarters: list[int]


def places(layout: list[tuple[int, int, int, bool]]) -> list[Place]:
    found: list[Place] = []
    at = 0
    for size, hole, nid, hotplug in layout:
        if not found or found[-1][:2] != (nid, hotplug):
            found.append(Place(nid, hotplug, []))
        found[-1].quarters.extend(range(at, at + size))
        at += size + hole
    return found


def overlaps(reservation: Reservation, first: int, last: int) -> bool:
    """Whether it has any of the quarters from the first to the last."""
    return any(reservation.start <= quarter * QUARTER < reservation.end for quarter in range(first, last + 1))


def wanted_reason(place: Place, start: int | None, own: set[int], free: set[int], inside: list[Reservation]) -> str:
    if start is None:
        if not place.hotplug:
            return UNMARKED
        return "what was reserved" if place.nid == 0 else "movable_node found no memory in it"
    if not own:
        can = "can" if {quarter // 16 for quarter in place.quarters} & free else "can't"
        return f"the memory block of 16 KiB that it shares with another range of the node {can} go off-line"
    if own <= free:
        return f"all {len(own)} memory blocks of 16 KiB can go off-line"
    head = "reservations lie in ZONE_MOVABLE" if inside else "its ends don't fill memory blocks"
    if start * 4 > place.quarters[0]:
        head = f"ZONE_MOVABLE begins only at pfn {start:#x}"
    return f"{head}: {len(own & free)} of {len(own)} memory blocks of 16 KiB can go off-line"


@settings(max_examples=300)
@given(LAYOUT, SPANS, SPANS, st.dictionaries(st.integers(0, 1), st.integers(0, 25)), st.sets(st.integers(0, 12)))
def test_verdicts_of_any_layout(
    layout: list[tuple[int, int, int, bool]],
    taken: list[tuple[int, int]],
    costing: list[tuple[int, int]],
    zones: dict[int, int],
    free: set[int],
) -> None:
    """Blocks, zone, reason and blockers, by each quarter of a page; node 0 has lost its marks to what is in `costing`.

    Every second reservation is node 1's, and every third was made before the SRAT was read.
    """
    boot = Boot(Machine(e820=(), cmdline="movable_node"), find_kernel("6.12"))
    boot.nodes.hotplug.append((1 << 40, 1 << 41))
    parts = places(layout)
    for nid, hotplug, quarters in parts:
        for quarter in quarters:
            boot.memblock.add(quarter * QUARTER, QUARTER)
            boot.memblock.set_node(quarter * QUARTER, QUARTER, nid)
            if hotplug:
                boot.nodes.hotplug.append((quarter * QUARTER, (quarter + 1) * QUARTER))
    boot.nodes.srat = SratUse.USED
    boot.nodes.unmarked = {0: tuple((at * QUARTER, (at + size) * QUARTER) for at, size in costing)}
    boot.zones = ZoneLayout([], zones)
    reservations = [
        Reservation(at * QUARTER, (at + size) * QUARTER, n % 2, Owner(Purpose.CMA, n), "step", n % 3 == 0)
        for n, (at, size) in enumerate(sorted(taken))
    ]
    touched = {
        nid: {quarter // 16 for own in parts if own.nid == nid for quarter in own.quarters} & free for nid in (0, 1)
    }
    movable = [(nid, block * BLOCK, (block + 1) * BLOCK) for nid in (0, 1) for block in sorted(touched[nid])]
    found = verdicts(boot, reservations, movable, BLOCK)
    assert [(v.nid, v.hotplug) for v in found] == [part[:2] for part in parts]
    first_come = sorted(range(len(parts)), key=lambda number: not parts[number].hotplug)
    for number, (part, verdict) in enumerate(zip(parts, found, strict=True)):
        first, last = part.quarters[0], part.quarters[-1]
        assert (verdict.start, verdict.end) == (first * QUARTER, (last + 1) * QUARTER)
        earlier = [parts[other] for other in first_come[: first_come.index(number)] if parts[other].nid == part.nid]
        blocks = {quarter // 16 for quarter in part.quarters}
        own = blocks - {quarter // 16 for other in earlier for quarter in other.quarters}
        assert (verdict.blocks, verdict.total_blocks) == (len(own & free), len(own))
        assert verdict.movable == bool(blocks & free)
        start = zones.get(part.nid)
        start = max(start, -(-first // 4)) if start is not None and start * 4 <= last else None
        assert verdict.start_pfn == start
        lost = start is None and part.hotplug and part.nid == 0
        assert verdict.unmarked == lost
        if lost:
            inside = [r for r in reservations if r.before_srat and any(overlaps(r, a, a + n - 1) for a, n in costing)]
        else:
            low = first if start is None else max(first, start * 4)
            inside = [r for r in reservations if r.nid == part.nid and overlaps(r, low, last)]
        assert verdict.reason.startswith(wanted_reason(part, start, own, free, inside))
        whole = own <= free and bool(blocks & free)
        assert [(b.start, b.end, b.owner) for b in verdict.blockers] == [
            (r.start, r.end, r.owner) for r in inside if not whole
        ]


@pytest.mark.parametrize("cmdline", ["movable_node kernelcore=100G", "kernelcore=100G"])
def test_sizes_count_beside_movable_node_of_3_13(cmdline: str) -> None:
    assert [v.reason for v in planned(two_nodes(cmdline=cmdline), "3.13").verdicts] == [f"kernelcore=100G {KEPT}"] * 2
