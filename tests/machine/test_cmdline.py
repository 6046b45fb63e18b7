"""The command line is split as lib/cmdline.c and kernel/params.c split it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memplan.machine.cmdline import CommandLine


@pytest.mark.parametrize(
    ("text", "args"),
    [
        ("", []),
        (" \t ro  quiet\n", [("ro", None), ("quiet", None)]),
        ("mem=4G mem=", [("mem", "4G"), ("mem", "")]),
        ("crashkernel=512M@1G,high=x", [("crashkernel", "512M@1G,high=x")]),
        ('dyndbg="file a.c +p" ro', [("dyndbg", "file a.c +p"), ("ro", None)]),
        ('"dyndbg=file a.c +p" ro', [("dyndbg", "file a.c +p"), ("ro", None)]),
        ('x="a"b', [("x", 'a"b')]),
        ('x=a"b c"', [("x", 'a"b c"')]),
        ('x="open ro', [("x", "open ro")]),
        ("=odd", [("=odd", None)]),
        ("ro -- mem=1G", [("ro", None)]),
        ("ro --=1 mem=1G", [("ro", None), ("--", "1"), ("mem", "1G")]),
        ("a\xa0b", [("a", None), ("b", None)]),
    ],
)
def test_words(text: str, args: list[tuple[str, str | None]]) -> None:
    assert CommandLine(text).args == args


def test_look_up_takes_dash_and_underscore_as_equal() -> None:
    line = CommandLine("no-kvmclock movable-node mem=1G mem=2G mem ro=")
    assert line.has("no_kvmclock")
    assert line.has("movable_node")
    assert line.all("mem") == ["1G", "2G"]
    assert line.last("mem") is None
    assert line.last("ro") == ""
    assert line.last("absent") is None
    assert not line.has("absent")


@given(st.lists(st.tuples(st.from_regex(r"[a-z][a-z_.-]{0,8}", fullmatch=True), st.text("abc,=@ 1", max_size=8))))
def test_quoted_values_come_back_whole(words: list[tuple[str, str]]) -> None:
    line = " ".join(f'{name}="{value}"' for name, value in words)
    assert CommandLine(line).args == words
