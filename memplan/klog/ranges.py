"""Ranges as the kernel prints them: the last byte in recent versions, the first behind the range in old ones."""

from __future__ import annotations

import re

#: A number as the kernel prints addresses, whole.
HEX = re.compile(r"(?a)0x[0-9a-fA-F]{1,16}(?![0-9a-fA-F])")


def extent(start: str, end: str, *, inclusive: bool = True) -> tuple[int, int] | None:
    """The half-open range of two hexadecimal numbers; None where that is no range of 64-bit addresses."""
    first, last = int(start, 16), int(end, 16) + inclusive
    return (first, last) if first < last <= 1 << 64 else None
