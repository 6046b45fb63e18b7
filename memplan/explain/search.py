"""How one allocation found its place: the boot is replayed up to it, and memblock asked what it looked at."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from memplan.boot.context import Boot
from memplan.boot.panic import BootPanic
from memplan.boot.record import Recorder
from memplan.boot.replay import run

if TYPE_CHECKING:
    from memplan.events import Op, Request
    from memplan.kernel.model import Kernel
    from memplan.machine.model import Machine
    from memplan.memblock.requests import Candidate


class _ReachedError(Exception):
    """The event that was waited for is about to be recorded; both arrays are as they were before it."""


class _Waiting(Recorder):
    """A recorder that stops the boot at the event of number `target`."""

    def __init__(self, target: int) -> None:
        super().__init__()
        self._target = target

    def changed(self, op: Op, base: int, size: int, count: int, descending: bool, nid: int | None, flags: int) -> None:
        """As the recorder's, up to the target."""
        self._stop_there()
        super().changed(op, base, size, count, descending, nid, flags)

    def refused(self) -> None:
        """As the recorder's, up to the target."""
        self._stop_there()
        super().refused()

    def _stop_there(self) -> None:
        if len(self.events) == self._target:
            raise _ReachedError


def candidates(
    machine: Machine, kernel: Kernel, request: Request, event: int, *, bottom_up: bool | None = None
) -> tuple[Candidate, ...]:
    """The free ranges that memblock looked at for `request`, in its order; the last one has the address, if one has.

    `event` is the number of the plan's event that tells of the allocation; of a run of blocks the first is meant.
    """
    boot = Boot(machine, kernel, bottom_up=bottom_up, recorder=_Waiting(event))
    with suppress(_ReachedError, BootPanic):
        deque(run(boot), maxlen=0)
    found: list[Candidate] = []
    for number, search in enumerate(boot.memory.searches(request)):
        found += (
            candidate._replace(attempt=candidate.attempt + number) for candidate in boot.memblock.candidates(search)
        )
        if found and found[-1].address:
            break
    return tuple(found)
