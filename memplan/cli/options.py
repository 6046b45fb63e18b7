"""What the commands that make plans share: options, loading, and writing the result."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from io import TextIOWrapper
from typing import IO, TYPE_CHECKING, Any, TypeVar

import click

from memplan.errors import InputError, Problem, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from memplan.machine.model import Machine

    Decorated = TypeVar("Decorated", bound=Callable[..., Any])

#: Lines that go into one write: few system calls, and no more than some 100 KiB at once.
_LINES_AT_ONCE = 1024

verbose_option = click.option(
    "-v", "--verbose", is_flag=True, help="Every range by itself, neighbours not put together."
)
output_option = click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, writable=True),
    help="Write to FILE, whole or not at all, instead of to the terminal.",
)


def format_option(*formats: str) -> Callable[[Decorated], Decorated]:
    """The option --format with these choices; the first one is the default."""
    return click.option(
        "-f",
        "--format",
        "format_",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help="How to print the result.",
    )


def load(path: str) -> Machine:
    """The machine that the file `path` describes; InputError where it can't be used."""
    import memplan

    return memplan.load_machine(path)


def with_cmdline(machine: Machine, cmdline: str | None, append: tuple[str, ...] = ()) -> Machine:
    """`machine` with another command line (None: its own), and with more words behind it.

    InputError where one of the new words has a value that no kernel takes.
    """
    _refuse_bad_options("--cmdline", cmdline or "")
    for more in append:
        _refuse_bad_options("--append", more)
    words = [machine.cmdline if cmdline is None else cmdline, *append]
    text = " ".join(word for word in words if word)
    if text == machine.cmdline:
        return machine

    return machine._replace(cmdline=text)


def _refuse_bad_options(option: str, text: str) -> None:
    if not text:
        return
    from memplan.machine.options import bad_options

    problems = [Problem(option, message) for message in bad_options(text)]
    if problems:
        raise InputError(problems)


def write_lines(lines: Iterable[str], output: str | None) -> None:
    """Write `lines` to the file `output`, or to stdout where it is None.

    A file appears only when it is complete: it is written beside its place and then moved there, so that what
    stood there before stays if anything fails.  The text is UTF-8 whatever the locale says.
    UsageError where it can't be written.
    """
    if output is None:
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
        _write(lines, sys.stdout)
        return
    with _in_place_of(output) as path, _open(path, output) as file:
        _write(lines, file)


def write_bytes(data: bytes, output: str) -> None:
    """Write `data` to the file `output`, whole or not at all, as :func:`write_lines` does.

    UsageError where it can't be written.
    """
    try:
        with _in_place_of(output) as path, open(path, "wb") as file:
            file.write(data)
    except OSError as error:
        raise UsageError(f"{output}: can't be written: {error.strerror}") from error


@contextmanager
def _in_place_of(output: str) -> Iterator[str]:
    """A path to write to: a file beside `output` that is moved there in the end, or a device or pipe itself."""
    target = os.path.realpath(output)
    if os.path.exists(target) and not os.path.isfile(target):
        yield target
        return
    beside = f"{target}.{os.getpid()}.tmp"
    try:
        yield beside
        os.replace(beside, target)
    finally:
        if os.path.exists(beside):
            os.unlink(beside)


def _open(path: str, shown: str) -> IO[str]:
    try:
        return open(path, "w", encoding="utf-8", errors="backslashreplace", newline="\n")
    except OSError as error:
        raise UsageError(f"{shown}: can't be written: {error.strerror}") from error


def _write(lines: Iterable[str], file: IO[str]) -> None:
    batch: list[str] = []
    for line in lines:
        batch.append(line)
        if len(batch) == _LINES_AT_ONCE:
            file.write("\n".join(batch) + "\n")
            batch.clear()
    if batch:
        file.write("\n".join(batch) + "\n")
