"""Numbers of which only limits are known: where a block lies that may lie anywhere in free memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.sweep.unknown import Amount
from memplan.units import round_down, round_up

if TYPE_CHECKING:
    from typing import TypeAlias

    Number: TypeAlias = "int | Amount | Vague"


class Undecided(Exception):
    """What happens next depends on more than is known."""


class Vague:
    """An integer from `low` to `high`, both included, and a multiple of `unit`.

    What holds for all such integers is answered; any other question raises Undecided.
    """

    __slots__ = ("high", "low", "unit")

    def __init__(self, low: int, high: int, unit: int = 1) -> None:
        self.low = low
        self.high = high
        self.unit = unit

    # -- arithmetic ---------------------------------------------------------------------------------------------

    def __add__(self, other: Number) -> Vague:
        low, high = limits(other)
        return Vague(self.low + low, self.high + high, _common(self.unit, other))

    __radd__ = __add__

    def __neg__(self) -> Vague:
        return Vague(-self.high, -self.low, self.unit)

    def __sub__(self, other: Number) -> Vague:
        return self + -other

    def __rsub__(self, other: int | Amount) -> Vague:
        return -self + other

    def __floordiv__(self, unit: int) -> Vague:
        if unit <= 0:
            raise Undecided
        return Vague(self.low // unit, self.high // unit)

    def __rshift__(self, bits: int) -> Vague:
        return self // (1 << bits)

    def __lshift__(self, bits: int) -> Vague:
        return Vague(self.low << bits, self.high << bits, self.unit << bits)

    def __mul__(self, factor: int) -> Vague:
        if factor <= 0:
            raise Undecided
        return Vague(self.low * factor, self.high * factor, self.unit * factor)

    __rmul__ = __mul__

    def __mod__(self, unit: int) -> int:
        if unit <= 0 or self.unit % unit:
            raise Undecided
        return 0

    def __and__(self, mask: int) -> Vague:
        """With a mask that keeps all of it, or drops low bits."""
        if self.low >= 0 and mask >= self.high and not mask & (mask + 1):
            return self
        if mask < 0 and not -mask & (-mask - 1):
            return Vague(round_down(self.low, -mask), round_down(self.high, -mask), -mask)
        raise Undecided

    def bit_length(self) -> int:
        """As int.bit_length, where all have as many bits."""
        bits = self.low.bit_length()
        if self.low < 0 or self.high.bit_length() != bits:
            raise Undecided
        return bits

    # -- comparisons --------------------------------------------------------------------------------------------

    def __lt__(self, other: Number) -> bool:
        low, high = limits(other)
        if self.high < low:
            return True
        if self.low >= high:
            return False
        raise Undecided

    def __ge__(self, other: Number) -> bool:
        return not self < other

    def __gt__(self, other: Number) -> bool:
        low, high = limits(other)
        if self.low > high:
            return True
        if self.high <= low:
            return False
        raise Undecided

    def __le__(self, other: Number) -> bool:
        return not self > other

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, int | Amount | Vague):
            return NotImplemented
        low, high = limits(other)
        if self.high < low or high < self.low:
            return False
        raise Undecided

    def __bool__(self) -> bool:
        return self != 0

    def __index__(self) -> int:
        raise Undecided

    __hash__ = None  # type: ignore[assignment]

    def __format__(self, spec: str) -> str:
        """Text for a line that nobody reads."""
        return format(self.low, spec)


def limits(number: Number) -> tuple[int, int]:
    """The lowest and the highest value that `number` can have."""
    if isinstance(number, int):
        return number, number
    return (number.low, number.high) if isinstance(number, Vague) else number.limits()


def _common(unit: int, other: Number) -> int:
    """A power of two that divides multiples of `unit` and `other`."""
    if isinstance(other, Amount):
        return 1
    divides = other if isinstance(other, int) else other.unit
    unit &= -unit
    return min(unit, divides & -divides) if divides else unit


def window(size: int, align: int) -> int:
    """The smallest power of two such that a window of as many bytes, at a multiple of it, holds an aligned block."""
    return max(1 << (size - 1).bit_length(), align)


def windows_within(low: int, high: int, width: int) -> int:
    """The whole windows in ``[low, high)``."""
    return max(0, round_down(high, width) - round_up(low, width)) // width
