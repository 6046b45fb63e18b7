"""Files of rules: what they may hold, and where an error says that something is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from memplan.configs import config_folder
from memplan.errors import InputError
from memplan.kernel import resolve
from memplan.kernel.timeline import find, present, timeline
from memplan.kernel.version import KernelVersion

STEPS = 'steps:\n- {step: first}\n- {step: moved, until: "5.0", stable_until: {"4.19": 3}}\n- {step: last}\n'
VERSIONS = "read: [3.13.11, 7.1.5]\nbooted: [7.1.5]\ntraced: [7.1.5]\n"


def folder(tmp_path: Path, text: str, steps: str = STEPS, versions: str = VERSIONS) -> str:
    (tmp_path / "some.yaml").write_text(text)
    (tmp_path / "steps.yaml").write_text(steps)
    (tmp_path / "versions.yaml").write_text(versions)
    (tmp_path / "unreplayed.yaml").write_text("unreplayed:\n- {name: all, what: all of it, when: [{options: [all]}]}\n")
    return str(tmp_path)


RULE = """\
width:
  what: how wide it is
  values:
  - {since: "3.13", value: 10}
  - {since: "4.2", value: 18, commit: abc, between: [4.0.5, 4.3.0], stable: {"3.16": 7, "3.18": 20..140}}
  - {since: "5.1", value: 20, between: [5.0.1, 5.3.0], dated: by a mail}
"""


@pytest.mark.parametrize(
    ("version", "value", "doubtful"),
    [
        ("3.13.0", 10, False),
        ("3.16.6", 10, False),
        ("3.16.7", 18, False),
        ("3.18.19", 10, False),
        ("3.18.20", 18, True),
        ("3.18.140", 18, False),
        ("3.19.8", 10, False),
        ("4.0.9", 10, False),
        ("4.1.3", 10, True),
        ("4.2.0", 18, True),
        ("4.3.0", 18, False),
        ("5.0.0", 18, False),
        ("5.1.0", 20, False),
        ("9.9.0", 20, False),
    ],
)
def test_values_by_version(version: str, value: int, doubtful: bool, tmp_path: Path) -> None:
    rule = timeline(folder(tmp_path, RULE)).rules["width"]
    found = find(rule, KernelVersion.parse(version))
    assert (found.value, found.doubtful) == (value, doubtful)


@pytest.mark.parametrize(("version", "has"), [("4.18.0", True), ("4.19.2", True), ("4.19.3", False), ("5.0.0", False)])
def test_steps_by_version(version: str, has: bool, tmp_path: Path) -> None:
    step = timeline(folder(tmp_path, RULE)).steps[1]
    assert present(step, KernelVersion.parse(version)) == (has, False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "some.yaml: is empty"),
        ("- a\n", r"some.yaml:1:1: should be a mapping"),
        ("a: [}\n", r"some.yaml:1:5: is no YAML"),
        ("a:\n  what: x\n", r"some.yaml:2:3: a: should have what and values"),
        ("a:\n  what: x\n  values: []\n", r"some.yaml:3:11: a.values: should be a list"),
        ("a:\n  what: x\n  values: [{value: 1}]\n", r"some.yaml:3:12: a.values: each should have since and value"),
        ("a:\n  what: x\n  values: [{since: six, value: 1}]\n", r"some.yaml:3:20: a.since: should be a release like"),
        ("a:\n  what: x\n  values: [{since: 6.1.2, value: 1}]\n", r"found '6\.1\.2'"),
        ("a:\n  what: x\n  values: [{since: '6.1', value: [1]}]\n", r"value: should be one value, or a mapping"),
        ("a:\n  what: x\n  values: [{since: '6.1', valeu: 1}]\n", r"some.yaml:3:34: valeu: is no field here"),
        (
            "a:\n  what: x\n  values: [{since: '6.1', value: 1, stable: {'5.10': x}}]\n",
            r"stable\.5\.10: should be a numb",
        ),
        ("a:\n  what: x\n  values: [{since: '6.1', value: 1, between: [6.0]}]\n", r"between: should be two sources"),
        ("a: {}\na: {}\n", r"some.yaml:2:1: a: stands here twice"),
        (
            "a:\n  what: x\n  values:\n  - {since: '6.1', value: 1}\n  - {since: '5.9', value: 2}\n",
            r"some.yaml:5:13: a.since: should be later than 6\.1 before it",
        ),
    ],
)
def test_broken_rules(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        timeline(folder(tmp_path, text))


def test_a_rule_of_two_files(tmp_path: Path) -> None:
    where = folder(tmp_path, RULE)
    (tmp_path / "other.yaml").write_text(RULE)
    with pytest.raises(InputError, match=r"some.yaml:2:3: width: is a rule of .*other.yaml, too"):
        timeline(where)


@pytest.mark.parametrize(
    ("steps", "versions", "message"),
    [
        ("steps: [{from: '4.4'}]\n", VERSIONS, r"steps.yaml:1:9: steps: each should have step"),
        ("steps: [{step: x, form: '4.4'}]\n", VERSIONS, r"steps.yaml:1:25: form: is no field here"),
        (STEPS, "read: [6.1.1]\n", r"versions.yaml: should have booted, read, traced"),
    ],
)
def test_broken_steps_and_versions(steps: str, versions: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        timeline(folder(tmp_path, RULE, steps, versions))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("any_node:", "any_nodes:", r"memblock\.yaml:\d+: memblock\.any_nodes: is no rule that memplan knows"),
        ("value: invalid", "value: invlaid", r"memblock\.any_node: should be .*'invalid', found 'invlaid'"),
        ("value: 64", "value: true", r"memblock\.default_align: should be a number, found True"),
        ("value: 64", "value: many", r"memblock\.default_align: should be a number, found 'many'"),
        ('{since: "3.13", value: 8}', '{since: "3.12", value: 8}', r"default_align: should begin with 3\.13"),
    ],
)
def test_values_that_no_code_knows(
    old: str, new: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changes one word in a copy of memplan's own files."""
    target = tmp_path / "rules"
    target.mkdir()
    for path in (Path(config_folder()) / "rules").glob("*.yaml"):
        text = path.read_text()
        if path.name == "memblock.yaml":
            assert old in text
            text = text.replace(old, new, 1)
        (target / path.name).write_text(text)
    monkeypatch.setattr(resolve, "config_folder", lambda: str(tmp_path))
    resolve.all_rules.cache_clear()
    try:
        with pytest.raises(InputError, match=message):
            resolve.all_rules()
    finally:
        resolve.all_rules.cache_clear()


