"""Zones: what real kernels printed of them, and where ZONE_MOVABLE must begin by the rules of four versions."""

import lzma
import re
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

import memplan
from memplan.boot.context import Boot
from memplan.boot.panic import BootPanic
from memplan.boot.steps.zones import _core_pages, _required_kernelcore, _spread_kernelcore, free_area_init, memmap_init
from memplan.errors import NotCoveredError
from memplan.events import Change, Message
from memplan.firmware.combine import import_files
from memplan.kernel.load import override
from memplan.machine.model import CpuAffinity, Cpus, E820Entry, Machine, MemoryAffinity, Srat
from memplan.owner import Purpose
from memplan.units import GIB, MIB, PAGE_SHIFT, PAGE_SIZE
from tests.boot import real
from tests.boot.steps.test_numa import KERNELS, booted, machine, messages

ZONES = re.compile(
    r"Zone ranges:|  (DMA|DMA32|Normal|Device) +(empty|\[mem)|Movable zone start|  Node \d+: 0x|Early memory node"
    r"|  node +\d+: \[mem|On node \d+, zone"
)
ZONEINFO = re.compile(r"/proc/zoneinfo: +(Node (?P<nid>\d+), zone +(?P<name>\w+)|(?P<key>\w+):? +(?P<value>\d+))")
LOGS = Path(__file__).parent.parent / "logs"


@pytest.mark.parametrize("name", real.NAMES)
def test_the_kernel_says_of_its_zones_what_the_plan_says(name: str) -> None:
    told = [line for line in real.lines(name) if ZONES.match(line)]
    assert "Zone ranges:" in told
    assert real.printed(real.plan(name), ZONES) == told


@pytest.mark.parametrize("name", [name for name in real.NAMES if name.startswith("user-")])
def test_zones_have_the_size_that_user_space_sees(name: str) -> None:
    told: list[dict[str, int | str]] = []
    for line in real.lines(name):
        if not (found := ZONEINFO.match(line)):
            continue
        if found["name"]:
            told.append({"nid": int(found["nid"]), "name": found["name"]})
        else:
            told[-1][found["key"]] = int(found["value"])
    sizes = [(z["nid"], z["name"], z["start_pfn"], z["spanned"], z["present"]) for z in told if z.get("present")]
    assert sizes
    planned = real.plan(name).zones
    assert [(z.nid, z.name, z.start_pfn, z.spanned, z.present) for z in planned if z.present] == sizes


@pytest.mark.parametrize("name", ["srat-1m-short-6.12", "srat-1020k-short-6.1", "srat-overlap-fake-6.12"])
def test_srats_that_kill_the_kernel(name: str, tmp_path: Path) -> None:
    text = lzma.decompress((LOGS / f"{name}.log.xz").read_bytes()).decode()
    log = tmp_path / "boot.log"
    log.write_text(text)
    plan = memplan.simulate(import_files([log])[0])
    assert not plan.end.completed
    died = next(line for line in text.splitlines() if "RIP: 0010:" in line).partition("RIP: 0010:")[2].partition("+")[0]
    assert plan.end.step == {"numa_emulation": "initmem_init"}.get(died, died)
    assert plan.end.text in text
    told = [line.partition("] ")[2] for line in text.splitlines()]
    assert real.printed(plan, ZONES) == [line for line in told if ZONES.match(line)]


EVEN = [(MIB, 3 * GIB), (4 * GIB, 9 * GIB)]
SRAT_EVEN = Srat(
    memory=(
        MemoryAffinity(0, 0, 3 * GIB),
        MemoryAffinity(0, 4 * GIB, GIB),
        MemoryAffinity(1, 5 * GIB, 4 * GIB, hotplug=True),
    )
)


def movable(version: str, cmdline: str, srat: Srat = SRAT_EVEN) -> dict[int, int]:
    """Where ZONE_MOVABLE begins on each node, in MiB."""
    boot = booted(version, machine(EVEN, srat, cmdline=cmdline))
    free_area_init(boot)
    return {nid: pfn << PAGE_SHIFT >> 20 for nid, pfn in boot.zones.movable_start_pfn.items()}


