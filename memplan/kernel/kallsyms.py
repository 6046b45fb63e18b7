"""The symbols that a kernel carries inside (CONFIG_KALLSYMS), found without any symbol to start from.

scripts/kallsyms.c writes the tables in one run of read-only data.  Their order changed in 6.4 (404bad70fcf7), and
addresses are whole, offsets from a base (4.6 on), where per-CPU symbols may be absolute, or offsets from the place of
the offset itself (7.0 on).  The token table is found by its tokens for the digits; from there the rest is found by
what must hold, and an order counts as the right one when it puts _text where the ELF file has it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import pairwise

from memplan.kernel.elf import Elf
from memplan.units import round_up

_DIGITS = b"\0".join(b"%d" % n for n in range(10)) + b"\0"
_TOKENS = 256
_FIRST_DIGIT = 0x30
_TYPES = frozenset(b"aAbBcCdDgGiInNrRsStTuUvVwW?")
#: All tables begin at multiples of eight bytes.
_ALIGN = 8
_FEWEST = 100
#: KSYM_NAME_LEN, with the zero at its end.
_LONGEST_NAME = 512
#: Names that may be looked at in all before it is clear that there are no such tables: many times what a kernel has.
_MOST_STEPS = 4 << 20
_MASK = (1 << 64) - 1


def kallsyms(elf: Elf) -> dict[str, int]:
    """All symbols and their addresses (the first of equal names); empty where the kernel has no such table."""
    section = ".rodata" if ".rodata" in elf.sections else ".init.rodata"
    data = elf.content(section) or b""
    at = -1
    steps = [_MOST_STEPS]
    while steps[0] > 0 and (at := data.find(_DIGITS, at + 1)) >= 0:
        tokens = _token_table(data, at)
        if tokens is None:
            steps[0] -= _TOKENS
            continue
        start, table, after = tokens
        for count_at, count, names_at in _name_tables(data, start, table, steps):
            names = _names(data, names_at, count, table)
            if names is None:
                continue
            for addresses in _addresses(data, elf.sections[section].address, count_at, count, after):
                found: dict[str, int] = {}
                for name, address in zip(names, addresses, strict=True):
                    found.setdefault(name, address)
                if found.get("_text") == elf.text.address:
                    return found
    return {}


def _token_table(data: bytes, digits_at: int) -> tuple[int, list[bytes], int] | None:
    """Start of the token table, the tokens, and the end of the index behind it; `digits_at` is token 0x30."""
    end = digits_at
    for _ in range(_TOKENS - _FIRST_DIGIT):
        end = data.find(b"\0", end) + 1
        if not end:
            return None
    index_at = round_up(end, _ALIGN)
    if index_at + 2 * _TOKENS > len(data):
        return None
    index = struct.unpack_from(f"<{_TOKENS}H", data, index_at)
    start = digits_at - index[_FIRST_DIGIT]
    if index[0] or start % _ALIGN or any(a >= b for a, b in pairwise(index)):
        return None
    table = [data[start + place : data.find(b"\0", start + place)] for place in index]
    return (start, table, index_at + 2 * _TOKENS) if max(map(len, table)) < _LONGEST_NAME else None


def _name_tables(data: bytes, tokens_at: int, table: list[bytes], steps: list[int]) -> Iterator[tuple[int, int, int]]:
    """Places that may hold the number of symbols with the names behind it, nearest to the token table first.

    What is looked at is taken off `steps`; it ends when those are used up.
    """
    first_types = [bool(token) and token[0] in _TYPES for token in table]
    for at in range(tokens_at - _ALIGN, -1, -_ALIGN):
        steps[0] -= 1
        if steps[0] <= 0:
            return
        (count,) = struct.unpack_from("<I", data, at)
        if _FEWEST <= count < tokens_at - at:
            walked = _walk(data, at + _ALIGN, count, tokens_at, first_types)
            steps[0] -= walked
            if walked == count:
                yield at, count, at + _ALIGN


def _walk(data: bytes, at: int, count: int, end: int, first_types: list[bool]) -> int:
    """How many of `count` packed names, each beginning with a symbol's type, stand between `at` and `end`."""
    for number in range(count):
        length = data[at]
        at += 1
        if length & 0x80:
            length = length & 0x7F | data[at] << 7
            at += 1
        if not length or at + length > end or not first_types[data[at]]:
            return number
        at += length
    return count


def _names(data: bytes, at: int, count: int, table: list[bytes]) -> list[str] | None:
    """The symbols' names, without the type letter before each; None where one is longer than any of a kernel's."""
    names = []
    for _ in range(count):
        length = data[at]
        at += 1
        if length & 0x80:
            length = length & 0x7F | data[at] << 7
            at += 1
        name = b"".join([table[code] for code in data[at : at + length]])[1:]
        if len(name) >= _LONGEST_NAME:
            return None
        names.append(name.decode("latin-1"))
        at += length
    return names


def _addresses(data: bytes, at: int, count_at: int, count: int, after: int) -> Iterator[list[int]]:
    """The symbols' addresses, read in each of the known orders; `at` is the address of `data`."""
    places = []
    # 6.4 on: offsets and base behind the token index; before: offsets, base, number of symbols.
    start = round_up(after, 8)
    if start + 4 * count <= len(data):
        offsets = struct.unpack_from(f"<{count}i", data, start)
        yield [at + start + 4 * number + offset for number, offset in enumerate(offsets)]
    places.append((start, start + round_up(4 * count, 8)))
    places.append((count_at - 8 - round_up(4 * count, 8), count_at - 8))
    for offsets_at, base_at in places:
        if offsets_at < 0 or base_at + 8 > len(data):
            continue
        (base,) = struct.unpack_from("<Q", data, base_at)
        offsets = struct.unpack_from(f"<{count}i", data, offsets_at)
        yield [offset if offset >= 0 else base - 1 - offset for offset in offsets]
        yield [base + (offset & 0xFFFFFFFF) & _MASK for offset in offsets]
    start = count_at - 8 * count
    if start >= 0:
        yield list(struct.unpack_from(f"<{count}Q", data, start))
