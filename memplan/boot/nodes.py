"""What is known of the machine's nodes, as data: who is where, how far apart, and what firmware said of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.meminfo import Meminfo
from memplan.plan import SratUse

if TYPE_CHECKING:
    from memplan.machine.cmdline import CommandLine

_LOCAL, _REMOTE = 10, 20


class Distances:
    """node_distance() of all pairs.

    `place` is where the table lies (None before the first distance is set), `nodes` how many nodes it has room for
    (0 where it could not be had), `physical` tells each fake node's physical node.
    """

    def __init__(self) -> None:
        self.place: tuple[int, int] | None = None
        self.nodes = 0
        self.values: dict[tuple[int, int], int] = {}
        self.physical: dict[int, int] = {}

    def between(self, source: int, target: int) -> int:
        """node_distance; that of fake nodes is their physical nodes'."""
        source, target = self.physical.get(source, source), self.physical.get(target, target)
        return self.values.get((source, target), _LOCAL if source == target else _REMOTE)


class Nodes:
    """The nodes are numbers from 0, addresses bytes.

    `possible` are all nodes that may ever come, `online` those that serve; `node_data` gives the places of NODE_DATA,
    which nodes off-line may have too.  `hotplug` are the ranges that the SRAT marks hot-pluggable (none where it was
    not used), and `unmarked` the nodes that lost their marks, each with the reservations inside it that cost them.
    `srat` says what became of the SRAT.
    """

    def __init__(self, cmdline: CommandLine) -> None:
        options = cmdline.all("numa")
        #: numa=off, and numa=noacpi or a table that the kernel has refused.
        self.off = any(option.startswith("off") for option in options)
        self.srat_disabled = any(option.startswith("noacpi") for option in options)
        #: What numa=fake= asks for; the first way that comes so far uses it up.
        self.fake = next((option[5:] for option in reversed(options) if option.startswith("fake=")), None)
        self.srat = SratUse.NOT_REACHED
        self.pxm_to_node: dict[int, int] = {}
        self.node_to_pxm: dict[int, int] = {}
        self.possible: set[int] = set()
        self.online: set[int] = set()
        self.node_data: dict[int, tuple[int, int]] = {}
        self.cpu_to_node: list[int] = []
        self.distances = Distances()
        self.forget()

    def forget(self) -> None:
        """What every method begins with: nothing parsed; the map from domain to node stays, as in the kernel."""
        self.meminfo = Meminfo()
        self.parsed: set[int] = set()
        self.initiators: set[int] = set()
        self.apic_to_node: dict[int, int] = {}
        self.hotplug: list[tuple[int, int]] = []
        self.unmarked: dict[int, tuple[tuple[int, int], ...]] = {}

    @property
    def nr_node_ids(self) -> int:
        """One more than the highest possible node."""
        return max(self.possible, default=0) + 1
