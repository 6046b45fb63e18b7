"""Each block of the per-CPU areas, its size and its place, against mm/percpu.c's own sums (by trying all numbers)."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memplan.boot.context import Boot
from memplan.boot.panic import BootPanic
from memplan.boot.steps.percpu import setup_per_cpu_areas
from memplan.events import Change, Message
from memplan.kernel.load import find_kernel, override
from memplan.kernel.model import Kernel
from memplan.machine.model import Cpus, Machine
from memplan.owner import Purpose
from memplan.units import GIB, KIB, MIB, PAGE_SIZE, SIZE_2M, TIB, round_up

#: KiB for dynamic memory, embedded and by pages (PERCPU_DYNAMIC_RESERVE, PERCPU_DYNAMIC_EARLY_SIZE).
DYNAMIC = dict.fromkeys(("3.18", "4.14", "4.17", "4.19", "5.10", "6.1"), (28, 12))
DYNAMIC |= {"3.13": (20, 12), "6.12": (28, 20)}
VERSIONS = tuple(DYNAMIC)
RAM = ((16 * MIB, GIB, 0), (GIB, 2 * GIB, 1), (2 * GIB, 3 * GIB, 2))

Block = tuple[str, Purpose, int, int]


def ceil(number: int, unit: int) -> int:
    return -(-number // unit)


def booted(
    kernel: Kernel,
    homes: list[int],
    ram: tuple[tuple[int, int, int], ...] = RAM,
    *,
    cmdline: str = "",
    la57: bool = False,
) -> Boot:
    """A boot whose CPU n has its home on node ``homes[n]``, just before its areas are set up; node 3 is off-line."""
    machine = Machine(e820=(), cmdline=cmdline, cpus=Cpus(possible=len(homes), present=len(homes), la57=la57))
    boot = Boot(machine, kernel)
    for start, end, nid in ram:
        boot.memblock.add_node(start, end - start, nid)
    boot.memblock.current_limit = max(end for _, end, _ in ram)
    boot.nodes.online = {nid for _, _, nid in ram}
    boot.memblock.allow_resize()
    boot.nodes.cpu_to_node = homes
    boot.recorder.events.clear()
    return boot


def blocks(boot: Boot) -> list[Block]:
    """Every change, block by block, without memblock's own."""
    return [
        (event.op, event.owner.kind, start, end)
        for event in boot.recorder.events
        if isinstance(event, Change) and event.owner.kind is not Purpose.MEMBLOCK_ARRAY
        for start, end in event.blocks()
    ]


def sizes(found: list[Block]) -> list[tuple[str, Purpose, int]]:
    return [(op, kind, end - start) for op, kind, start, end in found]


class Sums(NamedTuple):
    """A unit's parts, how many units share an allocation, and a unit's size."""

    static: int
    reserved: int
    used: int
    shared: int
    unit: int


