"""The lines of a log out of whatever it was pasted in: encodings, web pages, mail, JSON, journald's own formats.

What is left are the lines as a terminal would show them, each with its number in the file; what stands before the
kernel's own words in them (time stamps, a host's name) is for `memplan.klog.layout`.
"""

from __future__ import annotations

import email
import email.policy
import html
import json
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Protocol

#: How many lines of a file are looked at; a boot's memory part is over long before.
SEARCHED_LINES = 500_000

#: A line of a file that holds more lines than this holds the log.
_WHOLE_LOG = 20

_ESCAPES = re.compile(r"\x1b?\[[=?][0-9;]*[A-Za-z]|\x1b(?:\[[0-9;]*[A-Za-z]|[^\[])|[\x00\r\x07\x08]")
#: A terminal's colours whose escape character was lost, or written as ``^[``.
_BARE_COLOURS = re.compile(r"\^\[\[[0-9;]*[A-Za-z]|(?<![0-9A-Za-z])\[(?:0?[01]|[01]?;?[39][0-7])m")
_BREAK = re.compile(r"<(?:br|hr|/p|/div|/li|/tr|/pre|/h[1-6]) */?>", re.IGNORECASE)
_TAGS = (
    "a|abbr|article|b|blockquote|body|br|button|code|dd|div|dl|dt|em|figure|font|footer|h[1-6]|head|header|hr|html|i"
    "|img|input|kbd|li|link|main|mark|meta|nav|ol|p|pre|s|samp|section|small|span|strong|sub|sup|table|tbody|td|th"
    "|thead|title|tr|tt|u|ul"
)
_TAG = re.compile(rf"</?(?:{_TAGS})(?: [^<>]{{0,500}})? */?>", re.IGNORECASE)
_PAGE = re.compile(r"<(?:br|pre|html|body|div|span|td|p|code|tt)(?: [^<>]{0,500})? */?>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:lt|gt|amp|quot|apos|nbsp|#[0-9]{1,6}|#x[0-9a-fA-F]{1,5});")
_ENCODED_MAIL = re.compile(r"^Content-Transfer-Encoding: *(quoted-printable|base64)", re.IGNORECASE | re.MULTILINE)
_MANY_PARTS = re.compile(r"^Content-Type: *multipart/", re.IGNORECASE | re.MULTILINE)
#: The first lines of a mail.
_HEADERS = re.compile(r"(?:(?:From |[A-Za-z-]+:|[ \t])[^\n]*\n){3}")
_SOFT_END = re.compile(r"=[ \t]*$", re.MULTILINE)
_QUOTED_BYTES = re.compile(r"(?:=[0-9A-F]{2})+")
#: Blanks are told from line ends, as each of many empty lines would look through all those behind it.
_JOURNAL_EXPORT = re.compile(r"^(?:__CURSOR=|__REALTIME_TIMESTAMP=\d|[^\S\n]*\s_TRANSPORT=)", re.MULTILINE)
#: Under which names JSON holds a line of a log.
_MESSAGES = ("MESSAGE", "message", "msg", "log", "line", "text", "textPayload")
_MESSAGE = re.compile(rf"""["']?\b(?:{"|".join(_MESSAGES)})["']? ?: ?(?:"(.*)"|'(.*)'|(.*?)) *[,}}]*$""")
_PAIR = re.compile(r'"(\w+)" *: *(.*?),?$')
_ITEM = re.compile(r"""\s*(?:- +)?(["'])(.*)\1 *,?$""")


class Log(Protocol):
    """A file as the readers have it (`memplan.firmware.source.Source`)."""

    @property
    def head(self) -> bytes:
        """The first bytes."""

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """The lines with their numbers from 1, without line ends."""

    def content(self) -> bytes:
        """The whole file."""


def shown_lines(log: Log) -> Iterator[tuple[int, str]]:
    """The lines of `log` with their numbers from 1, freed of what the log was wrapped in: `SEARCHED_LINES` at most."""
    return islice(_unwrapped(log), SEARCHED_LINES)


