"""Fake nodes and blocks of firmware's against walks that go step by step as a kernel does."""

from __future__ import annotations

import re
from typing import NamedTuple

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from memplan.machine.model import MemoryAffinity, Srat
from memplan.units import GIB, MIB, PAGE_SIZE, round_down, round_up
from tests.boot.steps.single import warned
from tests.boot.steps.test_numa import KERNELS, booted, machine, messages

LEAST = 32 * MIB
FAKING = re.compile(r"Faking node (\d+) at \[mem (0x\w+)-(0x\w+)\] \((\d+)MB\)")

Range = tuple[int, int]


class Physical(NamedTuple):
    """A block of firmware's, and the RAM inside it."""

    start: int
    end: int
    nid: int
    ram: tuple[Range, ...]


class Failed(Exception):
    """No fake nodes; what the kernel says of it, if anything."""


@st.composite
def layouts(draw: st.DrawFn, *, once: bool) -> list[Physical]:
    """Blocks upwards, of up to three nodes (each `once`, or in stripes), the first and the last byte of each is RAM."""
    at = draw(st.sampled_from((MIB, 64 * MIB, 4 * GIB - 600 * MIB, 4 * GIB - 33 * MIB, 4 * GIB)))
    nodes = list(range(draw(st.integers(1, 3)))) if once else draw(st.lists(st.integers(0, 2), min_size=1, max_size=5))
    blocks: list[Physical] = []
    for nid in nodes:
        if blocks and blocks[-1].nid == nid:
            continue
        at += draw(st.sampled_from((0, 0, 3 * MIB, 200 * MIB)))
        sizes = st.integers(1, 500).map(lambda mib: mib * MIB) | st.integers(1, 100).map(lambda page: page * PAGE_SIZE)
        ram = [(at, at + 8 * MIB + draw(sizes))]
        for hole, size in draw(st.lists(st.tuples(sizes, sizes), max_size=2)):
            start = ram[-1][1] + hole
            ram.append((start, start + size))
        blocks.append(Physical(at, ram[-1][1], nid, tuple(ram)))
        at = ram[-1][1]
    # Node numbers follow the order in which domains turn up.
    numbers = {nid: number for number, nid in enumerate(dict.fromkeys(block.nid for block in blocks))}
    return [block._replace(nid=numbers[block.nid]) for block in blocks]


