"""What a version does to memory that isn't replayed: an entry of configs/rules/unreplayed.yaml."""

from __future__ import annotations

from typing import NamedTuple


class Case(NamedTuple):
    """One way to come to an entry: all that isn't empty must hold.

    `value` is a regular expression for the whole value of one of `options`; options that are `searched` for in the
    command line need no handler.
    """

    options: tuple[str, ...]
    value: str
    config: str
    table: str
    machine: str
    searched: bool


class Unreplayed(NamedTuple):
    """One thing that isn't replayed: its name, what a plan does instead, and when a boot comes to it.

    `first` is the first release that has it, `until` the first one that doesn't; "" where it has no such end.
    """

    name: str
    what: str
    first: str
    until: str
    cases: tuple[Case, ...]

    @property
    def releases(self) -> str:
        """The releases that have it, in words; "" for all."""
        parts = (self.first and f"from {self.first}", self.until and f"before {self.until}")
        return " and ".join(filter(None, parts))
