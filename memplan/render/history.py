"""A history as text and as JSON: which versions give which verdict, and what made it change."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from memplan.printable import printable
from memplan.render.sweep import crash_words, removable_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from memplan.history import Cause, Stretch


def history_lines(command: Sequence[str], stretches: Sequence[Stretch]) -> Iterator[str]:
    """Each stretch of versions with its verdict, why it differs from the one before, and the command that shows it.

    `command` is that command's beginning, without the kernel.
    """
    width = max(len(_versions(own)) for own in stretches)
    for index, own in enumerate(stretches):
        if index:
            yield ""
        yield _line(f"{_versions(own):{width}}  {_verdict(own)}")
        for cause in own.causes:
            yield _line(f"  because of {cause_text(cause)}")
        for text in own.limits:
            yield _line(f"  not modelled: {text}")
        yield _line(f"  {_command(command, own)}")


def _versions(own: Stretch) -> str:
    return own.first if own.first == own.last else f"{own.first} to {own.last}"


def _verdict(own: Stretch) -> str:
    if own.verdict is None:
        return f"not known: {own.problem}"
    met = {None: "", True: "yes: ", False: "no: "}[own.met]
    if own.verdict.death:
        return f"{met}the boot dies: {own.verdict.death}"
    return f"{met}{removable_words(list(own.verdict.removable))}, {crash_words(own.verdict.crash_kernel)}"


def cause_text(cause: Cause) -> str:
    """A cause in words: what it is, its two values, the commit, what it is about."""
    commit = f" (commit {cause.commit})" if cause.commit else ""
    return f"{cause.name}: {cause.before} became {cause.after}{commit}: {cause.what}"


def _command(command: Sequence[str], own: Stretch) -> str:
    return shlex.join([*command, "--kernel", own.first])


def _line(text: str) -> str:
    return printable(text, "")


def history_document(
    path: str, command: Sequence[str], wants: Sequence[str], stretches: Sequence[Stretch]
) -> dict[str, Any]:
    """The history as JSON has it."""
    return {
        "format": "memplan history",
        "version": 1,
        "machine": path,
        "want": list(wants),
        "stretches": [
            {
                "from": own.first,
                "to": own.last,
                "met": own.met,
                "removable": None if own.verdict is None else list(own.verdict.removable),
                "crash_kernel_place": None if own.verdict is None else own.verdict.crash_kernel,
                "died": (own.verdict.death or None) if own.verdict is not None else None,
                "problem": own.problem or None,
                "causes": [cause._asdict() for cause in own.causes],
                "not_modelled": list(own.limits),
                "simulate": _command(command, own),
            }
            for own in stretches
        ],
    }


def history_schema() -> dict[str, Any]:
    """The schema of what ``memplan history --format json`` writes."""

    def text(description: str, *, empty: bool = False) -> dict[str, Any]:
        return {"type": ["string", "null"] if empty else "string", "description": description}

    cause = {
        "type": "object",
        "properties": {
            "name": text("the rule, the step, or facts"),
            "what": text("what it is about"),
            "before": text("its older value"),
            "after": text("its newer value"),
            "commit": text("the commit that brought it; empty where that isn't known"),
        },
        "required": ["name", "what", "before", "after", "commit"],
    }
    stretch = {
        "type": "object",
        "description": "versions with one verdict",
        "properties": {
            "from": text("the first version"),
            "to": text("the last version"),
            "met": {"type": ["boolean", "null"], "description": "whether they give what is wanted, if anything is"},
            "removable": {"type": ["array", "null"], "items": {"type": "integer"}},
            "crash_kernel_place": {"enum": ["low", "high", "none", None]},
            "died": text("the kernel's last words, where the boot dies", empty=True),
            "problem": text("why there is no verdict", empty=True),
            "causes": {"type": "array", "items": cause, "description": "what made the verdict change"},
            "not_modelled": {
                "type": "array",
                "items": {"type": "string"},
                "description": "what these versions are asked for and is not replayed",
            },
            "simulate": text("the command that shows the plan"),
        },
        "required": [
            "from",
            "to",
            "met",
            "removable",
            "crash_kernel_place",
            "died",
            "problem",
            "causes",
            "not_modelled",
            "simulate",
        ],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "memplan history",
        "type": "object",
        "properties": {
            "format": {"const": "memplan history"},
            "version": {"const": 1},
            "machine": text("the description's path"),
            "want": {"type": "array", "items": {"type": "string"}},
            "stretches": {"type": "array", "items": stretch},
        },
        "required": ["format", "version", "machine", "want", "stretches"],
    }
