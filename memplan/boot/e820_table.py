"""The e820 table as the kernel keeps it: arch/x86/kernel/e820.c.

A list in which entries are cut, appended and only sorted when it is sanitised, because the order of its entries is the
order of memblock's additions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.machine.model import E820Entry
from memplan.units import PAGE_SHIFT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

#: Entries in the loader's own table (E820_MAX_ENTRIES_ZEROPAGE).
ZEROPAGE_ENTRIES = 128


class E820Table:
    """A table of ``[start, end)`` ranges with types; at most `room` entries.

    Entries of the types in `kept_apart` stay apart even where they touch; what the kernel says goes to `printk`.
    """

    def __init__(
        self,
        entries: Iterable[E820Entry],
        room: int,
        printk: Callable[[str], None],
        kept_apart: frozenset[int] = frozenset(),
    ) -> None:
        self._entries: list[tuple[int, int, int]] = []
        self._room = room
        self._kept_apart = kept_apart
        self._printk = printk
        for entry in entries:
            self.range_add(entry.start, entry.end, entry.type)

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        """The entries as (start, end, type), in table order."""
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def copy(self) -> E820Table:
        """A table of its own with the same entries."""
        twin = E820Table((), self._room, self._printk, self._kept_apart)
        twin._entries = list(self._entries)
        return twin

    def clear(self) -> None:
        """Drop all entries (memmap=exactmap)."""
        self._entries.clear()

    def range_add(self, start: int, end: int, kind: int) -> None:
        """Append an entry (e820__range_add); a full table ignores it with the kernel's message."""
        if len(self._entries) >= self._room:
            self._printk(f"e820: too many entries; ignoring [mem {start:#010x}-{end - 1:#010x}]")
            return
        self._entries.append((start, end, kind))

    def range_update(self, start: int, end: int, old: int, new: int) -> None:
        """Retype the parts of `old` type inside ``[start, end)`` (e820__range_update)."""
        self._cut(start, end, old, new)

    def range_remove(self, start: int, end: int, kind: int | None) -> None:
        """Take ``[start, end)`` out, of one type or (None) of all (e820__range_remove)."""
        self._cut(start, end, kind, None)

    def _cut(self, start: int, end: int, kind: int | None, new: int | None) -> None:
        """The common walk of update and remove; entries that it appends are walked too, as in the kernel."""
        index = 0
        while index < len(self._entries):
            first, last, own = self._entries[index]
            index += 1
            if kind is not None and own != kind:
                continue
            low, high = max(start, first), min(end, last)
            if first >= start and last <= end:
                self._entries[index - 1] = (0, 0, 0) if new is None else (first, last, new)
                continue
            if low >= high:
                continue
            if new is not None:
                self.range_add(low, high, new)
            if first < start and last > end:
                self.range_add(end, last, own)
                self._entries[index - 1] = (first, start, own)
            elif first < low:
                self._entries[index - 1] = (first, last - (high - low), own)
            else:
                self._entries[index - 1] = (high, last, own)

    def update(self) -> bool:
        """Sort, and resolve overlaps: in each stretch the highest type wins (e820__update_table).

        False, and nothing changes, for a table of fewer than two entries.
        """
        if len(self._entries) < 2:
            return False
        points = []
        for number, (start, end, kind) in enumerate(self._entries):
            if end > start:
                points.append((start, 0, number, kind))
                points.append((end, 1, number, kind))
        points.sort()
        live: dict[int, int] = {}
        result: list[tuple[int, int, int]] = []
        last_kind = last_start = 0
        for address, closes, _, kind in points:
            if closes:
                live[kind] -= 1
                if not live[kind]:
                    del live[kind]
            else:
                live[kind] = live.get(kind, 0) + 1
            current = max(live, default=0)
            if current != last_kind or current in self._kept_apart:
                if last_kind and address > last_start:
                    result.append((last_start, address, last_kind))
                    if len(result) >= self._room:
                        break
                last_start = address
                last_kind = current
        self._entries = result
        return True

    def mapped_all(self, start: int, end: int, kind: int) -> bool:
        """Whether ``[start, end)`` lies wholly in entries of that type (e820__mapped_all; a sorted table)."""
        for first, last, own in self._entries:
            if own != kind or first >= end or last <= start:
                continue
            if first <= start:
                start = last
            if start >= end:
                return True
        return False

    def end_pfn(self, limit_pfn: int, *kinds: int) -> int:
        """The end of the last whole page of those types below `limit_pfn` (e820_end_pfn)."""
        last = 0
        for start, end, kind in self._entries:
            if kind not in kinds or start >> PAGE_SHIFT >= limit_pfn:
                continue
            last = max(last, min(end >> PAGE_SHIFT, limit_pfn))
        return last
