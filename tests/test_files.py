"""Files that are no files, or too long, or not there."""

from __future__ import annotations

import os
import socket
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from memplan import files
from memplan.cli import main
from memplan.errors import InputError
from memplan.files import is_pipe, open_input, read_input, read_regular
from memplan.firmware.combine import import_files
from memplan.firmware.source import open_source
from memplan.machine.load import load_machine

EXAMPLE = Path(__file__).parents[1] / "examples" / "annotated.yaml"


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


def test_a_pipe_into_which_nobody_writes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_SECONDS_OF_SILENCE", 0)
    os.mkfifo(tmp_path / "pipe")
    for read in (load_machine, lambda path: import_files([path]), open_source):
        with pytest.raises(InputError, match=r"pipe: is a pipe into which nobody writes"):
            read(tmp_path / "pipe")


def test_what_a_pipe_says_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = os.open(tmp_path / "pipe", os.O_RDWR)
    os.write(writer, b"some text")
    with open_input(tmp_path / "pipe", "text") as stream:
        os.close(writer)
        assert stream.read() == b"some text"


def test_a_pipe_without_a_name_may_take_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_SECONDS_OF_SILENCE", 0)
    end, other = os.pipe()
    with open_input(f"/dev/fd/{end}", "text") as stream:
        os.write(other, b"late")
        os.close(other)
        assert stream.read() == b"late"
    os.close(end)


@pytest.mark.parametrize("path", ["/dev/zero", "/"])
def test_devices_and_folders_are_no_input(path: str) -> None:
    with pytest.raises(InputError, match="expected text"):
        open_input(path, "text")


@pytest.mark.skipif(not os.path.exists("/proc/kmsg"), reason="this machine's kernel shows no messages")
def test_files_without_an_end_are_no_input(tmp_path: Path) -> None:
    link = tmp_path / "boot.log"
    link.symlink_to("/proc/kmsg")
    for path in (link, "/proc/kmsg"):
        with pytest.raises(InputError, match="has no end, expected text; save what dmesg prints"):
            open_input(path, "text")
        with pytest.raises(InputError, match="has no end, expected text"):
            read_regular(path, 1000, "text")
        with pytest.raises(InputError, match="has no end, expected a file or a pipe"):
            open_source(Path(path))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("hotadd MACHINE --scenario PIPE", "a list of steps in YAML"),
        ("check MACHINE --config PIPE", "a configuration in YAML"),
        ("sweep MACHINE --resume PIPE", "a journal of a sweep"),
        ("boot MACHINE --show --kernel-image PIPE", "a bzImage"),
    ],
)
def test_no_option_waits_for_a_pipe(
    words: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(files, "_SECONDS_OF_SILENCE", 0)
    os.mkfifo(tmp_path / "pipe")
    names = {"MACHINE": str(EXAMPLE), "PIPE": str(tmp_path / "pipe")}
    with pytest.raises(SystemExit, match="2"):
        main([names.get(word, word) for word in words.split()])
    assert f"{tmp_path}/pipe: is a" in (said := capsys.readouterr().err)
    assert f"expected {expected}" in said


def test_what_came_through_a_pipe_is_there_for_who_asks_again() -> None:
    first, second = (_pipe_with(text) for text in (b"one", b"two"))
    assert [read_input(f"/dev/fd/{first}", 10, "text") for _ in range(2)] == [b"one", b"one"]
    # Another pipe by the same name is another one.
    os.dup2(second, first)
    assert read_input(f"/dev/fd/{first}", 10, "text") == b"two"
    os.close(first)
    os.close(second)


def _pipe_with(text: bytes) -> int:
    end, other = os.pipe()
    os.write(other, text)
    os.close(other)
    return end


def test_standard_input_is_read_once_and_to_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in (b"one", b"two"):
        monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(text)))
        assert [read_input("-", 3, "text") for _ in range(2)] == [text, text]
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(b"four")))
    with pytest.raises(InputError, match=r"^<stdin>: is longer than 3 bytes, expected text$"):
        read_input("-", 3, "text")


def test_which_names_are_pipes(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    found = {name: is_pipe(tmp_path / name) for name in ("file", "fifo", "link", "none")}
    assert found == {"file": False, "fifo": True, "link": True, "none": False}
    assert (is_pipe("-"), is_pipe("a\0b"), is_pipe("/dev/zero")) == (True, False, False)
