"""The boot as a film: both arrays, and who has what, after each step.

A frame keeps what its step changed, not the whole arrays: a film of a machine with ten thousand regions stays small.
Ranges are half-open ``[start, end)`` in bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from memplan.boot.context import Boot
from memplan.boot.ledger import Claim, Ledger
from memplan.boot.record import Recorder
from memplan.boot.registry import find_step
from memplan.boot.replay import played
from memplan.events import Change, Region
from memplan.units import U64_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from memplan.events import Op, Request
    from memplan.kernel.model import Kernel
    from memplan.machine.model import Machine
    from memplan.memblock.regions import RegionArray
    from memplan.memblock.requests import Candidate
    from memplan.plan import Plan

#: How many regions the searches of a film may look at; those of allocations behind that are not kept.
_MOST_LOOKED_AT = 300_000

_Piece = TypeVar("_Piece")


class Held(NamedTuple):
    """A reserved range and the claim on it."""

    start: int
    end: int
    claim: Claim


class Delta(NamedTuple, Generic[_Piece]):
    """What becomes of a sorted list of ranges: the indices that go, then the pieces that come, upwards."""

    gone: tuple[int, ...]
    come: tuple[_Piece, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """One step and what it left behind.

    ``plan.events[first:last]`` happened in it.  `bottom_up` is the direction of allocations after it, `before_srat`
    whether the SRAT has not been read yet, `limit` the limit in force for allocations.  `memory` and `reserved` are
    what it changed in the arrays, `held` what it changed of who has what.
    """

    step: str
    source: str
    first: int
    last: int
    bottom_up: bool
    before_srat: bool
    limit: int
    memory: Delta[Region]
    reserved: Delta[Region]
    held: Delta[Held]


@dataclass(frozen=True, slots=True)
class Film:
    """A plan and its frames.

    `searches` has for the number of an event what memblock looked at for that allocation, in its order; `left_out` is
    how many allocations have none, as they would have been too many.
    """

    machine: Machine
    kernel: Kernel
    bottom_up: bool | None
    plan: Plan
    frames: tuple[Frame, ...]
    searches: Mapping[int, tuple[Candidate, ...]]
    left_out: int


def film(machine: Machine, kernel: Kernel, *, bottom_up: bool | None = None) -> Film:
    """The film of `machine` booting `kernel`; arguments and errors as in :func:`memplan.boot.replay.replay`."""
    recorder = _Camera()
    boot = Boot(machine, kernel, bottom_up=bottom_up, recorder=recorder)
    recorder.boot = boot
    cutter = _Cutter(boot)
    plan = played(boot, lambda step: cutter.cut(step.name))
    if not plan.end.completed:
        cutter.cut(plan.end.step)
    return Film(machine, kernel, bottom_up, plan, tuple(cutter.frames), recorder.searches, recorder.left_out)


class _Camera(Recorder):
    """A recorder that also keeps, before an allocation is made, how memblock comes to its place."""

    def __init__(self) -> None:
        super().__init__()
        self.boot: Boot | None = None
        self.searches: dict[int, tuple[Candidate, ...]] = {}
        self.left_out = 0
        self._looked_at = 0

    def changed(self, op: Op, base: int, size: int, count: int, descending: bool, nid: int | None, flags: int) -> None:
        """As the recorder's; both arrays are as they were before the change."""
        _, _, request = self._tag
        if op == "reserve" and request is not None:
            self._search(request)
        super().changed(op, base, size, count, descending, nid, flags)

    def refused(self) -> None:
        """As the recorder's."""
        _, _, request = self._tag
        if request is not None:
            self._search(request)
        super().refused()

    def _search(self, request: Request) -> None:
        assert self.boot is not None
        if self._looked_at >= _MOST_LOOKED_AT:
            self.left_out += 1
            return
        memory, memblock = self.boot.memory, self.boot.memblock
        found: list[Candidate] = []
        for number, search in enumerate(memory.searches(request)):
            self._looked_at += memblock.memory.cnt + memblock.reserved.cnt
            found += (each._replace(attempt=each.attempt + number) for each in memblock.candidates(search))
            if found and found[-1].address:
                break
        self._looked_at += len(found)
        self.searches[len(self.events)] = tuple(found)


class _Cutter:
    """Looks at a boot after each step and keeps what has changed since it last looked."""

    def __init__(self, boot: Boot) -> None:
        self.frames: list[Frame] = []
        self._boot = boot
        self._ledger = Ledger()
        self._seen = 0
        self._memory: list[Region] = []
        self._reserved: list[Region] = []
        self._held: list[Held] = []

    def cut(self, step: str) -> None:
        """Adds the frame of `step`, which has just run."""
        boot = self._boot
        events = boot.recorder.events
        first, self._seen = self._seen, len(events)
        memory, reserved, held = self._memory, self._reserved, self._held
        if first < len(events):
            for event in events[first:]:
                if isinstance(event, Change) and event.start < event.end:
                    end = min(event.end, U64_MAX)
                    if event.op == "reserve":
                        self._ledger.reserve(event.start, end, Claim(event.owner, event.step, event.before_srat))
                    elif event.op == "free":
                        self._ledger.free(event.start, end)
            self._memory, self._reserved = _regions(boot.memblock.memory), _regions(boot.memblock.reserved)
            self._held = [Held(*own) for own in self._ledger]
        self.frames.append(
            Frame(
                step,
                find_step(step).source,
                first,
                len(events),
                boot.memblock.bottom_up,
                boot.recorder.before_srat,
                boot.memblock.current_limit,
                _delta(memory, self._memory, memory, self._memory),
                _delta(reserved, self._reserved, reserved, self._reserved),
                _delta(held, self._held, _identities(held), _identities(self._held)),
            )
        )


def _regions(array: RegionArray) -> list[Region]:
    """The regions of an array; NUMA_NO_NODE (-1) and no node at all are one."""
    return [
        Region(base, base + size, None if nid is None or nid < 0 else nid, flags) for base, size, nid, flags in array
    ]


def _identities(pieces: Iterable[Held]) -> list[tuple[int, int, int]]:
    """What tells one held range from another, of numbers alone; a claim that is cut stays the same object."""
    return [(start, end, id(claim)) for start, end, claim in pieces]


def _delta(
    old: Sequence[_Piece], new: Sequence[_Piece], old_keys: Sequence[object], new_keys: Sequence[object]
) -> Delta[_Piece]:
    if old is new:
        return Delta((), ())
    before, after = set(old_keys), set(new_keys)
    return Delta(
        tuple(index for index, key in enumerate(old_keys) if key not in after),
        tuple(piece for piece, key in zip(new, new_keys, strict=True) if key not in before),
    )
