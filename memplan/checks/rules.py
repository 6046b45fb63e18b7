"""The rules: which modules declare them, and finding one."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from memplan.checks.model import RULES
from memplan.errors import UsageError
from memplan.kernel.names import nearest

if TYPE_CHECKING:
    from memplan.checks.model import CheckRule

#: The modules of this package that declare rules.
MODULES = (
    "tables",
    "table_structures",
    "srat",
    "srat_overlaps",
    "distances",
    "cxl",
    "coverage",
    "e820",
    "placement",
    "hotplug",
    "hotadd",
    "options",
    "kaslr",
    "expectations",
)


@cache
def all_rules() -> dict[str, CheckRule]:
    """All rules by id, in the ids' order."""
    for name in MODULES:
        import_module(f"memplan.checks.{name}")
    return dict(sorted(RULES.items()))


def rules_named(word: str) -> list[str]:
    """The ids of the rules that `word` names: by id, by name, or by group (MP3xx), in whatever case; [] for none."""
    rules = all_rules()
    folded = word.upper()
    if folded.endswith("XX"):
        return [id for id in rules if id.startswith(folded[:-2]) and len(id) == len(folded)]
    return [id for id, rule in rules.items() if folded == id or word.lower() == rule.name]


def nearest_rule(word: str) -> str:
    """The offer of the ids or names that are nearest to `word`."""
    if word.upper().startswith("M"):
        return nearest(word.upper(), list(all_rules()))
    return nearest(word.lower(), [rule.name for rule in all_rules().values()])


def unknown_rule(word: str) -> str:
    """That there is no rule `word`, and the nearest one."""
    return f"there is no rule {word!r}{nearest_rule(word)}"


def find_rule(word: str) -> CheckRule:
    """The rule of that id or name; UsageError for an unknown one."""
    found = rules_named(word)
    if len(found) != 1:
        raise UsageError(unknown_rule(word))
    return all_rules()[found[0]]
