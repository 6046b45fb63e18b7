"""What is kept for the CPUs: masks, extended state, the guest's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.registry import step
from memplan.owner import Purpose
from memplan.units import PAGE_SIZE, round_up

if TYPE_CHECKING:
    from memplan.boot.context import Boot
    from memplan.kernel.model import Kernel

#: What the host keeps of one CPU's clock, in a cache line (struct pvclock_vsyscall_time_info).
_VCPU_CLOCK = 64


@step("arch/x86/kernel/kvmclock.c")
def kvmclock_init(boot: Boot) -> None:
    """Up to 4.18 in a KVM guest: the clocks of all CPUs that there can be, from 4.15 on after the wall clock's page."""
    if boot.machine.hypervisor != "kvm" or not boot.kernel.config("KVM_GUEST") or boot.cmdline.has("no-kvmclock"):
        return
    if boot.rules.kvm_wall_clock and not _clock(boot, PAGE_SIZE):
        return
    _clock(boot, round_up(_VCPU_CLOCK * boot.kernel.config_number("NR_CPUS"), PAGE_SIZE))


def _clock(boot: Boot, size: int) -> int:
    return boot.memory.phys_alloc(size, PAGE_SIZE, owner=Purpose.KVM_CLOCK, caller="kvmclock_init")


def clock_in_image(kernel: Kernel) -> bool:
    """Whether the first CPUs' guest clocks lie in the kernel image itself: no step of this kernel allocates them."""
    return kvmclock_init.__name__ not in kernel.rules.steps


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
