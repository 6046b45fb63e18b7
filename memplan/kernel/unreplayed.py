"""What a version does to memory that isn't replayed: configs/rules/unreplayed.yaml, asked for one boot."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from memplan.kernel.model import Kernel


class Unreplayed(NamedTuple):
    """One thing that isn't replayed, and when a boot comes to it; what is empty doesn't count."""

    what: str
    options: tuple[str, ...]
    config: str
    table: str


def unreplayed(kernel: Kernel, words: Container[str], tables: Container[str]) -> Iterator[str]:
    """What isn't replayed of a boot of `kernel` with these option words and ACPI tables, in words."""
    for one in kernel.rules.unreplayed:
        if one.options and not any(option in words for option in one.options):
            continue
        if (one.config and not kernel.config(one.config)) or (one.table and one.table not in tables):
            continue
        yield f"not replayed: {one.what}"
