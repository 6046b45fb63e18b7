"""What is written is what is read."""

from __future__ import annotations

from typing import Any, get_args

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memplan.errors import InputError, Problem
from memplan.machine.dump import dump_machine
from memplan.machine.kinds import Section
from memplan.machine.load import parse_machine
from memplan.machine.model import Acpi, AcpiTable, Cpus, E820Entry, Machine, MemoryAffinity, Srat
from memplan.machine.schema import MACHINE, machine_schema
from tests.machine.machines import MACHINES

_SLOW = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)


@_SLOW
@given(MACHINES)
def test_a_written_machine_reads_back_equal(machine: Machine) -> None:
    text = dump_machine(machine)
    assert parse_machine(text, "dump") == machine
    assert dump_machine(parse_machine(text.encode(), "dump")) == text


@_SLOW
@given(MACHINES, st.dictionaries(st.sampled_from(["e820", "cpus.possible", "acpi.tables", "bios", "efi"]), st.text()))
def test_comments_change_nothing(machine: Machine, comments: dict[str, str]) -> None:
    assert parse_machine(dump_machine(machine, comments), "dump") == machine


@settings(_SLOW, max_examples=20)
@given(MACHINES)
def test_a_written_machine_fits_the_json_schema(machine: Machine) -> None:
    jsonschema.validate(yaml.safe_load(dump_machine(machine)), machine_schema())


def test_defaults_are_left_out_and_remarks_written_beside() -> None:
    machine = Machine(
        e820=(E820Entry(0, 0x9FC00, 1), E820Entry(0x100000, 0xBFFE0000, 1)),
        cmdline='movable_node dyndbg="a b"',
        srat=Srat(memory=(MemoryAffinity(1, 4 << 30, 2 << 30, hotplug=True),)),
        acpi=Acpi(tables=(AcpiTable("FACP", 0xBFFE1870, 0x74),)),
        cpus=Cpus(possible=4, present=2),
    )
    remarks = {"e820": "boot.log:12 BIOS-e820", "cpus.possible": "boot.log:80", "mtrr_limit": "assumed\nso"}
    assert dump_machine(machine, remarks) == (
        'cmdline: "movable_node dyndbg=\\"a b\\""\n'
        "e820:  # boot.log:12 BIOS-e820\n"
        '- "[mem 0x0000000000000000-0x000000000009fbff] usable"\n'
        '- "[mem 0x0000000000100000-0x00000000bffdffff] usable"\n'
        "srat:\n"
        "  memory:\n"
        "  - {pxm: 1, base: 0x100000000, length: 2G, hotplug: true}\n"
        "acpi:\n"
        "  tables:\n"
        '  - {signature: "FACP", address: 0xbffe1870, length: 116}\n'
        "cpus:\n"
        "  possible: 4  # boot.log:80\n"
        "  present: 2\n"
        "mtrr_limit: 0x0  # assumed so\n"
    )


def test_every_field_of_the_model_has_a_key() -> None:
    def check(section: Section, cls: Any) -> None:
        names = set(cls._fields) - {"places"}
        # A range that has its end in the model is written with its size.
        assert names - {"end"} <= set(section.names())
        for name in names:
            for owner in (*get_args(cls.__annotations__[name]), cls.__annotations__[name]):
                if isinstance(owner, type) and hasattr(owner, "_fields"):
                    kind = section.by_name[name].kind
                    own = kind.section or (kind.item.section if kind.item else None)
                    assert own is not None
                    check(own, owner)

    check(MACHINE, Machine)


@settings(_SLOW, max_examples=200)
@given(st.data())
def test_mutated_descriptions_end_in_a_machine_or_in_input_errors(data: st.DataObject) -> None:
    text = bytearray(dump_machine(data.draw(MACHINES)).encode())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(text)))
        text[at : at + data.draw(st.integers(0, 6))] = data.draw(st.binary(max_size=4) | _SIGNS)
    _survives(bytes(text))


_SIGNS = st.sampled_from(
    [b"- ", b": ", b"{", b"}", b"[", b"]", b"&a ", b"*a", b"!!int ", b"\n", b"|\n", b"'", b'"', b"0"]
)


@given(st.binary(max_size=200) | st.lists(_SIGNS, max_size=40).map(b"".join))
def test_any_bytes_end_in_a_machine_or_in_input_errors(text: bytes) -> None:
    _survives(text)


def _survives(text: bytes) -> None:
    problems: list[Problem] = []
    try:
        parse_machine(text, "some.yaml")
    except InputError as error:
        problems = error.problems
    assert all(problem.source == "some.yaml" and problem.message for problem in problems)


@pytest.mark.parametrize("size", ["[", "{a: ", "- ", "? ", "a: {b: "])
def test_no_nesting_is_too_deep_for_a_message(size: str) -> None:
    with pytest.raises(InputError):
        parse_machine(size * 100_000, "deep.yaml")
