"""What stands in a page without a script: the answer, tables, the kernel's rules and facts; values for the template."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from memplan.kernel.distributions import target_of
from memplan.kernel.resolve import all_rules, resolve
from memplan.render.overview import headline, memory_within, verdict_groups, verdict_word
from memplan.render.remarks import remarks
from memplan.render.report import report_sections
from memplan.render.rules import rule_rows
from memplan.render.sizes import nodes_text, rounded
from memplan.render.table import Table
from memplan.report.added import added_content
from memplan.report.grids import grids_of
from memplan.report.table_tree import table_tree
from memplan.units import exact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from memplan.hotadd.result import HotaddPlan
    from memplan.kernel.model import Kernel
    from memplan.plan import Blocker, Plan, Verdict
    from memplan.report.added import Added
    from memplan.report.film import Film
    from memplan.report.grids import Grid
    from memplan.report.table_tree import Tree

#: Lines of a description that stand in the page; all of it is among its data.
_LINES = 400
#: Of what one remedy is for, so many are told beside the verdict.
_BLOCKERS = 8


class Holder(NamedTuple):
    """What keeps a node: an owner, how much it has in how many places, where the first lies, and since which step."""

    owner: str
    size: str
    places: int
    first: str
    step: str


class Relief(NamedTuple):
    """What would free a node of some of its holders, since which `steps`; `more` of the holders are not told."""

    text: str
    steps: list[str]
    holders: list[Holder]
    more: int


class Answer(NamedTuple):
    """The verdict on nodes that share it; `tone` is "good", "partly", "bad" or ""."""

    nodes: str
    size: str
    word: str
    tone: str
    reason: str
    remedies: list[Relief]


class Content(NamedTuple):
    """One plan as its page tells it."""

    label: str
    machine: str
    kernel: str
    direction: str
    cmdline: str
    headline: str
    good: bool
    answers: list[Answer]
    notes: list[tuple[str, str]]
    grids: dict[str, list[Grid]]
    #: All rows of the tables that are longer than the page has room for, by the tables' ids.
    rest: dict[str, list[tuple[str, ...]]]
    description: str
    description_more: int
    added: Added | None
    tree: Tree | None


def content(film: Film, description: str, label: str, came: HotaddPlan | None, prefix: str) -> Content:
    """The content of `film`'s page, and of what `came` after boot; the ids of its tables begin with `prefix`.

    `description` is that of the film's machine.
    """
    plan = film.plan
    text, good = headline(plan, rounded)
    tables: dict[str, list[Table]] = {}
    for name, table in _tables(film):
        tables.setdefault(name, []).append(table)
    grids: dict[str, list[Grid]] = {}
    rest: dict[str, list[tuple[str, ...]]] = {}
    for name, own in tables.items():
        grids[name], more = grids_of(own, f"{prefix}{name}-")
        rest |= more
    added = None if came is None else added_content(came, prefix)
    if added is not None:
        rest |= added.rest
    lines = description.splitlines()
    return Content(
        label,
        plan.machine_name,
        plan.kernel,
        "bottom-up" if plan.bottom_up else "top-down",
        plan.cmdline,
        text,
        good,
        [_answer(plan, group) for group in verdict_groups(plan)],
        list(_notes(plan)),
        grids,
        rest,
        "\n".join(lines[:_LINES]),
        max(len(lines) - _LINES, 0),
        added,
        table_tree(plan.page_tables),
    )


def _tables(film: Film) -> Iterator[tuple[str, Table]]:
    for section, block in report_sections(film.plan):
        if section and isinstance(block, Table) and block.rows:
            yield section, block
    yield "steps", _steps(film)
    yield "facts", _facts(film.kernel)
    yield "rules", _rules(film.kernel)


def _answer(plan: Plan, group: list[Verdict]) -> Answer:
    first = group[0]
    word, _ = verdict_word(first)
    tones = {"removable": "good", "partly removable": "partly", "not removable": "bad"}
    reason = first.reason
    if first.movable and first.blocks == first.total_blocks:
        reason = f"all {sum(verdict.blocks for verdict in group)} memory blocks can go off-line"
    return Answer(
        nodes_text(verdict.nid for verdict in group),
        rounded(memory_within(plan, group)),
        word,
        tones.get(word, ""),
        reason,
        list(_remedies(part for verdict in group if verdict.hotplug for part in verdict.blockers)),
    )


def _remedies(blockers: Iterable[Blocker]) -> Iterator[Relief]:
    """What would free a node of its `blockers`; those that one sentence is about stand together."""
    found: dict[str, dict[tuple[str, str], list[Blocker]]] = {}
    for part in blockers:
        found.setdefault(part.remedy.text, {}).setdefault((str(part.owner), part.step), []).append(part)
    for text, groups in found.items():
        holders = [
            Holder(
                owner,
                exact(sum(part.end - part.start for part in parts)),
                len(parts),
                f"{min(part.start for part in parts):#x}",
                step,
            )
            for (owner, step), parts in groups.items()
        ]
        told = holders[:_BLOCKERS]
        yield Relief(text, list(dict.fromkeys(each.step for each in told)), told, len(holders) - len(told))


def _notes(plan: Plan) -> Iterator[tuple[str, str]]:
    """What a reader should know besides: what is not modelled, what the kernel warns of; its kind and the text."""
    yield from remarks(plan)
    yield from (("kernel", text) for text in plan.kernel_notes)
    if not plan.end.completed:
        yield "last words", plan.end.text


def _steps(film: Film) -> Table:
    rows = []
    for at, frame in enumerate(film.frames):
        taken = sum(end - start for start, end, *_ in frame.reserved.come)
        rows.append(
            (
                str(at + 1),
                frame.step,
                "up" if frame.bottom_up else "down",
                "before" if frame.before_srat else "after",
                str(frame.last - frame.first),
                "yes" if taken or frame.reserved.gone or frame.memory.come or frame.memory.gone else "no",
                frame.source,
            )
        )
    columns = ("#>", "step", "allocates", "SRAT", "events>", "changes memory", "kernel source")
    return Table("Steps of the boot", columns, rows, note="each is named after the kernel function that it follows")


def _facts(kernel: Kernel) -> Table:
    rows = [(name, _fact(value), kernel.sources.get(name, "")) for name, value in sorted(kernel.facts.items())]
    return Table(f"Facts of {kernel.name}", ("fact", "value>", "source"), rows)


def _fact(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _rules(kernel: Kernel) -> Table:
    whats, own = all_rules().rules, target_of(kernel)
    rows = [(*row, whats[name].what) for name, row in rule_rows(resolve(own.version, own.overlay))]
    return Table(
        f"Rules of Linux {kernel.rules.version}", ("rule", "value", "since", "commit", "what it decides"), rows
    )
