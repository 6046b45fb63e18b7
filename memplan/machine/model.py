"""The machine: what firmware, the boot loader and the user say.  Facts only; nothing that an allocator decided.

Addresses and sizes are in bytes, ranges half-open ``[start, end)``.  Every class is frozen: a machine is input.
Each field says beside its type what it may hold and what it means; documents are read, checked and written by that.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple, TypeAlias

from memplan.machine.fields import Count, FrozenMap, Text, Type, Unit
from memplan.machine.places import Places

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


#: The most CPUs that a kernel of these versions can have (NR_CPUS with MAXSMP).
MAX_CPUS = 8192
#: Room for the command line (COMMAND_LINE_SIZE) without its final NUL.
MAX_CMDLINE = 2047
_U32 = Count(0, (1 << 32) - 1)

Address: TypeAlias = Annotated[int, Unit.ADDRESS]
Size: TypeAlias = Annotated[int, Unit.SIZE]
Number: TypeAlias = Annotated[int, _U32]
Signature: TypeAlias = Annotated[str, Text(4, r"[\x20-\x7e]{4}", "a signature of four characters such as FACP")]


class E820Entry(NamedTuple):
    """A range of the firmware's memory map."""

    start: Annotated[Address, "The first byte."]
    end: Annotated[Address, "The first byte behind the range."]
    type: Annotated[int, Type.E820, "What the range is: the kernel's word, or the type's number."] = E820_RAM


class MemoryAffinity(NamedTuple):
    """A memory affinity (sub-table type 1)."""

    pxm: Annotated[Number, "The proximity domain."]
    base: Annotated[Address, "The first byte."]
    length: Annotated[Size, "The size; 0 is possible, and so is a range without RAM."]
    enabled: Annotated[bool, "Whether the entry counts at all."] = True
    hotplug: Annotated[bool, "Whether the memory can be removed or added."] = False
    nonvolatile: Annotated[bool, "Whether the memory keeps its content."] = False


class CpuAffinity(NamedTuple):
    """A processor affinity (sub-table type 0, or 2 where x2apic)."""

    apic_id: Annotated[Number, "The local APIC id."]
    pxm: Annotated[Number, "The proximity domain."]
    enabled: Annotated[bool, "Whether the entry counts at all."] = True
    x2apic: Annotated[bool, "Whether it is a local x2APIC affinity (type 2)."] = False


class Srat(NamedTuple):
    """The SRAT that the kernel parses (one from the initrd if that overrides the firmware's), in table order."""

    memory: Annotated[tuple[MemoryAffinity, ...], "Memory affinities."] = ()
    cpus: Annotated[tuple[CpuAffinity, ...], "Processor affinities."] = ()
    generic_initiators: Annotated[
        tuple[Number, ...], "Proximity domains of the enabled generic initiators (type 5)."
    ] = ()
    revision: Annotated[int, Count(1, 255), "The table's revision; with 1, domains have 8 bits."] = 3


class CxlWindow(NamedTuple):
    """A CXL fixed memory window (CFMWS of the CEDT)."""

    base: Annotated[Address, "The first byte."]
    size: Annotated[Size, "The size."]


class AcpiTable(NamedTuple):
    """A table where firmware put it."""

    signature: Annotated[Signature, "The table's signature."]
    address: Annotated[Address, "Where it begins."]
    length: Annotated[Size, "Its length."]


class TableUpgrade(NamedTuple):
    """A table in the initrd (kernel/firmware/acpi/*.aml)."""

    signature: Annotated[Signature, "The table's signature."]
    length: Annotated[Size, "Its length."]
    replaces: Annotated[
        bool, "Whether it overrides a table of the firmware (of that signature and OEM ids), or else comes on top."
    ] = True


class Acpi(NamedTuple):
    """ACPI as found at boot."""

    tables: Annotated[
        tuple[AcpiTable, ...],
        "The tables in the root table's order, with DSDT and FACS after FACP as the kernel lists them; without the "
        "RSDP and the root table. A table that the initrd overrides stays at firmware's place.",
    ] = ()
    rsdp: Annotated[Address, "Where the RSDP lies (0: found nowhere)."] = 0
    upgrades: Annotated[tuple[TableUpgrade, ...], "Tables at the head of the initrd that override the firmware's."] = ()
    slit: Annotated[
        tuple[tuple[Annotated[int, Count(0, 255)], ...], ...],
        "The SLIT's distances, a row for each proximity domain.",
    ] = ()
    cxl_windows: Annotated[
        tuple[CxlWindow, ...], "CXL windows, which become nodes where no memory affinity covers them."
    ] = ()
    hpet: Annotated[bool, "Whether an HPET is found."] = False
    ioapics: Annotated[int, Count(0, 128), "How many I/O APICs the MADT names."] = 1

    def has(self, signature: str) -> bool:
        """Whether firmware or the initrd provides a table of that signature."""
        return signature in {*(t.signature for t in self.tables), *(u.signature for u in self.upgrades)}


