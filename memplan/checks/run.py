"""Checks inputs by rules: one report an input, in the inputs' order, whatever the number of processes."""

from __future__ import annotations

import datetime
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from memplan.checks.config import Settings, find_settings
from memplan.checks.load import load_subject, sources
from memplan.checks.model import Expectation, Finding, Found, Severity, Subject
from memplan.checks.places import excerpts, find_table, table_place
from memplan.checks.report import Report
from memplan.checks.rules import all_rules
from memplan.errors import InputError, MemplanError, NotCoveredError, Problem
from memplan.machine.locate import option_path
from memplan.machine.options import with_cmdline
from memplan.machine.places import Place, Places

if TYPE_CHECKING:
    from memplan.checks.model import CheckRule, Need
    from memplan.machine.assignment import Assignment

_WHY: dict[Need, str] = {
    "tables": "the input has no raw ACPI tables",
    "srat": "the input has no SRAT",
    "memory": "the input has no memory map",
    "plan": "the input has no memory map, so its boot can't be replayed",
}


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says, beside the inputs; None where a configuration decides.

    `select` are the ids of the only rules to run (none: all), `ignore` of those to leave out; `changes`, `cmdline` and
    `append` change each machine before it is checked.
    """

    config: str | None = None
    profile: str | None = None
    kernel: str | None = None
    fail_on: Severity | None = None
    expectations: tuple[Expectation, ...] = ()
    today: datetime.date | None = None
    force: bool = False
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    changes: tuple[Assignment, ...] = ()
    cmdline: str | None = None
    append: tuple[str, ...] = ()


#: What was found before: the weights by fingerprint, heaviest first.
Baseline = Mapping[str, Sequence[int]]


def check_inputs(
    inputs: Sequence[str], options: Options, *, jobs: int = 1, baseline: Baseline | None = None
) -> Iterator[Report]:
    """The reports of `inputs`, one by one in their order; what is broken is told in its report, the rest goes on."""
    check = partial(check_input, options=options, baseline=baseline)
    if jobs == 1 or len(inputs) <= 1:
        yield from map(check, inputs)
        return
    from memplan.workers import spread

    all_rules()
    yield from spread(check, inputs, jobs, _lost)


def _lost(text: str, status: int) -> Report:
    """The report of an input whose process was killed, or ran out of memory."""
    how = f"signal {-status}" if status < 0 else f"status {status}"
    problem = Problem(text, f"a worker died while checking it ({how})", hint="--jobs 1 takes less memory at once")
    return Report(text, problems=(problem,))


def check_input(text: str, options: Options, baseline: Baseline | None = None) -> Report:
    """The report of one input."""
    return _report(text, options, baseline, everything=False)


def make_baseline(text: str, options: Options) -> Baseline:
    """What is found in the input `text`, whatever its configuration turns off or suppresses.

    Raises InputError where it can't be checked.
    """
    report = _report(text, options, None, everything=True)
    if report.problems:
        raise InputError(list(report.problems))
    weights: dict[str, list[int]] = {}
    for finding in report.findings:
        weights.setdefault(finding.fingerprint, []).append(finding.weight)
    return {fingerprint: sorted(own, reverse=True) for fingerprint, own in weights.items()}


def _report(text: str, options: Options, baseline: Baseline | None, *, everything: bool) -> Report:
    try:
        settings = _settings(text, options)
        if everything:
            settings = replace(settings, off={}, suppressions={})
        subject = load_subject(text, settings.kernel, force=options.force, changes=options.changes)
        if subject.machine is not None and (options.cmdline is not None or options.append):
            subject.machine = with_cmdline(subject.machine, options.cmdline, options.append)
            subject.places = Places(subject.places, {"cmdline": subject.machine.places["cmdline"]})
    except InputError as error:
        return Report(text, problems=tuple(error.problems))
    except MemplanError as error:
        return Report(text, problems=(Problem(text, str(error)),))
    except OSError as error:
        return Report(text, problems=(Problem(text, f"could not be read: {error.strerror or error}"),))
    except Exception as error:
        return Report(text, problems=(_unforeseen(text, "could not be read", error),))
    subject.expectations = settings.expectations
    return _checked(subject, settings, options.today, baseline)


def _settings(text: str, options: Options) -> Settings:
    settings = find_settings(sources(text)[0], options.config, options.profile)
    return replace(
        settings,
        kernel=options.kernel or settings.kernel,
        fail_on=options.fail_on or settings.fail_on,
        expectations=tuple(dict.fromkeys((*settings.expectations, *options.expectations))),
        off={**settings.off, **dict.fromkeys(_left_out(options), "by the command line")},
    )


def _left_out(options: Options) -> list[str]:
    """The rules that the command line leaves out."""
    return [id for id in all_rules() if (options.select and id not in options.select) or id in options.ignore]


def _checked(subject: Subject, settings: Settings, today: datetime.date | None, baseline: Baseline | None) -> Report:
    findings: list[Finding] = []
    ran: list[str] = []
    left_out: dict[str, list[str]] = {}
    problems = list(_replay(subject))
    lacking = {need for need in _WHY if not subject.has(need)}
    for rule in all_rules().values():
        if rule.id in settings.off:
            continue
        if not lacking.isdisjoint(rule.needs):
            missing = next(need for need in rule.needs if need in lacking)
            if missing != "srat" or subject.machine is None:
                why = subject.plan_problem if missing == "plan" else ""
                left_out.setdefault(why or _WHY[missing], []).append(rule.id)
            continue
        try:
            found = [_finding(subject, rule, found, settings) for found in rule.function(subject)]
        except NotCoveredError as error:
            left_out.setdefault(str(error), []).append(rule.id)
            continue
        except Exception as error:
            ran.append(rule.id)
            problems.append(_unforeseen(subject.file, f"the rule {rule.id} could not be run", error))
            continue
        ran.append(rule.id)
        findings += found
    findings.sort(key=_order)
    told = list(_unsuppressed(findings, settings, today))
    new = list(_new(told, baseline)) if baseline is not None else told
    return Report(
        subject.file,
        subject.kernel.name,
        settings.fail_on,
        tuple(
            replace(finding, excerpt=text)
            for finding, text in zip(new, excerpts(finding.place for finding in new), strict=True)
        ),
        tuple(ran),
        {why: tuple(rules) for why, rules in left_out.items()},
        tuple(problems),
        len(findings) - len(told),
        len(told) - len(new),
    )


def _replay(subject: Subject) -> Iterator[Problem]:
    """Replay the boot for the rules that ask for it."""
    try:
        subject.has("plan")
    except Exception as error:
        problem = _unforeseen(subject.file, "the boot could not be replayed", error)
        subject.plan_problem = problem.message
        yield problem


def _unforeseen(file: str, what: str, error: Exception) -> Problem:
    """The problem of an error that nobody foresaw, which must not end the whole run."""
    if os.environ.get("MEMPLAN_DEBUG"):
        raise error
    return Problem(file, f"{what}: {type(error).__name__}: {error}")


def _finding(subject: Subject, rule: CheckRule, found: Found, settings: Settings) -> Finding:
    severity = settings.severity(rule)
    place = _place(subject, found)
    return Finding(
        rule.id, severity, found.message, place, found.subject or found.field, found.dmesg, weight=found.weight
    )


def _place(subject: Subject, found: Found) -> Place:
    table = find_table(subject.tables, found.field) if found.offset is not None else None
    if table is not None and found.offset is not None:
        return table_place(table, found.offset, found.field)
    option = subject.places.get(option_path(found.subject)) if found.field == "cmdline" else None
    place = option or subject.place(found.field)
    if place.file != subject.file:
        return place
    return place._replace(file=subject.once("first source", lambda: str(sources(subject.file)[0])))


def _order(finding: Finding) -> tuple[object, ...]:
    place = finding.place
    return place.file, place.line, place.column, place.offset or 0, finding.rule, finding.subject, finding.message


def _unsuppressed(findings: Iterable[Finding], settings: Settings, today: datetime.date | None) -> Iterator[Finding]:
    for finding in findings:
        suppression = settings.suppressions.get(finding.fingerprint) if settings.suppressions else None
        if suppression is None:
            yield finding
            continue
        if (today or datetime.date.today()) > suppression.until:
            place = f"{suppression.place.file}:{suppression.place.line}"
            note = f"its suppression ({place}: {suppression.reason}) expired on {suppression.until}"
            yield replace(finding, note=note)


def _new(findings: Sequence[Finding], baseline: Baseline) -> Iterator[Finding]:
    """What the baseline doesn't have, or not as heavy; of several alike, the heaviest are held against each other."""
    seen: Counter[str] = Counter()
    new: set[int] = set()
    for index, finding in sorted(enumerate(findings), key=lambda own: -own[1].weight):
        before = baseline.get(finding.fingerprint, ())
        at = seen[finding.fingerprint]
        seen[finding.fingerprint] += 1
        if at >= len(before) or finding.weight > before[at]:
            new.add(index)
    return (finding for index, finding in enumerate(findings) if index in new)
