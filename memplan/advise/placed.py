"""What boot loader and firmware have put into a machine's memory, where it may lie, and what may not lie on what."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from memplan.boot.parameters import Parameters
from memplan.boot.steps.efi import EFI_BOOT_SERVICES_CODE, EFI_BOOT_SERVICES_DATA
from memplan.machine.model import E820_RAM
from memplan.ranges import RangeSet
from memplan.units import GIB, PAGE_SIZE, round_down, round_up

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from memplan.kernel.model import Kernel
    from memplan.machine.model import Machine

#: Below this every boot loader can put the initrd (initrd_addr_max of the setup header, and one), and firmware its
#: tables.
LOADER_END, FIRMWARE_END = 2 * GIB, 4 * GIB
#: Where images and what is loaded with them may begin.
_LOADER_START = 1 << 20


class Piece(NamedTuple):
    """Something of `length` bytes at `start`; the field of that path says so ("" where none does)."""

    path: str
    start: int
    length: int

    @property
    def pages(self) -> tuple[int, int]:
        """The pages that it touches, one at least, as a range."""
        return round_down(self.start, PAGE_SIZE), round_up(self.start + max(self.length, 1), PAGE_SIZE)


def tables(machine: Machine) -> Iterator[Piece]:
    """What firmware may put elsewhere, by one field each."""
    mp_table = machine.bios.mp_table
    if mp_table is not None and mp_table.table:
        yield Piece("bios.mp_table.table", mp_table.table, mp_table.length)
    for index, table in enumerate(machine.acpi.tables):
        yield Piece(f"acpi.tables[{index}].address", table.address, table.length)
    efi = machine.efi
    if efi is None:
        return
    if efi.memmap is not None:
        yield Piece("efi.memmap.address", *efi.memmap)
    if efi.memattr is not None:
        yield Piece("efi.memattr.address", *efi.memattr)
    for index, own in enumerate(efi.reserved):
        yield Piece(f"efi.reserved[{index}].address", own.address, own.length)


def loaded(machine: Machine) -> Iterator[Piece]:
    """What the boot loader may put elsewhere, beside the image."""
    if machine.initrd is not None and machine.initrd.size:
        yield Piece("initrd.start", *machine.initrd)
    for index, own in enumerate(machine.setup_data):
        yield Piece(f"setup_data[{index}].address", own.address, own.length + 16)


def image(machine: Machine, kernel: Kernel) -> Piece:
    """The kernel image."""
    params = Parameters(machine, kernel)
    return Piece("kernel.load_address", params.kernel_start, params.kernel_end - params.kernel_start)


def overlaps(machine: Machine, kernel: Kernel) -> set[tuple[str, str]]:
    """What lies on what: the paths of all that touch each other's pages; tables of firmware may share a page."""
    firmware, others = list(tables(machine)), [image(machine, kernel), *loaded(machine)]
    found = {(one.path, other.path) for one, other in combinations(others, 2) if _touch(one.pages, other.pages)}
    found |= {(one.path, other.path) for one in others for other in firmware if _touch(one.pages, other.pages)}
    exact = [(own.path, (own.start, own.start + max(own.length, 1))) for own in firmware]
    return found | {(one, other) for (one, here), (other, there) in combinations(exact, 2) if _touch(here, there)}


def _touch(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


class Room:
    """RAM of a machine in which something may be put: that neither `avoided` nor taken by anything but `moved`."""

    def __init__(
        self, machine: Machine, kernel: Kernel, avoided: Iterable[tuple[int, int]], moved: Iterable[Piece]
    ) -> None:
        gone = {own.path for own in moved}
        pieces = [*tables(machine), *loaded(machine), image(machine, kernel)]
        services = (EFI_BOOT_SERVICES_CODE, EFI_BOOT_SERVICES_DATA)
        efi = machine.efi.descriptors if machine.efi is not None else ()
        kept = ((own.start, own.end) for own in efi if own.type in services)
        taken = RangeSet([*avoided, *kept, *(own.pages for own in pieces if own.path not in gone)])
        others = RangeSet((own.start, own.end) for own in machine.e820 if own.type != E820_RAM)
        ram = RangeSet((own.start, own.end) for own in machine.e820 if own.type == E820_RAM)
        self._free = [
            part for start, end in ram for free in taken.outside(start, end) for part in others.outside(*free)
        ]

    def places(self, size: int, align: int, end: int, start: int = 0) -> list[int]:
        """The highest and the lowest place in ``[start, end)`` for `size` bytes; none where there is no room."""
        found = []
        for low, high in self._free:
            first, last = round_up(max(low, start, _LOADER_START), align), round_down(min(high, end) - size, align)
            if first <= last:
                found += [first, last]
        return list(dict.fromkeys((max(found), min(found)))) if found else []
