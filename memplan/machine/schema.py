"""The machine description's fields, in one table: what each is called, may hold and means.

From this table come the validator, the JSON Schema and the order in which a machine is written; defaults are those
of `memplan.machine.model`.
"""

from __future__ import annotations

from functools import cache
from operator import itemgetter
from typing import Any

from pydantic_core import SchemaValidator
from pydantic_core import core_schema as cs

from memplan.klog import entries
from memplan.klog.memory_types import E820_TYPES, EFI_TYPES, e820_type
from memplan.machine import model
from memplan.machine.kinds import (
    ADDRESS,
    FACT,
    SIZE,
    SWITCH,
    Field,
    Kind,
    Section,
    choice,
    count,
    joined,
    leaf,
    list_of,
    of,
    or_line,
    problem,
    quoted,
    read_line,
    read_number,
    text,
    write_fact,
)
from memplan.units import U64_MAX

#: The most CPUs that a kernel of these versions can have (NR_CPUS with MAXSMP).
_MAX_CPUS = 8192
#: Room for the command line (COMMAND_LINE_SIZE) without its final NUL.
MAX_CMDLINE = 2047
_U32 = (1 << 32) - 1

#: Marks the two forms of the SRAT in the place that the validator gives for an error.
SRAT_FORMS = ("<fields>", "<lines>")

_EFI_NUMBERS = {name.lower().replace(" ", ""): number for number, name in enumerate(EFI_TYPES)}

_END_DOC = (
    "The last byte, as the kernel prints it (0xbffdffff). An even number can't be a last byte and is taken for the "
    "first byte behind the range (0xbffe0000, 4G)."
)


def _e820_type(value: str) -> int:
    number = e820_type(value)
    if number is None:
        raise ValueError
    return number


def _efi_type(value: str) -> int:
    number = _EFI_NUMBERS.get(value.lower().replace(" ", "").replace("_", ""))
    number = read_number(value) if number is None else number
    if number > _U32:
        raise ValueError
    return number


def _extent(values: dict[str, Any], first: str, size: str) -> tuple[int, int]:
    """Start and end out of the fields `first` and either `size` or ``end``, which are taken out of `values`."""
    start, end, length = values.pop(first), values.pop("end", None), values.pop(size, None)
    if (end is None) == (length is None):
        raise problem(f"expected either end or {size}, found {'neither' if end is None else 'both'}")
    if end is None:
        return start, start + length
    behind = end + (end & 1)
    if behind <= start:
        raise problem(f"the end {end:#x} does not lie above the start {start:#x}", at="end")
    return start, behind


def _within_64_bits(start: int, end: int, at: str) -> None:
    if end > U64_MAX + 1:
        raise problem(f"from {start:#x} it runs over the end of the 64-bit address space", at=at)


def _e820_entry(values: dict[str, Any]) -> model.E820Entry:
    start, end = _extent(values, "start", "size")
    _within_64_bits(start, end, "size")
    return model.E820Entry(start, end, values.get("type", model.E820_RAM))


def _write_e820(entry: model.E820Entry) -> str:
    name = model.E820_NAMES.get(entry.type, f"type {entry.type}")
    if entry.type == model.E820_RESERVED_KERN or not entry.end:
        return f"{{start: {entry.start:#x}, size: {entry.end - entry.start:#x}, type: {entry.type}}}"
    return f'"[mem {entry.start:#018x}-{entry.end - 1:#018x}] {name}"'


def _memory_affinity(values: dict[str, Any]) -> model.MemoryAffinity:
    base, end = _extent(values, "base", "length")
    return model.MemoryAffinity(base=base, length=end - base, **values)


def _efi_range(values: dict[str, Any]) -> model.EfiRange:
    start, end = _extent(values, "start", "size")
    _within_64_bits(start, end, "size")
    return model.EfiRange(start, end, **values)


