"""What is wrong with single lines of a boot log, by the number of each."""

from __future__ import annotations


class Damage:
    """Lines of one boot that can't be read, and lines that name what no machine has."""

    def __init__(self) -> None:
        super().__init__()
        #: What is missing because of a line; the last one of a log may merely be cut.
        self.unreadable: list[tuple[int, str]] = []
        self.impossible: list[tuple[int, str]] = []
