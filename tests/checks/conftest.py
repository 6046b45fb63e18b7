"""What the tests of checks share."""

from __future__ import annotations

from tests.checks.stubs import stubs

__all__ = ["stubs"]
