"""The e820 table: which entries of one type are one."""

import pytest

import memplan
from memplan.boot.e820_table import E820Table
from memplan.machine.model import E820_PRAM, E820_RAM, E820_SOFT_RESERVED, E820Entry, Machine
from memplan.units import GIB, MIB

HALVES = (E820Entry(4 * GIB, 5 * GIB, E820_PRAM), E820Entry(5 * GIB, 6 * GIB, E820_PRAM))


def table(*entries: E820Entry, apart: frozenset[int] = frozenset()) -> list[tuple[int, int, int]]:
    made = E820Table(entries, 128, lambda text: None, apart)
    made.update()
    return list(made.copy())


def test_neighbours_of_one_type_are_one_unless_they_are_kept_apart() -> None:
    ram = E820Entry(MIB, GIB, E820_RAM), E820Entry(GIB, 2 * GIB, E820_RAM)
    assert table(*ram, *HALVES) == [(MIB, 2 * GIB, E820_RAM), (4 * GIB, 6 * GIB, E820_PRAM)]
    assert len(table(*ram, *HALVES, apart=frozenset({E820_PRAM}))) == 3
    assert len(table(*ram, *HALVES, apart=frozenset({E820_SOFT_RESERVED}))) == 2


@pytest.mark.parametrize(("version", "same"), [("3.13", True), ("5.10", False), ("6.12", False)])
def test_3_13_joins_pram(version: str, same: bool) -> None:
    ram = E820Entry(0, 640 * 1024, E820_RAM), E820Entry(MIB, GIB, E820_RAM)
    one = Machine(e820=(*ram, E820Entry(4 * GIB, 6 * GIB, E820_PRAM)))
    two = Machine(e820=(*ram, *HALVES))
    plans = [memplan.simulate(machine, kernel=version) for machine in (one, two)]
    assert (plans[0].reservations == plans[1].reservations) == same
