"""The e820 map from the loader's table to memblock: arch/x86/kernel/e820.c."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from memplan.boot.e820_table import ZEROPAGE_ENTRIES, E820Table
from memplan.boot.panic import BootPanic
from memplan.boot.registry import step
from memplan.errors import NotCoveredError
from memplan.machine.model import (
    E820_ACPI,
    E820_PRAM,
    E820_RAM,
    E820_RESERVED,
    E820_RESERVED_KERN,
    E820_SOFT_RESERVED,
)
from memplan.owner import Purpose
from memplan.units import KIB, MIB, PAGE_SHIFT, PAGE_SIZE, U64_MAX, memparse

if TYPE_CHECKING:
    from memplan.boot.context import Boot

#: setup_data type that extends the e820 table (SETUP_E820_EXT).
SETUP_E820_EXT = 1
#: Types whose entries are kept apart, by the rule.
_KEPT_APART: dict[str, frozenset[int]] = {
    "none": frozenset(),
    "PRAM": frozenset({E820_PRAM}),
    "PRAM and soft reserved": frozenset({E820_PRAM, E820_SOFT_RESERVED}),
}


@step("arch/x86/kernel/e820.c")
def e820__memory_setup(boot: Boot) -> None:
    """Takes the loader's table, with the entries that setup_data adds.

    A table that the kernel would refuse (fewer than two entries, or one that wraps) makes it ask the BIOS in
    older ways, of whose answers a description says nothing: NotCoveredError.
    """
    entries = boot.machine.e820
    extended = [e for node in boot.machine.setup_data if node.type == SETUP_E820_EXT for e in node.e820]
    if len(entries) < 2:
        raise NotCoveredError(
            "the e820 map has fewer than two entries: Linux refuses such a map and falls back to BIOS-e801, "
            "whose answer a machine description does not hold; list the firmware's reserved ranges too"
        )
    room = ZEROPAGE_ENTRIES + 3 * boot.kernel.max_numnodes
    kept_apart = _KEPT_APART[boot.rules.e820_kept_apart]
    # What it says goes to the recorder itself: a table that leads back to the boot keeps it from going when it is over.
    table = E820Table((*entries, *extended), room, partial(boot.recorder.message, warning=True), kept_apart)
    table.update()
    boot.e820_firmware = table.copy()
    boot.e820 = table
    boot.printk(f"{boot.wording.e820}BIOS-provided physical RAM map:")


def parse_early_mem(boot: Boot, value: str | None) -> bool:
    """``mem=``: RAM from that address on goes; whether the map is the user's now (parse_memopt)."""
    if not value or value == "nopentium":
        return False
    size = memparse(value)[0]
    if size:
        boot.e820.range_remove(size, U64_MAX, E820_RAM)
    return True


def parse_early_memmap(boot: Boot, value: str | None) -> bool:
    """``memmap=`` in all its forms, comma separated; whether the map is the user's now (parse_memmap_opt)."""
    results = [_parse_memmap_one(boot, part) for part in value.split(",")] if value is not None else []
    return any(results)


def _parse_memmap_one(boot: Boot, text: str) -> bool:
    table = boot.e820
    if text.startswith("exactmap"):
        table.clear()
        return True
    size, rest = memparse(text)
    if rest == text:
        return False
    mark = rest[:1]
    start, tail = memparse(rest[1:])
    end = min(start + size, U64_MAX)
    kinds = {"@": E820_RAM, "#": E820_ACPI, "$": E820_RESERVED}
    if boot.rules.e820_pram:
        kinds["!"] = E820_PRAM
    if mark in kinds:
        table.range_add(start, end, kinds[mark])
    elif mark == "%" and boot.rules.e820_retype:
        _retype(table, start, end, tail)
    else:
        table.range_remove(size, U64_MAX, E820_RAM)
    return True


def _retype(table: E820Table, start: int, end: int, tail: str) -> None:
    """``memmap=n%s-from+to``: from 0 (or absent) is any type, to 0 (or absent) removes."""
    old = new = 0
    if tail.startswith("-"):
        old, tail = memparse(tail[1:])
    if tail.startswith("+"):
        new, tail = memparse(tail[1:])
    if tail:
        return
    if old and new:
        table.range_update(start, end, old, new)
    elif new:
        table.range_add(start, end, new)
    else:
        table.range_remove(start, end, old or None)


