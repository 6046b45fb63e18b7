"""MP105 to MP113, MP115, MP116: the structures in ACPI tables: lengths, types, reserved bits, the walk over them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.checks.model import Found, Subject, rule
from memplan.checks.quotes import node_numbers, quote, wording
from memplan.checks.table_form import GROUP, defects, found_at, named_tables, srat_table
from memplan.units import mem_range

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.firmware.acpi_tables import Defect, DefectKind, Entry, RawTable

_CPU, _MEMORY, _X2APIC, _INITIATOR = 0, 1, 2, 5
#: The revision of the SRAT since which domains have 32 bits.
_WIDE_DOMAINS = 2
#: The ACPI level that brought each type of SRAT entry, and bits of flags: (type, bit) -> first level with a meaning.
_ENTRY_LEVELS = {_X2APIC: (4, 0), 3: (5, 1), 4: (6, 2), _INITIATOR: (6, 3), 6: (6, 4), 7: (6, 6)}
_FLAG_LEVELS = {(_MEMORY, 3): (6, 6), (_INITIATOR, 1): (6, 4)}
#: Where the FADT has its minor version.
_FADT_MINOR = 131


def _once_a_table(subject: Subject, kind: DefectKind) -> Iterator[Found]:
    """The first such defect of each table, with the number of all: form that nobody minds may be wrong throughout."""
    for name, table in named_tables(subject):
        own = [defect for defect in table.defects if defect.kind == kind]
        if own:
            more = f" (and {len(own) - 1} more such)" if len(own) > 1 else ""
            yield Found(f"{name}: {own[0].message}{more}", name, f"{name} {kind}", "", own[0].offset, len(own))


def _entry_at(table: RawTable, offset: int) -> Entry | None:
    return next((entry for entry in table.entries if entry.offset == offset), None)


@rule(
    "MP105",
    "reserved-bits",
    "warning",
    group=GROUP,
    checks="Bits of flags are zero that have no meaning at the ACPI level that the firmware declares (that of its "
    "FADT; without one, bits count that have a meaning at no level).",
    linux="Linux does not look at bits that it does not know; a later kernel may, and will take them at their word.",
    mend="Clear the bits, or let the FADT declare the level that gives them a meaning.",
    reference="ACPI 6.5, 5.2.16.1 to 5.2.16.7, 5.2.12, 5.2.28",
    needs=("tables",),
    fwts="SRATReservedBitsNonZero, HMATReservedBitsNonZero, CEDTReservedBitsNonZero",
)
def reserved_bits(subject: Subject) -> Iterator[Found]:
    """Flags with bits that mean nothing."""
    yield from _once_a_table(subject, "reserved-bits")
    table, level = srat_table(subject), _level(subject)
    if table is None or level is None:
        return
    for entry in table.entries:
        for (number, bit), first in _FLAG_LEVELS.items():
            if entry.type == number and entry.values.get("flags", 0) >> bit & 1 and level < first:
                text = f"{_entry(entry)}: bit {bit} of the flags is reserved before ACPI {_dotted(first)}"
                yield found_at("SRAT", entry.offset, f"{text}; the FADT declares {_dotted(level)}")


@rule(
    "MP106",
    "reserved-field",
    "info",
    group=GROUP,
    checks="Reserved fields are zero.",
    linux="Linux does not look at them.",
    mend="Clear the table's memory before it is filled.",
    reference="ACPI 6.5, 5.2.16 (SRAT), 5.2.12 (MADT), 5.2.28 (HMAT); CXL 3.0, 9.17.1 (CEDT)",
    needs=("tables",),
    fwts="SRATReservedNonZero, SRATLocalx2apicReserved1, HMATReservedNonZero, CEDTReservedNonZero",
)
def reserved_field(subject: Subject) -> Iterator[Found]:
    """Reserved fields that hold something."""
    yield from _once_a_table(subject, "reserved-field")


@rule(
    "MP107",
    "walk-overrun",
    "error",
    group=GROUP,
    checks="No structure reaches beyond the end of its table, and the walk finds no more than 65536 of them.",
    linux="Linux compares only the structure's head with the table's end: it reads the rest of the structure from "
    "whatever lies behind the table, and prints nothing about it.",
    mend="Let the table's length take in its last structure, or correct that structure's length.",
    reference="ACPI 6.5, 5.2.16; acpi_parse_entries_array (lib/fw_table.c, 6.12)",
    needs=("tables",),
    fwts="SRATMemoryAffinityShort, SRATLocalApicSapicAffinityShort, SRATLocalx2apicAffinityShort, "
    "SRATInitiatorAffinityShort, SLITTooManySystemLocalities, HMATBadTableLength, CEDTBadTableLength, "
    "MSCTBadProximityOffset",
)
def walk_overrun(subject: Subject) -> Iterator[Found]:
    """Structures that are not whole, but for stray bytes at the end."""
    for name, table, defect in defects(subject, "overrun", "too-many-entries"):
        if defect.kind != "overrun" or not _is_stray(table, defect):
            yield found_at(name, defect.offset, defect.message)


@rule(
    "MP108",
    "stray-bytes",
    "warning",
    group=GROUP,
    checks="Behind the last structure nothing is left, be it too short for a structure's head.",
    linux="Linux stops in front of bytes that can't be a structure's head, and prints nothing about them.",
    mend="Let the table end with its last structure.",
    reference="ACPI 6.5, 5.2.16; acpi_parse_entries_array (lib/fw_table.c, 6.12)",
    needs=("tables",),
    fwts="HMATBadTableLength, CEDTBadTableLength",
)
def stray_bytes(subject: Subject) -> Iterator[Found]:
    """Bytes behind the last structure."""
    for name, table, defect in defects(subject, "overrun"):
        if _is_stray(table, defect):
            yield found_at(name, defect.offset, defect.message)


@rule(
    "MP109",
    "zero-length-structure",
    "error",
    group=GROUP,
    checks="Each structure is at least as long as its head, so that the one behind it can be found.",
    linux="Linux ends the walk and drops the table's word: after such an SRAT the machine has one node. (A length of 1 "
    "is believed, and the walk goes on in the middle of the structure.)",
    mend="Let each structure's length be its size, or the table end before it.",
    reference="ACPI 6.5, 5.2.16; acpi_parse_entries_array (lib/fw_table.c, 6.12)",
    needs=("tables",),
    fwts="SRATBadStructureLength, HMATStructLengthZero, CEDTStructLengthZero, KlogAcpiMadtZeroLengthSubTable",
)
def zero_length_structure(subject: Subject) -> Iterator[Found]:
    """Structures behind which nothing can be found."""
    for name, table, defect in defects(subject, "zero-length-subtable"):
        says = name == "SRAT" and table.data[defect.offset + 1] == 0
        yield found_at(name, defect.offset, defect.message, "[SRAT:0x01] Invalid zero length" if says else "")


@rule(
    "MP110",
    "affinity-length",
    "error",
    group=GROUP,
    checks="Processor affinities of the SRAT have 16 bytes, memory affinities at least 40, x2APIC affinities "
    "at least 24.",
    linux="Linux drops the whole SRAT: the machine has one node.",
    mend="Let the structure's length be that of its type.",
    reference="ACPI 6.5, 5.2.16.1 to 5.2.16.3; acpi_parse_memory_affinity (drivers/acpi/numa/srat.c), "
    "acpi_numa_processor_affinity_init (arch/x86/mm/srat.c)",
    needs=("tables",),
    fwts="SRATBadStructureLength, KlogAcpiSratBadHeaderLength, KlogAcpiSratNotUsed",
)
def affinity_length(subject: Subject) -> Iterator[Found]:
    """Affinities because of which Linux drops the SRAT."""
    prefix = wording(subject).srat
    for name, table, defect in defects(subject, "subtable-length"):
        entry = _entry_at(table, defect.offset)
        if entry is not None and _refused(name, entry):
            yield found_at(name, defect.offset, defect.message, f"{prefix}SRAT: SRAT not used.")


@rule(
    "MP111",
    "structure-length",
    "warning",
    group=GROUP,
    checks="Each structure has the length of its type (MP110 has those that Linux refuses an SRAT for, "
    "MP314 the HMAT's).",
    linux="Linux goes on behind the structure by its length, whatever its type; one that is too short may be read past "
    "its end, or left out.",
    mend="Let the structure's length be that of its type.",
    reference="ACPI 6.5, 5.2.16 (SRAT), 5.2.12 (MADT), 5.2.28 (HMAT); CXL 3.0, 9.17.1 (CEDT)",
    needs=("tables",),
    fwts="SRATBadStructureLength, HMATBadStructureLength, CEDTBadStructureLength",
)
def structure_length(subject: Subject) -> Iterator[Found]:
    """Structures of an odd length that Linux lives with."""
    for name, table, defect in defects(subject, "subtable-length"):
        entry = _entry_at(table, defect.offset)
        if table.signature != "HMAT" and (entry is None or not _refused(name, entry)):
            yield found_at(name, defect.offset, defect.message)


@rule(
    "MP112",
    "unknown-type",
    "info",
    group=GROUP,
    checks="Each structure is of a type that ACPI defines.",
    linux="Linux skips structures of types that it does not know, and prints nothing about them.",
    mend="Use the types of the ACPI level that the firmware declares.",
    reference="ACPI 6.5, 5.2.16; acpi_parse_entries_array (lib/fw_table.c, 6.12)",
    needs=("tables",),
    fwts="SRATInvalidType, HMATBadSubTableType, CEDTBadSubtableType",
)
def unknown_type(subject: Subject) -> Iterator[Found]:
    """Structures that nobody knows."""
    yield from _once_a_table(subject, "unknown-type")


@rule(
    "MP113",
    "type-before-its-level",
    "info",
    group=GROUP,
    checks="The SRAT has only types of structures that exist at the ACPI level that the firmware declares in its FADT.",
    linux="Linux does not look at the FADT's level for that: it reads what it knows.",
    mend="Let the FADT declare the level by which the tables are made.",
    reference="ACPI 6.5, 5.2.16 and 5.2.9 (FADT Minor Version)",
    needs=("tables",),
)
def type_before_its_level(subject: Subject) -> Iterator[Found]:
    """Structures newer than the firmware's level."""
    table, level = srat_table(subject), _level(subject)
    if table is None or level is None:
        return
    told: set[int] = set()
    for entry in table.entries:
        first = _ENTRY_LEVELS.get(entry.type, (0, 0))
        if level < first and entry.type not in told:
            told.add(entry.type)
            text = f"{_entry(entry)} exists since ACPI {_dotted(first)}; the FADT declares {_dotted(level)}"
            yield Found(f"SRAT: {text}", "SRAT", f"SRAT type {entry.type}", "", entry.offset)


