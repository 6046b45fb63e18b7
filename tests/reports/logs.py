"""Public boot logs of real machines, reduced to what the kernel printed and freed of names."""

from __future__ import annotations

import lzma
from functools import cache
from pathlib import Path

DATA = Path(__file__).parent / "data"


@cache
def report(name: str) -> str:
    """The log of that name."""
    return lzma.decompress((DATA / f"{name}.log.xz").read_bytes()).decode()
