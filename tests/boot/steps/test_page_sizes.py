"""Which page sizes the direct map may have: CPU, configuration and options (arch/x86/mm/init.c)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memplan.boot.steps.page_tables import init_mem_mapping, probe_page_size_mask, set_current_limit
from memplan.machine.model import Cpus, KernelImage
from memplan.units import GIB, MIB, PAGE_SIZE, TIB
from tests.boot.steps.single import EMPTY, boot_of, changes, ran, told

GBPAGES = "Using GB pages for direct mapping"
CONFIG = {"DIRECT_GBPAGES": False, "X86_DIRECT_GBPAGES": True, "DEBUG_PAGEALLOC": False, "KMEMCHECK": False}


@pytest.mark.parametrize(
    ("version", "words", "config", "cpu", "sizes"),
    [
        ("6.12", "", {}, {}, (True, True)),
        ("6.12", "nogbpages", {}, {}, (True, False)),
        ("6.12", "nogbpages gbpages", {}, {}, (True, True)),
        ("6.12", "gbpages nogbpages", {}, {}, (True, False)),
        ("6.12", "", {"X86_DIRECT_GBPAGES": False}, {}, (True, False)),
        ("6.12", "gbpages", {"X86_DIRECT_GBPAGES": False}, {}, (True, True)),
        ("3.13", "", {"X86_DIRECT_GBPAGES": False, "DIRECT_GBPAGES": True}, {}, (True, True)),
        ("6.12", "", {}, {"gbpages": False}, (True, False)),
        ("6.12", "", {}, {"pse": False}, (False, False)),
        # Up to 4.11 pages of 1 GiB do without those of 2 MiB.
        ("4.11", "", {}, {"pse": False}, (False, True)),
        ("4.12", "", {}, {"pse": False}, (False, False)),
        # Page-allocation debugging: by the configuration alone up to 4.5, then by the option.
        ("4.5", "", {"DEBUG_PAGEALLOC": True}, {}, (False, False)),
        ("4.5", "", {"KMEMCHECK": True}, {}, (False, False)),
        ("4.5", "debug_pagealloc=on", {}, {}, (True, True)),
        ("4.6", "", {"DEBUG_PAGEALLOC": True}, {}, (True, True)),
        ("4.6", "debug_pagealloc=on", {"DEBUG_PAGEALLOC": True}, {}, (False, False)),
        ("6.12", "debug_pagealloc=on", {}, {}, (True, True)),
        ("6.12", "debug_pagealloc=1", {"DEBUG_PAGEALLOC": True}, {}, (False, False)),
        ("6.12", "debug_pagealloc=off", {"DEBUG_PAGEALLOC": True}, {}, (True, True)),
        ("6.12", "", {"DEBUG_PAGEALLOC": True, "DEBUG_PAGEALLOC_ENABLE_DEFAULT": True}, {}, (False, False)),
        (
            "6.12",
            "debug_pagealloc=off",
            {"DEBUG_PAGEALLOC": True, "DEBUG_PAGEALLOC_ENABLE_DEFAULT": True},
            {},
            (True, True),
        ),
    ],
)
def test_page_sizes(
    version: str, words: str, config: dict[str, bool], cpu: dict[str, bool], sizes: tuple[bool, bool]
) -> None:
    cpus = Cpus(pse=cpu.get("pse", True), gbpages=cpu.get("gbpages", True))
    facts = {f"config.{name}": value for name, value in {**CONFIG, **config}.items()}
    boot = boot_of(version, EMPTY._replace(cmdline=words, cpus=cpus), facts=facts)
    assert tuple(probe_page_size_mask(boot)) == sizes
    # Up to 4.11 they are told of although debugging keeps the map from using them.
    assert (GBPAGES in told(boot)) is (sizes[1] or (version in ("4.5", "4.6") and not sizes[0]))


@pytest.mark.parametrize(
    ("version", "la57", "active", "pages"),
    [
        ("3.13", False, True, []),
        ("4.7", False, True, []),
        ("4.8", False, True, ["pud"]),
        ("5.1", True, True, ["p4d"]),
        ("5.2", True, True, ["pud", "p4d"]),
        ("6.12", False, True, ["pud"]),
        ("6.12", True, True, ["pud", "p4d"]),
        ("6.12", True, False, []),
    ],
)
def test_tables_of_the_trampoline(version: str, la57: bool, active: bool, pages: list[str]) -> None:
    """With KASLR's memory randomisation, behind those of the first megabyte."""
    machine = EMPTY._replace(cpus=Cpus(la57=la57), kernel=KernelImage(version, randomized=active))
    facts = {"config.RANDOMIZE_MEMORY": True, "config.X86_5LEVEL": la57}
    boot = boot_of(version, machine, (PAGE_SIZE, 640 * 1024), (MIB, GIB), facts=facts)
    ran(boot, "early_alloc_pgt_buf")
    boot.direct_map.max_pfn_mapped = 0
    init_mem_mapping(boot)
    runs = boot.direct_map.table_runs
    assert [run.level for run in runs if run.mapped == (0, 0) for _ in range(run.pages)] == pages
    assert boot.direct_map.max_pfn_mapped == GIB // PAGE_SIZE
    set_current_limit(boot)
    assert boot.memblock.current_limit == GIB
    assert boot.memory.mapped is boot.direct_map.mapped


