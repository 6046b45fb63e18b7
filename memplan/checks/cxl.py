"""MP32x: the CEDT's CXL windows, by themselves and against the SRAT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.checks.model import Found, Subject, rule
from memplan.checks.quotes import node_numbers, quote
from memplan.units import MIB, U64_MAX, mem_range, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.machine.model import CxlWindow

_CXL = "CEDT against SRAT"
_WINDOW_ALIGN = 256 * MIB
#: Domains that the map from domain to node has room for, where nodes are fewer (MAX_PXM_DOMAINS).
_LEAST_DOMAINS = 256
#: CXL's codes for the number of ways that a window is interleaved.
_WAYS = frozenset((*range(5), *range(8, 11)))


def _windows(subject: Subject) -> tuple[CxlWindow, ...]:
    return subject.acpi.cxl_windows if subject.acpi is not None else ()


def _path(index: int) -> str:
    return f"acpi.cxl_windows[{index}]"


def _window(window: CxlWindow) -> str:
    return f"the window {mem_range(window.base, window.base + window.size)}"


def _driver_line(subject: Subject, text: str) -> str:
    """What the CXL driver says of a window that it refuses, once it finds the device of the CXL root (ACPI0017)."""
    return f"cxl_acpi ACPI0017:00: CFMWS {text}" if subject.kernel.rules.knows_cxl_windows else ""


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
    if not subject.kernel.rules.knows_cxl_windows:
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
    if not subject.kernel.rules.knows_cxl_windows:
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
    if not subject.kernel.rules.knows_cxl_windows:
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
