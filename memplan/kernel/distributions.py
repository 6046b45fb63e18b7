"""Distributions' kernels as overlays: a version to start from, and what was taken into it from later ones.

A file in configs/distributions has

    title       the distribution in words
    release     a regular expression for its release strings; its group, if any, is the build's number
    base        the version that it starts from
    sublevels   for distributions that follow a stable branch: the sublevel of builds, by the build's number
    backports   rules and steps that are those of a later release (`as_of`) from a build on; A..B: from one of these on;
                `values` of the distribution's own, by rule, need no release
    unknown     what isn't known of it

"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import yaml

from memplan.configs import config_folder
from memplan.errors import UsageError
from memplan.kernel.nodes import Value, compose, fields_of, items_of, numbers_of, release_of, text_of, value_of, wrong
from memplan.kernel.resolve import Overlay, all_rules, expected, fits, rules_for
from memplan.kernel.timeline import Sublevels
from memplan.kernel.version import KernelVersion, Release

if TYPE_CHECKING:
    from memplan.kernel.model import Kernel

_KEYS = {"title", "release", "base", "sublevels", "backports", "unknown"}
_BACKPORT_KEYS = {"build", "as_of", "rules", "steps", "values"}


class Backport(NamedTuple):
    """Rules and steps that are as in a later release, and values of the distribution's own, from a build on."""

    build: Sublevels
    as_of: Release | None
    rules: tuple[str, ...]
    steps: tuple[str, ...]
    values: tuple[tuple[str, Value], ...]


class Distribution(NamedTuple):
    """One distribution's kernels."""

    name: str
    title: str
    release: str
    base: KernelVersion
    sublevels: Mapping[int, int]
    backports: tuple[Backport, ...]
    unknown: str


class Target(NamedTuple):
    """Which rules a kernel has: those of a version, with a distribution's overlay or without."""

    version: KernelVersion
    overlay: Overlay | None = None
    distribution: str | None = None
    notes: tuple[str, ...] = ()


def distribution_names() -> list[str]:
    """The names of all distributions, sorted."""
    return sorted(name.removesuffix(".yaml") for name in os.listdir(_folder()) if name.endswith(".yaml"))


def target(name: str) -> Target:
    """The rules that `name` stands for: a version, a distribution ("rhel-8"), or a release ("5.15.0-91-generic").

    Raises UsageError for text that is none of these.
    """
    if name in distribution_names():
        return _of(find_distribution(name), None)
    try:
        return Target(KernelVersion.parse(name))
    except UsageError:
        version = KernelVersion.at_head_of(name)
    for distribution in map(find_distribution, distribution_names()):
        if found := re.fullmatch(distribution.release, name):
            build = found[1] if found.re.groups else None
            return _of(distribution, int(build) if build else None)
    return Target(version, notes=(f"what {name} has that isn't in Linux {version} is not known",))


def target_of(kernel: Kernel) -> Target:
    """The rules that `kernel` has: by a distribution's overlay where its name stands for one, or its version alone."""
    with suppress(UsageError):
        named = target(kernel.name)
        if rules_for(named.version, named.overlay) == kernel.rules:
            return named
    return Target(kernel.rules.version)


@cache
def find_distribution(name: str) -> Distribution:
    """The distribution of that name; InputError, with file and line, where its file can't be right."""
    path = os.path.join(_folder(), f"{name}.yaml")
    root = compose(path)
    top = fields_of(path, root, _KEYS)
    for key in ("title", "release", "base", "unknown"):
        if key not in top:
            raise wrong(path, root, key, "is missing")
    pattern = text_of(path, top["release"], "release")
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise wrong(path, top["release"], "release", f"is no regular expression: {error}") from None
    if groups > 1:
        raise wrong(path, top["release"], "release", "should have one group at most, the build's number")
    try:
        base = KernelVersion.parse(text_of(path, top["base"], "base"))
    except UsageError as error:
        raise wrong(path, top["base"], "base", str(error)) from None
    sublevels: dict[int, int] = {}
    if "sublevels" in top:
        for key, node in fields_of(path, top["sublevels"], None).items():
            sublevels[int(key)] = numbers_of(path, node, "sublevels")[0]
    listed = items_of(path, top["backports"], "backports") if "backports" in top else ()
    return Distribution(
        name,
        text_of(path, top["title"], "title"),
        pattern,
        base,
        sublevels,
        tuple(_backport(path, node) for node in listed),
        text_of(path, top["unknown"], "unknown"),
    )


def _folder() -> str:
    return os.path.join(config_folder(), "distributions")


def _backport(path: str, node: yaml.Node) -> Backport:
    entry = fields_of(path, node, _BACKPORT_KEYS)
    if "build" not in entry or ("as_of" not in entry and "values" not in entry):
        raise wrong(path, node, "backports", "each should have build, and as_of or values")
    known = {"rules": set(all_rules().rules), "steps": {step.name for step in all_rules().steps}}
    names: dict[str, tuple[str, ...]] = {"rules": (), "steps": ()}
    for kind in names:
        listed = items_of(path, entry[kind], kind) if kind in entry else ()
        names[kind] = tuple(text_of(path, item, kind) for item in listed)
        for name, item in zip(names[kind], listed, strict=True):
            if name not in known[kind]:
                raise wrong(path, item, kind, f"there is none of the name {name}")
    values: dict[str, Value] = {}
    for name, item in fields_of(path, entry["values"], known["rules"]).items() if "values" in entry else ():
        values[name] = value_of(path, item)
        if not fits(name, values[name]):
            raise wrong(path, item, name, f"should be {expected(name)}, found {values[name]!r}")
    return Backport(
        numbers_of(path, entry["build"], "build"),
        release_of(path, entry["as_of"], "as_of") if "as_of" in entry else None,
        names["rules"],
        names["steps"],
        tuple(values.items()),
    )


def _of(distribution: Distribution, build: int | None) -> Target:
    """The rules of a build (None: the newest one that is known)."""
    version, notes = distribution.base, []
    rules: dict[str, tuple[Release, bool]] = {}
    steps: dict[str, tuple[Release, bool]] = {}
    values: dict[str, tuple[Value, bool]] = {}
    for backport in distribution.backports:
        maybe, surely = backport.build
        if build is None or build >= maybe:
            doubtful = build is not None and build < surely
            values.update((name, (value, doubtful)) for name, value in backport.values)
            if backport.as_of is not None:
                rules.update(dict.fromkeys(backport.rules, (backport.as_of, doubtful)))
                steps.update(dict.fromkeys(backport.steps, (backport.as_of, doubtful)))
    if build is not None and distribution.sublevels:
        before = [own for own in sorted(distribution.sublevels) if own <= build]
        after = [own for own in sorted(distribution.sublevels) if own >= build]
        sublevel = distribution.sublevels[(before[-1:] or after)[0]]
        version = version._replace(sublevel=sublevel)
        last = distribution.sublevels[after[0]] if after else None
        if sublevel != last:
            upto = f"{version.release}.{last}" if last is not None else "a later one"
            notes.append(f"build {build} of {distribution.title} follows Linux {version} to {upto}; {version} is taken")
    notes.append(f"{distribution.title}: {distribution.unknown}")
    overlay = Overlay(
        distribution.name,
        tuple((name, as_of, doubtful) for name, (as_of, doubtful) in sorted(rules.items())),
        tuple((name, as_of, doubtful) for name, (as_of, doubtful) in sorted(steps.items())),
        tuple((name, value, doubtful) for name, (value, doubtful) in sorted(values.items())),
    )
    return Target(version, overlay if rules or steps or values else None, distribution.name, tuple(notes))
