"""Numbers as the kernel reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memplan.units import U64_MAX, decimal_number, leading_number, memparse, wraps


@given(st.integers(min_value=0, max_value=1 << 300), st.sampled_from(["q", "", "%", " 1", "٣"]))
def test_numbers_of_any_length_wrap_at_64_bits(number: int, rest: str) -> None:
    for text in (str(number), hex(number), hex(number).upper().replace("X", "x"), f"0{number:o}"):
        assert leading_number(text + rest) == (number & U64_MAX, rest)
    assert decimal_number(str(number)) == number & U64_MAX


@given(st.integers(min_value=0, max_value=1 << 80), st.sampled_from(["", "K", "m", "G", "T", "P", "e"]))
def test_what_has_more_than_64_bits_wraps(number: int, suffix: str) -> None:
    bits = {"": 0, "K": 10, "m": 20, "G": 30, "T": 40, "P": 50, "e": 60}[suffix]
    texts = [str(number), f"0{number:o}"]
    if suffix != "e":
        texts.append(hex(number))
    for text in texts:
        assert wraps(f"{text}{suffix},high") == (number << bits > U64_MAX), text


@pytest.mark.parametrize("digits", ["9" * 5000, "0x" + "f" * 5000, "0" + "7" * 5000])
def test_five_thousand_digits(digits: str) -> None:
    assert leading_number(digits) == (U64_MAX, "")
    assert wraps(digits)
    assert memparse(digits + "K@1") == (U64_MAX << 10 & U64_MAX, "@1")


@pytest.mark.parametrize("text", ["", "x", "٣", "²", "-1", " 1"])
def test_what_does_not_begin_with_a_digit_is_no_number(text: str) -> None:
    assert leading_number(text) == (None, text)
    assert memparse(text) == (0, text)
