"""What the memblock tests share: engines, and a listener that keeps what it hears."""

from __future__ import annotations

from memplan.kernel.resolve import load_rules
from memplan.memblock.memblock import Memblock

VERSIONS = ("3.13", "5.10", "6.1", "6.12")
#: One of each way in which memblock searches, allocates and reserves.
WAYS = ("3.13", "3.14", "3.16", "4.4", "4.20", "5.3", "5.4.0", *VERSIONS[1:], "6.6.87", "6.18", "7.1")
MAX_NUMNODES = 1024


class Ears:
    """Keeps all that memblock tells, in order."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []

    def changed(
        self, op: str, base: int, size: int, count: int, descending: bool, _nid: int | None, _flags: int
    ) -> None:
        """Each piece of a run becomes an entry of its own, in the order in which they were taken."""
        piece = size // count
        bases = range(base, base + piece * count, piece) if piece else (base,)
        for at in reversed(bases) if descending else bases:
            self.heard.append((op, at, piece))

    def message(self, text: str, warning: bool) -> None:
        self.heard.append((text, warning))

    def array_growth(self, name: str) -> None:
        self.heard.append(("grows", name))

    def array_grown(self) -> None:
        self.heard.append(("grown",))


def engine(version: str) -> tuple[Memblock, Ears]:
    """A new memblock of that version, and its listener."""
    ears = Ears()
    return Memblock(load_rules(version).memblock, max_numnodes=MAX_NUMNODES, listener=ears), ears
