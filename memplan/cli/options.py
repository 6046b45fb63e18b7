"""What the commands that make plans share: options, and loading with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from memplan.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from memplan.machine.model import Machine

    Decorated = TypeVar("Decorated", bound=Callable[..., Any])

verbose_option = click.option(
    "-v", "--verbose", is_flag=True, help="Every range by itself, neighbours not put together."
)
pager_option = click.option(
    "--pager/--no-pager",
    default=True,
    help="Use a pager where a terminal is too low for the result.",
    show_default=True,
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
