"""Reader of what lsmem prints of memory blocks: JSON, a table, or pairs (-P); whichever columns, blocks among them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from memplan.errors import InputError
from memplan.firmware import blocks
from memplan.firmware.block_facts import tell
from memplan.firmware.blocks import ListedBlocks
from memplan.firmware.source import SourceFacts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.firmware.source import Source

_JSON = re.compile(rb'\s*\{\s*"memory"\s*:')
_TABLE = re.compile(rb"^(?:[A-Z]+ +)*(?:RANGE|BLOCK)(?: +[A-Z]+)* *$", re.MULTILINE)
_PAIRS = re.compile(rb'^(?:[A-Z]+="[^"\n]*" )*(?:RANGE|BLOCK)="', re.MULTILINE)
_PAIR = re.compile(r'([A-Z]+)="([^"]*)"')
_RANGE = re.compile(r"0x([0-9a-fA-F]{1,16})-0x([0-9a-fA-F]{1,16})")
_NUMBERS = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?")
_NODE = re.compile(r"\d{1,9}")
_NOT_TOLD = ("", "-", "-1", "None")


class _Row(NamedTuple):
    """A line or object: its values by the columns' names in small letters, and where it stands."""

    values: dict[str, str]
    line: int = 0
    field: str = ""


def recognises(head: bytes) -> bool:
    """Whether a text that begins so is lsmem's."""
    return any(form.match(head.lstrip()) is not None for form in (_JSON, _TABLE, _PAIRS))


def read(source: Source) -> SourceFacts:
    """The blocks; InputError, with the place, where a row is not one of lsmem's."""
    rows = _json(source) if _JSON.match(source.head.lstrip()) else _lines(source)
    sizes: set[int] = set()
    listed = [_blocks(source.name, row, sizes) for row in rows]
    if not listed:
        raise InputError.single(source.name, "lists no memory", hint=blocks.LSMEM)
    if len(sizes) != 1:
        raise InputError.single(
            source.name, "tells ranges of blocks of several sizes" if sizes else "tells no ranges", hint=blocks.LSMEM
        )
    found = SourceFacts(source.name, "lsmem")
    tell(found, blocks.listing_of(source.name, sizes.pop(), listed))
    return found


def _json(source: Source) -> Iterator[_Row]:
    import json

    try:
        document = json.loads(source.content())
    except (ValueError, RecursionError) as error:
        raise InputError.single(
            source.name,
            f"is no JSON: {getattr(error, 'msg', error)}",
            line=getattr(error, "lineno", 0),
            hint=blocks.LSMEM,
        ) from None
    rows = document.get("memory") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        raise InputError.single(source.name, "holds no list named memory", hint=blocks.LSMEM)
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            raise InputError.single(source.name, "should be an object", field=f"memory[{index}]")
        yield _Row({name: _told(value) for name, value in row.items()}, field=f"memory[{index}].")


def _told(value: Any) -> str:
    return "" if value is None else str(value)


def _lines(source: Source) -> Iterator[_Row]:
    names: list[str] | None = None
    for number, raw in source.lines():
        line = raw.decode("latin-1").strip()
        if pairs := _PAIR.findall(line):
            yield _Row({name.lower(): value for name, value in pairs}, number)
        elif names is None:
            names = line.lower().split() if line else None
        elif not line:
            # The totals come behind an empty line.
            return
        else:
            words = line.split()
            if len(words) != len(names):
                raise InputError.single(
                    source.name, f"has {len(words)} columns, the heading {len(names)}", line=number, hint=blocks.LSMEM
                )
            yield _Row(dict(zip(names, words, strict=True)), number)


def _blocks(name: str, row: _Row, sizes: set[int]) -> ListedBlocks:
    """The row's blocks; their size is put into `sizes`."""

    def wrong(column: str, message: str) -> InputError:
        hint = blocks.LSMEM if column != "state" else ""
        return InputError.single(name, message, line=row.line, field=f"{row.field}{column}", hint=hint)

    numbers = _NUMBERS.fullmatch(row.values.get("block", ""))
    if numbers is None or int(numbers[2] or numbers[1]) < int(numbers[1]):
        raise wrong("block", "should be like 8 or 0-15")
    first, last = int(numbers[1]), int(numbers[2] or numbers[1])
    place = _RANGE.fullmatch(row.values.get("range", ""))
    if place is None or int(place[2], 16) <= int(place[1], 16):
        raise wrong("range", "should be like 0x0-0x7ffffff")
    start, end = int(place[1], 16), int(place[2], 16) + 1
    size, rest = divmod(end - start, last - first + 1)
    if rest or size & (size - 1) or start != first * size:
        raise wrong("range", f"should be that of blocks {first}-{last}, which are alike and numbered by address")
    sizes.add(size)
    state = row.values.get("state", "")
    if state not in blocks.STATES:
        raise wrong("state", f"should be online or offline, found {state!r}")
    online = state != "offline"
    return ListedBlocks(first, last, _nids(row, wrong), online, _zone(row, wrong) if online else None)


def _nids(row: _Row, wrong: Any) -> tuple[int, ...]:
    text = row.values.get("node", "")
    if text in _NOT_TOLD:
        return ()
    if not _NODE.fullmatch(text):
        raise wrong("node", f"should be the number of a node, found {text!r}")
    return (int(text),)


def _zone(row: _Row, wrong: Any) -> str | None:
    if "zones" not in row.values:
        return None
    zone = row.values["zones"].partition("/")[0]
    if zone in _NOT_TOLD:
        return blocks.SEVERAL
    if zone not in blocks.ZONES:
        raise wrong("zones", f"should name zones, found {zone!r}")
    return zone
