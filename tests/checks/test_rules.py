"""Every rule finds what it is for, says it in so many words, and keeps silent about the near miss."""

from __future__ import annotations

import pytest

from memplan.checks.config import find_settings
from memplan.checks.rules import all_rules
from tests.checks.fixtures import FOLDER, findings_text, fixture_input

RULES = sorted(all_rules())


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_a_fixture_a_near_miss_and_a_golden_output(rule: str) -> None:
    assert fixture_input(rule, "bad")
    assert fixture_input(rule, "near")
    assert (FOLDER / rule / "golden.txt").is_file()


def test_every_fixture_has_a_rule() -> None:
    assert [path.name for path in sorted(FOLDER.iterdir())] == RULES


@pytest.mark.parametrize("rule", RULES)
def test_the_bad_fixture_gives_the_golden_output(rule: str) -> None:
    golden = (FOLDER / rule / "golden.txt").read_text(encoding="utf-8")
    assert golden
    assert findings_text(rule, "bad") == golden


@pytest.mark.parametrize("rule", RULES)
def test_the_near_miss_is_none(rule: str) -> None:
    assert findings_text(rule, "near") == ""


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_tells_all_about_itself(rule: str) -> None:
    told = all_rules()[rule]
    assert told.name == told.name.lower().replace(" ", "-")
    for text in (told.group, told.checks, told.linux, told.mend, told.reference):
        assert text.strip() == text != ""
    assert find_settings(FOLDER / rule / "bad.yaml", None, None).severity(told) == told.severity
