"""What a boot log says of ACPI's tables: firmware's list of them, and those that the initrd brings."""

from __future__ import annotations

import re
from typing import NamedTuple

from memplan.klog.damage import Damage

_UPGRADE = re.compile(r"(?a)([!-~]{4}) ACPI table found in initrd \[[^\]]*\]\[0x([0-9a-f]{1,8})\]")
_OVERRIDE = re.compile(r"(?a)(Table Upgrade: override|Table Upgrade: install|Override) \[(.{4})")
_TABLE = re.compile(r"(?a)(.{4}) (?:0x)?([0-9A-Fa-f]{8,16}) ([0-9A-Fa-f]{5,8})(?: \(v([0-9A-Fa-f]{2}) ?([^) ]*))?")
_REPLACED = re.compile(r"(?a)(.{4}) (?:0x)?([0-9A-Fa-f]{8,16}) ")
#: No physical address has more bits.
_ADDRESS_BITS = 52


class TableLine(NamedTuple):
    """An ACPI table's line; `length` 0 where an override hid it, `upgrade` where it came from the initrd."""

    signature: str
    address: int
    length: int
    revision: int
    line: int
    upgrade: bool = False


class AcpiLines(Damage):
    """The lines on ACPI's tables of one boot."""

    def __init__(self) -> None:
        super().__init__()
        self.upgrades: list[tuple[str, int]] = []
        self.installed: list[str] = []
        self.tables: list[TableLine] = []
        self.oem = ""
        self._upgraded = ""

    def _on_upgrade(self, text: str, number: int) -> None:
        if found := _UPGRADE.match(text):
            self.upgrades.append((found[1], int(found[2], 16)))
        else:
            self.unreadable.append((number, "a line of a table in the initrd is broken, so a table is missing"))

    def _on_override(self, text: str, _: int) -> None:
        if found := _OVERRIDE.match(text):
            self._upgraded = found[2] if found[1].endswith("install") else ""
            self.installed += [found[2]] if self._upgraded else []

    def _on_replaced(self, text: str, number: int) -> None:
        if found := _REPLACED.match(text):
            self.tables.append(TableLine(found[1], int(found[2], 16), 0, 0, number))
            self._upgraded = found[1]

    def _on_table(self, text: str, number: int) -> None:
        if found := _TABLE.match(text):
            upgrade = self._upgraded == found[1]
            self._upgraded = ""
            if int(found[2], 16) >> _ADDRESS_BITS:
                # A table that another one loaded, told by its virtual address: not firmware's.
                return
            self.oem = self.oem or found[5] or ""
            revision = int(found[4], 16) if found[4] else 0
            self.tables.append(TableLine(found[1], int(found[2], 16), int(found[3], 16), revision, number, upgrade))
