"""Reads configs/rules: every rule once, with its values by version; resolved here to what one version does.

A file holds the rules of one concern.  A rule has `what` (what it switches, in a line) and `values`, oldest first:

    since     the first release of the main line with this value
    value     what happens from then on
    commit    the commit that brought it, where it is known
    between   the last source read without it and the first one with it; releases between them are in doubt
    dated     how the release is known although sources of releases between were not read
    stable    back-ports: the sublevel of a stable branch that has it first, or A..B where it is one of these

steps.yaml lists the steps of all versions in one order; an entry has `from` and `until` (the first release without it),
each with its back-ports (``stable_from``, ``stable_until``), and `between` is about the first of them that it has.
versions.yaml tells which sources were read, which kernels booted; unreplayed.yaml what isn't
replayed of which releases.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple

import yaml

from memplan.errors import InputError
from memplan.kernel.nodes import (
    Value,
    compose,
    fields_of,
    items_of,
    numbers_of,
    pairs_of,
    release_of,
    text_of,
    value_of,
    wrong,
)
from memplan.kernel.unreplayed import Case, Unreplayed
from memplan.kernel.version import KernelVersion, Release

#: Sublevels from the first on that may have a back-port to the first that has it for sure.
Sublevels = tuple[int, int]

_ENTRY_KEYS = {"since", "value", "commit", "between", "dated", "stable", "known"}
_STEP_KEYS = {"step", "from", "until", "commit", "between", "dated", "stable_from", "stable_until", "known"}
_VERSION_KEYS = {"read", "booted", "traced"}
_UNREPLAYED_KEYS = {"name", "what", "from", "until", "when"}
_CASE_KEYS = {"options", "value", "config", "table", "machine", "searched"}
_NONE = range(0)
STEPS_FILE = "steps.yaml"
VERSIONS_FILE = "versions.yaml"
UNREPLAYED_FILE = "unreplayed.yaml"


class DatedValue(NamedTuple):
    """One value of a rule and since when it holds.

    `doubtful` are the ordinals of the releases of which it isn't known whether they have the change: those between the
    two sources of `between`, unless the change is dated.
    """

    since: Release
    value: Value
    commit: str
    between: tuple[str, str] | None
    dated: str
    stable: Mapping[Release, Sublevels]
    known: str
    line: int
    doubtful: range


class Rule(NamedTuple):
    """A rule with all its values, oldest first."""

    name: str
    what: str
    changes: tuple[DatedValue, ...]
    path: str
    line: int


class Bound(NamedTuple):
    """One end of a step's time: None as `release` is the beginning or the end of all versions."""

    release: Release | None
    stable: Mapping[Release, Sublevels]


class DatedStep(NamedTuple):
    """One place of a step in the merged list."""

    name: str
    first: Bound
    last: Bound
    commit: str
    between: tuple[str, str] | None
    dated: str
    known: str
    line: int
    doubtful: range


class Versions(NamedTuple):
    """What the timeline rests on: versions whose source was read, that booted, and whose memblock was traced."""

    read: tuple[KernelVersion, ...]
    booted: tuple[KernelVersion, ...]
    traced: tuple[KernelVersion, ...]

    @property
    def newest(self) -> Release:
        """The newest release of which anything is known."""
        return max(version.release for version in self.read)

    def newest_of(self, release: Release) -> int | None:
        """The newest sublevel of that release of which anything is known; None where nothing is."""
        known = [v.sublevel or 0 for v in (*self.read, *self.booted, *self.traced) if v.release == release]
        return max(known, default=None)


class RuleValue(NamedTuple):
    """What a version does under one rule, the change that says so, and whether that is in doubt."""

    value: Value
    change: DatedValue
    doubtful: bool


