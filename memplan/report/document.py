"""A film as the page's script reads it: lists of numbers with their texts beside them, as small as they can be.

Ranges are half-open ``[start, end)`` in bytes.  A number that a script's arithmetic would round (from 2^53 on) is
written as hexadecimal text.  memplan/report/schema.py says what each part means.
"""

from __future__ import annotations

from difflib import SequenceMatcher
from itertools import groupby
from typing import TYPE_CHECKING, Any

from memplan.boot.registry import find_step
from memplan.boot.remedies import sentence
from memplan.events import Change, Mark, Message, Refused
from memplan.machine.cmdline import CommandLine
from memplan.memblock.flags import FLAG_NAMES
from memplan.ranges import RangeSet
from memplan.render.explain import asked, reason
from memplan.render.families import Family, family_of
from memplan.render.hotadd_text import block_table, memory_text
from memplan.render.overview import verdict_word
from memplan.report.added import KINDS, moment_name, moments_after

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from memplan.differences import PlanDiff
    from memplan.events import Event, Region
    from memplan.hotadd.result import HotaddPlan
    from memplan.memblock.requests import Candidate
    from memplan.plan import Plan, Verdict
    from memplan.render.strip import Free
    from memplan.report.added import AddedPiece, Moment
    from memplan.report.film import Delta, Film, Frame, Held

#: Raised when a field changes its meaning or goes; new fields alone do not raise it.
VERSION = 1
#: The first number that a script's arithmetic (IEEE 754 doubles) may round.
_INEXACT = 1 << 53
#: How many messages of one step are kept; of a search, how many ranges that are passed over for one reason.
_MESSAGES, _PASSED_OVER = 100, 12
_FAMILIES: list[Family | Free] = [*Family, *KINDS]


def number(value: int) -> int | str:
    """`value`, as text where a script would round it."""
    return value if value < _INEXACT else hex(value)


class Places:
    """Ranges one after the other, each as its distance from the end of the one before and its size.

    A range with an edge that a script would round is two texts, both edges, and the next one counts from 0.
    """

    def __init__(self) -> None:
        self._last = 0

    def __call__(self, start: int, end: int) -> tuple[int | str, int | str]:
        """What stands for ``[start, end)``."""
        if end >= _INEXACT:
            self._last = 0
            return hex(start), hex(end)
        distance = start - self._last
        self._last = end
        return distance, end - start


def families() -> list[list[str]]:
    """The families of owners, and the kinds of added memory: name, letter, and the class that has their colour."""
    return [[str(family), family.letter, css_class(family)] for family in _FAMILIES]


def css_class(family: Family | Free) -> str:
    """The class of a family in the page's style."""
    return "of-" + family.name.lower().replace("_", "-")


def moments(films: Sequence[Film], added: Sequence[HotaddPlan | None]) -> list[list[Any]]:
    """The moments of one film, or of two side by side: the step's name, and for each film the frame that it shows.

    The steps of `added`, one for each film, come behind those of its boot.  Steps that both have are one moment; at one
    that a film lacks it shows the frame that it had before, or none (-1) where it had none.
    """
    steps = [
        [frame.step for frame in film.frames] + [moment_name(step.number) for step in (after.steps if after else ())]
        for film, after in zip(films, added, strict=True)
    ]
    if len(steps) == 1:
        return [[step, at] for at, step in enumerate(steps[0])]
    found: list[list[Any]] = []
    first, second = steps
    for op, start, end, low, high in SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        if op == "equal":
            found += ([first[start + i], start + i, low + i] for i in range(end - start))
        else:
            found += ([first[at], at, low - 1] for at in range(start, end))
            found += ([second[at], end - 1, at] for at in range(low, high))
    return found


def moves(diff: PlanDiff | None) -> list[list[Any]]:
    """The ranges that lie elsewhere in the second plan: the owner, and the range in both."""
    place = Places()
    return [
        [
            str(change.owner),
            *place(change.before.start, change.before.end),
            *place(change.after.start, change.after.end),
        ]
        for change in (diff.owners if diff is not None else ())
        if change.before is not None and change.after is not None and change.before.start != change.after.start
    ]


