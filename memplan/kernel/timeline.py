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
versions.yaml tells which sources were read, which kernels booted.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

import yaml

from memplan.errors import InputError
from memplan.kernel.version import KernelVersion, Release

Value = bool | int | str | Mapping[str, str]

#: Sublevels from the first on that may have a back-port to the first that has it for sure.
Sublevels = tuple[int, int]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_ENTRY_KEYS = {"since", "value", "commit", "between", "dated", "stable", "known"}
_STEP_KEYS = {"step", "from", "until", "commit", "between", "dated", "stable_from", "stable_until", "known"}
_VERSION_KEYS = {"read", "booted", "traced"}
STEPS_FILE = "steps.yaml"
VERSIONS_FILE = "versions.yaml"


class Change(NamedTuple):
    """One value of a rule and since when it holds."""

    since: Release
    value: Value
    commit: str
    between: tuple[str, str] | None
    dated: str
    stable: Mapping[Release, Sublevels]
    known: str
    line: int


class Rule(NamedTuple):
    """A rule with all its values, oldest first."""

    name: str
    what: str
    changes: tuple[Change, ...]
    path: str
    line: int


class Bound(NamedTuple):
    """One end of a step's time: None as `release` is the beginning or the end of all versions."""

    release: Release | None
    stable: Mapping[Release, Sublevels]


class Step(NamedTuple):
    """One place of a step in the merged list."""

    name: str
    first: Bound
    last: Bound
    commit: str
    between: tuple[str, str] | None
    dated: str
    known: str
    line: int


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


class Found(NamedTuple):
    """What a version does under one rule, the change that says so, and whether that is in doubt."""

    value: Value
    change: Change
    doubtful: bool


class Timeline(NamedTuple):
    """All rules by name, the steps, and what is known of versions."""

    rules: Mapping[str, Rule]
    steps: tuple[Step, ...]
    versions: Versions


def find(rule: Rule, version: KernelVersion) -> Found:
    """The value of `rule` in `version` (which has a sublevel)."""
    release, sublevel = version.release, version.sublevel or 0
    found, doubtful = rule.changes[0], False
    for change in rule.changes[1:]:
        there, doubt = _reached(change.since, change.stable, _doubtful(change), release, sublevel)
        if there:
            found = change
            doubtful = doubt
        else:
            doubtful = doubtful or doubt
    return Found(found.value, found, doubtful)


def present(step: Step, version: KernelVersion) -> tuple[bool, bool]:
    """Whether `version` (which has a sublevel) has the step at this place, and whether that is in doubt."""
    release, sublevel = version.release, version.sublevel or 0
    between = _doubtful(step)
    begun, over, doubt_first, doubt_last = True, False, False, False
    if step.first.release is not None:
        begun, doubt_first = _reached(step.first.release, step.first.stable, between, release, sublevel)
        between = range(0)
    if step.last.release is not None:
        over, doubt_last = _reached(step.last.release, step.last.stable, between, release, sublevel)
    return begun and not over, doubt_first or doubt_last


def _reached(
    since: Release, stable: Mapping[Release, Sublevels], between: range, release: Release, sublevel: int
) -> tuple[bool, bool]:
    """Whether a change is in a version, and whether that is in doubt."""
    if release in stable:
        maybe, surely = stable[release]
        return sublevel >= maybe, maybe <= sublevel < surely
    return release >= since, release.ordinal in between


def _doubtful(change: Change | Step) -> range:
    """The ordinals of the releases that may have the change or not: those between two sources, unless it is dated."""
    if change.dated or change.between is None:
        return range(0)
    last, first = (KernelVersion.at_head_of(text).release.ordinal for text in change.between)
    return range(last + 1, first)


@cache
def timeline(folder: str) -> Timeline:
    """The timeline in `folder`; InputError, with file and line, for anything in it that can't be right."""
    rules: dict[str, Rule] = {}
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".yaml") or name in (STEPS_FILE, VERSIONS_FILE):
            continue
        path = os.path.join(folder, name)
        for key, node in _pairs(path, _compose(path)):
            if key in rules:
                raise _wrong(path, node, key, f"is a rule of {rules[key].path}, too")
            rules[key] = _rule(path, key, node)
    return Timeline(rules, _steps(os.path.join(folder, STEPS_FILE)), _versions(os.path.join(folder, VERSIONS_FILE)))


# -- the files --------------------------------------------------------------------------------------------------------


def _wrong(path: str, node: yaml.Node, field: str, message: str) -> InputError:
    mark = node.start_mark
    return InputError.single(path, message, line=mark.line + 1, column=mark.column + 1, field=field)


def _compose(path: str) -> yaml.Node:
    with open(path, "rb") as file:
        text = file.read()
    try:
        node: yaml.Node | None = yaml.compose(text, _LOADER)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        message = f"is no YAML: {getattr(error, 'problem', error)}"
        raise InputError.single(path, message, line=line, column=column) from None
    if node is None:
        raise InputError.single(path, "is empty")
    return node


def _pairs(path: str, node: yaml.Node) -> list[tuple[str, yaml.Node]]:
    """The mapping's keys and the nodes of their values, each key once."""
    if not isinstance(node, yaml.MappingNode):
        raise _wrong(path, node, "", "should be a mapping")
    pairs: dict[str, yaml.Node] = {}
    for key, value in node.value:
        if str(key.value) in pairs:
            raise _wrong(path, key, str(key.value), "stands here twice")
        pairs[str(key.value)] = value
    return list(pairs.items())


