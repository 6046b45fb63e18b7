"""What means the same is planned the same, and a plan agrees with itself, whatever the machine."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from memplan.events import Change, Checkpoint
from memplan.machine.assignment import Assignment
from memplan.machine.dump import dump_machine
from memplan.machine.load import parse_machine
from memplan.machine.model import E820Entry, Machine
from memplan.machine.options import with_cmdline
from memplan.plan import Plan
from memplan.render.plan_json import plan_document, plan_lines
from tests.laws.machines import machines, planned

LAW = settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def asked(plan: Plan) -> dict[str, int]:
    """How many bytes each owner allocated, but for page tables."""
    sizes: dict[str, int] = {}
    for event in plan.events:
        if isinstance(event, Change) and event.op == "reserve" and event.request is not None:
            sizes[str(event.owner)] = sizes.get(str(event.owner), 0) + event.end - event.start
    sizes.pop("page tables", None)
    return sizes


@LAW
@given(machines(), st.randoms(use_true_random=False))
def test_the_order_of_the_e820_map_means_nothing_but_to_kaslr(machine: Machine, random: Any) -> None:
    entries = list(machine.e820)
    random.shuffle(entries)
    # The decompressor takes the map as firmware gave it: gigantic pages are kept free in the first entry that has room.
    mixed, sorted_ = planned(machine._replace(e820=tuple(entries))), planned(machine)
    assert mixed._replace(kaslr=None) == sorted_._replace(kaslr=None)


@LAW
@given(machines(kept_apart=False), st.integers(1, 7))
def test_an_e820_entry_split_in_two_means_the_same(machine: Machine, eighths: int) -> None:
    entries = list(machine.e820)
    own = entries.pop()
    cut = own.start + (own.end - own.start) * eighths // 8 // 4096 * 4096
    entries += [E820Entry(own.start, cut, own.type), E820Entry(cut, own.end, own.type)]
    split, whole = planned(machine._replace(e820=tuple(entries))), planned(machine)
    assert split.reservations == whole.reservations
    assert (split.zones, split.verdicts, split.movable) == (whole.zones, whole.verdicts, whole.movable)


@LAW
@given(machines())
def test_the_default_direction_may_be_forced(machine: Machine) -> None:
    plan = planned(machine)
    assert planned(machine, bottom_up=plan.bottom_up) == plan


@LAW
@given(machines())
def test_a_written_description_is_planned_the_same(machine: Machine) -> None:
    assert planned(parse_machine(dump_machine(machine), "dump.yaml")) == planned(machine)


@LAW
@given(machines(movable_node=False), st.sampled_from(("movable_node", "cma=64M", "mem=2G")))
def test_appended_options_equal_the_edited_file(machine: Machine, option: str) -> None:
    edited = machine._replace(cmdline=f"{machine.cmdline} {option}".strip())
    assert planned(with_cmdline(machine, None, (option,))) == planned(edited)
    assert planned(edited).cmdline == edited.cmdline


@LAW
@given(machines(), st.data())
def test_a_set_field_equals_the_edited_file(machine: Machine, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, machine.cpus.possible))
    told = parse_machine(dump_machine(machine), "m.yaml", [Assignment.parse(f"cpus.present={count}")])
    edited = machine._replace(cpus=machine.cpus._replace(present=count))
    assert planned(told) == planned(edited)


@LAW
@given(machines())
def test_json_says_what_the_plan_says(machine: Machine) -> None:
    plan = planned(machine)
    read = json.loads("\n".join(plan_lines(plan)))
    assert read == json.loads(json.dumps(plan_document(plan)))
    assert len(read["zones"]) == len(plan.zones)


@LAW
@given(machines())
def test_nothing_is_reserved_twice_and_blocks_are_whole(machine: Machine) -> None:
    plan = planned(machine)
    last = [event for event in plan.events if isinstance(event, Checkpoint)][-1]
    assert all(a.end <= b.start for a, b in zip(plan.reservations, plan.reservations[1:], strict=False))
    assert sum(r.end - r.start for r in plan.reservations) == sum(r.end - r.start for r in last.reserved)
    assert sum(r.end - r.start for r in last.reserved) == last.reserved_size
    # memblock_trim_memory() cuts regions to whole pages and leaves the total as it was.
    assert 0 <= last.memory_size - sum(r.end - r.start for r in last.memory) < 0x2000 * len(machine.e820)
    assert sum(v.blocks for v in plan.verdicts) * plan.block_size == sum(end - start for _, start, end in plan.movable)


@LAW
@given(machines())
def test_no_owner_takes_more_or_less_for_the_direction(machine: Machine) -> None:
    up, down = planned(machine, bottom_up=True), planned(machine, bottom_up=False)
    assume(up.end.completed and down.end.completed and up.movable == down.movable)
    assert asked(up) == asked(down)


@LAW
@given(machines(movable_node=True, options=()))
def test_a_marked_node_that_holds_nothing_is_movable(machine: Machine) -> None:
    plan = planned(machine._replace(kernel=machine.kernel._replace(build="6.12")))
    ranges = [(v.nid, v.start, v.end) for v in plan.verdicts]
    held = {
        n for n, start, end in ranges for r in plan.reservations if r.before_srat and r.start < end and start < r.end
    }
    for verdict in plan.verdicts:
        if verdict.hotplug and verdict.nid not in held:
            assert verdict.movable, verdict.reason
