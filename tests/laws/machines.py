"""Machines that can be: nodes of whole memory blocks, holes, hot-plug marks, tables and an initrd, any kernel."""

from __future__ import annotations

from hypothesis import assume
from hypothesis import strategies as st

import memplan
from memplan.machine.model import Acpi, AcpiTable, CpuAffinity, Cpus, E820Entry, Initrd, KernelImage, Machine, Srat
from memplan.machine.model import MemoryAffinity as Memory
from memplan.plan import Plan
from memplan.units import GIB, KIB, MIB

#: A release of each time in which the rules were the same for long, and those between which most changed.
KERNELS = (
    *("3.13", "3.16", "4.1", "4.4", "4.8", "4.10", "4.14", "4.19", "5.4", "5.10", "5.15", "6.1", "6.6", "6.8", "6.12"),
    *("6.15", "6.18", "7.0", "7.1"),
)
OPTIONS = (
    "nokaslr",
    "kernelcore=30%",
    "movablecore=1G",
    "crashkernel=128M",
    "crashkernel=256M,high",
    "hugepagesz=1G hugepages=1",
    "cma=64M",
    "mem=3G",
    "memmap=64M$1G",
    "numa=off",
    "log_buf_len=4M",
    "swiotlb=noforce",
    "hugetlb_cma=1G",
    "kernelcore=mirror",
    "numa=fake=3",
    "numa=fake=512M",
    "memmap=1G!5G",
    "debug_pagealloc=on",
    "hashdist=0",
    "nr_cpus=2",
    "percpu_alloc=page",
    "reserve_mem=4M:4096:x",
)


@st.composite
def machines(draw: st.DrawFn, *, movable_node: bool | None = None, options: tuple[str, ...] = OPTIONS) -> Machine:
    """A machine of one to four nodes; `movable_node` says whether it boots with that option (None: either)."""
    low = draw(st.sampled_from((1, 2, 3))) * GIB
    ranges = [(0, 0, low)]
    at = 4 * GIB
    for pxm in range(draw(st.integers(0, 3))):
        at += draw(st.sampled_from((0, 0, 128 * MIB, GIB)))
        size = draw(st.integers(4, 32)) * 128 * MIB
        ranges.append((pxm if draw(st.booleans()) else pxm + 1, at, at + size))
        at += size
    e820 = [E820Entry(0, 639 * KIB, 1), E820Entry(639 * KIB, MIB, 2), E820Entry(MIB, low - MIB, 1)]
    e820.append(E820Entry(low - MIB, low, draw(st.sampled_from((2, 3, 4)))))
    e820 += [E820Entry(start, end, 1) for _, start, end in ranges[1:]]
    memory = tuple(Memory(pxm, start, end - start, hotplug=draw(st.booleans())) for pxm, start, end in ranges)
    possible = draw(st.integers(1, 16))
    cpus = tuple(CpuAffinity(draw(st.sampled_from([pxm for pxm, _, _ in ranges])), cpu) for cpu in range(possible))
    given = draw(st.lists(st.sampled_from(options), max_size=3, unique=True)) if options else []
    if movable_node or (movable_node is None and draw(st.booleans())):
        given.append("movable_node")
    return Machine(
        e820=tuple(e820),
        cmdline=" ".join(given),
        srat=draw(st.sampled_from((Srat(memory, cpus), Srat(memory, cpus), None))),
        acpi=Acpi(tables=(AcpiTable("FACP", low - MIB, 276), AcpiTable("SRAT", low - MIB + 0x1000, 400))),
        cpus=Cpus(possible=possible, present=possible, gbpages=draw(st.booleans())),
        kernel=KernelImage(draw(st.sampled_from(KERNELS))),
        initrd=draw(st.sampled_from((None, Initrd(low - 64 * MIB, 16 * MIB)))),
        booted=True,
    )


def planned(machine: Machine, *, bottom_up: bool | None = None) -> Plan:
    """The plan; machines that use something that is not replayed are passed over."""
    try:
        return memplan.simulate(machine, bottom_up=bottom_up)
    except memplan.NotCoveredError:
        assume(False)
        raise
