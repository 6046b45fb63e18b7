"""MP3xx: distances and CXL windows against the SRAT: SLIT, HMAT, CEDT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.checks.model import Found, Subject, rule
from memplan.checks.quotes import lines, node_numbers, quote
from memplan.units import MIB, U64_MAX, mem_range, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.firmware.acpi_tables import Entry, Table
    from memplan.machine.model import CxlWindow

_SLIT, _HMAT, _CXL = "SLIT", "HMAT against SRAT", "CEDT against SRAT"
_LOCAL = 10
#: Wrong distances that are told, row by row.
_MOST = 64
_WINDOW_ALIGN = 256 * MIB
#: Domains that the map from domain to node has room for, where nodes are fewer (MAX_PXM_DOMAINS).
_LEAST_DOMAINS = 256
#: CXL's codes for the number of ways that a window is interleaved.
_WAYS = frozenset((*range(5), *range(8, 11)))
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
    wrong = [
        (row, column, distance)
        for row, distances in enumerate(_matrix(subject))
        for column, distance in enumerate(distances)
        if row != column and distance <= _LOCAL
    ]
    for row, column, distance in wrong[:_MOST]:
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


def _hmat(subject: Subject) -> Table | None:
    return next((table for table in subject.tables if table.signature == "HMAT"), None)


def _structures(subject: Subject, number: int) -> Iterator[tuple[Table, Entry]]:
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


# -- CEDT ----------------------------------------------------------------------------------------------------------


def _windows(subject: Subject) -> tuple[CxlWindow, ...]:
    return subject.acpi.cxl_windows if subject.acpi is not None else ()


def _path(index: int) -> str:
    return f"acpi.cxl_windows[{index}]"


def _window(window: CxlWindow) -> str:
    return f"the window {mem_range(window.base, window.base + window.size)}"


def _driver_line(subject: Subject, text: str) -> str:
    """What the CXL driver says of a window that it refuses, once it finds the device of the CXL root (ACPI0017)."""
    return f"cxl_acpi ACPI0017:00: CFMWS {text}" if subject.kernel.rules.cfmws else ""


def _described(subject: Subject, window: CxlWindow) -> int:
    """How many bytes of a window enabled entries of the SRAT describe."""
    parts = sorted(
        (max(entry.base, window.base), min(entry.base + entry.length, window.base + window.size))
        for entry in (subject.srat.memory if subject.srat is not None else ())
        if entry.enabled
    )
    total, reached = 0, window.base
    for start, end in parts:
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total


@rule(
    "MP321",
    "window-alignment",
    "error",
    group=_CXL,
    checks="A CXL window's base and size are multiples of 256 MiB.",
    linux="Early boot takes the window as it is; the CXL driver (cxl_acpi) refuses it, and its memory can't be used.",
    mend="Place windows at multiples of 256 MiB.",
    reference="CXL 3.0, 9.17.1.3; cxl_acpi_cfmws_verify (drivers/cxl/acpi.c, 6.12)",
    needs=(),
    fwts="KlogAcpiSratCfmwsAlignmentViolation",
)
def window_alignment(subject: Subject) -> Iterator[Found]:
    """Windows that the CXL driver refuses."""
    for index, window in enumerate(_windows(subject)):
        if window.base % _WINDOW_ALIGN or window.size % _WINDOW_ALIGN:
            what, line = f"size ({size_text(window.size)})", "Window Size not 256MB aligned"
            if window.base % _WINDOW_ALIGN:
                what, line = "base", "Base HPA not 256MB aligned"
            text = f"{_window(window)}: its {what} is not a multiple of 256 MiB"
            yield Found(text, _path(index), dmesg=_driver_line(subject, line))


@rule(
    "MP322",
    "window-without-srat",
    "warning",
    group=_CXL,
    checks="Some of a CXL window is an enabled memory entry of the SRAT.",
    linux="Linux (since 5.16) makes a node of its own for the window, with a domain number after the SRAT's last one, "
    "which firmware's other tables don't know. It prints nothing about it.",
    mend="Describe the window in the SRAT, hot-pluggable, in the domain that HMAT and DSDT name for it.",
    reference="CXL 3.0, 9.17.1.3; acpi_parse_cfmws (drivers/acpi/numa/srat.c)",
    needs=("srat",),
)
def window_without_srat(subject: Subject) -> Iterator[Found]:
    """Windows that the SRAT does not describe."""
    if not subject.kernel.rules.cfmws:
        return
    for index, window in enumerate(_windows(subject)):
        if window.size and not _described(subject, window):
            yield Found(f"{_window(window)} has no enabled entry in the SRAT", _path(index), weight=window.size)


@rule(
    "MP323",
    "window-described-in-part",
    "info",
    group=_CXL,
    checks="The SRAT describes a CXL window as a whole, if at all.",
    linux="Linux (since 6.6, and in updates of 6.1) stretches the SRAT's ranges in the window until they cover it. It "
    "prints nothing about it.",
    mend="Let the SRAT's entries cover the window.",
    reference="CXL 3.0, 9.17.1.3; numa_fill_memblks (mm/numa_memblks.c, 6.12)",
    needs=("srat",),
)
def window_described_in_part(subject: Subject) -> Iterator[Found]:
    """Windows of which the SRAT describes a part."""
    if not subject.kernel.rules.cfmws:
        return
    for index, window in enumerate(_windows(subject)):
        described = _described(subject, window)
        if 0 < described < window.size:
            text = f"of {_window(window)} the SRAT describes {size_text(described)} of {size_text(window.size)}"
            yield Found(text, _path(index), weight=window.size - described)


@rule(
    "MP324",
    "windows-overlap",
    "error",
    group=_CXL,
    checks="CXL windows do not overlap.",
    linux="Early boot gives the overlap to the node of the first window; the CXL driver can't claim the same range for "
    "the second one.",
    mend="Give each window a range of its own.",
    reference="CXL 3.0, 9.17.1.3; acpi_parse_cfmws (drivers/acpi/numa/srat.c)",
    needs=(),
)
def windows_overlap(subject: Subject) -> Iterator[Found]:
    """Windows that claim the same addresses."""
    ordered = sorted((own.base, own.base + own.size, index) for index, own in enumerate(_windows(subject)) if own.size)
    reached = last = -1
    for start, end, index in ordered:
        if start < reached:
            both = mem_range(start, min(end, reached))
            text = f"{_window(_windows(subject)[index])} and {_window(_windows(subject)[last])} both claim {both}"
            yield Found(text, _path(index), f"{_path(min(index, last))} {_path(max(index, last))}")
        if end > reached:
            reached, last = end, index


@rule(
    "MP325",
    "window-without-node",
    "warning",
    group=_CXL,
    checks="There is a domain number left for each CXL window that the SRAT does not describe.",
    linux="Linux has no node for the window, nor for those behind it.",
    mend="Describe the windows in the SRAT, or use lower numbers for its domains.",
    reference="acpi_parse_cfmws, acpi_map_pxm_to_node (drivers/acpi/numa/srat.c)",
    needs=("srat",),
    fwts="KlogAcpiMapNodeFail",
)
def window_without_node(subject: Subject) -> Iterator[Found]:
    """Windows for which no domain is left."""
    if not subject.kernel.rules.cfmws:
        return
    nodes, most = node_numbers(subject), subject.kernel.max_numnodes
    fresh = max(nodes, default=-1) + 1
    for number, index in enumerate(
        index for index, own in enumerate(_windows(subject)) if own.size and not _described(subject, own)
    ):
        if fresh + number >= max(most, _LEAST_DOMAINS) or len(nodes) + number >= most:
            words = "ACPI: ACPI NUMA: Too many proximity domains while processing CFMWS."
            text = f"no domain is left for {_window(_windows(subject)[index])}"
            yield Found(text, _path(index), dmesg=quote(subject, words, otherwise=words))
            return


@rule(
    "MP326",
    "window-range",
    "error",
    group=_CXL,
    checks="A CXL window has a size and ends below 2^64.",
    linux="Linux gives a window without a size, or one that wraps around, a node without memory.",
    mend="Correct the window's base or size, or leave the structure out.",
    reference="CXL 3.0, 9.17.1.3; acpi_parse_cfmws (drivers/acpi/numa/srat.c)",
    needs=(),
)
def window_range(subject: Subject) -> Iterator[Found]:
    """Windows that are no range."""
    for index, window in enumerate(_windows(subject)):
        if not window.size:
            yield Found(f"the window at {window.base:#x} has no size", _path(index))
        elif window.base + window.size > U64_MAX:
            yield Found(f"the window of {window.size:#x} bytes at {window.base:#x} ends beyond 2^64", _path(index))


@rule(
    "MP327",
    "window-interleave",
    "warning",
    group=_CXL,
    checks="A CXL window's interleave arithmetic is 0 or 1, and its ways are one of CXL's codes (0 to 4, 8 to 10).",
    linux="Early boot does not look at it; the CXL driver (cxl_acpi) refuses the window.",
    mend="Use a value that CXL defines.",
    reference="CXL 3.0, 9.17.1.3; cxl_acpi_cfmws_verify (drivers/cxl/acpi.c, 6.12)",
    needs=("tables",),
    fwts="CEDTBadInterleaveArithmetic",
)
def window_interleave(subject: Subject) -> Iterator[Found]:
    """Windows whose interleaving Linux does not know."""
    table = next((table for table in subject.tables if table.signature == "CEDT"), None)
    for entry in table.of_type(1) if table is not None else ():
        ways, wrong, line = entry["interleave_ways"], "", ""
        if entry["arithmetic"] > 1:
            wrong = f"the interleave arithmetic {entry['arithmetic']}"
        elif ways not in _WAYS:
            wrong = f"the code {ways} for interleave ways"
            if not (entry["base"] % _WINDOW_ALIGN or entry["size"] % _WINDOW_ALIGN):
                line = _driver_line(subject, f"Interleave Ways ({ways}) invalid")
        if wrong:
            text = f"CEDT: the window at offset {entry.offset:#x}: {wrong} is reserved"
            yield Found(text, "CEDT", f"CEDT+{entry.offset:#x}", line, entry.offset)
