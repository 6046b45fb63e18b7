"""Numbers in boot options that are none, or of absurd length, and machines with absurd holes."""

from __future__ import annotations

import pytest

import memplan
from memplan.boot.steps.numa_fake import _Split
from memplan.machine.model import Cpus, E820Entry, Machine
from memplan.memblock.search import Searches
from memplan.plan import Plan
from memplan.units import GIB, KIB, MIB, TIB

LOW = (E820Entry(0, 640 * KIB, 1), E820Entry(MIB, 3 * GIB, 1))
NINES = "9" * 5000


def planned(cmdline: str, *more: E820Entry, kernel: str = "6.12", la57: bool = False) -> Plan:
    machine = Machine((*LOW, *more), cmdline=cmdline, booted=True, cpus=Cpus(la57=la57))
    return memplan.simulate(machine, kernel=kernel)


def owned(plan: Plan, owner: str) -> int:
    return sum(part.end - part.start for part in plan.reservations if str(part.owner) == owner)


def movable(plan: Plan) -> int:
    return sum(zone.present for zone in plan.zones if zone.name == "Movable")


@pytest.mark.parametrize("kernel", ["3.13", "5.10", "6.1", "6.12"])
@pytest.mark.parametrize(
    "option",
    [
        f"nr_cpus={NINES}",
        f"hugepagesz=1G hugepages={NINES}",
        f"hugepagesz=1G hugepages=0:{NINES},1:{NINES}",
        f"hugetlb_cma={NINES}:1G",
        f"kernelcore={NINES}%",
        f"movablecore={NINES}%",
        f"mem=0x{NINES}",
        f"swiotlb={NINES}",
        f"numa=fake={NINES}",
        f"memmap={NINES}${NINES}",
        f"crashkernel={NINES}M",
        f"log_buf_len={NINES}",
    ],
)
def test_numbers_of_any_length_have_a_plan(option: str, kernel: str) -> None:
    assert planned(option, E820Entry(4 * GIB, 6 * GIB, 1), kernel=kernel).events


@pytest.mark.parametrize("digits", ["²", "٣", "３"])
def test_only_ascii_digits_are_digits(digits: str) -> None:
    more = E820Entry(4 * GIB, 12 * GIB, 1)
    for option in ("hugepagesz=1G hugepages={}", "hugepagesz=1G hugepages=0:{}", "hugetlb_cma={}:2G"):
        assert planned(option.format(digits), more).zones == planned("", more).zones
        assert owned(planned(option.format(digits), more), "gigantic pages") == 0
    assert movable(planned(f"kernelcore={digits}%", more)) == 0


def test_a_share_is_read_in_any_base_up_to_its_sign() -> None:
    more = E820Entry(4 * GIB, 12 * GIB, 1)
    shares = [movable(planned(f"kernelcore={text}", more)) for text in ("30%", "036%", "0x1e%", "30%x")]
    assert len(set(shares)) == 1
    assert shares[0] > 0


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the looks at the whole of memory."""
    looks = [0]
    ranges = Searches.pfn_ranges

    def look(self: Searches, nid: int | None) -> list[tuple[int, int, int | None]]:
        looks[0] += 1
        return ranges(self, nid)

    monkeypatch.setattr(Searches, "pfn_ranges", look)
    return looks


@pytest.mark.parametrize("movable_node", ["", "movable_node"])
@pytest.mark.parametrize("kernel", ["3.13", "6.12"])
def test_a_hole_of_any_size_is_mapped_over_at_once(
    movable_node: str, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = counted(monkeypatch)
    far = 4000 * TIB if kernel == "6.12" else 60 * TIB
    planned(movable_node, E820Entry(far, far + 2 * MIB, 1), kernel=kernel, la57=kernel == "6.12")
    assert looks[0] < 1000


def test_a_hole_of_any_size_is_passed_at_once_by_fake_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = counted(monkeypatch)
    plan = planned("numa=fake=2", E820Entry(60 * TIB, 60 * TIB + GIB, 1))
    assert looks[0] < 1000
    assert len(plan.nodes) == 2


@pytest.mark.parametrize("missing", [1, 4096, 32 * MIB, 32 * MIB + 1, 5 * GIB, 64 * GIB])
@pytest.mark.parametrize("start", [0, 4096, 640 * KIB, 3 * GIB - 4096, 4 * GIB + 8192])
def test_fake_nodes_grow_as_by_single_steps(missing: int, start: int) -> None:
    from tests.boot.steps.test_numa import booted

    ram = (*LOW, E820Entry(5 * GIB + 12288, 9 * GIB, 1), E820Entry(40 * GIB, 41 * GIB + 4096, 1))
    boot = booted("6.12", Machine(ram, cmdline="numa=off"))
    split = object.__new__(_Split)
    split._boot = boot
    limit = 41 * GIB + 4096
    end = start + 4096
    while end - start - split._hole(start, end) < missing and end <= limit:
        end += 32 * MIB
    assert split._grown(start, start + 4096, limit, missing) == min(end, limit)
