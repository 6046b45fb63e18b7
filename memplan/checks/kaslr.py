"""MP8xx: where KASLR may put the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.checks.coverage import enabled, range_of
from memplan.checks.model import Found, Subject, rule
from memplan.kaslr.choice import possible_places
from memplan.ranges import RangeSet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.kaslr.places import Places
    from memplan.machine.model import Srat

_GROUP = "KASLR"


@rule(
    "MP801",
    "kaslr-into-hotplug",
    "warning",
    group=_GROUP,
    checks="KASLR can't put the kernel into hot-pluggable memory.",
    linux="The decompressor keeps to what firmware's own SRAT has without the hot-plug mark, disabled entries too, "
    "where it is built with MEMORY_HOTREMOVE (5.1 on); with nothing of that kind it takes all RAM. It does not see an "
    "SRAT from the initrd, and EFI's stub (6.6 on, 6.1 stable) looks at none. "
    "A node that gets the kernel can't be removed.",
    mend="Boot with nokaslr, or mark the ranges in firmware's own SRAT.",
    reference="process_mem_region, immovable_mem (arch/x86/boot/compressed/kaslr.c, acpi.c, 5.1 on)",
    needs=("srat", "memory"),
)
def kaslr_into_hotplug(subject: Subject) -> Iterator[Found]:
    """The share of KASLR's places that touch hot-pluggable memory."""
    assert subject.machine is not None
    assert subject.srat is not None
    known = subject.plan.kaslr if subject.has("plan") else None
    places = known or possible_places(subject.machine, subject.kernel)
    marked = RangeSet(range_of(entry) for _, entry in enabled(subject.srat) if entry.hotplug)
    hot = places.touching(marked)
    if hot:
        why = _why(subject, places, subject.srat)
        share = f"{hot} of {places.slots} places of the kernel ({hot / places.slots:.0%})"
        yield Found(f"{share} are hot-pluggable memory: {why}", "srat", "places")


def _why(subject: Subject, places: Places, srat: Srat) -> str:
    """Why hot-pluggable memory is among the places."""
    assert subject.machine is not None
    if places.chooser == "EFI stub":
        return "EFI's stub does not read the SRAT"
    if any(upgrade.signature == "SRAT" for upgrade in subject.machine.acpi.upgrades):
        return "firmware's SRAT is replaced by the initrd's"
    off = "off" in subject.parameters.cmdline.all("acpi")
    if off or not subject.kernel.rules.kaslr_srat or not subject.kernel.config("MEMORY_HOTREMOVE"):
        return "the decompressor does not read the SRAT"
    if all(entry.hotplug or not entry.length for entry in srat.memory):
        return "the SRAT marks all memory hot-pluggable, and the decompressor takes any then"
    return "entries without the mark cover it, and the decompressor takes disabled ones, too"
