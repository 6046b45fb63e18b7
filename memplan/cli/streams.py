"""The standard streams of a process that anybody may have started: closed, full, or with nobody at the other end."""

from __future__ import annotations

import os
import sys
from io import BufferedWriter, FileIO, TextIOWrapper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

#: What stands in for each closed stream: a device opened the wrong way round, so that any use is an error, and one that
#: takes nothing from who opens it again as /dev/stdout.
_STAND_INS = (("/dev/null", os.O_WRONLY), ("/dev/full", os.O_RDONLY), ("/dev/full", os.O_RDONLY))


class _Forgiving(FileIO):
    """A file to which writing never fails: what can't be written is lost."""

    def write(self, data: ReadableBuffer, /) -> int:
        """Writes `data`; its length, in any case."""
        try:  # noqa: SIM105 contextlib takes time to import
            super().write(data)
        except OSError:
            pass
        return memoryview(data).nbytes


def prepare() -> None:
    """Give closed streams something to hold their numbers, and make messages on stderr never fail.

    A file opened later can't come to stand in for a closed stream then.  Reading a closed stdin, or writing to a closed
    stdout, is an OSError as it is for any program; what a closed or full stderr can't take is lost.
    """
    for number, (device, flags) in enumerate(_STAND_INS):
        try:
            os.fstat(number)
        except OSError:
            os.open(device, flags)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False, encoding="utf-8")  # noqa: SIM115 open to the end
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False, encoding="utf-8")  # noqa: SIM115 open to the end
    if sys.stderr is None or sys.stderr is sys.__stderr__:
        encoding = sys.stderr.encoding if sys.stderr is not None else "utf-8"
        raw = BufferedWriter(_Forgiving(2, "w", closefd=False))
        sys.stderr = TextIOWrapper(raw, encoding=encoding, errors="backslashreplace", line_buffering=True)


def tell(message: str) -> None:
    """Print `message` on stderr, harmless for a terminal."""
    from memplan.printable import printable

    print(printable(message), file=sys.stderr)


def settle() -> None:
    """Write out what stdout still holds, or drop it where that fails: the end of the process must not fail by it."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        drop_output()


def drop_output() -> None:
    """From now on nothing that is written to stdout arrives anywhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
