"""EFI's stub that unpacks the kernel itself: drivers/firmware/efi/libstub/x86-stub.c, randomalloc.c."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from memplan.kaslr.decompressor import soft_reserves
from memplan.kaslr.places import (
    LOAD_PHYSICAL_ADDR,
    MIN_KERNEL_ALIGN,
    NO_EFI_MAP,
    Area,
    Places,
    disjoint,
    knows_free_memory,
)
from memplan.machine.cmdline import command_line
from memplan.machine.model import E820_RAM, EfiRange
from memplan.units import PAGE_SIZE, round_down, round_up

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from memplan.kernel.model import Kernel
    from memplan.machine.model import Efi, Machine

#: EFI memory types and attributes.
_LOADER_CODE, _LOADER_DATA, _CONVENTIONAL = 1, 2, 7
_SPECIAL_PURPOSE, _MORE_RELIABLE, _HOT_PLUGGABLE = 0x40000, 0x10000, 0x100000


def stub_places(machine: Machine, efi: Efi, kernel: Kernel) -> Places:
    """The places of efi_random_alloc as efi_decompress_kernel calls it."""
    size = round_up(max(kernel.fact("image.output_len"), kernel.fact("image.total_size")), MIN_KERNEL_ALIGN)
    align = kernel.config_number("PHYSICAL_ALIGN")
    before = list(_before_the_choice(machine, efi, size))
    usable = [own for own in before if _usable(own, kernel, machine.cmdline)]
    mirrored = [own for own in usable if own.attribute & _MORE_RELIABLE]
    minimum = kernel.rules.efi_stub_minimum
    found: list[Area] = []
    for areas in (_areas(mirrored, size, align, minimum), _areas(usable, size, align, minimum)):
        found = found or list(areas)
    unknown = "" if knows_free_memory(efi) else NO_EFI_MAP
    stays = Places("EFI stub", align, size, fixed=found[0].start if found else None, unknown=unknown)
    if reason := _no_choice(machine.cmdline, kernel):
        return stays._replace(reason=f"{reason}, so the lowest place is taken")
    if not found:
        return stays._replace(reason="no memory region is suitable, and the boot ends")
    return Places("EFI stub", align, size, disjoint(found, align), unknown=unknown)


def _no_choice(cmdline: str, kernel: Kernel) -> str:
    """Why the stub's seed is 0; "" where it is random."""
    if not kernel.config("RANDOMIZE_BASE"):
        return "the kernel is built without RANDOMIZE_BASE"
    if command_line(cmdline).has("nokaslr"):
        return "nokaslr is on the command line"
    for word in kernel.rules.efi_stub_fixed_words.split():
        if re.search(rf"(?:^| ){re.escape(word)}", cmdline):
            return f"{word} is on the command line"
    return ""


def _before_the_choice(machine: Machine, efi: Efi, size: int) -> Iterator[EfiRange]:
    """The map as the stub saw it: what the kernel and the initrd have taken since was free.

    Without a map all RAM counts as one free range each.
    """
    if not knows_free_memory(efi):
        yield from (EfiRange(own.start, own.end, _CONVENTIONAL) for own in machine.e820 if own.type == E820_RAM)
        return
    later: list[tuple[int, int, int]] = []
    load, initrd = machine.kernel.load_address, machine.initrd
    if load is not None:
        later.append((load, load + size, _LOADER_CODE))
    if initrd is not None:
        later.append((initrd.start, round_up(initrd.start + initrd.size, PAGE_SIZE), _LOADER_DATA))
    freed: list[EfiRange] = []
    for own in efi.descriptors:
        taken = any(own.start <= low and high <= own.end and own.type == kind for low, high, kind in later)
        piece = own._replace(type=_CONVENTIONAL) if taken else own
        last = freed[-1] if freed else None
        if last is not None and last.end == piece.start and last[2:] == piece[2:] and piece.type == _CONVENTIONAL:
            freed[-1] = last._replace(end=piece.end)
        else:
            freed.append(piece)
    yield from freed


def _usable(own: EfiRange, kernel: Kernel, cmdline: str) -> bool:
    """Whether the stub takes places of this range at all (get_entry_num_slots)."""
    barred = _HOT_PLUGGABLE if kernel.rules.efi_stub_hot_pluggable else 0
    if soft_reserves(kernel, command_line(cmdline)):
        barred |= _SPECIAL_PURPOSE
    return own.type == _CONVENTIONAL and not own.attribute & barred


def _areas(ranges: Iterable[EfiRange], size: int, align: int, minimum: str) -> Iterator[Area]:
    """The places of each range, in the map's order."""
    lowest = 0 if minimum == "none" else LOAD_PHYSICAL_ADDR
    for own in ranges:
        first = round_up(max(own.start, lowest), align)
        last = round_down(own.end - size, align)
        if own.end > size and first <= last:
            # Between two fixes places were counted from the minimum on, but numbered from the range's start.
            start = round_up(own.start, align) if minimum == "counted" else first
            yield Area(start, (last - first) // align + 1)
