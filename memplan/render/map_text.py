"""The map of a plan as text: a strip of letters for each node, and what the letters mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.render.families import Family
from memplan.render.remarks import remark_lines
from memplan.render.sizes import rounded
from memplan.render.spans import Span, line
from memplan.render.strip import Free, strips

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from memplan.hotadd.result import HotaddPlan
    from memplan.plan import Plan
    from memplan.render.spans import Line
    from memplan.render.strip import Content, Strip

_FREE_STYLES = {Free.MOVABLE: "green", Free.HOTPLUG: "yellow", Free.STAYS: "dim", Free.HOLE: ""}
_FREE_STYLES |= {Free.ADDED_MOVABLE: "bold green", Free.ADDED_KERNEL: "bold red", Free.ADDED_OFFLINE: "bold"}
#: Letters that are seen on each family's colour.
_DARK = frozenset(
    {Family.KERNEL, Family.FIRMWARE, Family.CRASH, Family.HUGE, Family.HASHES, Family.SWIOTLB, Family.OTHER}
)
_MARK = "^"
#: The narrowest strip that still says something.
LEAST_WIDTH = 16


def map_lines(plan: Plan, width: int, added: HotaddPlan | None = None) -> Iterator[Line]:
    """The whole map, `width` columns wide: nodes with where they begin and end, the legend, and remarks.

    With `added`, the nodes are as its steps leave them.
    """
    yield from node_lines(plan, width, added)
    said = list(remark_lines(plan, width))
    if said:
        yield line()
        yield from said


def node_lines(plan: Plan, width: int, added: HotaddPlan | None = None) -> Iterator[Line]:
    """The map without remarks."""
    shown = strips(plan, max(width - 2, LEAST_WIDTH), added)
    for index, strip in enumerate(shown):
        if index:
            yield line()
        first, last = strip.pieces[0].start, strip.pieces[-1].end
        size = sum(piece.size for piece in strip.pieces if piece.content is not Free.HOLE)
        yield line(Span(f"node {strip.nid}", "bold"), f"  {rounded(size)}  {first:#014x}-{last - 1:#014x}")
        yield line("  ", *strip_spans(strip))
        if any(piece.hotplug for piece in strip.pieces):
            yield line("  ", "".join(_marks(strip)).rstrip())
    if shown:
        yield line()
        yield from legend(shown, width, marks=True)


def strip_spans(strip: Strip) -> Iterator[Span]:
    """The cells of one strip."""
    for piece, cells in zip(strip.pieces, strip.cells, strict=True):
        yield Span(piece.content.letter * cells, style_of(piece.content))


def style_of(content: Content) -> str:
    """How a terminal shows `content`."""
    if isinstance(content, Free):
        return _FREE_STYLES[content]
    return f"{'white' if content in _DARK else 'black'} on {content.colour}"


def legend(shown: Sequence[Strip], width: int, *, marks: bool = False) -> Iterator[Line]:
    """What the letters of these strips mean (and the `marks` below them), in lines of at most `width` columns."""
    met = {piece.content for strip in shown for piece in strip.pieces} - {Free.HOLE}
    order: Iterable[Content] = [*Family, *Free]
    entries = [(Span(content.letter, style_of(content)), f" {content}") for content in order if content in met]
    if marks and any(piece.hotplug for strip in shown for piece in strip.pieces):
        entries.append((Span(_MARK), " below: hot-pluggable"))
    row: list[Span | str] = []
    used = 0
    for span, text in entries:
        size = len(span.text) + len(text)
        if row and used + 2 + size > width:
            yield line(*row)
            row, used = [], 0
        if row:
            row.append("  ")
            used += 2
        row += [span, text]
        used += size
    if row:
        yield line(*row)


def _marks(strip: Strip) -> Iterator[str]:
    for piece, cells in zip(strip.pieces, strip.cells, strict=True):
        yield (_MARK if piece.hotplug else " ") * cells
