"""Symbols inside a kernel: tables laid out here as the kernel's own build lays them out, in every order it has had."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memplan.kernel import kallsyms as module
from memplan.kernel.elf import Elf
from memplan.kernel.kallsyms import kallsyms

TEXT = 0xFFFFFFFF81000000
RODATA = 0xFFFFFFFF82000000
#: What a code stands for: most of them for themselves, some for what is frequent in names, and one for nothing.
PAIRS = {0xF1: b"", 0x80: b"__", 0x81: b"init", 0x82: b"tT", 0x83: b"Dx", 0xFE: b"percpu"}
TOKENS = [PAIRS.get(code, bytes([code or 1])) for code in range(256)]
WORDS = {code: token for code, token in PAIRS.items() if token}
LAYOUTS = ("whole addresses", "offsets", "offsets, per-CPU absolute", "behind the tokens", "from their own place")


def packed(name: bytes) -> bytes:
    """A name in codes, behind its length in one byte or two."""
    codes = bytearray()
    at = 0
    while at < len(name):
        code = next((code for code, token in WORDS.items() if name.startswith(token, at)), name[at])
        codes.append(code)
        at += len(TOKENS[code])
    length = len(codes)
    head = bytes([length]) if length < 0x80 else bytes([length & 0x7F | 0x80, length >> 7])
    return head + bytes(codes)


def pad(data: bytes, align: int = 8) -> bytes:
    return data + bytes(-len(data) % align)


def token_table() -> tuple[bytes, list[int]]:
    """The tokens, each with a zero behind it, and where each begins."""
    places, tokens = [], b""
    for token in TOKENS:
        places.append(len(tokens))
        tokens += token + b"\0"
    return tokens, places


def image(data: bytes, section: str = ".rodata") -> Elf:
    """A kernel with these read-only data."""
    return cast(
        Elf,
        SimpleNamespace(
            sections={section: SimpleNamespace(address=RODATA)},
            content=lambda name: data if name == section else None,
            text=SimpleNamespace(address=TEXT),
        ),
    )


def elf_with(
    symbols: list[tuple[bytes, int]],
    layout: str,
    before: bytes,
    *,
    sequence: bytes = b"",
    behind: bytes = b"more of the kernel's data",
) -> Elf:
    """A kernel whose read-only data hold `before`, the tables of `symbols`, and more `behind` them."""
    count = struct.pack("<I", len(symbols))
    packed_names = b"".join(packed(name) for name, _ in symbols)
    names = pad(packed_names)
    tokens, places = token_table()
    index = struct.pack("<256H", *places)
    table = pad(tokens) + index
    base = min(address for _, address in symbols if address >= TEXT)
    head = pad(before)
    values = [address for _, address in symbols]
    if layout == "whole addresses":
        data = head + struct.pack(f"<{len(values)}Q", *values) + pad(count) + names + sequence + table
    elif layout == "behind the tokens":
        offsets = struct.pack(f"<{len(values)}I", *(value - base for value in values))
        data = head + pad(count) + names + sequence + table + pad(offsets) + struct.pack("<Q", base)
    elif layout == "from their own place":
        data = pad(before, 4) + count + pad(packed_names, 4) + pad(sequence, 4) + pad(tokens, 4) + index
        at = RODATA + len(data)
        data += struct.pack(f"<{len(values)}i", *(value - at - 4 * n for n, value in enumerate(values)))
    else:
        raw = [
            value
            if layout.endswith("absolute") and value < TEXT
            else base - 1 - value
            if layout.endswith("absolute")
            else value - base
            for value in values
        ]
        offsets = struct.pack(f"<{len(raw)}i", *raw)
        data = head + pad(offsets) + struct.pack("<Q", base) + pad(count) + names + sequence + table
    return image(data + behind)


def some(layout: str, names: list[str], gaps: list[int]) -> list[tuple[bytes, int]]:
    """Symbols with their types, _text among them, upwards."""
    found = [(b"a" + b"percpu__area", 0x1C0)] if layout in ("whole addresses", "offsets, per-CPU absolute") else []
    found.append((b"T_text", TEXT))
    at = TEXT
    for number in range(120):
        at += gaps[number % len(gaps)]
        found.append((b"tTDb"[number % 4 : number % 4 + 1] + f"{names[number % len(names)]}{number}".encode(), at))
    return found


NAMES = st.lists(st.from_regex(r"[a-z_][a-z0-9_.]{0,40}", fullmatch=True), min_size=1, max_size=6)
GAPS = st.lists(st.integers(1, 70_000), min_size=1, max_size=5)


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(NAMES, GAPS, st.binary(max_size=90), st.binary(max_size=20) | st.integers(0, 700).map(bytes))
@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_symbol_has_its_address(
    layout: str, names: list[str], gaps: list[int], before: bytes, behind: bytes
) -> None:
    """Whatever else there is; what is in front of the tables, or behind them, may be less than another order needs."""
    symbols = some(layout, names, gaps)
    assert kallsyms(elf_with(symbols, layout, before, behind=behind)) == {
        name[1:].decode(): address for name, address in symbols
    }


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("length", [1, 127, 128, 300, 511])
def test_names_up_to_the_longest(layout: str, length: int) -> None:
    symbols = some(layout, ["f"], [16])
    symbols.insert(60, (b"t" + b"z" * length, symbols[59][1] + 8))
    found = kallsyms(elf_with(symbols, layout, b""))
    assert found["z" * length] == symbols[60][1]
    assert len(found) == len(symbols)


@pytest.mark.parametrize("name", [b"t" + b"z" * 512, b"t" + b"\x81init" * 128])
def test_longer_names_are_none_of_a_kernel(name: bytes) -> None:
    """Spelt out or in codes."""
    symbols = some("offsets", ["f"], [16])
    symbols.insert(60, (name, symbols[59][1] + 8))
    assert kallsyms(elf_with(symbols, "offsets", b"")) == {}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_markers_may_follow_the_names(layout: str) -> None:
    symbols = some(layout, ["f"], [16])
    sequence = struct.pack("<4I", 0, 900, 1800, 2700) + bytes(range(0, 240, 3)) + bytes(240 % 8)
    assert len(kallsyms(elf_with(symbols, layout, b"", sequence=pad(sequence)))) == len(symbols)


def test_of_equal_names_the_first_counts() -> None:
    symbols = [*some("offsets", ["f"], [16]), (b"tf0", TEXT + 0x100000)]
    assert kallsyms(elf_with(symbols, "offsets", b""))["f0"] == TEXT + 16


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_table_that_puts_text_elsewhere_is_none(layout: str) -> None:
    symbols = [(name, address + 4096 * (name == b"T_text")) for name, address in some(layout, ["f"], [16])]
    assert kallsyms(elf_with(symbols, layout, b"")) == {}


@pytest.mark.parametrize("few", [100, 99, 60])
def test_no_kernel_has_so_few_symbols(few: int) -> None:
    symbols = some("behind the tokens", ["f"], [16])[:few]
    assert len(kallsyms(elf_with(symbols, "behind the tokens", b""))) == (few if few == 100 else 0)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_shortest_names(layout: str) -> None:
    """One code, which stands for the type and a letter."""
    symbols = [(b"T_text", TEXT), *((b"tT", TEXT + 16 * n) for n in range(1, 121))]
    assert kallsyms(elf_with(symbols, layout, b"")) == {"_text": TEXT, "T": TEXT + 16}


def test_they_may_be_among_what_is_for_the_boot_alone() -> None:
    symbols = some("offsets", ["f"], [16])
    data = elf_with(symbols, "offsets", b"").content(".rodata")
    assert data is not None
    assert len(kallsyms(image(data, ".init.rodata"))) == len(symbols)


def test_other_tables_are_passed_over() -> None:
    """One nearer to the tokens, of the same names, that puts _text elsewhere."""
    symbols = some("behind the tokens", ["f"], [16])
    data = b"".join(packed(b"tother%d" % number) for number in range(100))
    sequence = struct.pack("<Q", 100) + pad(data)
    assert len(kallsyms(elf_with(symbols, "behind the tokens", b"", sequence=sequence))) == len(symbols)


def test_what_only_looks_like_names_is_passed_over() -> None:
    """A table nearer to the tokens with a name that no kernel has."""
    symbols = some("behind the tokens", ["f"], [16])
    data = b"".join(packed(b"tother%d" % number) for number in range(99)) + packed(b"t" + b"z" * 600)
    sequence = struct.pack("<Q", 100) + pad(data)
    assert len(kallsyms(elf_with(symbols, "behind the tokens", b"", sequence=sequence))) == len(symbols)


@pytest.mark.parametrize("damage", ["none", "begin", "twice", "downwards", "long", "short", "end"])
def test_a_table_of_tokens_is_whole(damage: str) -> None:
    """Its index begins with 0 and rises; tokens are shorter than names; all of it is there."""
    symbols = some("offsets", ["f"], [16])
    data = bytearray(elf_with(symbols, "offsets", b"", behind=b"").content(".rodata") or b"")
    tokens, places = token_table()
    tokens = pad(tokens)
    at = data.find(tokens)
    index_at = at + len(tokens)
    if damage == "begin":
        struct.pack_into("<H", data, index_at, 1)
    elif damage in ("twice", "downwards"):
        # A code that no name has.
        struct.pack_into("<H", data, index_at + 2 * 0xF0, places[0xEF] - (damage == "downwards"))
    elif damage in ("long", "short"):
        # A last token of 512 bytes, or one of 511.
        own = pad(tokens[: places[0xFF]] + b"z" * (511 + (damage == "long")) + b"\0")
        data[at:index_at] = own
    elif damage == "end":
        del data[-1]
    right = damage in ("none", "short")
    assert len(kallsyms(image(bytes(data)))) == (len(symbols) if right else 0)


@pytest.mark.parametrize("false_digits", [0, 1, 3])
@pytest.mark.parametrize("others", [0, 50])
def test_how_long_is_looked_for_them(false_digits: int, others: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step for each eight bytes from the tokens down, each name of what may be a table, and what is none behind it.

    False tokens cost 256.
    """
    digits = b"\0".join(b"%d" % n for n in range(10)) + b"\0"
    symbols = some("behind the tokens", ["f"], [16])
    # Numbers of names that are fewer, or that no symbol's type begins.
    table = pad(struct.pack("<Q", 100) + b"\2tf" * others + b"\0" * (256 - 3 * others)) if others else b""
    table += pad(struct.pack("<Q", 100) + b"\2xf" * 150) if others else b""
    # What has not all ten digits costs nothing.
    before = (digits + b"\1" + digits[:-2] + b"x\0") * false_digits
    subject = elf_with(symbols, "behind the tokens", before, sequence=table)
    data = subject.content(".rodata") or b""
    steps = false_digits * 256 + (data.find(token_table()[0]) - len(pad(before))) // 8
    steps += others + 2 if others else 0
    for most, found in ((steps, 0), (steps + 1, len(symbols))):
        monkeypatch.setattr(module, "_MOST_STEPS", most)
        assert len(kallsyms(subject)) == found


def test_each_name_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names in which much looks like a number of names, some more than there are; such tables end with the names."""
    number = struct.pack("<I", 1000)
    symbols = [(b"T_text", TEXT), *((b"t" + number + b"%d" % own, TEXT + 16 * own) for own in range(900))]
    subject = elf_with(symbols, "from their own place", b"", sequence=b"\0" * 1000)
    data = subject.content(".rodata") or b""
    monkeypatch.setattr(module, "_MOST_STEPS", data.find(token_table()[0]) // 4 + 2 * len(symbols))
    assert len(kallsyms(subject)) == len(symbols)


def test_digits_alone_are_no_table() -> None:
    """Digits with ends of text between them stand in other data, too; the search goes on behind them."""
    digits = b"\0".join(b"%d" % n for n in range(10)) + b"\0"
    symbols = some("offsets", ["f"], [16])
    before = digits + bytes(range(1, 200)) + digits
    assert len(kallsyms(elf_with(symbols, "offsets", before))) == len(symbols)
    assert kallsyms(image(before)) == {}
