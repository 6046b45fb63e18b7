"""What a boot log says of EFI: firmware's tables, the memory map that efi=debug prints, what is cut out of it."""

from __future__ import annotations

import re

from memplan.klog.damage import Damage
from memplan.klog.memory_types import EFI_MMIO, efi_attributes, efi_type
from memplan.klog.ranges import HEX, extent
from memplan.machine.model import EfiRange
from memplan.units import U64_MAX

_EFI_TABLE = re.compile(r"(?a)([A-Za-z0-9. ]+)=0x([0-9a-f]+)")
_EFI_MEM = re.compile(
    r"(?a)mem ?\d+: (?:\[([^|\]]*)\|?([^\]]*)\]|type=(\d{1,20}), attr=0x([0-9a-f]+),) *"
    r"range=\[0x([0-9a-f]+)-0x([0-9a-f]+)([\])])"
)
_EFI_MMIO_RANGE = re.compile(r"(?a)range=\[0x([0-9a-f]+)-0x([0-9a-f]+)\]")
#: The last EFI memory type.
_LAST_TYPE = (1 << 32) - 1


class EfiLines(Damage):
    """The lines on EFI of one boot."""

    def __init__(self) -> None:
        super().__init__()
        self.efi_tables: dict[str, int] = {}
        self.efi_ranges: list[EfiRange] = []
        self.efi_mmio: list[EfiRange] = []
        #: The line and the name of each EFI memory type that is none.
        self.unknown_efi_types: list[tuple[int, str]] = []
        self.esrt: tuple[int, int] | None = None

    def _on_efi_tables(self, text: str, _: int) -> None:
        for name, address in _EFI_TABLE.findall(text):
            self.efi_tables[name.strip()] = int(address, 16)

    def _on_efi_mem(self, text: str, line: int) -> None:
        found = _EFI_MEM.match(text)
        if found is None:
            self._is_broken(line)
            return
        words, flags, number, attribute, start, end, closing = found.groups()
        if number is not None:
            kind, attributes = int(number), int(attribute, 16)
        elif (named := efi_type(words)) is not None:
            kind, attributes = named, efi_attributes(flags)
        else:
            self.unknown_efi_types.append((line, words.strip()))
            return
        inclusive = closing == "]"
        if kind > _LAST_TYPE or attributes > U64_MAX:
            self._is_broken(line)
        elif place := extent(start, end, inclusive=inclusive):
            self.efi_ranges.append(EfiRange(*place, kind, attributes))
        elif int(end, 16) + inclusive != int(start, 16):
            # An entry of no pages is none; any other is missing.
            self._is_broken(line)

    def _is_broken(self, line: int) -> None:
        self.unreadable.append((line, "a line of EFI's memory map is broken, so an entry is missing"))

    def _on_efi_mmio(self, text: str, _: int) -> None:
        if (found := _EFI_MMIO_RANGE.search(text)) and (place := extent(found[1], found[2])):
            self.efi_mmio.append(EfiRange(*place, EFI_MMIO))

    def _on_esrt(self, text: str, _: int) -> None:
        numbers = HEX.findall(text)
        if len(numbers) == 2:
            self.esrt = extent(*numbers, inclusive=False)
