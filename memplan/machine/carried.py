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
from typing import Any, NamedTuple

from memplan.errors import InputError

PLAIN, PACKED = "application/json", "application/gzip"
#: The names of descriptions: "description-1", and "description-2" where a page shows two plans.
DESCRIPTION = "description-"
#: The most that a packed document may hold, in bytes.
_MOST_BYTES = 64 << 20
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_PAGE = re.compile(rb"(?i)(?:\xef\xbb\xbf)?\s*(?:<!--.*?-->\s*)*<(?:!doctype html|html)\b", re.DOTALL)
#: The beginning of a comment, or the whole tag that begins a script; no tag of a description is longer.
_COMMENT_OR_SCRIPT = re.compile(r"<!--|<script(?=[\s/>])(?P<attributes>[^<>]{0,1000})>", re.IGNORECASE)
_SCRIPT_END = re.compile(r"</script(?=[\s/>])", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"([a-zA-Z-]+)\s*=\s*(\"[^\"]*\"|'[^']*'|[^\s\"'=`]+)")
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
    elements = _elements(data.decode("utf-8", "replace"))
    found = {name: _unpacked(element, name, source) for name, element in elements.items()}
    texts = list(dict.fromkeys(text for text in found.values() if isinstance(text, str)))
    if not texts:
        message = "is an HTML page that carries no machine description"
        raise InputError.single(source, message, hint="only pages of memplan report do")
    if len(texts) > 1:
        message = "carries the descriptions of two different plans, and only one can be taken"
        raise InputError.single(source, message, hint="save one of them from the page")
    return texts[0]


class _Element(NamedTuple):
    """A script element: its type, its text, the line on which it begins, and whether it ends."""

    kind: str
    text: str
    line: int
    closed: bool


def _elements(page: str) -> dict[str, _Element]:
    """The elements that carry descriptions, by their names; of two with one name the first counts.

    No general reader of HTML finds them: those take time that grows with the square of what a page may hold.
    """
    found: dict[str, _Element] = {}
    at = 0
    while begin := _COMMENT_OR_SCRIPT.search(page, at):
        if begin["attributes"] is None:
            end = page.find("-->", begin.end())
            if end < 0:
                break
            at = end
            continue
        given = {name.lower(): value.strip("\"'") for name, value in _ATTRIBUTE.findall(begin["attributes"])}
        ended = _SCRIPT_END.search(page, begin.end())
        at = ended.end() if ended else len(page)
        name, kind = given.get("id", ""), given.get("type", "")
        if name.startswith(DESCRIPTION) and kind in (PLAIN, PACKED) and name not in found:
            text = page[begin.end() : ended.start() if ended else at]
            found[name] = _Element(kind, text, page.count("\n", 0, begin.start()) + 1, ended is not None)
    return found


def _unpacked(element: _Element, name: str, source: str) -> Any:
    def damaged(why: str) -> InputError:
        return InputError.single(source, f"the {name} that the page carries is damaged: {why}", line=element.line)

    text = element.text
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
