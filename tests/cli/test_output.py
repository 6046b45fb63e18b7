"""Files that are written: whole, or as they were; with what belonged to them before."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from memplan.cli.output import write_bytes, write_lines
from memplan.errors import UsageError


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_a_new_file_has_the_mode_of_new_files(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_lines(["text"], str(tmp_path / "out"))
    finally:
        os.umask(before)
    assert (mode(tmp_path / "out"), (tmp_path / "out").read_text()) == (0o640, "text\n")


@pytest.mark.parametrize("own", [0o600, 0o444, 0o755])
def test_a_file_keeps_its_mode(own: int, tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.write_text("old")
    target.chmod(own)
    write_lines(["new"], str(target))
    assert (mode(target), target.read_text()) == (own, "new\n")
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("old", ["", "short", "long " * 1000])
def test_a_file_with_further_names_keeps_them(old: str, tmp_path: Path) -> None:
    (tmp_path / "out").write_text(old)
    (tmp_path / "out").chmod(0o600)
    os.link(tmp_path / "out", tmp_path / "second")
    write_lines(["the", "new"], str(tmp_path / "out"))
    assert (tmp_path / "second").read_text() == "the\nnew\n"
    assert (tmp_path / "out").stat().st_nlink == 2
    assert (mode(tmp_path / "out"), sorted(os.listdir(tmp_path))) == (0o600, ["out", "second"])


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "out").symlink_to("real")
    write_bytes(b"new", str(tmp_path / "out"))
    assert (tmp_path / "out").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


@pytest.mark.parametrize("links", [1, 2])
def test_what_fails_half_way_changes_nothing(links: int, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("old")
    if links == 2:
        os.link(tmp_path / "out", tmp_path / "second")

    def lines() -> Iterator[str]:
        yield "half"
        raise UsageError("stopped")

    with pytest.raises(UsageError, match="stopped"):
        write_lines(lines(), str(tmp_path / "out"))
    assert (tmp_path / "out").read_text() == "old"
    assert len(os.listdir(tmp_path)) == links


def test_a_name_planted_beside_it_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    (tmp_path / f".memplan-{os.getpid()}-0.tmp").symlink_to("victim")
    write_lines(["new"], str(tmp_path / "out"))
    assert ((tmp_path / "victim").read_text(), (tmp_path / "out").read_text()) == ("mine", "new\n")


def test_a_device_is_written_to_and_a_full_one_is_named() -> None:
    write_lines(["text"], "/dev/null")
    with pytest.raises(UsageError, match=r"^/dev/full: can't be written: No space left on device$"):
        write_lines(["text"], "/dev/full")
    with pytest.raises(UsageError, match=r"^/dev/full: "):
        write_bytes(b"x", "/dev/full")


def test_colours_go_to_terminals_only(tmp_path: Path) -> None:
    write_lines(["\x1b[1mbold\x1b[0m"], str(tmp_path / "out"))
    assert (tmp_path / "out").read_text() == "\\u001b[1mbold\\u001b[0m\n"


def test_a_pipe_is_written_by_any_of_its_names() -> None:
    end, other = os.pipe()
    write_lines(["text"], f"/dev/fd/{other}")
    os.close(other)
    assert os.read(end, 10) == b"text\n"
    os.close(end)


def test_an_empty_name_is_no_file() -> None:
    with pytest.raises(UsageError, match="name of a file is empty"):
        write_lines(["text"], "")


def test_a_file_in_a_folder_that_nobody_may_change_is_rewritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For root, who may change any folder, it is as if it were one on a medium that can only be read."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "out").write_text("a longer old text")
    own = (tmp_path / "out").stat().st_ino

    def refused(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("memplan.cli.output._beside", refused)
    write_lines(["new"], str(tmp_path / "out"))
    assert ((tmp_path / "out").read_text(), (tmp_path / "out").stat().st_ino) == ("new\n", own)
    assert os.listdir(tmp_path / "temporary") == []
    with pytest.raises(UsageError, match=r"fresh: can't be written: Permission denied$"):
        write_lines(["new"], str(tmp_path / "fresh"))


def test_a_stream_that_somebody_put_in_place_of_stdout() -> None:
    with redirect_stdout(StringIO()) as stream:
        write_lines(["a\x07", "b"], None)
        write_lines(["c"], "-")
    assert stream.getvalue() == "a\\u0007\nb\nc\n"


def test_a_file_of_somebody_else_keeps_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out"
    target.write_text("old")
    if os.geteuid():
        pytest.skip("only root can give files away")
    os.chown(target, 65534, 65534)
    write_lines(["new"], str(target))
    assert (target.stat().st_uid, target.stat().st_gid, target.read_text()) == (65534, 65534, "new\n")
    own = target.stat().st_ino

    def refused(*_: object) -> None:
        raise PermissionError

    # Who may write to the file, but not give one away, writes into the file itself.
    monkeypatch.setattr(os, "chown", refused)
    write_lines(["newer"], str(target))
    assert (target.stat().st_uid, target.stat().st_ino, target.read_text()) == (65534, own, "newer\n")
