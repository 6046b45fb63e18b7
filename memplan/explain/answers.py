"""What a plan answers about one address, node, owner or step.

Ranges are half-open ``[start, end)`` in bytes.  The answers are values; memplan/render/explain.py words them for people
and programs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from memplan.boot.registry import registered
from memplan.boot.replay import replay
from memplan.errors import UsageError
from memplan.events import Change, Message, Refused
from memplan.explain.search import candidates
from memplan.kernel.load import kernel_of
from memplan.machine.words import meant
from memplan.owner import Mover, Owner, Purpose
from memplan.units import exact

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from memplan.events import Request
    from memplan.kernel.model import Kernel
    from memplan.machine.model import Machine
    from memplan.memblock.requests import Candidate
    from memplan.plan import Blocker, Plan, Reservation, Verdict

AnswerKind: TypeAlias = Literal["address", "node", "owner", "step", "DIMM"]

_NODE = re.compile(r"node ?([0-9]{1,20})", re.IGNORECASE)
_ADDRESS = re.compile(r"0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20}")
#: How many places of one owner are explained by their searches; the others are listed.
_SEARCHES = 4


class Subject(NamedTuple):
    """What is asked about: a plan, and what it was made of."""

    machine: Machine
    kernel: Kernel
    plan: Plan
    bottom_up: bool | None = None


class Answer(NamedTuple):
    """One answer: a sentence, what it rests on, and for an allocation how its place was found.

    `candidates` are the free ranges in the order in which memblock looked at them.  `details` are further sentences,
    `parts` the answers about each of several places.
    """

    kind: AnswerKind
    subject: str
    answer: str
    range: tuple[int, int] | None = None
    owner: Owner | None = None
    step: str = ""
    nid: int | None = None
    request: Request | None = None
    candidates: tuple[Candidate, ...] = ()
    details: tuple[str, ...] = ()
    parts: tuple[Answer, ...] = ()


def subject_of(machine: Machine, kernel: str | None, *, bottom_up: bool | None = None) -> Subject:
    """The plan of `machine` with that kernel (None: its own), ready to be asked about."""
    build = kernel_of(machine.kernel, kernel)
    return Subject(machine, build, replay(machine, build, bottom_up=bottom_up), bottom_up)


def node_in(text: str) -> int | None:
    """The node that `text` names ("node1", "node 1"); None where it names none."""
    found = _NODE.fullmatch(text)
    return int(found[1]) if found else None


def address_in(text: str) -> int | None:
    """The address that `text` is, hexadecimal with 0x or decimal; None where it is none."""
    return int(text, 0 if text[:2].lower() == "0x" else 10) if _ADDRESS.fullmatch(text) else None


def answer(about: Subject, question: str) -> Answer:
    """The answer to `question`: an address, a node ("node1"), an owner ("crash kernel"), or a boot step.

    UsageError where it is none of these.
    """
    text = question.strip()
    if (nid := node_in(text)) is not None:
        return node_answer(about, nid)
    if (address := address_in(text)) is not None:
        return address_answer(about, address)
    if text in registered():
        return step_answer(about, text)
    owners = _owners(about.plan, text)
    if owners:
        return owner_answer(about, text, owners)
    names = {str(part.owner) for part in about.plan.reservations} | {
        kind.label for kind in Purpose if "{" not in kind.label
    }
    if text.lower() in {name.lower() for name in names}:
        return owner_answer(about, text, frozenset())
    raise UsageError(f"{question!r} is no address, node, owner or boot step of this plan{_hint(text, names)}")


def _hint(text: str, names: set[str]) -> str:
    """An offer of the nearest name, behind a comma."""
    offer = meant(text, sorted(names | set(registered())))
    return f"; {offer}" if offer else ""


# -- an address ----------------------------------------------------------------------------------------------------


def address_answer(about: Subject, address: int) -> Answer:
    """Who has `address`, since which step, and why there."""
    plan = about.plan
    spot = plan.at(address)
    subject = f"{address:#x}"
    if spot.reservation is not None:
        return _place_answer(about, spot.reservation, "address", subject)
    if spot.region is None:
        return Answer("address", subject, f"{address:#x} is no memory of any node: nothing can be allocated there")
    nid = spot.region.nid or 0
    verdict = next((v for v in plan.verdicts if v.nid == nid and v.start <= address < v.end), None)
    movable = any(own == nid and start <= address < end for own, start, end in plan.movable)
    fate = "it can be removed" if movable else "it stays" if verdict is None else f"it stays: {verdict.reason}"
    return Answer("address", subject, f"nobody has {address:#x}: free memory of node {nid}; {fate}", nid=nid)


def _place_answer(about: Subject, held: Reservation, kind: AnswerKind, subject: str) -> Answer:
    """Why a reservation lies where it does."""
    found = _event(about.plan, held)
    when = "before" if held.before_srat else "after"
    where = "outside RAM" if held.nid is None else f"on node {held.nid}"
    text = f"{held.owner} has it, {where}, since {held.step}, {when} the SRAT was read"
    details = [_why_placed(held.owner)] if found is None or found[1].request is None else []
    details.append(_moving(about.plan, held))
    if found is None:
        return Answer(
            kind, subject, text, (held.start, held.end), held.owner, held.step, held.nid, details=tuple(details)
        )
    number, event = found
    seen: tuple[Candidate, ...] = ()
    if event.request is not None:
        seen = candidates(about.machine, about.kernel, event.request, number, bottom_up=about.bottom_up)
    return Answer(
        kind,
        subject,
        text,
        (held.start, held.end),
        held.owner,
        held.step,
        held.nid,
        event.request,
        seen,
        tuple(details),
    )


def _moving(plan: Plan, held: Reservation) -> str:
    """What would move a reservation out of the way, where it is in one's way."""
    lost = False
    for verdict in plan.verdicts:
        for blocker in verdict.blockers:
            if (blocker.start, blocker.end, blocker.owner) == (held.start, held.end, held.owner) and (
                verdict.hotplug or verdict.start_pfn is not None or held.owner.kind.mover is Mover.SRAT
            ):
                return f"what would move it: {blocker.remedy.text}"
        lost = lost or (verdict.unmarked and verdict.nid == held.nid)
    if lost:
        return f"it may lie there as node {held.nid} has lost its hot-plug marks: what took them has to move first"
    return "nothing need move it: it lies in no memory that is to be removed"


