"""Findings as a code-quality report, which GitLab shows beside the lines of a merge request."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from memplan.checks.model import CheckRule, Finding
    from memplan.checks.report import Report
    from memplan.errors import Problem

_SEVERITIES = {"error": "critical", "warning": "major", "info": "info"}


def check_lines(reports: Iterable[Report], rules: Mapping[str, CheckRule]) -> Iterator[str]:
    """The document: one issue for each finding, and for each problem with an input, line by line as they come."""
    yield "["
    before = ""
    for report in reports:
        issues = [_problem(problem) for problem in report.problems]
        issues += [_finding(finding, rules[finding.rule], report.kernel) for finding in report.findings]
        for issue in issues:
            if before:
                yield f"{before},"
            before = "  " + json.dumps(issue, ensure_ascii=False)
    if before:
        yield before
    yield "]"


def _finding(finding: Finding, rule: CheckRule, kernel: str) -> dict[str, Any]:
    place = finding.place
    text = finding.message if place.offset is None else f"byte {place.offset:#x}: {finding.message}"
    if finding.dmesg:
        text += f" (Linux {kernel} prints: {finding.dmesg})"
    name = f"{rule.id} {rule.name}"
    return _issue(name, f"{text}. {rule.mend}", _SEVERITIES[finding.severity], place.file, place.line, finding.subject)


def _problem(problem: Problem) -> dict[str, Any]:
    return _issue("memplan", str(problem), "blocker", problem.source, problem.line, problem.field + problem.message)


def _issue(name: str, text: str, severity: str, path: str, line: int, subject: str) -> dict[str, Any]:
    return {
        "description": text,
        "check_name": name,
        "fingerprint": sha256(f"{name}\0{path}\0{subject}".encode(errors="backslashreplace")).hexdigest(),
        "severity": severity,
        "location": {"path": path, "lines": {"begin": max(line, 1)}},
    }
