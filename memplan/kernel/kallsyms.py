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
#: What the tables begin at multiples of: eight bytes, from 7.0 on four.
_ALIGNS = (8, 4)
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
    for align in _ALIGNS:
        at = -1
        steps = [_MOST_STEPS]
        while steps[0] > 0 and (at := data.find(_DIGITS, at + 1)) >= 0:
            found = _symbols(elf, data, elf.sections[section].address, at, align, steps)
            if found:
                return found
    return {}


def _symbols(elf: Elf, data: bytes, address: int, digits_at: int, align: int, steps: list[int]) -> dict[str, int]:
    """What the tables around such tokens tell, if they are tables; `address` is that of `data`."""
    tokens = _token_table(data, digits_at, align)
    if tokens is None:
        steps[0] -= _TOKENS
        return {}
    start, table, after = tokens
    for count_at, count in _name_tables(data, start, table, align, steps):
        names = _names(data, count_at + align, count, table)
        if names is None:
            continue
        for addresses in _addresses(data, address, count_at, count, after):
            found: dict[str, int] = {}
            for name, own in zip(names, addresses, strict=True):
                found.setdefault(name, own)
            if found.get("_text") == elf.text.address:
                return found
    return {}


def _token_table(data: bytes, digits_at: int, align: int) -> tuple[int, list[bytes], int] | None:
    """Start of the token table, the tokens, and the end of the index behind it; `digits_at` is token 0x30."""
    end = digits_at
    for _ in range(_TOKENS - _FIRST_DIGIT):
        end = data.find(b"\0", end) + 1
        if not end:
            return None
    index_at = round_up(end, align)
    if index_at + 2 * _TOKENS > len(data):
        return None
    index = struct.unpack_from(f"<{_TOKENS}H", data, index_at)
    start = digits_at - index[_FIRST_DIGIT]
    if index[0] or start % align or any(a >= b for a, b in pairwise(index)):
        return None
    table = [data[start + place : data.find(b"\0", start + place)] for place in index]
    return (start, table, index_at + 2 * _TOKENS) if max(map(len, table)) < _LONGEST_NAME else None


def _name_tables(
    data: bytes, tokens_at: int, table: list[bytes], align: int, steps: list[int]
) -> Iterator[tuple[int, int]]:
    """Places that may hold the number of symbols with the names behind it, and the number; the nearest ones first.

    What is looked at is taken off `steps`; it ends when those are used up.
    """
    first_types = [bool(token) and token[0] in _TYPES for token in table]
    runs: dict[int, int] = {}
    for at in range(tokens_at - align, -1, -align):
        steps[0] -= 1
        if steps[0] <= 0:
            return
        (count,) = struct.unpack_from("<I", data, at)
        if _FEWEST <= count < tokens_at - at:
            known = len(runs)
            if _run(data, at + align, tokens_at, first_types, runs) >= count:
                yield at, count
            steps[0] -= len(runs) - known


def _run(data: bytes, at: int, end: int, first_types: list[bool], runs: dict[int, int]) -> int:
    """How many packed names, each beginning with a symbol's type, stand one behind the other from `at` on, up to `end`.

    `runs` has the answers so far: from most places inside the names one comes to the borders between them.
    """
    path = []
    while (run := runs.get(at)) is None:
        length, name_at = data[at], at + 1
        if length & 0x80:
            length, name_at = length & 0x7F | data[at + 1] << 7, at + 2
        if length and name_at + length <= end and first_types[data[name_at]]:
            path.append(at)
            at = name_at + length
        else:
            runs[at] = 0
    for place in reversed(path):
        run += 1
        runs[place] = run
    return run


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


def _addresses(data: bytes, at: int, count_at: int, count: int, start: int) -> Iterator[list[int]]:
    """The symbols' addresses, read in each of the known orders; `at` is the address of `data`.

    `start` is where the next table behind the token index begins.
    """
    if start + 4 * count <= len(data):
        offsets = struct.unpack_from(f"<{count}i", data, start)
        yield [at + start + 4 * number + offset for number, offset in enumerate(offsets)]
    room = round_up(4 * count, 8)
    # 6.4 on: offsets and base behind the token index; before: offsets, base, number of symbols.
    for offsets_at, base_at in ((start, start + room), (count_at - 8 - room, count_at - 8)):
        if offsets_at < 0 or base_at + 8 > len(data):
            continue
        (base,) = struct.unpack_from("<Q", data, base_at)
        offsets = struct.unpack_from(f"<{count}i", data, offsets_at)
        yield [offset if offset >= 0 else base - 1 - offset for offset in offsets]
        yield [base + (offset & 0xFFFFFFFF) & _MASK for offset in offsets]
    start = count_at - 8 * count
    if start >= 0:
        yield list(struct.unpack_from(f"<{count}Q", data, start))
