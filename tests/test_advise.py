"""Advice is the smallest change that does it, as planning all smaller ones shows, or names what nobody can move."""

import json
import shlex
from collections.abc import Sequence
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import memplan
from memplan.advise.placed import overlaps
from memplan.advise.search import advise
from memplan.advise.steps import Hand
from memplan.boot.replay import replay
from memplan.cli import main
from memplan.kernel.load import find_kernel
from memplan.kernel.model import Kernel
from memplan.machine.dump import dump_machine
from memplan.machine.load import load_machine
from memplan.machine.model import (
    AcpiTable,
    E820Entry,
    Efi,
    EfiRange,
    EfiReserved,
    Extent,
    Initrd,
    Machine,
    MemoryAffinity,
    MpTable,
    SetupData,
)
from memplan.owner import Mover
from memplan.plan import Plan
from memplan.render.advice_json import advice_schema
from memplan.sweep.settings import changed
from memplan.sweep.wants import Want, read_want
from memplan.units import GIB, MIB
from tests.sweep.machines import BUILD, kernel_of, machine

EXAMPLES = Path(__file__).parents[1] / "examples"


def hands(own: Machine, *wishes: str) -> list[Hand]:
    """Who has to do something; what is advised is held against its plan."""
    wants = [read_want(text) for text in wishes]
    advice = advise(own, BUILD, wants)
    assert advice.refusal is None
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
    want = read_want("removable:node1")
    advice = advise(own, find_kernel(own.kernel.build), [want])
    assert sorted(step.hand for step in advice.steps) == [Hand.LOADER, Hand.FIRMWARE]
    # Neither alone does it.
    assert not any(want.is_met(memplan.simulate(changed(own, step.settings))) for step in advice.steps)


def test_nobody_can_move_the_first_megabyte() -> None:
    advice = advise(machine("movable_node"), BUILD, [read_want("removable:node0")])
    assert advice.refusal is not None
    assert advice.refusal.proved
    assert advice.refusal.immovable
    assert all(own.owner.kind.mover is Mover.NOBODY and own.nid == 0 for own in advice.refusal.immovable)


def test_what_it_costs_elsewhere() -> None:
    own = machine("kernelcore=60%", nodes=3)
    advice = advise(own, BUILD, [read_want("crashkernel>=1000M")])
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


# -- the smallest, by brute force --------------------------------------------------------------------------------------

Change = tuple[Hand, tuple[tuple[str, str], ...]]


def every_change(own: Machine) -> list[Change]:
    """Changes as somebody might think of them, who looks at the machine and not at its plan."""
    found: list[Change] = [
        (Hand.OPTION, ((name, "off"),)) for name in ("mem", "kernelcore", "cma") if name in own.cmdline
    ]
    found += [
        (Hand.OPTION, (("movable_node", "off" if "movable_node" in own.cmdline else "on"),)),
        (Hand.OPTION, (("crashkernel", "700M"),)),
        (Hand.OPTION, (("numa", "off"),)),
        (Hand.OPTION, (("nokaslr", "on"), ("kernel.load_address", ""), ("kernel.randomized", "false"))),
    ]
    if own.initrd is not None:
        found += [(Hand.LOADER, (("initrd.start", hex(place)),)) for place in (300 * MIB, 900 * MIB)]
    if own.srat is not None:
        marks = [i for i, entry in enumerate(own.srat.memory) if entry.pxm and not entry.hotplug]
        found += [(Hand.FIRMWARE, tuple((f"srat.memory[{i}].hotplug", "true") for i in marks))] if marks else []
    found += [(Hand.FIRMWARE, (("acpi.tables[0].address", hex(1020 * MIB)),))]
    return found


def weight(changes: Sequence[Hand]) -> tuple[int, list[Hand]]:
    """Fewer before more, and of as many those whose most invasive is less so."""
    return len(changes), sorted(changes, reverse=True)


def smallest(own: Machine, wants: Sequence[Want]) -> tuple[int, list[Hand]] | None:
    """The weight of the smallest of all sets of up to three changes; None where none gives what is wanted."""
    nodes = {want: want.nodes(memplan.simulate(own, kernel=BUILD)) for want in wants}
    universe = every_change(own)
    sets = [chosen for count in range(4) for chosen in combinations(universe, count)]
    for chosen in sorted(sets, key=lambda some: weight([hand for hand, _ in some])):
        names = [name for _, settings in chosen for name, _ in settings]
        if len(names) > len(set(names)):
            continue
        plan = memplan.simulate(changed(own, [one for _, settings in chosen for one in settings]), kernel=BUILD)
        movable = {nid for nid, _, _ in plan.movable}
        if all(want.is_met(plan) and nodes[want] <= movable for want in wants):
            return weight([hand for hand, _ in chosen])
    return None


