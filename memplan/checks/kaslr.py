"""MP8xx: where KASLR may put the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.checks.coverage import common, enabled, joined, ram_of, range_of
from memplan.checks.model import Found, Subject, rule
from memplan.machine.cmdline import CommandLine
from memplan.units import MIB, round_up

if TYPE_CHECKING:
    from collections.abc import Iterator

_GROUP = "KASLR"
_ALIGN = 2 * MIB
_MINIMUM = 16 * MIB


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
    linux="The decompressor keeps out of what firmware's own SRAT marks hot-pluggable, where it is built with "
    "MEMORY_HOTREMOVE; it does not see an SRAT from the initrd, and EFI's stub (6.1 stable, 6.12) looks at none. A "
    "node that gets the kernel can't be removed.",
    mend="Boot with nokaslr, or mark the ranges in firmware's own SRAT.",
    reference="process_mem_region, immovable_mem (arch/x86/boot/compressed/kaslr.c, acpi.c, 5.1 on)",
    needs=("srat", "memory"),
)
def kaslr_into_hotplug(subject: Subject) -> Iterator[Found]:
    """The share of KASLR's places that are hot-pluggable."""
    machine, srat = subject.machine, subject.srat
    assert machine is not None
    assert srat is not None
    kernel = subject.kernel
    if not kernel.config("RANDOMIZE_BASE") or CommandLine(machine.cmdline).has("nokaslr"):
        return
    upgraded = any(upgrade.signature == "SRAT" for upgrade in machine.acpi.upgrades)
    if machine.efi is None and not upgraded and kernel.config("MEMORY_HOTREMOVE"):
        return
    size = round_up(kernel.fact("image.end"), _ALIGN)
    ram = ram_of(machine)
    marked = joined([range_of(entry) for _, entry in enabled(srat) if entry.hotplug])
    total, hot = _slots(ram, size), _slots(joined(common(ram, marked)), size)
    if hot:
        why = "firmware's SRAT is replaced by the initrd's" if upgraded else "EFI's stub does not read the SRAT"
        text = f"{hot} of {total} places of the kernel ({hot / total:.0%}) are hot-pluggable memory: {why}"
        yield Found(text, "srat", "places")
