"""Gigantic pages from the command line: hugepagesz=1G hugepages=N."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from memplan.boot.registry import step
from memplan.errors import NotCoveredError
from memplan.owner import Purpose
from memplan.ranges import RangeSet
from memplan.units import (
    GIB,
    MIB,
    PAGE_SHIFT,
    PAGE_SIZE,
    SIZE_2M,
    decimal_number,
    kstrtobool,
    memparse,
    round_down,
)

if TYPE_CHECKING:
    from memplan.boot.context import Boot
    from memplan.memblock.memblock import Run


@step("mm/hugetlb.c")
def parse_hugepages(boot: Boot) -> None:
    """Allocates 1 GiB pages at each ``hugepages=`` that counts for them (mm/hugetlb.c).

    Smaller huge pages come from the page allocator and are no business of memblock.
    """
    if not boot.kernel.config("HUGETLBFS"):
        return
    options = _Checked(boot) if boot.rules.hugepagesz_checked else _Unchecked(boot)
    handlers = {
        "hugepages": options.hugepages,
        "hugepagesz": options.hugepagesz,
        "default_hugepagesz": options.default_hugepagesz,
    }
    for name, value in boot.cmdline.args:
        if value is not None and name in handlers:
            handlers[name](value)


class _Count:
    """How many pages a size is to have (an hstate's max_huge_pages): in all, and of those that name their nodes."""

    __slots__ = ("in_nodes", "pages")

    def __init__(self) -> None:
        self.pages = 0
        self.in_nodes: dict[int, int] = {}


class _Options:
    """What is known of sizes and counts while the words are read.

    `counts` has the sizes in use; `parsed` is the one that the next ``hugepages=`` counts for.  Before any size is
    named that is `default`, whose size is then open.  `twice` is the message for a second ``hugepages=`` of one size.
    """

    twice = "hugepages= specified twice without interleaving hugepagesz=, ignoring"

    def __init__(self, boot: Boot) -> None:
        self.boot = boot
        self.gigantic = _Gigantic(boot)
        self.counts: dict[int, _Count] = {}
        self.parsed = 0
        self.default = _Count()
        self._last: _Count | None = None

    def hugepagesz(self, value: str) -> None:
        """A size comes into use."""
        raise NotImplementedError

    def default_hugepagesz(self, value: str) -> None:
        """The size of ``hugepages=`` that name none."""
        raise NotImplementedError

    def hugepages(self, value: str) -> None:
        """The pages of the size named last; without a size named between, a second word does not count."""
        boot = self.boot
        count = self.counts[self.parsed] if self.counts else self.default
        if count is self._last:
            boot.printk(self.twice.format(value), warning=True)
            return
        if boot.rules.hugepages_per_node:
            if not self._by_node(count, value):
                boot.printk(f"HugeTLB: Invalid hugepages parameter {value}", warning=True)
                return
        else:
            found = re.match(r"[0-9]+", value)
            count.pages = decimal_number(found[0]) if found else 0
        if self.counts and self.parsed == GIB:
            self.gigantic.take(count)
        self._last = count

    def _by_node(self, count: _Count, value: str) -> bool:
        """Takes ``N`` or ``node:N[,node:N]`` into `count`; False where that is malformed, or the node off-line."""
        rest = value
        while rest:
            found = re.match(r"([0-9]+)(?:(:)([0-9]*))?", rest)
            if found is None:
                count.in_nodes.clear()
                return False
            if not found[2]:
                if rest is not value:
                    count.in_nodes.clear()
                    return False
                count.pages = decimal_number(found[1])
                return True
            node = decimal_number(found[1])
            if node not in self.boot.nodes.online or not found[3]:
                count.in_nodes.clear()
                return False
            pages = decimal_number(found[3])
            count.in_nodes[node] = pages
            count.pages += pages
            rest = rest[found.end() :]
            if not rest.startswith(","):
                return True
            rest = rest[1:]
        return True

    def supported(self, size: int) -> bool:
        """Whether the CPU has pages of `size`."""
        return size == SIZE_2M or (size == GIB and self.boot.machine.cpus.gbpages)

    def add(self, size: int) -> None:
        """hugetlb_add_hstate: a size that is in use already stays behind the one named last."""
        if size not in self.counts:
            self.counts[size] = _Count()
            self.parsed = size


class _Checked(_Options):
    """5.8 on: each size once, ``hugepages=`` behind a good size only, and the default size may be gigantic."""

    twice = f"HugeTLB: {_Options.twice} hugepages={{}}"

    def __init__(self, boot: Boot) -> None:
        super().__init__(boot)
        self._valid = True
        self._default_size = 0

    def hugepagesz(self, value: str) -> None:
        """A size comes into use, or the default one without pages is named again."""
        size = memparse(value)[0]
        self._valid = False
        if not self.supported(size):
            self.boot.printk(f"HugeTLB: unsupported hugepagesz={value}", warning=True)
            return
        if size not in self.counts:
            self.add(size)
        elif size == self._default_size and not self.counts[size].pages:
            self.parsed = size
        else:
            self.boot.printk(f"HugeTLB: hugepagesz={value} specified twice, ignoring", warning=True)
            return
        self._valid = True

    def default_hugepagesz(self, value: str) -> None:
        """The default size comes into use; a ``hugepages=`` before it is allocated now, if that makes it gigantic."""
        size = memparse(value)[0]
        self._valid = False
        if self._default_size:
            self.boot.printk(f"HugeTLB: default_hugepagesz previously specified, ignoring {value}", warning=True)
            return
        if not self.supported(size):
            self.boot.printk(f"HugeTLB: unsupported default_hugepagesz={value}", warning=True)
            return
        self.add(size)
        self._valid = True
        self._default_size = size
        if self.default.pages:
            count = self.counts[size]
            count.pages, count.in_nodes = self.default.pages, dict(self.default.in_nodes)
            if size == GIB:
                self.gigantic.take(count)

    def hugepages(self, value: str) -> None:
        """As ever, but not behind a size that was refused."""
        if not self._valid:
            self.boot.printk(f"HugeTLB: hugepages={value} does not follow a valid hugepagesz, ignoring", warning=True)
            self._valid = True
            return
        super().hugepages(value)


class _Unchecked(_Options):
    """Up to 5.7: a size that is refused leaves the one before it, and the default size is never gigantic here."""

    def hugepagesz(self, value: str) -> None:
        """A size comes into use, once."""
        size = memparse(value)[0]
        if not self.supported(size):
            self.boot.printk(f"hugepagesz: Unsupported page size {size // MIB} M", warning=True)
        elif size in self.counts:
            self.boot.printk("hugepagesz= specified twice, ignoring", warning=True)
        else:
            self.add(size)

    def default_hugepagesz(self, value: str) -> None:
        """Only looked at when the page allocator serves, too late for gigantic pages."""


class _Gigantic:
    """The pages of one boot; nodes with memory take turns from the first."""

    def __init__(self, boot: Boot) -> None:
        self.boot = boot
        self.nodes = [nid for nid in sorted(boot.nodes.online) if any(boot.memblock.pfn_ranges(nid))]
        self.turn = 0
        self.skipped = False
        only = boot.rules.hugetlb_cma_only and kstrtobool(boot.cmdline.last("hugetlb_cma_only"))
        self._from_areas = bool(boot.hugetlb_areas and only)
        #: Pages that lie in two zones of their node, until they are given back, the newest last.
        self._crossing: list[tuple[int, int]] = []
        #: What is left of the areas of hugetlb_cma= for pages at boot.
        self._areas = {nid: list(ranges) for nid, ranges in boot.hugetlb_areas.items()}

    def take(self, count: _Count) -> None:
        """The pages of `count`: of the nodes that it names, in their order, or in turn over all nodes."""
        if count.pages and self._shrinks_memory_map():
            raise NotCoveredError(
                "with hugetlb_free_vmemmap=on this version makes the memory map of gigantic pages smaller while it "
                "boots, which is not replayed yet; plan without the option"
            )
        if self.boot.hugetlb_cma and not self._from_areas:
            if not self.skipped:
                self.boot.printk("HugeTLB: hugetlb_cma is enabled, skip boot time allocation", warning=True)
            self.skipped = True
            return
        named = [nid for nid in sorted(self.boot.nodes.online) if count.in_nodes.get(nid)]
        for nid in named:
            missing = self._fill(count.in_nodes[nid], nid)
            count.in_nodes[nid] -= missing
            count.pages -= missing
        if not named:
            count.pages -= self._fill(count.pages, None)

    def _shrinks_memory_map(self) -> bool:
        """Whether gigantic pages get a memory map without what all their tail pages share (HVO)."""
        config = self.boot.kernel.config
        if not self.boot.rules.gigantic_pages_shrink_map or not config("HUGETLB_PAGE_OPTIMIZE_VMEMMAP"):
            return False
        asked = kstrtobool(self.boot.cmdline.last("hugetlb_free_vmemmap"))
        return config("HUGETLB_PAGE_OPTIMIZE_VMEMMAP_DEFAULT_ON") if asked is None else asked

    def _fill(self, count: int, nid: int | None) -> int:
        """Takes `count` pages; how many are missing in the end."""
        taken = 0
        while taken < count:
            asked, found = self._take_alone(count - taken, nid)
            taken += found
            if found < asked or taken == count:
                break
            if not (self._next() if nid is None else self._one(nid, exact=True)):
                break
            taken += 1
        taken -= self._free_crossing(nid)
        if taken < count:
            where = f" node{nid}" if nid is not None else ""
            self.boot.printk(
                f"HugeTLB: allocating {count} of page size 1.00 GiB failed{where}.  Only allocated {taken} hugepages.",
                warning=True,
            )
        return count - taken

    def _take_alone(self, count: int, nid: int | None) -> tuple[int, int]:
        """Asks one node for pages in bulk, for as many as come before the reserved array grows; how many, and found.

        Each page adds two regions to the array where its memory map is left out (rules.hugepages_noinit).
        """
        boot, reserved = self.boot, self.boot.memblock.reserved
        asked = min((reserved.max - reserved.cnt) // 2 - 2, count)
        if self._from_areas or (nid is None and len(self.nodes) != 1) or asked < 2:
            return 0, 0
        node = self.nodes[0] if nid is None else nid
        runs = self._allocate(asked, node, nid is not None and boot.rules.hugepages_node_exact)
        for run in runs:
            self._note(run)
        return asked, sum(run.count for run in runs)

    def _allocate(self, count: int, nid: int, exact: bool) -> list[Run]:
        """Asks memblock for `count` pages of the node, or `exact` or not of another one."""
        memory, owner = self.boot.memory, Purpose.GIGANTIC_PAGES
        if self.boot.rules.gigantic_pages_call == "memblock_alloc_hugetlb":
            return memory.alloc_hugetlb(count, GIB, nid, exact=exact, owner=owner, caller="alloc_bootmem_huge_page")
        caller = "__alloc_bootmem_huge_page"
        return memory.alloc_runs(count, GIB, GIB, nid=nid, raw=True, exact=exact, owner=owner, caller=caller)

    def _next(self) -> bool:
        """A page from the node whose turn it is; before 5.19 the other nodes are tried too when it fails."""
        tries = 1 if self.boot.rules.hugepages_stop_at_failure else len(self.nodes)
        for _ in range(tries):
            nid = self.nodes[self.turn % len(self.nodes)]
            self.turn += 1
            if self._one(nid):
                return True
        return False

    def _one(self, nid: int, exact: bool = False) -> bool:
        """A page of the node, or `exact` or not of another one."""
        boot = self.boot
        exact = exact and boot.rules.hugepages_node_exact
        if self._from_areas:
            found = self._of_area(nid, exact)
            if found and boot.rules.hugepages_noinit:
                boot.memblock.reserved_mark_noinit(found + PAGE_SIZE, GIB - PAGE_SIZE)
            return bool(found)
        runs = self._allocate(1, nid, exact)
        for run in runs:
            self._note(run)
        return bool(runs)

    def _note(self, run: Run) -> None:
        """Marks pages whose memory map is left out, and remembers those that lie in two zones, which are no good."""
        boot = self.boot
        crossing = self._in_two_zones(run.start, run.end) if boot.rules.gigantic_pages_in_one_zone else {}
        self._crossing += crossing.items()
        if not boot.rules.hugepages_noinit:
            return
        for start, end in RangeSet((page, page + GIB) for page in crossing).outside(run.start, run.end):
            boot.memblock.reserved_mark_noinit_tails(start, GIB, (end - start) // GIB, PAGE_SIZE)

    def _in_two_zones(self, start: int, end: int) -> dict[int, int]:
        """The pages within ``[start, end)`` that two zones of their node share, with that node."""
        zones = self.boot.zones
        found = {}
        for zone in zones.zones:
            first, _ = zone.span
            page = round_down(first, GIB)
            if start <= page < first < end:
                memory = self.boot.memblock.search_pfn_nid(page >> PAGE_SHIFT)
                nid = (memory and memory[0]) or 0
                if zones.crossed(nid, page, page + GIB):
                    found[page] = nid
        return found

    def _free_crossing(self, nid: int | None) -> int:
        """Gives pages in two zones back, of one node or of all, node by node and the newest first; how many."""
        freed = 0
        for node in sorted({owner for _, owner in self._crossing}) if nid is None else [nid]:
            pages = [page for page, owner in reversed(self._crossing) if owner == node]
            for page in pages:
                self.boot.memory.free(
                    page, page + GIB, owner=Purpose.GIGANTIC_PAGES, caller="hugetlb_free_cross_zone_pages"
                )
            if pages:
                self.boot.printk(
                    f"HugeTLB: freed {len(pages)} cross-zone hugepages of size 1.00 GiB on node {node}.", warning=True
                )
            freed += len(pages)
            self._crossing = [own for own in self._crossing if own[1] != node]
        return freed

    def _of_area(self, nid: int, exact: bool) -> int:
        """A page out of the node's area, or of the others' in turn (hugetlb_cma_alloc_bootmem)."""
        for node in (nid,) if exact else dict.fromkeys((nid, *self.nodes)):
            ranges = self._areas.get(node, [])
            for index, (start, end) in enumerate(ranges):
                if end - start >= GIB:
                    ranges[index] = start + GIB, end
                    return start
        return 0
