"""Order, splits and formats that mean nothing, and bounds that everything keeps to, whatever the machine."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

import memplan
from memplan.events import Change
from memplan.firmware.acpi_encode import encode_slit, encode_srat
from memplan.machine.model import E820_RAM, Machine, Srat
from memplan.plan import Plan
from memplan.ranges import RangeSet
from memplan.render.plan_json import plan_lines
from tests.laws.machines import machines, planned
from tests.laws.test_plans import LAW

#: The least that a log tells, beside which tables are read.
_LOG = """\
Linux version 6.12.0 (a@b) #1
Command line: quiet
BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable
BIOS-e820: [mem 0x0000000000100000-0x000000003fffffff] usable
NX (Execute Disable) protection: active
"""


def result(plan: Plan) -> object:
    """What a boot leads to, whichever way it came there."""
    return plan.reservations, plan.zones, plan.verdicts, plan.movable, plan.nodes, plan.end


@LAW
@given(machines(), st.randoms(use_true_random=False))
def test_the_order_of_entries_of_one_domain_means_nothing(machine: Machine, random: Any) -> None:
    """The order of domains does: a node gets its number where its domain is first named."""
    assume(machine.srat is not None)
    assert machine.srat is not None
    domains = list(dict.fromkeys(own.pxm for own in machine.srat.memory))
    memory = list(machine.srat.memory)
    random.shuffle(memory)
    memory.sort(key=lambda own: domains.index(own.pxm))
    mixed = planned(machine._replace(srat=machine.srat._replace(memory=tuple(memory))))
    assert result(mixed) == result(planned(machine))


@LAW
@given(machines(), st.integers(2, 5))
def test_affinity_in_many_entries_is_affinity_in_one(machine: Machine, parts: int) -> None:
    assume(machine.srat is not None)
    assert machine.srat is not None
    split = []
    for own in machine.srat.memory:
        edges = [own.base + own.length * index // parts // 4096 * 4096 for index in range(parts)]
        ends = [*edges[1:], own.base + own.length]
        split += [own._replace(base=base, length=end - base) for base, end in zip(edges, ends, strict=True)]
    assert result(planned(machine._replace(srat=machine.srat._replace(memory=tuple(split))))) == result(
        planned(machine)
    )


@LAW
@given(machines(kept_apart=False), st.integers(2, 5))
def test_a_map_in_many_entries_is_a_map_in_few(machine: Machine, parts: int) -> None:
    # The decompressor keeps gigantic pages free in single entries.
    assume("hugepages" not in machine.cmdline)
    split = []
    for own in machine.e820:
        edges = [own.start + (own.end - own.start) * index // parts // 4096 * 4096 for index in range(parts)]
        split += [own._replace(start=a, end=b) for a, b in zip(edges, [*edges[1:], own.end], strict=True) if a < b]
    assert result(planned(machine._replace(e820=tuple(split)))) == result(planned(machine))


@LAW
@given(machines())
def test_exported_tables_are_read_as_what_they_were(machine: Machine) -> None:
    assume(machine.srat is not None)
    assert machine.srat is not None
    nodes = len({own.pxm for own in machine.srat.memory})
    distances = [[10 if row == column else 20 for column in range(nodes)] for row in range(nodes)]
    with TemporaryDirectory() as folder:
        log, srat, slit = (Path(folder) / name for name in ("boot.log", "SRAT.aml", "SLIT.aml"))
        log.write_text(_LOG)
        srat.write_bytes(encode_srat(machine.srat))
        slit.write_bytes(encode_slit(distances))
        read = memplan.import_files([log, srat, slit]).machine
    assert read.srat == machine.srat
    assert [list(row) for row in read.acpi.slit] == distances
    assert result(planned(machine._replace(srat=read.srat))) == result(planned(machine))


@LAW
@given(machines())
def test_nothing_is_allocated_outside_ram(machine: Machine) -> None:
    ram = RangeSet((own.start, own.end) for own in machine.e820 if own.type == E820_RAM)
    for event in planned(machine).events:
        if isinstance(event, Change) and event.op == "reserve" and event.request is not None:
            assert not list(ram.outside(event.start, event.end)), event


@LAW
@given(machines())
def test_json_names_every_reservation_and_block(machine: Machine) -> None:
    plan = planned(machine)
    read = json.loads("\n".join(plan_lines(plan)))
    assert [(own["start"], own["end"] + 1, own["owner"], own["node"]) for own in read["reservations"]] == [
        (own.start, own.end, str(own.owner), own.nid) for own in plan.reservations
    ]
    assert [(own["node"], own["start"], own["end"] + 1) for own in read["movable"]] == [*plan.movable]
    assert read["end"]["completed"] is plan.end.completed


@LAW
@given(machines())
def test_sums_are_totals(machine: Machine) -> None:
    plan = planned(machine)
    size = sum(own.end - own.start for own in plan.reservations)
    assert sum(own.end - own.start for parts in plan.by_owner().values() for own in parts) == size
    assert plan.movable_size == sum(verdict.blocks for verdict in plan.verdicts) * plan.block_size
    for nid, zones in groupby(plan.zones, key=lambda zone: zone.nid):
        present = sum(zone.present for zone in zones)
        assert present <= sum(end - start for start, end in plan.node(nid).ranges) >> 12


@LAW
@given(machines())
def test_a_srat_that_says_nothing_is_no_srat(machine: Machine) -> None:
    disabled = Srat(tuple(own._replace(enabled=False) for own in machine.srat.memory) if machine.srat else (), ())
    empty, none = (planned(machine._replace(srat=srat)) for srat in (disabled, Srat()))
    assert result(empty) == result(none)
