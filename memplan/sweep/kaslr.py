"""Every place that KASLR may choose for the kernel image, and what becomes of the machine there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

from memplan.errors import NotCoveredError
from memplan.kaslr.choice import possible_places
from memplan.kaslr.places import Area
from memplan.progress import unheard
from memplan.sweep.outcome import Outcomes, outcome_of
from memplan.sweep.vague import Vague
from memplan.sweep.ways import Begun, stretches, ways_in_parts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.kaslr.places import Places
    from memplan.kernel.model import Kernel
    from memplan.machine.model import Machine
    from memplan.progress import Progress
    from memplan.sweep.outcome import Outcome
    from memplan.sweep.ways import Way


class Result(NamedTuple):
    """What places have in common: the nodes of the plan's `movable`, whether there is a crash kernel, how it dies."""

    removable: tuple[int, ...]
    crash_kernel: bool
    death: str


class PlaceClass(NamedTuple):
    """All places with one result, as ranges from the first place to the last one, both included."""

    result: Result
    slots: int
    ranges: tuple[tuple[int, int], ...]


class KaslrSweep(NamedTuple):
    """The places, and the classes that they make, those with the lowest places first.

    `replays` is how many replays it took, of boots or parts of boots.
    """

    places: Places
    classes: tuple[PlaceClass, ...]
    replays: int


def placed(machine: Machine, address: int) -> Machine:
    """`machine` with the image where KASLR has chosen to put it."""
    return machine._replace(kernel=machine.kernel._replace(load_address=address, randomized=True))


def _result(outcome: Outcome) -> Result:
    return Result(outcome.removable, outcome.crash_kernel is not None, outcome.death)


def sweep_kaslr(machine: Machine, kernel: Kernel, progress: Progress = unheard) -> KaslrSweep:
    """What becomes of `machine` at each place that KASLR may choose; `progress` hears how far it is.

    Without a choice the one place at which the kernel stays makes a class of its own.  Raises NotCoveredError where the
    places are not known, or a boot can't be replayed.
    """
    places = possible_places(machine, kernel)
    if places.unknown:
        raise NotCoveredError(f"the places that KASLR may choose are not known: {places.unknown}")
    if not places.areas:
        if places.fixed is None:
            raise NotCoveredError(f"the kernel has no place: {places.reason}")
        stays = machine._replace(kernel=machine.kernel._replace(load_address=places.fixed))
        result = _result(outcome_of(stays, kernel))
        alone = places._replace(areas=(Area(places.fixed, 1),))
        return KaslrSweep(alone, (PlaceClass(result, 1, ((places.fixed, places.fixed),)),), 1)
    first, last = places.areas[0], places.areas[-1]
    highest = last.start + (last.slots - 1) * places.align
    outcomes = Outcomes(kernel, placed(machine, cast("int", Vague(first.start, highest, places.align))))
    replays = 0

    def told(found: Begun[Outcome] | Outcome) -> Begun[Result] | Result:
        return Begun(found.state, lambda: told(found.go_on())) if isinstance(found, Begun) else _result(found)

    def begin(address: int) -> Begun[Result] | Result:
        return told(outcomes.begun(placed(machine, address)))

    def heard(share: float) -> None:
        nonlocal replays
        progress(share, replays)
        replays += 1

    found = [*ways_in_parts(begin, places, heard)]
    return KaslrSweep(places, tuple(_classes(found, places)), replays)


def _classes(found: list[Way[Result]], places: Places) -> Iterator[PlaceClass]:
    """The ways' places by their results, with neighbouring places as ranges."""
    ranges: dict[Result, list[tuple[int, int]]] = {}
    for start, end, result in sorted(stretches(found, places)):
        own = ranges.setdefault(result, [])
        if own and own[-1][1] == start:
            own[-1] = own[-1][0], end
        else:
            own.append((start, end))
    for result, own in ranges.items():
        slots = sum(end - start for start, end in own) // places.align
        yield PlaceClass(result, slots, tuple((start, end - places.align) for start, end in own))
