"""The running machine while a scenario is replayed: its memory, its DIMMs, and what warns of trouble."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from memplan.hotadd.memory import MOST_MOVABLE, Memory
from memplan.hotadd.place import blocks_of, window_of
from memplan.hotadd.scenario import unknown_dimm
from memplan.hotadd.zones import alike, choose
from memplan.ranges import RangeSet
from memplan.units import PAGE_SHIFT, PAGE_SIZE, SIZE_2M

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from memplan.hotadd.memory import Blocks
    from memplan.hotadd.place import NodeChoice
    from memplan.hotadd.result import BlockRange, DimmOutcome
    from memplan.hotadd.rules import HotplugRules
    from memplan.hotadd.scenario import OnlineType, Scenario, Target
    from memplan.hotadd.settings import Settings
    from memplan.hotadd.start import Start

#: The memory map of a huge page: where all of it is freed, a page of its own takes its place.
_WHOLE_MAP = SIZE_2M // 64
_OOPS = "BUG: unable to handle kernel NULL pointer dereference at 0000000000000000"


class UnknownDimm(Exception):
    """A step names a DIMM that was not added before it."""

    def __init__(self, dimm: int, known: int) -> None:
        super().__init__(unknown_dimm(dimm, known))


class Build(NamedTuple):
    """What of a kernel's build counts: the size of its struct page in bytes, and CONFIG_CPUMASK_OFFSTACK.

    The latter is None where it isn't known.
    """

    struct_page: int = 64
    offstack: bool | None = False


class Outcome(NamedTuple):
    """Whether a step did what it asked for (None: that can't be known), why, and the kernel's own lines."""

    accepted: bool | None
    reason: str
    lines: tuple[str, ...] = ()


class Dimm:
    """A DIMM: `plugged` into a slot or not, `accepted` where the kernel has made blocks of it.

    `pxm` is its device's proximity domain, `device` the number of the ACPI device, `why` tells for each reason that
    blocks went to a zone which ones did, `growth` by how much its adding raised MemTotal.  `outcome` is what became of
    it, `risk` why it may not have been taken ("": nothing speaks against it).
    """

    def __init__(self, index: int, size: int, pxm: int) -> None:
        self.index = index
        self.size = size
        self.pxm = pxm
        self.address: int | None = None
        self.node: NodeChoice | None = None
        self.plugged = False
        self.accepted = False
        self.device = 0
        #: Why blocks are in their zone, each with the first one's number and the end, in the order in which they came.
        self.why: list[tuple[int, int, str]] = []
        self.map_note = ""
        self.growth = 0
        self.outcome: DimmOutcome = "refused"
        self.risk = ""
        #: The DIMMs one of which its memory map must lie in, as its node has no other kernel memory.
        self.map_hosts: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """d0, d1, ..."""
        return f"d{self.index}"

    def tell(self, blocks: Blocks, why: str) -> None:
        """That `blocks` went to their zone for this reason, and for no earlier one."""
        own = RangeSet([blocks.range])
        earlier = [(low, high, told) for first, end, told in self.why for low, high in own.outside(first, end)]
        self.why = [*earlier, (*blocks.range, why)]

    @property
    def range(self) -> tuple[int, int]:
        """Where it lies, half-open; only for a DIMM that has an address."""
        assert self.address is not None
        return self.address, self.address + self.size


class Running:
    """The machine after `start`, with `rules` and `settings` in force."""

    def __init__(self, start: Start, rules: HotplugRules, settings: Settings, scenario: Scenario, build: Build) -> None:
        self.start = start
        self.rules = rules
        self.settings = settings
        self.scenario = scenario
        self.build = build
        self.memory = Memory(start)
        self.window = window_of(start, scenario.maxmem, scenario.slots, scenario.memory)
        self.domains = dict(start.domains)
        self.dimms: list[Dimm] = []
        #: Where added memory lies that the scenario did not add.
        self.found_added: list[tuple[int, int]] = []
        #: How many devices the firmware has announced.
        self.devices = 0
        self.warnings: list[str] = []
        #: What the memory maps of added memory have left of the kernel's boot memory, at most.
        self.kernel_left = start.kernel_memory if start.total is None else min(start.total, start.kernel_memory)
        self._starved = False
        #: What was told last of each device's blocks, and what of the machine that told of.
        self.told: dict[int | None, tuple[object, tuple[BlockRange, ...]]] = {}
        #: Why nothing more happens: an oops while the lock for hot-plugging was held ("": it goes on).
        self.dead = ""
        #: 2M pages in the pool for huge pages, and those of them that lie in boot memory.
        self.huge_total = self.huge_pages = settings.boot_huge_pages

    def warn(self, text: str) -> None:
        """A warning, once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def watch_ratio(self) -> None:
        """Warns, once, where added memory has made more movable than the kernel can serve."""
        memory = self.memory
        if self._starved:
            return
        movable, kernel = memory.movable_present() << PAGE_SHIFT, memory.kernel_pages() << PAGE_SHIFT
        if not memory.added_is_movable() or movable <= MOST_MOVABLE * kernel:
            return
        self._starved = True
        self.warn(
            f"at risk: {movable >> 20}M are movable beside {kernel >> 20}M of the kernel's, "
            f"{movable // max(kernel, 1)} to 1: memory maps, page tables and slabs come out of the kernel's alone, so "
            "that the machine can run out of memory and die while most of it is free; only "
            "memory_hotplug.online_policy=auto-movable (5.15 on) keeps a ratio"
        )

    @property
    def total(self) -> int | None:
        """MemTotal in bytes (None: not known)."""
        return None if self.start.total is None else self.start.total + self.memory.growth

    def dimm(self, index: int) -> Dimm:
        """The DIMM of that number; UnknownDimm where none was added."""
        if index >= len(self.dimms):
            raise UnknownDimm(index, len(self.dimms))
        return self.dimms[index]

    def blocks_at(self, targets: Sequence[Target]) -> list[tuple[int, int]]:
        """The numbers of the blocks that `targets` name, in their order: half-open ranges."""
        found: list[tuple[int, int]] = []
        for target in targets:
            if target.dimm is None:
                found.append((target.first, target.first + 1))
                continue
            dimm = self.dimm(target.dimm)
            if dimm.address is None:
                continue
            numbers = blocks_of(self.start, dimm.range)
            if target.first < 0:
                numbers = numbers[target.first :][:1]
            else:
                numbers = numbers[target.first : None if target.last is None else target.last + 1]
            found.append((numbers.start, numbers.stop))
        return found

    def lacking(self, targets: Sequence[Target]) -> list[str]:
        """What `targets` name of DIMMs that they have not, in words."""
        texts = []
        for target in targets:
            if target.dimm is None:
                continue
            dimm = self.dimm(target.dimm)
            blocks = len(blocks_of(self.start, dimm.range)) if dimm.address is not None else 0
            last = target.first if target.last is None else target.last
            if not dimm.accepted:
                texts.append(f"{dimm.name} has no blocks")
            elif last >= blocks or last < -blocks:
                texts.append(f"{dimm.name} has {blocks} block{'s' if blocks > 1 else ''}: {target} is not there")
        return texts

    def added_kernel_bytes(self) -> int:
        """Added memory in kernel zones."""
        return self.memory.kernel_pages(added=True) << PAGE_SHIFT

    def put_online(self, blocks: Blocks, type_: OnlineType) -> list[tuple[Blocks, str]]:
        """Puts off-line blocks on-line, one after the other; parts that fare alike, and why they are refused, or ""."""
        done = []
        first, end = blocks.range
        while first < end:
            (rest,) = self.memory.within(first, end)
            choice = choose(self.memory, self.rules, self.settings, rest, type_)
            count = alike(self.memory, self.rules, self.settings, rest, type_, choice)
            (part,) = self.memory.within(first, first + count)
            first = part.end
            done.append((part, choice.why if choice.zone is None else ""))
            if choice.zone is None:
                continue
            if self.rules.zones.startswith("added") and choice.zone != part.last_zone:
                self.memory.give_up(part)
            self.memory.online(part, choice.zone)
            if part.dimm is not None:
                self.dimms[part.dimm].tell(part, f"{choice.zone}, as {choice.why}")
        return done

    def take_offline(self, blocks: Blocks) -> None:
        """Takes on-line blocks off-line."""
        self.memory.offline(blocks, shrink=self.rules.spans_shrink == "off-line")

    # -- huge pages -------------------------------------------------------------------------------------------------

    def set_huge_pages(self, pages: int) -> None:
        """The pool has `pages` pages of 2M; new ones are shared out over the nodes, and those in boot memory followed.

        A node's share lies in its added movable memory where there is some.  Maps of boot memory that huge pages give
        back are counted as memory that was not there before.
        """
        nodes = sorted({blocks.nid for blocks in self.memory.blocks if blocks.online})
        kept = self.huge_pages if pages >= self.huge_total else 0
        share, rest = divmod(pages - self.huge_total if kept else pages, max(len(nodes), 1))
        movable = {blocks.nid for blocks in self.memory.blocks if not blocks.boot and blocks.movable}
        found = kept + sum(share + (index < rest) for index, nid in enumerate(nodes) if nid not in movable)
        if self.settings.hugetlb_frees_maps:
            self.memory.growth += (found - self.huge_pages) * self.rules.hugetlb_freed_map
        self.huge_total, self.huge_pages = pages, found

    def huge_map_bytes(self) -> int:
        """What huge pages have allocated for their maps in place of boot memory's."""
        if not self.settings.hugetlb_frees_maps or self.rules.hugetlb_freed_map < _WHOLE_MAP:
            return 0
        return self.huge_pages * PAGE_SIZE

    # -- what can't go on -------------------------------------------------------------------------------------------

    def oops(self, blocks: Blocks, type_: OnlineType) -> Outcome | None:
        """The end of a kernel that puts the first of blocks of a made-up node on-line; None where it lives.

        Where CPU masks lie apart (CONFIG_CPUMASK_OFFSTACK) there are masks for the possible nodes only, and the
        building of zone lists follows a pointer that is not there (find_next_best_node, cpumask_of_node).
        """
        nr_node_ids = max(self.start.possible, default=0) + 1
        if blocks.nid < nr_node_ids:
            return None
        if self.build.offstack is None:
            self.warn(
                f"a kernel with CONFIG_CPUMASK_OFFSTACK oopses as memory of the new node {blocks.nid} comes on-line"
            )
        if not self.build.offstack:
            return None
        (block,) = self.memory.within(blocks.first, blocks.first + 1)
        choice = choose(self.memory, self.rules, self.settings, block, type_)
        if choice.zone is not None:
            self.memory.online(block, choice.zone)
            self.memory.lose(block)
        self.dead = "the lock for hot-plugging is held since the oops: no memory comes or goes any more"
        self.warn(f"node {block.nid} was not possible at boot: the kernel oopses when its memory comes on-line")
        return Outcome(
            False,
            f"the kernel oopses as block {block.first} comes on-line: node {block.nid} is made up and has no CPU mask",
            (_OOPS,),
        )


def zone_counts(blocks: Iterable[Blocks]) -> str:
    """How many blocks are in which zone: ``6 Movable, 2 Normal``."""
    counts: dict[str, int] = {}
    for own in blocks:
        counts[own.zone or "none"] = counts.get(own.zone or "none", 0) + own.count
    return ", ".join(f"{count} {zone}" for zone, count in counts.items())


def block_names(ranges: Iterable[tuple[int, int]]) -> str:
    """Blocks by half-open ranges of their numbers: ``blocks 40-43, 47``, ``block 44``."""
    numbers = RangeSet(ranges)
    count = sum(end - first for first, end in numbers)
    return f"block{'s' if count != 1 else ''} {block_numbers(numbers)}"


def block_numbers(ranges: Iterable[tuple[int, int]]) -> str:
    """Numbers of blocks, in half-open ranges, neighbours put together: ``40-43, 47``."""
    return ", ".join(str(first) if end == first + 1 else f"{first}-{end - 1}" for first, end in RangeSet(ranges))
