"""Scratch areas of kexec hand-over: their sizes, their places, and that they are all there or none."""

from __future__ import annotations

import pytest

from memplan.boot.context import Boot
from memplan.events import Change
from memplan.machine.model import Cpus, Machine
from memplan.units import GIB, MIB, PAGE_SIZE
from tests.boot.steps.single import EMPTY, boot_of, changes, ran, told, warned

NODES = ((16 * MIB, 3 * GIB, 0), (4 * GIB, 8 * GIB, 1), (8 * GIB, 12 * GIB, 2))
ON = {"config.KEXEC_HANDOVER": True}
LOW_END = 4 * GIB - 1


def booted(version: str, cmdline: str, *kern: tuple[int, int], **more: bool) -> Boot:
    """A boot with `kern` reserved for the kernel's own use, each on the node of its place; and 100 MiB for others."""
    facts = {**ON, "config.KEXEC_HANDOVER_ENABLE_DEFAULT": False, **{f"config.{k}": v for k, v in more.items()}}
    boot = boot_of(version, EMPTY._replace(cmdline=cmdline), *NODES, facts=facts)
    boot.memblock.reserve(1 * GIB, 100 * MIB)
    for start, end in kern:
        boot.memblock.reserve_kern(start, end - start)
    for start, end, nid in NODES:
        boot.memblock.set_node_reserved(start, end - start, nid)
    boot.recorder.events.clear()
    return ran(boot, "kho_memory_init")


def sizes(boot: Boot) -> list[int]:
    return [(end - start) // MIB if end - start > PAGE_SIZE else end - start for _, start, end in changes(boot)]


@pytest.mark.parametrize(
    ("words", "default", "made"),
    [("", False, False), ("", True, True), ("kho=off", True, False), ("kho=on", False, True), ("kho=x", True, True)],
)
def test_who_asks_for_it(words: str, default: bool, made: bool) -> None:
    boot = booted("6.18", f"kho_scratch=2M,2M,2M {words}", KEXEC_HANDOVER_ENABLE_DEFAULT=default)
    assert bool(changes(boot)) is made
    off = boot_of("6.18", Machine((), cmdline="kho=on"), facts={"config.KEXEC_HANDOVER": False})
    assert changes(ran(off, "kho_memory_init")) == []


#: 10 MiB low on node 0, 3 MiB on node 1, 5 MiB on node 2.
KERN = ((16 * MIB, 26 * MIB), (5 * GIB, 5 * GIB + 3 * MIB), (9 * GIB, 9 * GIB + 5 * MIB))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        # The table has 16 bytes for each node and two more.
        ("", [80, 20, 16, 20, 6, 10]),
        ("kho_scratch=200%", [80, 20, 16, 20, 6, 10]),
        ("kho_scratch=100%", [80, 10, 8, 10, 4, 6]),
        # 10.1 MiB, and what 18.18 MiB are more than that.
        ("kho_scratch=101%", [80, 12, 10, 12, 4, 6]),
        ("kho_scratch=16M,64M,32M", [80, 16, 64, 32, 32, 32]),
        ("kho_scratch=16M,64M,32M kho_scratch=100%", [80, 16, 64, 32, 32, 32]),
        ("kho_scratch=100% kho_scratch=15M,63M,31M", [80, 16, 64, 32, 32, 32]),
        # What is malformed, and sizes of 0 alone, say nothing.
        ("kho_scratch=16M,64M", [80, 20, 16, 20, 6, 10]),
        ("kho_scratch=0,0,0", [80, 20, 16, 20, 6, 10]),
        ("kho_scratch=16M,64M,32Mx", [80, 20, 16, 20, 6, 10]),
        ("kho_scratch=x%", [80, 20, 16, 20, 6, 10]),
    ],
)
def test_how_large_they_are(words: str, expected: list[int]) -> None:
    boot = booted("7.1", f"kho=on {words}", *KERN)
    if words.startswith("kho_scratch=16M,64M,32M kho"):
        # Either form may come last; the scale counts again then.
        expected = [80, 10, 8, 10, 4, 6]
    assert sizes(boot) == expected
    places = [(start, end) for _, start, end in changes(boot)]
    assert all(start % (2 * MIB) == 0 for start, _ in places[1:])
    assert places[1][1] <= LOW_END
    for (start, end), (low, high, _) in zip(places[3:], NODES, strict=True):
        assert low <= start
        assert end <= high


@pytest.mark.parametrize(("version", "expected"), [("7.2", [1034, 2, 1036]), ("7.3", [10, 2, 12])])
def test_gigantic_pages_do_not_count_since_7_3(version: str, expected: list[int]) -> None:
    """They never come out of such an area: 11 MiB are the kernel's own, 10 of them low, and beside them a page."""
    words = "kho=on kho_scratch=100% hugepagesz=1G hugepages=0:1"
    machine = EMPTY._replace(cmdline=words, cpus=Cpus(gbpages=True))
    boot = boot_of(version, machine, (16 * MIB, 7 * GIB, 0), facts={**ON, "config.HUGETLBFS": True})
    boot.nodes.node_data[0] = (GIB, GIB + PAGE_SIZE)
    boot.memblock.reserve(3 * GIB, 4 * GIB)
    boot.memblock.reserve_kern(16 * MIB, 10 * MIB)
    ran(boot, "free_area_init", "parse_hugepages")
    boot.memblock.free(3 * GIB, 4 * GIB)
    boot.memblock.reserve_kern(6 * GIB, MIB)
    boot.memblock.set_node_reserved(0, 7 * GIB, 0)
    boot.recorder.events.clear()
    assert sizes(ran(boot, "kho_memory_init"))[1:] == expected


