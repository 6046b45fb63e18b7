"""What the kernel says: lines quoted from the replayed boot, and what they name where there is none to quote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot import proximity
from memplan.events import Message
from memplan.wording import Wording

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.checks.model import Subject


def lines(subject: Subject, *words: str) -> Iterator[str]:
    """The lines of the replayed boot that hold all of `words`, in their order; none where nothing was replayed."""
    return (text for text in subject.once("lines", lambda: _printed(subject)) if all(word in text for word in words))


def _printed(subject: Subject) -> list[str]:
    events = subject.plan.events if subject.has("plan") else ()
    return [event.text for event in events if isinstance(event, Message)]


def quote(subject: Subject, *words: str, otherwise: str = "") -> str:
    """The first such line, or `otherwise` where nothing was replayed ("" where the replayed boot has no such line)."""
    return next(lines(subject, *words), "") if subject.has("plan") else otherwise


def wording(subject: Subject) -> Wording:
    """How the chosen kernel words its lines."""
    return Wording.of(subject.kernel.rules)


def node_numbers(subject: Subject) -> dict[int, int]:
    """The node of each proximity domain of enabled entries."""
    srat, rules = subject.srat, subject.kernel.rules
    return {} if srat is None else subject.once("node numbers", lambda: proximity.node_numbers(srat, rules))