class Timeline(NamedTuple):
    """All rules by name, the steps, what is known of versions, and what isn't replayed from and until which release."""

    rules: Mapping[str, Rule]
    steps: tuple[DatedStep, ...]
    versions: Versions
    unreplayed: tuple[tuple[Unreplayed, Release | None, Release | None], ...]

    def unreplayed_of(self, release: Release) -> tuple[Unreplayed, ...]:
        """What isn't replayed of boots of `release`."""
        return tuple(
            one
            for one, first, until in self.unreplayed
            if (first is None or release >= first) and (until is None or release < until)
        )


def find(rule: Rule, version: KernelVersion) -> RuleValue:
    """The value of `rule` in `version` (which has a sublevel)."""
    found, doubtful = rule.changes[0], False
    for change in rule.changes[1:]:
        there, doubt = _reached(change.since, change.stable, change.doubtful, version)
        if there:
            found = change
            doubtful = doubt
        else:
            doubtful = doubtful or doubt
    return RuleValue(found.value, found, doubtful)


def present(step: DatedStep, version: KernelVersion) -> tuple[bool, bool]:
    """Whether `version` (which has a sublevel) has the step at this place, and whether that is in doubt."""
    between = step.doubtful
    begun, over, doubt_first, doubt_last = True, False, False, False
    if step.first.release is not None:
        begun, doubt_first = _reached(step.first.release, step.first.stable, between, version)
        between = _NONE
    if step.last.release is not None:
        over, doubt_last = _reached(step.last.release, step.last.stable, between, version)
    return begun and not over, doubt_first or doubt_last


def _reached(
    since: Release, stable: Mapping[Release, Sublevels], doubtful: range, version: KernelVersion
) -> tuple[bool, bool]:
    """Whether a change is in `version`, and whether that is in doubt."""
    release = version.release
    if stable and release in stable:
        maybe, surely = stable[release]
        sublevel = version.sublevel or 0
        return sublevel >= maybe, maybe <= sublevel < surely
    return release >= since, bool(doubtful) and release.ordinal in doubtful


def _doubtful(between: tuple[str, str] | None, dated: str) -> range:
    if dated or between is None:
        return _NONE
    last, first = (KernelVersion.at_head_of(text).release.ordinal for text in between)
    return range(last + 1, first)


@cache
def timeline(folder: str) -> Timeline:
    """The timeline in `folder`; InputError, with file and line, for anything in it that can't be right."""
    rules: dict[str, Rule] = {}
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".yaml") or name in (STEPS_FILE, VERSIONS_FILE, UNREPLAYED_FILE):
            continue
        path = os.path.join(folder, name)
        for key, node in pairs_of(path, compose(path)):
            if key in rules:
                raise wrong(path, node, key, f"is a rule of {rules[key].path}, too")
            rules[key] = _rule(path, key, node)
    return Timeline(
        rules,
        _steps(os.path.join(folder, STEPS_FILE)),
        _versions(os.path.join(folder, VERSIONS_FILE)),
        tuple(_unreplayed(os.path.join(folder, UNREPLAYED_FILE))),
    )


def _stable(path: str, node: yaml.Node | None, field: str) -> dict[Release, Sublevels]:
    found: dict[Release, Sublevels] = {}
    for key, value in pairs_of(path, node) if node is not None else ():
        try:
            branch = Release.parse(key)
        except ValueError:
            raise wrong(path, value, f"{field}.{key}", 'should be a branch like "5.10"') from None
        found[branch] = numbers_of(path, value, f"{field}.{key}")
    return found


def _sources(path: str, node: yaml.Node | None) -> tuple[str, str] | None:
    if node is None:
        return None
    texts = [text_of(path, item, "between") for item in items_of(path, node, "between")]
    if len(texts) != 2:
        raise wrong(path, node, "between", "should be two sources, the last without it and the first with it")
    return texts[0], texts[1]


