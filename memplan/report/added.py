"""Memory that comes after boot, as a page tells it: what became of each DIMM, and what each step left on the map."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from memplan.ranges import RangeSet
from memplan.render.hotadd_text import (
    answers,
    block_table,
    dimm_facts,
    dimm_table,
    growth_text,
    memory_text,
    ratio_texts,
)
from memplan.render.strip import Free, added_as
from memplan.render.table import Table
from memplan.report.grids import grids_of
from memplan.units import size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.hotadd.result import BlockRange, DimmReport, HotaddPlan, StepResult
    from memplan.plan import Plan
    from memplan.report.grids import Grid

#: What added memory is shown as on the map.
KINDS = (Free.ADDED_MOVABLE, Free.ADDED_KERNEL, Free.ADDED_OFFLINE)
#: DIMMs that are told one by one; the others are rows of a table.
_CARDS = 24
#: What became of a DIMM in a word, and its tone; of one that is there, by whether it can go again.
_WORDS = {
    "yes": ("there, can go again", "good"),
    "no promise": ("there, no promise that it goes again", "partly"),
    "not before": ("there, can't go before a later one", "partly"),
}
_TONES = {"refused": "bad", "gone": ""}
_ACCEPTED = {True: "yes", False: "refused", None: "not known"}


class Card(NamedTuple):
    """What became of a DIMM: in a word (its `tone` is "good", "partly", "bad" or ""), and why, each with its name.

    `place` is its first byte as text, empty where it brought nothing; `step` is the moment that added it.
    """

    name: str
    about: str
    place: str
    step: str
    word: str
    tone: str
    facts: list[tuple[str, str]]


class Added(NamedTuple):
    """Added memory as a page tells it; `more` is how many DIMMs have no card, `tone` and `rest` as a lead's."""

    headline: str
    tone: str
    answers: list[str]
    cards: list[Card]
    more: int
    notes: list[tuple[str, str]]
    grids: list[Grid]
    rest: dict[str, list[tuple[str, ...]]]


class AddedPiece(NamedTuple):
    """``[start, end)`` in bytes: part of a DIMM, or memory of the boot that is off-line (`dimm` None)."""

    start: int
    end: int
    content: Free
    owner: str
    dimm: DimmReport | None


class Moment(NamedTuple):
    """A step after boot and what is there after it: added memory, and what of the boot's is off-line."""

    step: StepResult
    pieces: tuple[AddedPiece, ...]


def moment_name(number: int) -> str:
    """What a link calls the step after boot of that number."""
    return f"after-{number}"


def added_content(result: HotaddPlan, prefix: str) -> Added:
    """What a page tells of `result`; the ids of its tables begin with `prefix`."""
    first, *others = answers(result)
    if result.steps:
        others += [f"ratio in the end: {text}" for text in ratio_texts(result.steps[-1].ratio)]
    additions = (step for step in result.steps if step.adds)
    cards = [_card(dimm, step) for dimm, step in zip(result.dimms, additions, strict=True)]
    tables = [_steps(result), block_table("Memory blocks in the end", result.blocks)]
    if result.dimms:
        tables.insert(0, dimm_table(result))
    grids, rest = grids_of(tables, f"{prefix}added-")
    return Added(
        first,
        _tone({card.tone for card in cards}),
        others,
        cards[:_CARDS],
        max(len(cards) - _CARDS, 0),
        [("look out", text) for text in result.warnings],
        grids,
        rest,
    )


def moments_after(plan: Plan, result: HotaddPlan) -> Iterator[Moment]:
    """The steps of `result`, each with what is there after it, upwards and without overlaps."""
    boot = RangeSet(part for node in plan.nodes for part in node.ranges)
    reserved = RangeSet((own.start, own.end) for own in plan.reservations)
    #: The DIMMs as they came, and as they are in the end.
    added: list[tuple[DimmReport, DimmReport]] = []
    for step in result.steps:
        if step.dimm is not None and step.adds:
            # The newest first: it may lie where an older one has been.
            added.insert(0, (step.dimm, result.dimms[len(added)]))
        pieces = [piece for part in step.blocks for piece in _pieces(part, added, boot, reserved, result.block_size)]
        yield Moment(step, tuple(sorted(pieces, key=lambda piece: piece.start)))


def _pieces(
    part: BlockRange, added: list[tuple[DimmReport, DimmReport]], boot: RangeSet, reserved: RangeSet, block_size: int
) -> Iterator[AddedPiece]:
    low, high = part.first * block_size, (part.last + 1) * block_size
    content = added_as(part)
    state = "off-line" if part.state == "offline" else f"on-line in {part.zones[0]}"
    told = RangeSet()
    for dimm, later in added:
        if dimm.address is None or not dimm.accepted:
            continue
        start, end = max(low, dimm.address), min(high, dimm.address + dimm.size)
        if start < end:
            yield from (AddedPiece(*own, content, f"{dimm.name}, {state}", later) for own in told.outside(start, end))
            told.add(start, end)
    if content is Free.ADDED_OFFLINE:
        for own in (own for other in told.outside(low, high) for own in boot.within(*other)):
            for free in reserved.outside(*own):
                yield AddedPiece(*free, content, "memory of the boot, off-line", None)


def _card(dimm: DimmReport, step: StepResult) -> Card:
    word: str = dimm.outcome
    tone = _TONES.get(word, "partly")
    if word == "there":
        word, tone = _WORDS.get(dimm.removal, (word, ""))
    facts = [("refused" if step.accepted is False else "blocks", step.reason)] if step.reason else []
    facts += [("the kernel says", line) for line in step.lines]
    facts += dimm_facts(dimm)
    if dimm.blocks:
        facts.append(("MemTotal", growth_text(dimm)))
    if dimm.accepted:
        facts += [("ratio then", text) for text in ratio_texts(step.ratio)]
    return Card(
        dimm.name,
        size_text(dimm.size) + ("" if dimm.nid is None else f" on node {dimm.nid}"),
        f"{dimm.address:#x}" if dimm.blocks and dimm.address is not None else "",
        moment_name(step.number),
        word,
        tone,
        facts,
    )


def _tone(found: set[str]) -> str:
    """The tone of all cards together: bad where one is, good where nothing else is to be said of any."""
    if "bad" in found:
        return "bad"
    return "good" if "good" in found and "partly" not in found else ""


def _steps(result: HotaddPlan) -> Table:
    rows = [
        (
            moment_name(step.number),
            step.text,
            _ACCEPTED[step.accepted],
            "; ".join(filter(None, (step.reason, *(f"the kernel says: {line}" for line in step.lines)))),
            memory_text(step.map_bytes),
            memory_text(step.total),
        )
        for step in result.steps
    ]
    note = f"memory blocks of {size_text(result.block_size)}; MemTotal after boot: {memory_text(result.before_total)}"
    columns = ("step", "what", "accepted", "why", "memory maps>", "MemTotal>")
    return Table("Steps after boot", columns, rows, note=note)
