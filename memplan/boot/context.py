"""One boot in progress: what is given, what follows from it, memory, and what the steps have found out so far.

A step is a function of one :class:`Boot`.  It asks `params` for what was clear before the first step, changes memory
through `memory` (so that each change is recorded with its step, its owner and the line that the kernel prints), and
leaves what later steps need in the other attributes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.memory import Memory
from memplan.boot.nodes import Nodes
from memplan.boot.parameters import Parameters
from memplan.boot.record import Recorder
from memplan.boot.results import DirectMap, EfiMap
from memplan.wording import Wording

if TYPE_CHECKING:
    from memplan.boot.e820_table import E820Table
    from memplan.boot.results import ZoneLayout
    from memplan.kernel.model import Kernel
    from memplan.machine.model import Machine
    from memplan.owner import Purpose


class Boot:
    """One boot in progress.  Addresses are in bytes; a name that ends in pfn counts pages."""

    def __init__(
        self, machine: Machine, kernel: Kernel, *, bottom_up: bool | None = None, recorder: Recorder | None = None
    ) -> None:
        self.machine = machine
        self.kernel = kernel
        self.rules = kernel.rules
        self.params = Parameters(machine, kernel)
        self.cmdline = self.params.cmdline
        self.wording = Wording.of(kernel.rules)
        #: The direction that the user forces for the time before the SRAT is read (None: as movable_node says).
        self.forced_bottom_up = bottom_up
        self.recorder = Recorder() if recorder is None else recorder
        self.memory = Memory(kernel, self.recorder)
        self.memblock = self.memory.memblock

        #: The e820 map as it is now, and as firmware gave it; whether mem= or memmap= changed it.
        self.e820: E820Table
        self.e820_firmware: E820Table
        self.user_map = False
        self.max_pfn = 0
        self.max_low_pfn: int
        self.max_possible_pfn: int
        #: The end of what early code took from the brk; the page-table buffer is its last part.
        self.brk_end = self.params.brk_start
        self.pgt_buffer: tuple[int, int]
        #: Whether allocations before the SRAT go upwards.
        self.bottom_up = False
        self.efi_map = EfiMap()
        self.direct_map = DirectMap()
        self.initrd: tuple[int, int] | None = None
        #: Where table upgrades from the initrd were copied: signature -> (start, end).
        self.upgraded_tables: dict[str, tuple[int, int]] = {}
        self.nodes = Nodes(self.cmdline)
        self.zones: ZoneLayout
        #: Pages below 16 MiB that hash tables are sized without.
        self.dma_reserve = 0
        #: Whether gigantic pages come from hugetlb_cma= alone, and the ranges of its area on each node.
        self.hugetlb_cma = False
        self.hugetlb_areas: dict[int, list[tuple[int, int]]] = {}
        #: Whether the log buffer was replaced.
        self.new_log_buf = False

    def printk(self, text: str, *, warning: bool = False, about: Purpose | None = None) -> None:
        """A line that the kernel prints, and what it is about."""
        self.recorder.message(text, warning, about)
