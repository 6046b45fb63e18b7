"""The rules: which modules declare them, and finding one."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from memplan.checks.model import RULES
from memplan.errors import UsageError
from memplan.kernel.names import nearest

if TYPE_CHECKING:
    from memplan.checks.model import Rule

#: The modules of this package that declare rules.
MODULES = ("tables", "srat", "distances", "cxl", "coverage", "e820", "hotplug", "options", "kaslr", "expectations")


@cache
def all_rules() -> dict[str, Rule]:
    """All rules by id, in the ids' order."""
    for name in MODULES:
        import_module(f"memplan.checks.{name}")
    return dict(sorted(RULES.items()))


def find_rule(id: str) -> Rule:
    """The rule `id`, in whatever case; UsageError for an unknown one."""
    rules = all_rules()
    if id.upper() not in rules:
        raise UsageError(f"there is no rule {id!r}{nearest(id.upper(), list(rules))}")
    return rules[id.upper()]