def _unwrapped(log: Log) -> Iterator[tuple[int, str]]:
    """All the lines that so many lines of the file hold: each may hold many."""
    head = decoded(log.head)
    encodings = {found[1].lower() for found in _ENCODED_MAIL.finditer(head)}
    whole_mail = "base64" in encodings
    if _MANY_PARTS.search(head) and _HEADERS.match(head):
        # Each part says for itself how it is encoded.
        content = decoded(log.content())
        encodings = {found[1].lower() for found in _ENCODED_MAIL.finditer(content)}
        whole_mail = bool(encodings)
    if whole_mail:
        lines: Iterable[tuple[int, str]] = _mail_lines(log.content())
    elif wide(log.head) or head.count("\n") < len(head) >> 13 or ("\r" in head and "\n" not in head):
        # Any number of carriage returns before a line feed are one line end; where none follows, each is one.
        lines = enumerate(re.split(r"(?<!\r)\r*\n|\r(?!\n)", decoded(log.content())), 1)
    else:
        lines = ((number, line.decode("utf-8", "replace")) for number, line in log.lines())
    lines = islice(lines, SEARCHED_LINES)
    if not whole_mail and (encodings or (head.count("=3D") > 1 and _SOFT_END.search(head))):
        lines = _unquoted(lines)
    if _PAGE.search(head):
        lines = _page_lines(lines)
    if _JOURNAL_EXPORT.search(head):
        lines = _exported(lines)
    # Where colours' escape characters were lost, all lines have lost them.
    coloured = _BARE_COLOURS.search(_ESCAPES.sub("", head)) is not None
    for number, line in lines:
        parts = list(_messages(line))
        for index, part in enumerate(parts):
            # A line that holds a whole log: its lines are counted instead.
            yield number + (index if len(parts) > _WHOLE_LOG else 0), _clean(part, coloured)


