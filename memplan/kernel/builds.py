"""Builds of kernels: those of files, and those that are made up for versions without one.

Builds are files in configs/kernels: facts grouped by where they come from, so every value has its source.  A file
with `based_on` takes all facts and options of another one and may replace some.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import cache

from memplan.errors import InputError, UsageError
from memplan.kernel.build_file import BuildFile, read_build_file
from memplan.kernel.distributions import distribution_names, target
from memplan.kernel.facts import misplaced
from memplan.kernel.generic import complete, generic
from memplan.kernel.model import Kernel
from memplan.kernel.resolve import notes_on, rules_for
from memplan.kernel.rules import OLDEST, Rules
from memplan.kernel.shipped import kernel_file, kernel_names
from memplan.kernel.version import KernelVersion, Release

_RELEASE = re.compile(r"^release: *['\"]?([^\s'\"]+)", re.MULTILINE)
_BASED_ON = re.compile(r"^based_on:", re.MULTILINE)
_BUILD = re.compile(r"^build: *(['\"]?)(.+)\1 *$", re.MULTILINE)
#: The stable release that Ubuntu's and Debian's first lines tell: "(Ubuntu 5.15.0-91.101-generic 5.15.131)",
#: "Debian 6.1.192-1".
_TOLD = re.compile(r"(?:\(Ubuntu \S+ |Debian )(\d+\.\d+\.\d+)\b")
#: The source of sizes that earlier files have from another version's kernel; those of the version itself are better.
_GENERIC = "generic "
#: The kernel to take for what is older than all that have rules.
OLDEST_BUILD = "3.13"
#: How deep `based_on` may go; deeper is taken for a circle.
_DEEPEST = 8


def kernel_of_name(name: str) -> Kernel:
    """The kernel that comes with memplan under that name, or that of a version; UsageError where there is none."""
    path = kernel_file(name)
    return kernel_of_file(path) if os.path.isfile(path) else _of_version(name)


def kernel_of_file(path: str) -> Kernel:
    """The kernel whose file is at `path`; InputError where that is none."""
    read = _read(path, 0)
    try:
        version = _real_version(KernelVersion.parse(read.version), read.release, read.build)
        rules, notes = rules_for(version), notes_on(version)
    except UsageError as error:
        raise InputError.single(path, str(error), field="version") from None
    told = [fact for fact, source in read.sources.items() if not (_is_struct(fact) and source.startswith(_GENERIC))]
    facts = {fact: read.facts[fact] for fact in told}
    found = complete(facts, rules, known_builds)
    guessed = ""
    if found.guesses:
        guessed = (
            f"{', '.join(found.guesses)}: this build's file does not tell, so {found.like} was looked at; sizes may be "
            f"off by some pages"
        )
    return Kernel(
        name=os.path.splitext(os.path.basename(path))[0],
        version=read.version,
        release=read.release or read.version,
        facts={**facts, **found.facts},
        sources={**{fact: read.sources[fact] for fact in told}, **found.sources},
        rules=rules,
        options=read.options,
        notes=(*read.notes, *([guessed] if guessed else []), *notes),
        borrowed=read.borrowed,
    )


def _is_struct(fact: str) -> bool:
    return fact.startswith("struct.")


def _of_version(name: str) -> Kernel:
    """The kernel of a version that has no file: its rules, the facts of the nearest generic kernels."""
    try:
        wanted = target(name)
    except UsageError:
        from memplan.kernel.names import nearest

        names = [*kernel_names(), *distribution_names()]
        raise UsageError(f"there is no kernel {name!r}{nearest(name, names)} (or give a file)") from None
    rules = rules_for(wanted.version, wanted.overlay)
    found = generic(name, rules, known_builds)
    return Kernel(
        name=name,
        version=str(wanted.version),
        release=name,
        facts=found.facts,
        sources=found.sources,
        rules=rules,
        options=found.options,
        notes=(found.note, *wanted.notes, *notes_on(wanted.version, wanted.overlay)),
        borrowed=frozenset(found.facts),
    )


def known_builds(release: Release) -> Iterator[Kernel]:
    """The builds that come with memplan, the nearest to `release` first (on a tie the older one).

    Those that are based on another one tell nothing of their own.
    """
    own = {name: KernelVersion.at_head_of(name.partition("-")[2]).release.ordinal for name in kernel_names()}
    for name in sorted(own, key=lambda name: (abs(own[name] - release.ordinal), own[name], name)):
        if not _BASED_ON.search(_text(kernel_file(name))):
            yield _known_build(name)


@cache
def _known_build(name: str) -> Kernel:
    return kernel_of_name(name)


def _real_version(version: KernelVersion, release: str, build: str) -> KernelVersion:
    """`version` with the sublevel that the build tells: its release 5.15.135, or Debian's "6.1.192-1" behind it."""
    if version.sublevel is not None:
        return version
    own = re.match(rf"(?a){re.escape(str(version))}\.([1-9]\d{{0,4}})\b", release) or re.search(
        rf"(?a)\b{re.escape(str(version))}\.(\d{{1,5}})-\d", build
    )
    return version._replace(sublevel=int(own[1])) if own else version