@step("arch/x86/kernel/e820.c")
def e820__finish_early_params(boot: Boot) -> None:
    """Sorts a map that the command line changed (3.13: finish_e820_parsing)."""
    if not boot.user_map:
        return
    if not boot.e820.update():
        raise BootPanic("Invalid user supplied memory map", "memmap= leaves fewer than two entries in the map")
    boot.printk(f"{boot.wording.e820}user-defined physical RAM map:")


@step("arch/x86/kernel/setup.c")
def e820_add_kernel_range(boot: Boot) -> None:
    """The kernel's own range is RAM, whatever the map says."""
    start, end = boot.params.kernel_start, boot.params.kernel_end
    if boot.e820.mapped_all(start, end, E820_RAM):
        return
    boot.printk(".text .data .bss are not marked as E820_TYPE_RAM!", warning=True)
    boot.e820.range_remove(start, end, None)
    boot.e820.range_add(start, end, E820_RAM)


@step("arch/x86/kernel/setup.c")
def trim_bios_range(boot: Boot) -> None:
    """Page 0 is the BIOS's, and [640K, 1M) is never RAM."""
    boot.e820.range_update(0, PAGE_SIZE, E820_RAM, E820_RESERVED)
    boot.e820.range_remove(640 * KIB, MIB, E820_RAM)
    boot.e820.update()


@step("arch/x86/kernel/e820.c")
def e820__end_of_ram_pfn(boot: Boot) -> None:
    """Sets max_pfn, after RAM beyond the write-back MTRRs is taken away, and max_low_pfn."""
    kinds = [E820_RAM, *[E820_ACPI] * boot.rules.max_pfn_counts_acpi, *[E820_PRAM] * boot.rules.max_pfn_counts_pram]
    arch_limit = 1 << (boot.params.physical_bits - PAGE_SHIFT)
    boot.max_pfn = boot.e820.end_pfn(arch_limit, *kinds)
    limit = boot.machine.mtrr_limit
    if limit and limit < boot.max_pfn << PAGE_SHIFT:
        lost = sum(max(0, end - max(start, limit)) for start, end, kind in boot.e820 if kind == E820_RAM)
        boot.printk(
            f"WARNING: BIOS bug: CPU MTRRs don't cover all of memory, losing {lost // MIB}MB of RAM.", warning=True
        )
        boot.e820.range_update(limit, boot.max_pfn << PAGE_SHIFT, E820_RAM, E820_RESERVED)
        boot.e820.update()
        boot.max_pfn = boot.e820.end_pfn(arch_limit, *kinds)
    boot.max_possible_pfn = boot.max_pfn
    four_gib_pfn = 1 << (32 - PAGE_SHIFT)
    boot.max_low_pfn = boot.max_pfn
    if boot.max_pfn > four_gib_pfn:
        boot.max_low_pfn = boot.e820.end_pfn(four_gib_pfn, *kinds)


@step("arch/x86/kernel/e820.c")
def e820__memblock_setup(boot: Boot) -> None:
    """Fills memblock from the map, cuts partial pages and dumps (3.13: memblock_x86_fill).

    Growing the arrays is allowed from here on, and searches end at 1 MiB until the direct map is there.  From 6.16 on
    memory below is a scratch area until the trampoline has its place, for kernels that may use nothing else.
    """
    boot.memblock.current_limit = MIB
    boot.memblock.allow_resize()
    for start, end, kind in boot.e820:
        if kind == E820_SOFT_RESERVED:
            boot.memory.reserve(start, end, owner=Purpose.SOFT_RESERVED, caller="e820__memblock_setup")
        elif kind in (E820_RAM, E820_RESERVED_KERN):
            boot.memory.add(start, end, owner=Purpose.RAM, caller="e820__memblock_setup")
    if boot.rules.low_memory_scratch:
        boot.memblock.mark_kho_scratch(0, MIB)
    boot.memblock.trim_memory(PAGE_SIZE)
    if not boot.memblock.memory.total_size:
        raise BootPanic("No usable memory", "the e820 map leaves no whole page of RAM")
    boot.recorder.checkpoint("e820__memblock_setup", boot.memblock, dumped=True)
