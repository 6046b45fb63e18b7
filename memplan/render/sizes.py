"""Sizes and numbers of nodes for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.units import UNITS

if TYPE_CHECKING:
    from collections.abc import Iterable


def rounded(size: int) -> str:
    """`size` bytes in three digits, or four below the next unit: ``514 GiB``, ``33.2 MiB``, ``1020 GiB``."""
    unit = max(size.bit_length() - 1, 0) // 10
    value = size / (1 << 10 * unit)
    if value >= 1023.5 and unit < len(UNITS) - 1:
        unit, value = unit + 1, 1
    return f"{value:.0f} {UNITS[unit]}" if value >= 999.5 else f"{value:.3g} {UNITS[unit]}"


def numbers(values: Iterable[int]) -> str:
    """Numbers in short: ``0-3, 7``."""
    runs: list[list[int]] = []
    for value in sorted(set(values)):
        if runs and runs[-1][1] == value - 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def nodes_text(nids: Iterable[int]) -> str:
    """Nodes by their numbers: ``node 3``, ``nodes 0-3, 7``."""
    known = set(nids)
    return f"node{'s' if len(known) > 1 else ''} {numbers(known)}"
