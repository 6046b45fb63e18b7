"""Lines made of pieces with a style each: text first, colour where a terminal has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Span(NamedTuple):
    """A piece of a line; `style` is one of rich's ("bold", "red", "black on #E69F00"), or empty."""

    text: str
    style: str = ""


Line = tuple[Span, ...]


def line(*parts: Span | str) -> Line:
    """A line of these parts."""
    return tuple(part if isinstance(part, Span) else Span(part) for part in parts)


def plain(lines: Iterable[Line]) -> Iterable[str]:
    """The lines' text alone."""
    return ("".join(span.text for span in each).rstrip() for each in lines)
