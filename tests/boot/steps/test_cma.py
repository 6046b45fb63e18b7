"""Contiguous areas: cma= and hugetlb_cma= at the edges of their rules (mm/cma.c, mm/hugetlb.c)."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from memplan.boot.context import Boot
from memplan.boot.steps.cma import declare_contiguous
from memplan.events import Change, Refused
from memplan.machine.model import Cpus
from memplan.owner import Owner, Purpose
from memplan.units import GIB, MIB, PAGE_SHIFT, PAGE_SIZE
from tests.boot.steps.single import EMPTY, boot_of, changes, ran, told, warned

OWNER = Owner(Purpose.CMA)
#: The least alignment of an area: a block of the page allocator of the highest order, since 5.19 a pageblock.
ALIGN = {"5.10": 4 * MIB, "6.1": 2 * MIB}


def declared(boot: Boot, base: int, size: int, limit: int = 0, align: int = 0, *, fixed: bool = False) -> int | None:
    return declare_contiguous(boot, base, size, limit, align, fixed, OWNER)


@pytest.mark.parametrize("version", ALIGN)
def test_an_area_at_its_own_place(version: str) -> None:
    align = ALIGN[version]
    boot = boot_of(version)
    assert declared(boot, 256 * MIB, 64 * MIB + 1, fixed=True) == 256 * MIB
    assert changes(boot) == [("reserve", 256 * MIB, 320 * MIB + align)]
    odd = 256 * MIB + align // 2
    crooked = boot_of(version)
    assert declared(crooked, odd, 64 * MIB, fixed=True) == 0
    assert warned(crooked) == [f"cma: Region at {odd:#018x} must be aligned to {align:#018x} bytes"]
    assert declared(boot_of(version), 256 * MIB, 64 * MIB, align=512 * MIB, fixed=True) == 0
    last = boot_of(version, EMPTY, reserved=((320 * MIB - 1, 320 * MIB), (128 * MIB, 256 * MIB)))
    assert declared(last, 256 * MIB, 64 * MIB, fixed=True) == 0
    assert warned(last) == ["cma: Failed to reserve 64 MiB"]
    beside = boot_of(version, EMPTY, reserved=((320 * MIB, 321 * MIB), (128 * MIB, 256 * MIB)))
    assert declared(beside, 256 * MIB, 64 * MIB, fixed=True) == 256 * MIB
    # Address 0 is no place.
    assert declared(boot_of(version), 0, 64 * MIB, fixed=True) == 2 * GIB - 64 * MIB


@pytest.mark.parametrize("version", ALIGN)
@pytest.mark.parametrize(
    ("base", "size", "limit", "found"),
    [
        (0, 64 * MIB, 0, 2 * GIB - 64 * MIB),
        (0, 64 * MIB, 9 * GIB, 2 * GIB - 64 * MIB),
        (0, 64 * MIB, GIB, GIB - 64 * MIB),
        (0, 64 * MIB, GIB + MIB, GIB - 64 * MIB),
        (GIB, 64 * MIB, GIB + 64 * MIB, GIB),
        (GIB - MIB, 64 * MIB, GIB + 64 * MIB, GIB),
        (GIB, 64 * MIB, GIB + 63 * MIB, 0),
        (GIB, 64 * MIB + 1, GIB + 64 * MIB, 0),
        (GIB, GIB, 0, GIB),
        (GIB, GIB + 1, 0, 0),
        (0, 3 * GIB, 0, 0),
    ],
)
def test_an_area_within_limits(version: str, base: int, size: int, limit: int, found: int) -> None:
    """Base and size are rounded up, the limit down, and memory's end is the limit of all."""
    boot = boot_of(version)
    assert declared(boot, base, size, limit) == found
    align = ALIGN[version]
    if found:
        whole = -(-size // align) * align
        assert changes(boot) == [("reserve", found, found + whole)]
        assert told(boot) == [f"cma: Reserved {whole // MIB} MiB at {found:#018x}"]
    else:
        assert changes(boot) == []
        assert [text.split(" (")[0] for text in warned(boot)] == ["cma: Size"]
        assert "exceeds limit (" in warned(boot)[0]


@pytest.mark.parametrize("version", ALIGN)
def test_no_room_between_the_limits(version: str) -> None:
    boot = boot_of(version, EMPTY, reserved=((GIB + 32 * MIB, GIB + 33 * MIB),))
    assert declared(boot, GIB, 64 * MIB, GIB + 64 * MIB) is None
    assert warned(boot) == ["cma: Failed to reserve 64 MiB"]


@pytest.mark.parametrize(
    ("version", "end", "bottom_up", "found"),
    [
        ("6.1", 5 * GIB, False, 4 * GIB),
        ("6.1", 5 * GIB - 2 * MIB, False, 4 * GIB - 2 * MIB),
        ("6.1", 9 * GIB, False, 4 * GIB),
        ("6.1", 9 * GIB, True, 2 * MIB),
        ("5.10", 9 * GIB, False, 8 * GIB),
        ("5.11", 9 * GIB, False, 8 * GIB),
        ("5.12", 9 * GIB, False, 4 * GIB),
    ],
)
def test_memory_above_4g_first(version: str, end: int, bottom_up: bool, found: int) -> None:
    """Upwards from 4 GiB since 5.12, where memory reaches as far as the area would, and allocations go downwards."""
    boot = boot_of(version, EMPTY, (MIB, end))
    boot.memblock.bottom_up = bottom_up
    assert declared(boot, 0, GIB) in (found, found + 2 * MIB) if bottom_up else declared(boot, 0, GIB) == found
    assert boot.memblock.bottom_up is bottom_up
    # Nothing above 4 GiB is looked for where it could not be found.
    (asked,) = [event.request for event in boot.recorder.events if isinstance(event, Change | Refused)]
    assert asked is not None
    assert (asked.min_addr, asked.max_addr) == (4 * GIB if found == 4 * GIB else 0, end)


def test_where_the_memory_above_4g_is_taken_the_area_lies_below() -> None:
    boot = boot_of("6.1", EMPTY, (MIB, 3 * GIB), (4 * GIB, 6 * GIB), reserved=((4 * GIB + MIB, 6 * GIB),))
    assert declared(boot, 0, GIB) == 2 * GIB
    assert told(boot) == [f"cma: Reserved 1024 MiB at {2 * GIB:#018x}"]


@pytest.mark.parametrize(
    ("value", "size", "start"),
    [
        ("64M", 64, 1984),
        ("64M@0-1G", 64, 960),
        ("64M@512M", 64, 512),
        ("64M@512M-576M", 64, 512),
        ("64M@512M-1G", 64, 960),
        ("64M@512M-0", 64, 1984),
        ("0", 0, 0),
        ("64Mx", 64, 1984),
    ],
)
def test_the_area_that_is_asked_for(value: str, size: int, start: int) -> None:
    """size[@base[-limit]]; without a limit the area lies at its base."""
    facts = {"config.DMA_CMA": True, "config.CMA_SIZE_MBYTES": 16, "config.CMA_SIZE_SEL_MBYTES": True}
    boot = ran(boot_of("6.1", EMPTY._replace(cmdline=f"cma={value}"), facts=facts), "dma_contiguous_reserve")
    assert changes(boot) == [("reserve", start * MIB, (start + size) * MIB)] * bool(size)
    off = boot_of("6.1", EMPTY._replace(cmdline=f"cma={value}"), facts={**facts, "config.DMA_CMA": False})
    assert changes(ran(off, "dma_contiguous_reserve")) == []


def test_a_taken_place_is_refused() -> None:
    for value, text in (("64M@512M-576M", "cma: Failed to reserve 64 MiB"), ("64M@513M", "cma: Region at ")):
        boot = boot_of(
            "6.1",
            EMPTY._replace(cmdline=f"cma={value}"),
            reserved=((570 * MIB, 571 * MIB),),
            facts={"config.DMA_CMA": True},
        )
        ran(boot, "dma_contiguous_reserve")
        assert warned(boot)[0].startswith(text)
        assert changes(boot) == []


@pytest.mark.parametrize(
    ("chosen", "mbytes", "percent", "size"),
    [
        ("MBYTES", 96, 50, 96),
        ("PERCENTAGE", 96, 25, 512),
        ("PERCENTAGE", 96, 1, 22),
        ("MIN", 96, 25, 96),
        ("MIN", 600, 25, 512),
        ("MAX", 96, 25, 512),
        ("MAX", 600, 25, 600),
        ("MBYTES", 0, 25, 0),
    ],
)
def test_the_size_of_the_configuration(chosen: str, mbytes: int, percent: int, size: int) -> None:
    """2 GiB, of which 1 % is a little more than 20 MiB: areas come in 2 MiB."""
    facts = {f"config.CMA_SIZE_SEL_{name}": name == chosen for name in ("MBYTES", "PERCENTAGE", "MIN", "MAX")}
    numbers = {"config.CMA_SIZE_MBYTES": mbytes, "config.CMA_SIZE_PERCENTAGE": percent}
    boot = boot_of("6.1", EMPTY, (0, 2 * GIB), facts={"config.DMA_CMA": True, **facts, **numbers})
    ran(boot, "dma_contiguous_reserve")
    assert [(end - start) // MIB for _, start, end in changes(boot)] == [size] * bool(size)


# -- hugetlb_cma= ------------------------------------------------------------------------------------------------------

NODES = ((4 * GIB, 12 * GIB, 0), (12 * GIB, 20 * GIB, 1), (20 * GIB, 28 * GIB, 2))
GIGANTIC = EMPTY._replace(cpus=Cpus(gbpages=True))


def shared(version: str, value: str, *ram: tuple[int, int, int], zones: bool = False) -> Boot:
    boot = boot_of(
        version, GIGANTIC._replace(cmdline=f"hugetlb_cma={value}"), *(ram or NODES), facts={"config.CMA": True}
    )
    if zones:
        boot.nodes.node_data = dict.fromkeys(boot.nodes.possible, (GIB, GIB + MIB))
        ran(boot, "free_area_init")
        boot.recorder.events.clear()
    return ran(boot, "hugetlb_cma_reserve")


def by_node(boot: Boot) -> dict[int | None, int]:
    sizes: dict[int | None, int] = {}
    for event in boot.recorder.events:
        if getattr(event, "op", "") == "reserve":
            nid = event.owner.nid  # type: ignore[union-attr]
            sizes[nid] = sizes.get(nid, 0) + (event.end - event.start) // GIB  # type: ignore[union-attr]
    return sizes


@pytest.mark.parametrize(
    ("version", "value", "sizes"),
    [
        ("5.10", "3G", {0: 1, 1: 1, 2: 1}),
        ("5.10", "1G", {0: 1}),
        ("5.10", "2G", {0: 1, 1: 1}),
        ("5.10", "4G", {0: 2, 1: 2}),
        ("5.10", "5G", {0: 2, 1: 2, 2: 1}),
        ("6.1", "4G", {0: 2, 1: 2}),
        ("6.1", "7G", {0: 3, 1: 3, 2: 1}),
        ("6.12", "7G", {0: 3, 1: 3, 2: 1}),
        ("6.1", "0:1G,2:3G", {0: 1, 2: 3}),
        ("6.1", "2:3G", {2: 3}),
        ("6.1", "0:1100M", {0: 2}),
        ("6.1", "1100M", {0: 1, 1: 1}),
        ("6.1", "3:1G,1:1G", {1: 1}),
        ("6.1", "0:1,1:1G", {1: 1}),
        ("6.1", "0:1G,", {0: 1}),
        ("6.1", "0:1G,1:1", {0: 1}),
        ("6.1", "0:1G,3:1G,2:1G", {0: 1, 2: 1}),
        # Without a comma nothing more is read, and none behind a node that no kernel of this build has.
        ("6.1", "0:1G1:2G", {0: 1}),
        ("6.1", "0:1G,99999:1G,1:1G", {0: 1}),
        ("6.1", "0:1G,1023:1G,1:1G", {0: 1, 1: 1}),
        ("6.1", "0:1G,1024:1G,1:1G", {0: 1}),
        ("6.1", "0:0,1:2G", {1: 2}),
        # A size without a node stands for all, and is read from the first character on.
        ("6.1", "0:1G,2G", {}),
        ("6.1", "99999:1G", {}),
        ("6.1", "0", {}),
        ("6.1", "1023M", {}),
        ("6.1", "x", {}),
        # A node's number is no part of the size up to 5.15.
        ("5.10", "1:2G", {}),
        ("6.1", "9G", {0: 3, 1: 3, 2: 3}),
    ],
)
def test_how_areas_for_gigantic_pages_are_shared_out(version: str, value: str, sizes: dict[int, int]) -> None:
    boot = shared(version, value)
    assert by_node(boot) == sizes
    assert set(boot.hugetlb_areas) == set(sizes)
    assert [text for text in told(boot) if " MiB on node " in text] == [
        f"hugetlb_cma: reserved {size * 1024} MiB on node {nid}" for nid, size in sizes.items()
    ]


def test_what_is_told_of_the_shares() -> None:
    assert told(shared("6.1", "4G"))[0] == "hugetlb_cma: reserve 4096 MiB, up to 2048 MiB per node"
    assert told(shared("6.1", "1100M"))[0] == "hugetlb_cma: reserve 1100 MiB, up to 1024 MiB per node"
    assert told(shared("5.10.89", "4G"))[0] == "hugetlb_cma: reserve 4096 MiB, up to 1365 MiB per node"
    assert told(shared("5.10", "4G"))[0] == "hugetlb_cma: reserve 4096 MiB, up to 2048 MiB per node"
    assert not [text for text in told(shared("6.1", "1:2G")) if "per node" in text]
    assert warned(shared("6.1", "512M")) == ["hugetlb_cma: cma area should be at least 1024 MiB"]
    assert warned(shared("6.1", "0:1,1:1G")) == ["hugetlb_cma: cma area of node 0 should be at least 1024 MiB"]
    assert warned(shared("6.1", "3:1G,1:1G")) == ["hugetlb_cma: invalid node 3 specified"]
    assert warned(shared("6.1", "0:0,1:1G")) == []
    least = "hugetlb_cma: cma area of node 0 should be at least 1024 MiB"
    assert warned(shared("6.1", "0:512M,99999:1G")) == [least]
    assert warned(shared("6.1", "0:1023M,1:1024M")) == [least]
    assert warned(shared("6.1", "1023M")) == ["hugetlb_cma: cma area should be at least 1024 MiB"]
    assert warned(shared("6.1", "1024M")) == []


@pytest.mark.parametrize(
    ("version", "value", "sizes", "refused"),
    [
        ("7.1", "0:1100M", {0: 2}, []),
        ("7.2", "0:1100M", {}, ["cma area of node 0 must be a multiple of 1024 MiB"]),
        ("7.2", "0:1100M,1:2G", {1: 2}, ["cma area of node 0 must be a multiple of 1024 MiB"]),
        ("7.1", "1100M", {0: 1, 1: 1}, []),
        ("7.2", "1100M", {}, ["cma area must be a multiple of 1024 MiB"]),
        ("7.2", "512M", {}, ["cma area must be a multiple of 1024 MiB"]),
        ("7.2", "4G", {0: 2, 1: 2}, []),
        ("7.2", "40%", {}, ["cma area must be a multiple of 1024 MiB"]),
    ],
)
def test_an_area_is_whole_gigantic_pages_since_7_2(
    version: str, value: str, sizes: dict[int, int], refused: list[str]
) -> None:
    boot = shared(version, value)
    assert by_node(boot) == sizes
    assert warned(boot) == [f"hugetlb_cma: {text}" for text in refused]
    assert boot.hugetlb_cma is bool(sizes)


@pytest.mark.parametrize(
    ("value", "sizes", "said"),
    [
        # Of 24 GiB in all, and of the 8 GiB of each node; what is no whole GiB is left out.
        ("50%", {0: 4, 1: 4, 2: 4}, ["reserve 12288 MiB (50%), up to 4096 MiB per node"]),
        ("9%", {0: 1, 1: 1}, ["reserve 2048 MiB (9%), up to 1024 MiB per node"]),
        ("100%", {0: 8, 1: 8, 2: 8}, ["reserve 24576 MiB (100%), up to 8192 MiB per node"]),
        ("4%", {}, ["reservation size rounded down to 0 from 983 MiB (4%)"]),
        ("0%", {}, []),
        ("101%", {}, ["invalid percentage 101"]),
        ("1:49%", {1: 3}, ["reserved 3072 MiB (49%) on node 1"]),
        ("0:2G,1:25%", {0: 2, 1: 2}, ["reserved 2048 MiB on node 0", "reserved 2048 MiB (25%) on node 1"]),
        ("0:12%,1:1G", {1: 1}, ["reservation size rounded down to 0 from 983 MiB (12%) on node 0"]),
        ("0:1G,1:101%,2:1G", {0: 1}, ["invalid percentage 101 for node 1"]),
        ("1:30%,1:1G", {1: 1}, ["reserved 1024 MiB on node 1"]),
        ("1:1G,1:30%", {1: 2}, ["reserved 2048 MiB (30%) on node 1"]),
        # A node without memory has no share of it.
        ("3:10%,1:1G", {1: 1}, ["reserved 1024 MiB on node 1"]),
        # A size for all takes back what nodes were to have, and is read from the first character on.
        ("1:2G,2G", {}, ["cma area must be a multiple of 1024 MiB"]),
        ("2G", {0: 1, 1: 1}, ["reserve 2048 MiB, up to 1024 MiB per node"]),
    ],
)
def test_percentages_since_7_3(value: str, sizes: dict[int, int], said: list[str]) -> None:
    boot = shared("7.3", value, zones=True)
    assert by_node(boot) == sizes
    own = [text.removeprefix("hugetlb_cma: ") for text in told(boot) if text.startswith("hugetlb_cma: ")]
    assert [text for text in said if text not in own] == []
    assert bool(own) is bool(said or sizes)


def test_an_area_in_two_zones_does_not_count_since_7_3() -> None:
    for version, nodes in (("7.2", {0, 1}), ("7.3", {1})):
        boot = boot_of(version, GIGANTIC._replace(cmdline="hugetlb_cma=0:2G,1:2G"), *NODES, facts={"config.CMA": True})
        boot.nodes.node_data = dict.fromkeys(boot.nodes.possible, (GIB, GIB + MIB))
        ran(boot, "free_area_init")
        # The areas lie from 4 and from 12 GiB on; ZONE_MOVABLE begins in the second GiB of the first.
        start = 5 * GIB + 4 * MIB >> PAGE_SHIFT
        own = next(zone for zone in boot.zones.zones if zone.nid == 0)
        end = own.start_pfn + own.spanned
        boot.zones.zones += [own._replace(name="Movable", start_pfn=start, spanned=end - start)]
        boot.zones.zones[boot.zones.zones.index(own)] = own._replace(spanned=start - own.start_pfn)
        ran(boot, "hugetlb_cma_reserve")
        assert set(boot.hugetlb_areas) == nodes
        spans = "hugetlb_cma: reserved area spans zones: err 0, node 0"
        assert (spans in warned(boot)) is (version == "7.3")


@pytest.mark.parametrize(
    ("words", "sizes"),
    [
        ("cma=64M", [(None, 64), (0, 64), (1, 64), (2, 64)]),
        ("cma=63M", [(None, 64), (0, 64), (1, 64), (2, 64)]),
        ("cma=64M cma_pernuma=16M", [(None, 64), (0, 16), (1, 16), (2, 16)]),
        ("cma=64M cma_pernuma=0", [(None, 64)]),
        ("cma_pernuma=16M numa_cma=1:32M", [(0, 16), (1, 32), (2, 16)]),
        ("numa_cma=1:32M,2:8M", [(1, 32), (2, 8)]),
        ("numa_cma=1:32M numa_cma=0:8M", [(0, 8), (1, 32)]),
        ("cma=64M numa_cma=x", [(None, 64)]),
        ("", []),
    ],
)
def test_areas_of_nodes_since_7_2(words: str, sizes: list[tuple[int | None, int]]) -> None:
    facts = {
        **dict.fromkeys(("config.DMA_CMA", "config.DMA_NUMA_CMA", "config.CMA_SIZE_PERNUMA"), True),
        "config.CMA_SIZE_MBYTES": 0,
        "config.CMA_SIZE_SEL_MBYTES": True,
    }
    for off in ("", "config.CMA_SIZE_PERNUMA", "config.DMA_NUMA_CMA"):
        own = EMPTY._replace(cmdline=words)
        boot = ran(boot_of("7.2", own, *NODES, facts={**facts, off: False} if off else facts), "dma_contiguous_reserve")
        found = [
            (event.owner.nid, (event.end - event.start) // MIB)
            for event in boot.recorder.events
            if isinstance(event, Change)
        ]
        default_alone = off == "config.DMA_NUMA_CMA" or (off and words in ("cma=64M", "cma=63M"))
        assert found == [size for size in sizes if size[0] is None or not default_alone]


def test_a_node_whose_area_can_t_be_had_is_told_of() -> None:
    facts = {"config.DMA_CMA": True, "config.DMA_NUMA_CMA": True, "config.CMA_SIZE_SEL_MBYTES": True}
    machine = EMPTY._replace(cmdline="numa_cma=0:64M,1:9G,2:99G,3:1M")
    boot = boot_of("7.2", machine, *NODES, facts={**facts, "config.CMA_SIZE_MBYTES": 0})
    boot.nodes.possible.add(3)
    ran(boot, "dma_contiguous_reserve")
    failed = "cma: dma_numa_cma_reserve: reservation failed: err"
    assert [text for text in warned(boot) if "cma: Size" not in text and "to reserve" not in text] == [
        f"{failed} -12, node 1",
        f"{failed} -22, node 2",
        "cma: invalid node 3 specified",
    ]


def test_a_node_without_room_leaves_the_rest_to_the_others() -> None:
    small = ((4 * GIB, 5 * GIB - MIB, 0), (5 * GIB, 12 * GIB, 1), (12 * GIB, 20 * GIB, 2))
    boot = shared("6.1", "3G", *small)
    assert by_node(boot) == {1: 1, 2: 1}
    assert "hugetlb_cma: reservation failed: err -12, node 0" in warned(boot)
    assert boot.hugetlb_cma


@pytest.mark.parametrize(("version", "counts"), [("5.10", False), ("6.1", True), ("7.1", False)])
def test_areas_that_could_not_be_had(version: str, counts: bool) -> None:
    """Pages at boot are given up for areas that are only asked for, or for those that there are."""
    boot = shared(version, "64G", (4 * GIB, 5 * GIB, 0))
    assert boot.hugetlb_areas == {}
    assert boot.hugetlb_cma in (counts, not boot.rules.hugetlb_cma_may_fail)


def test_without_gigantic_pages_nothing_is_asked_for() -> None:
    for machine, config in ((EMPTY._replace(cpus=Cpus(gbpages=False)), True), (GIGANTIC, False)):
        boot = boot_of("6.1", machine._replace(cmdline="hugetlb_cma=2G"), *NODES, facts={"config.CMA": config})
        assert told(ran(boot, "hugetlb_cma_reserve")) == []
        assert changes(boot) == []


def chosen_ranges(gaps: list[tuple[int, int]], total: int) -> list[tuple[int, int]]:
    """mm/cma.c's lists as they are kept: the eight ranges, and of these, by place, as many as are needed."""
    sizes: list[tuple[int, int]] = []
    for start, end in gaps:
        if len(sizes) == 8:
            if end - start < sizes[-1][1] - sizes[-1][0]:
                continue
            sizes.pop()
        at = next((n for n, (low, high) in enumerate(sizes) if high - low > end - start), max(len(sizes) - 1, 0))
        sizes.insert(at, (start, end))
    if sum(end - start for start, end in sizes) < total:
        return []
    places: list[tuple[int, int]] = []
    for start, end in sizes:
        at = next((n for n, (low, _) in enumerate(places) if low < start), max(len(places) - 1, 0))
        places.insert(at, (start, end))
        if sum(end - start for start, end in places) >= total:
            break
    taken = []
    for start, end in places:
        if total:
            taken.append((start, min(end, start + total)))
            total -= taken[-1][1] - start
    return taken


@settings(deadline=None, derandomize=True, max_examples=80)
@given(st.lists(st.integers(1, 9), min_size=2, max_size=12), st.integers(2, 30))
# More than eight: a smaller one is passed over, one that is as large or larger takes the last one's place.
@example([1, *[3] * 8, 2, 4, 5], 20)
@example([1, *[3] * 9], 24)
@example([1, 5, 4, 3, 2, 5, 4, 3, 2, 3, 1, 6], 26)
@example([1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9], 60)
@example([1, 1, 2, 1], 4)
@example([1, 1, 2, 1], 5)
def test_an_area_of_several_ranges_of_its_node(sizes: list[int], total: int) -> None:
    """Free ranges of some GiB each, a GiB apart; one that holds it all is taken alone."""
    at = 3 * GIB
    free = []
    for size in sizes:
        free.append((at, at + size * GIB))
        at += (size + 1) * GIB
    taken = tuple((end, end + GIB) for _, end in free)
    boot = boot_of(
        "6.18",
        GIGANTIC._replace(cmdline=f"hugetlb_cma=0:{total}G"),
        (3 * GIB, at, 0),
        reserved=taken,
        facts={"config.CMA": True},
    )
    ran(boot, "hugetlb_cma_reserve")
    own = [(start, end) for _, start, end in changes(boot)]
    if any(end - max(start, 0) >= total * GIB for start, end in free):
        assert [end - start for start, end in own] == [total * GIB]
        return
    above = [(start, end) for start, end in free if start >= 4 * GIB]
    assert own == chosen_ranges(above, total * GIB)
    if own:
        assert f"cma: Reserved {total * 1024} MiB in {len(own)} range{'s' if len(own) > 1 else ''}" in told(boot)
    else:
        assert f"cma: Failed to reserve {total * 1024} MiB" in warned(boot)


def test_ranges_end_where_gigantic_pages_do() -> None:
    ram = (4 * GIB + MIB, 20 * GIB, 0)
    boot = boot_of(
        "6.18",
        GIGANTIC._replace(cmdline="hugetlb_cma=0:12G"),
        ram,
        reserved=((12 * GIB - PAGE_SIZE, 12 * GIB), (13 * GIB, 13 * GIB + PAGE_SIZE)),
        facts={"config.CMA": True},
    )
    ran(boot, "hugetlb_cma_reserve")
    own = sorted((start // GIB, end // GIB) for _, start, end in changes(boot))
    assert all(start % GIB == end % GIB == 0 for _, start, end in changes(boot))
    assert sum(end - start for start, end in own) == 12
    assert not any(start < 5 or start < 12 < end or 11 <= start < 12 or start == 13 for start, end in own)


@pytest.mark.parametrize(
    ("version", "per_node", "sizes"), [("6.12", 2048, {0: 2, 1: 2, 2: 2}), ("6.18", 2730, {0: 3, 1: 3, 2: 2})]
)
def test_nodes_without_memory_have_no_share_since_6_15(version: str, per_node: int, sizes: dict[int, int]) -> None:
    boot = boot_of(version, GIGANTIC._replace(cmdline="hugetlb_cma=8G"), *NODES, facts={"config.CMA": True})
    boot.nodes.online.add(3)
    ran(boot, "hugetlb_cma_reserve")
    assert told(boot)[0] == f"hugetlb_cma: reserve 8192 MiB, up to {per_node} MiB per node"
    assert by_node(boot) == sizes
    assert ("hugetlb_cma: reservation failed: err -12, node 3" in warned(boot)) is (version == "6.12")