def _cpus(values: dict[str, Any]) -> model.Cpus:
    present = values.get("present", values.get("possible", 1))
    possible = values.get("possible", present)
    if present > possible:
        raise problem(f"{present} CPUs are present, but only {possible} possible", at="present")
    return model.Cpus(**{**values, "present": present, "possible": possible})


def _acpi(values: dict[str, Any]) -> model.Acpi:
    slit = values.get("slit", ())
    for row in slit:
        if len(row) != len(slit):
            raise problem(f"a row has {len(row)} distances, there are {len(slit)} rows", at="slit")
    return model.Acpi(**values)


def _srat_of_lines(entries: tuple[model.MemoryAffinity | model.CpuAffinity, ...]) -> model.Srat:
    return model.Srat(
        memory=tuple(entry for entry in entries if isinstance(entry, model.MemoryAffinity)),
        cpus=tuple(entry for entry in entries if isinstance(entry, model.CpuAffinity)),
    )


def _srat_line(value: str) -> model.MemoryAffinity | model.CpuAffinity | None:
    return entries.memory_line(value) or entries.cpu_line(value)


def _pair(doc: str, size_doc: str) -> Kind:
    return of(
        Section(
            None,
            doc,
            Field("address", ADDRESS, "Where it begins.", get=itemgetter(0)),
            Field("length", SIZE, size_doc, get=itemgetter(1)),
            build=lambda values: (values["address"], values["length"]),
        )
    )


_PXM = count(0, _U32)
_APIC_ID = count(0, _U32)
_SIGNATURE = text(4, r"[\x20-\x7e]{4}", "a signature of four characters such as FACP")

_E820_ENTRY = or_line(
    of(
        Section(
            model.E820Entry,
            "A range of the firmware's memory map.",
            Field("start", ADDRESS, "The first byte."),
            Field("end", ADDRESS, _END_DOC),
            Field("size", SIZE, "The size, instead of the end."),
            Field(
                "type",
                leaf(
                    _e820_type,
                    {"anyOf": [{"enum": list(E820_TYPES)}, {"type": ["string", "integer"]}]},
                    "an e820 type: " + ", ".join(list(E820_TYPES)[:8]) + ", or a number",
                    words=tuple(E820_TYPES),
                ),
                "What the range is: the kernel's word, or the type's number (default: usable).",
            ),
            build=_e820_entry,
            required=("start",),
        )
    ),
    entries.e820_line,
    entries.E820_EXPECTED,
    _write_e820,
)

_MEMORY_AFFINITY = or_line(
    of(
        Section(
            model.MemoryAffinity,
            "A memory affinity (sub-table type 1).",
            Field("pxm", _PXM, "The proximity domain."),
            Field("base", ADDRESS, "The first byte."),
            Field("length", SIZE, "The size; 0 is possible, and so is a range without RAM."),
            Field("end", ADDRESS, "Instead of the length. " + _END_DOC, written=False),
            Field("enabled", SWITCH, "Whether the entry counts at all."),
            Field("hotplug", SWITCH, "Whether the memory can be removed or added."),
            Field("nonvolatile", SWITCH, "Whether the memory keeps its content."),
            build=_memory_affinity,
            required=("pxm", "base"),
        )
    ),
    entries.memory_line,
    entries.MEMORY_EXPECTED,
)

_CPU_AFFINITY = or_line(
    of(
        Section(
            model.CpuAffinity,
            "A processor affinity (sub-table type 0, or 2 where x2apic).",
            Field("apic_id", _APIC_ID, "The local APIC id."),
            Field("pxm", _PXM, "The proximity domain."),
            Field("enabled", SWITCH, "Whether the entry counts at all."),
            Field("x2apic", SWITCH, "Whether it is a local x2APIC affinity (type 2)."),
        )
    ),
    entries.cpu_line,
    entries.CPU_EXPECTED,
)

