"""What a boot log says of CPUs and nodes: the SRAT's affinities, local APICs, how many CPUs there are and where.

Nothing here is concluded; what names a node or a CPU that no kernel has is kept apart.
"""

from __future__ import annotations

import re
from collections import defaultdict

from memplan.klog.damage import Damage
from memplan.klog.entries import cpu_of, memory_of
from memplan.klog.ranges import HEX
from memplan.machine.model import CpuAffinity, MemoryAffinity

#: No number has more digits in a kernel's line; of one that has, so many tell that it is none.
_DIGITS = 20
_LAPIC = re.compile(r"(?a)(?:lapic_id|apic_id)\[0x([0-9a-f]+)\](?: uid\[0x[0-9a-f]+\])? (enabled|disabled)")
_CPUS = re.compile(r"(?a)Allowing (\d{1,20})\d* (?:present )?CPUs(?:,| plus) (\d{1,20})\d* hotplug CPUs")
_NR_CPUS = re.compile(r"(?a)nr_cpu_ids:(\d{1,20})\d*")
_NR_NODES = re.compile(r"(?a)(?:nr_node_ids:|Nodes=)(\d{1,20})\d*")
_SIBLING = re.compile(
    r"(?a)CPU #(\d{1,20})\d*'s \S+ CPU #(\d{1,20})\d* is not on the same node! \[node: (\d{1,20})\d* != (\d{1,20})\d*\]"
)
#: MAX_NUMNODES and NR_CPUS at their most.
_MOST_NODES, _MOST_CPUS = 1024, 8192


class NodeLines(Damage):
    """The lines on CPUs and nodes of one boot."""

    def __init__(self) -> None:
        super().__init__()
        #: The lines and columns at which the entries of each list stand, and the place of the line at hand.
        self.places: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        self._here = (0, 0)
        self.srat_memory: list[MemoryAffinity] = []
        self.srat_cpus: list[CpuAffinity] = []
        self.cpu_nodes: dict[int, int] = {}
        self.pxm_nodes: dict[int, int] = {}
        #: Where each made-up node begins.
        self.fake_nodes: dict[int, int] = {}
        self.lapics: list[tuple[int, bool]] = []
        self.ioapics = 0
        self.allowed: tuple[int, int] | None = None
        self.nr_cpu_ids = 0
        self.nr_node_ids = 0
        self._node = -1

    def _on_srat_memory(self, text: str, number: int) -> None:
        told = memory_of(text)
        if told is None:
            self.unreadable.append((number, "a line of the SRAT's memory is broken, so an entry is missing"))
        elif self._is_node(told.nid, number):
            self.pxm_nodes[told.entry.pxm] = told.nid
            self.srat_memory.append(told.entry)
            self.places["srat_memory"].append(self._here)

    def _on_srat_cpu(self, text: str, number: int) -> None:
        told = cpu_of(text)
        if told is None:
            self.unreadable.append((number, "a line of the SRAT's CPUs is broken, so an entry is missing"))
        elif self._is_node(told.nid, number):
            self.pxm_nodes[told.entry.pxm] = told.nid
            self.srat_cpus.append(told.entry)
            self.places["srat_cpus"].append(self._here)

    def _on_fake_node(self, text: str, number: int) -> None:
        nid, starts = int(text.split()[2][:_DIGITS]), HEX.findall(text)
        if starts and self._is_node(nid, number):
            self.fake_nodes.setdefault(nid, int(starts[0], 16))

    def _on_lapic(self, text: str, _: int) -> None:
        if found := _LAPIC.search(text):
            self.lapics.append((int(found[1], 16), found[2] == "enabled"))

    def _on_ioapic(self, *_: object) -> None:
        self.ioapics += 1

    def _on_cpus(self, text: str, number: int) -> None:
        if (found := _CPUS.match(text)) and self._are_cpus(int(found[1]) + int(found[2]), number):
            first, hotplug = int(found[1]), int(found[2])
            allowed = (first + hotplug, first) if "present" in text else (first, first - hotplug)
            if 0 < allowed[1] <= allowed[0]:
                self.allowed = allowed

    def _take_nr_cpu_ids(self, text: str, number: int) -> None:
        if (found := _NR_CPUS.search(text)) and self._are_cpus(int(found[1]), number):
            self.nr_cpu_ids = int(found[1])
        self._on_slub(text, number)

    def _on_slub(self, text: str, number: int) -> None:
        if (found := _NR_NODES.search(text)) and self._is_node(int(found[1]) - 1, number):
            self.nr_node_ids = int(found[1])

    def _on_bringup(self, text: str, number: int) -> None:
        node, cpus = text.split(",", 1)
        nid = int((node.rpartition("#")[2] if "#" in node else node.split()[-1])[:_DIGITS])
        self._node = nid if self._is_node(nid, number) else -1
        self._on_bringup_rest(cpus, number)

    def _on_bringup_rest(self, text: str, number: int) -> None:
        for cpu in map(int, re.findall(r"#([0-9]{1,9})", text)):
            if self._node >= 0 and self._are_cpus(cpu + 1, number):
                self.cpu_nodes[cpu] = self._node

    def _on_sibling(self, text: str, number: int) -> None:
        if found := _SIBLING.search(text):
            cpu, other, node, other_node = map(int, found.groups())
            if self._is_node(max(node, other_node), number) and self._are_cpus(max(cpu, other) + 1, number):
                self.cpu_nodes.setdefault(cpu, node)
                self.cpu_nodes.setdefault(other, other_node)

    def _is_node(self, nid: int, number: int) -> bool:
        if nid < _MOST_NODES:
            return True
        self.impossible.append((number, f"there is no node {nid}: a kernel has {_MOST_NODES} at most"))
        return False

    def _are_cpus(self, count: int, number: int) -> bool:
        if count <= _MOST_CPUS:
            return True
        self.impossible.append((number, f"there are no {count} CPUs: a kernel has {_MOST_CPUS} at most"))
        return False