def with_initrd(own: Machine, start: int) -> Machine:
    return own._replace(initrd=Initrd(start, 20 * MIB))


def with_table(own: Machine, address: int) -> Machine:
    return own._replace(acpi=own.acpi._replace(tables=(AcpiTable("SRAT", address, 0x300),)))


def with_image(own: Machine, address: int) -> Machine:
    return own._replace(kernel=own.kernel._replace(load_address=address, randomized=True))


@pytest.mark.parametrize(
    ("own", "wishes"),
    [
        (machine("movable_node", nodes=2), ["removable:node1"]),
        (machine("", nodes=2), ["removable:all", "crashkernel>=300M"]),
        (machine("", nodes=2, hot=False), ["removable:all"]),
        (machine("", nodes=3, hot=False), ["removable:node2"]),
        (with_initrd(machine("", nodes=2), GIB + 64 * MIB), ["removable:all"]),
        (with_table(machine("movable_node", nodes=2), 2 * GIB - 0x8000), ["removable:all"]),
        (with_table(with_initrd(machine("movable_node", nodes=2), GIB + MIB), 2 * GIB - 0x8000), ["removable:node1"]),
        (with_image(machine("movable_node", nodes=2), GIB + 64 * MIB), ["removable:all"]),
        (with_image(machine("", nodes=2), GIB + 64 * MIB), ["removable:all", "boots"]),
        (machine("movable_node", nodes=3), ["crashkernel>=700M"]),
        (with_initrd(machine("movable_node", nodes=2), 400 * MIB), ["crashkernel>=700M", "removable:node1"]),
        (machine("mem=1G movable_node", nodes=2), ["removable:node1"]),
        (machine("kernelcore=100%", nodes=2, hot=False), ["removable:node1"]),
    ],
)
def test_no_smaller_change_does_it(own: Machine, wishes: list[str]) -> None:
    wants = [read_want(text) for text in wishes]
    advice = advise(own, BUILD, wants)
    least = smallest(own, wants)
    assert least is not None
    assert advice.refusal is None
    assert weight([step.hand for step in advice.steps]) <= least
    plan = memplan.simulate(advice.machine, kernel=BUILD)
    assert all(want.is_met(plan) for want in wants)
    assert not overlaps(advice.machine, BUILD) - overlaps(own, BUILD)


def test_what_nothing_gives_brute_force_does_not_find_either() -> None:
    own = machine("movable_node", nodes=2)
    for wishes in (
        ["removable:node0"],
        ["crashkernel>=3G"],
        ["removable:node1", "crashkernel>=1000M"],
        ["removable:5"],
    ):
        wants = [read_want(text) for text in wishes]
        assert advise(own, BUILD, wants).refusal is not None
        assert smallest(own, wants) is None


# -- what is whole, and what is proved ---------------------------------------------------------------------------------


def test_nothing_is_put_where_something_lies() -> None:
    """A table of which only the place is known takes a page all the same."""
    own = load_machine(EXAMPLES / "blocked-by-acpi.yaml")
    kernel = find_kernel(own.kernel.build)
    advice = advise(own, kernel, [read_want("removable:all")])
    assert any(table.length == 0 for table in own.acpi.tables)
    assert not overlaps(advice.machine, kernel)
    assert overlaps(changed(advice.machine, (("initrd.start", hex(advice.machine.acpi.tables[5].address)),)), kernel)


def test_memory_blocks_that_are_too_large_are_made_smaller() -> None:
    own = machine("movable_node", nodes=3)
    assert own.srat is not None
    sizes = [(0, 63 * GIB + 512 * MIB), (63 * GIB + 512 * MIB, 65 * GIB), (65 * GIB, 66 * GIB)]
    memory = tuple(MemoryAffinity(nid, low, high - low, True, nid == 1) for nid, (low, high) in enumerate(sizes))
    own = own._replace(
        e820=(E820Entry(0, 0x9FC00, 1), E820Entry(MIB, 3 * GIB, 1), E820Entry(4 * GIB, 66 * GIB, 1)),
        srat=own.srat._replace(memory=memory),
        cpus=own.cpus._replace(hypervisor=True),
    )
    advice = advise(own, BUILD, [read_want("removable:node1")])
    assert [step.settings for step in advice.steps] == [(("mem", "67456M"),)]
    assert advice.cost is not None
    assert advice.cost.lost_ram == 128 * MIB
    assert memplan.simulate(own, kernel=BUILD).block_size > memplan.simulate(advice.machine, kernel=BUILD).block_size


