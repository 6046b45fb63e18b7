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


def state_of(boot: Boot) -> Hashable | None:
    """The state of `boot`, the direct map of which has just been made and no crash kernel's memory reserved.

    Its numbers take the simplest form that is right for the places that led to it, so that more of them have one state.
    None where numbers in it are still rounded, which tells little of other places.

    All that it holds is gone through, so that nothing is left out for which a later step may ask.  How the page tables
    were made only a plan tells, and `boot` forgets it; so it does what was worked out from what is in the state, as
    that may hold for the places alone that came here.
    """
    del boot.direct_map.table_runs, boot.direct_map.mappings
    boot.recorder.events.clear()
    boot.recorder.tag(Purpose.RAM, "")
    boot.memblock.forget_answers()
    boot.params = Parameters(boot.machine, boot.kernel)
    seen: dict[int, int] = {}
    try:
        return tuple([(name, _value(own, seen)) for name, own in _members(boot) if name not in _GIVEN])
    except _Rounded:
        return None


def _value(own: Any, seen: dict[int, int]) -> Hashable:
    """`own` with all that it holds; of an object that was `seen` before, only which one it is."""
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
        return tuple([each if type(each) is int else _value(each, seen) for each in own])
    if isinstance(own, set | frozenset):
        return frozenset([_value(each, seen) for each in own])
    if isinstance(own, dict):
        return tuple([(_value(name, seen), _value(each, seen)) for name, each in own.items()])
    if isinstance(own, FunctionType):
        # What steps hand over to be called closes over the boot alone.
        return own.__code__
    if id(own) in seen:
        return kind, seen[id(own)]
    seen[id(own)] = len(seen)
    return kind, tuple([(name, _value(each, seen)) for name, each in _members(own)])


def _members(own: Any) -> Iterator[tuple[str, Any]]:
    slots = chain.from_iterable(getattr(kind, "__slots__", ()) for kind in type(own).__mro__)
    yield from ((name, getattr(own, name)) for name in slots)
    yield from getattr(own, "__dict__", {}).items()
