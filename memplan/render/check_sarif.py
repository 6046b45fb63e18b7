"""Findings as SARIF 2.1.0, for code scanning."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from memplan import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from memplan.checks.model import CheckRule, Finding
    from memplan.checks.report import Report, Tally
    from memplan.errors import Problem

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}
#: Raised when another thing makes the fingerprint.
_FINGERPRINT = "memplan/v1"


def check_lines(reports: Iterable[Report], tally: Tally, rules: Mapping[str, CheckRule]) -> Iterator[str]:
    """The document of one run, line by line as the `reports` come, whose sum is in `tally` at the end."""
    indices = {id: index for index, id in enumerate(rules)}
    driver = {"name": "memplan", "version": __version__, "rules": [_rule(rule) for rule in rules.values()]}
    yield f'{{"$schema": {json.dumps(_SCHEMA)}, "version": "2.1.0", "runs": [{{'
    yield f'"tool": {json.dumps({"driver": driver}, ensure_ascii=False)},'
    yield '"columnKind": "unicodeCodePoints",'
    yield '"results": ['
    before = ""
    for report in reports:
        for finding in report.findings:
            if before:
                yield f"{before},"
            before = json.dumps(_result(finding, rules[finding.rule], indices, report.kernel), ensure_ascii=False)
    if before:
        yield before
    yield "],"
    invocation = {
        "executionSuccessful": not tally.problems,
        "exitCode": tally.status,
        "toolExecutionNotifications": [_notification(problem) for problem in tally.problems.values()],
    }
    yield f'"invocations": [{json.dumps(invocation, ensure_ascii=False)}]'
    yield "}]}"


def _rule(rule: CheckRule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": "".join(word.capitalize() for word in rule.name.split("-")),
        "shortDescription": {"text": rule.name.replace("-", " ")},
        "fullDescription": {"text": rule.checks},
        "help": {"text": f"Linux: {rule.linux}\n\nMend: {rule.mend}\n\nReference: {rule.reference}"},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"tags": [rule.group], **({"fwts": rule.fwts} if rule.fwts else {})},
    }


def _result(finding: Finding, rule: CheckRule, indices: Mapping[str, int], kernel: str) -> dict[str, Any]:
    text = finding.message
    if finding.dmesg:
        text += f"\nLinux {kernel} prints: {finding.dmesg}"
    text += f"\nMend: {rule.mend}"
    if finding.note:
        text += f"\nNote: {finding.note}"
    place = finding.place
    return {
        "ruleId": finding.rule,
        "ruleIndex": indices[finding.rule],
        "level": _LEVELS[finding.severity],
        "message": {"text": text},
        "locations": [_location(place.file, place.line, place.column, place.offset)],
        "partialFingerprints": {_FINGERPRINT: finding.fingerprint},
    }


def _notification(problem: Problem) -> dict[str, Any]:
    return {
        "level": "error",
        "message": {"text": str(problem)},
        "locations": [_location(problem.source, problem.line, problem.column, None)],
    }


def _location(file: str, line: int, column: int, offset: int | None) -> dict[str, Any]:
    path = Path(file)
    physical: dict[str, Any] = {
        "artifactLocation": {"uri": path.as_uri() if path.is_absolute() else quote(path.as_posix())}
    }
    if line:
        physical["region"] = {"startLine": line, **({"startColumn": column} if column else {})}
    elif offset is not None:
        physical["region"] = {"byteOffset": offset, "byteLength": 1}
    return {"physicalLocation": physical}
