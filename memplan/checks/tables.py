"""MP101 to MP104 and MP114: the form of ACPI tables, each by itself: length, checksum, revision, how many there are.

The tables are read once (memplan.firmware.acpi_tables), with what is wrong in their form; the rules say what that
means to Linux.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.checks.model import Found, Subject, rule
from memplan.checks.table_form import GROUP, defects, found_at, named_tables, srat_table

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The revision of the SRAT today.
_TODAY = 3
#: Tables of which a machine has one.
_ALONE = frozenset(("SRAT", "SLIT", "APIC", "HMAT", "CEDT", "MSCT", "FACP"))


@rule(
    "MP101",
    "table-length",
    "error",
    group=GROUP,
    checks="A table has as many bytes as its header says, and at least as many as its kind needs.",
    linux="Linux believes the header: of a table that says too much it reads what lies behind, of one that says too "
    "little the rest is lost. It prints nothing about it.",
    mend="Let the header's length be the number of bytes of the table; build it anew with iasl.",
    reference="ACPI 6.5, 5.2.6; acpi_tb_verify_temp_table (drivers/acpi/acpica/tbdata.c)",
    needs=("tables",),
    fwts="ACPITableHdrShort, SLITTooShort, CEDTTooShort",
)
def table_length(subject: Subject) -> Iterator[Found]:
    """Tables longer or shorter than they say."""
    for name, _, defect in defects(subject, "length"):
        yield found_at(name, defect.offset, defect.message)


@rule(
    "MP102",
    "table-checksum",
    "warning",
    group=GROUP,
    checks="All bytes of a table add up to 0 (modulo 256).",
    linux="Linux warns, with both sums, and uses the table all the same.",
    mend="Compute the checksum last, once nothing in the table changes any more.",
    reference="ACPI 6.5, 5.2.6; acpi_ut_verify_checksum (drivers/acpi/acpica/utcksum.c, 6.12)",
    needs=("tables",),
    fwts="ACPITableChecksum",
)
def table_checksum(subject: Subject) -> Iterator[Found]:
    """Tables whose bytes don't add up."""
    for name, table, defect in defects(subject, "checksum"):
        line = f"ACPI BIOS Warning (bug): Incorrect checksum in table [{table.signature}] - {table.data[9]:#04X}"
        yield found_at(name, defect.offset, defect.message, line.replace("0X", "0x"))


@rule(
    "MP103",
    "old-revision",
    "info",
    group=GROUP,
    checks="The SRAT has the revision that ACPI asks for since 4.0, which is 3.",
    linux="Linux reads every revision; of domains in one of revision 1 the low 8 bits count.",
    mend="Nothing needs to be done; new firmware should say 3.",
    reference="ACPI 6.5, 5.2.16; acpi_parse_memory_affinity (drivers/acpi/numa/srat.c)",
    needs=("tables",),
    fwts="ACPITableBadRevision",
)
def old_revision(subject: Subject) -> Iterator[Found]:
    """An SRAT of another revision than today's."""
    table = srat_table(subject)
    if table is not None and table.revision != _TODAY:
        yield found_at("SRAT", 8, f"the revision is {table.revision}, that of ACPI 4.0 and later is {_TODAY}")


@rule(
    "MP104",
    "table-revision",
    "info",
    group=GROUP,
    checks="The field behind the SRAT's header, reserved for compatibility, is 1.",
    linux="Linux does not look at it.",
    mend="Let the four bytes at offset 36 be 1.",
    reference="ACPI 6.5, 5.2.16",
    needs=("tables",),
    fwts="SRATBadFieldValue",
)
def table_revision(subject: Subject) -> Iterator[Found]:
    """An SRAT whose compatibility field is not 1."""
    table = srat_table(subject)
    if table is not None and table.values.get("table_revision", 1) != 1:
        yield found_at("SRAT", 36, f"the reserved field at offset 36 is {table.values['table_revision']}, should be 1")


@rule(
    "MP114",
    "second-table",
    "warning",
    group=GROUP,
    checks="There is one table of a signature, but for those of which ACPI allows several.",
    linux="Linux uses the first one of the root table, and prints nothing about the others.",
    mend="Leave out the further table, or merge it with the first one.",
    reference="ACPI 6.5, 5.2.7; acpi_table_parse (drivers/acpi/tables.c)",
    needs=("tables",),
)
def second_table(subject: Subject) -> Iterator[Found]:
    """A second SRAT, SLIT and so on."""
    for name, table in named_tables(subject):
        if table.signature in _ALONE and name != table.signature:
            yield found_at(name, 0, f"a further {table.signature}; the first one counts")
