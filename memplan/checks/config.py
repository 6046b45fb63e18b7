"""memplan.yaml: severities, rules that are off, expectations and suppressions; and the profiles in configs/check.

profile: hotplug-server        # what this file adds to: one of configs/check, or a file beside this one
kernel: "6.12"                 # the kernel to check for
fail_on: warning               # exit status 1 from this severity on
severities: {MP104: error, MP3xx: info}
off: {MP201: why this rule says nothing useful here}
expect: ["movable:node1,node2", crashkernel]
suppress:
- {fingerprint: 0123456789abcdef, until: 2027-01-31, reason: mended in the next firmware}
"""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from memplan.checks.expectations import read_expectations
from memplan.checks.model import SEVERITIES, Expectation, Severity
from memplan.checks.rules import nearest_rule, rules_named
from memplan.configs import config_folder
from memplan.errors import InputError, MemplanError, Problem, UsageError
from memplan.files import is_pipe, read_input
from memplan.kernel.load import find_kernel
from memplan.kernel.names import nearest
from memplan.machine.document import Document, field_text, read_document
from memplan.machine.places import Place

if TYPE_CHECKING:
    from memplan.checks.model import CheckRule
    from memplan.machine.document import Path as Field

#: What a configuration is called that is found upwards from an input.
NAME = "memplan.yaml"
_KEYS = ("profile", "kernel", "fail_on", "severities", "off", "expect", "suppress")
_SUPPRESSION_KEYS = ("fingerprint", "until", "reason")
_FINGERPRINT = re.compile(r"[0-9a-f]{16}")
_MOST_BYTES = 1 << 20
#: How deep profiles may build on each other; deeper is taken for a circle.
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Suppression:
    """A finding that is not to be told until the day `until`, and why."""

    fingerprint: str
    until: datetime.date
    reason: str
    place: Place


@dataclass(frozen=True, slots=True)
class Settings:
    """How to check: what a configuration and the profiles below it say together.

    `severities` and `off` are by rule id, groups (``MP3xx``) spelt out.
    """

    kernel: str | None = None
    fail_on: Severity = "error"
    severities: Mapping[str, Severity] = field(default_factory=dict)
    off: Mapping[str, str] = field(default_factory=dict)
    expectations: tuple[Expectation, ...] = ()
    suppressions: Mapping[str, Suppression] = field(default_factory=dict)

    def severity(self, rule: CheckRule) -> Severity:
        """The severity of `rule` under these settings."""
        return self.severities.get(rule.id, rule.severity)


def profile_names() -> list[str]:
    """The profiles that come with memplan."""
    return sorted(path.stem for path in Path(config_folder(), "check").glob("*.yaml"))


def find_settings(source: Path, config: str | None, profile: str | None) -> Settings:
    """The settings for the input `source`: of the file `config`, or of the memplan.yaml found upwards from the input.

    `profile` takes the place of the profile that the file names.  Raises InputError for a configuration with a
    mistake, UsageError for a profile that isn't there.
    """
    file = Path(config).absolute() if config is not None else _upwards(source.absolute().parent)
    return _settings(file, _shown(file), profile)


@cache
def _upwards(folder: Path) -> Path | None:
    """The nearest configuration in `folder` or above it."""
    file = folder / NAME
    if os.path.lexists(file):
        # Nobody named it: there may be none who writes into it.
        if is_pipe(file):
            raise InputError.single(_shown(file), "is a FIFO, expected a configuration in YAML")
        return file
    return _upwards(folder.parent) if folder != folder.parent else None


def _shown(file: Path | None) -> str:
    """How messages name `file`: from the current folder, if it lies in or below it."""
    if file is None:
        return ""
    return str(file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file)


@cache
def _settings(file: Path | None, name: str, profile: str | None) -> Settings:
    return load_profile(profile or "default") if file is None else _Reader(file, name, 0).settings(profile)


