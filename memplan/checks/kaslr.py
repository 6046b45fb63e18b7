"""MP8xx: where KASLR may put the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.ranges import RangeSet
from memplan.checks.coverage import common, enabled, ram_of, range_of, without
from memplan.checks.model import Found, Subject, rule
from memplan.machine.cmdline import CommandLine
from memplan.units import MIB, round_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.checks.coverage import Ranges
    from memplan.machine.model import Efi, Machine, Srat

_GROUP = "KASLR"
_ALIGN = 2 * MIB
_MINIMUM = 16 * MIB
#: EFI's type of free memory, and the attributes of that which the stub leaves alone: special purpose, hot-pluggable.
_CONVENTIONAL = 7
_NOT_FOR_KERNEL = 0x40000 | 0x100000
#: Options with which the stub takes the lowest place.
_NOT_RANDOM = ("mem", "memmap", "hugepages")


def _slots(ranges: list[tuple[int, int]], size: int) -> int:
    """How many places of `size` bytes, at multiples of 2 MiB from 16 MiB on, `ranges` have."""
    count = 0
    for start, end in ranges:
        first = round_up(max(start, _MINIMUM), _ALIGN)
        count += max(0, (end - first - size) // _ALIGN + 1) if end - first >= size else 0
    return count


@rule(
    "MP801",
    "kaslr-into-hotplug",
    "warning",
    group=_GROUP,
    checks="KASLR can't put the kernel into hot-pluggable memory.",
    linux="The decompressor keeps to what firmware's own SRAT has without the hot-plug mark, disabled entries too, "
    "where it is built with MEMORY_HOTREMOVE; with nothing of that kind it takes all RAM. It does not see an SRAT from "
    "the initrd, and EFI's stub (6.1 stable, 6.12) looks at none. A node that gets the kernel can't be removed.",
    mend="Boot with nokaslr, or mark the ranges in firmware's own SRAT.",
    reference="process_mem_region, immovable_mem (arch/x86/boot/compressed/kaslr.c, acpi.c, 5.1 on)",
    needs=("srat", "memory"),
)
def kaslr_into_hotplug(subject: Subject) -> Iterator[Found]:
    """The share of KASLR's places that touch hot-pluggable memory."""
    assert subject.machine is not None
    assert subject.srat is not None
    kernel, cmdline = subject.kernel, CommandLine(subject.machine.cmdline)
    if not kernel.config("RANDOMIZE_BASE") or cmdline.has("nokaslr"):
        return
    if subject.machine.efi is not None and kernel.rules.efi_stub_places_image:
        if any(cmdline.has(name) for name in _NOT_RANDOM):
            return
        walked, why = _stub_walks(subject.machine, subject.machine.efi), "EFI's stub does not read the SRAT"
    else:
        walked, why = _decompressor_walks(subject, subject.machine, subject.srat, cmdline)
    sizes = [kernel.fact(name) for name in ("image.end", "image.output_len") if name in kernel.facts]
    size = round_up(max(sizes), _ALIGN)
    marked = RangeSet(range_of(entry) for _, entry in enabled(subject.srat) if entry.hotplug)
    total = _slots(walked, size)
    hot = total - _slots(without(walked, marked), size)
    if hot:
        text = f"{hot} of {total} places of the kernel ({hot / total:.0%}) are hot-pluggable memory: {why}"
        yield Found(text, "srat", "places")


def _stub_walks(machine: Machine, efi: Efi) -> Ranges:
    """Conventional memory that is for any purpose; all RAM where the EFI map is not known."""
    if not efi.descriptors:
        return list(ram_of(machine))
    fit = (own for own in efi.descriptors if own.type == _CONVENTIONAL and not own.attribute & _NOT_FOR_KERNEL)
    return list(RangeSet((own.start, own.end) for own in fit))


def _decompressor_walks(subject: Subject, machine: Machine, srat: Srat, cmdline: CommandLine) -> tuple[Ranges, str]:
    """RAM that the SRAT lets it take without initrd and setup_data, and why hot-pluggable memory may be among it."""
    ram = ram_of(machine)
    stays = RangeSet(range_of(entry) for entry in srat.memory if entry.length and not entry.hotplug)
    if any(upgrade.signature == "SRAT" for upgrade in machine.acpi.upgrades):
        why = "firmware's SRAT is replaced by the initrd's"
    elif not subject.kernel.config("MEMORY_HOTREMOVE") or cmdline.last("acpi") == "off":
        why = "the decompressor does not read the SRAT"
    elif not stays:
        why = "the SRAT marks all memory hot-pluggable, and the decompressor takes any then"
    else:
        ram = RangeSet(common(ram, stays))
        why = "entries without the mark cover it, and the decompressor takes disabled ones, too"
    forbidden = [(own.address, own.address + 16 + own.length) for own in machine.setup_data]
    if machine.initrd is not None:
        forbidden.append((machine.initrd.start, machine.initrd.start + machine.initrd.size))
    return without(ram, RangeSet(forbidden)), why
