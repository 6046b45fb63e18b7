"""What is to be said beside every answer: what of the boot is not modelled, and which options do nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.render.screen import wrapped
from memplan.render.spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.plan import Plan
    from memplan.render.spans import Line


def remarks(plan: Plan) -> Iterator[tuple[str, str]]:
    """Pairs of what a remark is about and its sentence."""
    yield from (("not modelled", text) for text in plan.limits)
    yield from (("boot option", text) for text in plan.unheeded)


def remark_texts(plan: Plan) -> Iterator[str]:
    """The remarks, a line each."""
    return (f"{about}: {text}" for about, text in remarks(plan))


def remark_lines(plan: Plan, width: int) -> Iterator[Line]:
    """The remarks in lines of at most `width` columns."""
    for about, text in remarks(plan):
        yield from wrapped(text, width, head=(Span(f"{about}: ", "yellow"),))


def remarks_of_both(plans: tuple[Plan, Plan], labels: tuple[str, str]) -> Iterator[tuple[str, str]]:
    """The remarks on two plans: those on both once, the others with the label of the plan that they are on."""
    first, second = (list(remarks(plan)) for plan in plans)
    yield from (remark for remark in first if remark in second)
    for label, own, other in zip(labels, (first, second), (second, first), strict=True):
        yield from ((f"{about} with {label}", text) for about, text in own if (about, text) not in other)
