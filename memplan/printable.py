"""Text of others made harmless for a terminal: what would steer it, or turn the order of letters, is written out."""

from __future__ import annotations


def printable(text: str, keep: str = "\n\t") -> str:
    r"""`text` with every character that isn't printable as ``\u001b``, but for those of `keep`.

    The form is that of JSON, so JSON stays the same document.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else _written_out(char) for char in text)


def _written_out(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
