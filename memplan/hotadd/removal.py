"""A DIMM is asked back: all of its blocks go off-line and it is gone, or one stays and the others come back.

Follows acpi_scan_hot_remove: two passes over the blocks, and where one stays, those that went are put on-line again
with plain "online", so that their zone may be another one than before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.hotadd.memory import MOVABLE
from memplan.hotadd.running import Outcome, block_names, block_numbers
from memplan.hotadd.switching import likely_stuck

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memplan.hotadd.memory import Block
    from memplan.hotadd.running import Dimm, Running
    from memplan.hotadd.scenario import Remove


def remove(running: Running, step: Remove) -> Outcome:
    """Asks a DIMM back."""
    dimm = running.dimm(step.dimm)
    told = None if step.stuck is None else set(running.blocks_at(step.stuck))
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
    kernel = [block.index for block in blocks if block.online and not block.movable]
    pins = pinned_by(running, dimm)
    stuck = likely_stuck(running, blocks) if told is None else told
    if told is None and pins:
        stuck = {*stuck, kernel[0]}
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


def refused_eject(blocks: Sequence[Block]) -> str:
    """What a refused eject would make of a DIMM's movable blocks, in words; "" where nothing changes."""
    if not any(block.movable for block in blocks) or all(block.movable or not block.online for block in blocks):
        return ""
    return (
        "an eject that is refused takes the movable blocks off-line and puts them back with plain online, "
        "which may make them the kernel's"
    )


def _attempt(running: Running, dimm: Dimm, blocks: Sequence[Block], stuck: set[int]) -> Outcome:
    """The eject, where the blocks `stuck` don't go off-line."""
    went = [block for block in blocks if block.online and block.index not in stuck]
    stay = [block.index for block in blocks if block.online and block.index in stuck]
    for block in went:
        running.take_offline(block)
    if not stay:
        running.memory.remove(dimm.index, shrink=running.rules.spans_shrink == "on removal")
        dimm.plugged = dimm.accepted = False
        dimm.outcome = "gone"
        return Outcome(True, "it goes")
    changed = _come_back(running, went)
    reason = f"{block_names(stay)} can't go off-line, so it stays"
    if went:
        reason += f"; the other {len(went)} that were on-line come back with plain online, "
        reason += changed or "to the zones they came from"
    return Outcome(False, reason, tuple(f"memory memory{number}: Offline failed." for number in stay))


def _come_back(running: Running, went: Sequence[Block]) -> str:
    """Puts blocks back as a refused eject does; which of them changed their zone, in words."""
    changed: dict[tuple[str, str], list[int]] = {}
    for block in went:
        before = block.last_zone or ""
        running.put_online(block, "online")
        if block.zone is not None and block.zone != before:
            changed.setdefault((before, block.zone), []).append(block.index)
    if any(before == MOVABLE for before, _ in changed):
        running.warn("a refused eject made movable memory the kernel's: it may never go again")
    return "; ".join(f"{block_numbers(own)} {old} before, {new} now" for (old, new), own in changed.items())
