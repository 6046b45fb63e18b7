"""The text of ``memplan kernel --list`` and ``--rules``: what is known of versions, and what they do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from memplan.kernel.distributions import Target, distribution_names, find_distribution
from memplan.kernel.load import find_kernel
from memplan.kernel.resolve import all_rules, complete, notes_on, resolve, resolve_steps
from memplan.kernel.rules import OLDEST
from memplan.kernel.shipped import kernel_names

if TYPE_CHECKING:
    from memplan.kernel.timeline import DatedStep, DatedValue, RuleValue, Versions
    from memplan.kernel.version import Release

_NONE = "-"


def list_lines() -> Iterator[str]:
    """Versions, builds and distributions, each with how well it is known."""
    versions = all_rules().versions
    yield f"Versions ({OLDEST} to {versions.newest}: --kernel VERSION takes its rules and the nearest builds' sizes)"
    release = OLDEST
    while release <= versions.newest:
        yield f"  {release!s:6} {_proof(release, versions)}"
        release = release.next
    yield ""
    yield "Builds (sizes and options of one build)"
    for name in kernel_names():
        kernel = find_kernel(name)
        generic = "sizes and options of a typical build" if name[0].isdigit() else "learned from the build itself"
        yield f"  {name:30} Linux {kernel.rules.version}; {generic}"
    yield ""
    yield "Distributions (--kernel NAME, or a release of theirs)"
    for name in distribution_names():
        found = find_distribution(name)
        yield f"  {name:14} {found.title}: from Linux {complete(found.base)}; {found.unknown}"


def _proof(release: Release, versions: Versions) -> str:
    """How the rules of a release are known, the strongest proof first."""
    told = []
    for word, known in (
        ("real boots", versions.booted),
        ("traces of memblock", versions.traced),
        ("sources", versions.read),
    ):
        sublevels = [str(version) for version in known if version.release == release]
        if sublevels:
            told.append(f"{word} ({', '.join(sublevels)})")
    return "; ".join(told) or (
        "interpolation: no source was read, its rules follow from the releases around it and from when each change was"
        " merged"
    )


def rules_lines(target: Target) -> Iterator[str]:
    """Every rule's value with since when it holds, by which commit, and how that is known; then the steps."""
    yield from _head(target)
    rules = all_rules().rules
    values = resolve(target.version, target.overlay)
    yield from _table(
        ("rule", "value", "since", "commit", "what"), [(*row, rules[name].what) for name, row in rule_rows(values)]
    )
    yield ""
    yield from _table(
        ("step", "since", "commit"),
        [(step.name, str(step.first.release or _NONE), step.commit or _NONE) for step, _ in _steps(target)],
    )


def rule_rows(values: Mapping[str, RuleValue]) -> Iterator[tuple[str, tuple[str, str, str, str]]]:
    """For each rule, by its name, a row of rule, value, since when and by which commit; a mapping's entries apart."""
    for name, found in values.items():
        for cell, value in _cells(name, found.value).items():
            yield name, (cell, value, *_source(found))


def difference_lines(old: Target, new: Target) -> Iterator[str]:
    """The rules and steps that differ between two targets; nothing but a sentence where none do."""
    yield from _head(old)
    yield from _head(new)
    before, after = resolve(old.version, old.overlay), resolve(new.version, new.overlay)
    rows = []
    for name, found in after.items():
        cells, others = _cells(name, found.value), _cells(name, before[name].value)
        source = _source(max(found, before[name], key=_since))
        for cell in dict.fromkeys((*others, *cells)):
            if cells.get(cell, _NONE) != others.get(cell, _NONE):
                rows.append((cell, others.get(cell, _NONE), cells.get(cell, _NONE), *source))
    if rows:
        yield from _table(("rule", str(old.version), str(new.version), "since", "commit"), rows)
    else:
        yield "no rule differs"
    yield ""
    changes = list(_moved([step for step, _ in _steps(old)], [step for step, _ in _steps(new)]))
    yield from changes or ["no step differs"]


def _head(target: Target) -> Iterator[str]:
    overlay = f" with {target.distribution}'s back-ports" if target.overlay else ""
    yield f"Linux {complete(target.version)}{overlay}"
    for note in (*target.notes, *notes_on(target.version, target.overlay)):
        yield f"note: {note}"
    yield ""


def _steps(target: Target) -> list[tuple[DatedStep, bool]]:
    return resolve_steps(target.version, target.overlay)


def _since(found: RuleValue) -> Release:
    return found.change.since


def _source(found: RuleValue) -> tuple[str, str]:
    """Since when, and the commit or what else dates it; in doubt with a question mark."""
    change = found.change
    return f"{change.since}{'?' if found.doubtful else ''}", change.commit or _dated(change)


def _dated(change: DatedValue) -> str:
    if change.between:
        return f"not in {change.between[0]}, in {change.between[1]}"
    return change.dated or change.known or _NONE


def _cells(name: str, value: object) -> dict[str, str]:
    """A rule's value by the rule's name; one cell for each of the names in a mapping."""
    if isinstance(value, Mapping):
        return {f"{name}[{key}]": str(own) for key, own in value.items()}
    if isinstance(value, bool):
        return {name: "yes" if value else "no"}
    if isinstance(value, int):
        return {name: hex(value) if value >= 1 << 40 else str(value)}
    return {name: str(value) if value == str(value).strip() != "" else repr(value)}


def _moved(old: list[DatedStep], new: list[DatedStep]) -> Iterator[str]:
    """Steps that came, went or moved, by the step before them."""
    before, after = [step.name for step in old], [step.name for step in new]
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    gone: dict[str, DatedStep] = {}
    come: dict[str, tuple[DatedStep, str]] = {}
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind != "equal":
            gone.update({step.name: step for step in old[a:b]})
            come.update({new[at].name: (new[at], after[at - 1] if at else "") for at in range(c, d)})
    for name, (step, place) in come.items():
        where = f"behind {place}" if place else "first of all"
        verb = "moves" if gone.pop(name, None) else "comes"
        commit = f", {step.commit}" if step.commit else ""
        yield f"step {name} {verb}: {where} (since {step.first.release or OLDEST}{commit})"
    for name, step in gone.items():
        yield f"step {name} is gone (until {step.last.release})"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Columns as wide as their widest cell, but for the last."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head) - 1)]
    for row in (head, *rows):
        cells = [f"{cell:{width}}" for cell, width in zip(row, widths, strict=False)]
        yield "  ".join((*cells, row[-1])).rstrip()
