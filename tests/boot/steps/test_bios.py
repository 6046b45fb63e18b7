"""What the BIOS keeps in low memory (arch/x86/kernel/ebda.c, head.c, check.c, setup.c)."""

from __future__ import annotations

import pytest

import memplan
from memplan.events import Change, Message
from memplan.kernel.load import find_kernel, override
from memplan.machine.model import Bios, E820Entry, Extent, Machine
from memplan.owner import Purpose
from memplan.plan import Plan
from memplan.units import GIB, KIB, MIB, PAGE_SIZE

#: The highest base memory that the kernel believes.
CAP = 0x9F000


def planned(version: str, bios: Bios, cmdline: str = "", *, end: int = 640 * KIB, **config: bool) -> Plan:
    entries = E820Entry(0, end), E820Entry(MIB, GIB)
    kernel = override(find_kernel(version), {f"config.{name}": value for name, value in config.items()})
    return memplan.simulate(Machine(e820=entries, cmdline=cmdline, bios=bios), kernel=kernel)


def taken(plan: Plan, kind: Purpose) -> list[tuple[int, int]]:
    return [(one.start, one.end) for one in plan.reservations if one.owner.kind is kind]


@pytest.mark.parametrize(
    ("lowmem", "ebda", "start"),
    [
        (0x9FC00, 0, CAP),
        (0x90000, 0, 0x90000),
        (CAP, 0, CAP),
        (128 * KIB, 0, 128 * KIB),
        (127 * KIB, 0, CAP),
        (0, 0x80000, 0x80000),
        (0x90000, 0x80000, 0x80000),
        (0x80000, 0x90000, 0x80000),
        (0x9FC00, 128 * KIB, 128 * KIB),
        (0x9FC00, 127 * KIB, CAP),
        (0x9FC00, 0x9F800, CAP),
    ],
)
@pytest.mark.parametrize("version", ["3.13", "5.10"])
def test_where_the_bios_area_begins(version: str, lowmem: int, ebda: int, start: int) -> None:
    """From the lower of base memory and EBDA; what is below 128 KiB is not believed."""
    plan = planned(version, Bios(lowmem=lowmem, ebda=ebda))
    assert max(end for _, end in taken(plan, Purpose.BIOS_AREA)) == MIB
    assert min(begin for begin, _ in taken(plan, Purpose.BIOS_AREA)) == start


def test_without_such_an_area_nothing_is_kept() -> None:
    for version in ("3.13", "5.10"):
        assert taken(planned(version, Bios(legacy_area=False)), Purpose.BIOS_AREA) == []


@pytest.mark.parametrize(
    ("cmdline", "size"),
    [
        ("", 64 * KIB),
        ("reservelow=128K", 128 * KIB),
        ("reservelow=5000", 2 * PAGE_SIZE),
        ("reservelow=1", PAGE_SIZE),
        ("reservelow=0", PAGE_SIZE),
        ("reservelow=1M", 640 * KIB),
        ("reservelow=", 64 * KIB),
    ],
)
def test_low_pages_that_are_set_aside(cmdline: str, size: int) -> None:
    """From 4K to 640K; 64K by the configuration, and always since 5.13."""
    for version, end in (("4.4", size), ("6.12", 64 * KIB)):
        changes = [event for event in planned(version, Bios(), cmdline).events if isinstance(event, Change)]
        assert [(c.op, c.start, c.end) for c in changes if c.owner.kind is Purpose.LOW_PAGES][-1] == ("reserve", 0, end)


@pytest.mark.parametrize(
    ("cmdline", "default", "areas"),
    [
        ("", True, [(PAGE_SIZE, 64 * KIB)]),
        ("", False, []),
        ("memory_corruption_check=1", False, [(PAGE_SIZE, 64 * KIB)]),
        ("memory_corruption_check=0", True, []),
        ("memory_corruption_check_size=0", True, []),
        ("memory_corruption_check_size=8K", True, [(PAGE_SIZE, 2 * PAGE_SIZE)]),
        ("memory_corruption_check_size=9000", True, [(PAGE_SIZE, 3 * PAGE_SIZE)]),
        ("memory_corruption_check_size=", True, [(PAGE_SIZE, 64 * KIB)]),
    ],
)
def test_low_pages_that_are_watched(cmdline: str, default: bool, areas: list[tuple[int, int]]) -> None:
    config = {"X86_CHECK_BIOS_CORRUPTION": True, "X86_BOOTPARAM_MEMORY_CORRUPTION_CHECK": default}
    kernel = override(
        find_kernel("4.4"), {f"config.{name}": value for name, value in config.items()} | {"config.X86_RESERVE_LOW": 4}
    )
    machine = Machine(e820=(E820Entry(0, 640 * KIB), E820Entry(MIB, GIB)), cmdline=cmdline)
    plan = memplan.simulate(machine, kernel=kernel)
    assert taken(plan, Purpose.BIOS_CORRUPTION_CHECK) == areas
    said = [event.text for event in plan.events if isinstance(event, Message) and "low memory corruption" in event.text]
    assert [text.partition("Scanning ")[2] for text in said] == ["1 areas for low memory corruption"] * len(areas)
    off = override(kernel, {"config.X86_CHECK_BIOS_CORRUPTION": False})
    assert taken(memplan.simulate(machine, kernel=off), Purpose.BIOS_CORRUPTION_CHECK) == []


def test_the_table_of_an_iscsi_boot_takes_whole_pages() -> None:
    bios = Bios(ibft=Extent(0x80000, 0x801))
    with_it = planned("6.12", bios, ISCSI_IBFT_FIND=True)
    assert taken(with_it, Purpose.IBFT) == [(0x80000, 0x81000)]
    assert taken(planned("6.12", bios, ISCSI_IBFT_FIND=False), Purpose.IBFT) == []
    assert taken(planned("6.12", Bios(), ISCSI_IBFT_FIND=True), Purpose.IBFT) == []
