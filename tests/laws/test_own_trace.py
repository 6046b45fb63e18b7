"""Any machine's plan equals its own trace, its parts add up, and what is told in two entries is told in one."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import memplan
from memplan.machine.model import E820_RAM, Machine, MemoryAffinity
from memplan.plan import Plan
from memplan.render.trace import trace_lines
from tests.boot.test_any_machine import MIB, machines
from tests.laws.machines import planned

#: The same machines every time, so that a change is judged by what it changes.
law = settings(max_examples=40, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
#: The most bits of a physical address that x86 has.
PHYSICAL_BITS = 52


def outcome(plan: Plan) -> object:
    """All that a boot leads to, without how it is told."""
    return plan.reservations, plan.movable, plan.zones, plan.verdicts, plan.page_tables, plan.nodes, plan.end


def has_ram(machine: Machine, part: MemoryAffinity) -> bool:
    return any(
        own.type == E820_RAM and own.start < part.base + part.length and part.base < own.end for own in machine.e820
    )


@law
@given(machines(), st.data())
def test_affinity_in_two_entries_is_affinity_in_one(machine: Machine, data: st.DataObject) -> None:
    assume(machine.srat is not None and any(own.length > 2 * MIB for own in machine.srat.memory))
    assert machine.srat is not None
    memory = machine.srat.memory
    at = data.draw(st.sampled_from([i for i, own in enumerate(memory) if own.length > 2 * MIB]))
    own = memory[at]
    first = data.draw(st.integers(1, own.length // MIB - 1)) * MIB
    parts = own._replace(length=first), own._replace(base=own.base + first, length=own.length - first)
    # A part without RAM is dropped, and numa=fake= counts a node's shares from where its memory is left to begin.
    assume("numa=fake" not in machine.cmdline or all(has_ram(machine, part) for part in parts))
    split = machine.srat._replace(memory=(*memory[:at], *parts, *memory[at + 1 :]))
    assert outcome(planned(machine._replace(srat=split))) == outcome(planned(machine))


@law
@given(machines())
def test_a_plan_verifies_against_its_own_trace(machine: Machine) -> None:
    plan = planned(machine)
    assume(plan.end.completed)
    with TemporaryDirectory() as folder:
        log = Path(folder) / "boot.log"
        head = f"Linux version {machine.kernel.build}.0 (a@b) #1\nCommand line: {machine.cmdline}\n"
        log.write_text(head + "\n".join(trace_lines(plan)) + "\n")
        comparison = memplan.verify(log, machine)
    assert comparison.same, comparison.first


@law
@given(machines(), st.sampled_from((None, True, False)))
def test_parts_add_up(machine: Machine, bottom_up: bool | None) -> None:
    plan = planned(machine, bottom_up=bottom_up)
    ends = [0, *(own.end for own in plan.reservations)]
    assert all(own.start >= end for own, end in zip(plan.reservations, ends, strict=False))
    assert ends[-1] <= 1 << PHYSICAL_BITS
    owned = sum(own.end - own.start for parts in plan.by_owner().values() for own in parts)
    assert owned == sum(own.end - own.start for own in plan.reservations)
    for own in plan.reservations:
        assert plan.at(own.start).reservation == own
        assert plan.at(own.end - 1).reservation == own
    taken = {(own.start, own.end) for own in plan.reservations}
    gaps = [(gap.start, gap.end) for gap in plan.gaps()]
    assert not any(start < end_of and begin < end for start, end in gaps for begin, end_of in taken)
    if plan.end.completed:
        memory = sum(end - start for node in plan.nodes for start, end in node.ranges)
        inside = sum(
            max(0, min(end, own.end) - max(start, own.start))
            for node in plan.nodes
            for start, end in node.ranges
            for own in plan.reservations
        )
        assert sum(end - start for start, end in gaps) == memory - inside