@pytest.mark.parametrize("version", KERNELS)
@pytest.mark.parametrize("cmdline", ["", "kernelcore=100G", "movablecore=0"])
def test_without_a_reason_there_is_no_movable_zone(version: str, cmdline: str) -> None:
    found = movable(version, cmdline)
    # 3.13 lets ZONE_MOVABLE begin at the nodes' ends where kernelcore= asks for more than there is.
    assert found == ({0: 5120, 1: 9216} if version == "3.13" and "100G" in cmdline else {})


@pytest.mark.parametrize("version", KERNELS)
def test_movable_node_takes_what_is_marked(version: str) -> None:
    assert movable(version, "movable_node") == ({} if version == "3.13" else {1: 5120})
    # Sizes do not count beside it, but for 3.13.
    assert movable(version, "movable_node kernelcore=4G") == ({0: 4612, 1: 5636} if version == "3.13" else {1: 5120})


@pytest.mark.parametrize("version", KERNELS)
def test_kernelcore_counts_what_lies_below_the_highest_zone_first(version: str) -> None:
    # Each node shall give 3 GiB; what node 0 has below 4 GiB is 1 MiB less, which it gives above.
    assert movable(version, "kernelcore=6G") == {0: 4100, 1: 8192}
    # Node 0 gives its 3071 MiB below 4 GiB in any case.  Half of the other 1025 MiB is node 1's share; the other half
    # finds room on node 0 when what is left over is shared out again.  Both begin at the next 4 MiB.
    assert movable(version, "kernelcore=4G") == {0: 4612, 1: 5636}


@pytest.mark.parametrize(("version", "works"), [("3.13", False), ("5.10", True), ("6.1", True), ("6.12", True)])
def test_percent_is_of_all_memory(version: str, works: bool) -> None:
    by_share, by_size = movable(version, "kernelcore=50%"), movable(version, "kernelcore=4095M")
    assert bool(by_share) is works
    assert not works or set(by_share) == set(by_size) == {0, 1}


@pytest.mark.parametrize(
    ("version", "starts"), [("5.10.89", {0: 5120, 1: 9216}), ("5.10", {}), ("6.1", {}), ("6.12", {})]
)
def test_a_movable_zone_that_begins_at_its_nodes_end_is_dropped_since_5_18(
    version: str, starts: dict[int, int]
) -> None:
    # One MiB less than all: node 0 keeps nothing, and the rest of node 1 is lost in rounding.
    assert movable(version, "kernelcore=8190M") == starts


# -- kernelcore=mirror: an EFI map marks memory mirrored, here done by hand ------------------------------------------

MIRROR_SAYS = re.compile(r"The system|This configuration")
UNMIRRORED = "This configuration results in unmirrored kernel memory."


def mirrored(version: str, marks: list[tuple[int, int]], cmdline: str = "") -> Boot:
    """A boot with kernelcore=mirror, its zones laid out, on which the `marks` are mirrored."""
    boot = booted(version, machine(EVEN, SRAT_EVEN, cmdline=f"kernelcore=mirror {cmdline}"))
    boot.memblock.mirrored_kernelcore = True
    for start, end in marks:
        boot.memblock.mark_mirror(start, end - start)
    free_area_init(boot)
    return boot


def warned(boot: Boot) -> list[str]:
    told = [event for event in boot.recorder.events if isinstance(event, Message) and MIRROR_SAYS.match(event.text)]
    assert all(event.warning for event in told)
    return [event.text for event in told]


@pytest.mark.parametrize("version", ["5.10", "6.1", "6.12"])
def test_what_is_not_mirrored_above_4g_is_movable(version: str) -> None:
    boot = mirrored(version, [(0, 3 * GIB), (5 * GIB, 6 * GIB)])
    assert boot.zones.movable_start_pfn == {0: 4 * GIB >> PAGE_SHIFT, 1: 6 * GIB >> PAGE_SHIFT}
    assert warned(boot) == []
    # ZONE_NORMAL spans its whole node and has what is mirrored, ZONE_MOVABLE what isn't; where that begins the node,
    # there is no ZONE_NORMAL.
    zones = {(zone.nid, zone.name): (zone.start_pfn, zone.spanned, zone.present) for zone in boot.zones.zones}
    gib = GIB >> PAGE_SHIFT
    assert (0, "Normal") not in zones
    assert zones[0, "Movable"] == (4 * gib, gib, gib)
    assert zones[1, "Normal"] == (5 * gib, 4 * gib, gib)
    assert zones[1, "Movable"] == (6 * gib, 3 * gib, 3 * gib)
    assert zones[0, "DMA32"] == (4096, 4 * gib - 4096, 3 * gib - 4096)


