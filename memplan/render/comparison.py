"""A comparison of plan and boot log, as text and as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.klog.facts import Fact
    from memplan.verification import Comparison, Difference, Unknown


def text_lines(result: Comparison, source: str) -> Iterator[str]:
    """The answer first, then the counts by kind and both sides of the first difference of each kind."""
    verdict = "the plan equals the boot" if result.same else "the plan differs from the boot"
    if result.same and result.unknown:
        verdict += f" as far as can be told ({len(result.unknown)} not known)"
    yield f"{source}: {result.equal} of {result.total} facts equal: {verdict}"
    yield f"  log of Linux {result.release or '(unknown)'}, planned with kernel {result.kernel}"
    yield "  " + ", ".join(f"{kind} {equal}/{total}" for kind, equal, total in result.kinds)
    for own in result.unknown:
        logged, why = unknown_texts(own)
        yield f"  not known: {logged}"
        yield f"             {why}"
    for note in result.notes:
        yield f"  note: {note}"
    for number, difference in enumerate(result.differences):
        kind = kind_of(difference)
        yield f"{'first difference' if not number else f'first of {kind}'}, at fact {difference.index + 1}:"
        kernel, plan, cause = difference_texts(difference)
        yield f"  kernel: {kernel}"
        yield f"  plan:   {plan}"
        if difference.plan is not None:
            yield f"          {planned_in(difference.plan)}"
        yield f"  likely cause: {cause}"


def unknown_texts(own: Unknown) -> tuple[str, str]:
    """The line of the log, and what the plan says instead and why it can't know."""
    place = f"the plan has it at {_range(own.plan)}" if own.plan is not None else "the plan has none"
    return f"line {own.kernel.line}: {own.kernel.text.strip()}", f"{place}; nobody told {own.reason}"


def difference_texts(difference: Difference) -> tuple[str, str, str]:
    """What the kernel says, what the plan says, and the likely cause."""
    theirs, ours = difference.kernel, difference.plan
    return (
        f"line {theirs.line}: {theirs.text.strip()}" if theirs else "nothing more",
        ours.text.strip() if ours else "nothing more",
        difference.cause,
    )


def kind_of(difference: Difference) -> str:
    """The kind of the facts that differ."""
    fact = difference.kernel or difference.plan
    return fact.kind if fact else ""


def planned_in(fact: Fact) -> str:
    """The step of a planned fact, and whose memory it is about."""
    return f"step {fact.step}" + (f", owner {fact.owner}" if fact.owner else "")


def _range(fact: Fact) -> str:
    """The place that a fact names."""
    return fact.text.strip().partition("[")[2].partition("]")[0] or fact.text.strip()


def json_text(result: Comparison, source: str) -> str:
    """The same, for programs."""
    return json.dumps(
        {
            "version": 1,
            "source": source,
            "release": result.release,
            "kernel": result.kernel,
            "memblock_debug": result.debug,
            "equal": result.equal,
            "total": result.total,
            "same": result.same,
            "kinds": [{"kind": kind, "equal": equal, "total": total} for kind, equal, total in result.kinds],
            "first_difference": _difference(result.first),
            "differences": [_difference(difference) for difference in result.differences],
            "unknown": [
                {"kernel": _fact(own.kernel), "plan": _fact(own.plan), "reason": own.reason} for own in result.unknown
            ],
            "notes": list(result.notes),
        },
        indent=2,
        ensure_ascii=False,
    )


def _difference(difference: Difference | None) -> dict[str, Any] | None:
    if difference is None:
        return None
    return {
        "index": difference.index,
        "kernel": _fact(difference.kernel),
        "plan": _fact(difference.plan),
        "cause": difference.cause,
    }


def _fact(fact: Fact | None) -> dict[str, Any] | None:
    if fact is None:
        return None
    return {
        "kind": fact.kind,
        "values": list(fact.values),
        "text": fact.text.strip(),
        "line": fact.line,
        "step": fact.step,
        "owner": fact.owner,
    }
