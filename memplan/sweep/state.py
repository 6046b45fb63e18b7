"""What a boot has come to, as one value: equal for boots that do the same from here on with the image at one place."""

from __future__ import annotations

from enum import Enum
from functools import partial
from io import BytesIO
from itertools import chain
from pickle import Pickler, Unpickler
from types import MethodType
from typing import TYPE_CHECKING, Any, cast

from memplan.boot.parameters import Parameters
from memplan.owner import Purpose
from memplan.sweep.unknown import Amount

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from memplan.boot.context import Boot

#: What all boots of one machine have in common, but for the image's place, and what follows from that alone: whatever
#: holds it, by these names.
_GIVEN = frozenset({"machine", "kernel", "rules", "params", "cmdline", "wording"})
_PLAIN = frozenset({int, bool, str})


class _Rounded(Exception):
    """What a set holds depends on the place."""


class State:
    """The state of `boot`, with no crash kernel's memory reserved yet, and of what else it goes on with (`more`).

    Its numbers take the simplest form that is right for the places that led to it, so that more of them have one state.

    All that it holds is gone through, so that nothing is left out for which a later step may ask.  How the page tables
    were made only a plan tells, and `boot` forgets it; so it does what was worked out from what is in the state, as
    that may hold for the places alone that came here.
    """

    def __init__(self, boot: Boot, *more: object) -> None:
        boot.direct_map.table_runs.clear()
        boot.direct_map.mappings = ()
        boot.recorder.events.clear()
        boot.recorder.tag(Purpose.RAM, "")
        boot.memblock.forget_answers()
        self._held: tuple[object, ...] = boot, *more
        self._kept: bytes | None = None
        #: What copies have in common: what is given, and the unknown.
        self._given: dict[int, Any] = {}
        self._seen: dict[int, int] = {}
        #: Equal for equal states; None where what a set holds depends on the place, which tells little of other places.
        self.key: Hashable | None
        try:
            self.key = self._value(self._held)
        except _Rounded:
            self.key = None

    def copy(self) -> tuple[Any, ...]:
        """The boot and what else was held, to go on with, for whatever places the unknown has by now."""
        if self._kept is None:
            file = BytesIO()
            _Keeper(file, self._given).dump(self._held)
            self._kept, self._held = file.getvalue(), ()
        boot, *more = _Finder(BytesIO(self._kept), self._given).load()
        # What follows from the place may have been worked out for others.
        boot.params = Parameters(boot.machine, boot.kernel)
        return boot, *more

    def _value(self, own: Any) -> Hashable:
        """`own` with all that it holds; of an object that was seen before, only which one it is."""
        kind = type(own)
        if own is None or kind in _PLAIN or isinstance(own, Enum):
            return cast("Hashable", own)
        if kind is Amount:
            self._given[id(own.unknown)] = own.unknown
            own.settle()
            if not own.terms:
                return cast("int", own.value)
            return Amount, tuple(sorted(own.terms)), own.constant, own.divisor
        if isinstance(own, tuple | list):
            return tuple([each if type(each) is int else self._value(each) for each in own])
        if isinstance(own, set | frozenset):
            if any(type(each) is Amount for each in own):
                raise _Rounded
            return frozenset([self._value(each) for each in own])
        if isinstance(own, dict):
            return tuple([(self._value(name), self._value(each)) for name, each in own.items()])
        if isinstance(own, partial):
            return self._value((own.func, own.args, own.keywords))
        if isinstance(own, MethodType):
            return own.__func__, self._value(own.__self__)
        if id(own) in self._seen:
            return kind, self._seen[id(own)]
        self._seen[id(own)] = len(self._seen)
        members = []
        for name, each in _members(own):
            if name in _GIVEN:
                self._given[id(each)] = each
            else:
                members.append((name, self._value(each)))
        return kind, tuple(members)


class _Keeper(Pickler):
    """Keeps what copies are made of, but for what they have in common."""

    def __init__(self, file: BytesIO, given: dict[int, Any]) -> None:
        super().__init__(file)
        self._given = given

    def persistent_id(self, own: object) -> int | None:
        """What stands for an object that copies have in common."""
        return id(own) if id(own) in self._given else None


class _Finder(Unpickler):
    """Makes a copy."""

    def __init__(self, file: BytesIO, given: dict[int, Any]) -> None:
        super().__init__(file)
        self._given = given

    def persistent_load(self, number: int) -> object:
        """The object that the number stands for."""
        return self._given[number]


def _members(own: Any) -> Iterator[tuple[str, Any]]:
    slots = chain.from_iterable(getattr(kind, "__slots__", ()) for kind in type(own).__mro__)
    yield from ((name, getattr(own, name)) for name in slots)
    yield from getattr(own, "__dict__", {}).items()
