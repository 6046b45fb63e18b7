"""Units, rounding and the kernel's way to read and print sizes and ranges.  All sizes are in bytes."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30
TIB = 1 << 40
PAGE_SHIFT = 12
PAGE_SIZE = 1 << PAGE_SHIFT
SIZE_2M = 2 * MIB
SECTION_SIZE = 128 * MIB
U64_MAX = (1 << 64) - 1
UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")

_SUFFIXES = {"k": 10, "m": 20, "g": 30, "t": 40, "p": 50, "e": 60}
#: The last digits of a number that count modulo 2^64: 8^64, 10^64 and 16^64 are multiples of it.
_DIGITS = 64
#: No number of 64 bits has more digits, in any of these bases.
_MOST_DIGITS = 22
#: What stands for digits where there are none: a private use character, which no reader takes for anything else.
_STAND_IN = "\ue000"
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*")


def round_up(value: int, unit: int) -> int:
    """`value` rounded up to a multiple of `unit`."""
    return -(-value // unit) * unit


def round_down(value: int, unit: int) -> int:
    """`value` rounded down to a multiple of `unit`."""
    return value // unit * unit


def pfn_up(address: int) -> int:
    """The first page frame number at or above `address` (PFN_UP)."""
    return (address + PAGE_SIZE - 1) >> PAGE_SHIFT


def pfn_down(address: int) -> int:
    """The page frame number that holds `address` (PFN_DOWN)."""
    return address >> PAGE_SHIFT


def pow2_up(value: int) -> int:
    """The smallest power of two that is at least `value` (roundup_pow_of_two); 1 for values up to 1."""
    return 1 << max(value - 1, 0).bit_length()


#: The number that characters stand for, while it does.
_standing: list[int] = []


@contextmanager
def standing_in(number: int, digits: int) -> Iterator[str]:
    """Gives a text of so many characters, which within this is read as `number`.

    So a number with which is computed, but which has no digits, goes through the same readers as all others.
    """
    _standing.append(number)
    try:
        yield _STAND_IN * digits
    finally:
        _standing.pop()


def leading_number(text: str) -> tuple[int | None, str]:
    """The number at the head of `text` (decimal, 0x hexadecimal or 0 octal; None: there is none), and the rest.

    It wraps at 64 bits, as the kernel's simple_strtoull does.
    """
    found = _NUMBER.match(text)
    if found is None:
        if _standing and text.startswith(_STAND_IN):
            return _standing[-1], text.lstrip(_STAND_IN)
        return None, text
    base, digits = _digits(found[0])
    return int(digits[-_DIGITS:], base) & U64_MAX, text[found.end() :]


def _digits(number: str) -> tuple[int, str]:
    """The base of a number that is written as in C, and its digits."""
    if number[:2] in ("0x", "0X"):
        return 16, number[2:]
    return (8 if number.startswith("0") else 10), number


def decimal_number(digits: str) -> int:
    """The number of decimal `digits`, however many; it wraps at 64 bits, as the kernel's %lu does."""
    return int(digits[-_DIGITS:]) & U64_MAX


def memparse(text: str) -> tuple[int, str]:
    """A number with an optional suffix K M G T P E at the head of `text`, and what stands behind it.

    Reads as the kernel's `memparse` (lib/cmdline.c) does: decimal, 0x hexadecimal or 0 octal; one suffix letter
    of either case, a power of two.  Text that does not begin with a digit gives 0 and the whole text back.
    Values wrap at 64 bits, as the kernel's do.
    """
    number, rest = leading_number(text)
    value = number or 0
    if number is not None and rest and rest[0].lower() in _SUFFIXES:
        value <<= _SUFFIXES[rest[0].lower()]
        rest = rest[1:]
    return value & U64_MAX, rest


def wraps(text: str) -> bool:
    """Whether the number at the head of `text`, with its suffix, has more than 64 bits, so that memparse wraps it."""
    found = _NUMBER.match(text)
    if found is None:
        return False
    base, digits = _digits(found[0])
    suffix = text[found.end() : found.end() + 1].lower()
    digits = digits.lstrip("0") or "0"
    return len(digits) > _MOST_DIGITS or int(digits, base) << _SUFFIXES.get(suffix, 0) > U64_MAX


def size_text(size: int) -> str:
    """`size` bytes for people: exact, with the largest binary unit that divides it (``64K``, ``3G``, ``896``)."""
    for shift, suffix in ((40, "T"), (30, "G"), (20, "M"), (10, "K")):
        if size and not size & ((1 << shift) - 1):
            return f"{size >> shift}{suffix}"
    return str(size)


def exact(size: int) -> str:
    """`size` bytes in words, in the largest unit that divides it: ``2097148 KiB``, ``896 bytes``."""
    unit = min(((size & -size).bit_length() - 1) // 10, len(UNITS) - 1) if size else 0
    return f"{size >> 10 * unit} {UNITS[unit]}"


def mem_range(start: int, end: int, width: int = 8) -> str:
    """Half-open `[start, end)` the kernel's way, inclusive: ``[mem 0x00100000-0x001fffff]``.

    `width` is the least number of digits: 8 for the kernel's %#010Lx, 16 for %#018Lx.  The last byte of a range
    that ends at 0 is 2^64 - 1, as it is in the kernel's 64 bits.
    """
    return f"[mem {start:#0{width + 2}x}-{(end - 1) & U64_MAX:#0{width + 2}x}]"


def kstrtobool(text: str | None) -> bool | None:
    """The kernel's reading of a yes or no by its first letters; None where it is neither, or there is no text."""
    word = (text or "").lower()
    if word[:1] in ("y", "t", "1") or word[:2] == "on":
        return True
    return False if word[:1] in ("n", "f", "0") or word[:2] == "of" else None
