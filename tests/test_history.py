"""A history tells every version's verdict as its plan has it, and changes of it by the rules that make them."""

import json
import shlex
from itertools import combinations
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

import memplan
from memplan.boot.replay import replay
from memplan.cli import main
from memplan.errors import NotCoveredError, UsageError
from memplan.history import Build, _mixed, causes, history, minimal, newest, versions_between
from memplan.kernel.load import find_kernel
from memplan.kernel.model import Kernel
from memplan.machine.dump import dump_machine
from memplan.machine.model import Machine
from memplan.plan import Plan
from memplan.render.history import history_lines
from memplan.render.history_json import history_schema
from memplan.sweep.wants import Verdict, read_want
from tests.sweep.machines import machine


def planned(own: Machine, kernel: str) -> Verdict | None:
    try:
        return Verdict.of(memplan.simulate(own, kernel=kernel))
    except NotCoveredError:
        return None


@pytest.mark.parametrize("cmdline", ["movable_node crashkernel=256M", "kernelcore=40% crashkernel=1G,high"])
def test_every_version_s_verdict_is_that_of_its_plan(cmdline: str) -> None:
    own = machine(cmdline, nodes=3, hot="movable" in cmdline)
    names = versions_between("3.13", "7.1")
    found = history(own, names)
    assert [found[0].first, found[-1].last] == ["3.13", "7.1"]
    at = 0
    for stretch in found:
        part = names[at : names.index(stretch.last) + 1]
        assert part[0] == stretch.first
        assert {planned(own, name) for name in part} == {stretch.verdict}
        at += len(part)
    assert at == len(names)


def test_a_change_is_put_down_to_the_rule_that_makes_it() -> None:
    """Percentages came with 4.17; before, the number before the sign counted as bytes."""
    own = machine("kernelcore=40%", nodes=3, hot=False)
    found = history(own, versions_between("4.14", "4.20"))
    (change,) = [stretch for stretch in found if stretch.first == "4.17"]
    assert len(change.causes) == 1
    assert "percentages" in change.causes[0].what
    assert change.verdict != found[0].verdict


def test_wants_part_the_versions() -> None:
    own = machine("kernelcore=40%", nodes=3, hot=False)
    wants = [read_want("removable:node2")]
    found = history(own, versions_between("4.14", "4.20"), wants)
    assert [(one.first, one.met) for one in found] == [("4.14", False), ("4.17", True)]
    assert [one.met for one in history(own, ["4.16", "rhel-8"], wants)] == [False, True]


@pytest.mark.parametrize(
    ("cmdline", "first", "last", "wishes"),
    [
        ("kernelcore=40%", "4.16", "4.17", []),
        ("movable_node", "3.13", "3.14", []),
        ("crashkernel=900M", "3.13", "6.12", []),
        ("movable_node crashkernel=900M,high", "3.13", "6.12", ["crashkernel>=900M"]),
        ("movable_node", "3.13", "6.1", ["removable:node2", "boots"]),
        ("movable_node", "3.13", "rhel-9", ["removable:all"]),
        ("crashkernel=900M", "rhel-8", "3.13", ["crashkernel"]),
    ],
)
def test_nothing_of_a_cause_can_be_left_out(cmdline: str, first: str, last: str, wishes: list[str]) -> None:
    """With all of it the older kernel gives the newer verdict; with a part of it, or none, it does not."""
    own = machine(cmdline, nodes=3, hot="movable_node" in cmdline)
    wants = [read_want(text) for text in wishes]
    older, newer = (Build(name, find_kernel(name)) for name in (first, last))

    def answer(kernel: Kernel) -> object:
        try:
            plan = memplan.simulate(own, kernel=kernel)
        except NotCoveredError:
            return None
        return all(want.is_met(plan) for want in wants) if wants else Verdict.of(plan)

    wanted = answer(newer.kernel)
    assert wanted != answer(older.kernel)
    (_, change) = history(own, [first, last], wants)
    names = [cause.name for cause in change.causes]
    assert names
    for count in range(len(names) + 1):
        for some in combinations(names, count):
            assert (answer(_mixed(older, newer, frozenset(some))) == wanted) == (count == len(names)), some


@given(st.sets(st.integers(0, 20)), st.sets(st.integers(0, 20)))
def test_nothing_can_be_left_out_of_a_minimal_set(needed: set[int], others: set[int]) -> None:
    items = [str(number) for number in sorted(needed | others)]
    wanted = {str(number) for number in needed}
    assert set(minimal(items, lambda own: wanted <= set(own))) == wanted


@given(st.lists(st.sets(st.integers(0, 9), min_size=1), min_size=1, max_size=4))
def test_of_several_ways_one_is_found(ways: list[set[int]]) -> None:
    items = [str(number) for number in range(10)]

    def holds(own: object) -> bool:
        return any({str(number) for number in way} <= set(own) for way in ways)  # type: ignore[call-overload]

    found = minimal(items, holds)
    assert holds(found)
    assert not any(holds([item for item in found if item != left_out]) for left_out in found)


