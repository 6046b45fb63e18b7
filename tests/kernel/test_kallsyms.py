"""Symbols inside a kernel: tables laid out here as the kernel's own build lays them out, in every order it has had."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memplan.kernel.elf import Elf
from memplan.kernel.kallsyms import kallsyms

TEXT = 0xFFFFFFFF81000000
RODATA = 0xFFFFFFFF82000000
#: What a code stands for: most of them for themselves, some for what is frequent in names.
PAIRS = {0x80: b"__", 0x81: b"init", 0x82: b"tT", 0x83: b"Dx", 0xFE: b"percpu"}
TOKENS = [PAIRS.get(code, bytes([code or 1])) for code in range(256)]
LAYOUTS = ("whole addresses", "offsets", "offsets, per-CPU absolute", "behind the tokens", "from their own place")


def packed(name: bytes) -> bytes:
    """A name in codes, behind its length in one byte or two."""
    codes = bytearray()
    at = 0
    while at < len(name):
        code = next((code for code, token in PAIRS.items() if name.startswith(token, at)), name[at])
        codes.append(code)
        at += len(TOKENS[code])
    length = len(codes)
    head = bytes([length]) if length < 0x80 else bytes([length & 0x7F | 0x80, length >> 7])
    return head + bytes(codes)


def pad(data: bytes, align: int = 8) -> bytes:
    return data + bytes(-len(data) % align)


def elf_with(symbols: list[tuple[bytes, int]], layout: str, before: bytes, *, sequence: bytes = b"") -> Elf:
    """A kernel whose read-only data hold `before`, the tables of `symbols`, and more behind them."""
    count = struct.pack("<I", len(symbols))
    names = pad(b"".join(packed(name) for name, _ in symbols))
    places, tokens = [], b""
    for token in TOKENS:
        places.append(len(tokens))
        tokens += token + b"\0"
    table = pad(tokens) + struct.pack("<256H", *places)
    base = min(address for _, address in symbols if address >= TEXT)
    head = pad(before)
    values = [address for _, address in symbols]
    if layout == "whole addresses":
        data = head + struct.pack(f"<{len(values)}Q", *values) + pad(count) + names + sequence + table
    elif layout == "behind the tokens":
        offsets = struct.pack(f"<{len(values)}I", *(value - base for value in values))
        data = head + pad(count) + names + sequence + table + pad(offsets) + struct.pack("<Q", base)
    elif layout == "from their own place":
        data = head + pad(count) + names + sequence + table
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
    data += b"more of the kernel's data"
    return cast(
        Elf,
        SimpleNamespace(
            sections={".rodata": SimpleNamespace(address=RODATA)},
            content=lambda name: data if name == ".rodata" else None,
            text=SimpleNamespace(address=TEXT),
        ),
    )


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
@given(NAMES, GAPS, st.binary(max_size=90))
@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_symbol_has_its_address(layout: str, names: list[str], gaps: list[int], before: bytes) -> None:
    symbols = some(layout, names, gaps)
    assert kallsyms(elf_with(symbols, layout, before)) == {name[1:].decode(): address for name, address in symbols}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("length", [1, 127, 128, 300, 511])
def test_names_up_to_the_longest(layout: str, length: int) -> None:
    symbols = some(layout, ["f"], [16])
    symbols.append((b"t" + b"z" * length, symbols[-1][1] + 16))
    found = kallsyms(elf_with(symbols, layout, b""))
    assert found["z" * length] == symbols[-1][1]
    assert len(found) == len(symbols)


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


@pytest.mark.parametrize("few", [99, 60])
def test_no_kernel_has_so_few_symbols(few: int) -> None:
    symbols = some("behind the tokens", ["f"], [16])[:few]
    assert kallsyms(elf_with(symbols, "behind the tokens", b"")) == {}


def test_digits_alone_are_no_table() -> None:
    """Digits with ends of text between them stand in other data, too; the search goes on behind them."""
    digits = b"\0".join(b"%d" % n for n in range(10)) + b"\0"
    symbols = some("offsets", ["f"], [16])
    before = digits + bytes(range(1, 200)) + digits
    assert len(kallsyms(elf_with(symbols, "offsets", before))) == len(symbols)
    empty = SimpleNamespace(
        sections={".rodata": SimpleNamespace(address=RODATA)},
        content=lambda _: before,
        text=SimpleNamespace(address=TEXT),
    )
    assert kallsyms(cast(Elf, empty)) == {}
