"""What is kept for the CPUs: masks, extended state, the guest's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.registry import step
from memplan.errors import NotCoveredError
from memplan.owner import Purpose

if TYPE_CHECKING:
    from memplan.boot.context import Boot


@step("arch/x86/kernel/kvmclock.c")
def kvmclock_init(boot: Boot) -> None:
    """3.13 on KVM: the guest clock's pages."""
    if boot.machine.hypervisor == "kvm" and boot.kernel.config("KVM_GUEST") and not boot.cmdline.has("no-kvmclock"):
        raise NotCoveredError(
            "the KVM guest clock of Linux 3.13 is not replayed yet (boot option no-kvmclock avoids it)"
        )


@step("lib/cpumask.c")
def alloc_bootmem_cpumasks(boot: Boot) -> None:
    """CPU masks kept off the stack: one a node (setup_node_to_cpumask_map), then the scheduler's and others'."""
    if not boot.kernel.config("CPUMASK_OFFSTACK"):
        return
    size = 8 * -(-boot.params.possible_cpus // 64)
    for _ in range(boot.nodes.nr_node_ids + boot.rules.cpumasks):
        boot.memory.alloc_or_panic(size, owner=Purpose.CPU_MASK, caller="alloc_bootmem_cpumask_var")


@step("arch/x86/kernel/xsave.c")
def xsave_init(boot: Boot) -> None:
    """3.13: the extended state's initial image and offsets, and a second image with eager switching."""
    cpus = boot.machine.cpus
    if not cpus.xsave_size:
        return
    boot.memory.alloc_or_panic(cpus.xsave_size, owner=Purpose.XSAVE_STATE, caller="setup_init_fpu_buf")
    for _ in range(2):
        boot.memory.alloc_or_panic(4 * cpus.xsave_features, owner=Purpose.XSAVE_OFFSETS, caller="setup_xstate_features")
    if boot.cmdline.last("eagerfpu") != "off" and cpus.xsaveopt:
        boot.memory.alloc_or_panic(cpus.xsave_size, owner=Purpose.XSAVE_STATE, caller="eager_fpu_init_bp")
