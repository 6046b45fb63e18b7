"""Answers as JSON, for programs, and the schema of that; ranges end with their last byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from memplan.explain.answers import AnswerKind
from memplan.render.explain import reason
from memplan.render.forms import (
    Document,
    Form,
    Member,
    flag,
    inside,
    listed,
    literal,
    maybe,
    number,
    one_of,
    record,
    reference,
    text,
    versioned,
)
from memplan.render.json_ import EDGES, REMARKS, TEXTS, Extent

if TYPE_CHECKING:
    from memplan.events import Request
    from memplan.explain.answers import Answer
    from memplan.memblock.requests import Candidate
    from memplan.plan import Plan

#: Raised when a field changes its meaning or goes.
VERSION = 1


class _Told(NamedTuple):
    """An answer, and the plan that it is from."""

    answer: Answer
    plan: Plan


def answer_document(answer: Answer, plan: Plan) -> dict[str, Any]:
    """The answer from `plan` as JSON has it."""
    return _EXPLANATION.written(_Told(answer, plan))


def explain_schema() -> dict[str, Any]:
    """The schema of what ``memplan explain --format json`` writes."""
    return _EXPLANATION.schema()


_RANGE: Form[Extent] = record("", *EDGES)
_REQUEST: Form[Request] = record(
    "",
    Member("call", text("the memblock function"), lambda request: request.call.value),
    Member("size", number(), lambda request: request.size),
    Member("align", number(), lambda request: request.align),
    Member("min", number(), lambda request: request.min_addr),
    Member("max", number("0: the limit in force"), lambda request: request.max_addr),
    Member("node", maybe(number()), lambda request: request.nid),
    Member("exact", flag("on no other node"), lambda request: request.exact),
    Member(
        "direction",
        one_of("bottom-up", "top-down"),
        lambda request: "bottom-up" if request.bottom_up else "top-down",
    ),
    Member("avoids_hotplug", flag(), lambda request: request.avoids_hotplug),
    Member("count", number("equal blocks, one after the other"), lambda request: request.count),
)
_CANDIDATE: Form[Candidate] = record(
    "",
    *EDGES,
    Member("node", maybe(number()), lambda each: None if each.nid is None or each.nid < 0 else each.nid),
    Member("try", number("which of the request's searches, from 1"), lambda each: each.attempt + 1),
    Member("reason", text("why it was passed over, or that it was taken"), reason),
    Member("address", maybe(number("where the block lies, if it was taken")), lambda each: each.address or None),
)


def _write_part(answer: Answer) -> Any:
    return _PART.write(answer)


_ANSWERS_PART: Form[Answer] = reference("part", _write_part)
_ANSWER: tuple[Member[Answer], ...] = (
    Member("kind", literal(AnswerKind), lambda answer: answer.kind),
    Member("subject", text("what the answer is about"), lambda answer: answer.subject),
    Member("answer", text("the answer in a sentence"), lambda answer: answer.answer),
    Member("range", maybe(_RANGE), lambda answer: None if answer.range is None else Extent(*answer.range)),
    Member("owner", maybe(text("what the memory is for")), lambda answer: answer.owner),
    Member("step", maybe(text("the boot step")), lambda answer: answer.step or None),
    Member("node", maybe(number("node number")), lambda answer: answer.nid),
    Member("request", maybe(_REQUEST), lambda answer: answer.request),
    Member(
        "candidates",
        listed(_CANDIDATE, "The free ranges in the order in which memblock looked at them."),
        lambda answer: answer.candidates,
    ),
    Member("details", TEXTS.told("further sentences"), lambda answer: answer.details),
    Member("parts", listed(_ANSWERS_PART), lambda answer: answer.parts),
)
_PART: Form[Answer] = record("", *_ANSWER)
_EXPLANATION: Document[_Told] = versioned(
    "memplan explanation",
    VERSION,
    "An answer about one address, node, owner, boot step, or DIMM added after boot. Addresses and sizes are bytes, and "
    "every end is the last byte.",
    *inside(lambda told: told.answer, *_ANSWER),
    *inside(lambda told: told.plan, *REMARKS[::-1]),
    part=_PART,
)
