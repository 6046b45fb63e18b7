"""Sets of places, as intervals of x mod m for some moduli: what is in them, where there is much of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.kaslr.places import Places
    from memplan.sweep.unknown import Box


def first_place(box: Box, places: Places) -> int | None:
    """The lowest place in `box`; None where it holds none."""
    for area in places.areas:
        found = _next(box, area.start, area.start + area.slots * places.align)
        if found is not None:
            return found
    return None


def pieces(box: Box, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of ``[start, end)`` that are in `box`, upwards."""
    at = _next(box, start, end)
    while at is not None:
        stop = min(end, *(at - (at % modulus if modulus else at) + high for modulus, (_, high) in box.items()))
        yield at, stop
        at = _next(box, stop, end)


def _next(box: Box, start: int, end: int) -> int | None:
    """The lowest number of ``[start, end)`` that is in `box`."""
    at = max(start, box[0][0])
    end = min(end, box[0][1])
    settled = False
    while not settled:
        settled = True
        for modulus, (low, high) in box.items():
            rest = at % modulus if modulus else at
            if low <= rest < high:
                continue
            if not modulus:
                return None
            at += low - rest if rest < low else modulus - rest + low
            settled = False
        if at >= end:
            return None
    return at
