"""How far long work has come, for whoever waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

#: Hears, each time before a boot is replayed, which share of the work is done (from 0 to 1; None where nobody can
#: know) and how many replays it took so far.
Progress: TypeAlias = Callable[[float | None, int], None]


def unheard(*_: object) -> None:
    """Nobody waits, for this or for anything else that is told while work goes on."""
