"""A build's symbols and their addresses: from its System.map, its symbol table, or the kallsyms inside."""

from __future__ import annotations

import re
from pathlib import Path

from memplan.files import read_regular
from memplan.kernel.elf import Elf
from memplan.kernel.kallsyms import kallsyms
from memplan.units import MIB

_MAP_LINE = re.compile(r"^([0-9a-f]{8,16}) \S (\S{1,512})", re.MULTILINE)
_MOST_BYTES = 64 * MIB


def read_symbols(system_map: Path | None, elf: Elf | None) -> tuple[dict[str, int], str]:
    """Names and addresses (the first of equal names) from the best source that has _text, and that source's name.

    A System.map without _text (a stub that points to a debug package) is passed over.  Raises InputError for a file
    that can't be read.
    """
    if system_map is not None:
        text = read_regular(system_map, _MOST_BYTES, "a System.map").decode("latin-1")
        found: dict[str, int] = {}
        for line in _MAP_LINE.finditer(text):
            found.setdefault(line[2], int(line[1], 16))
        if "_text" in found:
            return found, system_map.name
    if elf is not None:
        found = elf.symbols()
        if "_text" in found:
            return found, "symbol table"
        found = kallsyms(elf)
        if found:
            return found, "kallsyms inside the image"
    return {}, ""