_SRAT_SECTION = of(
    Section(
        model.Srat,
        "The SRAT that the kernel parses (one from the initrd if that overrides the firmware's), in table order; "
        "instead of the fields, the lines that the kernel prints for it.",
        Field("revision", count(1, 255), "The table's revision; with 1, domains have 8 bits."),
        Field("memory", list_of(_MEMORY_AFFINITY, rows=True), "Memory affinities."),
        Field("cpus", list_of(_CPU_AFFINITY, rows=True), "Processor affinities."),
        Field("generic_initiators", list_of(_PXM), "Proximity domains of the enabled generic initiators (type 5)."),
    )
)


def _srat() -> Kind:
    expected = f"{entries.MEMORY_EXPECTED} or {entries.CPU_EXPECTED.removeprefix('a line such as ')}"

    def line(value: Any) -> Any:
        value = joined(value)
        if not isinstance(value, str):
            raise problem(f"expected {expected}")
        return read_line(value, _srat_line, expected) if value.strip() else None

    rows = list_of(Kind(cs.no_info_plain_validator_function(line), {"type": "string"}, expected), rows=True)
    core = cs.tagged_union_schema(
        dict(
            zip(
                SRAT_FORMS,
                (_SRAT_SECTION.core, cs.no_info_after_validator_function(_srat_of_lines, rows.core)),
                strict=True,
            )
        ),
        lambda value: SRAT_FORMS[0 if isinstance(value, dict) else 1],
    )
    json = {"anyOf": [_SRAT_SECTION.json, rows.json]}
    return Kind(core, json, _SRAT_SECTION.expected, section=_SRAT_SECTION.section)


_ACPI = of(
    Section(
        model.Acpi,
        "ACPI as found at boot.",
        Field("rsdp", ADDRESS, "Where the RSDP lies (0: found nowhere)."),
        Field(
            "tables",
            list_of(
                of(
                    Section(
                        model.AcpiTable,
                        "A table where firmware put it.",
                        Field("signature", _SIGNATURE, "The table's signature."),
                        Field("address", ADDRESS, "Where it begins."),
                        Field("length", SIZE, "Its length."),
                    )
                )
            ),
            "The tables in the root table's order, with DSDT and FACS after FACP as the kernel lists them; without "
            "the RSDP and the root table. A table that the initrd overrides stays at firmware's place.",
        ),
        Field(
            "upgrades",
            list_of(
                of(
                    Section(
                        model.TableUpgrade,
                        "A table in the initrd (kernel/firmware/acpi/*.aml).",
                        Field("signature", _SIGNATURE, "The table's signature."),
                        Field("length", SIZE, "Its length."),
                        Field(
                            "replaces", SWITCH, "Whether it overrides a table of the firmware, or else comes on top."
                        ),
                    )
                )
            ),
            "Tables at the head of the initrd that override the firmware's.",
        ),
        Field("slit", list_of(list_of(count(0, 255))), "The SLIT's distances, a row for each proximity domain."),
        Field(
            "cxl_windows",
            list_of(
                of(
                    Section(
                        model.CxlWindow,
                        "A CXL fixed memory window (CFMWS of the CEDT).",
                        Field("base", ADDRESS, "The first byte."),
                        Field("size", SIZE, "The size."),
                    )
                )
            ),
            "CXL windows, which become nodes where no memory affinity covers them.",
        ),
        Field("hpet", SWITCH, "Whether an HPET is found."),
        Field("ioapics", count(0, 128), "How many I/O APICs the MADT names."),
        build=_acpi,
    )
)

