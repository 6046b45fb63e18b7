"""Scratch areas of kexec hand-over (KHO): memory in which the next kernel may allocate before it knows the rest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from memplan.boot.registry import step
from memplan.owner import Owner, Purpose
from memplan.units import GIB, PAGE_SIZE, U64_MAX, decimal_number, kstrtobool, memparse, round_up

if TYPE_CHECKING:
    from memplan.boot.context import Boot

#: The end of what 32 bits address (ARCH_LOW_ADDRESS_LIMIT).
_LOW_LIMIT = 4 * GIB - 1
_DEFAULT_SCALE = 200
_ENTRY = 16


@step("kernel/liveupdate/kexec_handover.c")
def kho_memory_init(boot: Boot) -> None:
    """Scratch areas for the next kernel: a low one, a global one, and one on each node; 6.16 on, with ``kho=on``.

    Where one of them has no room, all are given back.  That this kernel was handed over to itself is not replayed.
    """
    kernel = boot.kernel
    asked = kstrtobool(boot.cmdline.last("kho"))
    enabled = kernel.config("KEXEC_HANDOVER_ENABLE_DEFAULT") if asked is None else asked
    if not kernel.config("KEXEC_HANDOVER") or not enabled:
        return
    if boot.cmdline.has("elfcorehdr") and not boot.rules.kho_in_kdump:
        boot.printk("KHO: disabled in the kdump kernel")
        return
    nodes = sorted(boot.nodes.online)
    if boot.rules.kho_scratch_nodes == "with memory":
        nodes = [nid for nid in nodes if boot.memblock.pfn_ranges(nid)]
    memory, align = boot.memory, boot.rules.cma_align
    scale, low, overall, per_node = _sizes(boot)
    table_size = (len(nodes) + 2) * _ENTRY
    owner = Owner(Purpose.KHO_SCRATCH)
    caller = "kho_memory_init"
    areas: list[tuple[int, int]] = []
    table = memory.alloc(table_size, PAGE_SIZE, owner=owner, caller=caller)
    complete = bool(table)
    if complete:
        found = memory.phys_alloc_range(low, align, 0, _LOW_LIMIT, owner=owner, caller=caller)
        complete = bool(found)
        areas += [(found, low)] * complete
    if complete:
        found = memory.phys_alloc(overall, align, owner=owner, caller=caller)
        complete = bool(found)
        areas += [(found, overall)] * complete
    for nid in nodes if complete else ():
        size = _kernel_s_own(boot, U64_MAX, nid) * scale // 100 if scale else per_node
        size = round_up(size, align)
        found = memory.alloc_range_nid(size, align, 0, 0, nid, owner=Owner(Purpose.KHO_SCRATCH, nid), caller=caller)
        if not found:
            complete = False
            break
        areas.append((found, size))
    if complete:
        return
    for start, size in reversed(areas):
        memory.free(start, start + size, owner=owner, caller=caller)
    if table:
        memory.free(table, table + table_size, owner=owner, caller=caller)
    boot.printk("KHO: Failed to reserve scratch area, disabling kexec handover", warning=True)


def _sizes(boot: Boot) -> tuple[int, int, int, int]:
    """The scale in percent, and bytes of the low, the global and each node's area; with a scale the last is open.

    ``kho_scratch=`` names either the scale, by what is reserved for the kernel's own use, or the three sizes.
    """
    align = boot.rules.cma_align
    scale = _DEFAULT_SCALE
    fixed = (0, 0, 0)
    for value in boot.cmdline.all("kho_scratch"):
        if re.fullmatch(r"[0-9]{1,10}%", value):
            scale = decimal_number(value[:-1])
        elif re.fullmatch(r"[0-9]\w*,[0-9]\w*,[0-9]\w*", value):
            sizes = [memparse(part) for part in value.split(",")]
            if not any(rest for _, rest in sizes) and any(size for size, _ in sizes):
                scale, fixed = 0, (sizes[0][0], sizes[1][0], sizes[2][0])
    low, overall, per_node = fixed
    if scale:
        low = _kernel_s_own(boot, _LOW_LIMIT, None) * scale // 100
        if boot.rules.kho_scratch_rounds == "the low part first":
            low = round_up(low, align)
        overall = _kernel_s_own(boot, U64_MAX, None) * scale // 100 - low & U64_MAX
    if scale or boot.rules.kho_scratch_rounds == "all sizes":
        low, overall = round_up(low, align), round_up(overall, align)
    return scale, low, overall, per_node


def _kernel_s_own(boot: Boot, limit: int, nid: int | None) -> int:
    """Bytes below `limit` that are reserved for the kernel's own use, and for no gigantic page that is marked so."""
    memblock = boot.memblock
    return memblock.reserved_kern_size(limit, nid) - memblock.reserved_hugetlb_size(limit, nid)