def test_wishes_that_contradict_each_other() -> None:
    wants = [read_want("removable:all"), read_want("crashkernel>=1000M")]
    advice = advise(machine("movable_node"), BUILD, wants)
    assert advice.refusal is not None
    assert advice.refusal.apart
    assert all(advise(machine("movable_node"), BUILD, [want]).refusal is None for want in wants)
    hopeless = advise(machine("movable_node"), BUILD, [wants[0], read_want("crashkernel>=9G")])
    assert hopeless.refusal is not None
    assert not hopeless.refusal.apart


def test_no_ram_is_large_enough() -> None:
    advice = advise(machine("movable_node"), BUILD, [read_want("crashkernel>=3G")])
    assert advice.refusal is not None
    assert advice.refusal.proved
    assert "the largest stretch of RAM has 3071 MiB" in advice.refusal.reasons[0]


def test_parts_of_nodes_where_whole_ones_can_not_be_had() -> None:
    """Without an SRAT there is nothing to mark; a size gives parts of the nodes that numa=fake= makes."""
    own = machine("numa=fake=4")._replace(srat=None)
    assert memplan.simulate(own, kernel=BUILD).nodes[3].memory
    advice = advise(own, BUILD, [read_want("removable:node3")])
    assert [step.settings[0][0] for step in advice.steps] == ["kernelcore"]
    assert read_want("removable:node3").is_met(memplan.simulate(advice.machine, kernel=BUILD))


def test_several_wishes_take_the_steps_of_each() -> None:
    own = with_table(with_initrd(machine("", hot=False), GIB + 64 * MIB), 2 * GIB - 0x8000)
    found = hands(own, "removable:all", "crashkernel>=300M")
    assert sorted(found) == [Hand.OPTION, Hand.OPTION, Hand.LOADER, Hand.FIRMWARE, Hand.FIRMWARE]


def test_nodes_that_there_are_not() -> None:
    advice = advise(machine("movable_node"), BUILD, [read_want("removable:node9")])
    assert advice.refusal is not None
    assert advice.refusal.reasons == ("there is no node 9 with memory",)
    assert (advice.refusal.proved, advice.refusal.tried_all) == (False, True)


def test_nodes_that_options_hide() -> None:
    for cmdline, step in (("movable_node numa=off", ("numa", "on")), ("movable_node mem=900M", ("mem", "off"))):
        advice = advise(machine(cmdline), BUILD, [read_want("removable:node2")])
        assert [own.settings for own in advice.steps] == [(step,)]


def test_a_boot_that_dies() -> None:
    own = machine("mem=20M movable_node")
    assert not memplan.simulate(own, kernel=BUILD).end.completed
    assert hands(own, "boots") == [Hand.OPTION]


def test_a_version_in_which_marks_make_no_zone() -> None:
    kernel = kernel_of("3.13")
    advice = advise(machine("movable_node"), kernel, [read_want("removable:all")])
    assert [step.settings[0][0] for step in advice.steps] == ["kernelcore"]
    assert read_want("removable:all").is_met(memplan.simulate(advice.machine, kernel=kernel))


def test_firmware_s_other_tables_and_the_loader_s_data() -> None:
    own = machine("movable_node")
    efi = Efi(memmap=Extent(GIB + 0x5000, 0x1000), reserved=(EfiReserved(GIB + 0x8000, 0x100, "a table"),))
    assert hands(own._replace(efi=efi), "removable:all") == [Hand.FIRMWARE]
    assert hands(own._replace(setup_data=(SetupData(GIB + 0x9000, 100),)), "removable:all") == [Hand.LOADER]


def test_an_mp_table_above_the_first_megabyte_is_firmware_s() -> None:
    own = machine("movable_node")
    own = own._replace(bios=own.bios._replace(mp_table=MpTable(0xF5000, GIB + 0x9000, 200)))
    assert hands(own, "removable:all") == [Hand.FIRMWARE]


def test_boot_services_of_efi_go_into_free_memory_that_stays() -> None:
    """The map still says of each byte what it is, once; nothing else is put where boot services lie now."""
    own = machine("movable_node", nodes=2)
    low, services, high = (MIB, GIB - 16 * MIB), GIB + 64 * MIB, 2 * GIB
    own = own._replace(
        efi=Efi(
            memmap=Extent(0x9000, 0x1000),
            descriptors=(
                EfiRange(0, 0x9F000, 7),
                EfiRange(*low, 7),
                EfiRange(low[1], GIB, 2),
                EfiRange(GIB, services, 7),
                EfiRange(services, services + MIB, 4),
                EfiRange(services + MIB, services + 2 * MIB, 3),
                EfiRange(services + 2 * MIB, high, 7),
            ),
        )
    )
    assert hands(own, "removable:node1") == [Hand.FIRMWARE]
    advice = advise(own, BUILD, [read_want("removable:node1")])
    assert own.efi is not None
    assert advice.machine.efi is not None
    before, after = (sorted(efi.descriptors) for efi in (own.efi, advice.machine.efi))
    assert sum(md.end - md.start for md in after) == sum(md.end - md.start for md in before)
    assert all(one.end <= other.start for one, other in pairwise(after))
    (moved,) = (md for md in after if md.type == 4)
    assert (moved.start, moved.end) == (low[1] - 2 * MIB, low[1])
    assert not any(md.type == 3 for md in after)
    # With the initrd in the way too, neither lies on the other.
    both = with_initrd(own, GIB + 128 * MIB)
    assert hands(both, "removable:node1") == [Hand.LOADER, Hand.FIRMWARE]
    found = advise(both, BUILD, [read_want("removable:node1")]).machine
    assert found.initrd is not None
    assert found.efi is not None
    start, end = found.initrd.start, found.initrd.start + found.initrd.size
    assert all(md.end <= start or md.start >= end for md in found.efi.descriptors if md.type in (3, 4))


