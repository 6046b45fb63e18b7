"""MP51x: where the boot loader put the kernel image and the initrd."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from memplan.checks.model import Found, Subject, rule
from memplan.machine.model import E820_NAMES, E820_RAM, E820_RESERVED_KERN
from memplan.ranges import RangeSet
from memplan.units import PAGE_SIZE, mem_range, round_up, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

_GROUP = "placement"


class _Piece(NamedTuple):
    """Something that lies in ``[start, end)``, and the field that says so."""

    what: str
    field: str
    start: int
    end: int


def _loaded(subject: Subject) -> Iterator[_Piece]:
    """What the boot loader placed."""
    assert subject.machine is not None
    params = subject.parameters
    yield _Piece("the kernel image", "kernel.load_address", params.kernel_start, params.kernel_end)
    if (initrd := subject.machine.initrd) is not None and initrd.size:
        yield _Piece("the initrd", "initrd.start", initrd.start, round_up(initrd.start + initrd.size, PAGE_SIZE))


def _outside(subject: Subject, what: str) -> Iterator[Found]:
    """The pieces of that name that lie in anything but RAM."""
    assert subject.machine is not None
    ram = RangeSet((own.start, own.end) for own in subject.machine.e820 if own.type in (E820_RAM, E820_RESERVED_KERN))
    others = [own for own in subject.machine.e820 if own.type not in (E820_RAM, E820_RESERVED_KERN)]
    for piece in _loaded(subject):
        if piece.what != what:
            continue
        for start, end in ram.outside(piece.start, piece.end):
            text = f"{size_text(end - start)} of {what}, {mem_range(start, end)}, lie outside RAM"
            yield Found(text, piece.field, f"{what} outside RAM", weight=end - start)
        for own in others:
            start, end = max(own.start, piece.start), min(own.end, piece.end)
            if start < end and ram.within(start, end):
                name = E820_NAMES.get(own.type, f"type {own.type}")
                yield Found(f"{mem_range(start, end)} of {what} is {name}", piece.field, f"{what} in {name}")


@rule(
    "MP511",
    "image-outside-ram",
    "error",
    group=_GROUP,
    checks="The kernel image lies wholly in RAM.",
    linux="Linux reserves the place of its image unseen; where that is no RAM, nothing runs there.",
    mend="Load the image into RAM, at or above 16 MiB: correct kernel.load_address, or the map.",
    reference="setup_arch (arch/x86/kernel/setup.c), memblock_reserve of _text to _end",
    needs=("memory",),
)
def image_outside_ram(subject: Subject) -> Iterator[Found]:
    """A kernel image where no RAM is."""
    yield from _outside(subject, "the kernel image")


@rule(
    "MP512",
    "initrd-outside-ram",
    "error",
    group=_GROUP,
    checks="The initrd lies wholly in RAM.",
    linux="Linux believes the boot loader and reserves the place unseen; what it unpacks later is what lies there.",
    mend="Put the initrd into RAM, below the boot protocol's limit: correct initrd.start, or the map.",
    reference="early_reserve_initrd, reserve_initrd (arch/x86/kernel/setup.c)",
    needs=("memory",),
)
def initrd_outside_ram(subject: Subject) -> Iterator[Found]:
    """An initrd where no RAM is."""
    yield from _outside(subject, "the initrd")


@rule(
    "MP513",
    "loaded-over-another",
    "error",
    group=_GROUP,
    checks="The kernel image, the initrd and firmware's ACPI tables don't overlap.",
    linux="memblock merges reservations that overlap and says nothing; whatever was written last is what is found.",
    mend="Load image and initrd where nothing else lies: the initrd behind the image, both off firmware's tables.",
    reference="early_reserve_initrd (arch/x86/kernel/setup.c), acpi_table_upgrade (drivers/acpi/tables.c)",
    needs=("memory",),
)
def loaded_over_another(subject: Subject) -> Iterator[Found]:
    """Things that lie in the same place."""
    assert subject.machine is not None
    pieces = list(_loaded(subject))
    for first, second in combinations(pieces, 2):
        yield from _overlap(second, first)
    for index, table in enumerate(subject.machine.acpi.tables):
        own = _Piece(
            f"firmware's {table.signature}", f"acpi.tables[{index}]", table.address, table.address + table.length
        )
        for piece in pieces:
            yield from _overlap(piece, own)


def _overlap(piece: _Piece, other: _Piece) -> Iterator[Found]:
    start, end = max(piece.start, other.start), min(piece.end, other.end)
    if start < end:
        text = f"{piece.what} lies over {other.what} in {mem_range(start, end)}"
        yield Found(text, piece.field, f"{piece.what} over {other.what}", weight=end - start)
