"""Findings as JUnit XML: a suite for each input, a case for each rule."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from memplan.render.check_text import finding_lines, place_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from memplan.checks.model import CheckRule, Finding
    from memplan.checks.report import Report

#: What XML 1.0 can't hold.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def check_lines(reports: Iterable[Report], rules: Mapping[str, CheckRule]) -> Iterator[str]:
    """The document.  Findings that fail the check are failures, milder ones output of their rule's case."""
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield '<testsuites name="memplan check">'
    for report in reports:
        yield from _suite(report, rules)
    yield "</testsuites>"


def _suite(report: Report, rules: Mapping[str, CheckRule]) -> Iterator[str]:
    found: dict[str, list[Finding]] = {}
    for finding in report.findings:
        found.setdefault(finding.rule, []).append(finding)
    skipped = [(rule, why) for why, own in report.left_out.items() for rule in own]
    failures = sum(any(map(report.fails, own)) for own in found.values())
    numbers = {
        "tests": len(report.ran) + len(skipped) + bool(report.problems),
        "failures": failures,
        "errors": int(bool(report.problems)),
        "skipped": len(skipped),
    }
    counts = "".join(f' {name}="{number}"' for name, number in numbers.items())
    yield f"  <testsuite name={_attribute(report.file)}{counts}>"
    if report.problems:
        told = "\n".join(map(str, report.problems))
        yield f"    <testcase name={_attribute('input')} classname={_attribute(report.file)}>"
        message = _attribute(report.problems[0].message)
        yield f"      <error type={_attribute('problem')} message={message}>{_text(told)}</error>"
        yield "    </testcase>"
    for id in report.ran:
        yield from _case(report, rules[id], found.get(id, []))
    for id, why in skipped:
        yield f"    <testcase name={_attribute(_name(rules[id]))} classname={_attribute(report.file)}>"
        yield f"      <skipped message={_attribute(why)}/>"
        yield "    </testcase>"
    yield "  </testsuite>"


def _case(report: Report, rule: CheckRule, findings: list[Finding]) -> Iterator[str]:
    head = f"    <testcase name={_attribute(_name(rule))} classname={_attribute(report.file)}"
    if not findings:
        yield f"{head}/>"
        return
    failing = [finding for finding in findings if report.fails(finding)]
    milder = [finding for finding in findings if not report.fails(finding)]
    yield f"{head}>"
    if failing:
        message = f"{place_text(failing[0])}: {failing[0].message}"
        if len(failing) > 1:
            message += f" (and {len(failing) - 1} more)"
        kind = _attribute(failing[0].severity)
        body = _text(_told(failing, rule, report.kernel))
        yield f"      <failure type={kind} message={_attribute(message)}>{body}</failure>"
    if milder:
        yield f"      <system-out>{_text(_told(milder, rule, report.kernel))}</system-out>"
    yield "    </testcase>"


def _told(findings: list[Finding], rule: CheckRule, kernel: str) -> str:
    return "\n\n".join("\n".join(finding_lines(finding, rule, kernel)) for finding in findings)


def _name(rule: CheckRule) -> str:
    return f"{rule.id} {rule.name}"


def _text(text: str) -> str:
    return escape(_FORBIDDEN.sub("\ufffd", text))


def _attribute(text: str) -> str:
    return quoteattr(_FORBIDDEN.sub("\ufffd", text), {"\n": "&#10;", "\t": "&#9;", "\r": "&#13;"})
