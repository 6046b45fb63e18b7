"""The memory map taken section by section, as mm/sparse.c does it: the same blocks in the same order."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memplan.boot.context import Boot
from memplan.boot.panic import BootPanic
from memplan.events import Change, Refused
from memplan.machine.model import Cpus
from memplan.owner import Owner, Purpose
from memplan.units import GIB, KIB, MIB, PAGE_SIZE, SECTION_SIZE, SIZE_2M, TIB
from tests.boot.bootlog import one_by_one
from tests.boot.steps.single import EMPTY, boot_of, changes, ran, told, warned

#: One of each way in which memory maps are made.
VERSIONS = ("3.13", "4.15", "4.19", "5.3", "5.4.0", "5.10", "6.12", "7.1", "7.2", "7.3")
PAGES = SECTION_SIZE // PAGE_SIZE
OWNER = Owner(Purpose.MEMORY_MAP)

Part = tuple[int, int, int]


class Walk:
    """One section after the other; what is left of a node's block is `block`."""

    def __init__(self, boot: Boot, version: str, pse: bool) -> None:
        self.boot, self.pse = boot, pse
        self.at = VERSIONS.index(version)
        self.tables: set[tuple[int, int]] = set()
        self.block = (0, 0)

    def since(self, version: str) -> bool:
        return self.at >= VERSIONS.index(version)

    def take(self, size: int, align: int, nid: int | None, low: int = 0, high: int = 0, **how: bool) -> int:
        return self.boot.memory.alloc(
            size, align, owner=OWNER, caller="", min_addr=low, max_addr=high, nid=nid, raw=True, **how
        )

    def free(self, start: int, end: int) -> None:
        self.boot.memory.free(start, end, owner=OWNER, caller="")

    def map_block(self, size: int, nid: int, **how: bool) -> int:
        align = SIZE_2M if not self.since("4.19") or self.since("5.10") else PAGE_SIZE
        return self.take(size, align, nid, 16 * MIB, int(self.since("7.1")), **how)

    def sections(self) -> dict[int, int]:
        """The node of each present section."""
        found: dict[int, int] = {}
        for start, end, nid in self.boot.memblock.pfn_ranges(None):
            for section in range(start // PAGES, -(-end // PAGES)):
                found.setdefault(section, nid or 0)
        return found

    def roots(self) -> None:
        each = PAGE_SIZE // self.boot.kernel.fact("struct.mem_section")
        if self.since("4.15"):
            self.take(8 * ((1 << 46) // SECTION_SIZE // each), 64, None)
        known: set[int] = set()
        for start, end, nid in list(self.boot.memblock.pfn_ranges(None)):
            for section in range(start // PAGES, -(-end // PAGES)):
                if section // each not in known:
                    known.add(section // each)
                    self.take(PAGE_SIZE, 64, nid)

    def usage_maps(self, count: int, nid: int) -> None:
        header = self.boot.kernel.fact("struct.mem_section_usage") if self.since("5.3") else 0
        size = count * (header + (64 if self.since("7.1") else 32))
        if self.since("7.1"):
            self.take(size, 64, nid)
            return
        goal = self.boot.nodes.node_data[nid][0] // SECTION_SIZE * SECTION_SIZE
        home = self.home_of(goal // PAGE_SIZE)
        if not self.take(size, 64, home, goal, goal + SECTION_SIZE):
            self.take(size, 64, home, goal)

    def home_of(self, pfn: int) -> int:
        """The node of a page; the first one where that is no RAM."""
        homes = [nid for start, end, nid in self.boot.memblock.pfn_ranges(None) if start <= pfn < end]
        return (homes[0] if homes else 0) or 0

    def table(self, shift: int, address: int, nid: int) -> None:
        if (shift, address >> shift) not in self.tables:
            self.tables.add((shift, address >> shift))
            self.take(PAGE_SIZE, PAGE_SIZE, nid, 16 * MIB, int(self.since("7.1")))

    def from_block(self, size: int, nid: int) -> None:
        start = -(-self.block[0] // size) * size
        if self.block[0] and start + size <= self.block[1]:
            if self.since("5.4.0") and start > self.block[0]:
                self.free(self.block[0], start)
            self.block = start + size, self.block[1]
        else:
            assert self.take(size, size, nid, 16 * MIB, int(self.since("7.1")))

    def populate(self, section: int, nid: int) -> None:
        address = section * SIZE_2M
        self.table(39, address, nid)
        self.table(30, address, nid)
        if self.pse:
            self.from_block(SIZE_2M, nid)
            return
        self.table(21, address, nid)
        for _ in range(SIZE_2M // PAGE_SIZE):
            self.from_block(PAGE_SIZE, nid)

    def all(self) -> None:
        self.roots()
        runs: list[tuple[int, list[int]]] = []
        for section, nid in sorted(self.sections().items()):
            if not runs or runs[-1][0] != nid:
                runs.append((nid, []))
            runs[-1][1].append(section)
        if self.since("4.19"):
            for nid, sections in runs:
                self.usage_maps(len(sections), nid)
                size = len(sections) * SIZE_2M
                # Since 7.2 there is no block; each section takes its own.
                start = 0 if self.since("7.2") else self.map_block(size, nid, exact=self.since("5.10"))
                self.block = (start, start + size) if start else (0, 0)
                for section in sections:
                    self.populate(section, nid)
                if self.block[0] < self.block[1]:
                    self.free(*self.block)
            return
        first = self.take(4 * MIB, 64, None)
        for nid, sections in runs:
            self.usage_maps(len(sections), nid)
        second = self.take(4 * MIB, 64, None)
        for nid, sections in runs:
            size = len(sections) * SIZE_2M
            start = self.map_block(size, nid)
            self.block = (start, start + size) if start else (0, 0)
            for section in sections:
                self.populate(section, nid)
            if start:
                self.free(*self.block)
        self.free(second, second + 4 * MIB)
        self.free(first, first + 4 * MIB)


def booted(version: str, ram: list[Part], taken: list[tuple[int, int]], pse: bool) -> Boot:
    """A boot with NODE_DATA at each node's top."""
    facts = {"config.MEMORY_HOTREMOVE": True, "config.HUGETLB_PAGE": True, "config.MEMORY_ISOLATION": True}
    boot = boot_of(version, EMPTY._replace(cpus=Cpus(pse=pse)), *ram, reserved=tuple(taken), facts=facts)
    for start, end, nid in ram:
        boot.nodes.node_data[nid] = (max(start, end - 64 * PAGE_SIZE), end)
    for start, end in boot.nodes.node_data.values():
        boot.memblock.reserve(start, end - start)
    boot.recorder.events.clear()
    return boot


@st.composite
def layouts(draw: st.DrawFn) -> list[Part]:
    """Up to six ranges of up to three nodes, in units of 16 MiB; the first one has room for all that is taken."""
    ram = [(MIB, 16 * MIB * draw(st.integers(40, 70)), 0)]
    for _ in range(draw(st.integers(0, 5))):
        start = ram[-1][1] + 16 * MIB * draw(st.sampled_from((0, 0, 1, 8, 20)))
        nid = draw(st.integers(0, 2))
        if start == ram[-1][1] and nid == ram[-1][2]:
            continue
        ram.append((start, start + 16 * MIB * draw(st.integers(2, 40)), nid))
    return ram


@settings(deadline=None, derandomize=True, max_examples=150)
@given(
    st.sampled_from(VERSIONS),
    layouts(),
    st.lists(st.tuples(st.integers(0, 400), st.integers(1, 3000)), max_size=6),
    st.booleans(),
)
def test_sections_one_by_one(version: str, ram: list[Part], taken: list[tuple[int, int]], pse: bool) -> None:
    """`taken` are pages near the ends of what is free: units of 4 MiB, and pages in them."""
    blocks = [(place * 4 * MIB, place * 4 * MIB + pages % 1024 * PAGE_SIZE) for place, pages in taken]
    boots = [booted(version, ram, [block for block in blocks if block[0] < block[1]], pse) for _ in range(2)]
    Walk(boots[0], version, pse).all()
    ran(boots[1], "sparse_init")
    assert one_by_one(boots[1]) == one_by_one(boots[0])
    assert warned(boots[1]) == []


def test_usage_maps_in_another_section_are_told_of() -> None:
    """Where NODE_DATA's section has no room, each depends on the other, or the node on another one."""
    ram = [(MIB, GIB, 0), (GIB, 2 * GIB, 1)]
    boot = booted("6.12", ram, [(GIB - SECTION_SIZE, GIB), (2 * GIB - SECTION_SIZE, 2 * GIB)], True)
    boot.nodes.node_data[1] = GIB // 2, GIB // 2 + PAGE_SIZE
    boot.memblock.reserve(GIB // 2, SECTION_SIZE)
    ran(boot, "sparse_init")
    places = [start // SECTION_SIZE for _, start, _ in changes(boot, Purpose.SECTION_USAGE)]
    text = f"Section {places[0]} and 7 (node 0) have a circular dependency on usemap and pgdat allocations"
    lines = [line for line in told(boot) if line.startswith(("Section", "node"))]
    assert lines[0] == text
    assert places[1] != 4
    assert lines[1:] == [f"node 1 must be removed before remove section {places[1]}"]


@pytest.mark.parametrize(
    ("version", "config", "size"),
    [
        ("5.2", {}, 32),
        ("5.3", {}, 16 + 32),
        ("6.12", {}, 24 + 32),
        ("6.12", {"config.HUGETLB_PAGE": False}, 24 + 16),
        ("6.18", {}, 24 + 64),
        ("6.18", dict.fromkeys(("config.MEMORY_ISOLATION", "config.MEMORY_HOTPLUG", "config.CMA"), False), 24 + 32),
        ("6.18", {"config.MEMORY_ISOLATION": False, "config.CMA": False}, 24 + 64),
    ],
)
def test_the_usage_map_of_a_section(version: str, config: dict[str, bool], size: int) -> None:
    """Four bits for each 2 MiB (4 MiB without huge pages), eight since 6.17 where pages can be isolated."""
    known = {"config.HUGETLB_PAGE": True, "config.MEMORY_ISOLATION": True, "config.CMA": True}
    header = {"struct.mem_section_usage": 16 if version == "5.3" else 24} if version != "5.2" else {}
    boot = boot_of(version, EMPTY, (MIB, SECTION_SIZE), facts={**known, **header, **config})
    boot.nodes.node_data[0] = (SECTION_SIZE - PAGE_SIZE, SECTION_SIZE)
    ran(boot, "sparse_init")
    assert [end - start for _, start, end in changes(boot, Purpose.SECTION_USAGE)] == [size]


def test_a_node_s_map_that_can_t_be_had() -> None:
    ram = [(MIB, 64 * MIB, 0), (GIB, 100 * GIB, 1)]
    boot = booted("6.12", ram, [(GIB, 99 * GIB)], True)
    boot.memblock.reserve(99 * GIB, GIB)
    ran(boot, "sparse_init")
    assert warned(boot) == [
        "sparse_init_nid: node[1] memory map backing failed. Some memory will not be available.",
    ]


@pytest.mark.parametrize(
    ("large", "pages", "missing"),
    [
        # A page for the books of sections, one for their usage maps, two for tables; then small pages, and their table.
        (0, 1, "usemap for node 0"),
        (0, 3, "memmap for section 0"),
        (3, 4, "memmap for section 3"),
        (3, 4 + 512, "memmap for section 3"),
        (3, 4 + 513, "memmap for section 4"),
        (6, 4 + 513, "memmap for section 7"),
        (8, 4, ""),
        (7, 4 + 513, ""),
    ],
)
def test_a_map_that_can_t_be_had_is_the_end_since_7_3(large: int, pages: int, missing: str) -> None:
    """Eight sections, with so many blocks of 2 MiB and pages free; before, the rest went without a map."""
    free = ((512 * MIB, 512 * MIB + large * SIZE_2M), (769 * MIB, 769 * MIB + pages * PAGE_SIZE))
    taken = ((MIB, free[0][0]), (free[0][1], free[1][0]), (free[1][1], GIB))
    facts = {"config.MEMORY_HOTREMOVE": False}
    for version in ("7.2", "7.3"):
        boot = boot_of(version, EMPTY, (MIB, GIB), reserved=taken, facts=facts)
        boot.rules = boot.rules._replace(section_roots="static")
        if missing and version == "7.3":
            with pytest.raises(BootPanic, match=f"^Failed to allocate {missing}$"):
                ran(boot, "sparse_init")
        else:
            ran(boot, "sparse_init")
            assert len(warned(boot)) == bool(missing)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("edge", [0, 1, 100])
def test_a_node_whose_map_has_more_tables(version: str, edge: int) -> None:
    """A table of the map covers 512 sections: the second one begins `edge` sections into node 1, or in its middle."""
    start = (512 - edge) * SECTION_SIZE
    behind = start + 400 * SECTION_SIZE
    ram = [(MIB, start, 0), (start, start + 300 * SECTION_SIZE, 1), (behind, behind + 550 * SECTION_SIZE, 1)]
    boots = [booted(version, ram, [], True) for _ in range(2)]
    Walk(boots[0], version, True).all()
    ran(boots[1], "sparse_init")
    assert one_by_one(boots[1]) == one_by_one(boots[0])


@pytest.mark.parametrize("version", ["3.13", "6.12"])
def test_without_hot_remove_usage_maps_lie_anywhere_on_their_node(version: str) -> None:
    ram = [(MIB, GIB, 0), (GIB, 2 * GIB, 1)]
    for config, least in ((True, SECTION_SIZE), (False, 0)):
        boot = boot_of(version, EMPTY, *ram, facts={"config.MEMORY_HOTREMOVE": config})
        boot.nodes.node_data = {nid: (low := nid * GIB + SECTION_SIZE, low + PAGE_SIZE) for nid in (0, 1)}
        ran(boot, "sparse_init")
        asked = [
            event.request
            for event in boot.recorder.events
            if isinstance(event, Change) and event.owner.kind is Purpose.SECTION_USAGE and event.request
        ]
        assert [(request.min_addr, request.nid) for request in asked] == [(least, 0), (least and GIB + least, 1)]


def names(boot: Boot, kind: Purpose) -> list[str]:
    """The functions that the log names before what was taken for that purpose, each once."""
    found = [
        boot.wording.request(event.request, event.caller).split(":")[0]
        for event in boot.recorder.events
        if isinstance(event, Change) and event.owner.kind is kind and event.request and event.op == "reserve"
    ]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize(
    ("version", "block", "tables"),
    [
        ("4.14", "memblock_virt_alloc_try_nid", "memblock_virt_alloc_try_nid"),
        ("4.15", "memblock_virt_alloc_try_nid_raw", "memblock_virt_alloc_try_nid_raw"),
        ("4.18", "memblock_virt_alloc_try_nid_raw", "memblock_virt_alloc_try_nid_raw"),
        ("5.3", "memblock_alloc_try_nid_raw", "memblock_alloc_try_nid_raw"),
        ("5.10", "memblock_alloc_exact_nid_raw", "memblock_alloc_try_nid_raw"),
        ("6.12", "memblock_alloc_exact_nid_raw", "memblock_alloc_try_nid_raw"),
        ("7.2", "memblock_alloc_try_nid_raw", "memblock_alloc_try_nid_raw"),
    ],
)
def test_what_the_log_calls_the_memory_map_s_allocations(version: str, block: str, tables: str) -> None:
    """Without clearing what is taken (_raw), since 4.15; on no other node, since 5.10 (5.6) and up to 7.1."""
    boot = ran(booted(version, [(MIB, 2 * GIB, 0)], [], True), "sparse_init")
    assert names(boot, Purpose.MEMORY_MAP) == [block]
    if version != "4.14":
        assert names(boot, Purpose.VMEMMAP_TABLES) == [tables]


@pytest.mark.parametrize("levels", [4, 5])
def test_a_map_across_all_of_its_tables(levels: int) -> None:
    """A section has 2 MiB of the map: a table for 64 GiB of RAM, one for 32 TiB, and with five levels one for all."""
    cpus = Cpus(la57=levels == 5)
    facts = {"config.X86_5LEVEL": True, "config.MEMORY_HOTREMOVE": False}
    top = 32 * TIB
    ram = ((MIB, 4 * GIB, 0), (top - 2 * SECTION_SIZE, top + 2 * SECTION_SIZE, 1), (top + 64 * GIB, top + 65 * GIB, 1))
    boot = ran(boot_of("6.12", EMPTY._replace(cpus=cpus), *ram, facts=facts), "sparse_init")
    tables = dict.fromkeys((0, 1), 0)
    for _, start, _ in changes(boot, Purpose.VMEMMAP_TABLES):
        tables[int(start >= top - 2 * SECTION_SIZE)] += 1
    # Node 1 has two sections below 32 TiB, two above, and more behind the next 64 GiB.
    assert tables == {0: levels - 2, 1: 1 + 2 + 1}


@pytest.mark.parametrize("version", ["4.19", "6.12"])
def test_a_node_without_room_for_its_usage_maps_has_no_memory_map(version: str) -> None:
    ram = [(MIB, GIB, 0), (GIB, 2 * GIB, 1)]
    boot = boot_of(version, EMPTY, *ram, facts={"config.MEMORY_HOTREMOVE": False})
    boot.memblock.reserve(MIB, GIB - MIB - 2 * PAGE_SIZE)
    boot.memblock.reserve(GIB, GIB)
    # The second page is left for the books of sections; then nothing is.
    boot.memblock.reserve(GIB - 2 * PAGE_SIZE, PAGE_SIZE)
    boot.rules = boot.rules._replace(section_roots="static")
    boot.recorder.events.clear()
    ran(boot, "sparse_init")
    assert warned(boot) == [f"sparse_init_nid: node[{nid}] usemap allocation failed" for nid in (0, 1)]
    assert changes(boot, Purpose.MEMORY_MAP) == []


def test_usage_maps_of_a_node_without_node_data_are_asked_for_at_its_null_pointer() -> None:
    """Its place is what __pa makes of a null pointer: what the direct map's base lacks to 2^64."""
    boot = boot_of("6.1", EMPTY, (MIB, GIB, 0), (GIB, 2 * GIB, 1), facts={"config.MEMORY_HOTREMOVE": True})
    boot.nodes.node_data[0] = (GIB - PAGE_SIZE, GIB)
    ran(boot, "sparse_init")
    asked = [
        event.request
        for event in boot.recorder.events
        if isinstance(event, Change | Refused) and event.owner == Owner(Purpose.SECTION_USAGE, 1) and event.request
    ]
    goal = (1 << 64) - 0xFFFF888000000000
    assert [(request.min_addr, request.max_addr) for request in asked] == [(goal, goal + SECTION_SIZE)]


def test_usage_maps_on_both_sides_of_a_section_s_end() -> None:
    """What lies in NODE_DATA's own section needs no word; the rest, in the next one, gets its line."""
    home = 7 * SECTION_SIZE
    facts = {"config.MEMORY_HOTREMOVE": True, "config.HUGETLB_PAGE": True, "struct.mem_section_usage": 32}
    edge = home + SECTION_SIZE
    # The table of roots takes the last 32 KiB, and the sections' entries the page below.
    taken = ((MIB, edge - KIB), (edge + KIB, 4 * GIB - 36 * KIB))
    boot = boot_of("6.12", EMPTY, (MIB, 4 * GIB), reserved=taken, facts=facts)
    boot.nodes.node_data[0] = (home, home + PAGE_SIZE)
    ran(boot, "sparse_init")
    # 32 sections of 64 bytes each.
    assert changes(boot, Purpose.SECTION_USAGE) == [("reserve", edge - KIB, edge + KIB)]
    text = "Section 8 and 7 (node 0) have a circular dependency on usemap and pgdat allocations"
    assert [line for line in told(boot) if line.startswith(("Section", "node"))] == [text]


def test_usage_maps_in_the_first_section_of_their_own_node() -> None:
    """NODE_DATA's section has no room, nor has any but the node's first, which is the node's own all the same."""
    ram = ((MIB, GIB, 0), (GIB, 2 * GIB, 1))
    facts = {"config.MEMORY_HOTREMOVE": True}
    boot = boot_of("6.12", EMPTY, *ram, reserved=((GIB + SECTION_SIZE, 2 * GIB),), facts=facts)
    boot.nodes.node_data = {0: (GIB - PAGE_SIZE, GIB), 1: (GIB + GIB // 2, GIB + GIB // 2 + PAGE_SIZE)}
    ran(boot, "sparse_init")
    text = "Section 8 and 12 (node 1) have a circular dependency on usemap and pgdat allocations"
    assert [line for line in told(boot) if line.startswith(("Section", "node"))] == [text]


def test_where_tables_of_the_map_can_t_be_had_the_map_itself_is_not_asked_for() -> None:
    """What is free goes to the books of sections, and then nothing is left."""
    boot = boot_of("6.12", EMPTY, (MIB, 2 * GIB), facts={"config.MEMORY_HOTREMOVE": False})
    boot.memblock.reserve(MIB, GIB - MIB)
    boot.memblock.reserve(GIB + 40 * KIB, GIB - 40 * KIB)
    usage = 16 * (boot.kernel.fact("struct.mem_section_usage") + 32)
    boot.memblock.reserve(GIB, 40 * KIB - 36 * KIB - -(-usage // 64) * 64)
    boot.recorder.events.clear()
    ran(boot, "sparse_init")
    assert len(changes(boot, Purpose.SECTION_USAGE)) == 1
    refused = [(e.caller, e.request.size) for e in boot.recorder.events if isinstance(e, Refused)]
    assert refused == [("sparse_buffer_init", 16 * SIZE_2M), ("vmemmap_alloc_block_zero", PAGE_SIZE)]
