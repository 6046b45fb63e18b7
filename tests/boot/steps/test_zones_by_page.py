"""Zones of any small layout of RAM, held against what becomes of each page by the rules of mm/mm_init.c."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import NamedTuple, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memplan.boot.context import Boot
from memplan.boot.steps.zones import _spread_kernelcore, free_area_init
from memplan.errors import NotCoveredError
from memplan.kernel.load import find_kernel
from memplan.machine.model import E820Entry, Machine
from memplan.units import GIB, MIB, PAGE_SHIFT, PAGE_SIZE
from tests.boot.steps.single import told

DMA_END, DMA32_END = 16 * MIB >> PAGE_SHIFT, 4 * GIB >> PAGE_SHIFT
SECTION = 128 * MIB >> PAGE_SHIFT
#: Pages below 16 MiB that are taken before.
DMA_RESERVE = 77


class Piece(NamedTuple):
    """RAM of one node, in pages; `special` is what movable_node or kernelcore=mirror asks of it."""

    start: int
    end: int
    nid: int
    special: bool


#: Pages of RAM and of a hole behind it; the node; whether it is special.
_PAGES = st.integers(1, 40 * 256) | st.integers(1, 2000)
_HOLE = st.just(0) | st.integers(0, 60 * 256)
_ROWS = st.lists(st.tuples(_PAGES, _HOLE, st.integers(0, 2), st.booleans()), min_size=1, max_size=6)
#: Where RAM begins, and behind which piece it goes on around 4 GiB.
_FIRST = st.integers(256, 6000)
_JUMP = st.none() | st.tuples(st.integers(0, 5), st.integers(-30 * 256, 20 * 256))


@st.composite
def pieces(draw: st.DrawFn) -> list[Piece]:
    """RAM upwards, of up to three nodes that may lie in one another, around the borders at 16 MiB and at 4 GiB."""
    at = draw(_FIRST)
    jump = draw(_JUMP)
    found = []
    for number, (pages, hole, nid, special) in enumerate(draw(_ROWS)):
        if jump is not None and jump[0] == number:
            at = max(at, DMA32_END + jump[1])
        found.append(Piece(at, at + pages, nid, special))
        at += pages + hole
    return found


def laid_out(version: str, ram: list[Piece], cmdline: str) -> Boot:
    """A boot with that RAM up to its zones; with kernelcore=mirror special RAM is mirrored, else hot-pluggable."""
    entries = tuple(E820Entry(piece.start * PAGE_SIZE, piece.end * PAGE_SIZE) for piece in ram)
    kernel = find_kernel(version)
    # No wait tables, for which there may be too little RAM.
    kernel = kernel._replace(rules=kernel.rules._replace(zone_wait_tables=False))
    boot = Boot(Machine(e820=entries, cmdline=cmdline), kernel)
    boot.memblock.mirrored_kernelcore = "mirror" in cmdline
    for piece in ram:
        base, size = piece.start * PAGE_SIZE, (piece.end - piece.start) * PAGE_SIZE
        boot.memblock.add(base, size)
        boot.memblock.set_node(base, size, piece.nid)
        if piece.special:
            mark = boot.memblock.mark_mirror if boot.memblock.mirrored_kernelcore else boot.memblock.mark_hotplug
            mark(base, size)
    boot.max_pfn = ram[-1].end
    boot.nodes.possible = {piece.nid for piece in ram}
    boot.nodes.node_data = dict.fromkeys(boot.nodes.possible, (0, 1))
    boot.dma_reserve = DMA_RESERVE
    boot.recorder.events.clear()
    free_area_init(boot)
    return boot


def told_of(boot: Boot, words: str) -> list[str]:
    return [text for text in told(boot) if words in text]


def movable_starts(version: str, ram: list[Piece], wanted: list[Piece]) -> dict[int, int]:
    """The lowest page of each node's `wanted` RAM, up to the next 4 MiB, in the node since 5.18 and 5.10.110."""
    lowest: dict[int, int] = {}
    for piece in wanted:
        lowest.setdefault(piece.nid, -(-piece.start // 1024) * 1024)
    ends = {piece.nid: piece.end for piece in ram}
    return {nid: pfn for nid, pfn in lowest.items() if version in ("3.13", "5.10.89") or pfn < ends[nid]}


def regions(ram: list[Piece]) -> list[Piece]:
    """As memblock keeps it: what touches and is alike is one."""
    found: list[Piece] = []
    for piece in ram:
        if found and found[-1].end == piece.start and found[-1][2:] == piece[2:]:
            found[-1] = found[-1]._replace(end=piece.end)
        else:
            found.append(piece)
    return found


def kernel_zone(pfn: int) -> str:
    return "DMA" if pfn < DMA_END else "DMA32" if pfn < DMA32_END else "Normal"


def segments(ram: list[Piece], nid: int, *more: int) -> list[tuple[int, int, bool, bool, bool]]:
    """What the node spans, cut where anything changes: (start, end, whether RAM, of the node, special)."""
    own = [piece for piece in ram if piece.nid == nid]
    first, last = own[0].start, own[-1].end
    places = {DMA_END, DMA32_END, *more, *(place for piece in ram for place in piece[:2])}
    cuts = sorted({first, last, *(place for place in places if first < place < last)})
    found = []
    for low, high in pairwise(cuts):
        piece = next((piece for piece in ram if piece.start <= low < piece.end), None)
        found.append((low, high, piece is not None, piece in own, piece is not None and piece.special))
    return found


@settings(max_examples=60)
@given(pieces())
@pytest.mark.parametrize("version", ["3.13", "5.10.89", "5.10", "6.1", "6.12"])
@pytest.mark.parametrize("cmdline", ["", "movable_node"])
def test_each_page_is_in_the_zone_of_its_place(version: str, cmdline: str, ram: list[Piece]) -> None:
    boot = laid_out(version, ram, cmdline)
    starts = {}
    if cmdline and version != "3.13":
        starts = movable_starts(version, ram, [piece for piece in ram if piece.special])
    assert boot.zones.movable_start_pfn == starts
    wanted: dict[tuple[int, str], list[int]] = {}
    for nid in sorted(boot.nodes.possible):
        for low, high, _, own, _ in segments(ram, nid, *starts.values()):
            name = "Movable" if nid in starts and low >= starts[nid] else kernel_zone(low)
            zone = wanted.setdefault((nid, name), [low, 0, 0])
            zone[1] += high - low
            zone[2] += own * (high - low)
    found = [(zone.nid, zone.name, zone.start_pfn, zone.spanned, zone.present) for zone in boot.zones.zones]
    assert found == [(*place, *zone) for place, zone in wanted.items()]
    if version != "6.12":
        free = sum(pages_for_the_kernel(boot, name, *zone[1:]) for (_, name), zone in wanted.items())
        assert boot.zones.nr_kernel_pages == boot.zones.nr_all_pages == free


def pages_for_the_kernel(boot: Boot, name: str, spanned: int, present: int) -> int:
    """What a zone adds to nr_kernel_pages up to 6.9: its RAM without the map of it, the first zone without more.

    A map with holes of more than a sixteenth is counted for the RAM alone.
    """
    mapped = present if spanned > present + present // 16 else spanned
    free = present + -mapped * boot.kernel.fact("struct.page") // PAGE_SIZE
    return free - DMA_RESERVE if name == "DMA" and free > DMA_RESERVE else free


@settings(max_examples=60)
@given(pieces())
@pytest.mark.parametrize("version", ["5.10.89", "5.10", "6.12"])
def test_mirrored_pages_are_the_kernel_s_and_the_others_movable(version: str, ram: list[Piece]) -> None:
    """Of what lies above 4 GiB; the kernel takes the others off a zone wherever they are, also another node's."""
    ignored = version == "6.12" and not any(piece.special for piece in ram)
    plain = [] if ignored else [piece for piece in regions(ram) if not piece.special]
    starts = movable_starts(version, ram, [piece for piece in plain if piece.start >= DMA32_END])
    wanted: dict[tuple[int, str], list[int]] = {}
    for nid in sorted({piece.nid for piece in ram}):
        movable = starts.get(nid)
        of_node = segments(ram, nid, *starts.values())
        normal = [low for low, *_ in of_node if low >= DMA32_END]
        for low, high, is_ram, own, special in of_node:
            names = [kernel_zone(low)] if movable is None or low < DMA32_END or normal[0] < movable else []
            if movable is not None and low >= movable:
                names.append("Movable")
            for name in names:
                zone = wanted.setdefault((nid, name), [low, 0, 0])
                zone[1] += high - low
                zone[2] += own * (high - low)
                if movable is not None and is_ram and low >= DMA32_END and special == (name == "Movable"):
                    zone[2] -= high - low
    if any(present < 0 for _, _, present in wanted.values()):
        with pytest.raises(NotCoveredError, match="twice and gets below zero"):
            laid_out(version, ram, "kernelcore=mirror")
        return
    boot = laid_out(version, ram, "kernelcore=mirror")
    assert boot.zones.movable_start_pfn == starts
    found = {(zone.nid, zone.name): [zone.start_pfn, zone.spanned, zone.present] for zone in boot.zones.zones}
    assert found == wanted
    unmirrored = any(piece.start < DMA32_END for piece in plain)
    assert bool(told_of(boot, "results in unmirrored kernel memory")) is unmirrored
    assert bool(told_of(boot, "has no mirror memory")) is ignored


@settings(max_examples=60)
@given(pieces())
@pytest.mark.parametrize("cmdline", ["", "movable_node"])
def test_pages_without_ram_go_to_the_zone_above_them(cmdline: str, ram: list[Piece]) -> None:
    """Those in sections that have RAM, a line for each hole; behind the last RAM they go to its own zone."""
    boot = laid_out("6.12", ram, cmdline)
    sections = {page // SECTION for piece in ram for page in (*range(piece.start, piece.end, SECTION), piece.end - 1)}

    def lacking(start: int, end: int) -> int:
        return sum(max(0, min(end, (own + 1) * SECTION) - max(start, own * SECTION)) for own in sections)

    def of_zone(pfn: int, nid: int) -> str:
        movable = boot.zones.movable_start_pfn.get(nid)
        return f"On node {nid}, zone {'Movable' if movable is not None and pfn >= movable else kernel_zone(pfn)}"

    last = ram[-1]
    holes = [
        (low, piece.start, piece.start, piece.nid) for low, piece in zip([0, *(p.end for p in ram)], ram, strict=False)
    ]
    holes.append((last.end, -(-last.end // SECTION) * SECTION, last.end - 1, last.nid))
    wanted = [(of_zone(pfn, nid), lacking(start, end)) for start, end, pfn, nid in holes]
    lines = [f"{zone}: {pages} pages in unavailable ranges" for zone, pages in wanted if pages]
    assert told_of(boot, "unavailable") == lines


# -- kernelcore= and movablecore= ------------------------------------------------------------------------------------


def spread_by_page(ranges: list[tuple[int, int, int]], needed: int, usable: int) -> dict[int, int]:
    """find_zone_movable_pfns_for_nodes behind "restart", giving the kernel one page after the other."""
    starts: dict[int, int] = {}
    nodes = {nid for *_, nid in ranges}
    for sharing in range(len(nodes), 0, -1):
        share = needed // sharing
        for nid in sorted(nodes):
            if needed < share:
                share = needed // sharing
            rest = share
            for start, end, own in ranges:
                pages = [page for page in range(start, end) if own == nid and page >= starts.get(nid, 0)]
                for page in pages:
                    if page >= usable:
                        starts.setdefault(nid, page)
                        starts[nid] = max(starts[nid], page)
                        if not rest:
                            break
                    rest, needed = max(rest - 1, 0), max(needed - 1, 0)
                    starts[nid] = page + 1
                if pages and pages[-1] >= usable and not rest:
                    break
        if needed <= sharing - 1:
            break
    return starts


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=8),
    st.integers(1, 400),
    st.integers(0, 200),
)
def test_shares_are_given_page_by_page(layout: list[tuple[int, int, int]], needed: int, usable: int) -> None:
    ranges, at = [], 1
    for pages, hole, nid in layout:
        ranges.append((at, at + pages, nid))
        at += pages + hole
    boot = SimpleNamespace(memblock=SimpleNamespace(pfn_ranges=lambda _: ranges))
    assert _spread_kernelcore(cast(Boot, boot), needed, usable) == spread_by_page(ranges, needed, usable)
