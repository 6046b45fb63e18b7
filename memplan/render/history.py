"""A history as text: which versions give which verdict, and what made it change."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from memplan.printable import printable
from memplan.render.sweep import crash_words, removable_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from memplan.history import Cause, Stretch


def history_lines(command: Sequence[str], stretches: Sequence[Stretch], *, crash: bool) -> Iterator[str]:
    """Each stretch of versions with its verdict, why it differs from the one before, and the command that shows it.

    `command` is that command's beginning, without the kernel; `crash` tells whether a crash kernel is asked for.
    """
    width = max(len(_versions(own)) for own in stretches)
    for index, own in enumerate(stretches):
        if index:
            yield ""
        yield _line(f"{_versions(own):{width}}  {_verdict(own, crash=crash)}")
        for cause in own.causes:
            yield _line(f"  because of {cause_text(cause)}")
        for text in own.limits:
            yield _line(f"  not modelled: {text}")
        yield _line(f"  {stretch_command(command, own)}")


def _versions(own: Stretch) -> str:
    return own.first if own.first == own.last else f"{own.first} to {own.last}"


def _verdict(own: Stretch, *, crash: bool) -> str:
    if own.verdict is None:
        return f"not known: {own.problem}"
    met = {None: "", True: "yes: ", False: "no: "}[own.met]
    if own.met is not None and own.first != own.last:
        # Of versions that answer a wish alike, the first one is shown; others may have other nodes.
        met += f"in {own.first} "
    if own.verdict.death:
        return f"{met}the boot dies: {own.verdict.death}"
    nodes = removable_words(list(own.verdict.removable))
    return f"{met}{nodes}, {crash_words(own.verdict.crash_kernel)}" if crash else f"{met}{nodes}"


def cause_text(cause: Cause) -> str:
    """A cause in words: what it is, its two values, the commit, what it is about."""
    commit = f" (commit {cause.commit})" if cause.commit else ""
    return f"{cause.name}: {cause.before} became {cause.after}{commit}: {cause.what}"


def stretch_command(command: Sequence[str], own: Stretch) -> str:
    """The command that shows the first version's plan; `command` is its beginning, without the kernel."""
    return shlex.join([*command, "--kernel", own.first])


def _line(text: str) -> str:
    return printable(text, "")
