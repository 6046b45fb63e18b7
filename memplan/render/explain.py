"""Answers for people."""

from __future__ import annotations

from itertools import groupby
from textwrap import wrap
from typing import TYPE_CHECKING

from memplan.render.remarks import remark_texts
from memplan.render.sizes import rounded
from memplan.render.table import Table, aligned
from memplan.units import exact

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from memplan.events import Request
    from memplan.explain.answers import Answer
    from memplan.memblock.requests import Candidate
    from memplan.plan import Plan

_INDENT = "  "
#: Ranges that are shown of one search unless all are asked for; the last one always is.
_SHOWN = 12
_PARTS = 12


def answer_lines(answer: Answer, plan: Plan, *, width: int, everything: bool = False) -> Iterator[str]:
    """The answer from `plan` as text of at most `width` columns where words allow it.

    Long lists are cut unless `everything`.
    """
    yield from _paragraph(answer.answer, width)
    yield from _body(answer, width, everything=everything)
    for index, text in enumerate(remark_texts(plan)):
        if not index:
            yield ""
        yield from _paragraph(text, width)


def _body(answer: Answer, width: int, *, everything: bool) -> Iterator[str]:
    """All below the answer's own sentence."""
    if answer.range is not None:
        start, end = answer.range
        yield f"{_INDENT}[mem {start:#018x}-{end - 1:#018x}]  {exact(end - start)}"
    for detail in answer.details:
        yield from _paragraph(detail, width, _INDENT)
    if answer.request is not None and answer.candidates:
        yield ""
        yield from _paragraph(asked(answer.request), width)
        yield from _search(answer.candidates, everything=everything)
    shown = answer.parts if everything else answer.parts[:_PARTS]
    for part in shown:
        yield ""
        head = "" if part.answer.startswith(part.subject) else f"{part.subject}: "
        yield from _paragraph(f"{head}{part.answer}", width)
        for line in _body(part, width - len(_INDENT), everything=everything):
            yield f"{_INDENT}{line}".rstrip()
    if len(shown) < len(answer.parts):
        yield ""
        yield f"{len(answer.parts) - len(shown)} more: --verbose"


def asked(request: Request) -> str:
    """What an allocation asked for, in a sentence."""
    what = f"{exact(request.size)} at a multiple of {request.align:#x}"
    if request.count > 1:
        what = f"{request.count} times {what}"
    within = []
    if request.min_addr:
        within.append(f"from {request.min_addr:#x} on")
    within.append(f"below {request.max_addr:#x}" if request.max_addr > 1 else "below the limit in force")
    node = "any node" if request.nid is None else f"node {request.nid}{' alone' if request.exact else ' if it can be'}"
    hotplug = ", not in hot-pluggable memory" if request.avoids_hotplug else ""
    direction = "upwards" if request.bottom_up else "downwards"
    return f"It was asked for {what}, {' and '.join(within)}, on {node}{hotplug}, searching {direction}:"


def reason(candidate: Candidate) -> str:
    """Why a free range was passed over, or that it was taken."""
    return candidate.refusal or f"taken, at {candidate.address:#x}"


def _search(candidates: Sequence[Candidate], *, everything: bool) -> Iterator[str]:
    """The ranges in the order in which memblock looked at them; runs of one reason are counted where they are long."""
    rows: list[tuple[str, ...]] = []
    for (attempt, refusal), group in groupby(candidates, key=lambda each: (each.attempt, each.refusal)):
        members = list(group)
        shown = members if everything or len(members) <= _SHOWN or refusal is None else members[: _SHOWN // 2]
        rows += [
            (
                str(attempt + 1),
                f"{each.start:#014x}",
                f"{each.end - 1:#014x}",
                rounded(each.end - each.start),
                "-" if each.nid is None or each.nid < 0 else str(each.nid),
                reason(each),
            )
            for each in shown
        ]
        if len(shown) < len(members):
            rows.append((str(attempt + 1), "…", "…", "", "", f"{len(members) - len(shown)} more: {refusal}"))
    yield from aligned(Table("", ("try>", "free from", "to", "size>", "node>", "what became of it"), rows))
    if candidates[-1].refusal is not None:
        yield f"{_INDENT}no free range would do"


def _paragraph(text: str, width: int, indent: str = "") -> list[str]:
    return wrap(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]
