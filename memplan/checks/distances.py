"""MP30x and MP31x: distances against the SRAT: SLIT, HMAT."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from memplan.checks.model import Found, Subject, rule
from memplan.checks.quotes import lines, node_numbers, quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.firmware.acpi_tables import Entry, RawTable

_SLIT, _HMAT = "SLIT", "HMAT against SRAT"
_LOCAL = 10
#: Wrong distances that are told, row by row.
_MOST = 64
_ATTRIBUTES, _LOCALITY, _CACHE = 0, 1, 2
_DATA_TYPES = 6
_HMAT_REVISIONS = (1, 2)
_INVALID = "acpi/hmat: Ignoring: Invalid table"


# -- SLIT ----------------------------------------------------------------------------------------------------------


def _matrix(subject: Subject) -> tuple[tuple[int, ...], ...]:
    return subject.acpi.slit if subject.acpi is not None else ()


def _refused_line(subject: Subject) -> str:
    line = "ACPI: SLIT table looks invalid. Not used."
    return quote(subject, line, otherwise=line)


def _few(found: list[str]) -> str:
    return ", ".join(found[:8]) + (f" and {len(found) - 8} more" if len(found) > 8 else "")


@rule(
    "MP301",
    "slit-diagonal",
    "error",
    group=_SLIT,
    checks="The distance of a domain to itself is 10.",
    linux="Linux does not use the SLIT: all other domains are 20 away.",
    mend="Let the matrix have 10 on its diagonal.",
    reference="ACPI 6.5, 5.2.17; slit_valid (drivers/acpi/numa/srat.c)",
    needs=(),
    fwts="SLITBadCornerEntry, KlogAcpiSratMemBlkAddFailed",
)
def slit_diagonal(subject: Subject) -> Iterator[Found]:
    """Wrong distances of domains to themselves."""
    wrong = [(index, row[index]) for index, row in enumerate(_matrix(subject)) if row[index] != _LOCAL]
    for index, distance in wrong[:_MOST]:
        text = f"the distance of domain {index} to itself is {distance}, should be {_LOCAL}"
        yield Found(text, f"acpi.slit[{index}]", f"distance {index} {index}", _refused_line(subject))


@rule(
    "MP302",
    "slit-too-near",
    "error",
    group=_SLIT,
    checks="The distance of two domains is over 10; below 10 distances are reserved.",
    linux="Linux does not use the SLIT: all other domains are 20 away.",
    mend="Give the true distance, a number from 11 to 254, or 255 for domains that can't reach each other.",
    reference="ACPI 6.5, 5.2.17; slit_valid (drivers/acpi/numa/srat.c)",
    needs=(),
    fwts="SLITEntryReserved, KlogAcpiSratMemBlkAddFailed",
)
def slit_too_near(subject: Subject) -> Iterator[Found]:
    """Distances of different domains that say they are one, or less."""
    wrong = (
        (row, column, distance)
        for row, distances in enumerate(_matrix(subject))
        for column, distance in enumerate(distances)
        if distance <= _LOCAL and row != column
    )
    for row, column, distance in islice(wrong, _MOST):
        text = f"the distance from domain {row} to domain {column} is {distance}, should be more than {_LOCAL}"
        yield Found(text, f"acpi.slit[{row}]", f"distance {row} {column}", _refused_line(subject))


@rule(
    "MP303",
    "slit-asymmetric",
    "warning",
    group=_SLIT,
    checks="The distance from one domain to another is that of the way back.",
    linux="Linux takes each distance as it stands, and prints nothing about it; the scheduler builds its domains on "
    "the assumption that they are symmetric.",
    mend="Let both distances be the same, unless the hardware is truly like that.",
    reference="ACPI 6.5, 5.2.17; acpi_parse_slit (drivers/acpi/numa/srat.c)",
    needs=(),
)
def slit_asymmetric(subject: Subject) -> Iterator[Found]:
    """Distances that differ by direction, all in one finding."""
    matrix = _matrix(subject)
    wrong = [
        f"{row} to {column} {distance}, back {matrix[column][row]}"
        for row, distances in enumerate(matrix)
        for column, distance in enumerate(distances[:row])
        if distance != matrix[column][row]
    ]
    if wrong:
        yield Found(f"distances differ by direction: {_few(wrong)}", "acpi.slit", "asymmetric", weight=len(wrong))


@rule(
    "MP304",
    "slit-lacks-domain",
    "warning",
    group=_SLIT,
    checks="The SLIT has a row for each of the SRAT's domains, whose number is the row's.",
    linux="Linux takes a domain without a row to be 20 away from all others, and prints nothing about it.",
    mend="Let the number of localities be one more than the highest domain.",
    reference="ACPI 6.5, 5.2.17; acpi_parse_slit (drivers/acpi/numa/srat.c)",
    needs=("srat",),
)
def slit_lacks_domain(subject: Subject) -> Iterator[Found]:
    """Domains of the SRAT that the SLIT does not have."""
    rows = len(_matrix(subject))
    missing = [str(pxm) for pxm in sorted(node_numbers(subject)) if pxm >= rows]
    if rows and missing:
        text = f"the SLIT has {rows} localities, and so no distances of domain {_few(missing)}"
        yield Found(text, "acpi.slit", "localities", weight=len(missing))


@rule(
    "MP305",
    "slit-extra-locality",
    "info",
    group=_SLIT,
    checks="The SLIT has rows for domains of the SRAT alone.",
    linux="Linux skips rows and columns of domains that have no node, and prints nothing about them.",
    mend="Nothing needs to be done; localities of I/O have no entry in the SRAT.",
    reference="ACPI 6.5, 5.2.17; acpi_parse_slit (drivers/acpi/numa/srat.c)",
    needs=("srat",),
)
def slit_extra_locality(subject: Subject) -> Iterator[Found]:
    """Localities that are no domain of the SRAT."""
    domains = node_numbers(subject)
    extra = [str(pxm) for pxm in range(len(_matrix(subject))) if pxm not in domains]
    if extra:
        text = f"the SLIT has distances of domain {_few(extra)}, which the SRAT does not name"
        yield Found(text, "acpi.slit", "extra localities", weight=len(extra))


# -- HMAT ----------------------------------------------------------------------------------------------------------


def _hmat(subject: Subject) -> RawTable | None:
    return next((table for table in subject.tables if table.signature == "HMAT"), None)


def _structures(subject: Subject, number: int) -> Iterator[tuple[RawTable, Entry]]:
    table = _hmat(subject)
    for entry in table.of_type(number) if table is not None else ():
        assert table is not None
        yield table, entry


def _hmat_line(subject: Subject, line: str) -> str:
    """The line, where this kernel reads the HMAT at all: it must know of it, and have taken the SRAT."""
    reads = subject.kernel.config("ACPI_HMAT") and not any(lines(subject, "SRAT not used"))
    return line if reads else ""


def _hmat_found(subject: Subject, entry: Entry, text: str, line: str = "") -> Found:
    where = f"HMAT: the structure at offset {entry.offset:#x}: "
    return Found(where + text, "HMAT", f"HMAT+{entry.offset:#x}", _hmat_line(subject, line), entry.offset)


def _memory_domains(subject: Subject) -> set[int]:
    return {entry.pxm for entry in subject.srat.memory if entry.enabled} if subject.srat is not None else set()


@rule(
    "MP311",
    "hmat-revision",
    "warning",
    group=_HMAT,
    checks="The HMAT's revision is 1 or 2.",
    linux="Linux does not use the HMAT.",
    mend="Let the revision be 2 (ACPI 6.3 and later).",
    reference="ACPI 6.5, 5.2.28; hmat_init (drivers/acpi/numa/hmat.c, 6.12)",
    needs=("tables",),
    fwts="ACPITableBadRevision",
)
def hmat_revision(subject: Subject) -> Iterator[Found]:
    """An HMAT of a revision that Linux does not know."""
    table = _hmat(subject)
    if table is not None and table.revision not in _HMAT_REVISIONS:
        line = _hmat_line(subject, f"acpi/hmat: Ignoring: Unknown revision:{table.revision}")
        text = f"HMAT: the revision is {table.revision}, Linux knows {_HMAT_REVISIONS[0]} and {_HMAT_REVISIONS[1]}"
        yield Found(text, "HMAT", "HMAT revision", line, 8)


@rule(
    "MP312",
    "hmat-memory-domain",
    "warning",
    group=_HMAT,
    checks="Memory domains that the HMAT describes have enabled memory in the SRAT.",
    linux="Linux does not use the HMAT: no node's access class, latency or bandwidth is known.",
    mend="Describe the domain's memory in the SRAT, or leave the domain out of the HMAT.",
    reference="ACPI 6.5, 5.2.28.3; hmat_parse_proximity_domain (drivers/acpi/numa/hmat.c, 6.12)",
    needs=("tables", "srat"),
)
def hmat_memory_domain(subject: Subject) -> Iterator[Found]:
    """Memory domains of the HMAT that the SRAT does not have."""
    known = _memory_domains(subject)
    for table, entry in _structures(subject, _ATTRIBUTES):
        valid = table.revision > 1 or entry["flags"] >> 1 & 1
        if valid and entry["memory_pxm"] not in known:
            text = f"memory domain {entry['memory_pxm']} has no enabled memory in the SRAT"
            yield _hmat_found(subject, entry, text, _INVALID)


@rule(
    "MP313",
    "hmat-initiator-domain",
    "warning",
    group=_HMAT,
    checks="Initiator domains that the HMAT attaches memory to are domains of the SRAT.",
    linux="Linux does not use the HMAT: no node's access class, latency or bandwidth is known.",
    mend="Name a domain of the SRAT, or clear the flag that says the initiator is valid.",
    reference="ACPI 6.5, 5.2.28.3; hmat_parse_proximity_domain (drivers/acpi/numa/hmat.c, 6.12)",
    needs=("tables", "srat"),
)
def hmat_initiator_domain(subject: Subject) -> Iterator[Found]:
    """Initiator domains of the HMAT that the SRAT does not have."""
    nodes, memory = node_numbers(subject), _memory_domains(subject)
    for _, entry in _structures(subject, _ATTRIBUTES):
        if entry.enabled and entry["memory_pxm"] in memory and entry["initiator_pxm"] not in nodes:
            text = f"initiator domain {entry['initiator_pxm']} is not in the SRAT"
            yield _hmat_found(subject, entry, text, _INVALID)


@rule(
    "MP314",
    "hmat-structure-length",
    "warning",
    group=_HMAT,
    checks="The HMAT's structures are as long as their type and their lists ask.",
    linux="Linux does not use the HMAT.",
    mend="Let the structure's length take in its lists.",
    reference="ACPI 6.5, 5.2.28.3 to 5.2.28.5; hmat_parse_subtable (drivers/acpi/numa/hmat.c, 6.12)",
    needs=("tables",),
    fwts="HMATBadStructureLength, HMATBadNumProximityDomain",
)
def hmat_structure_length(subject: Subject) -> Iterator[Found]:
    """Structures of the HMAT that are too short, or of an odd length."""
    table = _hmat(subject)
    for entry in table.entries if table is not None else ():
        if entry.type == _ATTRIBUTES and entry.length != 40:
            need, line = 40, f"Unexpected address range header length: {entry.length}"
        elif entry.type == _LOCALITY and entry.length < 32:
            need, line = 32, f"Unexpected locality header length: {entry.length}"
        elif entry.type == _LOCALITY and entry.values and entry.length < _locality_size(entry):
            need = _locality_size(entry)
            line = f"Unexpected locality header length:{entry.length}, minimum required:{need}"
        elif entry.type == _CACHE and entry.length < 32:
            need, line = 32, f"Unexpected cache header length: {entry.length}"
        else:
            continue
        yield _hmat_found(subject, entry, f"it has {entry.length} bytes, needs {need}", f"acpi/hmat: {line}")


def _locality_size(entry: Entry) -> int:
    initiators, targets = entry["initiators"], entry["targets"]
    return 32 + 4 * (initiators + targets) + 2 * initiators * targets


@rule(
    "MP315",
    "hmat-data-type",
    "warning",
    group=_HMAT,
    checks="The type of data of a latency and bandwidth structure is one of the six that are defined.",
    linux="Linux prints the structure as it reads it, and makes nothing of its values.",
    mend="Use a type from 0 to 5.",
    reference="ACPI 6.5, 5.2.28.4; hmat_parse_locality (drivers/acpi/numa/hmat.c, 6.12)",
    needs=("tables",),
    fwts="HMATBadFDataType",
)
def hmat_data_type(subject: Subject) -> Iterator[Found]:
    """Types of data that nobody defined."""
    for _, entry in _structures(subject, _LOCALITY):
        if entry["data_type"] >= _DATA_TYPES:
            yield _hmat_found(subject, entry, f"the type of data {entry['data_type']} is reserved")


@rule(
    "MP316",
    "hmat-base-unit",
    "warning",
    group=_HMAT,
    checks="The base unit of a latency and bandwidth structure is not 0.",
    linux="Linux multiplies values by the base unit: all of them are 0, and so unknown.",
    mend="Give the unit in picoseconds or in MB/s.",
    reference="ACPI 6.5, 5.2.28.4; hmat_normalize (drivers/acpi/numa/hmat.c, 6.12)",
    needs=("tables",),
    fwts="HMATBadBaseUnit",
)
def hmat_base_unit(subject: Subject) -> Iterator[Found]:
    """Structures whose values all come to nothing."""
    for _, entry in _structures(subject, _LOCALITY):
        if not entry["base_unit"] and any(entry.items):
            yield _hmat_found(subject, entry, "the base unit is 0")


@rule(
    "MP317",
    "hmat-unknown-locality",
    "info",
    group=_HMAT,
    checks="The domains of a latency and bandwidth structure are domains of the SRAT, its targets such with memory.",
    linux="Linux skips the values of domains that it does not know.",
    mend="Leave out domains that the SRAT does not have, or add them there.",
    reference="ACPI 6.5, 5.2.28.4; hmat_parse_locality (drivers/acpi/numa/hmat.c, 6.12)",
    needs=("tables", "srat"),
)
def hmat_unknown_locality(subject: Subject) -> Iterator[Found]:
    """Domains in the HMAT's matrices that the SRAT does not have."""
    nodes, memory = node_numbers(subject), _memory_domains(subject)
    for table, entry in _structures(subject, _LOCALITY):
        if not entry.items:
            continue
        count = entry["initiators"]
        lists = entry.offset + 32
        domains = [
            int.from_bytes(table.data[at : at + 4], "little")
            for at in range(lists, lists + 4 * (count + entry["targets"]), 4)
        ]
        unknown = [f"initiator {pxm}" for pxm in domains[:count] if pxm not in nodes]
        unknown += [f"target {pxm}" for pxm in domains[count:] if pxm not in memory]
        if unknown:
            yield _hmat_found(subject, entry, f"{_few(unknown)} is not in the SRAT")
