"""What a log was wrapped in, taken off line by line: journals, mail, JSON and quotes, also where they are cut off."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memplan.firmware.source import open_source
from memplan.klog.text import shown_lines

KERNEL = "BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable"


def shown(folder: Path, text: str | bytes) -> list[str]:
    path = folder / "log"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return [line for _, line in shown_lines(open_source(path))]


def test_a_journal_gives_the_kernels_messages_alone(tmp_path: Path) -> None:
    binary = b"MESSAGE\n" + len(KERNEL).to_bytes(8, "little") + KERNEL.encode() + b"\n"
    entries = [
        b"__CURSOR=1\n_TRANSPORT=kernel\nMESSAGE=first\n",
        b"__CURSOR=2\n_TRANSPORT=syslog\nMESSAGE=of another program\n",
        b"__CURSOR=3\n_TRANSPORT=kernel\n" + binary,
        b"__CURSOR=4\n_TRANSPORT=stdout\nMESSAGE=last, and not the kernel's\n",
    ]
    found = shown(tmp_path, b"\n".join(entries))
    assert found[0] == "first"
    assert len(found) == 2
    assert KERNEL[8:] in found[1]
    assert "other" not in " ".join(found)


@pytest.mark.parametrize(
    ("entry", "lines"),
    [
        ({"_TRANSPORT": "kernel", "MESSAGE": KERNEL}, [KERNEL]),
        ({"_TRANSPORT": "syslog", "MESSAGE": KERNEL}, []),
        ({"MESSAGE": list(KERNEL.encode())}, [KERNEL]),
        ({"MESSAGE": [1, 2, 3000]}, []),
        ({"MESSAGE": 5}, []),
        ({"MESSAGE": f"a\n{KERNEL}"}, ["a", KERNEL]),
        ({"other": {"deep": [KERNEL]}}, [KERNEL]),
    ],
)
def test_an_object_of_json(entry: dict[str, object], lines: list[str], tmp_path: Path) -> None:
    assert [line for line in shown(tmp_path, json.dumps(entry) + "\n") if line.strip("\x01\x02\x03")] == lines


def test_an_object_that_is_no_json_is_read_by_its_message(tmp_path: Path) -> None:
    for text in (f'{{"x": None, "MESSAGE": "{KERNEL}"}}', f"{{'MESSAGE': '{KERNEL}'}}", f"{{MESSAGE: {KERNEL}}}"):
        assert shown(tmp_path, text + "\n") == [KERNEL]
    assert shown(tmp_path, "{words}\n") == ["{words}"]


def test_a_log_in_one_line(tmp_path: Path) -> None:
    one = "\\n".join(["a", "b", "c", KERNEL, "e"])
    assert shown(tmp_path, one + "\n") == ["a", "b", "c", KERNEL, "e"]
    few = "a\\nb"
    assert shown(tmp_path, few + "\n") == [few]


def test_lines_are_counted_as_they_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memplan.klog.text.SEARCHED_LINES", 7)
    assert len(shown(tmp_path, "a line\n" * 10)) == 7
    assert len(shown(tmp_path, r"a\nline\nof\nfive\nlines" + "\n" + r"and\n4\nlines\nmore\n")) == 7


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a\rb\r\rc", ["a", "b", "", "c"]),
        ("a\0\n\0\r\0\r\0\n\0b\0", ["a", "", "b"]),
        ("a\0\r\0\r\0b\0\n\0", ["a", "", "b", ""]),
    ],
)
def test_carriage_returns_end_lines(text: str, lines: list[str], tmp_path: Path) -> None:
    """Each by itself; before a line feed they are part of that end, however many they are."""
    assert shown(tmp_path, text) == lines


def test_mail_whose_last_line_is_cut_off(tmp_path: Path) -> None:
    head = "Content-Transfer-Encoding: quoted-printable\n\n"
    assert shown(tmp_path, f"{head}BIOS-e820: [mem 0x0000000000000000-=\n0x000000000009fbff] usable\nx=3D=\n1=")[
        -2:
    ] == [
        KERNEL,
        "x=1",
    ]


def test_an_entity_that_stands_for_more_than_itself_is_left(tmp_path: Path) -> None:
    assert shown(tmp_path, "a &amp;lt; b &lt;c&gt;\n") == ["a < b <c>"]


def test_brackets_too_deep_to_be_a_log(tmp_path: Path) -> None:
    deep = "[" * 3000
    assert shown(tmp_path, f'["{deep}\n') == [f'["{deep}']
    assert shown(tmp_path, '{"a": ' + "[" * 50_000 + "\n" + KERNEL + "\n")[0] == KERNEL
