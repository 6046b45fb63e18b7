"""Files that are no files, or too long, or not there."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from memplan.errors import InputError
from memplan.files import read_regular


def test_a_file_of_just_the_allowed_length(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    assert read_regular(path, 5, "five bytes") == b"12345"
    with pytest.raises(InputError, match=r"x: is longer than 4 bytes, expected four bytes$"):
        read_regular(path, 4, "four bytes")


def test_the_length_counts_that_is_read() -> None:
    """Files in /proc say that they have no bytes."""
    assert b"NUL" not in read_regular("/proc/self/status", 1 << 20, "a status")
    with pytest.raises(InputError, match="is longer than 16 bytes, expected a little"):
        read_regular("/proc/self/status", 16, "a little")


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as own:
        own.bind(str(tmp_path / "socket"))
    for name, kind in (("fifo", "a FIFO"), ("socket", "a socket"), (".", "a directory"), ("/dev/zero", "a character")):
        with pytest.raises(InputError, match=f": is {kind}.*, expected words$"):
            read_regular(tmp_path / name, 100, "words")


def test_what_can_not_be_opened(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read: No such file or directory"):
        read_regular(tmp_path / "none", 100, "words")
    with pytest.raises(InputError, match="can't be read: File name too long"):
        read_regular(tmp_path / ("x" * 300), 100, "words")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(InputError, match="can't be read: Too many levels of symbolic links"):
        read_regular(tmp_path / "loop", 100, "words")