class Walk:
    """mm/numa_emulation.c: cuts fake nodes off the front of physical blocks, growing each by the least size."""

    def __init__(self, blocks: list[Physical], most: int) -> None:
        self.ram = [part for block in blocks for part in block.ram]
        self.rest = [[block.start, block.end, block.nid] for block in blocks]
        self.nodes = sorted({block.nid for block in blocks})
        self.top = self.ram[-1][1]
        self.most = most
        self.made: list[tuple[int, int, int]] = []

    def hole(self, start: int, end: int) -> int:
        return max(end - start, 0) - sum(max(0, min(b, end) - max(a, start)) for a, b in self.ram)

    def pages(self, parts: int) -> int:
        return round_down((self.top - self.hole(0, self.top)) // parts, PAGE_SIZE)

    def first(self, nid: int) -> list[int] | None:
        return next((block for block in self.rest if block[2] == nid), None)

    def cut(self, block: list[int], fake: int, end: int) -> None:
        self.made.append((fake, block[0], end))
        block[0] = end
        if block[0] >= block[1]:
            self.rest.remove(block)

    def bordered(self, start: int, end: int, limit: int, size: int) -> int:
        if end < 4 * GIB and 4 * GIB - end - self.hole(end, 4 * GIB) < LEAST:
            end = 4 * GIB
        if limit - end - self.hole(end, limit) < size:
            end = limit
        return min(end, limit)

    def grown(self, start: int, end: int, limit: int, size: int) -> int:
        while end - start - self.hole(start, end) < size:
            end += LEAST
            if end > limit:
                return limit
        return end

    def interleave(self, count: int) -> None:
        if not count:
            raise Failed
        size = self.pages(count)
        big = size % LEAST * count // LEAST
        size = round_down(size, LEAST)
        if not size:
            raise Failed("Not enough memory for each node.  NUMA emulation disabled.")
        number = 0
        while self.rest:
            for nid in self.nodes:
                if block := self.first(nid):
                    end = self.grown(block[0], block[0] + size + LEAST * (number < big), block[1], size)
                    self.cut(block, number % count, self.bordered(block[0], end, block[1], size))
                    number += 1

    def by_size(self, size: int) -> None:
        if not size:
            raise Failed
        size = round_down(max(size, round_up(max(self.pages(self.most), LEAST), LEAST)), LEAST)
        number = 0
        while self.rest:
            for nid in self.nodes:
                if block := self.first(nid):
                    end = self.grown(block[0], block[0] + size, block[1], size)
                    self.cut(block, number % self.most, self.bordered(block[0], end, block[1], size))
                    number += 1

    def uniform(self, count: int, running: bool) -> None:
        if not count:
            raise Failed
        number = 0
        for nid in self.nodes:
            block = self.first(nid)
            assert block is not None
            size = round_down((block[1] - block[0]) // PAGE_SIZE // count * PAGE_SIZE, PAGE_SIZE)
            size = round_down(max(size, round_up(max(size, LEAST), LEAST)), LEAST)
            before = number
            while block := self.first(nid):
                self.cut(block, number % self.most, self.bordered(block[0], block[0] + size, block[1], 0))
                number += 1
            parts = number if running else number - before
            if parts < count:
                raise Failed(f"numa_emulation: phys: {nid} only got {parts} of {count} nodes, failing")


@settings(deadline=None, derandomize=True, max_examples=200)
@given(
    st.sampled_from(KERNELS),
    st.sampled_from(("N", "M", "U")).flatmap(
        lambda form: st.tuples(st.just(form), layouts(once=form == "U"), st.integers(0, 12) | st.integers(0, 700))
    ),
)
def test_fake_nodes_are_cut_as_by_the_walk(version: str, form: tuple[str, list[Physical], int]) -> None:
    kind, blocks, number = form
    if version == "3.13" and kind == "U":
        kind = "N"
    # Fewer fake nodes than those of the machine leave a domain without RAM, of which 6.12 dies.
    assume(version != "6.12" or number == 0 or number >= len({block.nid for block in blocks}))
    option = f"numa=fake={number}{form[0] if form[0] != 'N' else ''}"
    srat = Srat(memory=tuple(MemoryAffinity(block.nid, block.start, block.end - block.start) for block in blocks))
    ram = [part for block in blocks for part in block.ram]
    boot = booted(version, machine(ram, srat, cmdline=option))
    told = [FAKING.match(text) for text in messages(boot)]
    found = [(int(m[1]), int(m[2], 16), int(m[3], 16) + 1, int(m[4])) for m in told if m]
    most = boot.kernel.max_numnodes
    walk = Walk(blocks, most)
    try:
        if kind == "N":
            walk.interleave(min(number, most))
        elif kind == "M":
            walk.by_size(number * MIB)
        else:
            walk.uniform(number, running=version == "5.10")
        fakes, expected = dict[int, tuple[int, int]](), ()
    except Failed as failure:
        expected = failure.args
        fakes = {block.start: (block.end, block.nid) for block in blocks}
    else:
        fakes = {start: (end, fake) for fake, start, end in walk.made}
    assert set(expected) <= set(warned(boot))
    assert found == [(fake, start, end, (end - start) // MIB) for fake, start, end in walk.made]
    for base, size, nid, _ in boot.memblock.memory:
        for start, (end, fake) in fakes.items():
            if start < base + size and base < end:
                assert nid == fake


@settings(deadline=None, derandomize=True, max_examples=200)
@given(
    st.sampled_from((*KERNELS, "4.4")),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 60), st.integers(0, 12)), min_size=1, max_size=7),
    st.lists(st.tuples(st.integers(2, 60), st.integers(1, 12)), min_size=1, max_size=5),
)
def test_blocks_are_cleaned_up_pair_by_pair(
    version: str, entries: list[tuple[int, int, int]], parts: list[tuple[int, int]]
) -> None:
    """Entries of the SRAT and RAM in units of 16 MiB."""
    unit = 16 * MIB
    covered = sorted({number for start, size in parts for number in range(start, start + size)})
    ram = [(number * unit, (number + 1) * unit) for number in covered]
    ram = [*ram, (100 * unit, 101 * unit)]
    # The last entry names the RAM of its own, so that there is a table to use.
    memory = tuple(
        MemoryAffinity(pxm, start * unit, size * unit if size != 12 else 1)
        for pxm, start, size in [*entries, (0, 100, 1)]
    )
    numbers = {pxm: nid for nid, pxm in enumerate(dict.fromkeys(entry.pxm for entry in memory))}
    boot = booted(version, machine(ram, Srat(memory=memory)))
    said = [text for text in messages(boot) if " + [mem" in text or "overlaps" in text]

    def meets(start: int, end: int) -> bool:
        return any(low < end and start < high for low, high in ram)

    blocks = [
        [entry.base, entry.base + entry.length, numbers[entry.pxm]]
        for entry in memory
        if entry.length and (version == "3.13" or meets(entry.base, entry.base + entry.length))
    ]
    low = ram[0][0] if version == "6.12" else 0
    blocks = [[max(start, low), end, nid] for start, end, nid in blocks if end > low]
    expected = []

    def shown(block: list[int]) -> str:
        return f"[mem {block[0]:#010x}-{block[1] - 1:#010x}]"

    def clean() -> bool:
        at = 0
        while at < len(blocks):
            other = at + 1
            while other < len(blocks):
                one, two = blocks[at], blocks[other]
                same = one[2] == two[2]
                if one[0] < two[1] and two[0] < one[1]:
                    who = f"node {one[2]} {shown(one)} overlaps with"
                    which = "itself" if same else f"node {two[2]}"
                    prefix = "NUMA: " if version in ("3.13", "4.4") else ""
                    expected.append(f"{prefix}{'Warning: ' * same}{who} {which} {shown(two)}")
                    if not same:
                        return False
                start, end = min(one[0], two[0]), max(one[1], two[1])
                if same and not any(b[2] != one[2] and b[0] < end and start < b[1] for b in blocks):
                    joined = [start, end, one[2]]
                    expected.append(f"NUMA: Node {one[2]} {shown(one)} + {shown(two)} -> {shown(joined)}")
                    blocks[at] = joined
                    del blocks[other]
                else:
                    other += 1
            at += 1
        return True

    usable = clean()
    assert said == expected
    if usable and "No NUMA configuration found" not in messages(boot):
        for base, size, nid, _ in boot.memblock.memory:
            holders = [block[2] for block in blocks if block[0] < base + size and base < block[1]]
            assert set(holders) <= {nid}