@pytest.mark.parametrize(("version", "allocates"), [("5.14", False), ("5.15", True)])
def test_where_the_mapping_begins(version: str, allocates: bool) -> None:
    """The highest 2 MiB that are free; since 5.15 they are taken and given back."""
    boot = boot_of(version, EMPTY, (PAGE_SIZE, 640 * 1024), (MIB, GIB), reserved=((GIB - 3 * MIB, GIB),))
    ran(boot, "early_alloc_pgt_buf", "init_mem_mapping")
    probe = (GIB - 6 * MIB, GIB - 4 * MIB)
    assert changes(boot)[:2] == [("reserve", *probe), ("free", *probe)] * allocates
    assert boot.max_low_pfn == boot.max_pfn == GIB // PAGE_SIZE


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 40)), min_size=1, max_size=5),
    st.integers(0, 3),
    st.booleans(),
)
def test_steps_through_holes_are_as_good_as_one(parts: list[tuple[int, int]], scale: int, bottom_up: bool) -> None:
    """However far apart RAM lies, all of it is mapped, and nothing else but the rest of its last pages."""
    unit = (128 * MIB, GIB, 100 * GIB, TIB // 4)[scale]
    ram = [(PAGE_SIZE, 640 * 1024), (MIB, GIB)]
    for hole, size in parts:
        start = ram[-1][1] + hole * unit
        ram.append((start, start + size * unit))
    boot = boot_of("6.12", EMPTY._replace(cpus=Cpus(gbpages=False)), *ram)
    ran(boot, "early_alloc_pgt_buf")
    boot.direct_map.max_pfn_mapped = 0
    boot.memblock.bottom_up = bottom_up
    boot.memblock.reserve(16 * MIB, 64 * MIB)
    init_mem_mapping(boot)
    mapped = {(start * PAGE_SIZE, end * PAGE_SIZE) for start, end in boot.direct_map.mapped}
    joined: list[list[int]] = [[0, MIB]]
    for start, end in ram[1:]:
        if start <= joined[-1][1]:
            joined[-1][1] = end
        else:
            joined.append([start, end])
    assert mapped == {(start, end) for start, end in joined}
    assert boot.direct_map.max_pfn_mapped == ram[-1][1] // PAGE_SIZE
    low = max(min(end, 4 * GIB) for start, end in ram if start < 4 * GIB)
    assert boot.direct_map.max_low_pfn_mapped == low // PAGE_SIZE