@rule(
    "MP115",
    "narrow-domains",
    "warning",
    group=GROUP,
    checks="In an SRAT of revision 1, where domains have 8 bits, the bytes that hold the rest since revision 2 "
    "are zero.",
    linux="Linux takes the low 8 bits alone, so that two domains may become one node.",
    mend="Let the revision be 2 or more (3 since ACPI 4.0), or number domains below 256.",
    reference="ACPI 6.5, 5.2.16.2; acpi_parse_memory_affinity (drivers/acpi/numa/srat.c), acpi_srat_revision",
    needs=("tables",),
)
def narrow_domains(subject: Subject) -> Iterator[Found]:
    """Domains of which Linux takes a part."""
    table = srat_table(subject)
    if table is None or table.revision >= _WIDE_DOMAINS:
        return
    for entry in table.of_type(_CPU, _MEMORY):
        pxm = entry["pxm"] if entry.type == _MEMORY else entry["pxm_low"] | entry["pxm_high"] << 8
        if pxm > 0xFF and entry.enabled:
            text = f"{_entry(entry)}: domain {pxm:#x} counts as {pxm & 0xFF} in a table of revision {table.revision}"
            yield found_at("SRAT", entry.offset, text, _memory_line(subject, entry) if entry.type == _MEMORY else "")


