"""A distribution's overlay over a timeline of the test's own: values and steps, and which of them are in doubt."""

from __future__ import annotations

from pathlib import Path

import pytest

from memplan.kernel import resolve
from memplan.kernel.resolve import Overlay, complete, fits, resolve_steps
from memplan.kernel.timeline import timeline
from memplan.kernel.version import KernelVersion, Release
from tests.kernel.test_timeline import RULE, folder

STEPS = """\
steps:
- {step: first}
- {step: doubtful, from: "5.4", between: [5.1.0, 5.4.0], stable_from: {"5.0": 10..20}}
- {step: ended, until: "5.4"}
- {step: last}
"""


@pytest.fixture(autouse=True)
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = timeline(folder(tmp_path, RULE, STEPS, "read: [3.13.11, 5.0.12]\nbooted: [5.1.0]\ntraced: [5.2.0]\n"))
    monkeypatch.setattr(resolve, "all_rules", lambda: own)


def steps(version: str, overlay: Overlay | None = None) -> str:
    """The names of its steps, those in doubt with a question mark."""
    found = resolve_steps(KernelVersion.parse(version), overlay)
    return " ".join(step.name + "?" * doubt for step, doubt in found)


@pytest.mark.parametrize(
    ("version", "names"),
    [
        ("5.0.9", "first ended last"),
        ("5.0.10", "first doubtful? ended last"),
        ("5.0.20", "first doubtful ended last"),
        # The newest sublevel of 5.0 that is known is 12.
        ("5.0", "first doubtful? ended last"),
        ("5.2.0", "first ended last"),
        ("5.4.0", "first doubtful last"),
    ],
)
def test_steps_of_a_version(version: str, names: str) -> None:
    assert steps(version) == names


@pytest.mark.parametrize(
    ("version", "as_of", "doubt", "names"),
    [
        ("5.0.9", (5, 4), False, "first doubtful last"),
        ("5.0.9", (5, 4), True, "first doubtful? last"),
        # What is in doubt of the version itself is not, where a distribution's sources were read.
        ("5.0.12", (5, 4), False, "first doubtful last"),
        ("5.0.12", (4, 4), False, "first ended last"),
        ("5.4.0", (5, 3), True, "first ended? last"),
    ],
)
def test_steps_as_of_another_release(version: str, as_of: tuple[int, int], doubt: bool, names: str) -> None:
    release = Release(*as_of)
    overlay = Overlay("own", (), (("doubtful", release, doubt), ("ended", release, doubt)), ())
    assert steps(version, overlay) == names


def test_values_as_of_another_release_and_of_its_own() -> None:
    version = KernelVersion.parse("3.18.50")
    found = resolve.resolve(version)["width"]
    assert (found.value, found.doubtful) == (18, True)
    for doubt in (False, True):
        later = resolve.resolve(version, Overlay("own", (("width", Release(5, 1), doubt),), (), ()))["width"]
        assert (later.value, later.doubtful) == (20, doubt)
        own = resolve.resolve(version, Overlay("own", (), (), (("width", 7, doubt),)))["width"]
        assert (own.value, own.doubtful) == (7, doubt)


@pytest.mark.parametrize(
    ("text", "whole"), [("5.0", "5.0.12"), ("5.1", "5.1.0"), ("5.2", "5.2.0"), ("4.9", "4.9.0"), ("5.0.3", "5.0.3")]
)
def test_a_release_without_sublevel(text: str, whole: str) -> None:
    assert str(complete(KernelVersion.parse(text))) == whole


def test_values_that_a_rule_may_have() -> None:
    """A number is no switch and a switch no number, and one of several words is just that."""
    assert fits("low_reserve", 5)
    assert not fits("low_reserve", True)
    assert not fits("low_reserve", "5")
    assert fits("mapping_lines", True)
    assert not fits("mapping_lines", 1)
    assert fits("kaslr", "none")
    assert not fits("kaslr", "nowhere")
    assert fits("callers", {"a": "b"})
    assert not fits("callers", "a")
    assert fits("e820_prefix", "")
    assert not fits("e820_prefix", 0)
