"""What the commands that make plans share: options, and loading with them."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from memplan.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from memplan.machine.assignment import Assignment
    from memplan.machine.model import Machine

    Decorated = TypeVar("Decorated", bound=Callable[..., Any])

OTHER_KERNEL = "Another kernel's rules and facts: a version, a build, a distribution, or a file."

cmdline_option = click.option("--cmdline", metavar="TEXT", help="Replace the machine's boot options.")
append_option = click.option(
    "--append", metavar="TEXT", multiple=True, help="Add boot options behind the machine's own; may be given again."
)
exact_option = click.option("--exact", is_flag=True, help="On the first screen, exact sizes instead of rounded ones.")

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


def kernel_option(text: str, *, multiple: bool = False) -> Callable[[Decorated], Decorated]:
    """The option --kernel, with completion of the names that memplan knows."""
    name = "kernels" if multiple else "kernel"
    return click.option(
        "--kernel", name, metavar="NAME", multiple=multiple, help=text, shell_complete=words_of(_kernel_names)
    )


def set_option(
    text: str = "Change a key of the description (initrd.start=2G, srat.memory[2].hotplug=true); may be given again.",
) -> Callable[[Decorated], Decorated]:
    """The option --set, which may be given several times."""
    return click.option(
        "--set", "sets", metavar="KEY=VALUE", multiple=True, help=text, shell_complete=words_of(_keys, "=")
    )


class WhatIf(NamedTuple):
    """What --set, --cmdline and --append change in a command's machines."""

    sets: tuple[str, ...]
    cmdline: str | None
    append: tuple[str, ...]

    def load(self, path: str) -> Machine:
        """The machine that the file `path` describes, with the changes; InputError where it can't be used."""
        return load(path, self.sets, self.cmdline, self.append)


def what_if_options(command: Callable[..., int]) -> Callable[..., int]:
    """The options --set, --cmdline and --append, which `command` gets as one :class:`WhatIf` called `what_if`."""

    @wraps(command)
    def gathered(*, sets: tuple[str, ...], cmdline: str | None, append: tuple[str, ...], **others: Any) -> int:
        return command(what_if=WhatIf(sets, cmdline, append), **others)

    return set_option()(cmdline_option(append_option(gathered)))


def direction_options(command: Callable[..., int]) -> Callable[..., int]:
    """The options --bottom-up and --top-down, which `command` gets as `bottom_up` (None: as the kernel decides)."""

    @wraps(command)
    def chosen(*, up: bool, down: bool, **others: Any) -> int:
        if up and down:
            raise UsageError("--bottom-up and --top-down contradict each other; memplan diff takes both")
        return command(bottom_up=True if up else False if down else None, **others)

    up = click.option("--bottom-up", "up", is_flag=True, help="Force allocations before the SRAT to go upwards.")
    return up(click.option("--top-down", "down", is_flag=True, help="Force them to go downwards.")(chosen))


def words_of(words: Callable[[], Iterable[str]], behind: str = "") -> Callable[..., list[Any]]:
    """What completes an option's value: those of `words` that begin with what is typed, and `behind` it."""

    def complete(_: click.Context, __: click.Parameter, typed: str) -> list[str]:
        return [word + behind for word in words() if word.startswith(typed)]

    return complete


def _kernel_names() -> list[str]:
    from memplan.kernel.distributions import distribution_names
    from memplan.kernel.resolve import all_rules
    from memplan.kernel.rules import OLDEST
    from memplan.kernel.shipped import kernel_names

    versions = []
    release = OLDEST
    while release <= all_rules().versions.newest:
        versions.append(str(release))
        release = release.next
    return [*dict.fromkeys((*versions, *kernel_names(), *distribution_names()))]


def _keys() -> list[str]:
    from memplan.machine.keys import all_keys

    return all_keys()


def changes(sets: Iterable[str]) -> tuple[Assignment, ...]:
    """The changes that --set asks for; UsageError or InputError for one that is none."""
    if not sets:
        return ()
    from memplan.machine.assignment import Assignment

    return tuple(map(Assignment.parse, sets))


def is_boot_log(path: str) -> bool:
    """Whether the file, or what comes through the pipe, begins as a boot log does.

    What is named as a description or a page is none.  InputError where it can't be read.
    """
    if path.endswith((".yaml", ".yml", ".json", ".html")):
        return False
    from pathlib import Path

    from memplan.firmware.dmesg import recognises
    from memplan.firmware.source import open_source

    return recognises(open_source(Path(path)).head)


def load(path: str, sets: Iterable[str] = (), cmdline: str | None = None, append: tuple[str, ...] = ()) -> Machine:
    """The machine that the file `path` describes, with what --set, --cmdline and --append change.

    InputError where it can't be used.
    """
    import memplan

    machine = memplan.load_machine(path, changes=changes(sets))
    if cmdline is None and not append:
        return machine
    from memplan.machine.options import with_cmdline

    return with_cmdline(machine, cmdline, append)
