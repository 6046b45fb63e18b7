"""The timeline of configs/rules, resolved for one version: which values its rules have, and which steps it runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from memplan.configs import config_folder
from memplan.errors import InputError, UsageError
from memplan.hotadd.rules import HotplugRules
from memplan.kernel.nodes import Value
from memplan.kernel.rules import OLDEST, Rules
from memplan.kernel.structures import StructRules
from memplan.kernel.timeline import DatedStep, Rule, RuleValue, Timeline, find, present, timeline
from memplan.kernel.version import KernelVersion, Release
from memplan.memblock.rules import MemblockRules

#: What the names of rules begin with that are not the boot's own.
_MEMBLOCK = "memblock."
_HOTPLUG = "hotplug."
_STRUCT = "struct."
_GROUPS = (_MEMBLOCK, _HOTPLUG, _STRUCT)


class Overlay(NamedTuple):
    """What a distribution took from later releases: (rule or step, as of which release, whether that is in doubt).

    `values` are what it has of its own: (rule, value, whether that is in doubt).
    """

    name: str
    rules: tuple[tuple[str, Release, bool], ...]
    steps: tuple[tuple[str, Release, bool], ...]
    values: tuple[tuple[str, Value, bool], ...]


#: Every rule's name in the timeline and the type of its values.
TYPES: Mapping[str, Any] = {
    **{name: kind for name, kind in Rules.__annotations__.items() if name not in Rules._fields[:7]},
    **{_MEMBLOCK + name: kind for name, kind in MemblockRules.__annotations__.items()},
    **{_HOTPLUG + name: kind for name, kind in HotplugRules.__annotations__.items() if name != "doubts"},
    **{_STRUCT + name: kind for name, kind in get_type_hints(StructRules).items() if name != "doubts"},
}


@cache
def all_rules() -> Timeline:
    """The timeline of configs/rules; InputError, with file and line, for a rule or a value that no code knows."""
    found = timeline(os.path.join(config_folder(), "rules"))
    for name, rule in found.rules.items():
        _check(name, rule)
    if lacking := sorted(set(TYPES) - set(found.rules)):
        raise InputError.single(os.path.join(config_folder(), "rules"), f"has no values for {', '.join(lacking)}")
    return found


def _check(name: str, rule: Rule) -> None:
    def wrong(line: int, message: str) -> InputError:
        return InputError.single(rule.path, message, line=line, field=name)

    kind = TYPES.get(name)
    if kind is None:
        raise wrong(rule.line, "is no rule that memplan knows")
    if rule.changes[0].since != OLDEST:
        raise wrong(rule.changes[0].line, f"should begin with {OLDEST}, so that every version has a value")
    for change in rule.changes:
        if not fits(name, change.value):
            raise wrong(change.line, f"should be {expected(name)}, found {change.value!r}")


def fits(name: str, value: object) -> bool:
    """Whether `value` is one that the rule `name` may have."""
    return _fits(TYPES[name], value)


def expected(name: str) -> str:
    """What the rule `name` may have, in words."""
    return _words(TYPES[name])


def _fits(kind: Any, value: object) -> bool:
    if get_origin(kind) is Literal:
        return any(value == one and type(value) is type(one) for one in get_args(kind))
    return isinstance(value, get_origin(kind) or kind) and not (kind is int and isinstance(value, bool))


def _words(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(map(repr, get_args(kind)))
    return {bool: "true or false", int: "a number", str: "a text"}.get(kind, "a mapping of names")


def complete(version: KernelVersion) -> KernelVersion:
    """`version` with its sublevel: where it has none, the newest one of its release that is known."""
    if version.sublevel is not None:
        return version
    return version._replace(sublevel=all_rules().versions.newest_of(version.release) or 0)


def resolve(version: KernelVersion, overlay: Overlay | None = None) -> dict[str, RuleValue]:
    """Every rule's value in `version`, by name; UsageError for a version before the first with rules."""
    if version.release < OLDEST:
        raise UsageError(f"no rules for Linux {version}; there are rules for {OLDEST} and later")
    version = complete(version)
    found = {name: find(rule, version) for name, rule in all_rules().rules.items()}
    for name, as_of, doubtful in overlay.rules if overlay else ():
        later = find(all_rules().rules[name], KernelVersion(as_of, 0))
        found[name] = later._replace(doubtful=doubtful)
    for name, value, doubtful in overlay.values if overlay else ():
        found[name] = found[name]._replace(value=value, doubtful=doubtful)
    return found


def resolve_steps(version: KernelVersion, overlay: Overlay | None = None) -> list[tuple[DatedStep, bool]]:
    """The steps that `version` has, in their order, each with whether that is in doubt."""
    version = complete(version)
    as_of = {name: (KernelVersion(later, 0), doubt) for name, later, doubt in (overlay.steps if overlay else ())}
    steps = []
    for step in all_rules().steps:
        later, doubt = as_of.get(step.name, (version, False))
        has, doubtful = present(step, later)
        if has:
            steps.append((step, doubt or (doubtful and later == version)))
    return steps


@cache
def rules_for(version: KernelVersion, overlay: Overlay | None = None) -> Rules:
    """The rules of `version` under a distribution's overlay; UsageError for one before the first with rules."""
    found = resolve(version, overlay)
    steps = resolve_steps(version, overlay)
    version = complete(version)
    doubts = [name for name, one in found.items() if one.doubtful]
    later = tuple(name for name in doubts if name.startswith(_HOTPLUG))
    sizes = tuple(name for name in doubts if name.startswith(_STRUCT))
    doubts = [name for name in doubts if name not in later + sizes]
    doubts += [f"step {step.name}" for step, doubtful in steps if doubtful]
    boot = {name: value for name, value in _values(found, "").items() if not name.startswith(_GROUPS)}
    return Rules(
        version=version,
        memblock=MemblockRules(**_values(found, _MEMBLOCK)),
        hotplug=HotplugRules(**_values(found, _HOTPLUG), doubts=later),
        structs=StructRules(**_values(found, _STRUCT), doubts=sizes),
        steps=tuple(step.name for step, _ in steps),
        doubts=tuple(doubts),
        unreplayed=all_rules().unreplayed_of(version.release),
        **boot,
    )


def _values(found: Mapping[str, RuleValue], group: str) -> dict[str, Any]:
    """The values of the rules of one group, by their names in it."""
    return {name.removeprefix(group): one.value for name, one in found.items() if name.startswith(group)}


def load_rules(version: str) -> Rules:
    """The rules of the version "6.1" or "5.15.135"; UsageError for one without rules."""
    return rules_for(KernelVersion.parse(version))


def notes_on(version: KernelVersion, overlay: Overlay | None = None) -> list[str]:
    """What a reader of a plan should know of the rules of `version`: which ones they are, and what isn't known."""
    versions, notes = all_rules().versions, []
    known = versions.newest_of(version.release)
    if version.release > versions.newest:
        notes.append(f"Linux {version} is newer than {versions.newest}, the newest release whose rules are known")
    elif known is None:
        notes.append(
            f"no source of Linux {version.release} was read: its rules follow from the releases around it and from when"
            " each change was merged"
        )
    elif version.sublevel is None:
        notes.append(f"Linux {version} means {complete(version)} here, the newest one of {version} that is known")
    elif version.sublevel > known:
        notes.append(f"the rules of Linux {version.release} are known up to {version.release}.{known}, not {version}")
    if doubts := rules_for(version, overlay).doubts:
        notes.append(f"not known for sure of Linux {complete(version)}: {', '.join(doubts)}")
    return notes
