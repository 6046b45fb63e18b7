"""The trace: the lines that the plan's kernel prints with ``memblock=debug``, without time stamps.

Callers are plain symbols, for offsets belong to one build.  Runs of equal requests are unrolled one by one while
the lines are read, so a trace of millions of lines needs no more memory than one of ten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.events import Checkpoint
from memplan.render.remarks import remark_texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.plan import Plan


def trace_lines(plan: Plan, *, everything: bool = False) -> Iterator[str]:
    """The lines of `plan`'s trace, in order and without line ends.

    Left out, unless `everything` is asked for, is what happens before the kernel has parsed ``memblock=debug``.
    A boot that dies ends in the kernel's last words.  What is not modelled, and options that do nothing, are said
    first, in comments.
    """
    yield from (f"# {text}" for text in remark_texts(plan))
    for event in plan.events:
        if everything or isinstance(event, Checkpoint) or event.logged:
            yield from plan.wording.lines(event)
    if not plan.end.completed:
        yield plan.end.text
