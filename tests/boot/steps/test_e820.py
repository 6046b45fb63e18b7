"""The e820 table: which entries of one type are one."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

import memplan
from memplan.boot.context import Boot
from memplan.boot.e820_table import E820Table
from memplan.boot.panic import BootPanic
from memplan.boot.steps.e820 import parse_early_mem, parse_early_memmap
from memplan.events import Change, Message
from memplan.kernel.load import find_kernel
from memplan.machine.model import E820_PRAM, E820_RAM, E820_SOFT_RESERVED, E820Entry, Machine, SetupData
from memplan.plan import Plan
from memplan.units import GIB, KIB, MIB, PAGE_SIZE, U64_MAX
from tests.boot.steps.single import EMPTY as BARE
from tests.boot.steps.single import boot_of, changes, ran, warned

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


# -- the table against a map of units --------------------------------------------------------------------------------

UNITS = 24
entries = st.lists(
    st.builds(
        lambda start, size, kind: E820Entry(start, start + size, kind),
        st.integers(0, UNITS - 1),
        st.integers(0, 8),
        st.integers(1, 4),
    ),
    max_size=8,
)


def kinds_of(made: E820Table) -> dict[int, list[int]]:
    """unit -> the types of all entries there."""
    found: dict[int, list[int]] = {}
    for start, end, kind in made:
        for unit in range(start, end):
            found.setdefault(unit, []).append(kind)
    return {unit: sorted(kinds) for unit, kinds in found.items()}


@given(entries)
def test_where_entries_overlap_the_highest_type_counts(given_entries: list[E820Entry]) -> None:
    made = E820Table(given_entries, 128, lambda text: None)
    before = kinds_of(made)
    if not made.update():
        assert len(given_entries) < 2
        return
    result = list(made)
    assert kinds_of(made) == {unit: [max(kinds)] for unit, kinds in before.items()}
    assert result == sorted(result)
    for (_, end, kind), (start, _, behind) in pairwise(result):
        assert end <= start
        assert end < start or kind != behind


@given(entries, st.integers(0, UNITS), st.integers(0, 12), st.sampled_from((1, 2)), st.sampled_from((3, 4)))
def test_a_part_gets_another_type_or_goes(
    given_entries: list[E820Entry], start: int, size: int, old: int, new: int
) -> None:
    made = E820Table(given_entries, 128, lambda text: None)
    before, part = kinds_of(made), range(start, start + size)
    others = made.copy(), made.copy()
    made.range_update(start, start + size, old, new)
    assert kinds_of(made) == {
        unit: sorted(new if kind == old and unit in part else kind for kind in kinds) for unit, kinds in before.items()
    }
    for twin, kind in zip(others, (old, None), strict=True):
        twin.range_remove(start, start + size, kind)
        left = {
            unit: [own for own in kinds if unit not in part or (kind is not None and own != kind)]
            for unit, kinds in before.items()
        }
        assert kinds_of(twin) == {unit: kinds for unit, kinds in left.items() if kinds}


@given(entries, st.integers(0, UNITS), st.integers(1, 12), st.integers(1, 4))
def test_whether_a_range_is_all_of_one_type(given_entries: list[E820Entry], start: int, size: int, kind: int) -> None:
    made = E820Table([*given_entries, E820Entry(40, 41, 1), E820Entry(50, 51, 1)], 128, lambda text: None)
    made.update()
    own = kinds_of(made)
    assert made.mapped_all(start, start + size, kind) is all(
        own.get(unit) == [kind] for unit in range(start, start + size)
    )


@given(entries, st.integers(0, UNITS + 4), st.sets(st.integers(1, 4)))
def test_the_last_whole_page_of_some_types(given_entries: list[E820Entry], limit: int, kinds: set[int]) -> None:
    half = PAGE_SIZE // 2
    made = E820Table([E820Entry(e.start * half, e.end * half, e.type) for e in given_entries], 128, lambda text: None)
    ends = [min(entry.end // 2, limit) for entry in given_entries if entry.type in kinds and entry.start // 2 < limit]
    assert made.end_pfn(limit, *kinds) == max(ends, default=0)


def test_a_full_table_ignores_more_and_says_so() -> None:
    said: list[str] = []
    made = E820Table([E820Entry(MIB, 2 * MIB, 1), E820Entry(3 * MIB, 4 * MIB, 1)], 2, said.append)
    assert said == []
    made.range_add(GIB, 2 * GIB, 2)
    assert said == ["e820: too many entries; ignoring [mem 0x40000000-0x7fffffff]"]
    assert list(made) == [(MIB, 2 * MIB, 1), (3 * MIB, 4 * MIB, 1)]
    # A part in the middle of an entry takes two more.
    made.range_update(MIB + 4096, MIB + 8192, 1, 2)
    assert len(made) == 2


# -- what the command line makes of it (Documentation/admin-guide/kernel-parameters.txt) -----------------------------

RAM = [(0, 640 * KIB, 1), (MIB, 3 * GIB, 1), (3 * GIB, 3 * GIB + MIB, 2), (4 * GIB, 8 * GIB, 1)]


def parsed(version: str, option: str, value: str | None) -> tuple[bool, list[tuple[int, int, int]]]:
    boot = Boot(Machine(e820=()), find_kernel(version))
    boot.e820 = E820Table((E820Entry(*entry) for entry in RAM), 128, lambda text: None)
    changed = (parse_early_mem if option == "mem" else parse_early_memmap)(boot, value)
    return changed, list(boot.e820)


EMPTY = (0, 0, 0)


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("mem", None, None),
        ("mem", "", None),
        ("mem", "nopentium", None),
        ("mem", "2G", [RAM[0], (MIB, 2 * GIB, 1), RAM[2], EMPTY]),
        ("mem", "6G", [*RAM[:3], (4 * GIB, 6 * GIB, 1)]),
        ("mem", "0", RAM),
        ("memmap", None, None),
        ("memmap", "word", None),
        ("memmap", "exactmap", []),
        ("memmap", "2G", [RAM[0], (MIB, 2 * GIB, 1), RAM[2], EMPTY]),
        ("memmap", "1G@10G", [*RAM, (10 * GIB, 11 * GIB, 1)]),
        ("memmap", "1G#10G", [*RAM, (10 * GIB, 11 * GIB, 3)]),
        ("memmap", "1G$10G", [*RAM, (10 * GIB, 11 * GIB, 2)]),
        ("memmap", "1G!10G", [*RAM, (10 * GIB, 11 * GIB, 12)]),
        ("memmap", "word,1G$10G", [*RAM, (10 * GIB, 11 * GIB, 2)]),
        ("memmap", "exactmap,640K@0,1G$10G", [(0, 640 * KIB, 1), (10 * GIB, 11 * GIB, 2)]),
        ("memmap", "16E@17592186044416K", [*RAM, (1 << 54, (1 << 54) + ((16 << 60) & U64_MAX), 1)]),
        # n%s-from+to, since 4.13: from nothing is any type, to nothing takes away.
        ("memmap", "1G%4G-1+2", [*RAM[:3], (5 * GIB, 8 * GIB, 1), (4 * GIB, 5 * GIB, 2)]),
        ("memmap", "1M%3G-1+2", RAM),
        ("memmap", "1M%3G-2+1", [*RAM[:2], (3 * GIB, 3 * GIB + MIB, 1), RAM[3]]),
        ("memmap", "1M%3G+12", [*RAM, (3 * GIB, 3 * GIB + MIB, 12)]),
        ("memmap", "1M%3G-2", [*RAM[:2], EMPTY, RAM[3]]),
        ("memmap", "1M%3G-1", RAM),
        ("memmap", "1M%3G", [*RAM[:2], EMPTY, RAM[3]]),
        ("memmap", "1M%3G-2+1x", RAM),
    ],
)
def test_each_form_of_mem_and_memmap(
    option: str, value: str | None, expected: list[tuple[int, int, int]] | None
) -> None:
    assert parsed("6.12", option, value) == (expected is not None, RAM if expected is None else expected)


@pytest.mark.parametrize("value", ["1G!10G", "1G%4G-1+2"])
def test_3_13_takes_other_marks_for_the_end_of_ram(value: str) -> None:
    assert parsed("3.13", "memmap", value) == (True, [RAM[0], (MIB, GIB, 1), RAM[2], EMPTY])


# -- the map of a whole boot -----------------------------------------------------------------------------------------


def planned(*ram: tuple[int, int, int], cmdline: str = "", version: str = "6.12", mtrr: int | None = None) -> Plan:
    machine = Machine(e820=tuple(E820Entry(*entry) for entry in ram), cmdline=cmdline)
    return memplan.simulate(machine if mtrr is None else machine._replace(mtrr_limit=mtrr), kernel=version)


def memory(plan: Plan) -> list[tuple[int, int]]:
    return [(event.start, event.end) for event in plan.events if isinstance(event, Change) and event.op == "add"]


def said(plan: Plan, word: str) -> list[tuple[str, bool]]:
    return [(e.text, e.warning) for e in plan.events if isinstance(e, Message) and word in e.text]


def test_what_the_bios_keeps_is_no_ram() -> None:
    """The first page, and all from 640 KiB up to the first MiB."""
    assert memory(planned((0, GIB, 1), (3 * GIB, 4 * GIB, 2))) == [(PAGE_SIZE, 640 * KIB), (MIB, GIB)]


def test_the_kernel_s_own_range_is_ram_whatever_the_map_says() -> None:
    plan = planned((0, 640 * KIB, 1), (MIB, 16 * MIB, 1), (16 * MIB, 20 * MIB, 2), (20 * MIB, GIB, 1))
    assert said(plan, ".text") == [(".text .data .bss are not marked as E820_TYPE_RAM!", True)]
    assert memory(plan) == [(PAGE_SIZE, 640 * KIB), (MIB, GIB)]
    assert said(planned((0, 640 * KIB, 1), (MIB, GIB, 1)), ".text") == []


def test_ram_beyond_the_write_back_mtrrs_is_lost() -> None:
    ram = (0, 640 * KIB, 1), (MIB, 3 * GIB, 1), (4 * GIB, 5 * GIB, 1)
    plan = planned(*ram, mtrr=4 * GIB + 512 * MIB)
    text = "WARNING: BIOS bug: CPU MTRRs don't cover all of memory, losing 512MB of RAM."
    assert said(plan, "MTRR") == [(text, True)]
    assert memory(plan) == [(PAGE_SIZE, 640 * KIB), (MIB, 3 * GIB), (4 * GIB, 4 * GIB + 512 * MIB)]
    assert said(planned(*ram, mtrr=5 * GIB), "MTRR") == []


def test_a_map_that_the_command_line_empties_is_the_end() -> None:
    plan = planned((0, 640 * KIB, 1), (MIB, GIB, 1), cmdline="memmap=exactmap,1G@0")
    assert not plan.end.completed
    assert plan.end.text == "Invalid user supplied memory map"
    two = planned((0, 640 * KIB, 1), (MIB, GIB, 1), cmdline="memmap=exactmap,640K@0,1G@1M")
    assert two.end.completed
    assert memory(two) == [(PAGE_SIZE, 640 * KIB), (MIB, GIB + MIB)]


# -- the steps on their own --------------------------------------------------------------------------------------------


def mapped(version: str, *entries: tuple[int, int, int], mtrr_limit: int = 0) -> Boot:
    boot = boot_of(version, BARE._replace(mtrr_limit=mtrr_limit))
    boot.e820 = E820Table([E820Entry(*entry) for entry in entries], 100, lambda text: boot.printk(text, warning=True))
    return boot


@pytest.mark.parametrize(
    ("version", "acpi", "pram"),
    [("3.13", False, False), ("4.1", False, True), ("5.10", False, False), ("6.12", True, False)],
)
def test_what_counts_as_the_end_of_ram(version: str, acpi: bool, pram: bool) -> None:
    """ACPI's data since 6.12, legacy persistent memory for some time; whole pages, below 4 GiB by themselves."""
    rules = find_kernel(version).rules
    assert (bool(rules.max_pfn_counts_acpi), bool(rules.max_pfn_counts_pram)) == (acpi, pram)
    end = GIB + 3 * PAGE_SIZE // 2
    boot = mapped(version, (MIB, end, 1), (GIB + MIB, GIB + 2 * MIB, 3), (GIB + 2 * MIB, GIB + 3 * MIB, 12))
    ran(boot, "e820__end_of_ram_pfn")
    expected = (GIB + 3 * MIB if pram else GIB + 2 * MIB if acpi else GIB + PAGE_SIZE) // PAGE_SIZE
    assert (boot.max_pfn, boot.max_low_pfn, boot.max_possible_pfn) == (expected,) * 3


