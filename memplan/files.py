"""Reading files that somebody else named: regular files only, and no more of one than it can sensibly hold.

Files that the user names may be pipes, too, as a shell makes them of commands; "-" is standard input.  A pipe gives
what it holds once, so this is kept for who asks for the same pipe again.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

from memplan.errors import InputError
from memplan.units import MIB

if TYPE_CHECKING:
    from typing import BinaryIO

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
}
#: Regular by their mode, but they wait for the next line where other files end, and take away what they give.
_ENDLESS = re.compile(r"/proc/kmsg|/sys/kernel/(debug/)?tracing/(.+/)?trace_pipe(_raw)?")
#: So long a named pipe may stay without a word.
_SECONDS_OF_SILENCE = 5
#: What came through pipes: path -> which pipe it was, and its content.
_kept: dict[str, tuple[object, bytes]] = {}


def is_pipe(path: str | os.PathLike[str]) -> bool:
    """Whether `path` is standard input ("-") or a pipe's; a file that is not there is none."""
    if os.fspath(path) == "-":
        return True
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def open_input(path: str | os.PathLike[str], expected: str) -> BinaryIO:
    """The regular file or the pipe at `path`, open for reading.

    Raises InputError for anything else, and for a named pipe into which nobody writes; OSError and ValueError where it
    can't be opened.
    """
    source = os.fspath(path)
    status = os.stat(path)
    pipe = stat.S_ISFIFO(status.st_mode)
    if not pipe:
        _check_kind(status, source, expected)
    # Opening a pipe that has no writer would wait for one.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    named = pipe and os.path.lexists(os.path.realpath(path))
    if named and not _has_something_to_say(descriptor):
        os.close(descriptor)
        raise InputError.single(source, f"is a pipe into which nobody writes, expected {expected}")
    os.set_blocking(descriptor, True)
    return open(descriptor, "rb")


def _has_something_to_say(descriptor: int) -> bool:
    """Whether a pipe has data, or came to its end, before too long."""
    from select import select

    return bool(select([descriptor], [], [], _SECONDS_OF_SILENCE)[0])


def read_input(path: str | os.PathLike[str], most: int, expected: str) -> bytes:
    """The content of the regular file or the pipe at `path`, or of standard input, at most `most` bytes.

    Raises InputError as :func:`open_input` does, for what is longer, and for what can't be opened.
    """
    source = os.fspath(path)
    name = "<stdin>" if source == "-" else source
    try:
        if is_pipe(path):
            data = _content_of_pipe(source, most, expected)
        else:
            with open_input(path, expected) as stream:
                data = stream.read(most + 1)
    except (OSError, ValueError) as error:
        raise unreadable(name, error) from None
    if len(data) > most:
        raise _too_long(name, most, expected)
    return data


def _content_of_pipe(path: str, most: int, expected: str) -> bytes:
    """What comes through the pipe at `path`; one byte more than `most` of what is longer."""
    if path == "-":
        which: object = sys.stdin
    else:
        status = os.stat(path)
        which = status.st_dev, status.st_ino
    if path in _kept and _kept[path][0] == which:
        return _kept[path][1]
    with nullcontext(sys.stdin.buffer) if path == "-" else open_input(path, expected) as stream:
        data = stream.read(most + 1)
    if len(data) <= most:
        _kept[path] = which, data
    return data


def read_regular(path: str | os.PathLike[str], most: int, expected: str) -> bytes:
    """The content of the regular file at `path`.

    `most` is how many bytes it may have, `expected` what it should be ("a kernel's file"), for the message.  Raises
    InputError at once, without reading, for a directory, a device, a FIFO or a socket and for a file that is too
    long; and for one that can't be opened.
    """
    source = os.fspath(path)
    try:
        _check_kind(os.stat(path), source, expected)
        # Between the two looks the name may have become a FIFO's: without O_NONBLOCK opening it would wait.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            _check_kind(status, source, expected)
            data = b"" if status.st_size > most else file.read(status.st_size + 1)
            if len(data) > status.st_size:
                # Files of /proc and /sys tell no size, or a page's.
                data += file.read(most + 1 - len(data))
    except (OSError, ValueError) as error:
        raise unreadable(source, error) from None
    if len(data) > most or status.st_size > most:
        raise _too_long(source, most, expected)
    return data


def read_entry(path: str | os.PathLike[str], most: int, expected: str) -> bytes:
    """The content of a file in a tree that somebody copied: as :func:`read_regular`, but never through a link."""
    if os.path.islink(path):
        raise InputError.single(os.fspath(path), f"is a link, expected {expected}")
    return read_regular(path, most, expected)


def unreadable(source: str, error: OSError | ValueError) -> InputError:
    """What is told of a file that can't be read."""
    return InputError.single(source, f"can't be read: {getattr(error, 'strerror', None) or error}")


def _too_long(source: str, most: int, expected: str) -> InputError:
    limit = f"{most // MIB} MiB" if most >= MIB else f"{most} bytes"
    return InputError.single(source, f"is longer than {limit}, expected {expected}")


def _check_kind(status: os.stat_result, source: str, expected: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "no regular file")
        raise InputError.single(source, f"is {kind}, expected {expected}")
    # What has no end tells no size.
    if not status.st_size and _ENDLESS.fullmatch(os.path.realpath(source)):
        raise InputError.single(source, f"has no end, expected {expected}; save what dmesg prints, and name that file")
