"""Reports and drawings as the stream they go to can show them: plain, or with colour and boxes on a terminal.

rich is imported where there is a terminal, and nowhere else.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from memplan.render.spans import plain
from memplan.render.table import plain_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from memplan.render.spans import Line
    from memplan.render.table import Block


def report_lines(blocks: Iterable[Block], *, terminal: bool) -> Iterable[str]:
    """The lines of a report: with colour and boxes where `terminal` and stdout is one, else plain."""
    if terminal and sys.stdout.isatty():
        from memplan.render.rich_ import rich_lines

        return rich_lines(blocks)
    return plain_lines(blocks)


def span_lines(lines: Iterable[Line], *, terminal: bool) -> Iterable[str]:
    """The lines as text: with colour where `terminal` and stdout is one, else plain."""
    if terminal and sys.stdout.isatty():
        from memplan.render.rich_ import rich_spans

        return rich_spans(lines)
    return plain(lines)
