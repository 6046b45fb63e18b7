"""The kernel image's place where no line tells it: inferred from a log's NODE_DATA, or left open with what follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.errors import NotCoveredError
from memplan.kaslr.places import Area
from memplan.machine.model import E820_RAM
from memplan.units import GIB, KIB, round_up

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memplan.firmware.source import Evidence, SourceFacts
    from memplan.kaslr.places import Places
    from memplan.kernel.model import Kernel
    from memplan.machine.model import Machine
    from memplan.sweep.evidence import Fit, Shift

_FIELD = "kernel.load_address"
#: So many consequences of a place that isn't known are told.
_SHIFTS = 4
#: kexec's map of memory begins behind the table of interrupts.
_KEXEC_START = 0x100
_TOLD_BY = "(/proc/iomem, read as root, tells the very one)"


def with_image(
    machine: Machine, origins: dict[str, str], sources: Sequence[SourceFacts], named: str | Kernel | None
) -> Machine:
    """`machine` with the image at a place that fits the evidence of its `sources`, which `origins` then names.

    `named` is the kernel where the sources are not to tell it.
    What the source says that lacks the place is replaced: by what was inferred, or by what follows from not knowing.
    """
    from memplan.kernel.load import kernel_of

    kernel = kernel_of(machine.kernel, named)
    source = next(own for own in sources if own.evidence or _FIELD in own.lacking)
    evidence = [own for each in sources for own in each.evidence]
    try:
        place = (
            _randomized(machine, kernel, source, evidence)
            if machine.kernel.randomized
            else _loaded(machine, kernel, source, evidence)
        )
    except NotCoveredError:
        return machine
    if place is None:
        return machine
    origins[_FIELD] = (
        f"{evidence[0].origin} inferred from NODE_DATA" if evidence else "the first place in RAM with room"
    )
    return machine._replace(kernel=machine.kernel._replace(load_address=place))


def _randomized(machine: Machine, kernel: Kernel, source: SourceFacts, evidence: Sequence[Evidence]) -> int | None:
    """KASLR's place as far as the evidence shows it; None for the usual one."""
    from memplan.kaslr.choice import possible_places
    from memplan.sweep.evidence import fit, shifts

    places = possible_places(machine, kernel)
    if not places.areas:
        return None
    possible = _in_ram(machine, kernel)
    found = fit(machine, kernel, _starts(evidence), places) if evidence else None
    if found is None:
        if not possible:
            source.lacking[_FIELD] = (
                "KASLR is on and no line tells where the kernel image lies, and RAM has no room at its usual place; "
                f"the lowest of the {places.slots} places that KASLR chooses from, {places.areas[0].start:#x}, is "
                f"planned with {_TOLD_BY}"
            )
            return places.areas[0].start
        if other := shifts(machine, kernel, places):
            source.lacking[_FIELD] += f"; of the {places.slots} places that KASLR chooses from, {_effects(other)}"
        return None
    usual = found.usual and possible
    planned = "its usual place" if usual else f"the lowest of them, {found.lowest:#x}"
    source.lacking[_FIELD] = (
        f"{evidence[0].origin}: KASLR is on and no line tells where the kernel image lies; {_named(found, evidence)} "
        f"as the log says with the image {_count(found, places)} places that KASLR chooses from; {planned} is planned "
        f"with {_TOLD_BY}"
    )
    return None if usual else found.lowest


def _loaded(machine: Machine, kernel: Kernel, source: SourceFacts, evidence: Sequence[Evidence]) -> int | None:
    """Where kexec or an EFI loader has put the image, where the usual place can't be or doesn't fit; else None."""
    from memplan.kaslr.loader import loader_places
    from memplan.sweep.evidence import fit

    kexec = _is_kexec(machine)
    possible = _in_ram(machine, kernel)
    if possible and not (evidence and (kexec or machine.efi is not None)):
        return None
    places = loader_places(machine, kernel)
    if not places.areas:
        return None
    found = fit(machine, kernel, _starts(evidence), places) if evidence else None
    if possible and (found is None or found.usual):
        return None
    if found is None:
        place = places.areas[0].start
        source.lacking[_FIELD] = (
            f"no line tells where the kernel image lies, and RAM has no room at its usual place (a kexec'ed kernel?); "
            f"the first place with room, {place:#x}, is planned with {_TOLD_BY}"
        )
        return place
    place, which = found.lowest, "lowest"
    if kexec and possible:
        # kexec goes through RAM from its end downwards, and puts the initrd below the kernel.
        place, which = found.highest, "highest"
        beside = _behind_initrd(machine, places)
        if beside is not None and _fitting(machine, kernel, evidence, beside) == found.fitting:
            place, which = beside.areas[0].start, "one behind the initrd"
    who = "kexec" if kexec else "the boot loader"
    source.lacking[_FIELD] = (
        f"{evidence[0].origin}: no line tells where {who} has put the kernel image; {_named(found, evidence)} as the "
        f"log says with the image {_count(found, places)} places in RAM, not at its usual one; the {which} of them, "
        f"{place:#x}, is planned with {_TOLD_BY}"
    )
    return place


def _behind_initrd(machine: Machine, places: Places) -> Places | None:
    """The first place behind the initrd in the same RAM; the image's size may be another build's."""
    if machine.initrd is None:
        return None
    end = machine.initrd.start + machine.initrd.size
    place = round_up(end, places.align)
    if not any(own.start <= end and place < own.end for own in machine.e820 if own.type == E820_RAM):
        return None
    return places._replace(areas=(Area(place, 1),))


def _fitting(machine: Machine, kernel: Kernel, evidence: Sequence[Evidence], places: Places) -> int:
    """How many of the evidence fit `places`."""
    from memplan.sweep.evidence import fit

    found = fit(machine, kernel, _starts(evidence), places)
    return found.fitting if found is not None else 0


def _is_kexec(machine: Machine) -> bool:
    """Whether a kernel has loaded this one: by its map, or by an initrd where no other loader puts one."""
    initrd = machine.initrd
    return machine.e820[0].start == _KEXEC_START or (initrd is not None and initrd.start >= 4 * GIB)


def _in_ram(machine: Machine, kernel: Kernel) -> bool:
    """Whether the image, at its usual place, lies in one range of RAM."""
    start = kernel.fact("image.load_address")
    end = start + kernel.fact("image.end")
    return any(own.start <= start and end <= own.end for own in machine.e820 if own.type == E820_RAM)


def _starts(evidence: Sequence[Evidence]) -> dict[int, int]:
    return {own.nid: own.start for own in evidence}


def _named(found: Fit, evidence: Sequence[Evidence]) -> str:
    """What of the evidence fits, in words."""
    if len(evidence) == 1:
        return f"NODE_DATA({evidence[0].nid}) lies"
    return f"{found.fitting} of {len(evidence)} NODE_DATA lie"


def _count(found: Fit, places: Places) -> str:
    return (
        f"at every one of the {places.slots}" if found.slots == places.slots else f"at {found.slots} of {places.slots}"
    )


def _effects(other: Sequence[Shift]) -> str:
    return ", ".join(
        f"NODE_DATA({own.nid}) lies {abs(own.distance) // KIB} KiB {'lower' if own.distance < 0 else 'higher'} at "
        f"{own.slots}"
        for own in other[:_SHIFTS]
    )
