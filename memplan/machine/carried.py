"""Documents that an HTML page carries: how they are put into its script elements, and read back out of a page.

An element ``<script type="application/json" id="NAME">`` holds a document as JSON text; a long one is packed by gzip
and base64 into ``<script type="application/gzip" id="NAME">``.  A browser runs neither.  A page is told by the first
lines of its text, and what is read from it is limited in size: a page may come from anywhere.
"""

from __future__ import annotations

import binascii
import json
import re
import zlib
from html.parser import HTMLParser
from typing import Any

from memplan.errors import InputError

PLAIN, PACKED = "application/json", "application/gzip"
#: The names of descriptions: "description-1", and "description-2" where a page shows two plans.
DESCRIPTION = "description-"
#: The most that a packed document may hold, in bytes.
_MOST_BYTES = 64 << 20
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_PAGE = re.compile(rb"(?i)(?:\xef\xbb\xbf)?\s*(?:<!--.*?-->\s*)*<(?:!doctype html|html)\b", re.DOTALL)
#: How much of a file is looked at to tell a page from a description.
_HEAD = 4096


def carried(document: str, *, plain_up_to: int) -> tuple[str, str]:
    """The type and the text of the script element that carries the JSON text `document`.

    It is packed where it has more than `plain_up_to` characters.
    """
    if len(document) <= plain_up_to:
        # "<" could end the element or begin a comment in it; JSON can say it in another way.
        return PLAIN, document.replace("<", "\\u003c")
    # No time and no name go into it: the same document gives the same bytes.
    packer = zlib.compressobj(6, zlib.DEFLATED, _GZIP_WINDOW)
    return PACKED, binascii.b2a_base64(packer.compress(document.encode()) + packer.flush(), newline=False).decode()


def is_page(data: bytes) -> bool:
    """Whether `data` begins as an HTML page does."""
    return _PAGE.match(data[:_HEAD]) is not None


def description_in(data: bytes, source: str) -> str:
    """The machine description that the HTML page `data` carries, as text.

    Raises InputError where `source` carries none, a damaged one, or two that differ.
    """
    reader = _Reader()
    reader.feed(data.decode("utf-8", "replace"))
    reader.close()
    found = {name: _unpacked(element, name, source) for name, element in reader.found.items()}
    texts = list(dict.fromkeys(text for text in found.values() if isinstance(text, str)))
    if not texts:
        message = "is an HTML page that carries no machine description"
        raise InputError.single(source, message, hint="only pages of memplan report do")
    if len(texts) > 1:
        message = "carries the descriptions of two different plans, and only one can be taken"
        raise InputError.single(source, message, hint="save one of them from the page")
    return texts[0]


class _Element:
    """A script element: its type, where its text begins, and the text."""

    def __init__(self, kind: str, line: int) -> None:
        self.kind = kind
        self.line = line
        self.parts: list[str] = []
        self.closed = False


class _Reader(HTMLParser):
    """Finds the elements that carry descriptions; of two with one name the first counts."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: dict[str, _Element] = {}
        self._open: _Element | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begins an element that carries a description."""
        given = dict(attrs)
        name, kind = given.get("id") or "", given.get("type") or ""
        if tag == "script" and name.startswith(DESCRIPTION) and kind in (PLAIN, PACKED) and name not in self.found:
            self._open = self.found[name] = _Element(kind, self.getpos()[0])

    def handle_endtag(self, tag: str) -> None:
        """Ends it."""
        if tag == "script" and self._open is not None:
            self._open.closed = True
            self._open = None

    def handle_data(self, data: str) -> None:
        """Text, which is kept within such an element."""
        if self._open is not None:
            self._open.parts.append(data)


def _unpacked(element: _Element, name: str, source: str) -> Any:
    def damaged(why: str) -> InputError:
        return InputError.single(source, f"the {name} that the page carries is damaged: {why}", line=element.line)

    text = "".join(element.parts)
    if not element.closed:
        raise damaged("the page ends in it")
    if element.kind == PACKED:
        try:
            unpacker = zlib.decompressobj(_GZIP_WINDOW)
            data = unpacker.decompress(binascii.a2b_base64(text, strict_mode=True), _MOST_BYTES)
        except (ValueError, zlib.error) as error:
            raise damaged(f"it can't be unpacked ({error})") from None
        if unpacker.unconsumed_tail:
            raise damaged(f"it holds more than {_MOST_BYTES >> 20} MiB")
        if not unpacker.eof:
            raise damaged("its end is missing")
        text = data.decode("utf-8", "replace")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise damaged("it is no JSON") from None
    if not isinstance(document, str):
        raise damaged("it is no text")
    return document