def test_a_node_without_a_whole_memory_block_is_proved_to_stay() -> None:
    own = machine("movable_node", nodes=2)
    assert own.srat is not None
    first = (0, GIB + 70 * MIB)
    sizes = [first, (first[1], GIB + 250 * MIB), (GIB + 250 * MIB, 2 * GIB)]
    memory = tuple(MemoryAffinity(nid, low, high - low, True, nid > 0) for nid, (low, high) in enumerate(sizes))
    own = own._replace(srat=own.srat._replace(memory=memory))
    advice = advise(own, BUILD, [read_want("removable:all")])
    assert advice.refusal is not None
    assert advice.refusal.proved
    assert advice.refusal.reasons == ("node 1: no memory block lies wholly in its RAM, and none is smaller than 128M",)
    assert hands(own, "removable:node2") == []
    # That an option hides RAM proves nothing.
    less = machine(f"movable_node mem={1024 + 64}M", nodes=2)
    assert hands(less, "removable:node1") == [Hand.OPTION]


def test_the_reasons_are_those_of_the_change_that_comes_nearest() -> None:
    """Of fake nodes only those can be marked that are no part of the kernel's own domain."""
    own = load_machine(EXAMPLES / "many-cpus.yaml")
    own = own._replace(cmdline=f"{own.cmdline} numa=fake=2U".replace("movable_node", ""))
    kernel = find_kernel(own.kernel.build)
    refusal = advise(own, kernel, [read_want("removable:all")]).refusal
    assert refusal is not None
    assert refusal.reasons
    assert not any("no boot option asks for ZONE_MOVABLE" in reason for reason in refusal.reasons)


@pytest.mark.parametrize(
    ("name", "wishes", "kernel"),
    [
        ("annotated.yaml", ["removable:all", "crashkernel>=512M"], None),
        ("blocked-by-acpi.yaml", ["removable:all", "crashkernel>=512M"], "6.12"),
        ("from-a-4.10-log.yaml", ["removable:all"], None),
        ("many-cpus.yaml", ["removable:node1"], None),
        ("hotplug-nodes-3.13.yaml", ["removable:all"], None),
        ("hotplug-nodes.yaml", ["crashkernel>=6G"], "6.1"),
    ],
)
def test_what_is_written_gives_what_was_promised(
    name: str, wishes: list[str], kernel: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "better.yaml"

    def run(*words: str) -> Any:
        with pytest.raises(SystemExit) as left:
            main((*words, "-f", "json"))
        assert not left.value.code
        return json.loads(capsys.readouterr().out)

    wanted = [word for wish in wishes for word in ("--want", wish)]
    others = ["--kernel", kernel] if kernel is not None else []
    found = run("advise", str(EXAMPLES / name), *wanted, *others, "--apply", str(out))
    promised = run(*shlex.split(found["simulate"])[1:])
    written = run("simulate", str(out))
    assert written["movable"] == promised["movable"]
    assert written["reservations"] == promised["reservations"]
    assert run("advise", str(out), *wanted)["steps"] == []


@pytest.mark.parametrize("wishes", [["removable:node1"], ["removable:all", "crashkernel>=9G"]])
def test_every_plan_is_told_of_before_it_is_made(wishes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[float | None, int]] = []
    made: list[str] = []

    def counted(own: Machine, kernel: Kernel) -> Plan:
        made.append(own.cmdline)
        assert len(made) <= len(heard)
        return replay(own, kernel)

    monkeypatch.setattr("memplan.advise.search.replay", counted)
    wants = [read_want(wish) for wish in wishes]
    advise(machine("", nodes=3), BUILD, wants, lambda share, plans: heard.append((share, plans)))
    assert heard == [(None, number) for number in range(len(heard))]
    assert len(made) > 1