def test_what_is_mirrored_behind_the_movable_zone_s_begin_belongs_to_it_since_7_3() -> None:
    boot = mirrored("7.3", [(0, 3 * GIB), (5 * GIB, 6 * GIB), (7 * GIB, 8 * GIB)])
    assert boot.zones.movable_start_pfn == {0: 4 * GIB >> PAGE_SHIFT, 1: 6 * GIB >> PAGE_SHIFT}
    zones = {(zone.nid, zone.name): (zone.start_pfn, zone.spanned, zone.present) for zone in boot.zones.zones}
    gib = GIB >> PAGE_SHIFT
    assert (0, "Normal") not in zones
    assert zones[0, "Movable"] == (4 * gib, gib, gib)
    assert zones[1, "Normal"] == (5 * gib, gib, gib)
    assert zones[1, "Movable"] == (6 * gib, 3 * gib, 3 * gib)


@pytest.mark.parametrize("version", ["5.10", "6.1", "6.12"])
def test_below_4g_what_is_not_mirrored_stays_the_kernel_s_with_a_warning(version: str) -> None:
    boot = mirrored(version, [(0, GIB), (4 * GIB, 9 * GIB)])
    assert boot.zones.movable_start_pfn == {}
    assert warned(boot) == [UNMIRRORED]


@pytest.mark.parametrize("version", ["5.10", "6.1"])
def test_without_mirrored_memory_all_above_4g_was_movable(version: str) -> None:
    assert set(mirrored(version, []).zones.movable_start_pfn) == {0, 1}


def test_without_mirrored_memory_the_option_does_nothing_since_6_12() -> None:
    boot = mirrored("6.12", [])
    assert boot.zones.movable_start_pfn == {}
    assert warned(boot) == ["The system has no mirror memory, ignore kernelcore=mirror."]


def test_in_a_crash_kernel_it_does_nothing_since_6_12() -> None:
    boot = mirrored("6.12", [(5 * GIB, 6 * GIB)], "elfcorehdr=1G")
    assert boot.zones.movable_start_pfn == {}
    assert warned(boot) == ["The system is under kdump, ignore kernelcore=mirror."]
    assert set(mirrored("6.1", [(5 * GIB, 6 * GIB)], "elfcorehdr=1G").zones.movable_start_pfn) == {0, 1}


# -- edges -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "start"), [("5.10", 5120), ("6.1", 5120), ("6.12", 5124)])
def test_a_node_that_begins_inside_a_page(version: str, start: int) -> None:
    """Its first page was rounded down, and is rounded up since 6.12; then it goes to the next 4 MiB."""
    border = 5 * GIB + 512
    marked = MemoryAffinity(1, border, 9 * GIB - border, hotplug=True)
    srat = Srat(memory=(MemoryAffinity(0, 0, border), marked))
    assert movable(version, "movable_node", srat) == {1: start}


@pytest.mark.parametrize(
    ("version", "found"), [("3.13", {0: 5120, 1: 9216}), ("4.3", {0: 5120, 1: 9216}), ("4.4", {}), ("6.12", {})]
)
def test_more_movablecore_than_memory_wraps_around_until_4_3(version: str, found: dict[int, int]) -> None:
    """Where it wraps, the kernel wants more than there is, and ZONE_MOVABLE begins at the nodes' ends."""
    assert movable(version, "movablecore=100G") == found


@pytest.mark.parametrize("version", KERNELS)
def test_of_both_options_the_one_that_gives_the_kernel_more_counts(version: str) -> None:
    by_kernelcore = movable(version, "kernelcore=6G")
    # There are 8191 MiB.
    assert movable(version, "kernelcore=6G movablecore=4G") == by_kernelcore
    assert movable(version, "kernelcore=1G movablecore=2047M") == movable(version, "movablecore=2047M") == by_kernelcore
    assert movable(version, "movablecore=2044M") == {0: 4100, 1: 8196} != by_kernelcore