class MpTable(NamedTuple):
    """The MP table."""

    pointer: Annotated[Address, "Where the floating pointer (16 bytes) lies."]
    table: Annotated[Address, "Where the table begins (0: none)."] = 0
    length: Annotated[Size, "The table's length."] = 0


class Extent(NamedTuple):
    """A piece of memory."""

    address: Annotated[Address, "Where it begins."]
    length: Annotated[Size, "Its length."]


class Bios(NamedTuple):
    """What the BIOS data area says, and tables that are found by scanning."""

    lowmem: Annotated[Size, "Size of low memory (the word at 0x413)."] = 0x9FC00
    ebda: Annotated[Address, "Where the extended BIOS data area begins (the word at 0x40E; 0: none)."] = 0x9FC00
    mp_table: Annotated[MpTable | None, "The MP table, if there is one."] = None
    dmi_length: Annotated[Size, "Length of the SMBIOS structures that the kernel copies to brk (0: no SMBIOS)."] = 0x200
    ibft: Annotated[Extent | None, "The iSCSI boot firmware table (iBFT), if there is one."] = None
    legacy_area: Annotated[bool, "Whether there is a legacy BIOS area below 1 MiB."] = True


class Cpus(NamedTuple):
    """CPUs, and those of their features that change memory. One of possible and present stands for both."""

    possible: Annotated[int, Count(1, MAX_CPUS), "CPUs that may ever come (nr_cpu_ids)."] = 1
    present: Annotated[int, Count(1, MAX_CPUS), "CPUs at boot."] = 1
    apic_ids: Annotated[tuple[Number, ...], "Each possible CPU's local APIC id in CPU order (none: 0, 1, 2 ...)."] = ()
    nodes: Annotated[
        tuple[Annotated[int, Count(0, 1023)], ...], "Each CPU's node where no processor affinity tells it."
    ] = ()
    pse: Annotated[bool, "2 MiB pages."] = True
    gbpages: Annotated[bool, "1 GiB pages."] = True
    la57: Annotated[bool, "5-level page tables."] = False
    hypervisor: Annotated[bool, "The CPUID bit of that name."] = False
    intel: Annotated[bool, "CPUs of Intel's make (5.10 on maps debug stores for them alone)."] = True
    sandy_bridge_graphics: Annotated[bool, "Graphics that can't reach some pages (Sandy Bridge)."] = False
    xsave_size: Annotated[Size, "Size of the extended state; 3.13 allocates by it."] = 0
    xsave_features: Annotated[int, Count(0, 64), "Number of the extended state's features."] = 0
    xsaveopt: Annotated[bool, "Whether extended state is saved lazily."] = True


class KernelImage(NamedTuple):
    """Which kernel boots, and where its image lies."""

    build: Annotated[
        str,
        Text(4096),
        "A build by name, such as 6.12 or debian-6.1.0-55-amd64, or the path of a file that describes one.",
    ] = "6.12"
    load_address: Annotated[
        Address | None, "Physical address of the image, _text (none: where it goes without KASLR)."
    ] = None
    randomized: Annotated[bool, "Whether KASLR chose the address."] = False
    overrides: Annotated[
        Mapping[str, int | str | bool], "Facts of the build that are different here, by their dotted names."
    ] = FrozenMap()


class Initrd(NamedTuple):
    """The initial RAM disk."""

    start: Annotated[Address, "Where the boot loader put it."]
    size: Annotated[Size, "Its size."]


class SetupData(NamedTuple):
    """A setup_data node: 16 bytes of header plus its data."""

    address: Annotated[Address, "Where it begins."]
    length: Annotated[Size, "Length of its data."]
    type: Annotated[Number, "Its type, as in bootparam.h."] = 0
    target: Annotated[Extent | None, "What an indirect node points to."] = None
    e820: Annotated[tuple[E820Entry, ...], "The entries of a node of type 1, which extend the e820 map."] = ()


