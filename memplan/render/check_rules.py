"""The rules themselves, for people: the list of all, and one explained."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

from memplan.checks.rules import all_rules, find_rule

_WIDTH = 100


def rule_list() -> Iterator[str]:
    """A line for each rule."""
    rules = all_rules().values()
    width = max(len(rule.name) for rule in rules)
    for rule in rules:
        yield f"{rule.id}  {rule.severity:7}  {rule.name:{width}}  {rule.checks}"


def explained(id: str) -> Iterator[str]:
    """All that is to say about one rule; UsageError for an unknown one."""
    rule = find_rule(id)
    yield f"{rule.id} {rule.name}: {rule.severity}, of the group {rule.group}"
    parts = [
        ("checks", rule.checks),
        ("Linux", rule.linux),
        ("mend", rule.mend),
        ("reference", rule.reference),
        ("FWTS", rule.fwts or "has no test for this"),
        ("needs", ", ".join(_NEEDS[need] for need in rule.needs) or "nothing"),
    ]
    for head, text in parts:
        yield ""
        yield head
        yield from (f"  {line}" for line in wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False))


_NEEDS = {
    "tables": "raw ACPI tables",
    "srat": "an SRAT",
    "memory": "a memory map",
    "plan": "a memory map, for the replayed boot",
}
