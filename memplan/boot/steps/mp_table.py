"""The MP table: where the BIOS has it, and room for a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.registry import step
from memplan.owner import Purpose
from memplan.units import memparse

if TYPE_CHECKING:
    from memplan.boot.context import Boot


@step("arch/x86/kernel/mpparse.c")
def find_smp_config(boot: Boot) -> None:
    """Reserves the MP floating pointer and the table that it names (smp_scan_config)."""
    mp_table = boot.machine.bios.mp_table
    if mp_table is None:
        return
    mapped = f" mapped at [{boot.params.direct_map_base + mp_table.pointer:x}]" if boot.rules.mp_table_mapped else ""
    boot.printk(f"found SMP MP-table at [mem {mp_table.pointer:#010x}-{mp_table.pointer + 15:#010x}]{mapped}")
    boot.memory.reserve(mp_table.pointer, mp_table.pointer + 16, owner=Purpose.MP_TABLE, caller="smp_scan_config")
    if mp_table.length:
        boot.memory.reserve(
            mp_table.table, mp_table.table + mp_table.length, owner=Purpose.MP_TABLE, caller="smp_scan_config"
        )


@step("arch/x86/kernel/mpparse.c")
def e820__memblock_alloc_reserved_mpc_new(boot: Boot) -> None:
    """A place for a new MP table, only with `update_mptable` and `alloc_mptable[=size]`.

    The kernel marks the place reserved only in the map for kexec, so memory itself stays as it is.
    """
    if not boot.cmdline.has("alloc_mptable") or not boot.kernel.config("X86_MPPARSE"):
        return
    value = boot.cmdline.last("alloc_mptable")
    size = memparse(value)[0] if value else 4096
    boot.memory.phys_alloc(size, 4, owner=Purpose.NEW_MP_TABLE, caller="e820__memblock_alloc_reserved")
