"""The questions in ``memplan explain --help`` are answered by the very commands that stand below them."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import memplan
from memplan.cli import main
from memplan.owner import Purpose
from memplan.units import GIB, MIB

EXAMPLES = Path(__file__).parents[2] / "examples"


def questions() -> dict[str, list[list[str]]]:
    """Each question of the help, and the words of the commands below it."""
    from memplan.cli.explain import command

    assert command.help is not None
    found: dict[str, list[list[str]]] = {}
    for line in command.help.partition("\b")[2].splitlines():
        if line.strip().startswith("memplan "):
            found[[*found][-1]].append(shlex.split(line)[1:])
        elif line.strip():
            found[line.strip()] = []
    return found


@pytest.fixture
def ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str, str], list[str]]:
    """What the commands below the question that begins so print, m.yaml being that example; all end well."""

    def asked(start: str, example: str) -> list[str]:
        monkeypatch.chdir(tmp_path)
        shutil.copy(EXAMPLES / f"{example}.yaml", "m.yaml")
        (commands,) = (own for question, own in questions().items() if question.startswith(start))
        printed = []
        for words in commands:
            with pytest.raises(SystemExit) as left:
                main(
                    [own for word in words for own in (sorted(map(str, Path().glob(word))) if "*" in word else [word])]
                )
            out, err = capsys.readouterr()
            assert (left.value.code, err) == (0, ""), words
            printed.append(out)
        return printed

    return asked


def test_every_question_has_a_command() -> None:
    assert len(questions()) == 11
    assert all(questions().values())


def test_who_holds_an_address(ask: Callable[[str, str], list[str]]) -> None:
    (told,) = ask("Who holds", "hotplug-nodes")
    plan = memplan.simulate(memplan.load_machine("m.yaml"))
    held = plan.at(0x13FFD5000).reservation
    assert held is not None
    assert told.startswith(f"{held.owner} has it, on node {held.nid}, since {held.step}")
    assert f"[mem {held.start:#018x}-{held.end - 1:#018x}]" in told
    assert "taken, at" in told


def test_why_a_node_cannot_go(ask: Callable[[str, str], list[str]]) -> None:
    (told,) = ask("Why can't", "blocked-by-acpi")
    assert told.startswith("node 1 can't be removed")
    assert "took the hot-plug marks off the whole node" in " ".join(told.split())
    assert "let the boot loader put the initrd into a node that stays" in " ".join(told.split())


def test_what_if_the_initrd_moves(ask: Callable[[str, str], list[str]]) -> None:
    explained, compared = ask("What if the initrd", "hotplug-nodes")
    assert "0x80000000-0x80000fff: initrd has it" in explained
    row = next(line for line in compared.splitlines() if re.match(r" *moved +initrd ", line))
    assert "0x000080000000" in row


def test_where_the_crash_kernel_lands_and_the_largest_that_fits(ask: Callable[[str, str], list[str]]) -> None:
    placed, swept = ask("Where would crashkernel=2G", "hotplug-nodes")
    machine = memplan.load_machine("m.yaml")
    plan = memplan.simulate(machine.with_options("crashkernel=2G"))
    (held,) = (own for own in plan.reservations if own.owner.kind is Purpose.CRASH_KERNEL)
    assert held.end - held.start == 2 * GIB
    assert f"{held.start:#x}-{held.end - 1:#x}: crash kernel has it" in placed
    largest = re.search(r"^the largest that fits: (\d+)M$", swept, re.M)
    assert largest is not None

    def gets(mib: int) -> int:
        own = memplan.simulate(machine.with_options(f"crashkernel={mib}M")).reservations
        return sum(part.end - part.start for part in own if part.owner.kind is Purpose.CRASH_KERNEL)

    assert gets(int(largest[1])) == int(largest[1]) * MIB
    assert gets(int(largest[1]) + 1) == 0


def test_what_page_tables_cost_each_node(ask: Callable[[str, str], list[str]]) -> None:
    (told,) = ask("What do page tables", "hotplug-nodes")
    machine = memplan.load_machine("m.yaml").replace({"cpus.pse": False, "cpus.gbpages": False})
    table = told[told.index("\nPage tables\n") :].split("\n\n")[0].splitlines()[3:]
    rows = [line.split() for line in table]
    for column, bottom_up in ((3, False), (4, True)):
        pages: dict[int, int] = {}
        for run in memplan.simulate(machine, bottom_up=bottom_up).page_tables.runs:
            assert run.nid is not None
            pages[run.nid] = pages.get(run.nid, 0) + run.pages
        for nid in {int(row[2]) for row in rows}:
            assert sum(int(row[column]) for row in rows if int(row[2]) == nid) == pages.get(nid, 0)


def test_which_places_are_bad(ask: Callable[[str, str], list[str]]) -> None:
    (told,) = ask("Which places", "hotplug-nodes")
    bad = told[told.index("nodes 1-2 are removable") :]
    ranges = re.findall(r"^  (0x[0-9a-f]+)(?: to (0x[0-9a-f]+))?$", bad.split("\n\n")[0], re.M)
    assert ranges
    machine = memplan.load_machine("m.yaml")
    for first, last in ranges:
        for place in {first, last or first}:
            values = {"kernel.load_address": int(place, 16), "kernel.randomized": True}
            plan = memplan.simulate(machine.replace(values))
            assert {nid for nid, _, _ in plan.movable} == {1, 2}


def test_what_hot_nodes_memory_maps_cost(ask: Callable[[str, str], list[str]]) -> None:
    (told,) = ask("What do the memory maps", "hotplug-nodes")
    assert "node 0 gives 192 MiB for other nodes: 64 MiB for node 1, 64 MiB for node 2, 64 MiB for node 3" in " ".join(
        told.split()
    )


def test_which_machines_lose_a_node(ask: Callable[[str, str], list[str]], tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "two-nodes-3.13.yaml", tmp_path / "other.yaml")
    (told,) = ask("Which of these machines", "hotplug-nodes")
    lines = told.splitlines()
    assert lines[0] == "0 of 2 machines can remove less of a node with 6.12 than with 6.1"
    assert [line.split()[0] for line in lines[2:]] == ["m.yaml", "other.yaml"]


def test_a_step_a_rule_and_a_key(ask: Callable[[str, str], list[str]]) -> None:
    (step,) = ask("What does a step", "crash-kernel-high")
    assert step.startswith("reserve_crashkernel (")
    rule, key = ask("What does a rule", "hotplug-nodes")
    assert rule.startswith("MP201")
    assert "e820" in key.splitlines()[0]


def test_memory_that_is_added_after_boot(ask: Callable[[str, str], list[str]]) -> None:
    (told,) = ask("Can memory that is added", "hotplug-nodes")
    assert told.startswith("d0 (1G) is memory of node 1: 8 blocks in Movable")