class _Texts:
    """Texts that are told once and then named by their number."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self._known: dict[str, int] = {}

    def __getitem__(self, text: str) -> int:
        found = self._known.get(text)
        if found is None:
            found = self._known[text] = len(self.all)
            self.all.append(text)
        return found


class _Owners:
    """Owners, each told once: name, family, and what would move it."""

    def __init__(self, plan: Plan) -> None:
        self.all: list[list[Any]] = []
        self._known: dict[Any, int] = {}
        self._cmdline = CommandLine(plan.cmdline)
        self._marked = any(node.hotplug for node in plan.nodes)

    def __getitem__(self, owner: Any) -> int:
        found = self._known.get(owner)
        if found is None:
            found = self._known[owner] = len(self.all)
            moved = sentence(owner, self._cmdline, marked=self._marked)
            self.all.append([str(owner), _FAMILIES.index(family_of(owner)), moved])
        return found

    def added(self, piece: AddedPiece) -> int:
        """The index of what holds a piece of memory that came after boot."""
        found = self._known.get(piece.owner)
        if found is None:
            found = self._known[piece.owner] = len(self.all)
            dimm = piece.dimm
            goes = "" if dimm is None or not dimm.blocks else f"{dimm.removal}: {dimm.removal_why}"
            self.all.append([piece.owner, _FAMILIES.index(piece.content), goes])
        return found


def film_document(film: Film, label: str, added: HotaddPlan | None = None) -> dict[str, Any]:
    """`film` as plain lists, dicts, texts and numbers; `label` is what the page calls it, `added` what came later."""
    return _Writer(film, added).document(label)


class _Writer:
    def __init__(self, film: Film, added: HotaddPlan | None) -> None:
        self._film = film
        self._added = added
        self._owners, self._texts = _Owners(film.plan), _Texts()
        self._claims: list[list[int]] = []
        self._claim_numbers: dict[int, int] = {}
        #: Of added memory: the claims by owner and frame, and the frame since which a DIMM is there.
        self._added_claims: dict[tuple[int, int], int] = {}
        self._since: dict[str, int] = {}
        self._steps = {frame.step: index for index, frame in enumerate(film.frames)}

    def document(self, label: str) -> dict[str, Any]:
        film, plan = self._film, self._film.plan
        verdicts: dict[int, list[Verdict]] = {}
        for verdict in plan.verdicts:
            verdicts.setdefault(verdict.nid, []).append(verdict)
        frames = [self._frame(frame) for frame in film.frames]
        after = [] if self._added is None else list(moments_after(plan, self._added))
        more: dict[int, set[tuple[int, int]]] = {}
        for part in (part for moment in after for part in moment.pieces):
            if part.dimm is not None and part.dimm.nid is not None:
                more.setdefault(part.dimm.nid, set()).add((part.start, part.end))
        return {
            "label": label,
            "kernel": plan.kernel,
            "block_size": plan.block_size,
            "nodes": [
                {"node": node.nid, "ranges": _ranges(node.ranges), **_fate(verdicts.get(node.nid, []))}
                for node in plan.nodes
            ],
            "added": [{"node": nid, "ranges": _ranges(RangeSet(parts))} for nid, parts in sorted(more.items())],
            "movable": _ranges((start, end) for _, start, end in plan.movable),
            "frames": frames,
            "after": [self._moment(moment, at) for at, moment in enumerate(after, len(frames))],
            "owners": self._owners.all,
            "claims": self._claims,
            "texts": self._texts.all,
            "searches_left_out": film.left_out,
        }

    def _frame(self, frame: Frame) -> dict[str, Any]:
        events = self._film.plan.events[frame.first : frame.last]
        place = Places()
        said = [event.text for event in events if isinstance(event, Message) and event.text]
        return {
            "step": frame.step,
            "source": frame.source,
            "what": " ".join((find_step(frame.step).run.__doc__ or "").split()),
            "up": frame.bottom_up,
            "before_srat": frame.before_srat,
            "limit": number(frame.limit),
            "events": [row for at, event in enumerate(events, frame.first) if (row := self._event(at, event, place))],
            "said": said[:_MESSAGES],
            "unsaid": max(len(said) - _MESSAGES, 0),
            "memory": _array(frame.memory),
            "reserved": _array(frame.reserved),
            "held": self._held(frame.held),
        }

    def _moment(self, moment: Moment, at: int) -> dict[str, Any]:
        """A step after boot, which is the frame `at`."""
        step, place = moment.step, Places()
        pieces: list[Any] = []
        for piece in moment.pieces:
            owner = self._owners.added(piece)
            since = self._since.setdefault(piece.owner if piece.dimm is None else piece.dimm.name, at)
            claim = self._added_claims.get((owner, since))
            if claim is None:
                claim = self._added_claims[owner, since] = len(self._claims)
                self._claims.append([owner, since, 0])
            pieces += (*place(piece.start, piece.end), claim)
        return {
            "step": moment_name(step.number),
            "what": step.text,
            "accepted": step.accepted,
            "why": step.reason,
            "said": list(step.lines[:_MESSAGES]),
            "unsaid": max(len(step.lines) - _MESSAGES, 0),
            "total": memory_text(step.total),
            "held": pieces,
            "blocks": block_table("", step.blocks).rows,
        }

    def _event(self, at: int, event: Event, place: Places) -> list[Any] | None:
        """What, start, end, owner, caller, how many blocks, what was asked for, and the search."""
        row: list[Any]
        wording, texts = self._film.plan.wording, self._texts
        if isinstance(event, Change):
            request = texts[asked(event.request)] if event.request is not None else -1
            caller = texts[wording.caller(event)]
            row = [event.op, *place(event.start, event.end), self._owners[event.owner], caller, event.count, request]
        elif isinstance(event, Refused):
            row = ["refused", *place(0, 0), self._owners[event.owner], texts[event.caller], event.request.count]
            row.append(texts[asked(event.request)])
        elif isinstance(event, Mark):
            return ["mark", *place(event.start, event.end), -1, -1, 1, texts[_marked(event)]]
        else:
            return None
        if found := self._film.searches.get(at):
            row.append(self._search(found))
        return row

    def _search(self, found: Sequence[Candidate]) -> list[list[Any]]:
        """Try, start, end, node, what became of it; a row of only a try, a count and a reason stands for many."""
        rows: list[list[Any]] = []
        place = Places()
        for (attempt, refusal), group in groupby(found, key=lambda each: (each.attempt, each.refusal)):
            members = list(group)
            shown = members if len(members) <= _PASSED_OVER or refusal is None else members[: _PASSED_OVER // 2]
            for each in shown:
                nid = -1 if each.nid is None else each.nid
                rows.append([attempt + 1, *place(each.start, each.end), nid, self._texts[reason(each)]])
            if len(shown) < len(members):
                rows.append([attempt + 1, len(members) - len(shown), self._texts[refusal or ""]])
        return rows

    def _held(self, delta: Delta[Held]) -> list[list[Any]]:
        come: list[Any] = []
        place = Places()
        for start, end, claim in delta.come:
            index = self._claim_numbers.get(id(claim))
            if index is None:
                index = self._claim_numbers[id(claim)] = len(self._claims)
                step = self._steps.get(claim.step, -1)
                self._claims.append([self._owners[claim.owner], step, int(claim.before_srat)])
            come += (*place(start, end), index)
        return [_steps(delta.gone), come]


def _steps(indices: Iterable[int]) -> list[int]:
    """Rising numbers, each as its distance from the one before."""
    last, found = 0, []
    for index in indices:
        found.append(index - last)
        last = index
    return found


def _array(delta: Delta[Region]) -> list[list[Any]]:
    come: list[Any] = []
    place = Places()
    for start, end, nid, flags in delta.come:
        come += (*place(start, end), -1 if nid is None else nid, flags)
    return [_steps(delta.gone), come]


def _marked(mark: Mark) -> str:
    if mark.flag:
        return f"memblock.{mark.array}: {FLAG_NAMES[mark.flag]} {'set' if mark.on else 'cleared'}"
    return f"memblock.{mark.array}: {'no node' if mark.nid is None else f'node {mark.nid}'}"


def _ranges(ranges: Iterable[tuple[int, int]]) -> list[int | str]:
    place = Places()
    return [part for each in ranges for part in place(*each)]


def _fate(own: Sequence[Verdict]) -> dict[str, str]:
    """The verdicts of a node in a word, and why."""
    words = list(dict.fromkeys(verdict_word(verdict)[0] for verdict in own))
    if not words:
        return {"word": "", "why": ""}
    return {
        "word": words[0] if len(words) == 1 else "removable in part",
        "why": "; ".join(dict.fromkeys(verdict.reason for verdict in own)),
    }
