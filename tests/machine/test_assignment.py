"""What-ifs: a changed key gives the machine of the edited description, whatever form the description has."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from memplan.errors import InputError, UsageError
from memplan.machine.assignment import Assignment
from memplan.machine.dump import dump_machine
from memplan.machine.load import changed, load_machine, parse_machine
from memplan.machine.model import CpuAffinity, E820Entry, Initrd, Machine, MemoryAffinity
from tests.machine.machines import MACHINES

GIB = 1 << 30
_SLOW = settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=50)
FIELDS = """\
kernel: {build: "6.12", overrides: {struct.page: 64}}
cmdline: movable_node
e820:
- {start: 0, end: 0x9fbff}
- {start: 1M, size: 3G}
- {start: 4G, size: 8G}
srat:
  memory:
  - {pxm: 0, base: 0, length: 4G}
  - {pxm: 1, base: 4G, length: 8G}
  cpus:
  - {apic_id: 0, pxm: 0}
cpus: {present: 4}
"""
LINES = """\
kernel: 6.12
cmdline: movable_node
e820: |

  BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable
  BIOS-e820: [mem 0x0000000000100000-0x00000000c00fffff] usable

  BIOS-e820: [mem 0x0000000100000000-0x00000002ffffffff] usable
srat:
- ACPI: SRAT: Node 0 PXM 0 [mem 0x00000000-0xffffffff]
- SRAT: PXM 0 -> APIC 0x00 -> Node 0
- ACPI: SRAT: Node 1 PXM 1 [mem 0x100000000-0x2ffffffff]
cpus: {present: 4}
"""


def what_if(text: str, *changes: str) -> Machine:
    return parse_machine(text, "m.yaml", [Assignment.parse(own) for own in changes])


def problems(text: str, *changes: str) -> str:
    with pytest.raises(InputError) as raised:
        what_if(text, *changes)
    return str(raised.value)


@pytest.mark.parametrize("text", [FIELDS, LINES])
def test_every_form_can_be_changed(text: str) -> None:
    base = what_if(text)
    assert what_if(text, "cmdline=quiet mem=4G").cmdline == "quiet mem=4G"
    assert what_if(text, "cmdline=").cmdline == ""
    assert what_if(text, "initrd={start: 2G, size: 64M}").initrd == Initrd(2 * GIB, 64 << 20)
    assert what_if(text, "initrd.start=2G", "initrd.size=1M").initrd == Initrd(2 * GIB, 1 << 20)
    assert what_if(text, "cpus.possible=8").cpus._replace(possible=4) == base.cpus
    assert what_if(text, "cpus.present=8").cpus.possible == 8
    assert what_if(text, "srat=").srat is None
    assert what_if(text, "kernel.load_address=16M").kernel.load_address == 16 << 20
    assert what_if(text, "kernel=6.1").kernel.build == "6.1"
    assert dict(what_if(text, "kernel.overrides.struct.page=72").kernel.overrides) == {"struct.page": 72}
    srat = what_if(text, "srat.memory[1].hotplug=true", "srat.cpus[0].apic_id=7").srat
    assert srat is not None
    assert srat.memory == (MemoryAffinity(0, 0, 4 * GIB), MemoryAffinity(1, 4 * GIB, 8 * GIB, hotplug=True))
    assert srat.cpus == (CpuAffinity(7, 0),)
    assert what_if(text, "e820[2].type=reserved").e820[2] == E820Entry(4 * GIB, 12 * GIB, 2)
    assert what_if(text, "e820[2].end=8G").e820[2] == E820Entry(4 * GIB, 8 * GIB, 1)
    assert what_if(text, "e820[1].length=1G").e820[1] == E820Entry(1 << 20, GIB + (1 << 20), 1)
    assert what_if(text, "e820[1].address=2M").e820[1].start == 2 << 20
    assert what_if(text, "e820[1]=").e820 == (base.e820[0], base.e820[2])
    assert what_if(text, "e820[3]={start: 16G, size: 1G}").e820 == (*base.e820, E820Entry(16 * GIB, 17 * GIB, 1))
    line = "BIOS-e820: [mem 0x0000000000000000-0x000000000009ffff] usable"
    assert what_if(text, f"e820[0]={line}").e820[0].end == 0xA0000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("initrd.start=x", "--set initrd.start=x: initrd.start: found 'x', expected an address"),
        ("initrd.start=1G", "--set initrd.start=1G: initrd: expected either end or size, found neither"),
        ("initrd.begin=1G", "--set initrd.begin=1G: unknown key begin, expected one of start, size, end (did you mean"),
        ("acpi.srat=1", "--set acpi.srat=1: unknown key srat, expected one of rsdp, tables"),
        ("e820[7].type=2", "--set e820[7].type=2: there are 3 entries, so the next one is [3]"),
        ("e820.type=2", "--set e820.type=2: there is no mapping to change a key of"),
        ("cmdline.x=2", "--set cmdline.x=2: the description has no such key; this may be text"),
        ("e820=[", "--set e820=[:1:1: not YAML: this [ is not closed"),
        ("cmdline=mem=4X", "--set cmdline=mem=4X: cmdline: the boot option mem=4X has a bad value"),
        ("kernel=linus", "--set kernel=linus: kernel: found 'linus', expected a kernel that memplan knows"),
        ("cpus.possible=2", "m.yaml:13:17: cpus.present: 4 CPUs are present, but only 2 possible"),
    ],
)
def test_a_wrong_change_is_told_where_it_was_given(change: str, message: str) -> None:
    assert problems(FIELDS, change).startswith(message)


@pytest.mark.parametrize("text", ["", "=1", "x", "a..b=1", "[0]=1", "a[x]=1", "a.=1"])
def test_what_is_no_change_is_an_error_of_usage(text: str) -> None:
    with pytest.raises(UsageError, match="expected KEY=VALUE"):
        Assignment.parse(text)


@_SLOW
@given(MACHINES)
def test_a_machine_changed_to_what_it_is_stays_equal(machine: Machine) -> None:
    limit = Assignment.parse(f"mtrr_limit={machine.mtrr_limit:#x}")
    made = parse_machine(dump_machine(machine), "dump", [limit])
    assert made == machine
    assert changed(machine, [limit]) == machine


@_SLOW
@given(MACHINES)
def test_machines_can_be_pickled(machine: Machine) -> None:
    assert pickle.loads(pickle.dumps(machine)) == machine
    again = pickle.loads(pickle.dumps(parse_machine(dump_machine(machine), "dump")))
    assert again == machine
    assert dict(again.places) == dict(parse_machine(dump_machine(machine), "dump").places)


def test_values_keep_their_places(tmp_path: Path) -> None:
    for text, expected in (
        (FIELDS, {"e820[1]": (5, 3), "srat.memory[1]": (10, 5), "srat.memory[1].base": (10, 20), "cpus": (13, 7)}),
        (LINES, {"e820[1]": (6, 1), "srat.memory[1]": (12, 3), "srat.cpus[0]": (11, 3), "cmdline": (2, 10)}),
    ):
        (tmp_path / "m.yaml").write_text(text)
        places = load_machine(tmp_path / "m.yaml").places
        assert {path: places[path][1:3] for path in expected} == expected
        assert {place.file for place in places.values()} == {str(tmp_path / "m.yaml")}
        assert places.nearest("e820[2].no.such") == places["e820[2]"]
    places = what_if(FIELDS, "e820[1].size=2G").places
    assert places["e820[1].size"][:2] == ("--set e820[1].size=2G", 0)
    assert places["e820[2]"][:3] == ("m.yaml", 6, 3)


def test_machines_are_changed_from_python() -> None:
    machine = what_if(FIELDS)
    assert machine.with_initrd(2 * GIB, 4096).initrd == Initrd(2 * GIB, 4096)
    assert machine.with_options("mem=4G", "quiet").cmdline == "movable_node mem=4G quiet"
    assert machine.with_options().cmdline == "movable_node"
    srat = machine.replace({"srat.memory[1].hotplug": True, "cpus.present": 2}).srat
    assert srat is not None
    assert srat.memory[1].hotplug
    assert machine.replace({"e820": machine.e820[:2], "srat": None}).e820 == machine.e820[:2]
    assert machine.replace({"initrd": Initrd(GIB, 4096)}).initrd == Initrd(GIB, 4096)
    assert machine.replace({"kernel.overrides": {"struct.page": 72}}).kernel.overrides["struct.page"] == 72
    assert machine.replace({}) == machine
    assert machine.with_initrd(GIB, 1).places["e820[1]"] == machine.places["e820[1]"]
    for change in ({"mtrr_limit": -1}, {"initrd": "x"}, {"cmdline": "mem=4X"}, {"nonsense": 1}, {"e820[9]": None}):
        with pytest.raises(InputError):
            machine.replace(change)
    with pytest.raises(InputError, match=r"found 'movable_node quiet .*, expected text of at most 2047 characters"):
        machine.with_options("quiet " * 400)
    with pytest.raises(InputError, match="mem=4X has a bad value"):
        machine.with_options("mem=4X")