def wide(head: bytes) -> str:
    """The encoding of a text of 16 or 32 bits a character, by its mark or by its zeros; "" for any other."""
    if head[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return "utf-32"
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    sample = head[:4096]
    if len(sample) >= 8 and sample.count(0) * 3 > len(sample):
        for encoding, zeros in (("utf-16-le", sample[1::2]), ("utf-16-be", sample[::2])):
            if zeros.count(0) * 10 > len(zeros) * 9:
                return encoding
    return ""


def decoded(data: bytes) -> str:
    """`data` as text, with what can't be decoded replaced."""
    return data.decode(wide(data) or "utf-8-sig", "replace")


def _clean(line: str, coloured: bool) -> str:
    """The line without a terminal's escape sequences, HTML's entities and the marks that nobody sees."""
    if "\x1b" in line or "[=" in line or "\r" in line or "\x00" in line or "\x08" in line:
        line = _ESCAPES.sub("", line)
    if coloured:
        line = _BARE_COLOURS.sub("", line)
    while "&" in line and _ENTITY.search(line):
        before, line = line, html.unescape(line)
        if len(line) >= len(before):
            break
    if line.isascii():
        return line
    return line.replace("\xa0", " ").replace("\ufeff", "").replace("\u200b", "")


def _page_lines(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """The lines of a web page, without its tags."""
    for number, line in lines:
        parts = _BREAK.split(line) if "<" in line else [line]
        for index, part in enumerate(parts):
            text = _TAG.sub("", part) if "<" in line else line
            if text.strip():
                yield number + (index if len(parts) > _WHOLE_LOG else 0), text


def _unquoted(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """The lines of a quoted-printable text (RFC 2045)."""
    first, whole = 0, ""
    for number, line in lines:
        first = first or number
        line = line.rstrip()
        if line.endswith("=") and len(whole) < 1 << 16:
            whole += line[:-1]
            continue
        yield first, _QUOTED_BYTES.sub(_bytes_of, whole + line)
        first, whole = 0, ""
    if whole:
        yield first, _QUOTED_BYTES.sub(_bytes_of, whole)


def _bytes_of(found: re.Match[str]) -> str:
    return bytes.fromhex(found[0].replace("=", "")).decode("utf-8", "replace")


def _mail_lines(data: bytes) -> Iterator[tuple[int, str]]:
    """The lines of all parts of a mail, numbered as they come."""
    number = 0
    for part in email.message_from_bytes(data, policy=email.policy.compat32).walk():
        payload = part.get_payload(decode=True)
        if isinstance(payload, bytes) and (wide(payload[:4096]) or b"\0" not in payload[:4096]):
            for line in decoded(payload).splitlines():
                number += 1
                yield number, line


def _exported(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """The kernel's messages of ``journalctl -o export`` or ``-o verbose``: blocks of FIELD=value."""
    message: list[tuple[int, str]] = []
    kernel, binary = True, False
    for number, line in lines:
        field = line.strip()
        if binary:
            # A value with bytes that are no text: its length in eight bytes comes first.
            message.append((number, line[8:]))
            binary = False
        elif field.startswith("MESSAGE="):
            message.append((number, field[8:]))
        elif line == "MESSAGE":
            binary = True
        elif field.startswith("_TRANSPORT="):
            kernel = field == "_TRANSPORT=kernel"
        elif not field or re.match(r"\w{3} \d{4}-\d\d-\d\d .*\[s=", line):
            yield from message if kernel else ()
            message, kernel = [], True
    yield from message if kernel else ()


def _messages(line: str) -> Iterable[str]:
    """The kernel's lines in one line of a file: JSON's and YAML's wrapping taken off."""
    text = line.strip("\x1e \t")
    bare = text.removeprefix("data: ").removeprefix("- ").lstrip()
    if bare.startswith("{"):
        return _of_object(bare)
    if bare.startswith(('["', "[{")):
        try:
            return [line for value in _strings(json.loads(bare.rstrip(","))) for line in value.split("\n")]
        except (ValueError, RecursionError):
            return [line]
    if text.startswith(('"', "'", "- ")):
        if (pair := _PAIR.fullmatch(text)) and "\n" not in text:
            return _of_object(f"{{{pair[0].rstrip(',')}}}") if pair[1] in _MESSAGES else ()
        if item := _ITEM.fullmatch(line):
            return _unescaped(item[2], item[1]).split("\n")
        if text.startswith("- "):
            return [text[2:]]
    if line.count("\\n") > 3:
        return line.replace('\\"', '"').split("\\n")
    return [line]


def _of_object(text: str) -> Iterable[str]:
    try:
        known = json.loads(text.rstrip(","))
    except ValueError:
        found = _MESSAGE.search(text)
        if found is None:
            return [text]
        quote = '"' if found[1] is not None else "'" if found[2] is not None else ""
        return _unescaped(next(group for group in found.groups() if group is not None), quote).split("\n")
    except RecursionError:
        return ()
    if known.get("_TRANSPORT", "kernel") != "kernel":
        return ()
    named = [_text_of(known[name]) for name in _MESSAGES if name in known]
    return [line for value in named or _strings(known) for line in value.split("\n") if line]


def _text_of(value: Any) -> str:
    """A JSON value as text; journald gives what is no text as a list of bytes."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(byte, int) and 0 <= byte < 256 for byte in value):
        return bytes(value).decode("utf-8", "replace")
    return ""


def _strings(value: Any) -> Iterator[str]:
    """The strings in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        named = [_text_of(value[name]) for name in _MESSAGES if name in value]
        for own in named or value.values():
            yield from _strings(own)
    elif isinstance(value, list):
        for own in value:
            yield from _strings(own)


def _unescaped(text: str, quote: str) -> str:
    """What stood between quotes, as JSON, YAML and CSV escape it."""
    if quote == "'":
        return text.replace("''", "'")
    try:
        unescaped = json.loads(f'"{text}"')
    except ValueError:
        return text.replace('""', '"').replace('\\"', '"').replace("\\\\", "\\")
    return str(unescaped)