def test_movablecore_goes_up_to_the_largest_block_of_the_page_allocator() -> None:
    assert movable("6.12", "movablecore=2045M") == movable("6.12", "movablecore=2048M")
    assert movable("6.12", "movablecore=2049M") == movable("6.12", "movablecore=2052M")


def test_a_percentage_is_of_all_pages() -> None:
    # 8191 MiB: 75 % of its 2096896 pages are 1572672 pages, 6143.25 MiB.
    assert movable("6.12", "kernelcore=75%") == movable("6.12", "kernelcore=6290688K")
    assert movable("6.12", "movablecore=25%") == movable("6.12", f"movablecore={524224 * 4}K")
    assert movable("6.12", "kernelcore=0%") == movable("6.12", "kernelcore=%") == {}


def movable_of(ram: list[tuple[int, int]], cmdline: str, srat: Srat | None = None) -> dict[int, int]:
    """Where ZONE_MOVABLE begins on each node of a machine with that RAM, in MiB."""
    boot = booted("6.12", machine(ram, srat, cmdline=cmdline))
    free_area_init(boot)
    return {nid: pfn << PAGE_SHIFT >> 20 for nid, pfn in boot.zones.movable_start_pfn.items()}


#: As EVEN, but with a whole 4 MiB less below 4 GiB, so that a share of 3 GiB ends on a border.
ON_BORDER = [(4 * MIB, 3 * GIB), (4 * GIB, 9 * GIB)]


@pytest.mark.parametrize(
    ("pages", "starts"),
    [
        (0, {0: 4100, 1: 8192}),
        # As many pages as nodes without one are left over: they are not shared out again.
        (1, {0: 4100, 1: 8192}),
        (2, {0: 4104, 1: 8196}),
        (3, {0: 4104, 1: 8196}),
    ],
)
def test_single_pages_move_a_border(pages: int, starts: dict[int, int]) -> None:
    assert movable_of(ON_BORDER, f"kernelcore={6 * 1024 * 1024 + 4 * pages}K", SRAT_EVEN) == starts


@pytest.mark.parametrize(("size", "start"), [("3G", 4100), ("10G", 11 * 1024 + 4), ("15G", 16 * 1024 + 4)])
def test_a_share_may_be_larger_than_all_that_lies_below_its_range(size: str, start: int) -> None:
    assert movable_of([(4 * MIB, 3 * GIB), (4 * GIB, 20 * GIB)], f"kernelcore={size}") == {0: start}


def test_percentages_of_a_large_machine() -> None:
    """Of 1000 GiB in two equal parts, one percent is 10 GiB; the kernel's begin at 4 GiB."""
    ram = [(4 * GIB, 1004 * GIB)]
    assert movable_of(ram, "kernelcore=50%") == {0: 504 * 1024}
    assert movable_of(ram, "kernelcore=99%") == movable_of(ram, "movablecore=1%") == {0: 994 * 1024}
    # A percentage without a number is none.
    assert movable_of(ram, "kernelcore=% movablecore=25%") == {0: 754 * 1024}