def test_a_rule_without_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path, "log_buf:\n  what: x\n  values: [{since: '3.13', value: text}]\n")
    (tmp_path / "rules").mkdir()
    for path in tmp_path.glob("*.yaml"):
        path.rename(tmp_path / "rules" / path.name)
    monkeypatch.setattr(resolve, "config_folder", lambda: str(tmp_path))
    resolve.all_rules.cache_clear()
    try:
        with pytest.raises(InputError, match=r"has no values for acpi_prefix, "):
            resolve.all_rules()
    finally:
        resolve.all_rules.cache_clear()


def test_rules_and_values_know_their_lines(tmp_path: Path) -> None:
    """Of the value the line of its own, of a rule the first one below its name."""
    rule = timeline(folder(tmp_path, RULE)).rules["width"]
    lines = RULE.splitlines()
    assert [lines[change.line - 1].split(",")[0] for change in rule.changes] == [
        f'  - {{since: "{release}"' for release in ("3.13", "4.2", "5.1")
    ]
    assert lines[rule.line - 1] == "width:"


@pytest.mark.parametrize("text", ["x", "x..5", "5..x", "..5", "-1", "5...6"])
def test_ranges_of_sublevels_that_are_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"stable\.3\.16: should be a number, or a range like 8\.\.89"):
        timeline(folder(tmp_path, RULE.replace('"3.16": 7', f'"3.16": "{text}"')))


CHANGES = """\
steps:
- {step: begun, from: "5.4", stable_from: {"4.19": 10..20}, between: [5.1.0, 5.4.0]}
- {step: ended, until: "5.4", stable_until: {"4.19": 10..20}, between: [5.1.0, 5.4.0]}
- {step: both, from: "4.4", until: "5.4", between: [4.1.0, 4.4.0]}
- {step: dated, from: "5.4", between: [5.1.0, 5.4.0], dated: by a mail}
- {step: always}
"""


