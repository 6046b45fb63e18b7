"""Findings as JSON, for programs, and the schema of that."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from memplan.checks.model import SEVERITIES
from memplan.render.forms import (
    Document,
    Form,
    Member,
    flag,
    heading,
    listed,
    maybe,
    number,
    one_of,
    record,
    text,
)

if TYPE_CHECKING:
    from memplan.checks.model import Finding, Severity
    from memplan.checks.report import LeftOut, Report, Tally
    from memplan.errors import Problem

#: Raised when a member changes its meaning or goes.
VERSION = 1


class _Found(NamedTuple):
    """A finding, and the report that it is in."""

    finding: Finding
    report: Report


def check_lines(reports: Iterable[Report], tally: Tally) -> Iterator[str]:
    """The document, findings first, line by line as the `reports` come, whose sum is in `tally` at the end."""
    yield '{"findings": ['
    before = ""
    for report in reports:
        for finding in report.findings:
            if before:
                yield f"{before},"
            before = "  " + json.dumps(_FINDING.write(_Found(finding, report)), ensure_ascii=False)
    if before:
        yield before
    yield "],"
    yield json.dumps(_SUM.write(tally), ensure_ascii=False, indent=1).removeprefix("{\n")


def check_schema() -> dict[str, Any]:
    """The schema of what ``memplan check --format json`` writes."""
    findings: Member[Any] = Member("findings", listed(_FINDING, "In the order of inputs and places."), lambda _: ())
    description = "What rules found. New members may come without a new version."
    return Document("memplan check", description, findings, *_SUMS).schema()


_FINDING: Form[_Found] = record(
    "",
    Member("rule", text("the rule's id"), lambda own: own.finding.rule),
    Member("severity", one_of(*SEVERITIES), lambda own: own.finding.severity),
    Member("message", text("what is wrong"), lambda own: own.finding.message),
    Member("file", text("the file in which it lies"), lambda own: own.finding.place.file),
    Member(
        "line",
        maybe(number("the line, from 1; null in a binary file and for a finding about the whole")),
        lambda own: own.finding.place.line or None,
    ),
    Member("column", maybe(number("the column, from 1")), lambda own: own.finding.place.column or None),
    Member("offset", maybe(number("the byte in a binary table's file, from 0")), lambda own: own.finding.place.offset),
    Member("field", text("the field of the machine's description, or the table"), lambda own: own.finding.place.field),
    Member("input", text("the input as it was given"), lambda own: own.report.file),
    Member("kernel", text("the kernel that was checked for"), lambda own: own.report.kernel),
    Member("subject", text("the thing that it is about, in words that stay the same"), lambda own: own.finding.subject),
    Member("dmesg", maybe(text("the line that the kernel prints")), lambda own: own.finding.dmesg or None),
    Member("note", maybe(text("a remark, on a suppression that has expired")), lambda own: own.finding.note or None),
    Member("weight", number("how bad it is (bytes, say); 0 where that can't be told"), lambda own: own.finding.weight),
    Member(
        "fails", flag("whether it reaches the severity that fails the check"), lambda own: own.report.fails(own.finding)
    ),
    Member("fingerprint", text("stays the same while rule and subject do"), lambda own: own.finding.fingerprint),
)
_PROBLEM: Form[Problem] = record(
    "",
    Member("message", text("what can't be used"), lambda problem: problem.message),
    Member("file", text("the file"), lambda problem: problem.source),
    Member("line", maybe(number("its line")), lambda problem: problem.line or None),
    Member("column", maybe(number("its column")), lambda problem: problem.column or None),
    Member("field", text("the field"), lambda problem: problem.field),
    Member("hint", maybe(text("the mend")), lambda problem: problem.hint or None),
)
_LEFT_OUT: Form[LeftOut] = record(
    "",
    Member("rules", listed(text("id"), "their ids"), lambda own: own.rules),
    Member("why", text("why they could not run"), lambda own: own.why),
    Member("inputs", number("in how many inputs"), lambda own: own.inputs),
    Member("first", text("the first of these"), lambda own: own.first),
)


def _count(severity: Severity) -> Member[Tally]:
    return Member(severity, number("findings of this severity"), lambda tally: tally.counts[severity])


_COUNTS = record("", *map(_count, SEVERITIES))
_SUMS: tuple[Member[Tally], ...] = (
    *heading("memplan check", VERSION),
    Member("inputs", number("how many inputs were given"), lambda tally: tally.inputs),
    Member("broken", number("how many of them could not be checked, or not by every rule"), lambda tally: tally.broken),
    Member("counts", _COUNTS, lambda tally: tally),
    Member("suppressed", number("findings that the configuration suppresses"), lambda tally: tally.suppressed),
    Member("known", number("findings that the baseline has already"), lambda tally: tally.known),
    Member("failed", flag("whether a finding fails the check"), lambda tally: tally.failed),
    Member(
        "problems",
        listed(_PROBLEM, "Inputs and configurations that can't be used."),
        lambda tally: tally.problems.values(),
    ),
    Member("left_out", listed(_LEFT_OUT, "Rules that could not run."), lambda tally: tally.left_out.values()),
)
_SUM = record("", *_SUMS)