@cache
def load_profile(name: str) -> Settings:
    """The settings of a profile by its name in configs/check; UsageError for an unknown one."""
    path = _profile_file(name)
    if path is None:
        raise UsageError(f"there is no profile {name!r}{nearest(name, profile_names())}")
    return _Reader(path, str(path), 1).settings(None)


def forget() -> None:
    """Read configurations and profiles anew when they are asked for next; a long-lived program may want that."""
    for known in (_upwards, _settings, load_profile):
        known.cache_clear()


def _profile_file(name: str) -> Path | None:
    return Path(config_folder(), "check", f"{name}.yaml") if name in profile_names() else None


class _Reader:
    """Reads one configuration; all of its mistakes are told together."""

    def __init__(self, file: Path, name: str, depth: int) -> None:
        self._file = file
        self._name = name
        self._depth = depth
        self._problems: list[Problem] = []
        self._document = _read(name)

    def settings(self, profile: str | None) -> Settings:
        """The settings; InputError with every mistake of the file."""
        top = self._document.value
        self._problems += self._document.problems
        if top is None:
            top = {}
        foreign = isinstance(top, dict) and os.path.islink(self._name) and not top.keys() & set(_KEYS)
        if not isinstance(top, dict) or (top and foreign):
            # What a link leads to may be none of this, and is nothing to tell anybody.
            raise InputError.single(self._name, f"is no configuration: expected a mapping of {', '.join(_KEYS)}")
        self._unknown(top, _KEYS, ())
        settings = self._base(top.get("profile"), profile)
        settings = replace(
            settings,
            kernel=self._kernel(top["kernel"]) if "kernel" in top else settings.kernel,
            fail_on=self._severity(top["fail_on"], ("fail_on",)) if "fail_on" in top else settings.fail_on,
            severities={**settings.severities, **self._severities(top)},
            off={**settings.off, **self._off(top)},
            expectations=(*settings.expectations, *self._expectations(top)),
            suppressions={**settings.suppressions, **self._suppressions(top)},
        )
        if self._problems:
            raise InputError(self._problems)
        return settings

    def _wrong(self, path: Field, message: str, hint: str = "", *, key: bool = False) -> None:
        line, column = self._document.place(path, key=key)
        self._problems.append(Problem(self._name, message, line=line, column=column, field=field_text(path), hint=hint))

    def _unknown(self, mapping: dict[str, Any], keys: tuple[str, ...], path: Field) -> None:
        for key in mapping:
            if key not in keys:
                hint = nearest(key, list(keys)).removeprefix("; ")
                self._wrong((*path, key), f"unknown key, expected one of {', '.join(keys)}", hint, key=True)

    def _base(self, own: Any, given: str | None) -> Settings:
        """The settings of the profile that this one builds on."""
        if given is not None:
            return load_profile(given)
        if own is None:
            return load_profile("default") if not self._depth else Settings()
        if not isinstance(own, str):
            self._wrong(("profile",), f"expected a profile's name ({', '.join(profile_names())}) or a file")
            return Settings()
        path = self._file.parent / own if own.endswith((".yaml", ".yml")) else _profile_file(own)
        if path is None or not os.path.isfile(path):
            hint = nearest(own, profile_names()).removeprefix("; ")
            self._wrong(("profile",), f"there is no profile {own!r}", hint)
            return Settings()
        if self._depth == _DEEPEST:
            self._wrong(("profile",), f"the profile builds on itself, {_DEEPEST} files deep")
            return Settings()
        return _Reader(path, str(path), self._depth + 1).settings(None)

    def _kernel(self, name: Any) -> str:
        try:
            find_kernel(str(name))
        except MemplanError as error:
            self._wrong(("kernel",), str(error))
        return str(name)

    def _severity(self, word: Any, path: Field) -> Severity:
        if word not in SEVERITIES:
            self._wrong(path, f"found {word!r}, expected {', '.join(SEVERITIES[:-1])} or {SEVERITIES[-1]}")
            return "error"
        return cast(Severity, word)

    def _mapping(self, top: dict[str, Any], key: str, expected: str) -> dict[str, Any]:
        value = top.get(key)
        if value is not None and not isinstance(value, dict):
            self._wrong((key,), f"expected a mapping of {expected}")
        return value if isinstance(value, dict) else {}

    def _by_rule(self, mapping: dict[str, Any], key: str) -> Iterator[tuple[str, Any, Field]]:
        """The rules that each key names (one by its id or name, or a group such as MP3xx), groups first."""
        for name in sorted(mapping, key=lambda own: not own.endswith("xx")):
            path = (key, name)
            own = rules_named(name)
            if not own:
                self._wrong(path, f"there is no rule {name}", nearest_rule(name).removeprefix("; "), key=True)
                continue
            for id in own:
                yield id, mapping[name], path

    def _severities(self, top: dict[str, Any]) -> dict[str, Severity]:
        mapping = self._mapping(top, "severities", "rule ids (MP104, or MP1xx for a group) and severities")
        return {id: self._severity(word, path) for id, word, path in self._by_rule(mapping, "severities")}

    def _off(self, top: dict[str, Any]) -> dict[str, str]:
        off: dict[str, str] = {}
        for id, reason, path in self._by_rule(self._mapping(top, "off", "rule ids and reasons"), "off"):
            if not isinstance(reason, str) or not reason.strip():
                self._wrong(path, f"the reason why {path[-1]} is off is missing", key=True)
            else:
                off[id] = reason
        return off

    def _expectations(self, top: dict[str, Any]) -> tuple[Expectation, ...]:
        words = top.get("expect")
        entries: list[tuple[Field, Any]] = [(("expect",), words)]
        if words is None or isinstance(words, list):
            entries = [(("expect", index), word) for index, word in enumerate(words or ())]
        found: tuple[Expectation, ...] = ()
        for path, word in entries:
            if isinstance(word, dict) and len(word) == 1:
                word = ":".join(f"{own}" for own in next(iter(word.items())))
            line, column = self._document.place(path)
            try:
                found += read_expectations(str(word), Place(self._name, line, column, field_text(path)))
            except InputError as error:
                self._problems += error.problems
        return found

    def _suppressions(self, top: dict[str, Any]) -> dict[str, Suppression]:
        entries = top.get("suppress") or []
        if not isinstance(entries, list):
            self._wrong(("suppress",), f"expected a list of mappings of {', '.join(_SUPPRESSION_KEYS)}")
            return {}
        found = (self._suppression(entry, ("suppress", index)) for index, entry in enumerate(entries))
        return {own.fingerprint: own for own in found if own is not None}

    def _suppression(self, entry: Any, path: Field) -> Suppression | None:
        if not isinstance(entry, dict):
            self._wrong(path, f"expected a mapping of {', '.join(_SUPPRESSION_KEYS)}")
            return None
        before = len(self._problems)
        self._unknown(entry, _SUPPRESSION_KEYS, path)
        for key in _SUPPRESSION_KEYS:
            if not isinstance(entry.get(key), str) or not entry[key].strip():
                self._wrong(path, f"the key {key} is missing")
        if len(self._problems) > before:
            return None
        if not _FINGERPRINT.fullmatch(entry["fingerprint"]):
            expected = "expected the sixteen hexadecimal digits that are printed with the finding"
            self._wrong((*path, "fingerprint"), f"found {entry['fingerprint']!r}, {expected}")
        try:
            until = datetime.date.fromisoformat(entry["until"])
        except ValueError:
            self._wrong((*path, "until"), f"found {entry['until']!r}, expected a day such as 2027-01-31")
            return None
        line, column = self._document.place(path)
        place = Place(self._name, line, column, field_text(path))
        return Suppression(entry["fingerprint"], until, entry["reason"], place)


def _read(name: str) -> Document:
    try:
        text = read_input(name, _MOST_BYTES, "a configuration in YAML").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError.single(name, f"not UTF-8 text: byte {error.start}") from error
    return read_document(text, name)
