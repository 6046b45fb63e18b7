"""The kernel's log buffer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.registry import step
from memplan.owner import Purpose
from memplan.units import GIB, memparse, pow2_up

if TYPE_CHECKING:
    from memplan.boot.context import Boot

_LOG_BUF_MAX = 2 * GIB


@step("kernel/printk/printk.c")
def setup_log_buf_early(boot: Boot) -> None:
    """The log buffer of ``log_buf_len=``, before the SRAT is read (setup_log_buf(1))."""
    value = boot.cmdline.last("log_buf_len")
    if value is None:
        return
    size = min(memparse(value)[0], _LOG_BUF_MAX)
    size = pow2_up(size) if size else 0
    if size > 1 << boot.kernel.config_number("LOG_BUF_SHIFT"):
        boot.new_log_buf = _log_buffers(boot, size, early=True)


@step("kernel/printk/printk.c")
def setup_log_buf(boot: Boot) -> None:
    """A larger log buffer where many CPUs may come (setup_log_buf(0)); 3.17 on."""
    if boot.new_log_buf:
        return
    shift = boot.kernel.config_number("LOG_BUF_SHIFT")
    extra = (boot.params.possible_cpus - 1) << boot.kernel.config_number("LOG_CPU_MAX_BUF_SHIFT")
    if extra > 1 << (shift - 1):
        boot.new_log_buf = _log_buffers(boot, pow2_up(extra + (1 << shift)), early=False)


def _log_buffers(boot: Boot, size: int, *, early: bool) -> bool:
    """The text, and from 5.10 on the ring buffer's descriptors and infos, one each for 32 bytes of text."""
    memory, align = boot.memory, boot.rules.log_buf_align
    if boot.rules.log_buf == "text":
        if boot.rules.allocation_calls == "bootmem":
            return bool(memory.alloc_base(size, align, owner=Purpose.LOG_BUFFER, caller="setup_log_buf"))
        if early and boot.rules.calls_without_panic:
            return bool(memory.alloc_or_panic(size, align, owner=Purpose.LOG_BUFFER, caller="setup_log_buf"))
        return bool(memory.alloc(size, align, owner=Purpose.LOG_BUFFER, caller="setup_log_buf"))
    count = size >> 5
    parts = (
        (Purpose.LOG_BUFFER, size),
        (Purpose.LOG_DESCRIPTORS, count * boot.kernel.fact("struct.prb_desc")),
        (Purpose.LOG_INFOS, count * boot.kernel.fact("struct.printk_info")),
    )
    taken: list[tuple[int, int, Purpose]] = []
    for owner, length in parts:
        found = memory.alloc(length, align, owner=owner, caller="setup_log_buf")
        if not found:
            boot.printk(f"log_buf_len: {length} bytes not available", warning=True)
            for start, end, name in reversed(taken):
                memory.free(start, end, owner=name, caller="setup_log_buf")
            return False
        taken.append((found, found + length, owner))
    return True
