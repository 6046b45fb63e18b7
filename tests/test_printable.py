"""Text of others, written out where it would steer a terminal."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memplan.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ü, 漢\n\tand on", "plain, ü, 漢\n\tand on"),
        ("\x1b]0;title\x07", "\\u001b]0;title\\u0007"),
        ("\x9b2J", "\\u009b2J"),
        ("a\u202eb\u2066c", "a\\u202eb\\u2066c"),
        ("\U000e0041", "\\udb40\\udc41"),
        ("\udcff", "\\udcff"),
        ("\r", "\\u000d"),
    ],
)
def test_what_steers_is_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_single_line_stays_one() -> None:
    assert printable("a\nb\tc", "") == "a\\u000ab\\u0009c"


@given(st.text())
def test_json_stays_the_same_document(text: str) -> None:
    document = json.dumps([text], ensure_ascii=False)
    assert json.loads(printable(document)) == [text]
    assert printable(document, "").isprintable()
