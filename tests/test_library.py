"""The library: what a program asks memplan."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import memplan
from memplan.events import Change, Mark, Refused
from memplan.machine.model import E820Entry, KernelImage, Machine, MemoryAffinity, Srat
from memplan.owner import Owner, Purpose
from memplan.plan import Plan, SratUse
from memplan.units import GIB, MIB
from tests.boot import real

EXAMPLE = Path(__file__).parent.parent / "examples" / "hotplug-nodes.yaml"
RAM = (E820Entry(0, 640 * 1024, 1), E820Entry(MIB, 3 * GIB, 1), E820Entry(4 * GIB, 9 * GIB, 1))
NODES = Srat((MemoryAffinity(0, 0, 3 * GIB), MemoryAffinity(1, 4 * GIB, 5 * GIB, hotplug=True)))
MACHINE = Machine(RAM, cmdline="movable_node", srat=NODES)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return memplan.simulate(MACHINE, kernel="6.12")


def test_every_name_is_there() -> None:
    for name in memplan.__all__:
        assert getattr(memplan, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = memplan.nothing


def test_importing_it_imports_no_library() -> None:
    text = "import sys, memplan; print([name for name in ('pydantic', 'rich', 'yaml', 'click') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_at_says_what_is_at_an_address(plan: Plan) -> None:
    image = plan.at(16 * MIB)
    assert image.reservation is not None
    assert (image.reservation.owner, image.reservation.nid) == (Owner(Purpose.KERNEL_IMAGE), 0)
    assert image.region is not None
    hot = plan.at(6 * GIB)
    assert hot.region is not None
    assert hot.zone is not None
    assert (hot.region.nid, hot.reservation, hot.zone.name) == (1, None, "Movable")
    assert plan.at(3 * GIB + 5).region is None
    assert plan.at(9 * GIB).zone is None


def test_every_reserved_byte_has_its_owner(plan: Plan) -> None:
    by_owner = plan.by_owner()
    assert sorted(own for parts in by_owner.values() for own in parts) == sorted(plan.reservations)
    for own in plan.reservations:
        assert plan.at(own.start).reservation == plan.at(own.end - 1).reservation == own
    assert all(own.owner == owner for owner, parts in by_owner.items() for own in parts)


def test_gaps_are_what_is_neither_reserved_nor_missing(plan: Plan) -> None:
    gaps = plan.gaps()
    assert [gap.size for gap in gaps] == sorted((gap.size for gap in gaps), reverse=True)
    assert (gaps[0].start, gaps[0].end, gaps[0].nid) == (4 * GIB, 9 * GIB, 1)
    total = sum(region.end - region.start for region in plan.memory)
    taken = sum(own.end - own.start for own in plan.reservations if own.nid is not None)
    assert sum(gap.size for gap in gaps) == total - taken
    assert all(plan.at(gap.start).reservation is None and plan.at(gap.end - 1).reservation is None for gap in gaps)
    low = plan.gaps(limit=GIB, align=MIB)
    assert low[0].end <= GIB
    assert all(gap.start % MIB == gap.end % MIB == 0 for gap in low)


def test_nodes_and_why(plan: Plan) -> None:
    assert plan.node(1).memory == 5 * GIB
    assert [verdict.movable for verdict in plan.why(1)] == [True]
    for question in (plan.node, plan.why):
        with pytest.raises(KeyError):
            question(7)


def test_overrides_go_with_their_own_build() -> None:
    own = MACHINE._replace(kernel=KernelImage("6.12", overrides={"struct.page": 128}))
    size = {
        name: sum(o.end - o.start for o in plan.by_owner()[Owner(Purpose.MEMORY_MAP, 0)])
        for name, plan in {
            "own": memplan.simulate(own),
            "named": memplan.simulate(own, kernel="6.12"),
            "plain": memplan.simulate(MACHINE),
        }.items()
    }
    assert size["own"] == size["named"] > size["plain"]
    other = memplan.simulate(own, kernel="6.1")
    assert "facts that the machine overrides (struct.page) are those of its own build, 6.12, and are left out" in (
        other.kernel_notes
    )
    assert not any("overrides" in note for note in memplan.simulate(own).kernel_notes)


def test_plans_pickle(plan: Plan) -> None:
    assert pickle.loads(pickle.dumps(plan)) == plan


def test_the_plan_knows_what_became_of_the_srat() -> None:
    def use(**fields: object) -> SratUse:
        return memplan.simulate(MACHINE._replace(**fields), kernel="6.12").srat  # type: ignore[arg-type]

    assert use() is SratUse.USED
    assert use(srat=None) is SratUse.ABSENT
    assert use(cmdline="numa=off") is SratUse.TURNED_OFF
    assert use(cmdline="acpi=off") is SratUse.TURNED_OFF
    assert use(srat=Srat()) is SratUse.EMPTY
    assert use(srat=Srat((MemoryAffinity(0, 0, 3 * GIB), MemoryAffinity(1, GIB, 8 * GIB)))) is SratUse.OVERLAP
    assert use(srat=Srat((MemoryAffinity(0, 0, 3 * GIB),))) is SratUse.UNCOVERED
    assert use(srat=Srat((MemoryAffinity(5000, 0, 9 * GIB),))) is SratUse.BAD_ENTRY


def test_the_plan_knows_the_node_of_page_tables() -> None:
    top_down = memplan.simulate(MACHINE._replace(cmdline="nogbpages", srat=NODES), kernel="3.13")
    runs = {run.source: run.nid for run in top_down.page_tables.runs}
    assert runs["brk"] == 0
    for run in top_down.page_tables.runs:
        places = {plan_region.nid for plan_region in top_down.memory if plan_region.start < run.end > plan_region.start}
        assert run.nid in places


def test_nodes_and_flags_are_events_too(plan: Plan) -> None:
    marks = [event for event in plan.events if isinstance(event, Mark)]
    hot = [(mark.start, mark.end, mark.on) for mark in marks if mark.flag == 1 and mark.array == "memory"]
    assert (4 * GIB, 9 * GIB, True) in hot
    assert any((mark.start, mark.end, mark.nid) == (4 * GIB, 9 * GIB, 1) for mark in marks if not mark.flag)


def test_requests_say_what_was_asked_for(plan: Plan) -> None:
    maps = [e for e in plan.events if isinstance(e, Change) and e.owner == Owner(Purpose.MEMORY_MAP, 0)]
    assert maps[0].request is not None
    assert (maps[0].request.nid, maps[0].request.min_addr, maps[0].request.avoids_hotplug) == (0, 16 * MIB, True)
    crash = memplan.simulate(MACHINE._replace(cmdline="crashkernel=100G"), kernel="6.1")
    refused = [event for event in crash.events if isinstance(event, Refused)]
    assert {event.owner.kind for event in refused} <= {Purpose.CRASH_KERNEL}


def test_a_plan_of_each_real_boot_pickles_and_answers() -> None:
    for name in real.NAMES[::10]:
        plan = real.plan(name)
        assert pickle.loads(pickle.dumps(plan)) == plan
        for own in plan.reservations[:: max(1, len(plan.reservations) // 20)]:
            assert plan.at(own.start).reservation == own


def test_import_diff_verify_and_check(tmp_path: Path) -> None:
    log = tmp_path / "boot.log"
    log.write_text("\n".join(real.lines("acpi-off-6.12")) + "\n")
    imported = memplan.import_files([log])
    assert imported.machine.cmdline
    assert imported.origins["e820"]
    assert memplan.verify(log).same
    again = tmp_path / "machine.yaml"
    again.write_text(memplan.dump_machine(imported.machine))
    assert memplan.load_machine(again).e820 == imported.machine.e820
    plan = memplan.simulate(imported.machine)
    assert memplan.diff(plan, plan).empty
    report = memplan.check(EXAMPLE)
    assert not report.problems
    assert report.ran
    assert memplan.find_kernel("6.12").version
