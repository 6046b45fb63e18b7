"""The map of a plan as a picture for documents: text stays text, and each place says what it is when pointed at."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from memplan.render.families import Family
from memplan.render.remarks import remark_texts
from memplan.render.sizes import nodes_text, rounded
from memplan.render.strip import Free, strips

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.hotadd.result import HotaddPlan
    from memplan.plan import Plan
    from memplan.render.strip import Content, Strip

_WIDTH, _MARGIN, _NODE, _BAR = 960, 16, 64, 24
#: Horizontal units of a strip; each is one pixel of the bar.
_CELLS = _WIDTH - 2 * _MARGIN
_LEGEND_COLUMNS, _LEGEND_ROW = 3, 20
#: Colours of memory without an owner.
FREE_FILLS = {Free.MOVABLE: "#d5f0d5", Free.HOTPLUG: "#fff3c4", Free.STAYS: "#eeeeee", Free.HOLE: "none"}
FREE_FILLS |= {Free.ADDED_MOVABLE: "#8fd694", Free.ADDED_KERNEL: "#f4a6a0", Free.ADDED_OFFLINE: "#c9d3e6"}
#: So many pixels must a piece have for its letter.
_LETTER_WIDTH = 12


def _text(text: str) -> str:
    """`text` as it stands between tags, where quotes need no escape."""
    return escape(text, quote=False)


def map_svg(plan: Plan, added: HotaddPlan | None = None) -> Iterator[str]:
    """The lines of an SVG document with a strip for each node, as the steps of `added` leave them, and a legend."""
    shown = strips(plan, _CELLS, added)
    met = {piece.content for strip in shown for piece in strip.pieces} - {Free.HOLE}
    legend: list[Content] = [each for each in (*Family, *Free) if each in met]
    rows = -(-(len(legend) + 1) // _LEGEND_COLUMNS)
    notes = list(remark_texts(plan))
    height = 2 * _MARGIN + 24 + _NODE * len(shown) + _LEGEND_ROW * (rows + len(notes))
    name = plan.machine_name or "machine"
    gone = {nid for nid, _, _ in plan.movable}
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" role="img" aria-labelledby="title desc" '
        'font-family="sans-serif" font-size="13">'
    )
    yield f'<title id="title">{_text(f"Memory of {name} after the boot of Linux {plan.kernel}")}</title>'
    removable = f"Memory of {nodes_text(gone)} can be removed." if gone else "No memory can be removed."
    yield f'<desc id="desc">{_text(" ".join((f"{len(shown)} nodes. {removable}", *notes)))}</desc>'
    yield (
        '<defs><pattern id="hotplug" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<path d="M0 0V6" stroke="#000" stroke-opacity=".35" stroke-width="2"/></pattern></defs>'
    )
    yield f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>'
    yield f'<text x="{_MARGIN}" y="{_MARGIN + 10}" font-weight="bold">{_text(f"{name}, Linux {plan.kernel}")}</text>'
    y = _MARGIN + 24
    for strip in shown:
        yield from _node(strip, y)
        y += _NODE
    for index, content in enumerate(legend):
        yield from _entry(index, y, content.letter, str(content), _fill(content))
    yield from _entry(len(legend), y, "", "hatched: hot-pluggable", "url(#hotplug)")
    for index, text in enumerate(notes):
        yield f'<text x="{_MARGIN}" y="{y + _LEGEND_ROW * (rows + index) + 12}">{_text(text)}</text>'
    yield "</svg>"


def _node(strip: Strip, y: int) -> Iterator[str]:
    first, last = strip.pieces[0].start, strip.pieces[-1].end
    size = sum(piece.size for piece in strip.pieces if piece.content is not Free.HOLE)
    label = f"node {strip.nid}, {rounded(size)}, {first:#x}-{last - 1:#x}"
    yield f'<g role="group" aria-label="{escape(label)}">'
    yield f'<text x="{_MARGIN}" y="{y + 12}">{_text(label)}</text>'
    x, top = _MARGIN, y + 18
    for piece, width in zip(strip.pieces, strip.cells, strict=True):
        text = f"{piece.content}: {rounded(piece.size)}, {piece.start:#x}-{piece.end - 1:#x}"
        yield (
            f'<rect x="{x}" y="{top}" width="{width}" height="{_BAR}" fill="{_fill(piece.content)}">'
            f"<title>{_text(text)}</title></rect>"
        )
        if piece.hotplug:
            shape = f'x="{x}" y="{top}" width="{width}" height="{_BAR}"'
            yield f'<rect {shape} fill="url(#hotplug)" pointer-events="none"/>'
        if width >= _LETTER_WIDTH and isinstance(piece.content, Family):
            yield (
                f'<text x="{x + width / 2:g}" y="{top + 17}" text-anchor="middle" stroke="#fff" stroke-width="3" '
                f'paint-order="stroke" pointer-events="none">{piece.content.letter}</text>'
            )
        x += width
    yield f'<rect x="{_MARGIN}" y="{top}" width="{_CELLS}" height="{_BAR}" fill="none" stroke="#555"/>'
    yield "</g>"


def _entry(index: int, y: int, letter: str, text: str, fill: str) -> Iterator[str]:
    x = _MARGIN + index % _LEGEND_COLUMNS * (_CELLS // _LEGEND_COLUMNS)
    top = y + index // _LEGEND_COLUMNS * _LEGEND_ROW
    yield f'<rect x="{x}" y="{top}" width="14" height="14" fill="{fill}" stroke="#555"/>'
    yield f'<text x="{x + 20}" y="{top + 12}">{_text(f"{letter} {text}".strip())}</text>'


def _fill(content: Content) -> str:
    return content.colour if isinstance(content, Family) else FREE_FILLS[content]
