"""What a version does to memory that isn't replayed: an entry of configs/rules/unreplayed.yaml."""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple


class Unreplayed(NamedTuple):
    """One thing that isn't replayed, and when a boot comes to it; what is empty doesn't count."""

    what: str
    options: tuple[str, ...]
    config: str
    table: str

    def concerns(self, words: Container[str], tables: Container[str]) -> bool:
        """Whether option words and ACPI tables of a boot are those that it takes."""
        asked = not self.options or any(option in words for option in self.options)
        return asked and (not self.table or self.table in tables)
