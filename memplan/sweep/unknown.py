"""Numbers that depend on the kernel image's place: arithmetic with one unknown, which notes for which places it holds.

A replay runs with an :class:`Amount` for the image's place.  It computes with one example, and with what is known of
all other places at the same time: each comparison is answered for the example, and the :class:`Unknown` is narrowed to
the places for which the answer is the same.  So at the replay's end every place that is left has led through the very
same steps, and what was cut off on the way is left for other replays.

Rounding makes periods: the image's place modulo 1 GiB may decide how many page tables there are, whatever the GiB.  So
what is known of the unknown x is one interval for each modulus in use, ``low <= x mod m < high``, and one for x itself
(the modulus 0).  x is a multiple of the `stride` of places, and so are all moduli.  They are powers of two; of a
division by another number only places with the same rest are kept.
"""

from __future__ import annotations

from math import gcd, lcm
from typing import NamedTuple, TypeAlias

from memplan.units import round_down

#: For each modulus (0: x itself) the interval of x mod it.
Box: TypeAlias = dict[int, tuple[int, int]]
#: c * (x mod m), as (m, c).
_Terms: TypeAlias = tuple[tuple[int, int], ...]
#: The terms of x itself.
_ITSELF: _Terms = ((0, 1),)

#: No address or size is as high: the kernel has 64 bits.
_ENDLESS = 1 << 65
#: What lies no further from the image is likely to have come to lie there for its sake.
_NEAR = 1 << 30


class Cut(NamedTuple):
    """What was cut off: `box`, and the box that it was a part of until then."""

    box: Box
    within: Box