def test_which_versions_lie_between_two() -> None:
    assert versions_between("4.19", "5.1.3") == ["4.19", "4.20", "5.0", "5.1.3"]
    assert versions_between("rhel-8", "rhel-9") == ["rhel-8", "rhel-9"]
    assert versions_between("6.1.5", "6.1.90") == ["6.1.5", "6.1.90"]
    assert versions_between("6.1", "6.1") == ["6.1"]
    for first, last in (("5.1", "4.19"), ("2.6", "4.19")):
        with pytest.raises(UsageError):
            versions_between(first, last)


def test_versions_later_than_all_rules_are_told_as_such() -> None:
    """Until their sources are read they are planned by the rules of the last one that was."""
    last = newest()
    major, minor = last.split(".")
    later = f"{major}.{int(minor) + 2}"
    names = versions_between(last, later)
    assert len(names) == 3
    (known,), (stretch,) = history(machine(), [last]), history(machine(), names)
    assert (stretch.first, stretch.last) == (last, later)
    (told,) = set(stretch.limits) - set(known.limits)
    assert f"after {last}," in told


@pytest.mark.parametrize("text", ["removable", "removable:x", "crashkernel>1G", "crashkernel>=", "sleep"])
def test_wishes_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="expected removable"):
        read_want(text)


def test_wishes_as_plans_meet_them() -> None:
    plan = memplan.simulate(machine("movable_node crashkernel=256M", nodes=3))
    met = {text: read_want(text).is_met(plan) for text in ("removable:all", "removable:0", "removable:node2", "boots")}
    assert met == {"removable:all": True, "removable:0": False, "removable:node2": True, "boots": True}
    sizes = {size: read_want(f"crashkernel>={size}").is_met(plan) for size in ("1M", "256M", "257M")}
    assert sizes == {"1M": True, "256M": True, "257M": False}
    assert not read_want("crashkernel").is_met(memplan.simulate(machine("", nodes=3)))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "machine.yaml"
    path.write_text(dump_machine(machine("kernelcore=40%", nodes=2, hot=False)))
    words = ["history", str(path), "--from", "4.16", "--to", "4.18", "--want", "removable:1"]
    texts = []
    for more in ([], ["-f", "json"]):
        with pytest.raises(SystemExit) as left:
            main([*words, *more])
        assert not left.value.code
        texts.append(capsys.readouterr().out)
    found = json.loads(texts[1])
    jsonschema.validate(found, history_schema())
    for own in found["stretches"]:
        with pytest.raises(SystemExit):
            main([*shlex.split(own["simulate"])[1:], "-f", "json"])
        plan = json.loads(capsys.readouterr().out)
        assert sorted({part["node"] for part in plan["movable"]}) == own["removable"]
    assert [one["met"] for one in found["stretches"]] == [False, True]
    assert "because of" in texts[0]
    assert "crash kernel" not in texts[0]
    assert texts[0].count(f"memplan simulate {path} --kernel") == 2
    with pytest.raises(SystemExit) as left:
        main([*words[:4], "--to", "4.16.0", "--want", "removable:1"])
    assert left.value.code == 1


def test_nodes_of_versions_that_answer_a_wish_alike_are_the_first_one_s() -> None:
    """Nothing gives node 9; the versions differ in other nodes, and the line says whose it tells."""
    own = machine("movable_node")
    wants = [read_want("removable:node9")]
    found = history(own, ["3.13", "6.1"], wants)
    assert len(found) == 1
    assert len(history(own, ["3.13", "6.1"])) == 2
    line = next(history_lines(["memplan", "simulate", "m.yaml"], found, crash=False))
    assert line == "3.13 to 6.1  no: in 3.13 no node is removable"
    line = next(history_lines(["memplan", "simulate", "m.yaml"], history(own, ["6.1"], wants), crash=False))
    assert line == "6.1  no: nodes 1-2 are removable"


def test_progress_tells_the_share_of_the_versions_and_every_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    heard: list[tuple[float | None, int, int]] = []

    def counted(own: Machine, kernel: Kernel) -> Plan:
        made.append(kernel.name)
        return replay(own, kernel)

    monkeypatch.setattr("memplan.history.replay", counted)
    names = versions_between("3.13", "3.16")
    history(machine(nodes=3), names, progress=lambda share, plans: heard.append((share, plans, len(made))))
    shares = [share for share, *_ in heard if share is not None]
    assert [plans for _, plans, _ in heard] == [before for *_, before in heard] == list(range(len(made)))
    assert shares == sorted(shares)
    assert {share * len(names) for share in shares} <= set(range(len(names)))
    # The causes of the change to 3.14 are looked for while 3.14 is in hand.
    assert shares.count(1 / len(names)) > 5


def test_no_set_of_causes_is_planned_twice() -> None:
    ends = Build("3.13", find_kernel("3.13")), Build("3.14", find_kernel("3.14"))
    tried: list[Kernel] = []

    def gives_it(kernel: Kernel) -> bool:
        tried.append(kernel)
        return kernel.rules.srat_hotplug_marks and kernel.rules.movable_node_zone

    found = causes(*ends, gives_it)
    assert found is not None
    assert {cause.name for cause in found} == {"srat_hotplug_marks", "movable_node_zone"}
    assert len(tried) == len({repr(kernel) for kernel in tried})
