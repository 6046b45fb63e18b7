"""Zones: what real kernels printed of them, and where ZONE_MOVABLE must begin by the rules of four versions."""

import lzma
import re
from pathlib import Path

import pytest

import memplan
from memplan.boot.context import Boot
from memplan.boot.steps.zones import free_area_init
from memplan.events import Change, Message
from memplan.firmware.combine import import_files
from memplan.kernel.load import override
from memplan.machine.model import MemoryAffinity, Srat
from memplan.owner import Purpose
from memplan.units import GIB, MIB, PAGE_SHIFT
from tests.boot import real
from tests.boot.steps.test_numa import KERNELS, booted, machine

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


@pytest.mark.parametrize(("version", "starts"), [("5.10", {0: 5120, 1: 9216}), ("6.1", {}), ("6.12", {})])
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