@pytest.mark.parametrize(("version", "made"), [("7.2", True), ("7.3", False)])
def test_a_crash_kernel_has_none_since_7_3(version: str, made: bool) -> None:
    boot = booted(version, "kho=on kho_scratch=2M,2M,2M elfcorehdr=1G")
    assert bool(changes(boot)) is made
    assert ("KHO: disabled in the kdump kernel" in told(boot)) is not made


@pytest.mark.parametrize("missing", ["low", "all", "node"])
def test_all_of_them_or_none(missing: str) -> None:
    value = {"low": "4G,2M,2M", "all": "2M,9G,2M", "node": "2M,2M,3500M"}[missing]
    boot = booted("6.18", f"kho=on kho_scratch={value}")
    own = changes(boot)
    taken = [change[1:] for change in own if change[0] == "reserve"]
    assert len(taken) == {"low": 1, "all": 2, "node": 3}[missing]
    # Areas are given back from the last to the first, and the table after them.
    assert [change[1:] for change in own if change[0] == "free"] == [*reversed(taken[1:]), taken[0]]
    assert warned(boot) == ["KHO: Failed to reserve scratch area, disabling kexec handover"]


def test_without_room_for_the_table_there_is_nothing_to_give_back() -> None:
    machine = EMPTY._replace(cmdline="kho=on kho_scratch=2M,2M,2M")
    boot = boot_of("6.18", machine, (MIB, GIB), reserved=((MIB, GIB),), facts=ON)
    assert changes(ran(boot, "kho_memory_init")) == []
    assert len(warned(boot)) == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        # The low part is rounded up before it is taken off.
        ("kho_scratch=101%", [80, 12, 8, 12, 4, 6]),
        ("kho_scratch=15M,63M,31M", [80, 15, 63, 32, 32, 32]),
    ],
)
def test_how_large_they_were_before_7_1(words: str, expected: list[int]) -> None:
    assert sizes(booted("6.18", f"kho=on {words}", *KERN)) == expected


@pytest.mark.parametrize(("version", "given_back"), [("6.18", True), ("7.1", False)])
def test_a_node_without_memory_of_its_own(version: str, given_back: bool) -> None:
    """It can't have an area; since 7.0 it need not."""
    boot = boot_of(version, EMPTY._replace(cmdline="kho=on kho_scratch=2M,2M,2M"), *NODES, facts=ON)
    boot.nodes.online.add(3)
    own = changes(ran(boot, "kho_memory_init"))
    assert any(op == "free" for op, _, _ in own) is given_back
    assert own[0][2] - own[0][1] == (16 * 6 if given_back else 16 * 5)


@pytest.mark.parametrize(("size", "end"), [(2 * MIB, 4 * GIB - 2 * MIB), (512 * MIB, 4 * GIB - 2 * MIB)])
def test_the_low_area_ends_below_the_last_byte_of_32_bits(size: int, end: int) -> None:
    """0xffffffff is the limit itself, so that the last 2 MiB below 4 GiB are out of reach."""
    machine = EMPTY._replace(cmdline=f"kho=on kho_scratch={size >> 20}M,2M,2M")
    boot = ran(boot_of("6.18", machine, (MIB, 8 * GIB), facts=ON), "kho_memory_init")
    assert changes(boot)[1] == ("reserve", end - size, end)


def test_what_is_reserved_at_the_end_of_32_bits_counts_for_the_low_area() -> None:
    """All but the last byte; the global area has what is left of twice the sum."""
    machine = EMPTY._replace(cmdline="kho=on kho_scratch=100%")
    boot = boot_of("7.1", machine, (MIB, 8 * GIB), facts=ON)
    boot.memblock.reserve_kern(4 * GIB - 4 * MIB, 8 * MIB)
    boot.memblock.set_node_reserved(0, 8 * GIB, 0)
    boot.recorder.events.clear()
    assert sizes(ran(boot, "kho_memory_init")) == [48, 4, 4 + 2, 8]


def test_only_the_low_area_has_a_limit_of_its_own() -> None:
    boot = booted("7.1", "kho=on", *KERN)
    asked = [event.request for event in boot.recorder.events if isinstance(event, Change) and event.request]
    assert [(own.min_addr, own.max_addr, own.nid, own.exact) for own in asked] == [
        (0, 0, None, False),
        (0, LOW_END, None, False),
        (0, 0, None, False),
        (0, 0, 0, True),
        (0, 0, 1, True),
        (0, 0, 2, True),
    ]
