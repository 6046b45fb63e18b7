"""Page tables of the direct map: against real boots, and against a walk that goes entry by entry as a kernel does."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memplan.boot.context import Boot
from memplan.boot.panic import BootPanic
from memplan.boot.parameters import Parameters
from memplan.boot.steps.kernel_tables import setup_cpu_entry_areas
from memplan.boot.steps.page_tables import early_alloc_pgt_buf, init_mem_mapping
from memplan.events import Message
from memplan.kernel.load import find_kernel
from memplan.machine.model import Cpus, KernelImage, Machine
from memplan.owner import Purpose
from memplan.plan import MappedRange
from memplan.units import GIB, MIB, PAGE_SIZE, SIZE_2M, TIB, round_down, round_up
from tests.boot.bootlog import BUILDS, BootLog, Event, one_by_one, requests
from tests.boot.steps.single import told, warned

CPUS = Cpus()
#: Versions that print what they map.  They also take 1 GiB pages without 2 MiB pages.
TELLING = ("3.13", "4.1")
MAPPING = ("alloc_low_pages", "init_mem_mapping")


@pytest.mark.parametrize(
    ("name", "gbpages"),
    [
        ("plain-64g-2m-pages-3.13", False),
        ("plain-64g-2m-pages-5.10", False),
        ("plain-64g-2m-pages-6.12", False),
        ("plain-64g-2m-pages-bottom-up-3.13", False),
        ("plain-64g-2m-pages-bottom-up-6.1", False),
        ("hot3-4level-2m-6.12", False),
        ("hot1-4k-pages-5.10", True),
        ("plain-2g-4k-pages-5.10", True),
        ("plain-4g-4level-6.1", True),
        ("ovmf-hot1-3.13", True),
        ("hot1-top-6.1", True),
    ],
)
def test_real_boots_take_the_same_pages(name: str, gbpages: bool) -> None:
    log = BootLog(name)
    events = log.events(log.dumps[0], log.dumps[1])
    first = next((i for i, event in enumerate(events) if event.asker in MAPPING), None)
    real = [event[:3] for event in events if event.asker in MAPPING]
    boot = log.boot(0, gbpages=gbpages)
    for event in events[:first] if first is not None else lowest(events):
        boot.memblock.reserve(event.start, event.end - event.start)
    place_brk(log, boot)
    boot.memblock.bottom_up = boot.params.movable_node
    boot.recorder.events.clear()

    init_mem_mapping(boot)

    assert one_by_one(boot) == real
    said = "Using GB pages for direct mapping"
    assert any(isinstance(event, Message) and event.text == said for event in boot.recorder.events) == (
        said in log.lines
    )


def lowest(events: list[Event]) -> list[Event]:
    """The reservations of the first megabyte, which come before the mapping."""
    return [event for event in events if event.end <= MIB]


def place_brk(log: BootLog, boot: Boot) -> None:
    """Lays the buffer at the end of the brk that the log reserves, wherever the kernel was loaded."""
    brk = [e for e in log.events(0, log.dumps[0]) if e.op == "reserve" and e.asker == "setup_arch"][-1]
    early_alloc_pgt_buf(boot)
    pages = boot.pgt_buffer[1] - boot.pgt_buffer[0]
    image = KernelImage(load_address=boot.params.kernel_start + brk.start - boot.params.brk_start)
    boot.params = Parameters(boot.machine._replace(kernel=image), boot.kernel)
    boot.memblock.kernel_end = boot.params.kernel_end
    boot.brk_end = brk.end
    boot.pgt_buffer = (brk.end - pages, brk.end)


class Walk:
    """The reference: tables as sets of single units, entered one by one, each page asked for on its own."""

    def __init__(self, boot: Boot, version: str, gbpages: bool, pse: bool) -> None:
        self.boot = boot
        self.version = version
        self.pse, self.gbpages = pse, gbpages
        self.parts: list[tuple[int, int]] = []
        #: The same to the ends of their last pages.
        self.mapped: list[tuple[int, int]] = []
        self.tables: set[tuple[int, int]] = set()
        self.large: dict[tuple[int, int], int] = {}
        self.next, self.top = boot.pgt_buffer
        self.can_use_brk = True
        self.low = self.high = 0
        self.brk: list[tuple[int, int]] = []

    def page(self, shift: int) -> None:
        if self.next < self.top and self.can_use_brk:
            self.brk.append((shift, self.next))
            self.next += PAGE_SIZE
            return
        found = 0
        if self.low < self.high:
            found = self.boot.memory.phys_alloc_range(
                PAGE_SIZE, PAGE_SIZE, self.low, self.high, owner=Purpose.PAGE_TABLES, caller=""
            )
        if not found:
            raise BootPanic("", "")

    def table(self, shift: int, number: int) -> None:
        if (shift, number) not in self.tables:
            self.page(shift)
            self.tables.add((shift, number))

    def piece(self, start: int, end: int, large: tuple[bool, bool]) -> int:
        """Maps ``[start, end)`` entry by entry and gives the end of the last page."""
        base = self.boot.params.direct_map_base
        at = last = start
        while at < end:
            if self.boot.params.levels == 5:
                self.table(48, (base + at) >> 48)
            self.table(39, (base + at) >> 39)
            if large[1] and (30, at >> 30) not in self.tables:
                at = last = round_down(at, GIB) + GIB
                continue
            self.table(30, at >> 30)
            if large[0] and (21, at >> 21) not in self.tables:
                at = last = round_down(at, SIZE_2M) + SIZE_2M
                continue
            # The other pages of this table's 2M need nothing more.
            self.table(21, at >> 21)
            at = last = min(round_down(at, SIZE_2M) + SIZE_2M, end)
        return last

    def sizes(self, start: int, end: int, at: int) -> tuple[int, tuple[bool, bool]]:
        """Where the piece that begins at `at` ends, and its large pages."""
        if at % SIZE_2M or end - at < SIZE_2M:
            stop, pmd, pud = min(round_up(at, SIZE_2M), end) if at % SIZE_2M else end, False, False
        elif at % GIB == 0 and end - at >= GIB:
            stop, pmd, pud = round_down(end, GIB), self.pse, self.gbpages
        else:
            stop, pmd, pud = min(round_up(at + 1, GIB), round_down(end, SIZE_2M)), self.pse, False
        whole = self.boot.memblock.is_region_memory
        for size in (SIZE_2M, GIB):
            low, high = round_down(at, size), round_up(stop, size)
            if whole(low, high - low):
                pmd, pud = pmd or (self.pse and size == SIZE_2M), pud or (self.gbpages and size == GIB)
        return stop, (pmd, pud)

    def part(self, start: int, end: int) -> None:
        self.parts.append((start, end))
        at = last = start
        while at < end:
            stop, large = self.sizes(start, end, at)
            last = self.piece(at, stop, large)
            at = stop
        self.high = max(self.high, last)
        self.mapped.append((start, last))

    def ram(self, start: int, end: int) -> int:
        new = 0
        for low_pfn, high_pfn, _ in list(self.boot.memblock.pfn_ranges(None)):
            low, high = max(low_pfn * PAGE_SIZE, start), min(high_pfn * PAGE_SIZE, end)
            if low < high:
                self.can_use_brk = not any(low <= page < high for page in range(self.next, self.top, PAGE_SIZE))
                self.part(low, high)
                self.can_use_brk = True
                new += high - low
        return new

    def map_all(self, end: int) -> None:
        boot = self.boot
        self.part(0, MIB)
        if boot.memblock.bottom_up:
            self.upwards(boot.params.kernel_end, end)
            self.upwards(MIB, boot.params.kernel_end)
            return
        top = self.highest_free(end)
        self.high = 0
        self.low = last = top
        step, total = SIZE_2M, 0
        while last > MIB:
            start = max(round_down(last - 1, step), MIB) if last > step else MIB
            step, total = self.grown(step, total, self.ram(start, last))
            last = self.low = start
        if top < end:
            self.ram(top, end)

    def highest_free(self, end: int) -> int:
        """The end of the highest free 2M, which later versions take and give back."""
        boot = self.boot
        if self.version != "6.1":
            return boot.memblock.find(MIB, end, SIZE_2M, SIZE_2M) + SIZE_2M
        place = boot.memory.phys_alloc_range(SIZE_2M, SIZE_2M, MIB, end, owner=Purpose.PAGE_TABLES, caller="")
        if not place:
            return max(MIB, round_down(end, SIZE_2M))
        boot.memory.free(place, place + SIZE_2M, owner=Purpose.PAGE_TABLES, caller="")
        return place + SIZE_2M

    def upwards(self, start: int, end: int) -> None:
        self.low = start
        step, total = SIZE_2M, 0
        while start < end:
            stop = min(round_up(start + 1, step), end) if end - start > step else end
            step, total = self.grown(step, total, self.ram(start, stop))
            start = stop

    def grown(self, step: int, before: int, new: int) -> tuple[int, int]:
        """The next step, and all that is mapped: 3.13 compares what is new with all before it."""
        if self.version == "3.13":
            return step * 32 if new > before else step, before + new
        return step * 256 if before + new >= step else step, before + new

    def mappings(self) -> tuple[MappedRange, ...]:
        """What is mapped by the size of its pages, each 2 MiB on its own and then neighbours as one."""
        found: list[MappedRange] = []
        for start, end in sorted(self.mapped):
            for unit in range(start // SIZE_2M, -(-end // SIZE_2M)):
                size = SIZE_2M if (21, unit) not in self.tables else PAGE_SIZE
                if (30, unit // 512) not in self.tables:
                    size = GIB
                low, high = max(start, unit * SIZE_2M), min(end, (unit + 1) * SIZE_2M)
                if found and found[-1].end >= low and found[-1].page_size == size:
                    low = found.pop().start
                found.append(MappedRange(low, high, size))
        return tuple(found)


def boot_of(ram: list[tuple[int, int]], build: str = BUILDS["6.1"], cpus: Cpus = CPUS) -> Boot:
    """A boot just before its mapping: the first megabyte and the kernel are reserved."""
    boot = Boot(Machine(e820=(), cmdline="nokaslr", cpus=cpus), find_kernel(build))
    for start, end in ram:
        boot.memblock.add(start, end - start)
    early_alloc_pgt_buf(boot)
    boot.memblock.reserve(0, MIB)
    boot.memblock.reserve(boot.params.kernel_start, boot.brk_end - boot.params.kernel_start)
    boot.memblock.kernel_end = boot.params.kernel_end
    boot.max_pfn = ram[-1][1] // PAGE_SIZE
    boot.recorder.events.clear()
    return boot


@st.composite
def ram_layouts(draw: st.DrawFn) -> list[tuple[int, int]]:
    """RAM of a PC: below 640K, from 1M past the kernel, and up to four regions more with ragged edges and gaps."""
    ram = [(PAGE_SIZE, 0x9F000), (MIB, MIB * draw(st.integers(160, 1500)) + PAGE_SIZE * draw(st.integers(0, 600)))]
    for _ in range(draw(st.integers(0, 4))):
        unit = draw(st.sampled_from((PAGE_SIZE, SIZE_2M, GIB)))
        start = round_up(ram[-1][1], unit) + unit * draw(st.integers(0, 3))
        end = start + PAGE_SIZE * draw(st.integers(1, 700)) + MIB * draw(st.integers(0, 1200))
        ram.append((start, round_up(end, draw(st.sampled_from((PAGE_SIZE, SIZE_2M, 512 * MIB))))))
    return ram


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(("3.13", "4.1", "5.10", "6.1")),
    ram_layouts(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_runs_equal_a_walk_entry_by_entry(
    version: str, ram: list[tuple[int, int]], pse: bool, gbpages: bool, la57: bool, bottom_up: bool
) -> None:
    # Above 2 GiB 3.13 loses what it finds upwards.
    bottom_up &= version != "3.13" or ram[-1][1] <= 2 * GIB
    cpus = Cpus(pse=pse, gbpages=gbpages, la57=la57)
    boots = [boot_of(ram, BUILDS.get(version, version), cpus=cpus) for _ in range(2)]
    for boot in boots:
        boot.memblock.bottom_up = bottom_up
    walk = Walk(boots[0], version, gbpages and (pse or version in TELLING), pse)
    assert_as_walked(walk, boots[1], ram[-1][1])


@pytest.mark.parametrize("version", TELLING)
@pytest.mark.parametrize("bottom_up", [False, True])
def test_ram_that_ends_where_a_step_does(version: str, bottom_up: bool) -> None:
    """Steps of 2 and 64 MiB and 2 GiB in 3.13, of 2 and 512 MiB since 3.19, and what each of them maps."""
    edges = (66 * MIB, 126 * MIB, 128 * MIB, 192 * MIB, 512 * MIB, 514 * MIB, GIB, 1536 * MIB)
    for end in sorted({edge + rest for edge in edges for rest in (-SIZE_2M, -PAGE_SIZE, 0, PAGE_SIZE, SIZE_2M)}):
        for hole in (0, 100 * MIB):
            ram = [(PAGE_SIZE, 0x9F000), (MIB, 64 * MIB), (64 * MIB + hole, end + hole)]
            boots = [boot_of(ram, BUILDS.get(version, version), cpus=Cpus(gbpages=False)) for _ in range(2)]
            for boot in boots:
                boot.memblock.bottom_up = bottom_up
            assert_as_walked(Walk(boots[0], version, False, True), boots[1], ram[-1][1])


@pytest.mark.parametrize("version", ["3.13", "5.10", "6.1"])
@pytest.mark.parametrize("rest", [0, PAGE_SIZE, SIZE_2M - PAGE_SIZE])
def test_ram_without_two_free_mebibytes(version: str, rest: int) -> None:
    """Each 2 MiB has a page that is taken: the mapping begins at 2 MiB, since 5.15 at the last ones."""
    ram = [(PAGE_SIZE, 0x9F000), (MIB, 160 * MIB + rest)]
    boots = [boot_of(ram, BUILDS[version], cpus=Cpus(pse=False, gbpages=False)) for _ in range(2)]
    for boot in boots:
        for start in range(0, 160 * MIB + rest, SIZE_2M):
            boot.memblock.reserve(start, PAGE_SIZE)
        boot.recorder.events.clear()
    walk = Walk(boots[0], version, False, False)
    assert_as_walked(walk, boots[1], ram[-1][1])
    end = SIZE_2M if version != "6.1" else 160 * MIB
    assert walk.parts[1] == (max(MIB, end - SIZE_2M), end)
    text = "Failed to release memory for alloc_low_pages()"
    assert warned(boots[1]) == [text] * (version == "6.1")


def assert_as_walked(walk: Walk, boot: Boot, end: int) -> None:
    """The mapping takes the pages that the walk takes, in their order, or fails as it does."""
    try:
        walk.map_all(end)
    except BootPanic:
        with pytest.raises(BootPanic):
            init_mem_mapping(boot)
        return
    init_mem_mapping(boot)

    assert one_by_one(boot) == one_by_one(walk.boot)
    lines = [f"init_memory_mapping: [mem {start:#010x}-{end - 1:#010x}]" for start, end in walk.parts]
    assert [text for text in told(boot) if "mapping: " in text] == lines * (walk.version in TELLING)
    assert boot.direct_map.max_pfn_mapped * PAGE_SIZE == walk.high
    low = max(min(end, 4 * GIB) for start, end in walk.mapped if start < 4 * GIB)
    assert boot.direct_map.max_low_pfn_mapped * PAGE_SIZE == low
    assert boot.direct_map.mappings == walk.mappings()
    runs = boot.direct_map.table_runs
    shifts = {"p4d": 48, "pud": 39, "pmd": 30, "pte": 21}
    assert walk.brk == [
        (shifts[run.level], page)
        for run in runs
        if run.source == "brk"
        for page in range(run.start, run.end, PAGE_SIZE)
    ]
    assert {level: sum(run.pages for run in runs if run.level == level) for level in shifts} == {
        level: sum(1 for table in walk.tables if table[0] == shift) for level, shift in shifts.items()
    }


@pytest.mark.parametrize(
    ("build", "bottom_up"), [("3.13", False), ("5.10", False), ("5.10", True), ("6.1", False), ("6.1", True)]
)
def test_sixty_tebibytes_with_small_pages_are_a_few_runs(build: str, bottom_up: bool) -> None:
    """Every 2M has a page of entries, every 1G one above it, every 512G one above that."""
    end = 60 * TIB
    boot = boot_of([(PAGE_SIZE, 0x9F000), (MIB, end)], BUILDS[build], cpus=Cpus(pse=False, gbpages=False))
    boot.memblock.bottom_up = bottom_up
    init_mem_mapping(boot)
    runs = boot.direct_map.table_runs
    pages = {level: sum(run.pages for run in runs if run.level == level) for level in ("pud", "pmd", "pte")}
    assert pages == {"pud": end // (512 * GIB), "pmd": end // GIB, "pte": end // SIZE_2M}
    assert boot.direct_map.mappings == (MappedRange(0, end, PAGE_SIZE),)
    assert len(boot.recorder.events) < 100


def test_a_top_table_of_five_levels_maps_256_tebibytes() -> None:
    boot = boot_of([(PAGE_SIZE, 0x9F000), (MIB, GIB), (256 * TIB - GIB, 256 * TIB + GIB)], cpus=Cpus(la57=True))
    init_mem_mapping(boot)
    pages = {
        level: sum(run.pages for run in boot.direct_map.table_runs if run.level == level) for level in ("p4d", "pud")
    }
    assert pages == {"p4d": 2, "pud": 3}


def test_upward_tables_of_3_13_must_lie_below_two_gibibytes() -> None:
    """__memblock_find_range_bottom_up's result passes through an int there (commit 79442ed189ac)."""
    boot = boot_of([(PAGE_SIZE, 0x9F000), (MIB, 8 * TIB)], BUILDS["3.13"], cpus=Cpus(pse=False, gbpages=False))
    boot.memblock.bottom_up = True
    with pytest.raises(BootPanic) as error:
        init_mem_mapping(boot)
    assert "0xffffffff80000000" in error.value.cause