@pytest.mark.parametrize("extra", [0, 1])
def test_mirrored_pages_of_another_node_count_until_a_zone_has_less_than_none(extra: int) -> None:
    """Node 0 has 1025 pages around node 1's; the kernel takes node 1's mirrored ones off them too."""
    low, high = 4 * GIB + 4 * MIB, 5 * GIB
    srat = Srat(
        memory=(
            MemoryAffinity(0, 0, low),
            MemoryAffinity(1, low, high - low),
            MemoryAffinity(0, high, PAGE_SIZE),
        )
    )
    ram = [(MIB, 3 * GIB), (4 * GIB, high + PAGE_SIZE)]
    boot = booted("6.12", machine(ram, srat, cmdline="kernelcore=mirror"))
    boot.memblock.mirrored_kernelcore = True
    boot.memblock.mark_mirror(low, (1025 + extra) * PAGE_SIZE)
    if extra:
        with pytest.raises(NotCoveredError, match="node 0's Movable zone twice"):
            free_area_init(boot)
        return
    free_area_init(boot)
    (zone,) = [zone for zone in boot.zones.zones if (zone.nid, zone.name) == (0, "Movable")]
    assert (zone.start_pfn, zone.spanned, zone.present) == (4 * GIB // PAGE_SIZE, GIB // PAGE_SIZE + 1, 0)


# -- what a zone has for the kernel, by which hash tables are sized --------------------------------------------------


def kernel_pages(boot: Boot) -> int:
    """nr_kernel_pages by the rule up to 6.9: without each zone's own memory map, and without what is taken of DMA."""
    pages = 0
    for zone in boot.zones.zones:
        mapped = zone.present if zone.spanned > zone.present + zone.present // 16 else zone.spanned
        memory_map = -(-mapped * boot.kernel.fact("struct.page") // 4096)
        pages += zone.present - (memory_map if memory_map <= zone.present else 0)
        pages -= boot.dma_reserve if zone.name == "DMA" else 0
    return pages


@pytest.mark.parametrize("version", ["3.13", "5.10", "6.1"])
@pytest.mark.parametrize("hole", [2, 180, 200, 3000])
def test_pages_for_the_kernel(version: str, hole: int) -> None:
    """With holes in the last zone below and above a sixteenth of what it has."""
    ram = [(MIB, 2 * GIB + 4096 * 3), (4 * GIB, 7 * GIB), (7 * GIB + hole * MIB, 7 * GIB + hole * MIB + 4096)]
    boot = booted(version, machine(ram, None))
    boot.dma_reserve = 77
    free_area_init(boot)
    assert {zone.name for zone in boot.zones.zones} == {"DMA", "DMA32", "Normal"}
    assert boot.zones.nr_kernel_pages == boot.zones.nr_all_pages == kernel_pages(boot)


@pytest.mark.parametrize(
    ("pages", "buckets"), [(1, 4), (1280, 8), (2048, 8), (2304, 16), (1024 * 1024, 4096), (4 * 1024 * 1024, 4096)]
)
def test_wait_queues_where_memory_is_never_added(pages: int, buckets: int) -> None:
    """3.13: a bucket for 256 pages, as many as the next power of two says, from 4 to 4096."""
    boot = booted("3.13", machine([(MIB, 2 * GIB), (4 * GIB, 4 * GIB + pages * 4096)], None))
    boot.kernel = override(boot.kernel, {"config.MEMORY_HOTPLUG": False})
    boot.recorder.events.clear()
    free_area_init(boot)
    tables = {
        event.owner.detail: event.end - event.start
        for event in boot.recorder.events
        if isinstance(event, Change) and event.owner.kind is Purpose.WAIT_TABLE
    }
    assert tables["Normal"] == buckets * boot.kernel.fact("struct.__wait_queue_head")


# -- sharing out what kernelcore= asks for ---------------------------------------------------------------------------

#: Pages of RAM and of holes behind them, and the node, upwards.
LAYOUT = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=8)


def spread(ranges: list[tuple[int, int, int]], needed: int, usable: int) -> dict[int, int]:
    """How many pages each node keeps for the kernel: those below its start of ZONE_MOVABLE, or below `usable`."""
    boot = SimpleNamespace(memblock=SimpleNamespace(pfn_ranges=lambda _: ranges))
    starts = _spread_kernelcore(cast(Boot, boot), needed, usable)
    kept = dict.fromkeys(starts, 0)
    for start, end, nid in ranges:
        kept[nid] += max(0, min(end, max(starts[nid], usable)) - start)
        assert starts[nid] == 0 or starts[nid] <= max(e for _, e, n in ranges if n == nid)
    return kept


@given(LAYOUT, st.integers(1, 400), st.integers(0, 200))
def test_the_kernel_gets_what_is_asked_for_and_what_lies_low(
    layout: list[tuple[int, int, int]], needed: int, usable: int
) -> None:
    ranges, at = [], 1
    for (pages, hole, _), nid in zip(layout, sorted(nid for *_, nid in layout), strict=True):
        ranges.append((at, at + pages, nid))
        at += pages + hole
    kept = spread(ranges, needed, usable)
    total = sum(end - start for start, end, _ in ranges)
    low = sum(max(0, min(end, usable) - start) for start, end, _ in ranges)
    # Fewer pages than nodes are left are not shared out again.
    assert min(needed, total) - len(kept) <= sum(kept.values()) <= max(needed, low)


@given(st.integers(1, 4), st.integers(50, 100), st.integers(1, 50))
def test_equal_nodes_give_equal_shares(nodes: int, size: int, share: int) -> None:
    ranges = [(nid * 200 + 7, nid * 200 + 7 + size, nid) for nid in range(nodes)]
    assert spread(ranges, share * nodes, 0) == dict.fromkeys(range(nodes), share)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(60, 100))
