"""The boots in one log: a capture may hold several, and one of them twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from memplan.errors import InputError
from memplan.klog.boot import BootLines
from memplan.klog.layout import Line

#: How many lines of a boot are read: its memory part is over long before.
_BOOT_LINES = 200_000


def boots_of(lines: Iterable[Line]) -> list[BootLines]:
    """All boots that `lines` tell of, in their order; what comes before the first one's beginning is part of it.

    A console that comes up late prints a boot's first lines once more: that is one boot, as it was printed last.
    """
    boots: list[BootLines] = []
    boot = BootLines()
    for line in lines:
        if line.text.startswith("Linux version ") and set(boot.lines) - {"kaslr"}:
            _add(boots, boot)
            boot = BootLines(line.number)
        if not boot.first or line.number - boot.first <= _BOOT_LINES:
            boot.take(line)
        else:
            boot.end = line.number + 1
    _add(boots, boot)
    return boots


def choose(boots: list[BootLines], number: int, source: str) -> BootLines | None:
    """The boot with that number among those with a memory map, counted from 1; with 0 the first that tells most.

    None where `boots` is empty.  Raises InputError where there are not so many.
    """
    whole = [boot for boot in boots if boot.e820]
    if number > 1 and number > len(whole):
        count = "one boot" if len(whole) == 1 else f"{len(whole)} boots"
        raise InputError.single(source, f"holds {count} with a memory map, no boot {number}")
    if whole:
        return whole[max(number, 1) - 1]
    return next((boot for boot in boots if boot.xen_map), boots[-1] if boots else None)


def lines_of(lines: Iterable[Line], boot: BootLines) -> Iterator[Line]:
    """Those of a log's `lines` that are of `boot`."""
    return (line for line in lines if boot.begin <= line.number and (not boot.end or line.number < boot.end))


def _add(boots: list[BootLines], boot: BootLines) -> None:
    """Add `boot`, unless it told nothing; printed again, the more telling of both printings stays."""
    if not boot.first:
        return
    before = boots[-1] if boots else None
    if before is None or not before.e820 or not boot.e820 or not _printed_again(before, boot):
        boots.append(boot)
    elif boot.has("cpus") >= before.has("cpus"):
        boots[-1] = boot


def _printed_again(before: BootLines, boot: BootLines) -> bool:
    """Whether `boot` is `before` once more: the same kernel and options, and `before` did not get far."""
    return (
        before.version == boot.version
        and before.loader_cmdline == boot.loader_cmdline
        and not before.has("smp_done")
        and not before.has("late")
    )
