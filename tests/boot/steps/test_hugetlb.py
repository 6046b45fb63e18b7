"""Gigantic pages taken in bulk: all is as if they were taken one by one."""

import pytest

import memplan
from memplan.boot.steps import hugetlb
from memplan.events import Change, Checkpoint, Message
from memplan.machine.model import Machine
from memplan.plan import Plan
from memplan.units import GIB, MIB
from tests.sweep.machines import kernel_of, machine


def large(cmdline: str, nodes: int) -> Machine:
    """Nodes of 300 GiB, whose pages fill the built-in array of reservations more than once."""
    own = machine(cmdline, nodes=nodes, hot=False)
    assert own.srat is not None
    size = 300 * GIB
    return own._replace(
        e820=(own.e820[0], own.e820[1]._replace(end=nodes * size - 5 * MIB)),
        srat=own.srat._replace(
            memory=tuple(entry._replace(base=nid * size, length=size) for nid, entry in enumerate(own.srat.memory))
        ),
        initrd=None,
    )


def blocks(plan: Plan) -> list[tuple[object, ...]]:
    """Every change block by block, and what is printed on the way."""
    found: list[tuple[object, ...]] = []
    for event in plan.events:
        if isinstance(event, Change):
            found += [(event.op, start, end, event.owner) for start, end in event.blocks()]
        elif isinstance(event, Message):
            found.append((event.text,))
        elif isinstance(event, Checkpoint):
            found.append((event.memory, event.reserved, event.reserved_size, event.reserved_cnt))
    return found


@pytest.mark.parametrize("kernel", ["5.10.89", "6.1.192", "6.12.107", "6.18.8"])
@pytest.mark.parametrize(
    ("words", "nodes"),
    [
        ("hugepages=200", 1),
        ("hugepages=400", 1),
        ("hugepages=1:150,0:7", 2),
        ("hugepages=1:400", 2),
        ("hugepages=9", 2),
    ],
)
def test_in_bulk_and_one_by_one(kernel: str, words: str, nodes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    own = large(f"hugepagesz=1G {words}", nodes)
    bulk = memplan.simulate(own, kernel=kernel_of(kernel))
    monkeypatch.setattr(hugetlb._Gigantic, "_take_alone", lambda *_: (0, 0))
    single = memplan.simulate(own, kernel=kernel_of(kernel))
    assert blocks(bulk) == blocks(single)
    assert bulk.reservations == single.reservations
    assert sum(1 for event in single.events if isinstance(event, Change) and event.owner.kind.name == "GIGANTIC_PAGES")