class Unknown:
    """The image's place x: the example, and the box of places for which everything so far is as for the example.

    `cut` are the boxes that were cut off, in order, disjoint from each other and from the box that is left.
    """

    __slots__ = ("_bounds", "box", "cut", "example", "first", "last", "stride")

    def __init__(self, example: int, stride: int, box: Box) -> None:
        self.example: int
        self.stride = stride
        self.box: Box
        self.cut: list[Cut]
        self._bounds: dict[int, tuple[int, int]]
        #: The lowest and the highest place in the box, as far as the interval of x itself tells.
        self.first: int
        self.last: int
        self.go_on(example, box)

    def go_on(self, example: int, box: Box) -> None:
        """Another part of a replay begins, of which is asked what becomes of the places in `box`, `example` first."""
        self.example = example
        self.box = dict(box)
        self.cut = []
        self._bounds = {}
        self.first, self.last = self.bounds(0)

    def amount(self) -> Amount:
        """x itself, to compute with."""
        return Amount(self, _ITSELF, 0, 1)

    def residue(self, modulus: int) -> int:
        """The example modulo `modulus`."""
        return self.example % modulus if modulus else self.example

    def bounds(self, modulus: int) -> tuple[int, int]:
        """The lowest and the highest value that x mod `modulus` still has."""
        found = self._bounds.get(modulus)
        if found is None:
            low, high = self._interval(modulus)
            found = self._bounds[modulus] = low, high - self.stride
        return found

    def keep(self, modulus: int, low: int, high: int) -> None:
        """Narrows x mod `modulus` to ``[low, high)``, in which the example's is."""
        stride = self.stride
        before = self._interval(modulus)
        low = max(before[0], -(-low // stride) * stride)
        high = min(before[1], -(-high // stride) * stride)
        if before[0] < low:
            self.cut.append(Cut({**self.box, modulus: (before[0], low)}, {**self.box}))
        self.box[modulus] = low, before[1]
        if high < before[1]:
            self.cut.append(Cut({**self.box, modulus: (high, before[1])}, {**self.box}))
        self.box[modulus] = low, high
        self._bounds.clear()
        self.first, self.last = self.bounds(0)

    def _interval(self, modulus: int) -> tuple[int, int]:
        known = self.box.get(modulus)
        if known is not None:
            return known
        low, high = self.box[0]
        if low // modulus == (high - 1) // modulus:
            return low % modulus, (high - 1) % modulus + 1
        return 0, modulus


class Amount:
    """An integer that depends on x: ``(sum of c * (x mod m) + constant) / divisor``; `value` is the example's.

    It does what an int does.  Whatever it is not taught fails, so that nothing is computed with the example alone.
    """

    __slots__ = ("constant", "divisor", "terms", "unknown")

    def __init__(self, unknown: Unknown, terms: _Terms, constant: int, divisor: int) -> None:
        self.unknown = unknown
        self.terms = terms
        self.constant = constant
        self.divisor = divisor

    def __reduce__(self) -> tuple[object, ...]:
        """A copy is of the same unknown, where that is kept out of what is copied."""
        return _copied, (self.unknown, self.terms, self.constant, self.divisor)

    @property
    def value(self) -> int:
        """The example's."""
        residue = self.unknown.residue
        return (sum([factor * residue(modulus) for modulus, factor in self.terms]) + self.constant) // self.divisor

    # -- arithmetic ---------------------------------------------------------------------------------------------

    def __add__(self, other: Amount | int) -> Amount | int:
        if isinstance(other, int):
            return Amount(self.unknown, self.terms, self.constant + other * self.divisor, self.divisor)
        return self._combined(other, 1)

    __radd__ = __add__

    def __sub__(self, other: Amount | int) -> Amount | int:
        if isinstance(other, int):
            return Amount(self.unknown, self.terms, self.constant - other * self.divisor, self.divisor)
        return self._combined(other, -1)

    def __rsub__(self, other: int) -> Amount:
        return Amount(self.unknown, _scaled(self.terms, -1), other * self.divisor - self.constant, self.divisor)

    def __neg__(self) -> Amount:
        return Amount(self.unknown, _scaled(self.terms, -1), -self.constant, self.divisor)

    def __mul__(self, other: int) -> Amount | int:
        if not isinstance(other, int):
            other = other.__index__()
        return _made(self.unknown, _scaled(self.terms, other), self.constant * other, self.divisor)

    __rmul__ = __mul__

    def __floordiv__(self, other: Amount | int) -> Amount | int:
        return self._divided(other if isinstance(other, int) else other.__index__())

    def __mod__(self, other: Amount | int) -> Amount | int:
        other = other if isinstance(other, int) else other.__index__()
        return self - self._divided(other) * other

    def __rfloordiv__(self, other: int) -> int:
        return other // self.__index__()

    def __rmod__(self, other: int) -> int:
        return other % self.__index__()

    def __rlshift__(self, other: int) -> int:
        return other << self.__index__()

    def __rshift__(self, bits: int) -> Amount | int:
        return self._divided(1 << bits)

    def __lshift__(self, bits: int) -> Amount | int:
        return self * (1 << bits)

    def __and__(self, mask: int) -> Amount | int:
        """With a mask of low bits, or of all but low bits."""
        if mask < 0:
            return self._divided(-mask) * -mask if not -mask & (-mask - 1) else self.__index__() & mask
        return self % (mask + 1) if not mask & (mask + 1) else self.__index__() & mask

    __rand__ = __and__

    def __or__(self, mask: int) -> Amount | int:
        """With a mask of low bits."""
        if mask < 0 or mask & (mask + 1):
            return self.__index__() | mask
        return self._divided(mask + 1) * (mask + 1) + mask

    __ror__ = __or__

    def __index__(self) -> int:
        """The example's value, for the places that have the same."""
        value = self.value
        self._keep_below(value + 1)
        self._keep_from(value)
        return value

    __int__ = __index__

    def bit_length(self) -> int:
        """As int.bit_length, for the places whose number has as many bits."""
        bits = self.value.bit_length()
        self._keep_below(1 << bits)
        self._keep_from(1 << bits >> 1)
        return bits

    # -- comparisons --------------------------------------------------------------------------------------------

    def __lt__(self, other: Amount | int) -> bool:
        if isinstance(other, int):
            if self.terms is _ITSELF and self.divisor == 1:
                # Nearly all comparisons are x + n < m, and most of them hold, or don't, for all places that are left.
                limit = other - self.constant
                if self.unknown.last < limit:
                    return True
                if self.unknown.first >= limit:
                    return False
            return self._is_below(other)
        difference = self - other
        return difference._is_below(0) if isinstance(difference, Amount) else difference < 0

    def __le__(self, other: Amount | int) -> bool:
        return self < other + 1

    def __gt__(self, other: Amount | int) -> bool:
        return other < self if isinstance(other, Amount) else not self < other + 1

    def __ge__(self, other: Amount | int) -> bool:
        return not self < other

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Amount | int):
            return NotImplemented
        return not (self < other or self > other)

    def __bool__(self) -> bool:
        return self != 0

    def __hash__(self) -> int:
        return hash(self.value)

    # -- what it is ---------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Takes the simplest form that is the same for all places that are left; for others it need not be.

        Where the places lie in one period, x modulo that is x less a constant.  Of one place alone any form is right: a
        number near it is taken to lie so far from it, each other to be a constant.
        """
        unknown = self.unknown
        if unknown.first == unknown.last:
            value, near = self.value, abs(self.value - unknown.example) < _NEAR
            self.terms, self.constant, self.divisor = (_ITSELF, value - unknown.example, 1) if near else ((), value, 1)
            return
        factors: dict[int, int] = {}
        constant = self.constant
        for modulus, factor in self.terms:
            own = modulus
            if modulus and unknown.first // modulus == unknown.last // modulus:
                constant -= factor * (unknown.first // modulus) * modulus
                own = 0
            factors[own] = factors.get(own, 0) + factor
        settled = _made(unknown, _nonzero(factors), constant, self.divisor)
        if isinstance(settled, Amount):
            self.terms, self.constant, self.divisor = settled.terms, settled.constant, settled.divisor
        else:
            self.terms, self.constant, self.divisor = (), settled, 1

    def limits(self) -> tuple[int, int]:
        """The lowest and the highest value, as far as the box tells; the unknown is not narrowed by it."""
        low, high = self._range()
        return low // self.divisor, high // self.divisor

    # -- text ---------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return repr(self.value)

    def __format__(self, spec: str) -> str:
        return format(self.value, spec)

    # -- how it is done -----------------------------------------------------------------------------------------

    def _combined(self, other: Amount, sign: int) -> Amount | int:
        if not isinstance(other, Amount):
            return NotImplemented
        if sign < 0 and self.terms == other.terms and self.divisor == other.divisor:
            return (self.constant - other.constant) // self.divisor
        divisor = lcm(self.divisor, other.divisor)
        ours, theirs = divisor // self.divisor, sign * (divisor // other.divisor)
        terms = dict(_scaled(self.terms, ours))
        for modulus, factor in _scaled(other.terms, theirs):
            terms[modulus] = terms.get(modulus, 0) + factor
        return _made(self.unknown, _nonzero(terms), self.constant * ours + other.constant * theirs, divisor)

    def _range(self) -> tuple[int, int]:
        """As :meth:`limits`, not divided yet."""
        unknown = self.unknown
        low = high = self.constant
        for modulus, unit, factor in _apart(self.terms, unknown.stride):
            least, most = unknown.bounds(modulus)
            least, most = round_down(least, unit), round_down(most, unit)
            low += factor * (least if factor > 0 else most)
            high += factor * (most if factor > 0 else least)
        return low, high

    def _is_below(self, limit: int) -> bool:
        """Whether this is less than `limit`, for the places with the same answer."""
        low, high = self._range()
        if high < limit * self.divisor:
            return True
        if low >= limit * self.divisor:
            return False
        below = self.value < limit
        if below:
            self._keep_below(limit)
        else:
            self._keep_from(limit)
        return below

    def _keep_below(self, limit: int) -> None:
        _keep_below(self.unknown, self.terms, limit * self.divisor - self.constant)

    def _keep_from(self, limit: int) -> None:
        _keep_below(self.unknown, _scaled(self.terms, -1), self.constant + 1 - limit * self.divisor)

    def _divided(self, unit: int) -> Amount | int:
        """Divided by `unit` and rounded down, for the places that are rounded like the example."""
        unknown = self.unknown
        if unit <= 0:
            return self.__index__() // unit
        period = unit * self.divisor
        if period & (period - 1):
            return self._divided_oddly(unit)
        terms, rounded, times = self.terms, self.constant % period, 0
        if period > unknown.stride:
            parts = _left_over(unknown, terms, period)
            if parts:
                times = (sum([factor * unknown.residue(modulus) for modulus, factor in parts]) + rounded) // period
                _keep_below(unknown, parts, (times + 1) * period - rounded)
                _keep_below(unknown, _scaled(parts, -1), rounded + 1 - times * period)
                # What is rounded off is these; the other terms are whole multiples of the period.
                outer = dict(terms)
                for modulus, factor in parts:
                    outer[modulus] = outer.get(modulus, 0) - factor
                terms = _nonzero(outer)
        return _made(unknown, terms, self.constant - rounded + times * period, period)

    def _divided_oddly(self, unit: int) -> Amount | int:
        """As :meth:`_divided`, where the period is no power of two: for the places that leave the same rest."""
        unknown, period = self.unknown, unit * self.divisor
        if [modulus for modulus, _ in self.terms] != [0]:
            return self.__index__() // unit
        modulus = lcm(period, unknown.stride)
        rest = unknown.residue(modulus)
        unknown.keep(modulus, rest, rest + unknown.stride)
        # Each of them is a multiple of the period away from the example, so nothing else is rounded.
        return _made(unknown, self.terms, self.constant - self.value * self.divisor % period, period)


def _copied(unknown: Unknown, terms: _Terms, constant: int, divisor: int) -> Amount:
    return Amount(unknown, _ITSELF if terms == _ITSELF else terms, constant, divisor)


def _nonzero(factors: dict[int, int]) -> _Terms:
    return tuple([term for term in factors.items() if term[1]])


def _made(unknown: Unknown, terms: _Terms, constant: int, divisor: int) -> Amount | int:
    if not terms:
        return constant // divisor
    common = gcd(divisor, *[factor for _, factor in terms]) if divisor > 1 else 1
    if common > 1:
        divisor //= common
        constant //= common
        terms = tuple([(modulus, factor // common) for modulus, factor in terms])
        if terms == _ITSELF:
            terms = _ITSELF
    return Amount(unknown, terms, constant, divisor)


def _scaled(terms: _Terms, factor: int) -> _Terms:
    if factor == 1:
        return terms
    return tuple([(modulus, own * factor) for modulus, own in terms]) if factor else ()


def _apart(terms: _Terms, stride: int) -> list[tuple[int, int, int]]:
    """The terms as (m, unit, c), the least m first: c times x mod m, which is rounded down to the unit.

    Where the factors of some m and of all that are larger add up to 0, the larger terms are whole multiples of it, and
    what x mod m is tells nothing of them.
    """
    found: list[tuple[int, int, int]] = []
    group: list[tuple[int, int]] = []
    total = 0
    for modulus, factor in sorted(terms, key=lambda term: term[0] or _ENDLESS, reverse=True):
        total += factor
        if total:
            group.append((modulus, factor))
        else:
            found += [(own, modulus, times) for own, times in group]
            group.clear()
    found += [(own, stride, times) for own, times in group]
    found.reverse()
    return found


def _left_over(unknown: Unknown, terms: _Terms, period: int) -> _Terms:
    """Terms that leave what these do modulo the period, for all places that are left, and tell as little else of x."""
    # As x is a multiple of the stride, so many times it more is a whole number of periods.
    turn = period // unknown.stride
    kept: dict[int, int] = {}
    for modulus, factor in terms:
        factor = (factor + turn // 2) % turn - turn // 2
        enough = period // gcd(factor, period)
        if not modulus or modulus >= enough:
            # Where all places that are left lie in one such period, x itself tells as much as x modulo it.
            modulus = 0 if unknown.first // enough == unknown.last // enough else enough
        kept[modulus] = kept.get(modulus, 0) + factor
    left = _nonzero(kept)
    return left if left == terms else _left_over(unknown, left, period)


def _keep_below(unknown: Unknown, terms: _Terms, limit: int) -> None:
    """Narrows the unknown to places where the terms' sum is less than `limit`, which it is for the example."""
    parts = _apart(terms, unknown.stride)
    # What there is to spare is shared out: the smallest periods get what they need, the last one what is left.
    spare = limit - 1
    for modulus, unit, factor in parts:
        spare -= factor * round_down(unknown.residue(modulus), unit)
    for modulus, unit, factor in parts:
        own = round_down(unknown.residue(modulus), unit)
        needed = factor * (_furthest(unknown, modulus, unit, factor) - own)
        if needed > spare:
            _keep_one_below(unknown, (modulus, factor), unit, factor * own + spare + 1)
            needed = factor * (_furthest(unknown, modulus, unit, factor) - own)
        spare -= needed


def _furthest(unknown: Unknown, modulus: int, unit: int, factor: int) -> int:
    """The value of x mod `modulus`, rounded down to the unit, that makes most of its term."""
    low, high = unknown.bounds(modulus)
    return round_down(high if factor > 0 else low, unit)


def _keep_one_below(unknown: Unknown, term: tuple[int, int], unit: int, limit: int) -> None:
    """Narrows the unknown to where factor * (x mod modulus, rounded down to `unit`) is less than `limit`."""
    modulus, factor = term
    if factor > 0:
        bound = -(-limit // factor)
        unknown.keep(modulus, 0, -(-bound // unit) * unit)
    else:
        bound = limit // factor + 1
        unknown.keep(modulus, -(-bound // unit) * unit, modulus or _ENDLESS)
