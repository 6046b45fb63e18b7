"""Turns what memblock does into the plan's events: each with its step, its owner and the kernel's line."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from memplan.plan import Change, Checkpoint, Message, Region, Request

if TYPE_CHECKING:
    from memplan.memblock.memblock import Memblock
    from memplan.memblock.regions import RegionArray
    from memplan.plan import Event, Op


class Recorder:
    """Listens to memblock and keeps the events in order.

    `step` is the step that runs, `logged` whether the kernel prints its memblock lines by now, `before_srat`
    whether the SRAT has not been read yet.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.step = ""
        self.logged = False
        self.before_srat = True
        self._owner = ""
        self._caller = ""
        self._request = ""
        #: What was tagged while an array grows.
        self._interrupted: list[tuple[str, str, str]] = []

    def tag(self, owner: str, caller: str) -> None:
        """Names the owner and the printed caller of the changes that come next."""
        self._owner = owner
        self._caller = caller
        self._request = ""

    def request(self, text: str, owner: str, caller: str) -> None:
        """Names the owner and the caller of an allocation, and the line that the kernel prints before each block."""
        self.tag(owner, caller)
        self._request = text

    def requested(self, *, failed: bool) -> None:
        """The allocation is over; where it failed, its line stands alone."""
        if failed:
            self.events.append(Request(self._request, self.step, self._owner, self.logged))
        self._request = ""

    def changed(
        self, op: str, base: int, size: int, count: int, descending: bool, _nid: int | None, _flags: int
    ) -> None:
        """memblock's report of a change, at the moment in which the kernel prints its line."""
        self.events.append(
            Change(
                cast("Op", op),
                base,
                base + size,
                self.step,
                self._owner,
                self._caller,
                count,
                descending,
                self._request,
                self.logged,
                self.before_srat,
            )
        )

    def array_growth(self, name: str) -> None:
        """memblock moves its array `name` to larger storage: what comes next is for that."""
        self._interrupted.append((self._owner, self._caller, self._request))
        self.tag(f"memblock.{name} array", "memblock_double_array")

    def array_grown(self) -> None:
        """The array has moved; what was interrupted goes on."""
        self._owner, self._caller, self._request = self._interrupted.pop()

    def message(self, text: str, warning: bool) -> None:
        """A printed line, memblock's own or a step's; that of a growing array is one of memblock=debug."""
        debug = bool(self._interrupted) and not warning
        self.events.append(Message(text, self.step, warning, self.logged or not debug))

    def checkpoint(self, name: str, memblock: Memblock, *, dumped: bool) -> None:
        """Keeps both arrays as they are now."""
        self.events.append(
            Checkpoint(
                name,
                self.step,
                _regions(memblock.memory),
                _regions(memblock.reserved),
                memblock.memory.total_size,
                memblock.reserved.total_size,
                memblock.memory.cnt,
                memblock.reserved.cnt,
                dumped,
            )
        )


def _regions(array: RegionArray) -> tuple[Region, ...]:
    """The array's regions; NUMA_NO_NODE (-1) and no node at all differ for merging only."""
    return tuple(
        Region(base, base + size, None if nid is None or nid < 0 else nid, flags) for base, size, nid, flags in array
    )