def _event(plan: Plan, held: Reservation) -> tuple[int, Change] | None:
    """The last event that reserved what `held` has, and its number."""
    for number in range(len(plan.events) - 1, -1, -1):
        event = plan.events[number]
        if (
            isinstance(event, Change)
            and event.op == "reserve"
            and (event.owner, event.step) == (held.owner, held.step)
            and event.start < held.end
            and held.start < event.end
        ):
            return number, event
    return None


def _why_placed(owner: Owner) -> str:
    """Why what was not allocated lies where it lies."""
    places = {
        Mover.FIRMWARE: "firmware chose the place; the kernel only sets it aside",
        Mover.LOADER: "the boot loader chose the place; the kernel only sets it aside",
        Mover.OPTION: "a boot option, or what lay there before, gave the place",
    }
    return places.get(owner.kind.mover, "the kernel sets this fixed place aside")


# -- a node --------------------------------------------------------------------------------------------------------


def node_answer(about: Subject, nid: int) -> Answer:
    """Whether node `nid` can be removed, and what stands in the way or makes it possible."""
    plan = about.plan
    own = [verdict for verdict in plan.verdicts if verdict.nid == nid]
    if not own:
        known = ", ".join(str(node.nid) for node in plan.nodes) or "none"
        raise UsageError(f"the plan has no memory of node {nid}; it has nodes {known}")
    blocks, total = sum(v.blocks for v in own), sum(v.total_blocks for v in own)
    if blocks == total:
        text = f"node {nid} can be removed: all its {total} memory blocks can go off-line"
    elif blocks:
        text = f"node {nid} can be removed in part: {blocks} of its {total} memory blocks can go off-line"
    else:
        text = f"node {nid} can't be removed"
    details = [f"{v.start:#x}-{v.end - 1:#x}: {v.reason}" for v in own]
    parts = tuple(part for verdict in own if verdict.hotplug for part in _blocker_answers(verdict))
    if not parts and blocks < total:
        details += _last_block(plan, own[-1])
    return Answer(
        "node", f"node {nid}", text, (own[0].start, own[-1].end), nid=nid, details=tuple(details), parts=parts
    )


def _blocker_answers(verdict: Verdict) -> Iterator[Answer]:
    groups: dict[tuple[Owner, str], list[Blocker]] = {}
    for blocker in verdict.blockers:
        groups.setdefault((blocker.owner, blocker.step), []).append(blocker)
    for (owner, step), blockers in groups.items():
        size = sum(blocker.end - blocker.start for blocker in blockers)
        places = "" if len(blockers) == 1 else f" in {len(blockers)} places"
        yield Answer(
            "owner",
            str(owner),
            f"{owner} holds {exact(size)}{places}, since {step}",
            (min(b.start for b in blockers), max(b.end for b in blockers)),
            owner,
            step,
            verdict.nid,
            details=(f"what would move it: {blockers[0].remedy.text}",),
        )


def _last_block(plan: Plan, verdict: Verdict) -> list[str]:
    """Who holds the node's last memory block back."""
    last = (verdict.end - 1) // plan.block_size * plan.block_size
    holders = dict.fromkeys(str(r.owner) for r in plan.reservations if r.nid == verdict.nid and r.end > last)
    if not holders:
        return []
    return [f"its last memory block, from {last:#x} on, is held by {', '.join(holders)}"]


# -- an owner ------------------------------------------------------------------------------------------------------


