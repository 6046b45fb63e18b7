"""Descriptions in every form that is allowed, and what is said of those that are wrong."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from pydantic_core import SchemaValidator

from memplan import load_machine
from memplan.errors import InputError
from memplan.machine.kinds import leaf
from memplan.machine.load import parse_machine
from memplan.machine.model import CpuAffinity, E820Entry, Machine, MemoryAffinity
from memplan.machine.schema import machine_schema

_BAD = Path(__file__).parent / "bad"
_EXAMPLES = Path(__file__).parents[2] / "examples"
_GIB = 1 << 30


def _machine(text: str) -> Machine:
    return parse_machine(text, "test.yaml")


# One file for each kind of mistake, and beside it what is said of it.
@pytest.mark.parametrize("path", sorted(_BAD.glob("*.yaml")), ids=lambda path: path.stem)
def test_mistakes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(_BAD)
    monkeypatch.setattr("memplan.kernel.shipped.kernel_names", lambda: ["5.10", "6.12"])
    with pytest.raises(InputError) as error:
        load_machine(path.name)
    assert str(error.value) + "\n" == path.with_suffix(".txt").read_text(encoding="utf-8")


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is a directory, expected a machine description"):
        load_machine(tmp_path)
    with pytest.raises(InputError, match=r"missing\.yaml: can't be read: No such file"):
        load_machine(tmp_path / "missing.yaml")
    with pytest.raises(InputError, match=r"is a character device"):
        load_machine("/dev/zero")
    with pytest.raises(InputError, match=r"can't be read"):
        load_machine("a\0b")


def test_a_file_without_end(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    with path.open("wb") as file:
        file.truncate(1 << 31)
    with pytest.raises(InputError, match="is longer than 32 MiB"):
        load_machine(path)


def test_many_problems_are_cut_short() -> None:
    with pytest.raises(InputError) as error:
        _machine("e820:\n" + "- rubbish\n" * 5000)
    assert len(error.value.problems) == 101
    assert str(error.value).endswith("and 4900 more problems of this file")


def test_five_lines_are_enough() -> None:
    machine = _machine(
        "e820:\n"
        "- BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable\n"
        "- BIOS-e820: [mem 0x000000000009fc00-0x000000000009ffff] reserved\n"
        "- BIOS-e820: [mem 0x0000000000100000-0x00000000bffdffff] usable\n"
        "cmdline: movable_node\n"
    )
    assert machine.e820 == (
        E820Entry(0, 0x9FC00, 1),
        E820Entry(0x9FC00, 0xA0000, 2),
        E820Entry(0x100000, 0xBFFE0000, 1),
    )
    assert machine == Machine(e820=machine.e820, cmdline="movable_node")


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        ("{start: 0x100000, end: 0xbffdffff, type: usable}", E820Entry(0x100000, 0xBFFE0000, 1)),
        ("{start: 1M, end: 0xbffe0000}", E820Entry(0x100000, 0xBFFE0000, 1)),
        ("{start: 4G, size: 2g, type: reserved}", E820Entry(4 * _GIB, 6 * _GIB, 2)),
        ("{start: 1048576, size: 0x1000, type: ACPI NVS}", E820Entry(0x100000, 0x101000, 4)),
        ("{start: 0, size: 0, type: 7}", E820Entry(0, 0, 7)),
        ("{start: 0, size: 1T, type: type 20}", E820Entry(0, 1 << 40, 20)),
        ("{start: 0, size: 1P, type: pram}", E820Entry(0, 1 << 50, 12)),
        ("{start: 0, size: 1E, type: soft reserved}", E820Entry(0, 1 << 60, 0xEFFFFFFF)),
        ("{start: 0, end: 0xffffffffffffffff}", E820Entry(0, 1 << 64, 1)),
        ('"[mem 0x100000000-0x1ffffffff] ACPI data"', E820Entry(4 * _GIB, 8 * _GIB, 3)),
        ("[mem 0x100000000-0x1ffffffff] unusable", E820Entry(4 * _GIB, 8 * _GIB, 5)),
        ("[mem 0x100000000-0x1ffffffff] persistent (type 7)  # a DIMM", E820Entry(4 * _GIB, 8 * _GIB, 7)),
        ("[mem 0x100000000-0x1ffffffff] persistent (type 12)", E820Entry(4 * _GIB, 8 * _GIB, 12)),
        ("[mem 0x100000000-0x1ffffffff] type 9", E820Entry(4 * _GIB, 8 * _GIB, 9)),
        ("[mem 0x0000000000001000-0x0000000000000fff] reserved", E820Entry(0x1000, 0x1000, 2)),
        ("[    0.000000] BIOS-e820: [mem 0x0000-0x9fbff] usable", E820Entry(0, 0x9FC00, 1)),
        ("Jan  1 00:00:01 host kernel: BIOS-e820: [mem 0x0000-0x9fbff] usable", E820Entry(0, 0x9FC00, 1)),
        (" BIOS-e820: 0000000000100000 - 00000000bffe0000 (usable)", E820Entry(0x100000, 0xBFFE0000, 1)),
    ],
)
def test_e820_entries(line: str, entry: E820Entry) -> None:
    assert _machine(f"e820:\n- {line}\n").e820 == (entry,)


@pytest.mark.parametrize("head", ["e820:\n", "e820: |\n"])
@pytest.mark.parametrize("stamp", ["", "[    0.000000] "])
def test_lines_pasted_as_they_are(head: str, stamp: str) -> None:
    text = (
        f"{head}  {stamp}BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable\n"
        f"  {stamp}BIOS-e820: [mem 0x0000000000100000-0x00000000bffdffff] usable\n"
        "cmdline: quiet\n"
    )
    assert _machine(text).e820 == (E820Entry(0, 0x9FC00, 1), E820Entry(0x100000, 0xBFFE0000, 1))


_SRAT_LINES = (
    "{0}[    0.005] ACPI: SRAT: Node 0 PXM 0 [mem 0x00000000-0x0009ffff]\n"
    "{0}ACPI: SRAT: Node 1 PXM 3 [mem 0x140000000-0x23fffffff] hotplug\n"
    "{0}SRAT: Node 2 PXM 4 [mem 0x240000000-0x33fffffff] hotplug non-volatile\n"
    "{0}SRAT: PXM 0 -> APIC 0x00 -> Node 0\n"
    "{0}SRAT: PXM 3 -> APIC 0x0102 -> Node 1\n"
)


@pytest.mark.parametrize("text", ["srat:\n" + _SRAT_LINES.format("- "), "srat: |\n" + _SRAT_LINES.format("  ")])
def test_srat_of_lines(text: str) -> None:
    srat = _machine("e820: []\n" + text).srat
    assert srat is not None
    assert srat.memory == (
        MemoryAffinity(0, 0, 0xA0000),
        MemoryAffinity(3, 0x140000000, 4 * _GIB, hotplug=True),
        MemoryAffinity(4, 0x240000000, 4 * _GIB, hotplug=True, nonvolatile=True),
    )
    assert srat.cpus == (CpuAffinity(0, 0), CpuAffinity(0x102, 3, x2apic=True))


def test_srat_of_fields_and_lines() -> None:
    srat = _machine(
        "e820: []\n"
        "srat:\n"
        "  revision: 1\n"
        "  memory:\n"
        "  - {pxm: 0, base: 0, length: 4G, enabled: no}\n"
        "  - {pxm: 1, base: 4G, end: 0x1ffffffff}\n"
        "  - 'SRAT: Node 1 PXM 2 [mem 0x200000000-0x2ffffffff]'\n"
        "  cpus:\n"
        "  - SRAT: PXM 2 -> APIC 0x10 -> Node 1\n"
        "  generic_initiators: [5]\n"
    ).srat
    assert srat is not None
    assert srat.revision == 1
    assert srat.memory == (
        MemoryAffinity(0, 0, 4 * _GIB, enabled=False),
        MemoryAffinity(1, 4 * _GIB, 4 * _GIB),
        MemoryAffinity(2, 8 * _GIB, 4 * _GIB),
    )
    assert srat.cpus == (CpuAffinity(0x10, 2),)
    assert srat.generic_initiators == (5,)


def test_a_kernel_by_its_name_alone() -> None:
    assert _machine("e820: []\nkernel: 5.10\n").kernel.build == "5.10"
    assert _machine("e820: []\nkernel: ./own.yaml\n").kernel.build == "./own.yaml"


def test_facts_keep_their_kind() -> None:
    overrides = _machine(
        "e820: []\nkernel: {overrides: {struct.page: 0x40, config.NUMA: yes, config.NODES_SHIFT: 1}}\n"
    ).kernel.overrides
    assert overrides == {"struct.page": 64, "config.NUMA": True, "config.NODES_SHIFT": 1}
    assert [type(value) for value in overrides.values()] == [int, bool, int]


@pytest.mark.parametrize(
    ("fact", "column", "message"),
    [
        ("config.NODES_SHIFT: 11", 35, "the fact config.NODES_SHIFT should be a number from 0 to 10, found 11"),
        ("struct.page: true", 28, "the fact struct.page should be a number from 8 to 1024, a multiple of 8, found"),
        ("struct.pagee: 64", 29, "a kernel has no fact 'struct.pagee'; did you mean struct.page"),
    ],
)
def test_a_wrong_fact_is_told_with_its_place(fact: str, column: int, message: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_machine(f"e820: []\nkernel:\n  overrides: {{{fact}}}\n", "m.yaml")
    (told,) = str(raised.value).splitlines()
    assert told.startswith(f"m.yaml:3:{column}: kernel.overrides.{fact.partition(':')[0]}: {message}")


def test_empty_values_count_as_not_given() -> None:
    assert _machine("e820: []\ncmdline:\nsrat:\nefi: ~\n") == Machine(e820=())


def test_one_number_of_cpus_stands_for_both() -> None:
    machine = _machine("e820: []\ncpus: {present: 4}\n")
    assert (machine.cpus.possible, machine.cpus.present) == (4, 4)
    machine = _machine("e820: []\ncpus: {possible: 8}\n")
    assert (machine.cpus.possible, machine.cpus.present) == (8, 8)


@pytest.mark.parametrize(
    "cmdline",
    [
        "mem=3G memmap=512M$0x40000000 memmap=1G!5G memmap=exactmap memmap=64K#1M,4K@0 memmap=4G%0-1+2",
        "crashkernel=512M,high crashkernel=64M,low crashkernel=1G-4G:128M,4G-:256M crashkernel=128M@256M",
        "crashkernel=auto kernelcore=30% kernelcore=mirror movablecore=6G mem=nopentium nr_cpus=4 maxcpus=0",
        "hugepagesz=1G hugepages=4 hugepages=0:1,1:2 hugetlb_cma=0:1G,1:2G cma=256M@1G-4G log_buf_len=16M",
        "swiotlb=noforce swiotlb=65536 swiotlb=65536,4,force reservelow=64K numa=fake=4 -- mem=lots",
    ],
)
def test_good_options(cmdline: str) -> None:
    assert _machine(f"e820: []\ncmdline: '{cmdline}'\n").cmdline == cmdline


@pytest.mark.parametrize("path", sorted(_EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_examples(path: Path) -> None:
    assert load_machine(path).e820
    jsonschema.validate(yaml.safe_load(path.read_text(encoding="utf-8")), machine_schema())


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(machine_schema())


def test_the_command_prints_the_schema() -> None:
    from click.testing import CliRunner

    from memplan.cli.schema import command

    result = CliRunner().invoke(command)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == machine_schema()


def test_lines_of_any_length_are_read_in_no_time() -> None:
    with pytest.raises(InputError, match="not YAML"):
        _machine("e820: [\n- " + "[ 0.0] BIOS-e820 " * 100_000)
    with pytest.raises(InputError, match="text of at most 2047 characters"):
        _machine("e820: []\ncmdline: " + "mem=x " * 400_000)


def test_the_annotated_example_shows_every_key() -> None:
    text = (_EXAMPLES / "annotated.yaml").read_text(encoding="utf-8")

    def keys(schema: dict[str, object]) -> set[str]:
        found: set[str] = set()
        for name, value in schema.items():
            if name == "properties" and isinstance(value, dict):
                found |= set(value)
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, dict):
                    found |= keys(part)
        return found - {"properties", "description"}

    missing = {key for key in keys(machine_schema()) if f"{key}:" not in text}
    assert not missing


def test_bad_values_with_which_a_kernel_has_booted_are_left_to_it() -> None:
    text = "e820: [{start: 0, end: 1G}]\ncmdline: crashkernel=foo\n"
    with pytest.raises(InputError, match="crashkernel=foo has a bad value"):
        parse_machine(text, "m.yaml")
    assert parse_machine(f"booted: true\n{text}", "m.yaml").cmdline == "crashkernel=foo"


def test_an_interrupt_while_a_value_is_read_is_no_wrong_value() -> None:
    def interrupted(_: str) -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SchemaValidator(leaf(interrupted, {}, "a number").core()).validate_python("1")
