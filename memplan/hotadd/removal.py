"""A DIMM is asked back: all of its blocks go off-line and it is gone, or one stays and the others come back.

Follows acpi_scan_hot_remove: two passes over the blocks, and where one stays, those that went are put on-line again
with plain "online", so that their zone may be another one than before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.hotadd.memory import MOVABLE
from memplan.hotadd.running import Outcome, block_names, block_numbers
from memplan.hotadd.switching import likely_stuck
from memplan.ranges import RangeSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memplan.hotadd.memory import Blocks
    from memplan.hotadd.running import Dimm, Running
    from memplan.hotadd.scenario import Remove


def remove(running: Running, step: Remove) -> Outcome:
    """Asks a DIMM back."""
    dimm = running.dimm(step.dimm)
    told = None if step.stuck is None else RangeSet(running.blocks_at(step.stuck))
    if not dimm.plugged:
        return Outcome(False, f"{dimm.name} is in no slot")
    if running.dead:
        return Outcome(False, running.dead)
    if not running.settings.driver or not running.settings.removal:
        return Outcome(False, "this kernel removes no memory")
    if not dimm.accepted:
        dimm.plugged, dimm.outcome = False, "gone"
        return Outcome(True, "no memory of it is in use: it goes")
    blocks = running.memory.of_dimm(dimm.index)
    kernel = [own.range for own in blocks if own.online and not own.movable]
    pins = pinned_by(running, dimm)
    stuck = likely_stuck(running, blocks) if told is None else told
    if told is None and pins:
        first = kernel[0][0]
        stuck.add(first, first + 1)
    outcome = _attempt(running, dimm, blocks, stuck)
    if told is not None or not kernel:
        return outcome
    if pins:
        names = ", ".join(pins)
        return outcome._replace(reason=f"{outcome.reason}; the memory maps of {names} lie in it: {names} must go first")
    dimm.outcome = "perhaps there" if dimm.accepted else "perhaps gone"
    which = block_names(kernel)
    running.warn(f"whether {dimm.name} goes can't be known, as {which} are in a kernel zone: a guess is shown")
    text = f"no promise, as {which} are in a kernel zone; the guess: {outcome.reason}"
    return outcome._replace(accepted=None, reason=text)


def pinned_by(running: Running, dimm: Dimm) -> list[str]:
    """The DIMMs whose memory maps can lie nowhere but in this one."""
    return [other.name for other in running.dimms if other.accepted and other.map_hosts == (dimm.index,)]


def refused_eject(blocks: Sequence[Blocks]) -> str:
    """What a refused eject would make of a DIMM's movable blocks, in words; "" where nothing changes."""
    if not any(own.movable for own in blocks) or all(own.movable or not own.online for own in blocks):
        return ""
    return (
        "an eject that is refused takes the movable blocks off-line and puts them back with plain online, "
        "which may make them the kernel's"
    )


def _attempt(running: Running, dimm: Dimm, blocks: Sequence[Blocks], stuck: RangeSet) -> Outcome:
    """The eject, where the blocks `stuck` don't go off-line."""
    online = [part for own in blocks if own.online for part in running.memory.apart(own, stuck)]
    went = [part for part in online if not stuck.holds(part.first)]
    stay = [part.range for part in online if stuck.holds(part.first)]
    for part in went:
        running.take_offline(part)
    if not stay:
        running.memory.remove(dimm.index, shrink=running.rules.spans_shrink == "on removal")
        dimm.plugged = dimm.accepted = False
        dimm.outcome = "gone"
        return Outcome(True, "it goes")
    count = sum(part.count for part in went)
    changed = _come_back(running, went)
    reason = f"{block_names(stay)} can't go off-line, so it stays"
    if count:
        reason += f"; the other {count} that were on-line come back with plain online, "
        reason += changed or "to the zones they came from"
    numbers = (number for first, end in stay for number in range(first, end))
    return Outcome(False, reason, tuple(f"memory memory{number}: Offline failed." for number in numbers))


def _come_back(running: Running, went: Sequence[Blocks]) -> str:
    """Puts blocks back as a refused eject does; which of them changed their zone, in words."""
    changed: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for blocks in went:
        before = blocks.last_zone or ""
        for part, _ in running.put_online(blocks, "online"):
            if part.zone is not None and part.zone != before:
                changed.setdefault((before, part.zone), []).append(part.range)
    if any(before == MOVABLE for before, _ in changed):
        running.warn("a refused eject made movable memory the kernel's: it may never go again")
    return "; ".join(f"{block_numbers(own)} {old} before, {new} now" for (old, new), own in changed.items())
