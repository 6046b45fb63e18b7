"""Findings as JSON; the schema is ``memplan schema check``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memplan.checks.model import Finding
    from memplan.checks.report import Report, Tally
    from memplan.errors import Problem

#: Raised when a member changes its meaning or goes.
VERSION = 1


def check_lines(reports: Iterable[Report], tally: Tally) -> Iterator[str]:
    """The document, findings first, line by line as the `reports` come, whose sum is in `tally` at the end."""
    yield '{"findings": ['
    before = ""
    for report in reports:
        for finding in report.findings:
            if before:
                yield f"{before},"
            before = "  " + json.dumps(_finding(finding, report), ensure_ascii=False)
    if before:
        yield before
    yield "],"
    rest = {
        "format": "memplan check",
        "version": VERSION,
        "inputs": tally.inputs,
        "broken": tally.broken,
        "counts": tally.counts,
        "suppressed": tally.suppressed,
        "known": tally.known,
        "failed": tally.failed,
        "problems": [_problem(problem) for problem in tally.problems.values()],
        "left_out": [
            {"rules": own.rules, "why": own.why, "inputs": own.inputs, "first": own.first}
            for own in tally.left_out.values()
        ],
    }
    yield json.dumps(rest, ensure_ascii=False, indent=1).removeprefix("{\n")


def _finding(finding: Finding, report: Report) -> dict[str, Any]:
    place = finding.place
    return {
        "rule": finding.rule,
        "severity": finding.severity,
        "message": finding.message,
        "file": place.file,
        "line": place.line or None,
        "column": place.column or None,
        "offset": place.offset,
        "field": place.field,
        "input": report.file,
        "kernel": report.kernel,
        "subject": finding.subject,
        "dmesg": finding.dmesg or None,
        "note": finding.note or None,
        "weight": finding.weight,
        "fails": report.fails(finding),
        "fingerprint": finding.fingerprint,
    }


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "message": problem.message,
        "file": problem.source,
        "line": problem.line or None,
        "column": problem.column or None,
        "field": problem.field,
        "hint": problem.hint or None,
    }
