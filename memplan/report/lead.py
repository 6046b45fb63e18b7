"""What stands above the verdicts of a page that compares: how two plans differ, or a plan and the log of its boot."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from memplan.render.comparison import difference_texts, kind_of, unknown_texts
from memplan.render.diff import changed_verdicts, diff_headline, diff_report, rule_texts
from memplan.render.hotadd_text import answers
from memplan.render.sizes import rounded
from memplan.render.table import Table
from memplan.report.grids import grids_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from memplan.differences import PlanDiff
    from memplan.hotadd.result import HotaddPlan
    from memplan.plan import Plan
    from memplan.report.grids import Grid
    from memplan.rule_changes import RuleChange
    from memplan.verification import Comparison, Pair

_TONES = {"gained": "good", "lost": "bad", "changed": "partly"}


class Point(NamedTuple):
    """One thing that differs: of what, in a word (its `tone` is "good", "partly" or "bad"), and the whole of it."""

    subject: str
    word: str
    tone: str
    texts: list[str]


class Lead(NamedTuple):
    """The answer of a page that compares; `title` is that of its tables, `rest` as a content's."""

    headline: str
    tone: str
    points: list[Point]
    notes: list[tuple[str, str]]
    title: str
    grids: list[Grid]
    rest: dict[str, list[tuple[str, ...]]]


def lead_of_plans(
    plans: tuple[Plan, Plan],
    diff: PlanDiff,
    labels: tuple[str, str],
    rules: Sequence[RuleChange],
    added: Sequence[HotaddPlan | None] = (),
) -> Lead:
    """How two plans differ, and what was `added` after them; the others are as for :func:`diff_report`."""
    text, more = diff_headline(diff, labels, rounded)
    points = [Point(own.nodes, own.word, _TONES[own.word], [own.reason]) for own in changed_verdicts(diff, labels)]
    told = [tuple(answers(own)) for own in added if own is not None]
    if len(set(told)) > 1:
        texts = [f"{label}: {text}" for label, own in zip(labels, told, strict=True) for text in own]
        points.append(Point("added memory", "differs", "partly", texts))
    points += [Point(outcome, "differs because of", "", texts) for outcome, texts in rule_texts(rules)]
    tables = [block for block in diff_report(plans, diff, labels, rules) if isinstance(block, Table)]
    return _lead(text, {None: "", True: "good", False: "bad"}[more], points, [], "What differs", tables)


def lead_of_log(comparison: Comparison, remarks: Iterable[str]) -> Lead:
    """How a plan and its boot's log differ; `remarks` are those of the log's import."""
    points = [Point(own.kernel.kind, "not known", "partly", list(unknown_texts(own))) for own in comparison.unknown]
    for difference in comparison.differences:
        kernel, plan, cause = difference_texts(difference)
        texts = [f"kernel: {kernel}", f"plan: {plan}", f"likely cause: {cause}"]
        points.append(Point(kind_of(difference), "differs", "bad", texts))
    notes = [("import", text) for text in remarks] + [("log", text) for text in comparison.notes]
    facts = Table(
        "Facts that log and plan tell",
        ("what", "fact", "line>", "the kernel's log", "the plan", "step"),
        list(map(_fact_row, comparison.pairs)),
    )
    kinds = Table(
        "Facts by kind",
        ("fact", "equal>", "of>"),
        [(kind, str(equal), str(total)) for kind, equal, total in comparison.kinds],
    )
    text = f"{comparison.equal} of {comparison.total} facts in the log equal the plan"
    if comparison.unknown:
        text += f", and {len(comparison.unknown)} can't be told"
    return _lead(text, "good" if comparison.same else "bad", points, notes, "The log beside the plan", [kinds, facts])


def _fact_row(pair: Pair) -> tuple[str, ...]:
    kernel, plan = pair
    told = kernel or plan
    return (
        "equal" if pair.equal else "different",
        told.kind if told else "",
        str(kernel.line) if kernel else "-",
        kernel.text.strip() if kernel else "nothing more",
        plan.text.strip() if plan else "nothing more",
        plan.step if plan else "",
    )


def _lead(
    headline: str, tone: str, points: list[Point], notes: list[tuple[str, str]], title: str, tables: Iterable[Table]
) -> Lead:
    grids, rest = grids_of(tables, "lead-")
    return Lead(headline, tone, points, notes, title, grids, rest)