def test_steps_grow_by_the_sum_of_what_is_mapped() -> None:
    """1 TiB and 1 GiB: after 2M and 510M the step is 128G; that maps 512M, then 128G, and only then is 32T.

    Pages come from what the steps before have mapped: the buffer is used up when the 128G step begins.
    """
    ram = [(PAGE_SIZE, 0x9F000), (MIB, 0xBFFE0000), (4 * GIB, 0x10040000000)]
    boot = boot_of(ram, cpus=Cpus(gbpages=False))
    init_mem_mapping(boot)
    windows = {tuple(text.split()[-2:]) for text in requests(boot) if " 4096 bytes" in text}
    assert windows == {(f"from={low:#018x}", "max_addr=0x0000010040000000") for low in (0x10000000000, 0xE000000000)}
    taken = [event for event in one_by_one(boot) if event[2] - event[1] == PAGE_SIZE]
    assert (len(taken), taken[0][1], taken[-1][1]) == (1013, 0x1003FFFF000, 0x1003FC0B000)


def test_mappings_tell_the_page_sizes() -> None:
    """RAM to 3 GiB less 128 KiB: its first and last 2 MiB are ragged, 1 GiB pages fit in between and above."""
    boot = boot_of([(PAGE_SIZE, 0x9F000), (MIB, 3 * GIB - 128 * 1024), (4 * GIB, 5 * GIB), (5 * GIB, 6 * GIB)])
    init_mem_mapping(boot)
    edge = 3 * GIB - SIZE_2M
    assert boot.direct_map.mappings == (
        MappedRange(0, SIZE_2M, PAGE_SIZE),
        MappedRange(SIZE_2M, GIB, SIZE_2M),
        MappedRange(GIB, 2 * GIB, GIB),
        MappedRange(2 * GIB, edge, SIZE_2M),
        MappedRange(edge, 3 * GIB - 128 * 1024, PAGE_SIZE),
        MappedRange(4 * GIB, 6 * GIB, GIB),
    )
    assert boot.direct_map.mapped.covers(4 * GIB // PAGE_SIZE, 6 * GIB // PAGE_SIZE)
    assert not boot.direct_map.mapped.covers(3 * GIB // PAGE_SIZE, 5 * GIB // PAGE_SIZE)


@pytest.mark.parametrize(
    ("build", "config", "pages"),
    [
        (BUILDS["3.13"], {}, 6),
        (BUILDS["5.10"], {}, 12),
        (BUILDS["6.1"], {}, 16),
        (BUILDS["6.1"], {"config.X86_5LEVEL": False}, 12),
        (BUILDS["6.1"], {"config.X86_5LEVEL": False, "config.RANDOMIZE_MEMORY": False}, 6),
    ],
)
def test_the_buffer_follows_the_configuration(build: str, config: dict[str, bool], pages: int) -> None:
    kernel = find_kernel(build)
    boot = Boot(Machine(e820=()), kernel._replace(facts={**kernel.facts, **config}))
    boot.brk_end = 0x1000321
    early_alloc_pgt_buf(boot)
    assert boot.pgt_buffer == (0x1001000, 0x1001000 + pages * PAGE_SIZE)
    assert boot.brk_end == boot.pgt_buffer[1]


@pytest.mark.parametrize(
    ("buffer", "missing", "window"),
    [
        # The first megabyte takes three pages of the buffer and the highest 2 MiB two; the 510 MiB below need 255.
        (16, 255 - 11, f"[mem {2 * GIB - SIZE_2M:#010x}-{2 * GIB - 1:#010x}]"),
        (2, 1, "none"),
    ],
)
def test_memory_that_is_all_taken_ends_the_boot(buffer: int, missing: int, window: str) -> None:
    """The window for table pages holds nothing free: the kernel panics."""
    boot = boot_of([(PAGE_SIZE, 0x9F000), (MIB, 2 * GIB)], cpus=Cpus(pse=False, gbpages=False))
    boot.pgt_buffer = boot.pgt_buffer[0], boot.pgt_buffer[0] + buffer * PAGE_SIZE
    boot.memblock.reserve(MIB, 2 * GIB - SIZE_2M - MIB)
    boot.memblock.reserve(2 * GIB - SIZE_2M + PAGE_SIZE, SIZE_2M - PAGE_SIZE)
    with pytest.raises(BootPanic) as error:
        init_mem_mapping(boot)
    assert error.value.text == "alloc_low_pages: can not alloc memory"
    text = f"the page tables need {missing} pages more, and RAM that is mapped so far ({window}) has too few free ones"
    assert error.value.cause == text


@pytest.mark.parametrize(
    ("build", "possible", "intel", "pages"),
    [
        ("5.10", 8, False, 3),
        ("5.10", 16, False, 4),
        ("5.10", 40, False, 7),
        ("6.1", 2, False, 3),
        ("6.12", 16, False, 4),
        # Nine areas of 59 pages and the IDT's pass 2 MiB, the last one's debug store with them.
        ("6.1", 9, True, 4),
        ("6.1", 9, False, 3),
    ],
)
def test_cpu_entry_areas_need_a_table_for_two_mebibytes(build: str, possible: int, intel: bool, pages: int) -> None:
    """The first five are what real boots allocated (spp_getpage), on AMD CPUs."""
    kernel = find_kernel(BUILDS[build])
    boot = Boot(Machine(e820=(), cpus=Cpus(possible=possible, intel=intel)), kernel)
    boot.memblock.add(MIB, GIB)
    setup_cpu_entry_areas(boot)
    taken = [event for event in one_by_one(boot) if event[0] == "reserve"]
    assert [end - start for _, start, end in taken] == [PAGE_SIZE] * pages