@pytest.mark.parametrize(
    ("step", "version", "has", "doubtful"),
    [
        # A back-port that came with one of 4.19.10 to 4.19.20.
        ("begun", "4.19.9", False, False),
        ("begun", "4.19.10", True, True),
        ("begun", "4.19.19", True, True),
        ("begun", "4.19.20", True, False),
        ("ended", "4.19.9", True, False),
        ("ended", "4.19.10", False, True),
        ("ended", "4.19.20", False, False),
        # The sources of 5.2 and 5.3 were not read.
        ("begun", "5.1.9", False, False),
        ("begun", "5.2.0", False, True),
        ("begun", "5.3.0", False, True),
        ("begun", "5.4.0", True, False),
        ("ended", "5.1.9", True, False),
        ("ended", "5.2.0", True, True),
        ("ended", "5.4.0", False, False),
        ("dated", "5.2.0", False, False),
        # The sources are around the first of its two ends.
        ("both", "4.2.0", False, True),
        ("both", "4.4.0", True, False),
        ("both", "5.3.0", True, False),
        ("both", "5.4.0", False, False),
        ("always", "3.13.0", True, False),
        ("always", "5.3.0", True, False),
    ],
)
def test_steps_that_come_and_go(step: str, version: str, has: bool, doubtful: bool, tmp_path: Path) -> None:
    steps = {own.name: own for own in timeline(folder(tmp_path, RULE, CHANGES)).steps}
    assert present(steps[step], KernelVersion.parse(version)) == (has, doubtful)


def test_steps_know_their_lines(tmp_path: Path) -> None:
    steps = timeline(folder(tmp_path, RULE, CHANGES)).steps
    assert [CHANGES.splitlines()[step.line - 1].partition(",")[0].rstrip("}") for step in steps] == [
        f"- {{step: {step.name}" for step in steps
    ]


def test_what_is_not_replayed_by_release(tmp_path: Path) -> None:
    where = folder(tmp_path, RULE)
    (tmp_path / "unreplayed.yaml").write_text(
        "unreplayed:\n"
        "- {name: old, what: a, until: '4.4', when: [{options: [all]}]}\n"
        "- {name: new, what: b, from: '4.4', when: [{config: X}]}\n"
        "- {name: some, what: c, from: '4.3', until: '4.5', when: [{table: T, searched: 1, value: x}]}\n"
    )
    found = timeline(where)
    for release, names in (("4.2", "old"), ("4.3", "old some"), ("4.4", "new some"), ("4.5", "new")):
        assert " ".join(one.name for one in found.unreplayed_of(KernelVersion.parse(release).release)) == names
    assert [one.releases for one, *_ in found.unreplayed] == ["before 4.4", "from 4.4", "from 4.3 and before 4.5"]
    assert [one.cases[0].searched for one, *_ in found.unreplayed] == [False, False, True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- {what: a}", r"unreplayed.yaml:2:3: unreplayed: has no name and no when"),
        ("- {name: a, what: b, when: [{value: x}]}", r":2:29: when: should ask for options, config, table or machine"),
        ("- {name: a, what: b, when: []}", r":2:28: when: should be a list"),
    ],
)
def test_broken_entries_of_what_is_not_replayed(text: str, message: str, tmp_path: Path) -> None:
    where = folder(tmp_path, RULE)
    (tmp_path / "unreplayed.yaml").write_text(f"unreplayed:\n{text}\n")
    with pytest.raises(InputError, match=message):
        timeline(where)


def test_the_newest_that_is_known(tmp_path: Path) -> None:
    versions = "read: [3.13.11, 4.4.7, 5.10]\nbooted: [4.4.9, 5.10.3]\ntraced: [4.4.8]\n"
    known = timeline(folder(tmp_path, RULE, versions=versions)).versions
    assert str(known.newest) == "5.10"
    releases = [KernelVersion.parse(text).release for text in ("3.13", "4.4", "4.5", "5.10")]
    assert [known.newest_of(release) for release in releases] == [11, 9, None, 3]
