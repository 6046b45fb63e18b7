"""The machine: what firmware, the boot loader and the user say.  Facts only; nothing that an allocator decided.

Addresses and sizes are in bytes, ranges half-open ``[start, end)``.  Every class is frozen: a machine is input.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

#: e820 types by the kernel's numbers (arch/x86/include/asm/e820/types.h).
E820_RAM = 1
E820_RESERVED = 2
E820_ACPI = 3
E820_NVS = 4
E820_UNUSABLE = 5
E820_PMEM = 7
E820_PRAM = 12
E820_SOFT_RESERVED = 0xEFFFFFFF
E820_RESERVED_KERN = 128

#: What the kernel prints for each type; a type of another number is printed ``type N`` and treated as reserved.
E820_NAMES: Mapping[int, str] = {
    E820_RAM: "usable",
    E820_RESERVED: "reserved",
    E820_ACPI: "ACPI data",
    E820_NVS: "ACPI NVS",
    E820_UNUSABLE: "unusable",
    E820_PMEM: "persistent (type 7)",
    E820_PRAM: "persistent (type 12)",
    E820_SOFT_RESERVED: "soft reserved",
    E820_RESERVED_KERN: "usable",
}


class E820Entry(NamedTuple):
    """One entry of the firmware's map: ``[start, end)`` of `type` (a number, see the E820_ constants)."""

    start: int
    end: int
    type: int


class MemoryAffinity(NamedTuple):
    """SRAT memory affinity (sub-table type 1); `length` may be 0, `[base, base + length)` may lack RAM."""

    pxm: int
    base: int
    length: int
    enabled: bool = True
    hotplug: bool = False
    nonvolatile: bool = False


class CpuAffinity(NamedTuple):
    """SRAT processor affinity: local APIC (type 0), or x2APIC (type 2) where `x2apic`."""

    apic_id: int
    pxm: int
    enabled: bool = True
    x2apic: bool = False


class Srat(NamedTuple):
    """The SRAT that the kernel parses (an override from the initrd, if there is one), entries in table order.

    `generic_initiators` are the proximity domains of the enabled type 5 entries.
    """

    memory: tuple[MemoryAffinity, ...] = ()
    cpus: tuple[CpuAffinity, ...] = ()
    generic_initiators: tuple[int, ...] = ()
    revision: int = 3


class CxlWindow(NamedTuple):
    """A CFMWS structure of the CEDT: the host physical window ``[base, base + size)``."""

    base: int
    size: int


class AcpiTable(NamedTuple):
    """A table where firmware put it: `length` bytes at `address`; `signature` has four characters."""

    signature: str
    address: int
    length: int


class TableUpgrade(NamedTuple):
    """A table inside the initrd's head (kernel/firmware/acpi/*.aml) of `length` bytes.

    `replaces` is True where the firmware has a table of that signature (and OEM ids) that it overrides; otherwise
    the kernel installs it in addition.
    """

    signature: str
    length: int
    replaces: bool = True


class Acpi(NamedTuple):
    """ACPI as found at boot.

    `tables` are those of the root table in its order, with DSDT and FACS after FACP as the kernel lists them,
    each at firmware's own place even where an upgrade replaces it.  The RSDP and the root table themselves are
    not part of it.  `slit` is the SLIT matrix by proximity domain (rows), () without one.
    """

    tables: tuple[AcpiTable, ...] = ()
    rsdp: int = 0
    upgrades: tuple[TableUpgrade, ...] = ()
    slit: tuple[tuple[int, ...], ...] = ()
    cxl_windows: tuple[CxlWindow, ...] = ()
    hpet: bool = False
    ioapics: int = 1

    def has(self, signature: str) -> bool:
        """Whether firmware or the initrd provides a table of that signature."""
        return signature in {*(t.signature for t in self.tables), *(u.signature for u in self.upgrades)}


class MpTable(NamedTuple):
    """The MP floating pointer (16 bytes at `pointer`) and the table it names (`length` 0: none)."""

    pointer: int
    table: int = 0
    length: int = 0