def build_rules(release: str, build: str) -> Rules:
    """The rules of a build by its release, and by the rest of its first line, which may tell the stable release."""
    wanted = target(release)
    return rules_for(_real_version(wanted.version, release, build), wanted.overlay)


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise InputError.single(path, f"can't be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError.single(path, f"is not text: byte {error.start} is no UTF-8") from None


def _read(path: str, depth: int) -> BuildFile:
    """The file at `path`, with the facts and options of what it is based on where it has none."""
    own = read_build_file(path)
    if own.based_on:
        base = _based(own.based_on, path, depth)
        own = own._replace(
            facts={**base.facts, **own.facts},
            sources={**base.sources, **own.sources},
            options=base.options if own.options is None else own.options,
            borrowed=frozenset(base.facts) - frozenset(own.facts),
        )
    if wrong := misplaced(own.facts):
        lower, higher = (f"{name} ({own.facts[name]:#x})" for name in wrong)
        raise InputError.single(path, f"{lower} lies above {higher}", field="facts")
    return own


def _based(name: str, path: str, depth: int) -> BuildFile | Kernel:
    """The kernel on which the file at `path` is based: a file beside it, one that comes with memplan, or a version."""
    for base_path in (os.path.join(os.path.dirname(path), f"{name}.yaml"), kernel_file(name)):
        if os.path.isfile(base_path):
            if depth == _DEEPEST:
                raise InputError.single(path, f"is based on itself, {depth} files deep", field="based_on")
            return _read(base_path, depth + 1)
    try:
        return _of_version(name)
    except UsageError as error:
        raise InputError.single(path, str(error), field="based_on") from None


def is_known(name: str) -> bool:
    """Whether `name` is a version, a distribution or a release of one that has rules."""
    try:
        return target(name).version.release >= OLDEST
    except UsageError:
        return False


def with_rules(kernel: Kernel, version: str) -> Kernel:
    """`kernel` under the rules of another version ("6.1"): its facts, that version's behaviour."""
    if version == kernel.version:
        return kernel
    wanted = KernelVersion.parse(version)
    note = f"rules of Linux {version} with the facts of {kernel.name} (Linux {kernel.version})"
    notes = (*kernel.notes, note, *notes_on(wanted))
    return kernel._replace(version=version, rules=rules_for(wanted), notes=notes)


def is_older(release: str) -> bool:
    """Whether `release` ("3.10.0-693.el7.x86_64") is older than all versions that have rules."""
    try:
        return target(release).version.release < OLDEST
    except UsageError:
        found = re.match(r"(?a)(\d{1,3})\.(\d{1,3})\b", release)
        return found is not None and (int(found[1]), int(found[2])) < (OLDEST.major, OLDEST.minor)


def match_release(release: str, version_line: str) -> tuple[str, str]:
    """The kernel to take for a log: its name, and a note ("" where the very build is known).

    `release` is the word after "Linux version", `version_line` the whole line, which tells builds of one release
    apart.  A release without a file gives the generic kernel of the nearest version.
    """
    for name in kernel_names():
        text = _text(kernel_file(name))
        found = _RELEASE.search(text)
        if found and found[1] == release:
            build = _BUILD.search(text)
            if build and build[2] not in version_line:
                return name, f"the log is of another build of {release} than {name} ({build[2]}); sizes may differ"
            return name, ""
    wanted = target(release)
    if wanted.version.release < OLDEST:
        raise UsageError(f"no rules for Linux {wanted.version}; there are rules for {OLDEST} and later")
    told = _TOLD.search(version_line)
    name = release
    if wanted.overlay is None and told and told[1].startswith(f"{wanted.version.release}."):
        name = told[1]
    elif wanted.distribution is None:
        name = str(wanted.version)
    return name, (
        f"no build {release} is known; sizes and options of other builds are taken, so places may differ "
        f"(memplan kernel learns a build from its vmlinuz)"
    )
