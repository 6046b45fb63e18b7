"""What a replayed scenario answers about a DIMM, an address or a node: who holds it, which zone, can it go again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from memplan.errors import UsageError
from memplan.explain.answers import Answer, address_in, answer, node_in
from memplan.units import size_text

if TYPE_CHECKING:
    from memplan.explain.answers import Subject
    from memplan.hotadd.result import BlockRange, DimmReport, HotaddPlan, StepResult

_DIMM = re.compile(r"d([0-9]{1,4})")


def is_dimm(question: str) -> bool:
    """Whether the question is the name of a DIMM that a scenario adds."""
    return _DIMM.fullmatch(question.strip()) is not None


def answer_with_added(about: Subject, added: HotaddPlan, question: str) -> Answer:
    """The answer to `question` after the steps of `added`: about a DIMM ("d0"), or as without them.

    UsageError where it is nothing that the plan or the scenario knows.
    """
    text = question.strip()
    if is_dimm(text):
        return _dimm_answer(added, _dimm(added, text))
    if (address := address_in(text)) is not None:
        return _address_answer(about, added, address)
    if (nid := node_in(text)) is not None:
        return _node_answer(about, added, nid)
    return answer(about, text)


def _dimm(added: HotaddPlan, name: str) -> DimmReport:
    found = next((dimm for dimm in added.dimms if dimm.name == name), None)
    if found is None:
        known = ", ".join(dimm.name for dimm in added.dimms) or "none"
        raise UsageError(f"{name} is not there: the steps add {known}")
    return found


def _steps(added: HotaddPlan, dimm: DimmReport) -> list[StepResult]:
    """The steps that are about the DIMM itself: its adding, and its being asked back."""
    return [step for step in added.steps if step.dimm is not None and step.dimm.name == dimm.name]


# -- a DIMM --------------------------------------------------------------------------------------------------------


def _dimm_answer(added: HotaddPlan, dimm: DimmReport) -> Answer:
    """What became of a DIMM: its node, the zones of its blocks, its memory map, and whether it can go again."""
    steps = _steps(added, dimm)
    details = [f"step {step.number}, {step.text}: {_outcome(step)}" for step in steps]
    details += [f"the kernel says: {line}" for step in steps for line in step.lines]
    subject, size = dimm.name, size_text(dimm.size)
    if not dimm.accepted:
        left = any(step.accepted for step in steps if step.adds)
        text = f"{subject} ({size}) " + ("is gone again" if left else "brings no memory: it was refused")
        return Answer("DIMM", subject, text, _range(dimm), nid=dimm.nid, details=tuple(details))
    text = f"{subject} ({size}) is memory of node {dimm.nid}: {_states(dimm.blocks)}"
    details += _why(dimm)
    parts = tuple(_part(added, dimm, block) for block in dimm.blocks)
    return Answer("DIMM", subject, text, _range(dimm), nid=dimm.nid, details=tuple(details), parts=parts)


def _outcome(step: StepResult) -> str:
    return f"refused: {step.reason}" if step.accepted is False else step.reason


def _range(dimm: DimmReport) -> tuple[int, int] | None:
    return None if dimm.address is None else (dimm.address, dimm.address + dimm.size)


def _why(dimm: DimmReport) -> list[str]:
    """What holds for the whole DIMM."""
    return [
        f"why this node: {dimm.node_why}",
        f"its memory map: {size_text(dimm.map_bytes)} out of {dimm.map_place}",
        f"can it go again: {dimm.removal}: {dimm.removal_why}",
    ]


def _states(blocks: tuple[BlockRange, ...]) -> str:
    """How many blocks are in which zone: ``6 blocks in Movable, 2 off-line``."""
    counts: dict[str, int] = {}
    for part in blocks:
        name = f"in {part.zones[0]}" if part.state == "online" else "off-line"
        counts[name] = counts.get(name, 0) + part.last - part.first + 1
    return ", ".join(f"{count} block{'s' if count > 1 else ''} {name}" for name, count in counts.items())


def _part(added: HotaddPlan, dimm: DimmReport, part: BlockRange) -> Answer:
    """Neighbouring blocks of a DIMM that are alike."""
    low, high = part.first * added.block_size, (part.last + 1) * added.block_size
    name = f"block {part.first}" if part.first == part.last else f"blocks {part.first} to {part.last}"
    return Answer("address", name, f"{name}: {_state(part)}", (low, high), nid=part.nid, details=_reasons(dimm, part))


def _state(part: BlockRange) -> str:
    if part.state == "online":
        return f"on-line in {part.zones[0]}"
    others = f"; {', '.join(part.zones[1:])} if asked for" if part.zones[1:] else ""
    return f"off-line; put on-line now it would go to {part.zones[0]}{others}"


def _reasons(dimm: DimmReport, part: BlockRange) -> tuple[str, ...]:
    """Why the blocks of `part` are in their zone."""
    told = (why for ranges, why in dimm.zone_why if any(low <= part.last and high > part.first for low, high in ranges))
    return tuple(f"why: {why}" for why in told)


# -- an address ----------------------------------------------------------------------------------------------------


def _address_answer(about: Subject, added: HotaddPlan, address: int) -> Answer:
    """Which DIMM holds the address, and in which zone; for memory of the boot, what the plan says and what changed."""
    number = address // added.block_size
    part = next((part for part in added.blocks if part.first <= number <= part.last), None)
    dimm = next((dimm for dimm in added.dimms if (place := _range(dimm)) and place[0] <= address < place[1]), None)
    subject = f"{address:#x}"
    if dimm is None:
        found = answer(about, subject)
        if part is None or part.state == "online":
            return found
        return found._replace(details=(*found.details, f"after the steps its memory block {number} is off-line"))
    if part is None or not dimm.accepted:
        gone = _dimm_answer(added, dimm)
        return gone._replace(kind="address", subject=subject, answer=f"{subject} lies in {dimm.name}: {gone.answer}")
    step = _steps(added, dimm)[0]
    where = part._replace(first=number, last=number)
    return Answer(
        "address",
        subject,
        f"{dimm.name} has it, of node {part.nid}, since step {step.number} ({step.text}); its memory block {number} is "
        f"{_state(where)}",
        (number * added.block_size, (number + 1) * added.block_size),
        step=step.text,
        nid=part.nid,
        details=(*_reasons(dimm, where), *_why(dimm)),
    )


# -- a node --------------------------------------------------------------------------------------------------------


def _node_answer(about: Subject, added: HotaddPlan, nid: int) -> Answer:
    """What the plan says of the node, and what was added to it."""
    dimms = [dimm for dimm in added.dimms if dimm.accepted and dimm.nid == nid]
    at_boot = any(verdict.nid == nid for verdict in about.plan.verdicts)
    if not dimms and not at_boot:
        raise UsageError(f"node {nid} has no memory, neither at boot nor by these steps")
    parts = tuple(_dimm_answer(added, dimm) for dimm in dimms)
    if not at_boot:
        text = f"node {nid} has no memory at boot; the steps bring it {_total(dimms)}"
        return Answer("node", f"node {nid}", text, nid=nid, parts=parts)
    found = answer(about, f"node{nid}")
    if not dimms:
        return found._replace(details=(*found.details, "the steps add nothing to it"))
    detail = f"the steps add {_total(dimms)}; what is said of it here holds for its memory at boot"
    return found._replace(details=(detail, *found.details), parts=(*parts, *found.parts))


def _total(dimms: list[DimmReport]) -> str:
    return f"{size_text(sum(dimm.size for dimm in dimms))} in {', '.join(dimm.name for dimm in dimms)}"
