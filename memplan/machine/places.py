"""Where the values of a machine stand: file, line and column, by the path of their field."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple


class Place(NamedTuple):
    """A line and column of the file (from 1; 0 unknown), the field it tells, or a binary table's byte offset."""

    file: str
    line: int = 0
    column: int = 0
    field: str = ""
    offset: int | None = None


class Places(Mapping[str, Place]):
    """Places by field path (``e820[3]``, ``srat.memory[0]``), worked out by `makers` when first asked for.

    What a later maker tells counts.  Where things stand is no part of what a machine is: all are equal to each other,
    so that machines are equal wherever they were described.
    """

    __slots__ = ("_known", "_makers")

    def __init__(self, *makers: Callable[[], Mapping[str, Place]] | Mapping[str, Place]) -> None:
        self._makers = makers
        self._known: list[Mapping[str, Place]] | None = None

    def nearest(self, path: str) -> Place | None:
        """The place of the field `path`, or of the nearest field around it; None where nothing is known."""
        while path:
            if (place := self.get(path)) is not None:
                return place
            path = path.rpartition("[" if path.endswith("]") else ".")[0]
        return None

    def _all(self) -> list[Mapping[str, Place]]:
        if self._known is None:
            self._known = [make if isinstance(make, Mapping) else make() for make in self._makers]
        return self._known

    def __getitem__(self, path: str) -> Place:
        for known in reversed(self._all()):
            if (place := known.get(path)) is not None:
                return place
        raise KeyError(path)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(path for known in self._all() for path in known))

    def __len__(self) -> int:
        return len(set().union(*self._all()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Places)

    def __hash__(self) -> int:
        return 0

    def __reduce__(self) -> tuple[type[Places], tuple[dict[str, Place]]]:
        return Places, (dict(self),)
