"""Advice is the smallest change that does it, as planning all smaller ones shows, or names what nobody can move."""

import json
import shlex
from pathlib import Path

import jsonschema
import pytest

import memplan
from memplan.advise import Hand, advise
from memplan.cli import main
from memplan.kernel.load import find_kernel
from memplan.machine.dump import dump_machine
from memplan.machine.load import load_machine
from memplan.machine.model import Initrd, Machine
from memplan.owner import Mover
from memplan.render.advice import advice_schema
from memplan.sweep.wants import read_want
from memplan.units import GIB, MIB
from tests.sweep.machines import BUILD, machine

EXAMPLES = Path(__file__).parents[1] / "examples"


def hands(own: Machine, *wishes: str) -> list[Hand]:
    """Who has to do something; what is advised is held against its plan."""
    wants = [read_want(text) for text in wishes]
    advice = advise(own, BUILD, wants)
    assert advice.steps is not None
    plan = memplan.simulate(advice.machine, kernel=BUILD)
    assert all(want.is_met(plan) for want in wants)
    return [step.hand for step in advice.steps]


def test_what_is_there_already_needs_nothing() -> None:
    assert hands(machine("movable_node"), "removable:all") == []


def test_the_option_that_is_missing() -> None:
    assert hands(machine(""), "removable:all") == [Hand.OPTION]
    assert hands(machine("movable_node"), "crashkernel>=256M") == [Hand.OPTION]


def test_marks_and_the_option() -> None:
    assert sorted(hands(machine("", hot=False, nodes=2), "removable:node1")) == [Hand.OPTION, Hand.FIRMWARE]


def test_an_initrd_in_the_way_is_the_loader_s() -> None:
    own = machine("movable_node")._replace(initrd=Initrd(GIB + 64 * MIB, 20 * MIB))
    assert hands(own, "removable:all") == [Hand.LOADER]
    assert hands(own, "removable:node2") == []


def test_a_kernel_that_kaslr_put_there_is_kept_away_by_an_option() -> None:
    own = machine("movable_node")
    placed = own._replace(kernel=own.kernel._replace(load_address=GIB + 64 * MIB, randomized=True))
    assert hands(placed, "removable:all") == [Hand.OPTION]


def test_tables_in_the_way_are_firmware_s() -> None:
    own = machine("movable_node")
    (table,) = own.acpi.tables
    tables = (table._replace(address=2 * GIB - 0x8000),)
    assert hands(own._replace(acpi=own.acpi._replace(tables=tables)), "removable:all") == [Hand.FIRMWARE]


def test_two_things_in_the_way_of_a_real_machine() -> None:
    own = load_machine(EXAMPLES / "blocked-by-acpi.yaml")
    advice = advise(own, find_kernel(own.kernel.build), [read_want("removable:all")])
    assert advice.steps is not None
    assert sorted(step.hand for step in advice.steps) == [Hand.LOADER, Hand.FIRMWARE]
    # Neither alone does it.
    for wish in ("removable:node1",):
        for step in advice.steps:
            from memplan.sweep.settings import changed

            assert not read_want(wish).is_met(memplan.simulate(changed(own, step.settings)))


def test_nobody_can_move_the_first_megabyte() -> None:
    advice = advise(machine("movable_node"), BUILD, [read_want("removable:node0")])
    assert advice.steps is None
    assert advice.immovable
    assert all(own.owner.kind.mover is Mover.NOBODY and own.nid == 0 for own in advice.immovable)


def test_what_it_costs_elsewhere() -> None:
    own = machine("kernelcore=60%", nodes=3)
    advice = advise(own, BUILD, [read_want("crashkernel>=900M")])
    assert advice.cost is not None
    before, after = (memplan.simulate(one, kernel=BUILD).movable for one in (own, advice.machine))
    assert advice.cost.lost_bytes == max(0, sum(e - s for _, s, e in before) - sum(e - s for _, s, e in after))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "machine.yaml", tmp_path / "better.yaml"
    path.write_text(dump_machine(machine("", nodes=2)))

    def run(*words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as left:
            main(words)
        return int(left.value.code or 0), capsys.readouterr().out

    status, text = run("advise", str(path), "--want", "removable:all", "--want", "crashkernel", "--apply", str(out))
    assert status == 0
    assert "1. boot with" in text
    status, document = run("advise", str(path), "--want", "removable:all", "--want", "crashkernel", "-f", "json")
    found = json.loads(document)
    jsonschema.validate(found, advice_schema())
    plan = json.loads(run(*shlex.split(found["simulate"])[1:], "-f", "json")[1])
    better = json.loads(run("simulate", str(out), "-f", "json")[1])
    assert plan["movable"] == better["movable"] != []
    status, text = run("advise", str(path), "--want", "removable:node0")
    assert status == 1
    assert "nobody can move" in text
    jsonschema.validate(json.loads(run("advise", str(path), "--want", "removable:0", "-f", "json")[1]), advice_schema())
