"""The memory map: against real boots, and its requests as runs against the same one by one."""

from types import SimpleNamespace
from typing import Any

import pytest

from memplan.boot.context import Boot
from memplan.boot.memory import Memory
from memplan.boot.steps.sparse import SectionRun, section_runs, sparse_init
from memplan.events import Change
from memplan.kernel.load import find_kernel
from memplan.machine.model import Cpus, Machine
from memplan.owner import Owner, Purpose
from memplan.units import GIB, MIB, PAGE_SIZE, SECTION_SIZE, SIZE_2M, TIB
from tests.boot.bootlog import BUILDS, LOGS, BootLog, one_by_one, requests

FIRST = ("sparse_init", "__alloc_memory_core_early")
SECTION_PAGES = SECTION_SIZE // PAGE_SIZE


#: A boot that dies before its zones has nothing to compare here.
BOOTS = sorted(path.name.removesuffix(".log.xz") for path in LOGS.glob("*.xz"))
ALIVE = [name for name in BOOTS if any(line.startswith("Zone ranges") for line in BootLog(name).lines)]


@pytest.mark.parametrize("name", ALIVE)
def test_real_boots_take_the_same_blocks(name: str) -> None:
    log = BootLog(name)
    zones = next(i for i, line in enumerate(log.lines) if line.startswith("Zone ranges"))
    events = log.events(log.dumps[1], zones)
    first = next(i for i, event in enumerate(events) if event.asker in FIRST)
    boot = log.boot(1)
    for event in events[:first]:
        boot.memblock.reserve(event.start, event.end - event.start)
    boot.recorder.events.clear()

    sparse_init(boot)

    assert one_by_one(boot) == [event[:3] for event in events[first:]]
    start = next(i for i, line in enumerate(log.lines) if i > log.dumps[1] and "sparse_init" in line)
    assert requests(boot) == log.requests(start, zones)


def boot_of(ram: list[tuple[int, int, int]], build: str, *, pse: bool = True) -> Boot:
    """A boot with `ram` as (start, end, nid), and each node's NODE_DATA at the top of its last range."""
    boot = Boot(Machine(e820=(), cpus=Cpus(pse=pse)), find_kernel(BUILDS[build]))
    places = {}
    for start, end, nid in ram:
        boot.memblock.add_node(start, end - start, nid)
        places[nid] = (end - 0x2B000, end)
    for start, end in places.values():
        boot.memblock.reserve(start, end - start)
    boot.memblock.current_limit = ram[-1][1]
    boot.nodes = SimpleNamespace(node_data=places, online=sorted(places))  # type: ignore[assignment]
    boot.recorder.events.clear()
    return boot


def test_a_section_belongs_to_the_node_that_holds_its_first_page() -> None:
    """Sections 0-8 are node 0's (8 only in part), 9-15 node 1's; then a hole and node 1 again, then node 0."""
    middle = 8 * SECTION_SIZE + 3 * MIB
    boot = boot_of(
        [
            (PAGE_SIZE, middle, 0),
            (middle, 16 * SECTION_SIZE, 1),
            (20 * SECTION_SIZE + MIB, 21 * SECTION_SIZE, 1),
            (21 * SECTION_SIZE, 22 * SECTION_SIZE, 0),
        ],
        "6.1",
    )
    assert section_runs(boot) == [
        SectionRun(0, ((0, 9),), 9),
        SectionRun(1, ((9, 16), (20, 21)), 8),
        SectionRun(0, ((21, 22),), 1),
    ]


VMEMMAP = Owner(Purpose.VMEMMAP_TABLES)


def map_blocks(boot: Boot, owner: Owner) -> list[Change]:
    return [e for e in boot.recorder.events if isinstance(e, Change) and e.op == "reserve" and e.owner == owner]


@pytest.mark.parametrize("build", ["5.10", "6.12"])
def test_hot_pluggable_memory_has_its_map_elsewhere(build: str) -> None:
    """With movable_node no block of the node's own memory may hold its map: one block a section, from the other."""
    boot = boot_of([(PAGE_SIZE, 64 * GIB, 0), (64 * GIB, 192 * GIB, 1)], build)
    boot.memblock.mark_hotplug(64 * GIB, 128 * GIB)
    boot.memblock.movable_node = True
    sparse_init(boot)
    blocks = map_blocks(boot, Owner(Purpose.MEMORY_MAP, 1))
    assert sum(block.count for block in blocks) == 128 * GIB // SECTION_SIZE
    assert all((block.end - block.start) // block.count == SIZE_2M for block in blocks)
    assert all(block.end <= 64 * GIB for block in blocks)
    assert {block.caller for block in blocks} == {"vmemmap_alloc_block_buf"}
    assert {table.caller for table in map_blocks(boot, VMEMMAP)} == {"vmemmap_alloc_block_zero"}
    # A table page a gibibyte of the map stands between the blocks.
    assert len(blocks) == 2


def test_without_large_pages_every_section_has_a_table_of_its_own() -> None:
    boot = boot_of([(PAGE_SIZE, 8 * GIB, 0)], "6.1", pse=False)
    sparse_init(boot)
    tables = map_blocks(boot, VMEMMAP)
    # 64 sections of 2 MiB each, one gibibyte of the map begun, and 512 gibibytes of it.
    assert sum(run.count for run in tables) == 64 + 1 + 1
    assert [e.end - e.start for e in map_blocks(boot, Owner(Purpose.MEMORY_MAP, 0))] == [64 * SIZE_2M]


@pytest.mark.parametrize("build", ["3.13", "5.10", "6.12"])
def test_sixty_tebibytes_are_few_events(build: str) -> None:
    """Section roots, usage maps, the map itself and its tables: each one event a node, or a few."""
    boot = boot_of([(PAGE_SIZE, 32 * TIB, 0), (32 * TIB, 60 * TIB, 1)], build)
    sparse_init(boot)
    sizes = {owner: sum(e.end - e.start for e in map_blocks(boot, owner)) for owner in (VMEMMAP,)}
    # The map is 1/64 of memory: a page for each gibibyte of it, and for each 512 gibibytes.
    assert sizes[VMEMMAP] == PAGE_SIZE * (60 * 1024 // 64 + 2)
    assert len(boot.recorder.events) < 30


@pytest.mark.parametrize("pse", [True, False])
def test_runs_equal_single_requests(pse: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hot-pluggable node's map, and tables across the first 64 GiB of a node: all taken one by one as well."""
    ram = [(PAGE_SIZE, 62 * GIB, 0), (62 * GIB, 66 * GIB, 1), (67 * GIB, 68 * GIB, 2)]
    boots = [boot_of(ram, "6.1", pse=pse) for _ in range(2)]
    for boot in boots:
        boot.memblock.mark_hotplug(62 * GIB, 4 * GIB)
        boot.memblock.movable_node = True
    sparse_init(boots[0])

    def single(self: Memory, count: int, *args: Any, **kwargs: Any) -> int:
        return sum(in_bulk(self, 1, *args, **kwargs) for _ in range(count))

    in_bulk = Memory.alloc_run
    monkeypatch.setattr(Memory, "alloc_run", single)
    sparse_init(boots[1])
    assert one_by_one(boots[0]) == one_by_one(boots[1])
    assert len(boots[0].recorder.events) < len(boots[1].recorder.events)
