"""Offers of the nearest right word for a misspelt one."""

from __future__ import annotations

from collections.abc import Iterable


def meant(word: str, words: Iterable[str]) -> str:
    """``did you mean …?`` with the nearest of `words`; "" where none is near.  Case does not count."""
    from difflib import get_close_matches

    folded = {own.lower(): own for own in words}
    near = get_close_matches(word.lower(), folded, 1)
    return offer(folded[near[0]]) if near else ""


def offer(word: str) -> str:
    """The offer of that word."""
    return f"did you mean {word}?"
