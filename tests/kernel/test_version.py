"""Versions, as the releases of Linux followed one another."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from memplan.errors import UsageError
from memplan.kernel.builds import is_older
from memplan.kernel.names import nearest
from memplan.kernel.version import KernelVersion, Release

#: The first release of each major version, and the last one before it.
TURNS = [((3, 19), (4, 0)), ((4, 20), (5, 0)), ((5, 19), (6, 0)), ((6, 19), (7, 0))]

#: A number that Python itself refuses to read.
LONG = "5." + "9" * 5000


@pytest.mark.parametrize(("last", "first"), TURNS)
def test_where_a_major_version_ends(last: tuple[int, int], first: tuple[int, int]) -> None:
    assert Release(*last).next == Release(*first)
    assert Release(*last).exists
    assert not Release(last[0], last[1] + 1).exists
    assert Release(*first).ordinal - Release(*last).ordinal == 1
    assert Release(*last) < Release(*first)


def test_releases_follow_one_another() -> None:
    row = [Release(3, 13)]
    while row[-1] != Release(7, 1):
        row.append(row[-1].next)
    # 3.13 to 3.19, 4.0 to 4.20, 5.0 to 5.19, 6.0 to 6.19, 7.0 and 7.1.
    assert len(row) == 7 + 21 + 20 + 20 + 2
    assert all(later.ordinal - earlier.ordinal == 1 for earlier, later in pairwise(row))
    assert all(release.exists for release in row)
    assert [str(release) for release in row[:2]] == ["3.13", "3.14"]


@pytest.mark.parametrize(
    "text", ["5", "5.", ".5", "5.x", "x.5", "5-10", "", "5.10.1", "٥.1٠x", "٥.١٠", "5." + "9" * 5000]
)
def test_what_is_no_release(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        Release.parse(text)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("5.15", ((5, 15), None)),
        ("5.15.0", ((5, 15), 0)),
        ("5.15.135", ((5, 15), 135)),
        ("v7.1", ((7, 1), None)),
        ("v7.1-rc3", ((7, 1), None)),
        ("4.20", ((4, 20), None)),
    ],
)
def test_versions(text: str, version: tuple[tuple[int, int], int | None]) -> None:
    parsed = KernelVersion.parse(text)
    assert parsed == KernelVersion(Release(*version[0]), version[1])
    assert str(parsed) == text.removeprefix("v").partition("-")[0]
    assert KernelVersion.at_head_of(f"{text}-91-generic") == parsed


@pytest.mark.parametrize("text", ["5.20", "5", "5.15-generic", "5.15.1.2", "linux-5.15", "4.21.3", "", "5.١٥", LONG])
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(UsageError, match="is no kernel version: it should be like"):
        KernelVersion.parse(text)


@pytest.mark.parametrize("text", ["generic", "5.20-generic", "linux-5.15"])
def test_what_begins_with_none(text: str) -> None:
    with pytest.raises(UsageError, match="is no kernel release: it should begin like"):
        KernelVersion.at_head_of(text)


@pytest.mark.parametrize(
    ("release", "older"),
    [
        ("2.6.32-754.el6.x86_64", True),
        ("3.12.74", True),
        ("3.13.0-24-generic", False),
        ("3.13", False),
        ("5.20.1", False),
        ("6.12.107+deb12-amd64", False),
        # Red Hat's 3.10 has rules of its own.
        ("3.10.0-1160.el7.x86_64", False),
        ("word", False),
    ],
)
def test_what_is_older_than_all_that_have_rules(release: str, older: bool) -> None:
    assert is_older(release) is older


NAMES = ["3.13", "lab-6.12.3", "debian-6.1.0-55-amd64", "rhel-8"]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("6.13", "lab-6.12.3"),
        ("6.2", "debian-6.1.0-55-amd64"),
        ("3.0", "3.13"),
        ("5.9", "debian-6.1.0-55-amd64"),
        ("rhel-9", "rhel-8"),
    ],
)
def test_versions_are_near_by_number_and_words_by_letters(word: str, said: str) -> None:
    assert nearest(word, NAMES) == f"; did you mean {said}?"


def test_numbers_that_no_version_has_are_words() -> None:
    for word in ("6.١٢", "6." + "9" * 5000):
        assert nearest(word, NAMES) == nearest("x", NAMES)


def test_nothing_near() -> None:
    assert nearest("word", ["alpha", "beta"]) == "; did you mean alpha or beta?"
    assert nearest("word", [f"name-{chr(97 + number)}" for number in range(20)]).count(" or ") == 19
    assert nearest("word", [f"name-{chr(97 + number)}" for number in range(21)]) == ""
    assert nearest("6.1", ["alpha"]) == "; did you mean alpha?"
    assert nearest("word", []) == ""
