"""Writing results: to stdout, or to a file that is then whole, or stays as it was."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from itertools import islice
from typing import IO, TYPE_CHECKING, BinaryIO

from memplan.errors import UsageError
from memplan.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Lines that go into one write: few system calls, and no more than some 100 KiB at once.
_LINES_AT_ONCE = 1024
_BYTES_AT_ONCE = 1 << 20
_COLOUR = re.compile("(\x1b\\[[0-9;]*m)")


def write_lines(lines: Iterable[str], output: str | None, *, as_they_come: bool = False) -> None:
    """Write `lines` to the file `output`, or to stdout where it is None or "-": there each at once if `as_they_come`.

    A file appears only when it is complete: it is written beside its place and then moved there, so that what
    stood there before stays if anything fails; mode, owner and further names of a file that stood there stay, too.
    The text is UTF-8 whatever the locale says, and nothing in it steers a terminal but colours on one.
    UsageError where it can't be written.
    """
    if output in (None, "-"):
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
        shown = map(_coloured if sys.stdout.isatty() else printable, lines)
        if as_they_come:
            for line in shown:
                _write((line,), sys.stdout, "standard output")
                sys.stdout.flush()
        else:
            _write(shown, sys.stdout, "standard output")
        return
    assert output is not None
    with _in_place_of(output) as file:
        text = TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="\n")
        _write(map(printable, lines), text, output)
        with _failures_of(output):
            text.flush()
        text.detach()


def show_lines(lines: Iterable[str], output: str | None, *, pager: bool) -> None:
    """Write `lines` as :func:`write_lines` does, but through a pager where stdout is a terminal too low for them."""
    if output is not None or not pager or not sys.stdout.isatty():
        write_lines(lines, output)
        return
    import shutil

    shown = list(lines)
    if len(shown) < shutil.get_terminal_size().lines:
        write_lines(shown, None)
        return
    import click

    click.echo_via_pager("\n".join(map(_coloured, shown)) + "\n", color="NO_COLOR" not in os.environ)


def write_bytes(data: bytes, output: str) -> None:
    """Write `data` to the file `output`, whole or not at all, or to stdout where that is "-", as `write_lines` does.

    UsageError where it can't be written.
    """
    if output == "-":
        with _failures_of("standard output"):
            sys.stdout.buffer.write(data)
        return
    with _in_place_of(output) as file, _failures_of(output):
        file.write(data)


def _coloured(line: str) -> str:
    """`line` as :func:`printable` has it, but with its colours."""
    return "".join(part if index % 2 else printable(part) for index, part in enumerate(_COLOUR.split(line)))


def _write(lines: Iterable[str], file: IO[str], output: str) -> None:
    left = iter(lines)
    while batch := list(islice(left, _LINES_AT_ONCE)):
        with _failures_of(output):
            file.write("\n".join(batch) + "\n")


@contextmanager
def _failures_of(output: str) -> Iterator[None]:
    """Failures of the system as UsageErrors that name `output`; a pipe that nobody reads is no failure of it."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UsageError(f"{output}: can't be written: {error.strerror or error}") from error


@contextmanager
def _in_place_of(output: str) -> Iterator[BinaryIO]:
    """A file to write to: one beside `output` that takes its place in the end, or a device or pipe itself."""
    if not output:
        raise UsageError("--output: the name of a file is empty")
    target = os.path.realpath(output)
    with _failures_of(output):
        before = os.stat(output) if os.path.exists(output) else None
        if before is not None and not stat.S_ISREG(before.st_mode):
            # By its own name: the place that a link of /proc names, "pipe:[1]" say, can't be opened.
            file, beside = _opened(output), ""
        elif before is None:
            file, beside = _beside(target, 0o666)
        else:
            try:
                file, beside = _beside(target, 0o600)
            except OSError:
                # In a folder that nobody may change, a file may still be one that can be written.
                file, beside = _elsewhere()
    try:
        try:
            yield file
        finally:
            with _failures_of(output):
                file.close()
        if beside:
            with _failures_of(output):
                _take_place(beside, target, before)
    finally:
        if beside:
            with suppress(FileNotFoundError):
                os.unlink(beside)


def _opened(output: str) -> BinaryIO:
    """A device or a pipe open for writing, without waiting for one who reads."""
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO and stat.S_ISFIFO(os.stat(output).st_mode):
            raise UsageError(f"{output}: is a pipe that nobody reads") from None
        raise
    os.set_blocking(descriptor, True)
    return open(descriptor, "wb")


def _beside(target: str, mode: int) -> tuple[BinaryIO, str]:
    """A new file in the folder of `target`, and its path."""
    number = 0
    while True:
        path = os.path.join(os.path.dirname(target), f".memplan-{os.getpid()}-{number}.tmp")
        try:
            return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb"), path
        except FileExistsError:
            number += 1


def _elsewhere() -> tuple[BinaryIO, str]:
    """A new file in the folder for temporary ones, and its path."""
    from tempfile import mkstemp

    descriptor, path = mkstemp(prefix="memplan-")
    return open(descriptor, "wb"), path


def _take_place(beside: str, target: str, before: os.stat_result | None) -> None:
    """Make the file at `beside` the one at `target`, with the mode and the owner that were there `before`."""
    if before is not None:
        apart = os.path.dirname(beside) != os.path.dirname(target)
        if apart or before.st_nlink > 1 or not _owned_alike(beside, before):
            _rewrite(target, beside, before.st_size)
            return
        os.chmod(beside, stat.S_IMODE(before.st_mode))
    os.replace(beside, target)


def _owned_alike(path: str, before: os.stat_result) -> bool:
    """Whether the file at `path` has the owner and group of `before`, or could be given to them."""
    own = os.stat(path)
    if (own.st_uid, own.st_gid) == (before.st_uid, before.st_gid):
        return True
    try:
        os.chown(path, before.st_uid, before.st_gid)
    except PermissionError:
        return False
    return True


def _rewrite(target: str, source: str, size_before: int) -> None:
    """Put the content of `source` into the file `target` itself; the room for it is made sure of first."""
    with open(source, "rb") as new, open(target, "r+b") as old:
        size = os.fstat(new.fileno()).st_size
        if size > size_before:
            try:
                os.posix_fallocate(old.fileno(), 0, size)
            except OSError:
                old.truncate(size_before)
                raise
        while block := new.read(_BYTES_AT_ONCE):
            old.write(block)
        old.truncate(size)