@rule(
    "MP116",
    "disabled-initiator",
    "warning",
    group=GROUP,
    checks="No Generic Initiator Affinity of the SRAT is disabled in front of processor affinities.",
    linux="Linux (since 5.7) takes a disabled one for an error, and reads "
    "no processor affinity behind it: those CPUs are given to nodes in turn. Memory is read all the same.",
    mend="Leave out initiators that are disabled, or put them behind all other structures.",
    reference="ACPI 6.5, 5.2.16.6; acpi_parse_gi_affinity (drivers/acpi/numa/srat.c)",
    needs=("tables",),
)
def disabled_initiator(subject: Subject) -> Iterator[Found]:
    """A disabled initiator that costs CPUs their nodes."""
    table = srat_table(subject)
    off = next((own for own in table.of_type(_INITIATOR) if not own.enabled), None) if table is not None else None
    if table is None or off is None or not subject.kernel.rules.srat_generic_initiators:
        return
    lost = [own for own in table.of_type(_CPU, _X2APIC) if own.offset > off.offset and own.enabled]
    if lost:
        text = f"{_entry(off)} is disabled; Linux does not read {len(lost)} processor affinities behind it"
        yield found_at("SRAT", off.offset, text)


def _is_stray(table: RawTable, defect: Defect) -> bool:
    """Whether an overrun is that of bytes that can't be a structure's head, none of whose fields is lost."""
    return bool(table.entries) and defect.offset >= table.entries[-1].offset + table.entries[-1].length


def _refused(name: str, entry: Entry) -> bool:
    """Whether Linux drops an SRAT for the length of this structure."""
    if name != "SRAT":
        return False
    if entry.type == _CPU:
        return entry.length != 16
    return entry.length < {_MEMORY: 40, _X2APIC: 24}.get(entry.type, 0)


def _level(subject: Subject) -> tuple[int, int] | None:
    """The ACPI level that the FADT declares; None without one."""
    fadt = next((table for table in subject.tables if table.signature == "FACP"), None)
    if fadt is None:
        return None
    return fadt.revision, fadt.data[_FADT_MINOR] & 0xF if len(fadt.data) > _FADT_MINOR else 0


def _memory_line(subject: Subject, entry: Entry) -> str:
    """The line about a memory affinity of a table with narrow domains."""
    pxm = entry["pxm"] & 0xFF
    text = f"PXM {pxm} {mem_range(entry['base'], entry['base'] + entry['size'])}"
    node = node_numbers(subject).get(pxm, 0)
    return quote(subject, text, otherwise=f"{wording(subject).srat}SRAT: Node {node} {text}")


def _dotted(level: tuple[int, int]) -> str:
    return f"{level[0]}.{level[1]}"


def _entry(entry: Entry) -> str:
    return f"the entry at offset {entry.offset:#x} ({entry.name or f'type {entry.type:#x}'})"
