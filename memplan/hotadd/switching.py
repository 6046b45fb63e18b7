"""Blocks are put on-line and taken off-line by a word written to their state (online_pages, offline_pages)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.hotadd.memory import KERNEL_ZONES
from memplan.hotadd.running import Outcome, block_names, zone_counts
from memplan.hotadd.scenario import Offline, Online, Target
from memplan.hotadd.shell import changed_settings, huge_pages, written_states

if TYPE_CHECKING:
    from collections.abc import Iterable

    from memplan.hotadd.memory import Block
    from memplan.hotadd.running import Running
    from memplan.hotadd.scenario import Shell

_MOST_TOLD = 3


def online(running: Running, step: Online) -> Outcome:
    """Puts blocks on-line, one after the other."""
    numbers = running.blocks_at(step.targets)
    if running.dead:
        return Outcome(False, running.dead)
    problems = running.lacking(step.targets)
    done: list[Block] = []
    for number in numbers:
        block = running.memory.blocks.get(number)
        if block is None:
            problems.append(f"block {number} is not there")
        elif block.online:
            problems.append(f"block {number} is on-line already (Invalid argument)")
        elif (oops := running.oops(block, step.type)) is not None:
            return oops
        elif refused := running.put_online(block, step.type):
            problems.append(f"block {number}: {refused} (Invalid argument)")
        else:
            done.append(block)
    reason = f"{len(done)} on-line: {zone_counts(done)}" if done else "no block comes on-line"
    return Outcome(not problems, _joined(reason, problems))


def offline(running: Running, step: Offline) -> Outcome:
    """Takes blocks off-line, one after the other; which kernel-zone blocks go is the scenario's to say, or guessed."""
    numbers = running.blocks_at(step.targets)
    told = None if step.stuck is None else set(running.blocks_at(step.stuck))
    if running.dead:
        return Outcome(False, running.dead)
    problems = running.lacking(step.targets)
    guessed: list[int] = []
    done = 0
    for number in numbers:
        block = running.memory.blocks.get(number)
        if block is None:
            problems.append(f"block {number} is not there")
        elif not block.online:
            problems.append(f"block {number} is off-line already (Invalid argument)")
        elif block.fixed:
            problems.append(f"block {number} never goes: {block.fixed}")
        else:
            if not block.movable and told is None:
                guessed.append(number)
            if number in (likely_stuck(running, [block]) if told is None else told):
                problems.append(f"block {number} stays: a page in it can't be moved (Device or resource busy)")
            else:
                running.take_offline(block)
                done += 1
    reason = _joined(f"{done} off-line" if done else "no block goes off-line", problems)
    if not guessed:
        return Outcome(not problems, reason)
    which = block_names(guessed)
    running.warn(f"whether {which} go off-line can't be known, as they are in a kernel zone: a guess is shown")
    return Outcome(None, f"no promise, as {which} are in a kernel zone; the guess: {reason}")


def likely_stuck(running: Running, blocks: Iterable[Block]) -> set[int]:
    """The guess: boot memory stays, and the lowest block of a Normal zone that a node with CPUs did not have at boot.

    Such a zone is what these CPUs allocate from first, from the moment it is there; other added blocks go.
    """
    normal = KERNEL_ZONES[-1]
    had = {(zone.nid, zone.name) for zone in running.start.zones}
    found = set()
    for block in blocks:
        if not block.online or block.movable:
            continue
        if block.boot:
            found.add(block.index)
        elif block.zone == normal and block.nid in running.start.cpu_nodes and (block.nid, normal) not in had:
            everyone = running.memory.blocks.values()
            if block.index == min(b.index for b in everyone if b.online and b.nid == block.nid and b.zone == normal):
                found.add(block.index)
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