def summed(static: int, reserved: int, dynamic: int, groups: list[int]) -> Sums:
    """Of all numbers of units that fill whole 2 MiB and waste no more than a third of the CPUs' number: the one that
    needs the fewest blocks, and of these the smallest."""
    used = round_up(static + reserved + dynamic, PAGE_SIZE)
    block = round_up(max(used, 32 * KIB), SIZE_2M)
    good = []
    for shared in range(1, block // max(used, 32 * KIB) + 1):
        wasted = sum(round_up(cpus, shared) - cpus for cpus in groups)
        if block % (shared * PAGE_SIZE) == 0 and wasted <= sum(groups) // 3:
            good.append((sum(ceil(cpus, shared) for cpus in groups), shared))
    shared = min(good)[1]
    return Sums(static, reserved, used, shared, block // shared)


def books(kernel: Kernel, sums: Sums, groups: int, cpus: int) -> list[tuple[str, Purpose, int]]:
    """What pcpu_setup_first_chunk allocates."""
    rules = kernel.rules
    found = [
        (Purpose.PERCPU_GROUP_OFFSETS, 8 * groups),
        (Purpose.PERCPU_GROUP_SIZES, 8 * groups),
        (Purpose.PERCPU_UNIT_MAP, 4 * cpus),
        (Purpose.PERCPU_UNIT_OFFSETS, 8 * cpus),
    ]
    lists = sums.unit.bit_length() - 3 + (4 if rules.percpu_extra_lists == 4 else 2)
    twice = rules.percpu_lists_per_memcg and kernel.config("MEMCG_KMEM")
    found.append((Purpose.PERCPU_CHUNK_LISTS, 16 * lists * (2 if twice else 1)))
    chunk = kernel.fact("struct.pcpu_chunk")
    static_end = sums.static + sums.reserved
    parts = [(sums.static, sums.reserved)] * bool(sums.reserved) + [(static_end, sums.used - static_end)]
    for start, size in parts:
        if rules.percpu_chunk == "structs":
            found.append((Purpose.PERCPU_CHUNK, round_up(chunk + sums.unit // PAGE_SIZE // 8, 8)))
            continue
        pages = ceil(start + size, PAGE_SIZE) - start // PAGE_SIZE
        words = pages * PAGE_SIZE // 4
        populated = 8 if rules.percpu_populated_bytes == 8 else 1
        found += [
            (Purpose.PERCPU_CHUNK, chunk + populated * ceil(pages, 64)),
            (Purpose.PERCPU_ALLOCATION_MAP, 8 * ceil(words, 64)),
            (Purpose.PERCPU_BOUNDARY_MAP, 8 * ceil(words + 1, 64)),
            (Purpose.PERCPU_BLOCK_METADATA, pages * kernel.fact("struct.pcpu_block_md")),
        ]
    return [("reserve", kind, size) for kind, size in found]


@settings(deadline=None, derandomize=True, max_examples=100)
@given(
    st.sampled_from(VERSIONS),
    st.lists(st.integers(0, 3), min_size=1, max_size=24) | st.integers(1, 200).map(lambda count: [0] * count),
    st.integers(1, 600).map(lambda kib: kib * KIB) | st.integers(1, 3 * MIB) | st.just(2 * MIB - 36 * KIB),
    st.booleans(),
)
def test_embedded_areas_block_by_block(version: str, homes: list[int], static: int, modules: bool) -> None:
    facts = {"image.percpu_static": static, "config.MODULES": modules, "config.RANDOM_KMALLOC_CACHES": False}
    kernel = override(find_kernel(version), {**facts, "config.MEM_ALLOC_PROFILING": False})
    boot = booted(kernel, homes)
    order = list(dict.fromkeys(homes))
    groups = [homes.count(nid) for nid in order]
    sums = summed(static, 8 * KIB * modules, DYNAMIC[version][0] * KIB, groups)

    setup_per_cpu_areas(boot)

    found = blocks(boot)
    header = kernel.fact("struct.pcpu_alloc_info") + len(groups) * kernel.fact("struct.pcpu_group_info")
    slots = [round_up(cpus, sums.shared) for cpus in groups]
    info = round_up(round_up(header, 4) + 4 * sum(slots), PAGE_SIZE)
    areas = round_up(8 * len(groups), PAGE_SIZE)
    assert sizes(found[:2]) == [("reserve", Purpose.PERCPU_INFO, info), ("reserve", Purpose.PERCPU_INFO, areas)]
    taken = found[2 : 2 + len(groups)]
    assert sizes(taken) == [("reserve", Purpose.PERCPU, count * sums.unit) for count in slots]
    for nid, (_, _, start, end) in zip(order, taken, strict=True):
        assert start >= 16 * MIB
        assert start % SIZE_2M == 0
        if nid in boot.nodes.online and end - start < 900 * MIB:
            assert any(low <= start and end <= high for low, high, home in RAM if home == nid)
    freed = [
        (start + unit * sums.unit + (sums.used if unit < cpus else 0), start + (unit + 1) * sums.unit)
        for (_, _, start, _), count, cpus in zip(taken, slots, groups, strict=True)
        for unit in range(count)
    ]
    own = [(low, high) for op, kind, low, high in found if (op, kind) == ("free", Purpose.PERCPU)]
    assert [part for part in own if part[0] < part[1]] == [part for part in freed if part[0] < part[1]]
    rest = [block for block in found[2 + len(groups) :] if block[1] is not Purpose.PERCPU]
    assert sizes(rest[:-2]) == books(kernel, sums, len(groups), len(homes))
    assert rest[-2:] == [("free", *found[0][1:]), ("free", *found[1][1:])]
    (line,) = [event.text for event in boot.recorder.events if isinstance(event, Message) and "cpu" in event.text]
    told = f"s{static} r{sums.reserved} d{sums.used - static - sums.reserved} u{sums.unit}"
    first = f"{boot.params.direct_map_base + min(start for *_, start, _ in taken):x}"
    where = {"3.13": f"@{first} ", "3.18": f"@{first} ", "4.14": f"@{first} ", "4.17": "@(____ptrval____) "}
    prefix = "PERCPU" if version in ("3.13", "3.18") else "percpu"
    assert line == f"{prefix}: Embedded {sums.used // PAGE_SIZE} pages/cpu {where.get(version, '')}{told}"


@pytest.mark.parametrize(
    ("version", "la57", "cpus", "static"),
    [
        *((version, False, *size) for version in VERSIONS for size in ((1, 300 * KIB), (3, 1), (7, MIB), (9, 221184))),
        ("6.12", True, 3, MIB),
        ("6.12", True, 300, 3900 * KIB),
    ],
)
def test_areas_by_pages(version: str, la57: bool, cpus: int, static: int) -> None:
    """The list of pages, each CPU's pages, the tables that map them all from the vmalloc area's start, the books."""
    facts = {"image.percpu_static": static, "config.MODULES": True, "config.RANDOM_KMALLOC_CACHES": False}
    kernel = override(find_kernel(version), {**facts, "config.MEM_ALLOC_PROFILING": False})
    boot = booted(kernel, [cpu % 3 for cpu in range(cpus)], cmdline="percpu_alloc=page", la57=la57)
    used = max(round_up(static + 8 * KIB + DYNAMIC[version][1] * KIB, PAGE_SIZE), 32 * KIB)

    setup_per_cpu_areas(boot)

    found = blocks(boot)
    pages = used // PAGE_SIZE
    list_size = round_up(8 * pages * cpus, PAGE_SIZE)
    assert sizes(found[1:2]) == [("reserve", Purpose.PERCPU_INFO, list_size)]
    taken = [block for block in found if block[1] is Purpose.PERCPU]
    assert [op for op, *_ in taken] == ["reserve"] * (pages * cpus)
    assert {end - start for *_, start, end in taken} == {PAGE_SIZE}
    assert min(start for *_, start, _ in taken) >= 16 * MIB
    levels = 5 if la57 and kernel.config("X86_5LEVEL") else 4
    tables = sum(ceil(used * cpus, size) for size in (SIZE_2M, GIB, 512 * GIB, 256 * TIB)[: levels - 1])
    assert sizes(found).count(("reserve", Purpose.PERCPU_PAGE_TABLES, PAGE_SIZE)) == tables
    assert found[-2:] == [("free", *found[1][1:]), ("free", *found[0][1:])]
    sums = Sums(static, 8 * KIB, round_up(static + 8 * KIB + DYNAMIC[version][1] * KIB, PAGE_SIZE), 1, used)
    rest = [block for block in found if block[1] not in (Purpose.PERCPU, Purpose.PERCPU_PAGE_TABLES)]
    assert sizes(rest[2:-2]) == books(kernel, sums, 1, cpus)


@pytest.mark.parametrize("version", ["4.8", "4.9", "6.12"])
@pytest.mark.parametrize("cpus", [1, 9])
def test_how_far_apart_embedded_areas_may_lie(version: str, cpus: int) -> None:
    """Three quarters of the 32 TiB of the vmalloc area, less a byte; with all units of the last area since 4.9."""
    kernel = override(find_kernel(version), {"image.percpu_static": 221184, "config.RANDOM_KMALLOC_CACHES": False})
    homes = [0] * 9 + [1] * cpus
    sums = summed(221184, 8 * KIB, 28 * KIB, [9, cpus])
    counted = round_up(cpus, sums.shared) * sums.unit if version != "4.8" else sums.unit
    room = round_up(round_up(cpus, sums.shared) * sums.unit, SIZE_2M)
    first = next(s for _, kind, s, _ in blocks(tried(kernel, homes, 25 * TIB, room)) if kind is Purpose.PERCPU)
    limit = (32 * TIB - 1) * 3 // 4
    nearest = first + limit - counted
    for place in (nearest // SIZE_2M * SIZE_2M, nearest // SIZE_2M * SIZE_2M + SIZE_2M):
        boot = tried(kernel, homes, place, room)
        told = [event.text for event in boot.recorder.events if isinstance(event, Message) and event.warning]
        distance = place - first + counted
        far = distance > limit
        assert far == (place > nearest)
        if not far:
            assert told == []
            continue
        assert told[0].endswith(f"max_distance={distance:#x} too large for vmalloc space {32 * TIB - 1:#x}")
        assert told[1] == "setup_percpu: auto allocator failed (-22), falling back to page size"
        kept = {"reserve": 0, "free": 0}
        for op, _, start, end in [block for block in blocks(boot) if block[1] is Purpose.PERCPU]:
            kept[op] += (end - start) * (end - start > PAGE_SIZE)
        # Given back since 4.9; before, what the units use is lost.
        assert kept["reserve"] - kept["free"] == (sums.used * (9 + cpus) if version == "4.8" else 0)


def tried(kernel: Kernel, homes: list[int], place: int, room: int) -> Boot:
    """A boot of which node 1 has room for its CPUs' areas at `place`, and what is small goes above them."""
    end = place + room
    boot = booted(kernel, homes, ((16 * MIB, GIB, 0), (place, end, 1), (end, end + MIB, 2)))
    setup_per_cpu_areas(boot)
    return boot


def test_areas_for_which_there_is_no_room_are_given_back() -> None:
    """Of two blocks of 2 MiB there is one, and then of twice 484 pages about a half."""
    kernel = override(find_kernel("6.1"), {"image.percpu_static": 1900 * KIB})
    boot = booted(kernel, [0, 1], ((16 * MIB, 18 * MIB + 64 * KIB, 0),))
    with pytest.raises(BootPanic, match=r"cannot initialize percpu area \(err=-12\)"):
        setup_per_cpu_areas(boot)
    found = blocks(boot)
    open_blocks = [block[1:] for block in found if block[0] == "reserve"]
    for block in found:
        if block[0] == "free":
            assert block[1:] in open_blocks
            open_blocks.remove(block[1:])
    assert open_blocks == []
    told = [event.text for event in boot.recorder.events if isinstance(event, Message) and event.warning]
    assert told == [
        "setup_percpu: auto allocator failed (-12), falling back to page size",
        "percpu: failed to allocate 4K page for cpu1",
    ]


@pytest.mark.parametrize("version", ["5.10", "6.12"])
def test_where_one_node_s_areas_find_no_room_no_other_s_are_looked_for(version: str) -> None:
    """Nine CPUs' areas of 1.5 MiB each have no room anywhere, that of one would; pages are taken for all of them."""
    kernel = override(find_kernel(version), {"image.percpu_static": 1500 * KIB, "config.RANDOM_KMALLOC_CACHES": False})
    boot = booted(kernel, [0] * 9 + [1], ((16 * MIB, 33 * MIB, 0), (33 * MIB, 36 * MIB, 1)))
    setup_per_cpu_areas(boot)
    own = [(op, end - start) for op, kind, start, end in blocks(boot) if kind is Purpose.PERCPU]
    assert set(own) == {("reserve", PAGE_SIZE)}
    told = [event.text for event in boot.recorder.events if isinstance(event, Message) and event.warning]
    assert told == ["setup_percpu: auto allocator failed (-12), falling back to page size"]
