"""Turns what memblock does into the plan's events: each with its step, its owner and what was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from memplan.events import Change, Checkpoint, Mark, Message, Refused, Region
from memplan.owner import Owner, Purpose

if TYPE_CHECKING:
    from memplan.events import Event, Op, Request
    from memplan.memblock.memblock import Memblock
    from memplan.memblock.regions import RegionArray

    #: What the changes that come next are for, which kernel function makes them, and what it asked for.
    _Tag: TypeAlias = tuple[Owner, str, Request | None]


class Recorder:
    """Listens to memblock and keeps the events in order.

    `step` is the step that runs, `logged` whether the kernel prints its memblock lines by now, `before_srat`
    whether the SRAT has not been read yet.
    """

    def __init__(self, *, tells: bool = True) -> None:
        self.events: list[Event] = []
        #: Whether anybody reads what the kernel prints; where not, it need not be worked out.
        self.tells = tells
        self.step = ""
        self.logged = False
        self.before_srat = True
        self._tag: _Tag = (Owner(Purpose.RAM), "", None)
        #: What was tagged while an array grows.
        self._interrupted: list[_Tag] = []

    def tag(self, owner: Owner | Purpose, caller: str, request: Request | None = None) -> None:
        """Names the owner of the changes that come next, the kernel function, and what that asks for."""
        self._tag = Owner.of(owner), caller, request

    def refused(self) -> None:
        """There was no room for what was asked for last."""
        owner, caller, request = self._tag
        assert request is not None
        self.events.append(Refused(request, self.step, owner, caller, self.logged))

    def changed(self, op: Op, base: int, size: int, count: int, descending: bool, nid: int | None, flags: int) -> None:
        """memblock's report of a change, at the moment in which the kernel prints its line."""
        owner, caller, request = self._tag
        end = base + size
        # Made as a tuple is, which takes half the time of a named tuple's own constructor.
        self.events.append(
            tuple.__new__(
                Change,
                (
                    op,
                    base,
                    end,
                    self.step,
                    owner,
                    caller,
                    count,
                    descending,
                    request,
                    self.logged,
                    self.before_srat,
                    nid,
                    flags,
                ),
            )
        )

    def mark(
        self,
        array: Literal["memory", "reserved"],
        start: int,
        end: int,
        *,
        flag: int = 0,
        on: bool = True,
        nid: int | None = None,
    ) -> None:
        """Nodes or flags of regions change, of which the kernel says nothing."""
        if not self.tells:
            return
        nid = None if nid is None or nid < 0 else nid
        self.events.append(Mark(array, start, end, self.step, flag, on, nid))

    def array_growth(self, name: str) -> None:
        """memblock moves its array `name` to larger storage: what comes next is for that."""
        self._interrupted.append(self._tag)
        self.tag(Owner(Purpose.MEMBLOCK_ARRAY, detail=name), "memblock_double_array")

    def array_grown(self) -> None:
        """The array has moved; what was interrupted goes on."""
        self._tag = self._interrupted.pop()

    def message(self, text: str, warning: bool, about: Purpose | None = None) -> None:
        """A printed line, memblock's own or a step's; that of a growing array is one of memblock=debug."""
        if not self.tells:
            return
        debug = bool(self._interrupted) and not warning
        self.events.append(tuple.__new__(Message, (text, self.step, warning, self.logged or not debug, about)))

    def checkpoint(self, name: str, memblock: Memblock, *, dumped: bool) -> None:
        """Keeps both arrays as they are now."""
        if not self.tells:
            return
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
        [
            tuple.__new__(Region, (base, end, None if nid is None or nid < 0 else nid, flags))
            for base, end, (nid, flags) in array.regions()
        ]
    )
