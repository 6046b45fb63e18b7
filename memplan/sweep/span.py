"""All values of one thing between two limits, as a user writes them: ``128M..8G``, ``256M@1G..4G``, ``10..90%``."""

from __future__ import annotations

import re
from math import gcd
from typing import TYPE_CHECKING, NamedTuple

from memplan.errors import UsageError
from memplan.sweep.settings import is_field
from memplan.units import KIB, MIB, PAGE_SIZE, memparse, size_text, wraps

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Fields that are addresses; the pages at which things are put.
_ADDRESSES = (".start", ".load_address", ".address", ".base")
#: Options of sizes in bytes; what others are given as a plain number is a count.
SIZES = frozenset(
    {
        "alloc_mptable",
        "cma",
        "crashkernel",
        "hugetlb_cma",
        "kernelcore",
        "log_buf_len",
        "mem",
        "memmap",
        "memory_corruption_check_size",
        "movablecore",
        "reserve_mem",
        "reservelow",
    }
)
#: What stands before the limits and behind them belongs to every value.
_RANGE = re.compile(
    r"(?P<before>(?:.*[^\w.])?)(?P<low>\w+)%?\.\.(?P<high>\w+)(?:%?\.\.(?P<step>\w+))?(?P<behind>(?:[^\w.].*)?)"
)
#: Letters of units smaller than 1 MiB, and that.
_LETTERS = {"k": KIB, "m": MIB}


class Span(NamedTuple):
    """All values of `name` from `low` to `high`, both included, `step` apart.

    `prefix` and `suffix` stand before and behind the number of each (``0:``, ``,high``, ``%``).  Where no limit has a
    letter for its unit, all values are `plain` numbers: they may be counts, of which a letter would make something else
    (``nr_cpus=1K``, ``numa=fake=1K``).
    """

    name: str
    low: int
    high: int
    step: int
    prefix: str = ""
    suffix: str = ""
    plain: bool = False

    @property
    def stride(self) -> int:
        """The largest power of two of which all values are multiples."""
        common = gcd(self.low, self.step)
        return common & -common

    @property
    def shift(self) -> int:
        """The bits of the unit in which an option's values are written: the largest that divides all of them."""
        if self.plain or is_field(self.name):
            return 0
        return next(bits for bits in (40, 30, 20, 10, 0) if not self.stride & ((1 << bits) - 1))

    @property
    def unit(self) -> str:
        """The letter of that unit."""
        return {0: "", 10: "K", 20: "M", 30: "G", 40: "T"}[self.shift]

    def number(self, value: int) -> str:
        """The digits of a value, without its unit."""
        return f"{value:#x}" if is_field(self.name) else str(value >> self.shift)

    def text(self, value: int) -> str:
        """A value as it is written in a setting; all of one length have the same unit."""
        return f"{self.prefix}{self.number(value)}{self.unit}{self.suffix}"

    def shown(self, value: int) -> str:
        """A value for people."""
        return (
            self.text(value) if self.plain or is_field(self.name) else f"{self.prefix}{size_text(value)}{self.suffix}"
        )

    def within(self, start: int, end: int) -> tuple[int, int] | None:
        """The first and the last value in ``[start, end)``; None where there is none."""
        first = self.low + max(0, -(-(start - self.low) // self.step)) * self.step
        last = self.low + (min(end - 1, self.high) - self.low) // self.step * self.step
        return (first, last) if first <= last else None

    def by_length(self) -> Iterator[tuple[int, int]]:
        """The values whose numbers have as many digits, as the first of them and the last one; 0 by itself."""
        at = self.low
        if not at:
            yield 0, 0
            at = self.step
        while at <= self.high:
            digits = len(self.number(at))
            # The numbers from `at` on with as many digits end below this one.
            found = self.within(at, 10**digits << self.shift)
            assert found is not None
            yield found
            at = found[1] + self.step


def read_span(name: str, text: str) -> Span | None:
    """The span that `text` (``128M..8G``, ``1G..4G..64M``, ``128M..8G,high``) means; None for anything else.

    Raises UsageError for limits that are none, or that Linux itself would cut to 64 bits.
    """
    if ".." not in text:
        return None
    found = _RANGE.fullmatch(text)
    numbers = [] if found is None else [(part, *memparse(part)) for part in found.group("low", "high", "step") if part]
    if found is None or any(rest for _, _, rest in numbers) or ("%" in text and not found["behind"].startswith("%")):
        raise UsageError(f"{name}={text}: a range is written like 128M..8G, or with its step like 128M..8G..16M")
    if any(wraps(part) for part, _, _ in numbers):
        raise UsageError(f"{name}={text[:80]}: the limits and the step of a range have at most 64 bits")
    low, high = numbers[0][1], numbers[1][1]
    step = numbers[2][1] if len(numbers) > 2 else _usual_step(name, numbers)
    plain = not any(_letter(part) for part, _, _ in numbers)
    if low > high:
        raise UsageError(f"{name}={text}: a range goes from its lower limit to the higher one")
    if not step:
        raise UsageError(f"{name}={text}: a step of 0 leads nowhere")
    return Span(name, low, low + (high - low) // step * step, step, found["before"], found["behind"], plain)


def _usual_step(name: str, numbers: list[tuple[str, int, str]]) -> int:
    """A page for addresses; else the smallest unit in which a limit is written, and 1 MiB at most."""
    if is_field(name) and name.endswith(_ADDRESSES):
        return PAGE_SIZE
    is_size = is_field(name) or name in SIZES
    return min([MIB, *(_unit(part, value, is_size) for part, value, _ in numbers if value)])


def _unit(part: str, value: int, is_size: bool) -> int:
    """The unit of a limit: its letter's; else 1, or for a size in bytes what its zeros tell where it is whole pages."""
    if letter := _letter(part):
        return _LETTERS.get(letter, MIB)
    return value & -value if is_size and not value % PAGE_SIZE else 1


def _letter(part: str) -> str:
    """The letter of the unit in which a limit is written; "" where it has none."""
    letter = part[-1].lower()
    return letter if letter.isalpha() and part[:2].lower() != "0x" else ""
