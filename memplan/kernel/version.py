"""Kernel versions as numbers: what stands before and after what, and how far apart two releases are."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from memplan.errors import UsageError

#: The last release of each major version but 4; from 7 on as far as can be told.
_LAST, _LAST_OF_4 = 19, 20
_RELEASE = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})")
_VERSION = re.compile(r"(?a)v?(\d{1,3})\.(\d{1,3})(?:\.(\d{1,5}))?(?:-rc\d+)?")


def _last(major: int) -> int:
    return _LAST_OF_4 if major == 4 else _LAST


@cache
def _releases_before(major: int) -> int:
    return sum(_last(one) + 1 for one in range(major))


class Release(NamedTuple):
    """A release of the main line (5.15); its stable branch has the same name."""

    major: int
    minor: int

    @classmethod
    def parse(cls, text: str) -> Release:
        """The release "5.15"; ValueError for anything else."""
        found = _RELEASE.fullmatch(text)
        if found is None:
            raise ValueError(text)
        return cls(int(found[1]), int(found[2]))

    @property
    def exists(self) -> bool:
        """Whether there is such a release, or may be one: 5.20 is none, as 6.0 came after 5.19."""
        return self.minor <= _last(self.major)

    @property
    def ordinal(self) -> int:
        """Its place in the row of releases, so that differences count releases."""
        return _releases_before(self.major) + self.minor

    @property
    def next(self) -> Release:
        """The release after it."""
        following = Release(self.major, self.minor + 1)
        return following if following.exists else Release(self.major + 1, 0)

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


class KernelVersion(NamedTuple):
    """A version; `sublevel` None leaves open which one of its release is meant."""

    release: Release
    sublevel: int | None = None

    @classmethod
    def parse(cls, text: str) -> KernelVersion:
        """The version that is all of `text` ("5.15.135", "6.12", "v7.1-rc3"); UsageError for anything else."""
        version = cls._of(_VERSION.fullmatch(text))
        if version is None:
            raise UsageError(f"{text!r} is no kernel version: it should be like 6.1 or 6.12.3")
        return version

    @classmethod
    def at_head_of(cls, text: str) -> KernelVersion:
        """The version with which a release string begins ("5.15.0-91-generic"); UsageError where none does."""
        version = cls._of(_VERSION.match(text))
        if version is None:
            raise UsageError(f"{text!r} is no kernel release: it should begin like 6.1 or 6.12.3")
        return version

    @classmethod
    def _of(cls, found: re.Match[str] | None) -> KernelVersion | None:
        if found is None or not (release := Release(int(found[1]), int(found[2]))).exists:
            return None
        return cls(release, int(found[3]) if found[3] else None)

    def __str__(self) -> str:
        return str(self.release) if self.sublevel is None else f"{self.release}.{self.sublevel}"
