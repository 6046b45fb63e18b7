"""What the BIOS keeps in low memory (arch/x86/kernel/ebda.c, head.c, check.c, setup.c)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import memplan
from memplan.events import Change, Message
from memplan.kernel.load import find_kernel, override
from memplan.machine.model import Bios, E820Entry, Efi, Extent, Machine
from memplan.owner import Purpose
from memplan.plan import Plan
from memplan.units import GIB, KIB, MIB, PAGE_SIZE
from tests.boot.steps.single import boot_of, changes, ran, told

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


@settings(deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 40)), max_size=25),
    st.sampled_from((4, 8, 64, 100, 300)),
)
def test_up_to_eight_areas_are_watched(taken: list[tuple[int, int]], size: int) -> None:
    """KiB that are reserved, by which free memory is cut; whole pages from the second one on, up to the size."""
    facts = {"config.X86_CHECK_BIOS_CORRUPTION": True, "config.X86_BOOTPARAM_MEMORY_CORRUPTION_CHECK": True}
    subject = Machine(e820=(), cmdline=f"memory_corruption_check_size={size}K")
    boot = boot_of("4.4", subject, (0, 640 * KIB), (MIB, GIB), facts=facts)
    for start, length in taken:
        boot.memblock.reserve(start * KIB, length * KIB)
    boot.recorder.events.clear()
    # As the kernel's walk meets them: free memory is one range up to the next reservation, were it of no bytes.
    gaps = [(start, end) for start, end, _ in boot.memblock.free_ranges(None)]
    top = -(-size // 4) * 4 * KIB
    expected = []
    for start, end in gaps:
        low = max(-(-start // PAGE_SIZE) * PAGE_SIZE, PAGE_SIZE)
        high = min(end // PAGE_SIZE * PAGE_SIZE, top)
        if low < high:
            expected.append(("reserve", low, high))
    ran(boot, "setup_bios_corruption_check")
    assert changes(boot) == expected[:8]
    told_of = [f"Scanning {len(expected[:8])} areas for low memory corruption"] * bool(expected)
    assert told(boot) == told_of


@pytest.mark.parametrize(("length", "end"), [(0, 0), (1, 8), (8, 8), (9, 16), (0x1F5, 0x1F8)])
def test_the_copy_of_dmi_s_tables_in_the_brk(length: int, end: int) -> None:
    boot = boot_of("6.12", Machine(e820=(), bios=Bios(dmi_length=length)))
    start = boot.brk_end
    assert ran(boot, "dmi_setup").brk_end == start + end


@pytest.mark.parametrize(("version", "size"), [("5.10", PAGE_SIZE), ("5.12", PAGE_SIZE), ("5.13", 64 * KIB)])
def test_the_first_pages(version: str, size: int) -> None:
    boot = ran(boot_of(version), "reserve_low_pages")
    assert changes(boot) == [("reserve", 0, size)]


def test_an_efi_boot_has_no_iscsi_table() -> None:
    bios = Bios(ibft=Extent(0x80000, 1))
    for efi, taken_by in ((None, [("reserve", 0x80000, 0x81000)]), (Efi(), [])):
        boot = boot_of("6.12", Machine(e820=(), bios=bios, efi=efi), facts={"config.ISCSI_IBFT_FIND": True})
        assert changes(ran(boot, "reserve_ibft_region")) == taken_by
