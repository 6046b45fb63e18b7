"""A bar on the terminal that tells how far a command is, while it works."""

from __future__ import annotations

import sys
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

#: Seconds without results until a bar that made room for them comes again.
_A_MOMENT = 0.5


class Bar:
    """The bar on stderr, if that is a terminal; it vanishes at the end.  `what` says what the command does."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._terminal = sys.stderr.isatty()
        self._shown: Progress | None = None
        self._again = 0.0

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self.hide()

    def show(self, share: float | None, count: str) -> None:
        """Show which share of the work is done (None where nobody can know), and behind the bar what was counted."""
        if not self._terminal or (self._shown is None and monotonic() < self._again):
            return
        if self._shown is None:
            self._shown = _new_bar()
            self._shown.add_task(self._what, total=None, count="")
            self._shown.start()
        (task,) = self._shown.task_ids
        if share is None:
            self._shown.update(task, count=count)
        else:
            self._shown.update(task, total=1.0, completed=share, count=f"{share:4.0%}  {count}")

    def plans(self, share: float | None, replays: int) -> None:
        """As :meth:`show`, of work that is made of plans (a :data:`memplan.progress.Progress`)."""
        self.show(share, f"{replays:,} plan{'s' * (replays != 1)}")

    def hide(self) -> None:
        """Make room for results on the same terminal; where the next ones are not there at once, it comes again."""
        if self._shown is not None:
            self._shown.stop()
            self._shown = None
        self._again = monotonic() + _A_MOMENT


def _new_bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[count]}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
