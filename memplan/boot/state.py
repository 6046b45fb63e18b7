"""The state of one boot while its steps run, and the few ways in which a step touches memory.

A step is a function of one :class:`Boot`.  It reads the machine and the kernel, asks memblock through the methods
here (so that each change is recorded with its step, its owner and the line that the kernel prints), and leaves what
later steps need in the attributes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.ranges import RangeSet
from memplan.boot.record import Recorder
from memplan.machine.cmdline import CommandLine
from memplan.memblock.memblock import Memblock
from memplan.units import U64_MAX, leading_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from memplan.boot.steps.e820 import E820Table
    from memplan.boot.steps.numa import Numa
    from memplan.boot.steps.zones import ZoneLayout
    from memplan.kernel.model import Kernel
    from memplan.kernel.rules import Rules
    from memplan.machine.model import EfiRange, Machine
    from memplan.memblock.memblock import Run
    from memplan.plan import Mapping, TableRun


#: Options that leave the boot CPU alone, and those that keep the kernel from the MADT's IO-APICs.
_NO_LOCAL_APIC = ("nolapic", "disableapic")
_NO_MADT_IOAPICS = ("noapic", *_NO_LOCAL_APIC)
#: The direct map's base with five levels of page tables, without KASLR.
_BASE_5LEVEL = 0xFF11000000000000


class BootPanic(Exception):
    """The boot can't go on: `text` is what the kernel says, `cause` why, in memplan's words."""

    def __init__(self, text: str, cause: str) -> None:
        super().__init__(text)
        self.text = text
        self.cause = cause


class Boot:
    """One boot in progress.  Addresses are in bytes; a name that ends in pfn counts pages."""

    def __init__(self, machine: Machine, kernel: Kernel, *, bottom_up: bool | None = None) -> None:
        self.machine = machine
        self.kernel = kernel
        self.rules: Rules = kernel.rules
        self.cmdline = CommandLine(machine.cmdline)
        #: The direction that the user forces for the time before the SRAT is read (None: as movable_node says).
        self.forced_bottom_up = bottom_up
        self.recorder = Recorder()
        self.memblock = Memblock(kernel.rules.memblock, max_numnodes=kernel.max_numnodes, listener=self.recorder)
        load = machine.kernel.load_address
        #: Physical _text and _end.
        self.kernel_start = kernel.fact("image.load_address") if load is None else load
        self.kernel_end = self.kernel_start + kernel.fact("image.end")
        #: [brk_start, brk_end): what early code took from the brk; the page-table buffer is its last part.
        self.brk_start = self.kernel_start + kernel.fact("image.brk_start")
        self.brk_end = self.brk_start
        self.pgt_buffer = (0, 0)
        #: Whether KASLR's memory randomisation is active.
        self.randomize_memory = (
            kernel.config("RANDOMIZE_MEMORY") and machine.kernel.randomized and not self.cmdline.has("nokaslr")
        )
        self.movable_node = False
        #: Whether allocations before the SRAT go upwards.
        self.bottom_up = False
        #: Whether mem= or memmap= changed the map.
        self.user_map = False
        self.efi_map: list[EfiRange] = []
        #: The EFI memory map's place, once it has been copied into memblock's memory.
        self.efi_map_block: tuple[int, int] | None = None
        self.e820: E820Table
        self.e820_firmware: E820Table
        self.max_pfn = 0
        self.max_low_pfn = 0
        self.max_possible_pfn = 0
        self.max_pfn_mapped = 0
        self.max_low_pfn_mapped = 0
        #: The page frames that the direct map maps.
        self.mapped = RangeSet()
        self.table_runs: list[TableRun] = []
        self.mappings: list[Mapping] = []
        self.direct_gbpages = False
        self.initrd: tuple[int, int] | None = None
        #: Where table upgrades from the initrd were copied: signature -> (start, end).
        self.upgraded_tables: dict[str, tuple[int, int]] = {}
        self.numa: Numa
        self.zones: ZoneLayout
        self.crash_kernel: tuple[tuple[int, int], ...] = ()
        self.dma_reserve = 0
        self.hugetlb_cma = False
        self.new_log_buf = False

    @property
    def levels(self) -> int:
        """Page-table levels in use: 5 with config X86_5LEVEL, CPU feature la57 and no `no5lvl`, else 4."""
        five = self.kernel.config("X86_5LEVEL") and self.machine.cpus.la57 and not self.cmdline.has("no5lvl")
        return 5 if five else 4

    @property
    def physical_bits(self) -> int:
        """MAX_PHYSMEM_BITS: 52 with five levels, else 46."""
        return 52 if self.levels == 5 else 46

    @property
    def direct_map_base(self) -> int:
        """Virtual address of physical 0; KASLR's own choice is not known unless the machine overrides the fact."""
        known = self.kernel.facts.get("image.direct_map_base")
        if isinstance(known, int):
            return known
        return _BASE_5LEVEL if self.levels == 5 else self.rules.direct_map_base

    @property
    def acpi_disabled(self) -> bool:
        """Whether there are no ACPI tables, or acpi=off hides them (acpi=force behind it takes that back).

        A machine that has an SRAT has ACPI, also where nothing tells at which place the tables lie.
        """
        switches = [value for value in self.cmdline.all("acpi") if value in ("off", "force")]
        acpi = self.machine.acpi
        described = acpi.tables or acpi.upgrades or self.machine.srat is not None
        return switches[-1:] == ["off"] or not described

    @property
    def ioapics(self) -> int:
        """The IO-APICs that the kernel registers: the MADT's, or where that is not asked for them an MP table's."""
        asked = not (self.acpi_disabled or self.no_smp or any(self.cmdline.has(word) for word in _NO_MADT_IOAPICS))
        asked = asked and "noirq" not in self.cmdline.all("acpi")
        return self.machine.acpi.ioapics if asked or self.machine.bios.mp_table is not None else 0

    @property
    def no_smp(self) -> bool:
        """Whether other CPUs are ruled out, and IO-APICs with them (nosmp, or maxcpus=0)."""
        return self.cmdline.has("nosmp") or self._number("maxcpus") == 0

    @property
    def possible_cpus(self) -> int:
        """The CPUs that may ever come (nr_cpu_ids): the machine's, within what the options allow."""
        possible = self.machine.cpus.possible
        named = self._number("possible_cpus")
        if named is not None:
            possible = min(named, possible) if self.rules.possible_cpus_limits else named
        limit = self._number("nr_cpus")
        if limit:
            possible = min(limit, possible)
        if self.no_smp or any(self.cmdline.has(word) for word in _NO_LOCAL_APIC):
            possible = 1
        return max(possible, 1)

    @property
    def present_cpus(self) -> int:
        """The CPUs present at boot that the options let in."""
        return min(self.machine.cpus.present, self.possible_cpus)

    def _number(self, option: str) -> int | None:
        return leading_number(self.cmdline.last(option) or "")[0]

    # -- changes without a search -------------------------------------------------------------------------------

    def add(self, start: int, end: int, *, owner: str, caller: str) -> None:
        """memblock_add of ``[start, end)``."""
        self.recorder.tag(owner, self.rules.callers.get(caller, caller))
        self.memblock.add(start, end - start)

    def reserve(self, start: int, end: int, *, owner: str, caller: str) -> None:
        """memblock_reserve of ``[start, end)``."""
        self.recorder.tag(owner, self.rules.callers.get(caller, caller))
        self.memblock.reserve(start, end - start)

    def free(self, start: int, end: int, *, owner: str, caller: str) -> None:
        """Give ``[start, end)`` back (memblock_free, memblock_phys_free from 5.16)."""
        self.recorder.tag(owner, self.rules.callers.get(caller, caller))
        self.memblock.free(start, end - start)

    def printk(self, text: str, *, warning: bool = False) -> None:
        """A line that the kernel prints."""
        self.recorder.message(text, warning)

    # -- allocations --------------------------------------------------------------------------------------------

    def phys_alloc_range(self, size: int, align: int, start: int, end: int, *, owner: str, caller: str) -> int:
        """A block within ``[start, end)`` at a caller's own limits; its address, 0 where there is none.

        memblock_phys_alloc_range from 5.15 (commit a7259df76702); before that each caller searched and reserved by
        itself, so only the reservation is printed.  An `end` of 0 is the limit in force.
        """
        runs = self.phys_alloc_range_run(size, align, start, end, 1, owner=owner, caller=caller)
        return runs[0].start if runs else 0

    def phys_alloc_range_run(
        self, size: int, align: int, start: int, end: int, count: int, *, owner: str, caller: str
    ) -> list[Run]:
        """`count` equal blocks as by as many calls of :meth:`phys_alloc_range`; fewer where no more are free."""
        if not self.rules.phys_alloc_range:
            self.recorder.tag(owner, self.rules.callers.get(caller, caller))
            return self.memblock.find_reserve_run(size, align, start, end, count)
        caller = self.rules.request_callers.get(caller, caller)
        text = (
            f"memblock_phys_alloc_range: {size} bytes align={align:#x} from={start:#018x} max_addr={end:#018x} {caller}"
        )
        return self._requested(
            text, owner, lambda: self.memblock.phys_alloc_range_run(size, align, start, end, count), count
        )

    def phys_alloc(self, size: int, align: int, *, owner: str, caller: str) -> int:
        """A block anywhere below the limit in force (memblock_phys_alloc); its address, 0 where there is none."""
        return self.phys_alloc_range(size, align, 0, 0, owner=owner, caller=caller)

    def alloc_range_nid(self, size: int, align: int, start: int, end: int, nid: int | None, *, owner: str) -> int:
        """A block within ``[start, end)`` on exactly that node; only its reservation is printed."""
        self.recorder.tag(owner, "memblock_alloc_range_nid")
        return self.memblock.alloc_range_nid(size, align, start, end, nid, exact=True)

    def alloc_base(self, size: int, align: int, *, owner: str) -> int:
        """A block below the limit in force as 3.13's early code takes it (memblock_alloc); it panics without one."""
        self.recorder.tag(owner, "memblock_alloc_base_nid")
        return self.memblock.alloc_base(size, align, 0)

    def phys_alloc_try_nid(self, size: int, align: int, nid: int, *, any_node: bool, owner: str) -> int:
        """A block on the node, else on any where `any_node`; only its reservation is printed."""
        if self.rules.bootmem_calls:
            self.recorder.tag(owner, "memblock_alloc_base_nid")
            return self.memblock.alloc_nid(size, align, nid)
        self.recorder.tag(owner, "memblock_alloc_range_nid")
        return self.memblock.alloc_range_nid(size, align, 0, 0, nid, exact=not any_node)

    def _requested(self, text: str, owner: str, allocate: Callable[[], list[Run]], count: int) -> list[Run]:
        """Runs an allocation of `count` blocks, each under the line `text`, and the line of one that fails."""
        self.recorder.request(text, owner, "memblock_alloc_range_nid")
        runs = allocate()
        self.recorder.requested(failed=sum(run.count for run in runs) < count)
        return runs

    def alloc(
        self,
        size: int,
        align: int = 64,
        *,
        owner: str,
        caller: str,
        min_addr: int = 0,
        max_addr: int = 0,
        nid: int | None = None,
        raw: bool = False,
        exact: bool = False,
    ) -> int:
        """A block for the kernel's own use (memblock_alloc and its kin); its address, 0 where there is none.

        Falls back from the node to any node and from `min_addr` to 0, as memblock_alloc_internal does (5.10 on), or
        as the bootmem calls of 3.13 do.  `exact` stays on the node.
        """
        runs = self._alloc_run(
            1, size, align, owner=owner, caller=caller, window=(min_addr, max_addr), nid=nid, raw=raw, exact=exact
        )
        return runs[0].start if runs else 0

    def alloc_run(
        self,
        count: int,
        size: int,
        align: int,
        *,
        owner: str,
        caller: str,
        min_addr: int = 0,
        nid: int | None = None,
        raw: bool = False,
    ) -> int:
        """`count` equal blocks as by as many calls of :meth:`alloc`; how many there were before one failed."""
        runs = self._alloc_run(
            count, size, align, owner=owner, caller=caller, window=(min_addr, 0), nid=nid, raw=raw, exact=False
        )
        return sum(run.count for run in runs)

    def _alloc_run(
        self,
        count: int,
        size: int,
        align: int,
        *,
        owner: str,
        caller: str,
        window: tuple[int, int],
        nid: int | None,
        raw: bool,
        exact: bool,
    ) -> list[Run]:
        min_addr, max_addr = window
        if self.rules.bootmem_calls:
            self.recorder.tag(owner, "__alloc_memory_core_early")
            return self._bootmem(count, size, align, min_addr, max_addr, nid)
        caller = self.rules.request_callers.get(caller, caller)
        name = "memblock_alloc_exact_nid_raw" if exact else "memblock_alloc_try_nid"
        name = "memblock_alloc_try_nid_raw" if raw and not exact else name
        text = (
            f"{name}: {size} bytes align={align:#x} nid={-1 if nid is None else nid} "
            f"from={min_addr:#018x} max_addr={max_addr:#018x} {caller}"
        )
        return self._requested(
            text,
            owner,
            lambda: self.memblock.alloc_run(size, align, min_addr, max_addr, nid, count, exact=exact),
            count,
        )

    def alloc_or_panic(
        self,
        size: int,
        align: int = 64,
        *,
        owner: str,
        caller: str,
        min_addr: int = 0,
        max_addr: int = 0,
        nid: int | None = None,
    ) -> int:
        """As :meth:`alloc`, for callers that can't go on without; BootPanic where nothing is left."""
        found = self.alloc(size, align, owner=owner, caller=caller, min_addr=min_addr, max_addr=max_addr, nid=nid)
        if not found:
            text = (
                f"bootmem alloc of {size} bytes failed!"
                if self.rules.bootmem_calls
                else f"{caller}: Failed to allocate {size} bytes align={align:#x}"
            )
            raise BootPanic(text, f"no free memory is left for {owner} ({size} bytes)")
        return found

    def _bootmem(self, count: int, size: int, align: int, goal: int, limit: int, nid: int | None) -> list[Run]:
        """The order of 3.13's mm/nobootmem.c: node and goal, any node and goal, then both without the goal."""
        runs: list[Run] = []
        for low in dict.fromkeys((goal, 0)):
            for node in dict.fromkeys((nid, None)):
                rest = count - sum(run.count for run in runs)
                runs += self.memblock.alloc_memory_core_early_run(node, size, align, low, limit or U64_MAX, rest)
        return runs

    # -- questions ----------------------------------------------------------------------------------------------

    def free_gaps(self) -> Iterator[tuple[int, int]]:
        """The free ranges of memory, upwards."""
        return ((start, end) for start, end, _ in self.memblock.free_ranges(None, 0))