class Bios(NamedTuple):
    """What the BIOS data area says, and tables found by scanning.

    `lowmem` is the word at 0x413 in bytes (639 KiB: 0x9fc00), `ebda` the word at 0x40E times 16 (0: none).
    `dmi_length` is the length of the SMBIOS structures that the kernel copies into brk (0: no SMBIOS),
    `ibft` the iBFT's (address, length).
    """

    lowmem: int = 0x9FC00
    ebda: int = 0x9FC00
    mp_table: MpTable | None = None
    dmi_length: int = 0x200
    ibft: tuple[int, int] | None = None
    legacy_area: bool = True


class Cpus(NamedTuple):
    """CPUs and those of their features that change memory.

    `possible` counts the CPUs that may ever come (nr_cpu_ids), `present` those at boot. `apic_ids` gives each
    possible CPU's local APIC id in CPU order (empty: 0, 1, 2, …).  `nodes` gives each CPU's node where only a
    log told it (empty: the SRAT's CPU affinities tell).  `xsave_size` is the size of the extended state (3.13
    allocates by it), `xsave_features` its number of features. `hypervisor` is the CPUID bit of that name,
    `intel` tells the vendor (5.10 on maps debug stores for Intel's CPUs alone).
    """

    possible: int = 1
    present: int = 1
    apic_ids: tuple[int, ...] = ()
    nodes: tuple[int, ...] = ()
    pse: bool = True
    gbpages: bool = True
    la57: bool = False
    hypervisor: bool = False
    intel: bool = True
    sandy_bridge_graphics: bool = False
    xsave_size: int = 0
    xsave_features: int = 0
    xsaveopt: bool = True


class KernelImage(NamedTuple):
    """Which kernel boots and where its image lies.

    `build` names a file under configs/kernels (or is a path), `load_address` is the physical address of _text
    (None: where the build says that it goes without KASLR), `randomized` tells whether KASLR chose it, and
    `overrides` replaces facts of the build by their dotted names.
    """

    build: str = "6.12"
    load_address: int | None = None
    randomized: bool = False
    overrides: Mapping[str, int | str | bool] = MappingProxyType({})


class Initrd(NamedTuple):
    """The initial RAM disk as the boot loader placed it: `size` bytes at `start`."""

    start: int
    size: int


class SetupData(NamedTuple):
    """A setup_data node: 16 bytes of header plus `length` at `address`; `type` as in bootparam.h.

    An indirect node also names the `target` (address, length).  Type 1 (E820_EXT) carries `e820` entries.
    """

    address: int
    length: int
    type: int = 0
    target: tuple[int, int] | None = None
    e820: tuple[E820Entry, ...] = ()


class EfiRange(NamedTuple):
    """An EFI memory descriptor: ``[start, end)``, EFI `type` number, `attribute` bits."""

    start: int
    end: int
    type: int
    attribute: int = 0xF


class Efi(NamedTuple):
    """What an EFI boot adds.

    `memmap` is where the loader put the memory map (address, bytes; None when unknown), `descriptor_size` the
    size of one descriptor in it, `descriptors` its content in map order (empty when only the place is known).
    `memattr` is the memory attributes table (address, whole length); `reserved` are the further ranges that
    efi_init and its tables reserve, as (address, length, what for), in their order.
    """

    memmap: tuple[int, int] | None = None
    descriptor_size: int = 48
    descriptors: tuple[EfiRange, ...] = ()
    memattr: tuple[int, int] | None = None
    reserved: tuple[tuple[int, int, str], ...] = ()
    secure: bool = False


HypervisorGuest = Literal["none", "kvm", "xen", "hyperv", "vmware"]


class Machine(NamedTuple):
    """One machine with one kernel and one command line: all that a boot depends on."""

    e820: tuple[E820Entry, ...]
    name: str = ""
    cmdline: str = ""
    srat: Srat | None = None
    acpi: Acpi = Acpi()
    bios: Bios = Bios()
    cpus: Cpus = Cpus()
    kernel: KernelImage = KernelImage()
    initrd: Initrd | None = None
    setup_data: tuple[SetupData, ...] = ()
    efi: Efi | None = None
    hypervisor: HypervisorGuest = "none"
    #: MTRR trimming: RAM at or above this address is not write-back and is taken away (0: all RAM is covered).
    mtrr_limit: int = 0
    #: A kernel has booted with the command line: what it makes of bad values is planned, not refused.
    booted: bool = False
