"""A comparison of plan and boot log, as text and as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.klog.facts import Fact
    from memplan.verification import Comparison, Difference


def text_lines(result: Comparison, source: str) -> Iterator[str]:
    """The answer first, then the counts by kind and both sides of the first difference of each kind."""
    verdict = "the plan equals the boot" if result.same else "the plan differs from the boot"
    if result.same and result.unknown:
        verdict += f" as far as can be told ({len(result.unknown)} not known)"
    yield f"{source}: {result.equal} of {result.total} facts equal: {verdict}"
    yield f"  log of Linux {result.release or '(unknown)'}, planned with kernel {result.kernel}"
    yield "  " + ", ".join(f"{kind} {equal}/{total}" for kind, equal, total in result.kinds)
    for own in result.unknown:
        yield f"  not known: line {own.kernel.line}: {own.kernel.text.strip()}"
        place = f"the plan has it at {_range(own.plan)}" if own.plan is not None else "the plan has none"
        yield f"             {place}; nobody told {own.reason}"
    for note in result.notes:
        yield f"  note: {note}"
    for number, difference in enumerate(result.differences):
        theirs, ours = difference.kernel, difference.plan
        kind = theirs.kind if theirs else ours.kind if ours else ""
        yield f"{'first difference' if not number else f'first of {kind}'}, at fact {difference.index + 1}:"
        yield f"  kernel: {f'line {theirs.line}: {theirs.text.strip()}' if theirs else 'nothing more'}"
        yield f"  plan:   {ours.text.strip() if ours else 'nothing more'}"
        if ours is not None:
            yield f"          step {ours.step}" + (f", owner {ours.owner}" if ours.owner else "")
        yield f"  likely cause: {difference.cause}"


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