def _rule(path: str, name: str, node: yaml.Node) -> Rule:
    top = fields_of(path, node, {"what", "values"})
    if set(top) != {"what", "values"}:
        raise wrong(path, node, name, "should have what and values")
    changes: list[DatedValue] = []
    for item in items_of(path, top["values"], f"{name}.values"):
        entry = fields_of(path, item, _ENTRY_KEYS)
        if "since" not in entry or "value" not in entry:
            raise wrong(path, item, f"{name}.values", "each should have since and value")
        between, dated = _sources(path, entry.get("between")), text_of(path, entry.get("dated"), "dated")
        changes.append(
            DatedValue(
                release_of(path, entry["since"], f"{name}.since"),
                value_of(path, entry["value"]),
                text_of(path, entry.get("commit"), "commit"),
                between,
                dated,
                _stable(path, entry.get("stable"), "stable"),
                text_of(path, entry.get("known"), "known"),
                item.start_mark.line + 1,
                _doubtful(between, dated),
            )
        )
        if len(changes) > 1 and changes[-1].since <= changes[-2].since:
            raise wrong(path, entry["since"], f"{name}.since", f"should be later than {changes[-2].since} before it")
    return Rule(name, text_of(path, top["what"], "what"), tuple(changes), path, node.start_mark.line)


def _steps(path: str) -> tuple[DatedStep, ...]:
    top = fields_of(path, compose(path), {"steps"})
    steps: list[DatedStep] = []
    for item in items_of(path, top["steps"], "steps"):
        entry = fields_of(path, item, _STEP_KEYS)
        if "step" not in entry:
            raise wrong(path, item, "steps", "each should have step, the name of a function in memplan/boot")
        first, last = (release_of(path, entry[key], key) if key in entry else None for key in ("from", "until"))
        between, dated = _sources(path, entry.get("between")), text_of(path, entry.get("dated"), "dated")
        steps.append(
            DatedStep(
                text_of(path, entry["step"], "step"),
                Bound(first, _stable(path, entry.get("stable_from"), "stable_from")),
                Bound(last, _stable(path, entry.get("stable_until"), "stable_until")),
                text_of(path, entry.get("commit"), "commit"),
                between,
                dated,
                text_of(path, entry.get("known"), "known"),
                item.start_mark.line + 1,
                _doubtful(between, dated),
            )
        )
    return tuple(steps)


def _versions(path: str) -> Versions:
    top = fields_of(path, compose(path), _VERSION_KEYS)
    if set(top) != _VERSION_KEYS:
        raise InputError.single(path, f"should have {', '.join(sorted(_VERSION_KEYS))}")
    lists = {
        key: tuple(KernelVersion.parse(text_of(path, item, key)) for item in items_of(path, node, key))
        for key, node in top.items()
    }
    return Versions(lists["read"], lists["booted"], lists["traced"])


def _unreplayed(path: str) -> Iterator[tuple[Unreplayed, Release | None, Release | None]]:
    for item in items_of(path, fields_of(path, compose(path), {"unreplayed"})["unreplayed"], "unreplayed"):
        entry = fields_of(path, item, _UNREPLAYED_KEYS)
        if missing := {"name", "what", "when"} - set(entry):
            raise wrong(path, item, "unreplayed", f"has no {' and no '.join(sorted(missing))}")
        first, until = (release_of(path, entry[key], key) if key in entry else None for key in ("from", "until"))
        cases = tuple(_case(path, case) for case in items_of(path, entry["when"], "when"))
        name, what = (text_of(path, entry[key], key) for key in ("name", "what"))
        yield Unreplayed(name, what, str(first or ""), str(until or ""), cases), first, until


def _case(path: str, node: yaml.Node) -> Case:
    entry = fields_of(path, node, _CASE_KEYS)
    if not {"options", "config", "table", "machine"} & set(entry):
        raise wrong(path, node, "when", "should ask for options, config, table or machine")
    options = items_of(path, entry["options"], "options") if "options" in entry else ()
    names = tuple(text_of(path, option, "options") for option in options)
    value, config, table, machine = (text_of(path, entry.get(k), k) for k in ("value", "config", "table", "machine"))
    return Case(names, value, config, table, machine, "searched" in entry)