def test_what_a_small_node_lacks_the_others_give(small: int, more: int, large: int) -> None:
    ranges = [(10, 10 + small, 0), (100, 100 + large, 1)]
    needed = 2 * (small + more)
    kept = spread(ranges, min(needed, small + large), 0)
    assert kept[0] == small
    assert min(needed, small + large) - 2 <= small + kept[1] <= needed


# -- nodes without memory, and what is said of each ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "line"),
    [
        ("5.10", "Initmem setup node 2 [mem 0x0000000000000000-0x0000000000000000]"),
        ("6.12", "Initmem setup node 2 as memoryless"),
    ],
)
def test_a_node_without_memory_is_named(version: str, line: str) -> None:
    """A CPU's node that has no RAM; up to 5.17 its range is told as one byte."""
    srat = SRAT_EVEN._replace(cpus=(CpuAffinity(0, 0), CpuAffinity(2, 1)))
    boot = booted(version, machine(EVEN, srat, Cpus(apic_ids=(0, 1))))
    if 2 not in boot.nodes.node_data:
        boot.nodes.possible.add(2)
        boot.nodes.node_data[2] = (GIB, GIB + 4096)
    free_area_init(boot)
    told = [text for text in messages(boot) if text.startswith("Initmem setup node")]
    assert told == [
        "Initmem setup node 0 [mem 0x0000000000100000-0x000000013fffffff]",
        "Initmem setup node 1 [mem 0x0000000140000000-0x000000023fffffff]",
        line,
    ]
    assert not [zone for zone in boot.zones.zones if zone.nid == 2]


@pytest.mark.parametrize("version", ["6.12", "7.3"])
def test_pages_that_no_zone_can_use_are_counted_by_section(version: str) -> None:
    """Holes in sections with RAM go to the zone above them, what is behind the last RAM to the one below."""
    ram = [(16 * MIB, 64 * MIB), (96 * MIB, 3 * GIB - 16 * MIB), (5 * GIB + MIB, 5 * GIB + 3 * MIB)]
    boot = booted(version, machine(ram, None))
    free_area_init(boot)
    if version == "7.3":
        assert not [text for text in messages(boot) if "unavailable" in text]
        memmap_init(boot)
    # The first 16 MiB are DMA32's, as RAM begins there; 5 GiB is 1 MiB behind the section's begin.
    told = [text for text in messages(boot) if "unavailable" in text]
    assert told == [
        f"On node 0, zone DMA32: {16 * 256} pages in unavailable ranges",
        f"On node 0, zone DMA32: {32 * 256} pages in unavailable ranges",
        f"On node 0, zone Normal: {16 * 256 + 256} pages in unavailable ranges",
        f"On node 0, zone Normal: {125 * 256} pages in unavailable ranges",
    ]


def test_ram_without_a_node_is_the_end_since_5_18() -> None:
    boot = booted("6.12", machine(EVEN, SRAT_EVEN))
    del boot.nodes.node_data[1]
    boot.nodes.possible.discard(1)
    with pytest.raises(BootPanic, match="NULL pointer dereference") as died:
        free_area_init(boot)
    assert died.value.cause.startswith("no SRAT entry covers the RAM at 0x140000000;")


def test_zones_of_a_node_that_lies_in_another() -> None:
    """Node 1 has 1 GiB in the middle of node 0, which spans it all the same, and is present without it."""
    srat = Srat(
        memory=(
            MemoryAffinity(0, 0, 5 * GIB),
            MemoryAffinity(1, 5 * GIB, GIB, hotplug=True),
            MemoryAffinity(0, 6 * GIB, 3 * GIB),
        )
    )
    boot = booted("6.12", machine(EVEN, srat, cmdline="movable_node"))
    free_area_init(boot)
    gib = GIB >> PAGE_SHIFT
    zones = {(zone.nid, zone.name): (zone.start_pfn, zone.spanned, zone.present) for zone in boot.zones.zones}
    assert zones[0, "Normal"] == (4 * gib, 5 * gib, 4 * gib)
    assert zones[1, "Movable"] == (5 * gib, gib, gib)
    assert (1, "Normal") not in zones


