"""Blocks are put on-line and taken off-line by a word written to their state (online_pages, offline_pages)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.hotadd.memory import KERNEL_ZONES
from memplan.hotadd.running import Outcome, block_names, zone_counts
from memplan.hotadd.scenario import Offline, Online, Target
from memplan.hotadd.shell import changed_settings, huge_pages, written_states
from memplan.ranges import RangeSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from memplan.hotadd.memory import Blocks, Memory
    from memplan.hotadd.running import Running
    from memplan.hotadd.scenario import Shell

_MOST_TOLD = 3


def online(running: Running, step: Online) -> Outcome:
    """Puts blocks on-line, one after the other."""
    ranges = running.blocks_at(step.targets)
    if running.dead:
        return Outcome(False, running.dead)
    problems = running.lacking(step.targets)
    done: list[tuple[int, int]] = []
    for first, end, blocks in _named(running.memory, ranges):
        numbers = range(first, end)
        if blocks is None:
            problems += [f"block {number} is not there" for number in numbers]
        elif blocks.online:
            problems += [f"block {number} is on-line already (Invalid argument)" for number in numbers]
        elif (oops := running.oops(blocks, step.type)) is not None:
            return oops
        else:
            for part, refused in running.put_online(blocks, step.type):
                if refused:
                    problems += [f"block {number}: {refused} (Invalid argument)" for number in range(*part.range)]
                else:
                    done.append(part.range)
    now = [own for first, end in done for own in running.memory.within(first, end)]
    count = sum(own.count for own in now)
    reason = f"{count} on-line: {zone_counts(now)}" if now else "no block comes on-line"
    return Outcome(not problems, _joined(reason, problems))


def offline(running: Running, step: Offline) -> Outcome:
    """Takes blocks off-line, one after the other; which kernel-zone blocks go is the scenario's to say, or guessed."""
    ranges = running.blocks_at(step.targets)
    told = None if step.stuck is None else RangeSet(running.blocks_at(step.stuck))
    if running.dead:
        return Outcome(False, running.dead)
    problems = running.lacking(step.targets)
    guessed: list[tuple[int, int]] = []
    done = 0
    for first, end, blocks in _named(running.memory, ranges):
        numbers = range(first, end)
        if blocks is None:
            problems += [f"block {number} is not there" for number in numbers]
        elif not blocks.online:
            problems += [f"block {number} is off-line already (Invalid argument)" for number in numbers]
        elif blocks.fixed:
            problems += [f"block {number} never goes: {blocks.fixed}" for number in numbers]
        else:
            if not blocks.movable and told is None:
                guessed.append((first, end))
            stuck = likely_stuck(running, [blocks]) if told is None else told
            for part in running.memory.apart(blocks, stuck):
                if stuck.holds(part.first):
                    why = "a page in it can't be moved (Device or resource busy)"
                    problems += [f"block {number} stays: {why}" for number in range(*part.range)]
                else:
                    running.take_offline(part)
                    done += part.count
    reason = _joined(f"{done} off-line" if done else "no block goes off-line", problems)
    if not guessed:
        return Outcome(not problems, reason)
    which = block_names(guessed)
    running.warn(f"whether {which} go off-line can't be known, as they are in a kernel zone: a guess is shown")
    return Outcome(None, f"no promise, as {which} are in a kernel zone; the guess: {reason}")


def _named(memory: Memory, ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int, Blocks | None]]:
    """The blocks of these numbers as they are found; None where there are none.  Whoever asks may change them."""
    for first, end in ranges:
        for blocks in memory.within(first, end):
            if first < blocks.first:
                yield first, blocks.first, None
            first = blocks.end
            yield *blocks.range, blocks
        if first < end:
            yield first, end, None


def likely_stuck(running: Running, blocks: Iterable[Blocks]) -> RangeSet:
    """The guess: boot memory stays, and the lowest block of a Normal zone that a node with CPUs did not have at boot.

    Such a zone is what these CPUs allocate from first, from the moment it is there; other added blocks go.
    """
    normal = KERNEL_ZONES[-1]
    had = {(zone.nid, zone.name) for zone in running.start.zones}
    found = RangeSet()
    for own in blocks:
        if not own.online or own.movable:
            continue
        if own.boot:
            found.add(*own.range)
        elif own.zone == normal and own.nid in running.start.cpu_nodes and (own.nid, normal) not in had:
            everyone = running.memory.blocks
            if own.first == next(b.first for b in everyone if b.online and b.nid == own.nid and b.zone == normal):
                found.add(own.first, own.first + 1)
    return found


def shell(running: Running, step: Shell) -> Outcome:
    """Follows what a command writes to memory's own files."""
    running.settings, notes = changed_settings(running.settings, running.rules, step.text)
    for number, word in written_states(step.text):
        target = (Target(None, number, number),)
        outcome = offline(running, Offline(target)) if word == "offline" else online(running, Online(word, target))
        notes = (*notes, f"block {number}: {outcome.reason}")
    pages = huge_pages(step.text)
    if pages is not None:
        running.set_huge_pages(pages)
        notes = (*notes, f"{pages} huge pages are asked for")
    if not notes:
        notes = ("not followed here: what it keeps in memory may keep blocks from going off-line",)
    return Outcome(True, "; ".join(notes))


def _joined(reason: str, problems: list[str]) -> str:
    more = len(problems) - _MOST_TOLD
    return "; ".join([reason, *problems[:_MOST_TOLD], *([f"and {more} more like these"] if more > 0 else [])])
