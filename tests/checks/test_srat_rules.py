"""Overlaps in an SRAT: what the rules find is what holding every entry against every other one finds."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from memplan.checks.load import load_subject
from memplan.checks.model import Found, Subject
from memplan.checks.srat import range_wraps
from memplan.checks.srat_overlaps import domain_overlaps_itself, domains_overlap
from memplan.kernel.load import find_kernel
from memplan.machine.model import MemoryAffinity, Srat
from memplan.units import U64_MAX
from tests.checks.fixtures import FOLDER

ENTRY = st.builds(
    MemoryAffinity,
    pxm=st.integers(0, 2),
    base=st.one_of(st.integers(0, 40), st.integers(U64_MAX - 20, U64_MAX)),
    length=st.integers(0, 12),
    enabled=st.booleans(),
)


def pairs(found: list[Found]) -> set[tuple[str, str]]:
    return {(first, second) for first, second in (own.subject.split() for own in found)}


@given(st.lists(ENTRY, max_size=12))
def test_overlaps_are_those_of_all_pairs(memory: list[MemoryAffinity]) -> None:
    subject = Subject("table", find_kernel("6.12"), srat=Srat(tuple(memory)))
    ranges = {
        f"srat.memory[{index}]": entry
        for index, entry in enumerate(memory)
        if entry.enabled and entry.length and entry.base + entry.length <= U64_MAX
    }
    met = {
        (first, second)
        for first, second in combinations(ranges, 2)
        if ranges[first].base < ranges[second].base + ranges[second].length
        and ranges[second].base < ranges[first].base + ranges[first].length
    }
    same = {pair for pair in met if ranges[pair[0]].pxm == ranges[pair[1]].pxm}
    assert pairs(list(domains_overlap(subject))) == met - same
    assert pairs(list(domain_overlaps_itself(subject))) == same


@given(st.lists(ENTRY, max_size=12))
def test_ranges_wrap_where_they_end_beyond_the_last_address(memory: list[MemoryAffinity]) -> None:
    subject = Subject("table", find_kernel("6.12"), srat=Srat(tuple(memory)))
    wrapped = [
        f"srat.memory[{index}]"
        for index, entry in enumerate(memory)
        if entry.enabled and entry.length and entry.base + entry.length > U64_MAX
    ]
    found = list(range_wraps(subject))
    assert [own.field for own in found] == wrapped
    assert all("Warning: invalid memblk node" in own.dmesg for own in found)


def test_without_numa_an_overlap_is_nothing_that_the_kernel_minds() -> None:
    subject = load_subject(str(FOLDER / "MP201" / "bad.yaml"))
    assert list(domains_overlap(subject))
    without_numa = load_subject(str(FOLDER / "MP201" / "bad.yaml"))
    assert without_numa.machine is not None
    without_numa.machine = without_numa.machine._replace(cmdline="numa=off")
    assert not list(domains_overlap(without_numa))