@pytest.mark.parametrize(("amount", "pages"), [("5000K", 1250), ("4095", 0), ("4096", 1), ("0x2000", 2)])
def test_amounts_go_down_to_whole_pages(amount: str, pages: int) -> None:
    """Seen by what is left where all else is asked for too: one page more, and the next 4 MiB are the kernel's."""
    boot = booted("6.12", machine(EVEN, SRAT_EVEN, cmdline=f"kernelcore={amount}"))
    assert _core_pages(boot, "kernelcore", 1 << 21) == pages
    assert _core_pages(boot, "movablecore", 1 << 21) == 0


@pytest.mark.parametrize(("share", "pages"), [("0%", 0), ("1%", 20971), ("50%", 1048576), ("100%", 2097152)])
def test_shares_of_two_million_pages(share: str, pages: int) -> None:
    boot = booted("6.12", machine(EVEN, SRAT_EVEN, cmdline=f"kernelcore={share}"))
    assert _core_pages(boot, "kernelcore", 1 << 21) == pages


@pytest.mark.parametrize("version", ["3.13", "4.3"])
def test_what_wraps_is_almost_two_to_the_64(version: str) -> None:
    boot = booted(version, machine(EVEN, SRAT_EVEN, cmdline="movablecore=9G"))
    total = (8 * GIB - MIB) >> PAGE_SHIFT
    assert _required_kernelcore(boot) == (1 << 64) + total - (9 * GIB >> PAGE_SHIFT)


@pytest.mark.parametrize("version", ["3.13", "4.4"])
def test_before_it_knew_mirrored_memory_linux_read_mirror_as_a_number(version: str) -> None:
    """And as none at that, so that movablecore= counts alone."""
    e820 = (E820Entry(0, 0x9F000), E820Entry(MIB, 2 * GIB))
    plans = [
        memplan.simulate(Machine(e820, cmdline=f"movablecore=1G kernelcore={value}", booted=True), kernel=version)
        for value in ("mirror", "0")
    ]
    assert plans[0].zones == plans[1].zones
    assert sum(zone.present for zone in plans[0].zones) == sum(own.end - own.start for own in e820) // PAGE_SIZE - 1


@pytest.mark.parametrize("version", ["3.13", "6.1"])
@pytest.mark.parametrize(("more", "counts"), [(-1, True), (0, False), (1, False)])
def test_what_is_taken_of_the_first_zone_counts_where_there_is_more(version: str, more: int, counts: bool) -> None:
    """Where all of the zone's pages, or more, are taken, none is subtracted."""
    boot = booted(version, machine([(MIB, 16 * MIB)], None))
    free = 15 * 256 - -(-15 * 256 * boot.kernel.fact("struct.page") // 4096)
    boot.dma_reserve = free + more
    free_area_init(boot)
    assert [zone.name for zone in boot.zones.zones] == ["DMA"]
    assert boot.zones.nr_kernel_pages == (free - boot.dma_reserve if counts else free)


@pytest.mark.parametrize("version", ["3.13", "5.10"])
def test_a_node_that_stays_off_line_has_no_zones_and_those_behind_it_have_theirs(version: str) -> None:
    """Up to 5.17 a node that is possible, with memory to come, has no NODE_DATA yet."""
    later = MemoryAffinity(1, 64 * GIB, GIB, hotplug=True)
    parts = (MemoryAffinity(0, 0, 5 * GIB), later, MemoryAffinity(2, 5 * GIB, 4 * GIB))
    boot = booted(version, machine(EVEN, Srat(memory=parts)))
    assert (boot.nodes.possible, boot.nodes.online) == ({0, 1, 2}, {0, 2})
    free_area_init(boot)
    assert {zone.nid for zone in boot.zones.zones} == {0, 2}