@pytest.mark.parametrize(("end", "low"), [(4 * GIB, 4 * GIB), (4 * GIB + PAGE_SIZE, 4 * GIB), (6 * GIB, 4 * GIB)])
@pytest.mark.parametrize("hole", [False, True])
def test_the_end_of_low_memory(end: int, low: int, hole: bool) -> None:
    parts = [(MIB, 3 * GIB, 1), (4 * GIB - MIB, end, 1)] if hole else [(MIB, end, 1)]
    boot = ran(mapped("6.12", *parts), "e820__end_of_ram_pfn")
    assert (boot.max_pfn, boot.max_low_pfn) == (end // PAGE_SIZE, low // PAGE_SIZE)
    split = ran(mapped("6.12", (MIB, 3 * GIB, 1), (4 * GIB, 6 * GIB, 1)), "e820__end_of_ram_pfn")
    assert split.max_low_pfn == 3 * GIB // PAGE_SIZE


def test_ram_behind_what_tables_of_four_levels_reach_is_no_end() -> None:
    boot = ran(mapped("6.12", (MIB, GIB, 1), ((1 << 46) - GIB, (1 << 46) + GIB, 1)), "e820__end_of_ram_pfn")
    assert boot.max_pfn == 1 << 34
    above = ran(mapped("6.12", (MIB, GIB, 1), (1 << 46, (1 << 46) + GIB, 1)), "e820__end_of_ram_pfn")
    assert above.max_pfn == GIB // PAGE_SIZE


@pytest.mark.parametrize(("limit", "lost"), [(2 * GIB, 0), (2 * GIB - PAGE_SIZE, 0), (GIB, 1024), (GIB - MIB, 1025)])
def test_ram_that_is_no_write_back_memory_goes(limit: int, lost: int) -> None:
    boot = mapped("6.12", (MIB, 2 * GIB, 1), (3 * GIB, 4 * GIB, 2), mtrr_limit=limit)
    ran(boot, "e820__end_of_ram_pfn")
    text = f"WARNING: BIOS bug: CPU MTRRs don't cover all of memory, losing {lost}MB of RAM."
    assert warned(boot) == [text] * (limit < 2 * GIB)
    assert boot.max_pfn == boot.max_possible_pfn == limit // PAGE_SIZE
    assert [(start, end) for start, end, kind in boot.e820 if kind == 1] == [(MIB, limit)]


def test_what_becomes_memory_and_what_is_reserved() -> None:
    entries = ((0, 640 * KIB, 1), (MIB, GIB, 128), (GIB, 2 * GIB, 2), (2 * GIB, 3 * GIB, E820_SOFT_RESERVED))
    boot = boot_of("6.12", BARE, (8 * GIB, 8 * GIB + PAGE_SIZE))
    boot.e820 = E820Table([E820Entry(*entry) for entry in entries], 100, boot.printk)
    ran(boot, "e820__memblock_setup")
    assert changes(boot) == [("add", 0, 640 * KIB), ("add", MIB, GIB), ("reserve", 2 * GIB, 3 * GIB)]
    assert boot.memblock.current_limit == MIB


def test_without_a_whole_page_of_ram_the_boot_ends() -> None:
    boot = Boot(BARE, find_kernel("6.12"))
    boot.e820 = E820Table([E820Entry(100, 5000, 1), E820Entry(MIB, GIB, 2)], 100, boot.printk)
    with pytest.raises(BootPanic, match="No usable memory"):
        ran(boot, "e820__memblock_setup")


def test_a_full_table_takes_no_more() -> None:
    said: list[str] = []
    made = E820Table([E820Entry(n * MIB, n * MIB + 1) for n in range(4)], 3, said.append)
    assert len(made) == 3
    assert said == ["e820: too many entries; ignoring [mem 0x00300000-0x00300000]"]
    # A range that is cut in the middle needs room for its second half.
    made.range_remove(2 * MIB, 2 * MIB + 1, None)
    assert [start for start, _, _ in made] == [0, MIB, 0]


@pytest.mark.parametrize("count", [0, 1])
def test_a_table_that_the_kernel_refuses(count: int) -> None:
    entries = (E820Entry(MIB, GIB),)[:count]
    with pytest.raises(memplan.NotCoveredError, match="fewer than two entries"):
        ran(boot_of("6.12", Machine(e820=entries)), "e820__memory_setup")


def test_entries_that_setup_data_adds() -> None:
    more = SetupData(GIB, 40, type=1, e820=(E820Entry(4 * GIB, 5 * GIB),))
    other = SetupData(GIB, 40, type=2, e820=(E820Entry(8 * GIB, 9 * GIB),))
    subject = Machine(e820=(E820Entry(MIB, GIB), E820Entry(0, 640 * KIB)), setup_data=(more, other))
    boot = ran(boot_of("6.12", subject), "e820__memory_setup")
    expected = [(0, 640 * KIB, 1), (MIB, GIB, 1), (4 * GIB, 5 * GIB, 1)]
    assert list(boot.e820) == list(boot.e820_firmware) == expected
    boot.e820.clear()
    assert list(boot.e820_firmware) == expected


@pytest.mark.parametrize("more", [0, 1])
def test_a_map_with_more_entries_than_there_is_room_for(more: int) -> None:
    """128 of the loader's and three a node; what does not fit is told as trouble, and no RAM."""
    room = 128 + 3 * 64
    entries = tuple(E820Entry(number * MIB, number * MIB + PAGE_SIZE) for number in range(room + more))
    boot = ran(boot_of("6.12", Machine(e820=entries), facts={"config.NODES_SHIFT": 6}), "e820__memory_setup")
    assert len(boot.e820) == room
    last = room * MIB
    assert warned(boot) == [f"e820: too many entries; ignoring [mem {last:#010x}-{last + PAGE_SIZE - 1:#010x}]"] * more
