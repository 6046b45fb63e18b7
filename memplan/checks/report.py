"""What checking gave: a report for each input, and the sum of them all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from memplan.checks.model import SEVERITIES, Severity

if TYPE_CHECKING:
    from memplan.checks.model import Finding
    from memplan.errors import Problem


@dataclass(frozen=True, slots=True)
class Report:
    """What checking one input gave.

    `findings` are in the order of their places; those of at least `fail_on` fail the check.  `ran` are the rules
    that ran, `left_out` those that could not, by the reason.  `problems` say what is broken.  `suppressed` and
    `known` count the findings that a configuration or the baseline took away.
    """

    file: str
    kernel: str = ""
    fail_on: Severity = "error"
    findings: tuple[Finding, ...] = ()
    ran: tuple[str, ...] = ()
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    suppressed: int = 0
    known: int = 0

    def fails(self, finding: Finding) -> bool:
        """Whether `finding` is so bad that the check fails."""
        return SEVERITIES.index(finding.severity) <= SEVERITIES.index(self.fail_on)


@dataclass(slots=True)
class LeftOut:
    """Rules that could not run for one reason, in how many inputs, and the first of these."""

    why: str
    rules: tuple[str, ...]
    first: str
    inputs: int = 0


@dataclass(slots=True)
class Tally:
    """The sum of reports: its size does not grow with the number of inputs, but for broken ones."""

    inputs: int = 0
    broken: int = 0
    failed: bool = False
    counts: dict[Severity, int] = field(default_factory=lambda: dict.fromkeys(SEVERITIES, 0))
    suppressed: int = 0
    known: int = 0
    problems: dict[str, Problem] = field(default_factory=dict)
    left_out: dict[tuple[str, tuple[str, ...]], LeftOut] = field(default_factory=dict)

    def watch(self, reports: Iterable[Report]) -> Iterator[Report]:
        """The same `reports`, added up as they pass."""
        for report in reports:
            self.inputs += 1
            self.broken += bool(report.problems)
            self.suppressed += report.suppressed
            self.known += report.known
            self.problems.update((str(problem), problem) for problem in report.problems)
            for finding in report.findings:
                self.counts[finding.severity] += 1
                self.failed = self.failed or report.fails(finding)
            for why, rules in report.left_out.items():
                self.left_out.setdefault((why, rules), LeftOut(why, rules, report.file)).inputs += 1
            yield report

    @property
    def status(self) -> int:
        """The exit status: 2 where something is broken, 1 where a finding fails the check, else 0."""
        return 2 if self.problems else int(self.failed)
