"""Findings as workflow commands, which GitHub shows beside the lines of a change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from memplan.checks.model import CheckRule, Finding
    from memplan.checks.report import Report

_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}


def check_lines(reports: Iterable[Report], rules: Mapping[str, CheckRule]) -> Iterator[str]:
    """One command for each finding, and for each problem with the input."""
    for report in reports:
        for problem in report.problems:
            yield _command("error", problem.source, problem.line, problem.column, "memplan", str(problem))
        for finding in report.findings:
            yield _finding(finding, rules[finding.rule], report.kernel)


def _finding(finding: Finding, rule: CheckRule, kernel: str) -> str:
    place = finding.place
    parts = [finding.message]
    if place.offset is not None:
        parts[0] = f"byte {place.offset:#x}: {finding.message}"
    if finding.dmesg:
        parts.append(f"Linux {kernel} prints: {finding.dmesg}")
    parts.append(f"mend: {rule.mend}")
    if finding.note:
        parts.append(f"note: {finding.note}")
    title = f"{rule.id} {rule.name}"
    return _command(_COMMANDS[finding.severity], place.file, place.line, place.column, title, "\n".join(parts))


def _command(level: str, file: str, line: int, column: int, title: str, message: str) -> str:
    properties = {"file": file, "line": line, "col": column, "title": title}
    told = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items() if value)
    return f"::{level} {told}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