def _fields(path: str, node: yaml.Node, allowed: set[str]) -> dict[str, yaml.Node]:
    fields = dict(_pairs(path, node))
    for key in fields:
        if key not in allowed:
            raise _wrong(path, fields[key], key, f"is no field here; fields are {', '.join(sorted(allowed))}")
    return fields


def _items(path: str, node: yaml.Node, field: str) -> list[yaml.Node]:
    if not isinstance(node, yaml.SequenceNode) or not node.value:
        raise _wrong(path, node, field, "should be a list")
    return list(node.value)


def _text(path: str, node: yaml.Node | None, field: str) -> str:
    if node is None:
        return ""
    if not isinstance(node, yaml.ScalarNode) or not node.value:
        raise _wrong(path, node, field, "should be a text")
    return str(node.value)


def _release(path: str, node: yaml.Node, field: str) -> Release:
    text = _text(path, node, field)
    try:
        return Release.parse(text)
    except ValueError:
        raise _wrong(path, node, field, f'should be a release like "5.15", found {text!r}') from None


def _value(path: str, node: yaml.Node) -> Value:
    """A scalar, or a mapping of texts."""
    if isinstance(node, yaml.MappingNode):
        return {key: _text(path, value, key) for key, value in _pairs(path, node)}
    if not isinstance(node, yaml.ScalarNode):
        raise _wrong(path, node, "value", "should be one value, or a mapping")
    kind = node.tag.rpartition(":")[2]
    text = str(node.value)
    if kind == "bool":
        return text == "true"
    return int(text, 0) if kind == "int" else text


def _stable(path: str, node: yaml.Node | None, field: str) -> dict[Release, Sublevels]:
    found: dict[Release, Sublevels] = {}
    for key, value in _pairs(path, node) if node is not None else ():
        maybe, _, surely = _text(path, value, field).partition("..")
        try:
            found[Release.parse(key)] = (int(maybe), int(surely or maybe))
        except ValueError:
            expected = 'should be branches with the sublevel that has it first, {"5.10": 16} or {"5.10": 8..89}'
            raise _wrong(path, value, f"{field}.{key}", expected) from None
    return found


def _sources(path: str, node: yaml.Node | None) -> tuple[str, str] | None:
    if node is None:
        return None
    texts = [_text(path, item, "between") for item in _items(path, node, "between")]
    if len(texts) != 2:
        raise _wrong(path, node, "between", "should be two sources, the last without it and the first with it")
    return texts[0], texts[1]


def _rule(path: str, name: str, node: yaml.Node) -> Rule:
    fields = _fields(path, node, {"what", "values"})
    if set(fields) != {"what", "values"}:
        raise _wrong(path, node, name, "should have what and values")
    changes: list[Change] = []
    for item in _items(path, fields["values"], f"{name}.values"):
        entry = _fields(path, item, _ENTRY_KEYS)
        if "since" not in entry or "value" not in entry:
            raise _wrong(path, item, f"{name}.values", "each should have since and value")
        changes.append(
            Change(
                _release(path, entry["since"], f"{name}.since"),
                _value(path, entry["value"]),
                _text(path, entry.get("commit"), "commit"),
                _sources(path, entry.get("between")),
                _text(path, entry.get("dated"), "dated"),
                _stable(path, entry.get("stable"), "stable"),
                _text(path, entry.get("known"), "known"),
                item.start_mark.line + 1,
            )
        )
        if len(changes) > 1 and changes[-1].since <= changes[-2].since:
            raise _wrong(path, entry["since"], f"{name}.since", f"should be later than {changes[-2].since} before it")
    return Rule(name, _text(path, fields["what"], "what"), tuple(changes), path, node.start_mark.line)


def _steps(path: str) -> tuple[Step, ...]:
    fields = _fields(path, _compose(path), {"steps"})
    steps: list[Step] = []
    for item in _items(path, fields["steps"], "steps"):
        entry = _fields(path, item, _STEP_KEYS)
        if "step" not in entry:
            raise _wrong(path, item, "steps", "each should have step, the name of a function in memplan/boot")
        first, last = (_release(path, entry[key], key) if key in entry else None for key in ("from", "until"))
        steps.append(
            Step(
                _text(path, entry["step"], "step"),
                Bound(first, _stable(path, entry.get("stable_from"), "stable_from")),
                Bound(last, _stable(path, entry.get("stable_until"), "stable_until")),
                _text(path, entry.get("commit"), "commit"),
                _sources(path, entry.get("between")),
                _text(path, entry.get("dated"), "dated"),
                _text(path, entry.get("known"), "known"),
                item.start_mark.line + 1,
            )
        )
    return tuple(steps)


def _versions(path: str) -> Versions:
    fields = _fields(path, _compose(path), _VERSION_KEYS)
    if set(fields) != _VERSION_KEYS:
        raise InputError.single(path, f"should have {', '.join(sorted(_VERSION_KEYS))}")
    lists = {
        key: tuple(KernelVersion.parse(_text(path, item, key)) for item in _items(path, node, key))
        for key, node in fields.items()
    }
    return Versions(lists["read"], lists["booted"], lists["traced"])
