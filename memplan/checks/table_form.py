"""The form of ACPI tables, as the rules on it look at it: tables by name, and what is wrong in them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from memplan.checks.model import Found, Subject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.firmware.acpi_tables import Defect, DefectKind, RawTable

GROUP = "table format"


def named_tables(subject: Subject) -> Iterator[tuple[str, RawTable]]:
    """The tables with the names that findings give them: ``SSDT``, ``SSDT[1]``."""
    seen: Counter[str] = Counter()
    for table in subject.tables:
        index = seen[table.signature]
        seen[table.signature] += 1
        yield f"{table.signature}[{index}]" if index else table.signature, table


def srat_table(subject: Subject) -> RawTable | None:
    """The SRAT that Linux reads: the first one."""
    return next((table for table in subject.tables if table.signature == "SRAT"), None)


def found_at(name: str, offset: int, message: str, dmesg: str = "") -> Found:
    """What was found `offset` bytes into the table called `name`."""
    return Found(f"{name}: {message}", name, f"{name}+{offset:#x}", dmesg, offset)


def defects(subject: Subject, *kinds: DefectKind) -> Iterator[tuple[str, RawTable, Defect]]:
    """The defects of these kinds, each with its table and the name of that."""
    for name, table in named_tables(subject):
        for defect in table.defects:
            if defect.kind in kinds:
                yield name, table, defect
