"""Plan comparison as data."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from memplan.differences import OwnerChange, compare
from memplan.events import Message
from memplan.plan import End, Reservation, TableRun
from memplan.units import GIB
from tests.render.plans import a_plan, called


def held(*parts: tuple[int, int, str]) -> tuple[Reservation, ...]:
    return tuple(Reservation(start, end, 0, called(owner), f"step of {owner}", True) for start, end, owner in parts)


def kinds(changes: tuple[OwnerChange, ...]) -> list[tuple[str, str, int | None, int | None]]:
    return [
        (c.kind, str(c.owner), c.before.start if c.before else None, c.after.start if c.after else None)
        for c in changes
    ]


def test_a_plan_does_not_differ_from_itself() -> None:
    diff = compare(a_plan(), a_plan(cmdline="another way", bottom_up=False, kernel="other", events=a_plan().events))
    assert diff.empty
    assert diff.movable == (4 * GIB, 4 * GIB)


def test_ranges_move_resize_appear_and_vanish_by_owner() -> None:
    before = held((0x1000, 0x2000, "a"), (0x5000, 0x6000, "b"), (0x6000, 0x9000, "b"), (0xA000, 0xB000, "c"))
    after = held((0x1000, 0x2000, "a"), (0x10000, 0x14000, "b"), (0xA000, 0xA800, "c"), (0xC000, 0xD000, "d"))
    diff = compare(a_plan(reservations=before), a_plan(reservations=after))
    assert kinds(diff.owners) == [
        ("moved", "b", 0x5000, 0x10000),
        ("resized", "c", 0xA000, 0xA000),
        ("appeared", "d", None, 0xC000),
    ]
    assert kinds(compare(a_plan(reservations=after), a_plan(reservations=())).owners) == [
        ("vanished", "a", 0x1000, None),
        ("vanished", "c", 0xA000, None),
        ("vanished", "d", 0xC000, None),
        ("vanished", "b", 0x10000, None),
    ]


@st.composite
def held_ranges(draw: st.DrawFn) -> tuple[Reservation, ...]:
    edges = sorted(draw(st.sets(st.integers(0, 60), max_size=20)))
    pairs = zip(edges[::2], edges[1::2], strict=False)
    return held(*((start, end, draw(st.sampled_from("xyz"))) for start, end in pairs))


@given(held_ranges(), held_ranges())
def test_every_byte_is_accounted_for(before: tuple[Reservation, ...], after: tuple[Reservation, ...]) -> None:
    """Taking away what went and adding what came turns the one into the other."""

    def taken(parts: tuple[Reservation, ...]) -> set[tuple[str, int]]:
        return {(str(part.owner), at) for part in parts for at in range(part.start, part.end)}

    owned = taken(before)
    diff = compare(a_plan(reservations=before), a_plan(reservations=after))
    for change in diff.owners:
        if change.before:
            owned -= {(str(change.owner), at) for at in range(change.before.start, change.before.end)}
    for change in diff.owners:
        if change.after:
            owned |= {(str(change.owner), at) for at in range(change.after.start, change.after.end)}
    assert owned == taken(after)
    assert bool(diff.owners) == (taken(before) != taken(after))
    for change in diff.owners:
        if change.kind == "moved":
            assert change.before
            assert change.after
            assert change.before.size == change.after.size


def test_verdicts_change_by_their_answer_not_their_wording() -> None:
    plan = a_plan()
    last = plan.verdicts[2]
    assert compare(plan, plan._replace(verdicts=(*plan.verdicts[:2], last._replace(reason="other words")))).empty
    diff = compare(plan, plan._replace(verdicts=(plan.verdicts[0], last._replace(blocks=31))))
    assert [(change.nid, change.start, change.after is None) for change in diff.verdicts] == [
        (0, 4 * GIB, True),
        (1, 6 * GIB, False),
    ]


def test_page_tables_stand_side_by_side() -> None:
    plan = a_plan()
    runs = (plan.page_tables.runs[0], TableRun("pte", "memblock", 0, 0x1000, 1, 1))
    diff = compare(plan, plan._replace(page_tables=plan.page_tables._replace(runs=runs)))
    assert [tuple(row) for row in diff.page_tables] == [
        ("pud", "brk", 0, 2, 2),
        ("pmd", "memblock", 0, 3, 0),
        ("pte", "memblock", 1, 0, 1),
    ]
    assert not diff.empty


def test_zones_warnings_and_ends() -> None:
    plan = a_plan()
    other = plan._replace(
        zones=(plan.zones[0], plan.zones[1]._replace(present=1)),
        events=(Message("new", "step", warning=True),) * 2,
        end=End(False, "step", "words", "cause"),
    )
    diff = compare(plan, other)
    assert [(change.nid, change.name, change.after is None) for change in diff.zones] == [
        (0, "Normal", False),
        (1, "Movable", True),
    ]
    assert (diff.warnings_gone, diff.warnings_new) == (("a word of warning",), ("new",))
    assert diff.ends[1].step == "step"
    assert not compare(plan, plan._replace(end=other.end)).empty