_BIOS = of(
    Section(
        model.Bios,
        "What the BIOS data area says, and tables that are found by scanning.",
        Field("lowmem", SIZE, "Size of low memory (the word at 0x413)."),
        Field("ebda", ADDRESS, "Where the extended BIOS data area begins (the word at 0x40E; 0: none)."),
        Field(
            "mp_table",
            of(
                Section(
                    model.MpTable,
                    "The MP table.",
                    Field("pointer", ADDRESS, "Where the floating pointer lies."),
                    Field("table", ADDRESS, "Where the table begins (0: none)."),
                    Field("length", SIZE, "The table's length."),
                )
            ),
            "The MP table, if there is one.",
        ),
        Field("dmi_length", SIZE, "Length of the SMBIOS structures that the kernel copies (0: no SMBIOS)."),
        Field("ibft", _pair("The iSCSI boot firmware table.", "Its length."), "The iBFT, if there is one."),
        Field("legacy_area", SWITCH, "Whether there is a legacy BIOS area below 1 MiB."),
    )
)

_CPUS = of(
    Section(
        model.Cpus,
        "CPUs, and those of their features that change memory. One of possible and present stands for both.",
        Field("possible", count(1, _MAX_CPUS), "CPUs that may ever come (nr_cpu_ids).", always=True),
        Field("present", count(1, _MAX_CPUS), "CPUs at boot.", always=True),
        Field("apic_ids", list_of(_APIC_ID), "Each possible CPU's local APIC id (default: 0, 1, 2 ...)."),
        Field("nodes", list_of(count(0, 1023)), "Each CPU's node where no processor affinity tells it."),
        Field("pse", SWITCH, "2 MiB pages."),
        Field("gbpages", SWITCH, "1 GiB pages."),
        Field("la57", SWITCH, "5-level page tables."),
        Field("hypervisor", SWITCH, "The CPUID bit of that name."),
        Field("intel", SWITCH, "CPUs of Intel's make."),
        Field("sandy_bridge_graphics", SWITCH, "Graphics that can't reach some pages (Sandy Bridge)."),
        Field("xsave_size", SIZE, "Size of the extended state; 3.13 allocates by it."),
        Field("xsave_features", count(0, 64), "Number of the extended state's features."),
        Field("xsaveopt", SWITCH, "Whether extended state is saved lazily."),
        build=_cpus,
    )
)


def _overrides() -> Kind:
    core = cs.dict_schema(cs.str_schema(min_length=1, max_length=200), FACT.core)
    json = {"type": "object", "additionalProperties": FACT.json}

    def write(facts: Any) -> str:
        return "{" + ", ".join(f"{quoted(name)}: {write_fact(value)}" for name, value in facts.items()) + "}"

    return Kind(core, json, "a mapping of facts to values", write, item=FACT)


_KERNEL_SECTION = of(
    Section(
        model.KernelImage,
        "Which kernel boots, and where its image lies.",
        Field(
            "build",
            text(4096, types=("string", "number")),
            "A build by name, such as 6.12 or debian-6.1.0-55-amd64, or the path of a file that describes one.",
            always=True,
        ),
        Field("load_address", ADDRESS, "Physical address of the image (default: where it goes without KASLR)."),
        Field("randomized", SWITCH, "Whether KASLR chose the address."),
        Field("overrides", _overrides(), "Facts of the build that are different here, by their dotted names."),
    )
)


def _kernel() -> Kind:
    def named(value: Any) -> Any:
        return {"build": value} if isinstance(value, str) else value

    core = cs.no_info_before_validator_function(named, _KERNEL_SECTION.core)
    json = {"anyOf": [{"type": ["string", "number"]}, _KERNEL_SECTION.json]}
    return Kind(core, json, "a kernel's name, or " + _KERNEL_SECTION.expected, section=_KERNEL_SECTION.section)


_INITRD = of(
    Section(
        model.Initrd,
        "The initial RAM disk.",
        Field("start", ADDRESS, "Where the boot loader put it."),
        Field("size", SIZE, "Its size."),
    )
)

_SETUP_DATA = of(
    Section(
        model.SetupData,
        "A setup_data node: 16 bytes of header plus its data.",
        Field("address", ADDRESS, "Where it begins."),
        Field("length", SIZE, "Length of its data."),
        Field("type", count(0, _U32), "Its type, as in bootparam.h."),
        Field("target", _pair("What an indirect node points to.", "Its length."), "What an indirect node points to."),
        Field("e820", list_of(_E820_ENTRY, rows=True), "The entries of a node of type 1, which extend the e820 map."),
    )
)

