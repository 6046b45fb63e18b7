"""The kernel image's place where KASLR chose it and no line tells: inferred from a log's NODE_DATA, or left open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.units import KIB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memplan.firmware.source import Evidence, Found
    from memplan.machine.model import Machine
    from memplan.sweep.evidence import Fit, Shift

_FIELD = "kernel.load_address"
#: So many consequences of a place that isn't known are told.
_SHIFTS = 4


def with_image(machine: Machine, origins: dict[str, str], sources: Sequence[Found]) -> Machine:
    """`machine` with the image at a place that fits the evidence of its `sources`, which `origins` then names.

    What the source says that lacks the place is replaced: by what was inferred, or by what follows from not knowing.
    """
    if not machine.kernel.randomized or machine.kernel.load_address is not None:
        return machine
    from memplan.kernel.load import kernel_of
    from memplan.sweep.evidence import fit, shifts

    kernel = kernel_of(machine.kernel)
    lacking = next(source.lacking for source in sources if _FIELD in source.lacking)
    evidence = [own for source in sources for own in source.evidence]
    found = fit(machine, kernel, {own.nid: own.start for own in evidence}) if evidence else None
    if found is None:
        other, slots = shifts(machine, kernel)
        if other:
            lacking[_FIELD] += f"; of the {slots} places that KASLR chooses from, {_effects(other)}"
        return machine
    lacking[_FIELD] = _told(found, evidence)
    if found.place is None:
        return machine
    origins[_FIELD] = f"{evidence[0].origin} inferred from {_named(found, evidence)}"
    return machine._replace(kernel=machine.kernel._replace(load_address=found.place))


def _named(found: Fit, evidence: Sequence[Evidence]) -> str:
    """What of the evidence fits, in words."""
    return f"NODE_DATA({evidence[0].nid})" if len(evidence) == 1 else f"{found.fitting} of {len(evidence)} NODE_DATA"


def _told(found: Fit, evidence: Sequence[Evidence]) -> str:
    """The note on what was inferred."""
    which = "at every one" if found.slots == found.places else f"at {found.slots}"
    planned = "its usual place" if found.place is None else f"the lowest of them, {found.place:#x}"
    lie = "lies" if len(evidence) == 1 else "lie"
    return (
        f"{evidence[0].origin}: KASLR is on and no line tells where the kernel image lies; {_named(found, evidence)} "
        f"{lie} as the log says with the image {which} of the {found.places} places that KASLR chooses from; "
        f"{planned} is planned with (/proc/iomem, read as root, tells the very one)"
    )


def _effects(other: Sequence[Shift]) -> str:
    return ", ".join(
        f"NODE_DATA({own.nid}) lies {abs(own.distance) // KIB} KiB {'lower' if own.distance < 0 else 'higher'} at "
        f"{own.slots}"
        for own in other[:_SHIFTS]
    )
