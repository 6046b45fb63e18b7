"""numa=fake=: memory cut into made-up nodes (mm/numa_emulation.c, before 6.12 arch/x86/mm/numa_emulation.c)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.meminfo import Meminfo
from memplan.boot.panic import BootPanic
from memplan.boot.steps.distances import copy_distances, emulate_distances
from memplan.boot.steps.meminfo import numa_add_memblk, numa_cleanup_meminfo
from memplan.owner import Purpose
from memplan.units import (
    GIB,
    MIB,
    PAGE_SHIFT,
    PAGE_SIZE,
    leading_number,
    memparse,
    pfn_down,
    pfn_up,
    round_down,
    round_up,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.boot.context import Boot
    from memplan.boot.nodes import Nodes

_MIN_SIZE = 32 * MIB
_DMA32_END = 4 * GIB


class _Failure(Exception):
    """The nodes can't be made; the text, if any, is the kernel's message."""


def numa_emulation(boot: Boot, nodes: Nodes, option: str) -> None:
    """Replaces the nodes of `numa` by the fake ones that `option` asks for; where that fails all stays as it was."""
    if not boot.kernel.config("NUMA_EMU"):
        return
    split = _Split(boot, nodes)
    try:
        count = leading_number(option)[0] or 0
        if "U" in option and boot.rules.numa_fake_uniform:
            split.uniform(count)
        elif "M" in option or "G" in option:
            split.by_size(memparse(option)[0])
        else:
            split.interleave(count)
    except _Failure as failure:
        if failure.args[0]:
            boot.printk(failure.args[0], warning=True)
        return
    if not split.physical:
        return
    if not numa_cleanup_meminfo(boot, split.made):
        boot.printk("NUMA: Warning: constructed meminfo invalid, disabling emulation", warning=True)
        return
    copy = copy_distances(boot)
    parsed, nodes.parsed = nodes.parsed, split.made.nodes()
    if boot.rules.numa_fake_keeps_domains and not _keep_domains(nodes, split.physical):
        nodes.parsed = parsed
        return
    _commit(boot, split)
    if copy is None and nodes.distances.nodes > max(split.physical) + 1:
        # The last loop reads the physical distances of the nodes that follow the fake ones, and there are none.
        raise BootPanic(
            "BUG: kernel NULL pointer dereference, address: 0000000000000001",
            "numa=fake= of this version can't do with a node without RAM where there is no SLIT",
        )
    if copy is not None:
        boot.memory.free(*copy, owner=Purpose.NUMA_DISTANCES, caller="numa_emulation")


def _commit(boot: Boot, split: _Split) -> None:
    """The fake nodes become the nodes; CPUs go to the first fake node of their physical one."""
    nodes, physical = boot.nodes, split.physical
    nodes.meminfo = split.made
    fake_of = {nid: fake for fake, nid in sorted(physical.items(), reverse=True)}
    nodes.apic_to_node = {apic: fake_of.get(nid, 0) for apic, nid in nodes.apic_to_node.items()}
    default = physical[min(physical)]
    emulate_distances(boot, {fake: physical.get(fake, default) for fake in range(max(physical) + 1)})


def _keep_domains(nodes: Nodes, physical: dict[int, int]) -> bool:
    """fix_pxm_node_maps (6.12): domains follow to the fake nodes; False where that ends the emulation.

    The domains of physical nodes without fake ones (they have no RAM yet) get the free numbers, and their nodes are
    possible nodes.
    """
    if nodes.off:
        return False
    if nodes.srat_disabled:
        return True
    node_to_pxm = {fake: nodes.node_to_pxm[nid] for fake, nid in physical.items() if nid in nodes.node_to_pxm}
    if not node_to_pxm:
        return True
    if max(node_to_pxm) != max(physical):
        return False
    for nid, pxm in sorted(nodes.node_to_pxm.items()):
        if nid not in physical.values():
            hole = next(number for number in range(len(node_to_pxm) + 1) if number not in node_to_pxm)
            node_to_pxm[hole] = pxm
            nodes.parsed.add(hole)
    nodes.node_to_pxm = dict(sorted(node_to_pxm.items()))
    nodes.pxm_to_node = {pxm: nid for nid, pxm in sorted(node_to_pxm.items(), reverse=True)}
    return True


class _Split:
    """Cuts the physical blocks from their fronts into fake ones; `physical` tells each fake node's physical node."""

    def __init__(self, boot: Boot, nodes: Nodes) -> None:
        self._boot = boot
        self._rest = Meminfo()
        for block in nodes.meminfo.blocks:
            numa_add_memblk(boot, self._rest, block.start, block.end, block.nid)
        self._nodes = sorted(nodes.parsed)
        self._max_addr = boot.max_pfn * PAGE_SIZE
        self.made = Meminfo()
        self.physical: dict[int, int] = {}

    def interleave(self, count: int) -> None:
        """`fake=N`: N nodes of about equal RAM over all physical nodes in turn (split_nodes_interleave)."""
        limit = self._boot.kernel.max_numnodes
        if count <= 0:
            raise _Failure("")
        if count > limit:
            self._boot.printk(f"numa=fake={count} too large, reducing to {limit}")
            count = limit
        size = (self._max_addr - self._hole(0, self._max_addr)) // PAGE_SIZE // count * PAGE_SIZE
        big = size % _MIN_SIZE * count // _MIN_SIZE
        size = round_down(size, _MIN_SIZE)
        if not size:
            raise _Failure("Not enough memory for each node.  NUMA emulation disabled.")
        for number, index in enumerate(self._turns(list(self._nodes))):
            start, limit = self._rest.blocks[index].start, self._rest.blocks[index].end
            end = start + size + (_MIN_SIZE if number < big else 0)
            end = self._to_borders(self._grown(start, end, limit, size), limit, size)
            self._cut(index, number % count, end)

    def by_size(self, size: int) -> None:
        """`fake=<size>`: nodes of at least that much RAM (split_nodes_size_interleave)."""
        limit = self._boot.kernel.max_numnodes
        if not size:
            raise _Failure("")
        least = (self._max_addr - self._hole(0, self._max_addr)) // PAGE_SIZE // limit * PAGE_SIZE
        self._by_size(self._at_least(size, least), list(self._nodes), 0, uniform=False)

    def uniform(self, count: int) -> None:
        """`fake=NU` (4.18 on): each physical node into N parts by address, holes and all."""
        if not count or not self._rest.blocks:
            raise _Failure("")
        number = 0
        # Once all is shared out, the kernel still looks at the block that was the last.
        first = self._rest.blocks[0]
        for nid in self._nodes:
            if self._rest.blocks:
                first = self._rest.blocks[0]
            size = (pfn_down(first.end) - pfn_down(first.start)) // count * PAGE_SIZE
            made = self._by_size(self._at_least(size, size), [first.nid], number, uniform=True)
            if made == number and self._boot.rules.numa_fake_uniform_test != "running id":
                continue
            parts = made if self._boot.rules.numa_fake_uniform_test == "running id" else made - number
            if parts < count:
                raise _Failure(f"numa_emulation: phys: {nid} only got {parts} of {count} nodes, failing")
            number = made

    def _at_least(self, size: int, least: int) -> int:
        least = round_up(max(least, _MIN_SIZE), _MIN_SIZE)
        if size < least:
            self._boot.printk(f"Fake node size {size >> 20}MB too small, increasing to {least >> 20}MB", warning=True)
            size = least
        return round_down(size, _MIN_SIZE)

    def _by_size(self, size: int, nodes: list[int], number: int, *, uniform: bool) -> int:
        """Cuts the blocks of `nodes` into parts of `size`; the number of the next fake node."""
        for index in self._turns(nodes):
            start, limit = self._rest.blocks[index].start, self._rest.blocks[index].end
            end = start + size if uniform else self._grown(start, start + size, limit, size)
            end = self._to_borders(end, limit, 0 if uniform else size)
            self._cut(index, number % self._boot.kernel.max_numnodes, end)
            number += 1
        return number

    def _turns(self, nodes: list[int]) -> Iterator[int]:
        """The index of the first block of each of the `nodes` in turn, until none of them has any left."""
        while nodes:
            for nid in list(nodes):
                index = self._first(nid)
                if index is None:
                    nodes.remove(nid)
                else:
                    yield index

    def _hole(self, start: int, end: int) -> int:
        """Bytes of ``[start, end)`` that are no RAM, in whole pages."""
        first, last = pfn_up(start), pfn_down(end)
        if first >= last:
            return 0
        ranges = self._boot.memblock.pfn_ranges(None)
        return (last - first - sum(max(0, min(b, last) - max(a, first)) for a, b, _ in ranges)) << PAGE_SHIFT

    def _first(self, nid: int) -> int | None:
        return next((index for index, block in enumerate(self._rest.blocks) if block.nid == nid), None)

    def _grown(self, start: int, end: int, limit: int, size: int) -> int:
        """`end` moved up until ``[start, end)`` holds `size` of RAM, or to `limit`."""
        while (missing := size - (end - start - self._hole(start, end))) > 0:
            # The kernel goes on by the least size each time; steps that can't be enough yet are taken at once.
            end += round_up(missing + self._gap(end), _MIN_SIZE)
            if end > limit:
                return limit
        return end

    def _gap(self, address: int) -> int:
        """Bytes from the page of `address` to the next RAM; 0 where there is none."""
        pfn = pfn_down(address)
        above = (max(start, pfn) for start, end, _ in self._boot.memblock.pfn_ranges(None) if end > pfn)
        return (min(above, default=pfn) - pfn) << PAGE_SHIFT

    def _to_borders(self, end: int, limit: int, size: int) -> int:
        """`end` moved to 4 GiB or to `limit` where what is left before them is too small for a node."""
        if end < _DMA32_END and _DMA32_END - end - self._hole(end, _DMA32_END) < _MIN_SIZE:
            end = _DMA32_END
        if limit - end - self._hole(end, limit) < size:
            end = limit
        return min(end, limit)

    def _cut(self, index: int, fake: int, end: int) -> None:
        """emu_setup_memblk: the front of a physical block, up to `end`, becomes part of node `fake`."""
        block = self._rest.blocks[index]
        start = block.start
        if not numa_add_memblk(self._boot, self.made, start, end, fake):
            raise _Failure("NUMA: Too many emulated memblks, failing emulation")
        self.physical.setdefault(fake, block.nid)
        self._boot.printk(f"Faking node {fake} at [mem {start:#018x}-{end - 1:#018x}] ({(end - start) >> 20}MB)")
        block.start = end
        if block.start >= block.end:
            del self._rest.blocks[index]