def _owners(plan: Plan, text: str) -> frozenset[Owner]:
    """The owners in the plan that are called so: by their whole name, or by that of their purpose."""
    wanted = text.lower()
    return frozenset(
        owner
        for owner in (
            *(part.owner for part in plan.reservations),
            *(e.owner for e in plan.events if isinstance(e, Refused)),
        )
        if wanted == str(owner).lower() or _plain_label(owner.kind).split(", ")[0] == wanted
    )


def _plain_label(kind: Purpose) -> str:
    """A purpose's name without node and detail: ``node_data``, ``memory map``."""
    return re.sub(r"[ (]*(node )?\{[a-z]+\}[ )]*", "", kind.label).strip(" ,()").lower()


def owner_answer(about: Subject, text: str, owners: frozenset[Owner]) -> Answer:
    """Every place of these owners, and how each was chosen."""
    held = [part for part in about.plan.reservations if part.owner in owners]
    parts = [
        _place_answer(about, part, "address", f"{part.start:#x}-{part.end - 1:#x}")
        if index < _SEARCHES
        else _listed(part)
        for index, part in enumerate(held)
    ]
    for number, event in enumerate(about.plan.events):
        if isinstance(event, Refused) and event.owner in owners:
            parts.append(_refused_answer(about, number, event))
    size = sum(part.end - part.start for part in held)
    if not parts:
        return Answer(
            "owner", text, f"nothing is reserved for {text} in this boot", details=tuple(_lines_about(about, owners))
        )
    nodes = sorted({part.nid for part in held if part.nid is not None})
    where = f" on node{'s' if len(nodes) > 1 else ''} {', '.join(map(str, nodes))}" if nodes else ""
    summary = f"{text}: {exact(size)} in {len(held)} place{'s' if len(held) != 1 else ''}{where}"
    return Answer(
        "owner",
        text,
        summary,
        owner=next(iter(owners)) if len(owners) == 1 else None,
        details=(*_costs(held), *_lines_about(about, owners)),
        parts=tuple(parts),
    )


def _costs(held: Sequence[Reservation]) -> Iterator[str]:
    """What memory for one node takes on others."""
    sizes: dict[tuple[int, int], int] = {}
    for part in held:
        owned, nid = part.owner.nid, part.nid
        if owned is not None and nid is not None and owned != nid:
            sizes[nid, owned] = sizes.get((nid, owned), 0) + part.end - part.start
    for nid in sorted({nid for nid, _ in sizes}):
        costs = {owned: size for (own, owned), size in sizes.items() if own == nid}
        each = ", ".join(f"{exact(size)} for node {owned}" for owned, size in sorted(costs.items()))
        yield f"node {nid} gives {exact(sum(costs.values()))} for other nodes: {each}"


def _listed(part: Reservation) -> Answer:
    text = f"{part.owner} has it since {part.step}"
    return Answer(
        "address", f"{part.start:#x}-{part.end - 1:#x}", text, (part.start, part.end), part.owner, part.step, part.nid
    )


def _refused_answer(about: Subject, number: int, event: Refused) -> Answer:
    seen = candidates(about.machine, about.kernel, event.request, number, bottom_up=about.bottom_up)
    text = f"{event.owner} asked for {exact(event.request.size)} in {event.step}, and there was no room"
    return Answer("owner", str(event.owner), text, None, event.owner, event.step, None, event.request, seen)


def _lines_about(about: Subject, owners: frozenset[Owner]) -> Iterator[str]:
    kinds = {owner.kind for owner in owners}
    for event in about.plan.events:
        if isinstance(event, Message) and event.about in kinds and event.text:
            yield f"the kernel says: {event.text}"


# -- a step --------------------------------------------------------------------------------------------------------


def step_answer(about: Subject, name: str) -> Answer:
    """What the step does in this version, and what it did here."""
    step = registered()[name]
    summary = " ".join((step.run.__doc__ or "").split())
    version = about.kernel.version
    if name not in about.kernel.rules.steps:
        return Answer("step", name, f"Linux {version} has no {name}", step=name, details=(summary,))
    place = about.kernel.rules.steps.index(name) + 1
    text = f"{name} ({step.source}) is step {place} of {len(about.kernel.rules.steps)} of Linux {version}: {summary}"
    changes = [event for event in about.plan.events if isinstance(event, Change) and event.step == name]
    parts = tuple(
        Answer(
            "address",
            f"{event.start:#x}-{event.end - 1:#x}",
            f"{event.op} for {event.owner}" + (f", {event.count} blocks" if event.count > 1 else ""),
            (event.start, event.end),
            event.owner,
            name,
            request=event.request,
        )
        for event in changes
    )
    lines = [e.text for e in about.plan.events if isinstance(e, Message) and e.step == name and e.text]
    details = [] if parts else ["it changed nothing here"]
    return Answer(
        "step", name, text, step=name, details=(*details, *(f"the kernel says: {line}" for line in lines)), parts=parts
    )
