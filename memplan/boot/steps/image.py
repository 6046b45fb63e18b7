"""The kernel image and the brk behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.registry import step
from memplan.owner import Purpose

if TYPE_CHECKING:
    from memplan.boot.context import Boot


@step("arch/x86/kernel/setup.c")
def reserve_kernel_image(boot: Boot) -> None:
    """Reserves [_text, __end_of_kernel_reserve), in 3.13 [_text, __bss_stop); the brk follows later."""
    end = boot.params.kernel_start + boot.kernel.fact("image.kernel_reserve_end")
    boot.memory.reserve(boot.params.kernel_start, end, owner=Purpose.KERNEL_IMAGE, caller="setup_arch", kern=True)


@step("arch/x86/kernel/setup.c")
def reserve_brk(boot: Boot) -> None:
    """Reserves what early code took from the brk; it is closed from here on."""
    if boot.brk_end > boot.params.brk_start:
        boot.memory.reserve(boot.params.brk_start, boot.brk_end, owner=Purpose.BRK, caller="reserve_brk", kern=True)
