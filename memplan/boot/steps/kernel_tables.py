"""Page tables outside the direct map: the CPU entry areas, the vsyscall page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.panic import BootPanic
from memplan.boot.registry import step
from memplan.owner import Purpose
from memplan.units import GIB, PAGE_SIZE, SIZE_2M

if TYPE_CHECKING:
    from memplan.boot.context import Boot

#: The last parts of a cpu_entry_area: the guarded stacks of the VC exception; the debug store and its buffers.
_VC_STACKS = 7 * PAGE_SIZE
_DEBUG_STORE = 33 * PAGE_SIZE


@step("arch/x86/mm/cpu_entry_area.c", random=True)
def setup_cpu_entry_areas(boot: Boot) -> None:
    """The tables of the CPUs' entry areas (spp_getpage): one PUD page, and PMD and PTE pages for what they span.

    The areas follow a page for the IDT.  The last parts of one are mapped on some machines only: the stacks of the VC
    exception in encrypted guests, the debug store on Intel's CPUs.  From 6.2 on (commit 97e3d26b5e5f) KASLR places each
    CPU's area at random; no plan can tell these places, so the areas are taken as they lie without KASLR.
    """
    size = boot.kernel.fact("struct.cpu_entry_area")
    unmapped = 0 if boot.machine.cpus.intel else _DEBUG_STORE + _VC_STACKS
    end = PAGE_SIZE + boot.params.possible_cpus * size - unmapped
    pages = 1 + -(-end // GIB) + -(-end // SIZE_2M)
    _spp_getpage(boot, pages, Purpose.CPU_ENTRY_TABLES)


@step("arch/x86/kernel/vsyscall_64.c")
def map_vsyscall(boot: Boot) -> None:
    """The page table of the vsyscall page, where memblock still provides it; 3.13."""
    _spp_getpage(boot, 1, Purpose.VSYSCALL_TABLE)


def _spp_getpage(boot: Boot, pages: int, owner: Purpose) -> None:
    if boot.memory.alloc_run(pages, PAGE_SIZE, PAGE_SIZE, owner=owner, caller="spp_getpage") < pages:
        raise BootPanic("set_pte_phys: cannot allocate page data", f"no free memory is left for the {owner}")
