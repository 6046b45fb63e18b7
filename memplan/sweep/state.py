"""What a boot has come to, as one value: equal for boots that do the same from here on with the image at one place."""

from __future__ import annotations

from enum import Enum
from itertools import chain
from types import FunctionType
from typing import TYPE_CHECKING, Any, cast

from memplan.boot.parameters import Parameters
from memplan.owner import Purpose
from memplan.sweep.unknown import Amount

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from memplan.boot.context import Boot

#: What all boots of one machine have in common, but for the image's place, and what follows from that alone.
_GIVEN = frozenset({"machine", "kernel", "rules", "params", "cmdline", "wording"})
_PLAIN = frozenset({int, bool, str})


class _Rounded(Exception):
    """A number depends on the place in another way than by lying so far from it, for the places that are left."""


class State:
    """The state of `boot`, the direct map of which has just been made and no crash kernel's memory reserved.

    Its numbers take the simplest form that is right for the places that led to it, so that more of them have one state.

    All that it holds is gone through, so that nothing is left out for which a later step may ask.  How the page tables
    were made only a plan tells, and `boot` forgets it; so it does what was worked out from what is in the state, as
    that may hold for the places alone that came here (:meth:`move`).
    """

    def __init__(self, boot: Boot) -> None:
        del boot.direct_map.table_runs, boot.direct_map.mappings
        boot.recorder.events.clear()
        boot.recorder.tag(Purpose.RAM, "")
        boot.memblock.forget_answers()
        self._boot = boot
        self._seen: dict[int, int] = {}
        self._by_place: list[dict[Any, Any]] = []
        #: Equal for equal states; None where numbers are still rounded, which tells little of other places.
        self.key: Hashable | None
        try:
            self.key = tuple([(name, self._value(own)) for name, own in _members(boot) if name not in _GIVEN])
        except _Rounded:
            self.key = None

    def move(self) -> None:
        """The unknown has other places by now: what was worked out, or is kept, by the former ones is done anew."""
        self._boot.params = Parameters(self._boot.machine, self._boot.kernel)
        for own in self._by_place:
            items = list(own.items())
            own.clear()
            own.update(items)

    def _value(self, own: Any) -> Hashable:
        """`own` with all that it holds; of an object that was seen before, only which one it is."""
        kind = type(own)
        if own is None or kind in _PLAIN or isinstance(own, Enum):
            return cast("Hashable", own)
        if kind is Amount:
            own.settle()
            if not own.terms:
                return cast("int", own.value)
            if own.shift is None:
                raise _Rounded
            return Amount, own.shift
        if isinstance(own, tuple | list):
            return tuple([each if type(each) is int else self._value(each) for each in own])
        if isinstance(own, set | frozenset):
            if any(type(each) is Amount for each in own):
                raise _Rounded
            return frozenset([self._value(each) for each in own])
        if isinstance(own, dict):
            if any(type(name) is Amount for name in own):
                self._by_place.append(own)
            return tuple([(self._value(name), self._value(each)) for name, each in own.items()])
        if isinstance(own, FunctionType):
            # What steps hand over to be called closes over the boot alone.
            return own.__code__
        if id(own) in self._seen:
            return kind, self._seen[id(own)]
        self._seen[id(own)] = len(self._seen)
        return kind, tuple([(name, self._value(each)) for name, each in _members(own)])


def _members(own: Any) -> Iterator[tuple[str, Any]]:
    slots = chain.from_iterable(getattr(kind, "__slots__", ()) for kind in type(own).__mro__)
    yield from ((name, getattr(own, name)) for name in slots)
    yield from getattr(own, "__dict__", {}).items()
