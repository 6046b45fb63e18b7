"""Gigantic pages from the command line: hugepagesz=1G hugepages=N."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.units import GIB, PAGE_SIZE, memparse

if TYPE_CHECKING:
    from memplan.boot.state import Boot


def parse_hugepages(boot: Boot) -> None:
    """Allocates 1 GiB pages at each ``hugepages=`` that stands behind ``hugepagesz=1G``; all versions.

    ``default_hugepagesz=1G`` makes a ``hugepages=`` before it, or right behind it, count too.  Smaller huge pages
    come from the page allocator and are no business of memblock.
    """
    if not boot.kernel.config("HUGETLBFS") or not boot.machine.cpus.gbpages:
        return
    pages = _Gigantic(boot)
    size: int | None = None
    early: str | None = None
    for name, value in boot.cmdline.args:
        if name == "hugepagesz" and value:
            size = memparse(value)[0]
        elif name == "default_hugepagesz" and value:
            size = memparse(value)[0]
            if early is not None and size == GIB:
                pages.take(early)
            early = None
        elif name == "hugepages" and value:
            if size is None:
                early = value
            elif size == GIB:
                pages.take(value)


class _Gigantic:
    """The pages of one boot; nodes with memory take turns from the first."""

    def __init__(self, boot: Boot) -> None:
        self.boot = boot
        self.nodes = [nid for nid in sorted(boot.numa.online) if any(boot.memblock.pfn_ranges(nid))]
        self.turn = 0

    def take(self, value: str) -> None:
        """``N`` pages in turn over the nodes, or ``node:count[,node:count]`` where the version has it."""
        boot = self.boot
        if boot.hugetlb_cma:
            boot.printk("HugeTLB: hugetlb_cma is enabled, skip boot time allocation", warning=True)
            return
        if ":" in value:
            if not boot.rules.hugepages_per_node:
                return
            for part in value.split(","):
                node, _, count = part.partition(":")
                if not (node.isdigit() and count.isdigit() and int(node) in boot.numa.online):
                    boot.printk(f"HugeTLB: Invalid hugepages parameter {value}", warning=True)
                    return
                self._fill(int(count), int(node))
            return
        self._fill(memparse(value)[0], None)

    def _fill(self, count: int, nid: int | None) -> None:
        taken = 0
        while taken < count and (self._one(nid) if nid is not None else self._next()):
            taken += 1
        if taken < count:
            where = f" node{nid}" if nid is not None else ""
            self.boot.printk(
                f"HugeTLB: allocating {count} of page size 1.00 GiB failed{where}.  Only allocated {taken} hugepages.",
                warning=True,
            )

    def _next(self) -> bool:
        """A page from the node whose turn it is; before 5.19 the other nodes are tried too when it fails."""
        tries = 1 if self.boot.rules.hugepages_stop_at_failure else len(self.nodes)
        for _ in range(tries):
            nid = self.nodes[self.turn % len(self.nodes)]
            self.turn += 1
            if self._one(nid):
                return True
        return False

    def _one(self, nid: int) -> bool:
        boot = self.boot
        found = boot.alloc(GIB, GIB, nid=nid, raw=True, owner="gigantic pages", caller="__alloc_bootmem_huge_page")
        if found and boot.rules.hugepages_noinit:
            boot.memblock.reserved_mark_noinit(found + PAGE_SIZE, GIB - PAGE_SIZE)
        return bool(found)
