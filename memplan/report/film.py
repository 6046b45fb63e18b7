"""The boot as a film: both arrays, and who has what, after each step.

A frame keeps what its step changed, not the whole arrays: a film of a machine with ten thousand regions stays small.
Ranges are half-open ``[start, end)`` in bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeAlias, TypeVar

from memplan.boot.context import Boot
from memplan.boot.ledger import Ledger
from memplan.boot.record import Recorder
from memplan.boot.registry import find_step
from memplan.boot.replay import played
from memplan.events import Change, Region
from memplan.units import U64_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from memplan.events import Op, Request
    from memplan.kernel.model import Kernel
    from memplan.machine.model import Machine
    from memplan.memblock.requests import Candidate
    from memplan.owner import Owner
    from memplan.plan import Plan

#: How many regions the searches of a film may look at; those of allocations behind that are not kept.
_MOST_LOOKED_AT = 25_000

_Piece = TypeVar("_Piece")
#: A range as the boot keeps it: start, end, and what tells it from another of that place.
_Row: TypeAlias = tuple[int, int, Any]


class Claim(NamedTuple):
    """What one reservation says of its range: what it is for, the step that made it, and when."""

    owner: Owner
    step: str
    before_srat: bool


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
        self._ledger: Ledger[Claim] = Ledger()
        self._seen = 0
        self._memory: dict[_Row, None] = {}
        self._reserved: dict[_Row, None] = {}
        self._held: dict[_Row, None] = {}
        #: The claims by their identities, which their rows have: a claim that is cut stays the same object.
        self._claims: dict[int, Claim] = {}

    def cut(self, step: str) -> None:
        """Adds the frame of `step`, which has just run."""
        boot = self._boot
        events = boot.recorder.events
        first, self._seen = self._seen, len(events)
        memory, reserved, held = self._memory, self._reserved, self._held
        if first < len(events):
            self._memory = dict.fromkeys(boot.memblock.memory.regions())
            self._reserved = dict.fromkeys(boot.memblock.reserved.regions())
            changes = [event for event in events[first:] if isinstance(event, Change) and event.start < event.end]
            for change in changes:
                self._claim(change)
            if changes:
                self._held = dict.fromkeys((start, end, id(claim)) for start, end, claim in self._ledger)
        self.frames.append(
            Frame(
                step,
                find_step(step).source,
                first,
                len(events),
                boot.memblock.bottom_up,
                boot.recorder.before_srat,
                boot.memblock.current_limit,
                _delta(memory, self._memory, _region),
                _delta(reserved, self._reserved, _region),
                _delta(held, self._held, lambda row: Held(row[0], row[1], self._claims[row[2]])),
            )
        )

    def _claim(self, change: Change) -> None:
        end = min(change.end, U64_MAX)
        if change.op == "reserve":
            claim = Claim(change.owner, change.step, change.before_srat)
            self._claims[id(claim)] = claim
            self._ledger.reserve(change.start, end, claim)
        elif change.op == "free":
            self._ledger.free(change.start, end)


def _region(row: _Row) -> Region:
    """A region of an array; NUMA_NO_NODE (-1) and no node at all are one."""
    base, end, (nid, flags) = row
    return Region(base, end, None if nid is None or nid < 0 else nid, flags)


def _delta(old: dict[_Row, None], new: dict[_Row, None], made: Callable[[_Row], _Piece]) -> Delta[_Piece]:
    """What becomes of `old`, whose keys are rows in their order.

    A piece is `made` of a row, and rows of which the same is made count as one.
    """
    if old is new:
        return Delta((), ())
    gone = [(index, made(row)) for index, row in enumerate(old) if row not in new]
    come = [made(row) for row in new if row not in old]
    # Most steps only add ranges; then nothing can be the same.
    same = {piece for _, piece in gone}.intersection(come) if gone and come else frozenset()
    return Delta(
        tuple(index for index, piece in gone if piece not in same), tuple(piece for piece in come if piece not in same)
    )