class EfiRange(NamedTuple):
    """A descriptor of the EFI memory map."""

    start: Annotated[Address, "The first byte."]
    end: Annotated[Address, "The first byte behind the range."]
    type: Annotated[int, Type.EFI, "What it is: the kernel's word or the number."]
    attribute: Annotated[Address, "The attribute bits."] = 0xF


class EfiReserved(NamedTuple):
    """A further range that EFI's tables make the kernel reserve."""

    address: Annotated[Address, "Where it begins."]
    length: Annotated[Size, "Its length."]
    what: Annotated[str, Text(200), "What it is for."]


class Efi(NamedTuple):
    """What an EFI boot adds."""

    memmap: Annotated[Extent | None, "Where the loader put the memory map (none: unknown)."] = None
    descriptor_size: Annotated[int, Count(40, 4096), "Size of one descriptor in it."] = 48
    descriptors: Annotated[
        tuple[EfiRange, ...], "The map's content, in its order (none: only its place is known)."
    ] = ()
    memattr: Annotated[Extent | None, "The memory attributes table, header and all."] = None
    reserved: Annotated[
        tuple[EfiReserved, ...], "Further ranges that efi_init and EFI's tables reserve, in their order."
    ] = ()
    secure: Annotated[bool, "Secure boot."] = False


HypervisorGuest = Literal["none", "kvm", "xen", "xen-pv", "hyperv", "vmware"]
Encryption = Literal["none", "sme", "sev", "sev-es", "sev-snp", "tdx"]


class Machine(NamedTuple):
    """A machine with one kernel and one command line, as memplan replays its boot."""

    e820: Annotated[tuple[E820Entry, ...], "The firmware's memory map: fields, or lines as the kernel prints them."]
    name: Annotated[str, Text(200), "What to call the machine."] = ""
    kernel: Annotated[KernelImage, "Which kernel boots: its name alone, or with details."] = KernelImage()
    cmdline: Annotated[str, Text(MAX_CMDLINE), "The boot options, as typed."] = ""
    booted: Annotated[
        bool, "A kernel has booted with these options: bad values are planned as it takes them, not refused."
    ] = False
    srat: Annotated[
        Srat | None, "Which memory and which CPUs belong to which node: fields, or lines (none: one node)."
    ] = None
    acpi: Annotated[Acpi, "ACPI tables and where they lie."] = Acpi()
    bios: Annotated[Bios, "BIOS data and tables below 1 MiB."] = Bios()
    cpus: Annotated[Cpus, "CPUs and their features."] = Cpus()
    initrd: Annotated[Initrd | None, "The initial RAM disk (none: no initrd)."] = None
    setup_data: Annotated[tuple[SetupData, ...], "The boot loader's setup_data list."] = ()
    efi: Annotated[Efi | None, "EFI (none: a BIOS boot)."] = None
    hypervisor: Annotated[
        HypervisorGuest,
        "The hypervisor that the kernel finds (xen: HVM or PVH; xen-pv: a paravirtual domain).",
    ] = "none"
    encryption: Annotated[Encryption, "The encryption of memory that is active."] = "none"
    mtrr_limit: Annotated[Address, "RAM at or above it is not write-back by the MTRRs and is taken away (0: none)."] = 0
    #: Where all this stands; no part of what the machine is.
    places: Places = Places()

    def replace(self, changes: Mapping[str, object]) -> "Machine":
        """The machine with `changes`, values by their fields' paths (``{"srat.memory[2].hotplug": True}``).

        A value is a number in bytes, text, a part of the model, or None to take the field away.  Raises InputError
        where there can't be such a machine.
        """
        from memplan.machine.assignment import Assignment
        from memplan.machine.load import changed

        return changed(self, [Assignment.of(path, value) for path, value in changes.items()])

    def with_options(self, *words: str) -> "Machine":
        """The machine with more boot options behind its own; InputError for values that no kernel takes."""
        return self.replace({"cmdline": " ".join(filter(None, (self.cmdline, *words)))})

    def with_initrd(self, start: int, size: int) -> "Machine":
        """The machine with an initrd of `size` bytes at `start`; InputError where none can be."""
        return self.replace({"initrd": Initrd(start, size)})