_EFI = of(
    Section(
        model.Efi,
        "What an EFI boot adds.",
        Field("memmap", _pair("The memory map.", "Its size."), "Where the loader put the memory map."),
        Field("descriptor_size", count(40, 4096), "Size of one descriptor."),
        Field(
            "descriptors",
            list_of(
                of(
                    Section(
                        model.EfiRange,
                        "A descriptor of the EFI memory map.",
                        Field("start", ADDRESS, "The first byte."),
                        Field("size", SIZE, "The size.", get=lambda own: own.end - own.start),
                        Field("end", ADDRESS, "Instead of the size. " + _END_DOC, written=False),
                        Field(
                            "type",
                            leaf(
                                _efi_type,
                                {"anyOf": [{"enum": list(EFI_TYPES)}, {"type": ["string", "integer"]}]},
                                "an EFI memory type by the kernel's word (Conventional, Boot Data …) or number",
                                lambda own: EFI_TYPES[own] if own < len(EFI_TYPES) else str(own),
                                words=EFI_TYPES,
                            ),
                            "What it is: the kernel's word or the number.",
                        ),
                        Field("attribute", ADDRESS, "The attribute bits."),
                        build=_efi_range,
                        required=("start", "type"),
                    )
                )
            ),
            "The map's content, in its order.",
        ),
        Field("memattr", _pair("The memory attributes table.", "Its whole length."), "The memory attributes table."),
        Field(
            "reserved",
            list_of(
                of(
                    Section(
                        None,
                        "A further range that EFI's tables make the kernel reserve.",
                        Field("address", ADDRESS, "Where it begins.", get=itemgetter(0)),
                        Field("length", SIZE, "Its length.", get=itemgetter(1)),
                        Field("what", text(200), "What it is for.", get=itemgetter(2)),
                        build=lambda values: (values["address"], values["length"], values["what"]),
                    )
                )
            ),
            "Further reserved ranges, in their order.",
        ),
        Field("secure", SWITCH, "Secure boot."),
    )
)

MACHINE = Section(
    model.Machine,
    "A machine with one kernel and one command line, as memplan replays its boot.",
    Field("name", text(200), "What to call the machine."),
    Field("kernel", _kernel(), "Which kernel boots: its name alone, or with details."),
    Field("cmdline", text(MAX_CMDLINE), "The boot options, as typed."),
    Field("booted", SWITCH, "A kernel has booted with these options: bad values are planned as it takes them."),
    Field(
        "e820",
        list_of(_E820_ENTRY, rows=True),
        "The firmware's memory map: fields, or lines as the kernel prints them.",
    ),
    Field("srat", _srat(), "Which memory and which CPUs belong to which node (none: one node)."),
    Field("acpi", _ACPI, "ACPI tables and where they lie."),
    Field("bios", _BIOS, "BIOS data and tables below 1 MiB."),
    Field("cpus", _CPUS, "CPUs and their features."),
    Field("initrd", _INITRD, "The initial RAM disk (none: no initrd)."),
    Field("setup_data", list_of(_SETUP_DATA), "The boot loader's setup_data list."),
    Field("efi", _EFI, "EFI (none: a BIOS boot)."),
    Field("hypervisor", choice("none", "kvm", "xen", "hyperv", "vmware"), "The hypervisor that the kernel finds."),
    Field("mtrr_limit", ADDRESS, "RAM at or above it is not write-back by the MTRRs and is taken away (0: none)."),
)


@cache
def validator() -> SchemaValidator:
    """The validator of whole descriptions, made once."""
    return SchemaValidator(MACHINE.core())


def machine_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a machine description."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "memplan machine description",
        **MACHINE.json(),
    }
