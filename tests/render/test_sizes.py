"""Sizes for people."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memplan.render.sizes import rounded
from memplan.units import exact


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (896, "896 bytes"),
        (1023, "1023 bytes"),
        (1 << 10, "1 KiB"),
        ((1 << 20) - 1, "1 MiB"),
        (1021 << 20, "1021 MiB"),
        (1020 << 30, "1020 GiB"),
        (514 << 30, "514 GiB"),
        (34_812_723, "33.2 MiB"),
    ],
)
def test_sizes_are_short(size: int, text: str) -> None:
    assert rounded(size) == text


@given(st.integers(0, (1 << 64) - 1))
def test_a_short_size_is_near_and_an_exact_one_is_exact(size: int) -> None:
    units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    number, unit = exact(size).split()
    assert int(number) << 10 * units.index(unit) == size
    number, unit = rounded(size).split()
    assert float(number) * (1 << 10 * units.index(unit)) == pytest.approx(size, rel=0.0051)
