"""The real-mode trampoline, and the first megabyte with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.panic import BootPanic
from memplan.boot.registry import step
from memplan.owner import Purpose
from memplan.units import MIB, PAGE_SIZE

if TYPE_CHECKING:
    from memplan.boot.context import Boot


@step("arch/x86/realmode/init.c")
def reserve_real_mode(boot: Boot) -> None:
    """Finds a place below 1 MiB for the real-mode trampoline.

    From 5.13 on (commit f1d4d47c5851) the whole first megabyte is reserved after it; 3.13 panics without a place.
    """
    size = boot.kernel.fact("image.real_mode_size")
    found = boot.memory.phys_alloc_range(size, PAGE_SIZE, 0, MIB, owner=Purpose.REAL_MODE, caller="reserve_real_mode")
    if not found:
        if boot.rules.real_mode_required:
            raise BootPanic("Cannot allocate trampoline", "no free block below 1 MiB is large enough for it")
        boot.printk(boot.rules.real_mode_failure, warning=True)
    elif boot.rules.crash_reserves_first_mib and boot.cmdline.has("crashkernel"):
        boot.memory.reserve(0, MIB, owner=Purpose.CRASH_LOW_MEMORY, caller="crash_reserve_low_1M")
    if boot.rules.reserve_first_mib:
        # Where nothing comes behind it, the call is the function's last and so its caller's.
        caller = "reserve_real_mode" if boot.rules.low_memory_scratch else "setup_arch"
        boot.memory.reserve(0, MIB, owner=Purpose.FIRST_MEGABYTE, caller=caller)
    if boot.rules.low_memory_scratch:
        boot.memblock.clear_kho_scratch(0, MIB)
