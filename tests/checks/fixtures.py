"""The fixtures of the rules: for each rule a folder ``fixtures/<ID>`` of what it finds and what it doesn't.

bad.*       the input in which the rule finds something; several files (bad.aml, bad.txt) are one machine's sources
near.*      one like it in which it finds nothing
golden.txt  the rule's findings in bad.*, as text
memplan.yaml, if the rule needs one (an expectation, say)

``python -m tests.checks.fixtures [ID...]`` writes golden.txt anew; look at what changed before it is committed.
"""

from __future__ import annotations

import os
import sys
from contextlib import chdir
from pathlib import Path

from memplan.checks.rules import all_rules
from memplan.checks.run import Options, check_input
from memplan.render.check_text import finding_lines

FOLDER = Path(__file__).parent / "fixtures"


def fixture_input(rule: str, name: str) -> str:
    """The input that the files ``<name>.*`` of a rule's folder make, from within that folder; "" without any."""
    return "+".join(sorted(path.name for path in (FOLDER / rule).glob(f"{name}.*")))


def findings_text(rule: str, name: str) -> str:
    """What the rule finds in that input, as text; the empty text for nothing."""
    with chdir(FOLDER / rule):
        report = check_input(fixture_input(rule, name), Options())
    assert not report.problems, "\n".join(map(str, report.problems))
    assert rule in report.ran, f"{rule} did not run: {report.left_out}"
    found = (finding for finding in report.findings if finding.rule == rule)
    texts = ["\n".join(finding_lines(finding, all_rules()[rule], report.kernel)) + "\n" for finding in found]
    return "\n".join(texts)


def _write(rules: list[str]) -> None:
    os.environ["MEMPLAN_DEBUG"] = "1"
    for rule in rules or sorted(path.name for path in FOLDER.iterdir()):
        (FOLDER / rule / "golden.txt").write_text(findings_text(rule, "bad"), encoding="utf-8")


if __name__ == "__main__":
    _write(sys.argv[1:])
