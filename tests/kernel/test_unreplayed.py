"""What isn't replayed is told of the releases that have it, and its file says what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from memplan.errors import InputError
from memplan.kernel.resolve import all_rules
from memplan.kernel.timeline import _unreplayed
from memplan.kernel.version import Release


@pytest.mark.parametrize(
    ("name", "release", "there"),
    [
        ("made-up EFI memory", "4.3", False),
        ("made-up EFI memory", "4.4", True),
        ("made-up EFI memory", "6.10", True),
        ("made-up EFI memory", "6.11", False),
        ("boot logo", "4.10", False),
        ("boot logo", "4.11", True),
        ("CXL windows", "6.15", False),
        ("CXL windows", "6.16", True),
        ("isolation masks", "3.13", True),
    ],
)
def test_the_releases_that_have_it(name: str, release: str, there: bool) -> None:
    assert (name in {one.name for one in all_rules().unreplayed_of(Release.parse(release))}) is there


def test_names_are_told_once() -> None:
    names = [one.name for one, _, _ in all_rules().unreplayed]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{what: it, when: [{config: X}]}", "has no name"),
        ("{name: it, what: it}", "has no when"),
        ("{name: it, what: it, when: [{value: x}]}", "should ask for options, config, table or machine"),
        ("{name: it, what: it, when: [{option: x}]}", "option: is no field here"),
    ],
)
def test_an_entry_that_tells_too_little_is_refused(entry: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "unreplayed.yaml"
    path.write_text(f"unreplayed:\n- {entry}\n")
    with pytest.raises(InputError, match=rf"unreplayed.yaml:2:\d+: .*{message}"):
        list(_unreplayed(str(path)))
