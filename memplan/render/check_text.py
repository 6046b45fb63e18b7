"""Findings as text: each with its entry, what the kernel prints, and the mend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from memplan.checks.model import SEVERITIES
from memplan.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from memplan.checks.model import CheckRule, Finding
    from memplan.checks.report import LeftOut, Report, Tally


def check_lines(
    reports: Iterable[Report],
    tally: Tally,
    rules: Mapping[str, CheckRule],
    *,
    verbose: bool = False,
    quiet: bool = False,
) -> Iterator[str]:
    """The findings of `reports`, and the sum of them that `tally` has once they have passed.

    `verbose` adds fingerprints and the rules that could not run; `quiet` leaves out the sum.
    """
    for report in reports:
        for finding in report.findings:
            yield from finding_lines(finding, rules[finding.rule], report.kernel, fingerprint=verbose)
            yield ""
    if not quiet:
        yield from _summary(tally)
    if verbose:
        yield from (_left_out(own, tally.inputs) for own in tally.left_out.values())


def finding_lines(finding: Finding, rule: CheckRule, kernel: str, *, fingerprint: bool = True) -> Iterator[str]:
    """One finding under the `kernel` that was checked for."""
    yield _line(f"{place_text(finding)}: {finding.severity}: {finding.message} [{finding.rule} {rule.name}]")
    yield from (f"  {line}".rstrip() for line in finding.excerpt)
    if finding.dmesg:
        yield _line(f"  Linux {kernel} prints: {finding.dmesg}")
    yield f"  mend: {rule.mend}"
    if finding.note:
        yield f"  note: {finding.note}"
    if fingerprint:
        yield f"  fingerprint: {finding.fingerprint}"


def _line(text: str) -> str:
    return printable(text.replace("\n", " "), "")


def place_text(finding: Finding) -> str:
    """The place of a finding: file, line and column, or the byte in a table."""
    place = finding.place
    text = place.file
    if place.line:
        text += f":{place.line}" + (f":{place.column}" if place.column else "")
    elif place.offset is not None:
        text += f": byte {place.offset:#x}"
    return text


def _summary(tally: Tally) -> Iterator[str]:
    counts = [_count(tally.counts[severity], severity) for severity in SEVERITIES if tally.counts[severity]]
    taken = [(tally.suppressed, "suppressed"), (tally.known, "in the baseline already")]
    asides = "".join(f", {count} {what}" for count, what in taken if count)
    broken = f", of which {tally.broken} could not be checked, or not whole" if tally.broken else ""
    yield f"{', '.join(counts) or 'nothing found'} in {_count(tally.inputs, 'input')}{broken}{asides}"


def _left_out(own: LeftOut, inputs: int) -> str:
    where = ""
    if inputs > 1:
        where = f" in {own.first}" if own.inputs == 1 else f" in {own.inputs} inputs ({own.first} is the first)"
    return f"left out{where}: {', '.join(own.rules)} ({own.why})"


def _count(number: int, what: str) -> str:
    plural = "" if number == 1 or what == "info" else "s"
    return f"{number} {what}{plural}"
