"""What a field of the model may hold, beyond its type: written beside the field, as the first word of `Annotated`.

The document's reader, its JSON Schema and its writer are made of these (`memplan.machine.schema`); the text that
follows in `Annotated` says what the field means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import NamedTuple, TypeVar

Value = TypeVar("Value")


class Unit(Enum):
    """Numbers of 64 bits that are read with a suffix (64K, 2G): written as an address, or as a size."""

    ADDRESS = "address"
    SIZE = "size"


class Count(NamedTuple):
    """A whole number from `least` to `most`."""

    least: int
    most: int


class Text(NamedTuple):
    """Text of at most `most` characters that matches `pattern` as a whole ("" any); `expected` says so in words."""

    most: int
    pattern: str = ""
    expected: str = ""


class Type(Enum):
    """The number of a type of memory, which the kernel has words for."""

    E820 = "e820"
    EFI = "EFI"


class FrozenMap(Mapping[str, Value]):
    """A mapping that never changes, and can be pickled."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, Value] | None = None) -> None:
        self._items = dict(items or {})

    def __getitem__(self, key: str) -> Value:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return repr(self._items)
