"""Machines that can be: nodes of whole memory blocks, holes, hot-plug marks, tables and an initrd, any kernel."""

from __future__ import annotations

from hypothesis import assume
from hypothesis import strategies as st

import memplan
from memplan.machine.model import (
    E820_PMEM,
    E820_PRAM,
    E820_RAM,
    E820_SOFT_RESERVED,
    Acpi,
    AcpiTable,
    CpuAffinity,
    Cpus,
    CxlWindow,
    E820Entry,
    Efi,
    EfiRange,
    Extent,
    Initrd,
    KernelImage,
    Machine,
    Srat,
)
from memplan.machine.model import MemoryAffinity as Memory
from memplan.plan import Plan
from memplan.units import GIB, KIB, MIB

#: A release of each time in which the rules were the same for long, and those between which most changed.
KERNELS = (
    *("3.13", "3.16", "4.1", "4.4", "4.8", "4.10", "4.14", "4.19", "5.4", "5.10", "5.15", "6.1", "6.6", "6.8", "6.12"),
    *("6.15", "6.18", "7.0", "7.1", "7.2", "7.3"),
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
    "kernelcore=2G",
    "no5lvl",
    "efi=nosoftreserve",
    "memmap=256M!1G",
    "memmap=128M%1G-1+7",
    "numa=fake=3",
    "numa=fake=512M",
    "memmap=1G!5G",
    "debug_pagealloc=on",
    "hashdist=0",
    "nr_cpus=2",
    "percpu_alloc=page",
    "reserve_mem=4M:4096:x",
)
#: Types of memory of which neighbours may be kept apart, so that an entry in two parts is not the same as a whole one.
KEPT_APART = (E820_PMEM, E820_PRAM, E820_SOFT_RESERVED)
_CONVENTIONAL, _RESERVED = 7, 0
#: EFI_MEMORY_WB and what can be done with it; EFI_MEMORY_MORE_RELIABLE.
_WRITE_BACK, _MIRRORED = 0xF, 0x10000


@st.composite
def machines(
    draw: st.DrawFn, *, movable_node: bool | None = None, options: tuple[str, ...] = OPTIONS, kept_apart: bool = True
) -> Machine:
    """A machine of one to four nodes; `movable_node` says whether it boots with that option (None: either).

    `kept_apart` says whether there may be memory of the types KEPT_APART.
    """
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
    if kept_apart and (kind := draw(st.sampled_from((None, None, *KEPT_APART)))) is not None:
        size = draw(st.integers(1, 16)) * 64 * MIB
        e820.append(E820Entry(at, at + size, kind))
        at += size
    window = CxlWindow(at + draw(st.sampled_from((0, GIB))), draw(st.integers(1, 4)) * 256 * MIB)
    possible = draw(st.integers(1, 16))
    cpus = tuple(CpuAffinity(draw(st.sampled_from([pxm for pxm, _, _ in ranges])), cpu) for cpu in range(possible))
    given = draw(st.lists(st.sampled_from(options), max_size=3, unique=True)) if options else []
    if movable_node or (movable_node is None and draw(st.booleans())):
        given.append("movable_node")
    return Machine(
        e820=tuple(e820),
        cmdline=" ".join(given),
        srat=draw(st.sampled_from((Srat(memory, cpus), Srat(memory, cpus), None))),
        acpi=Acpi(
            tables=(AcpiTable("FACP", low - MIB, 276), AcpiTable("SRAT", low - MIB + 0x1000, 400)),
            cxl_windows=draw(st.sampled_from(((), (), (window,)))),
        ),
        cpus=Cpus(possible=possible, present=possible, gbpages=draw(st.booleans()), la57=draw(st.booleans())),
        kernel=KernelImage(draw(st.sampled_from(KERNELS))),
        initrd=draw(st.sampled_from((None, Initrd(low - 64 * MIB, 16 * MIB)))),
        efi=draw(_efi(e820)) if draw(st.booleans()) else None,
        booted=True,
    )


@st.composite
def _efi(draw: st.DrawFn, e820: list[E820Entry]) -> Efi:
    """EFI whose map says what `e820` does, in whole pages, some of its RAM mirrored."""
    mirrored = st.sampled_from((_WRITE_BACK, _WRITE_BACK | _MIRRORED))
    descriptors = tuple(
        EfiRange(own.start // 4096 * 4096, own.end // 4096 * 4096, _CONVENTIONAL, draw(mirrored))
        if own.type == E820_RAM
        else EfiRange(own.start // 4096 * 4096, own.end // 4096 * 4096, _RESERVED)
        for own in e820
    )
    return Efi(memmap=Extent(512 * MIB, 48 * len(descriptors)), descriptors=draw(st.sampled_from((descriptors, ()))))


def planned(machine: Machine, *, bottom_up: bool | None = None) -> Plan:
    """The plan; machines that use something that is not replayed are passed over."""
    try:
        return memplan.simulate(machine, bottom_up=bottom_up)
    except memplan.NotCoveredError:
        assume(False)
        raise
