"""What changed between versions for which there is no boot: one machine, planned on either side of each change."""

from __future__ import annotations

import pytest

import memplan
from memplan.events import Change
from memplan.kernel.load import find_kernel
from memplan.machine.load import parse_machine
from memplan.owner import Purpose
from memplan.plan import Plan
from memplan.units import GIB, MIB, SIZE_2M

MACHINE = """\
e820:
- "[mem 0x0000000000000000-0x000000000009fbff] usable"
- "[mem 0x0000000000100000-0x00000000bfffffff] usable"
- "[mem 0x0000000100000000-0x{end:x}] usable"
cpus: {{possible: 2, hypervisor: {hypervisor}}}
cmdline: "{cmdline}"
srat:
  cpus: [{{pxm: 0, apic_id: 0}}, {{pxm: 1, apic_id: 1}}]
  memory:
  - {{pxm: 0, base: 0, length: 3G}}
  - {{pxm: 0, base: 4G, length: 1G}}
  - {{pxm: 1, base: 5G, length: {rest}, hotplug: true}}
"""


def planned(version: str, cmdline: str = "", *, end: int = 9 * GIB, hypervisor: bool = False) -> Plan:
    text = MACHINE.format(end=end - 1, cmdline=cmdline, hypervisor=str(hypervisor).lower(), rest=hex(end - 5 * GIB))
    return memplan.simulate(parse_machine(text, "test.yaml"), kernel=find_kernel(version))


def taken(plan: Plan, purpose: Purpose) -> list[tuple[int, int]]:
    return [(own.start, own.end) for own in plan.reservations if own.owner.kind is purpose]


@pytest.mark.parametrize(
    ("version", "limit"), [("4.4", 896 * MIB), ("5.0", 896 * MIB), ("5.3", 4 * GIB), ("6.8", 4 * GIB)]
)
def test_where_a_crash_kernel_lies(version: str, limit: int) -> None:
    ((start, end),) = taken(planned(version, "crashkernel=256M"), Purpose.CRASH_KERNEL)
    assert end - start == 256 * MIB
    assert limit - 1200 * MIB < end <= limit


@pytest.mark.parametrize(("version", "high"), [("5.0", False), ("5.3", True), ("6.8", True)])
def test_a_large_crash_kernel_goes_high_since_5_2(version: str, high: bool) -> None:
    found = taken(planned(version, "crashkernel=3500M"), Purpose.CRASH_KERNEL)
    assert [start >= 4 * GIB for start, _ in found] == [True] * high


@pytest.mark.parametrize(("version", "size"), [("4.0", 72 * MIB), ("4.4", 256 * MIB), ("6.8", 256 * MIB)])
def test_the_low_part_of_a_high_crash_kernel(version: str, size: int) -> None:
    ((start, end),) = taken(planned(version, "crashkernel=1G,high"), Purpose.CRASH_KERNEL_LOW)
    assert end - start == size


@pytest.mark.parametrize(("version", "movable"), [("3.13", False), ("3.14", True), ("4.4", True), ("4.19", True)])
def test_movable_node_makes_zone_movable_since_3_14(version: str, movable: bool) -> None:
    assert any(zone.name == "Movable" for zone in planned(version, "movable_node").zones) is movable


@pytest.mark.parametrize(("version", "movable"), [("4.16", False), ("4.17", True)])
def test_percentages_count_since_4_17(version: str, movable: bool) -> None:
    """Before, 30% is thirty bytes for the kernel: all but the low zones is movable, or nothing at all."""
    zones = {zone.nid: zone for zone in planned(version, "movablecore=30%").zones if zone.name == "Movable"}
    assert bool(zones) is movable


@pytest.mark.parametrize(
    ("version", "hypervisor", "size"),
    [
        ("3.13", False, 128 * MIB),
        ("3.16", False, 1 * GIB),
        ("4.4", False, 2 * GIB),
        ("4.9", True, 2 * GIB),
        ("4.19", False, 1 * GIB),
        ("5.10", False, 2 * GIB),
        ("5.10", True, 1 * GIB),
    ],
)
def test_memory_blocks_of_a_large_machine(version: str, hypervisor: bool, size: int) -> None:
    assert planned(version, end=97 * GIB, hypervisor=hypervisor).block_size == size
    assert planned(version, hypervisor=hypervisor).block_size == 128 * MIB


@pytest.mark.parametrize(
    ("version", "freed"),
    [("4.20", ["tail"]), ("5.3", ["tail"]), ("5.4", ["head", "tail"]), ("5.6", [])],
)
def test_the_uneven_block_of_a_memory_map(version: str, freed: list[str]) -> None:
    """Up to 5.4 the block begins at any page; what large pages can't use of it is lost or given back."""
    changes = [
        event
        for event in planned(version).events
        if isinstance(event, Change) and event.step == "sparse_init" and event.owner.kind is Purpose.MEMORY_MAP
    ]
    for nid in (0, 1):
        own = [event for event in changes if event.owner.nid == nid]
        block = next(event for event in own if event.op == "reserve")
        gone = [event for event in own if event.op == "free"]
        if block.start % SIZE_2M == 0:
            assert not gone
            continue
        parts = {block.start: "head", block.end: "tail"}
        names = ["head" if event.start == block.start else "tail" for event in gone]
        assert names == freed
        assert all(event.start in parts or event.end in parts for event in gone)
        more = [event for event in own if event.op == "reserve"][1:]
        assert [event.end - event.start for event in more] == [SIZE_2M], "the large page that did not fit"


@pytest.mark.parametrize(("version", "roots"), [("4.14.5", 0), ("4.14.67", 1), ("4.17", 1), ("6.8", 1)])
def test_the_table_of_section_roots(version: str, roots: int) -> None:
    found = [
        event
        for event in planned(version).events
        if isinstance(event, Change) and event.owner.kind is Purpose.SECTION_ROOTS and event.end - event.start > 4096
    ]
    assert len(found) == roots


def test_every_version_maps_all_memory() -> None:
    """Searches of 5.1 to 5.3 keep to no limit, as those of all versions."""
    for version in ("5.0", "5.1", "5.2", "5.3", "5.4"):
        plan = planned(version)
        assert plan.end.completed
        assert plan.page_tables.mappings[-1].end == 9 * GIB
