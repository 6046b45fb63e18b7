"""Machines whose every place, or value, can be planned one by one."""

from memplan.kernel.load import find_kernel
from memplan.kernel.model import Kernel
from memplan.machine.model import (
    Acpi,
    AcpiTable,
    CpuAffinity,
    Cpus,
    E820Entry,
    Initrd,
    KernelImage,
    Machine,
    MemoryAffinity,
    Srat,
)
from memplan.units import GIB, MIB

#: A build that tells what KASLR goes by.
BUILD = find_kernel("debian-6.12.107+deb12-amd64")


def kernel_of(version: str) -> Kernel:
    """The generic kernel of `version`, with what it doesn't know from a build that does."""
    generic = find_kernel(version)
    return generic._replace(facts={**BUILD.facts, **generic.facts})


def machine(cmdline: str = "movable_node", *, nodes: int = 3, hot: bool = True, hole: bool = False) -> Machine:
    """`nodes` nodes of 1 GiB, hot-pluggable but the first where `hot`; with a `hole` in the second node's RAM."""
    end = nodes * GIB
    ram = [(0, 0x9FC00), (MIB, end)]
    if hole:
        ram = [(0, 0x9FC00), (MIB, GIB + 300 * MIB), (GIB + 301 * MIB, end - 0x1000)]
    return Machine(
        e820=tuple(E820Entry(start, stop, 1) for start, stop in ram),
        cmdline=cmdline,
        srat=Srat(
            tuple(MemoryAffinity(nid, nid * GIB, GIB, True, hot and nid > 0) for nid in range(nodes)),
            tuple(CpuAffinity(cpu, cpu % nodes) for cpu in range(4)),
        ),
        acpi=Acpi(tables=(AcpiTable("SRAT", GIB - 0x8000, 0x300),)),
        cpus=Cpus(possible=4, present=4),
        kernel=KernelImage("debian-6.12.107+deb12-amd64"),
        initrd=Initrd(700 * MIB, 20 * MIB),
    )
