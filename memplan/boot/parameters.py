"""What follows from the machine, the kernel and the command line alone, before a single step has run.

Nothing here depends on what an allocator did, so whoever has a machine and a kernel can ask: steps, checks, readers
of logs.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from memplan.machine.cmdline import CommandLine, command_line
from memplan.units import PAGE_SIZE, leading_number

if TYPE_CHECKING:
    from memplan.kernel.model import Kernel
    from memplan.kernel.rules import Rules
    from memplan.machine.model import Efi, Machine

#: Options that leave the boot CPU alone, and those that keep the kernel from the MADT's IO-APICs.
_NO_LOCAL_APIC = ("nolapic", "disableapic")
_NO_MADT_IOAPICS = ("noapic", *_NO_LOCAL_APIC)
#: The direct map's base with five levels of page tables, without KASLR.
_BASE_5LEVEL = 0xFF11000000000000
#: The bits of a C int; all of them are a -1, which stands for an option that is not given.
_INT_MASK = 0xFFFFFFFF


def page_table_buffer(kernel: Kernel) -> int:
    """Bytes of the brk that early_alloc_pgt_buf takes for the first table pages.

    Three pages for each of two mappings, four with config X86_5LEVEL (5.18 on); twice as many with config
    RANDOMIZE_MEMORY (4.8 on).
    """
    rules = kernel.rules
    pages = rules.pgt_buffer_pages_5level if kernel.config("X86_5LEVEL") else rules.pgt_buffer_pages
    if rules.pgt_buffer_doubled and kernel.config("RANDOMIZE_MEMORY"):
        pages *= 2
    return pages * PAGE_SIZE


class Parameters:
    """What is given to a boot, and its parameters.  Addresses and sizes are in bytes."""

    def __init__(self, machine: Machine, kernel: Kernel) -> None:
        self.machine = machine
        self.kernel = kernel

    @property
    def rules(self) -> Rules:
        """The rules of the kernel's version."""
        return self.kernel.rules

    @cached_property
    def cmdline(self) -> CommandLine:
        """The machine's command line, taken apart."""
        return command_line(self.machine.cmdline)

    # -- the kernel image ---------------------------------------------------------------------------------------

    @cached_property
    def kernel_start(self) -> int:
        """Physical _text."""
        place = self.machine.kernel.load_address
        return self.kernel.fact("image.load_address") if place is None else place

    @cached_property
    def kernel_end(self) -> int:
        """Physical _end."""
        return self.kernel_start + self.kernel.fact("image.end")

    @cached_property
    def brk_start(self) -> int:
        """Where the brk begins, behind the image."""
        return self.kernel_start + self.kernel.fact("image.brk_start")

    # -- page tables --------------------------------------------------------------------------------------------

    @cached_property
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

    @cached_property
    def randomize_memory(self) -> bool:
        """Whether KASLR's memory randomisation is active."""
        randomized = self.kernel.config("RANDOMIZE_MEMORY") and self.machine.kernel.randomized
        return randomized and not self.cmdline.has("nokaslr")

    # -- firmware -----------------------------------------------------------------------------------------------

    @cached_property
    def acpi_disabled(self) -> bool:
        """Whether there are no ACPI tables, or acpi=off hides them (acpi=force behind it takes that back).

        A machine that has an SRAT has ACPI, also where nothing tells at which place the tables lie.
        """
        switches = [value for value in self.cmdline.all("acpi") if value in ("off", "force")]
        acpi = self.machine.acpi
        described = acpi.tables or acpi.upgrades or self.machine.srat is not None
        return switches[-1:] == ["off"] or not described

    @property
    def efi(self) -> Efi | None:
        """The machine's EFI firmware, where the kernel was built to boot by it."""
        return self.machine.efi if self.kernel.config("EFI") else None

    @cached_property
    def ioapics(self) -> int:
        """The IO-APICs that the kernel registers: the MADT's, or where that is not asked for them an MP table's."""
        asked = not (self.acpi_disabled or self.no_smp or any(self.cmdline.has(word) for word in _NO_MADT_IOAPICS))
        asked = asked and "noirq" not in self.cmdline.all("acpi")
        return self.machine.acpi.ioapics if asked or self.machine.bios.mp_table is not None else 0

    # -- CPUs ---------------------------------------------------------------------------------------------------

    @cached_property
    def no_smp(self) -> bool:
        """Whether other CPUs are ruled out, and IO-APICs with them (nosmp, or maxcpus=0)."""
        return self.cmdline.has("nosmp") or self._int("maxcpus") == 0

    @cached_property
    def possible_cpus(self) -> int:
        """The CPUs that may ever come (nr_cpu_ids): the machine's, within what kernel and options allow."""
        if self.no_smp or any(self.cmdline.has(word) for word in _NO_LOCAL_APIC):
            return 1
        return max(min(self.wanted_cpus, self.most_cpus), 1)

    @cached_property
    def wanted_cpus(self) -> int:
        """The CPUs of the machine, or that possible_cpus= makes of them, before the kernel's limit."""
        named = self._int("possible_cpus")
        possible = self.machine.cpus.possible
        if named is None or named == _INT_MASK:
            return possible
        return min(named, possible) if self.rules.possible_cpus_limits else named

    @cached_property
    def most_cpus(self) -> int:
        """The CPUs that the kernel has room for: config NR_CPUS, or fewer by nr_cpus=."""
        room = self.kernel.config_number("NR_CPUS")
        named = self._int("nr_cpus")
        return min(named, room) if named else room

    @property
    def present_cpus(self) -> int:
        """The CPUs present at boot that the options let in."""
        return min(self.machine.cpus.present, self.possible_cpus)

    def apic_ids(self) -> list[tuple[int, int]]:
        """The CPUs of which the kernel knows the APIC id: those present at boot, as (CPU, APIC id)."""
        ids = self.machine.cpus.apic_ids
        return [(cpu, ids[cpu] if cpu < len(ids) else cpu) for cpu in range(self.present_cpus)]

    # -- options ------------------------------------------------------------------------------------------------

    @cached_property
    def movable_node(self) -> bool:
        """Whether movable_node is asked for and built in."""
        return self.cmdline.has("movable_node") and self.kernel.config(self.rules.movable_node_config)

    def _int(self, option: str) -> int | None:
        """The option's number in the bits of a C int: a negative one is more than any number of CPUs."""
        number = leading_number(self.cmdline.last(option) or "")[0]
        return None if number is None else number & _INT_MASK
