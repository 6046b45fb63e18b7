"""``memplan check``: firmware tables, memory maps and boot options, checked by rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from memplan.cli.options import (
    WhatIf,
    changes,
    format_option,
    kernel_option,
    output_option,
    what_if_options,
    words_of,
)
from memplan.cli.output import write_lines
from memplan.cli.streams import tell
from memplan.errors import UsageError

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable, Iterator

    from memplan.checks.model import Severity
    from memplan.checks.report import Report, Tally

#: From so many inputs on, progress is shown.
_MANY = 20


def _profiles() -> list[str]:
    from memplan.checks.config import profile_names

    return profile_names()


def _rules() -> list[str]:
    from memplan.checks.rules import all_rules

    return [*all_rules(), *(rule.name for rule in all_rules().values())]


@click.command("check")
@click.argument("inputs", nargs=-1, metavar="INPUT...", type=click.Path())
@click.option("-j", "--jobs", type=click.IntRange(1, 1024), default=1, show_default=True, help="Processes to use.")
@format_option("text", "json", "junit", "sarif", "github", "gitlab")
@output_option
@click.option(
    "--fail-on", type=click.Choice(("error", "warning", "info")), help="Exit status 1 from this severity on [error]."
)
@click.option(
    "--expect",
    metavar="WHAT",
    multiple=True,
    help="What must hold: movable:node1,node2, dimm:1G@node1, crashkernel.  May be given several times.",
)
@click.option("--baseline", metavar="INPUT", help="Tell only what is new or worse than in this input.")
@click.option("--config", metavar="FILE", help="The configuration, instead of the memplan.yaml found upwards.")
@click.option(
    "--profile",
    metavar="NAME",
    help="The profile to start from: default, strict, hotplug-server, cxl.",
    shell_complete=words_of(_profiles),
)
@click.option(
    "--select",
    metavar="RULES",
    multiple=True,
    help="Only these rules: ids, names or groups (MP3xx), with commas between them.",
    shell_complete=words_of(_rules),
)
@click.option("--ignore", metavar="RULES", multiple=True, help="All but these rules.", shell_complete=words_of(_rules))
@kernel_option("Check for this kernel: a version, a build, or a file.")
@what_if_options
@click.option("--today", metavar="DAY", help="The day for which suppressions count (2027-01-31), instead of today.")
@click.option("--force", is_flag=True, help="Use what can be used of damaged sources.")
@click.option("--list-rules", is_flag=True, help="List all rules, and exit.")
@click.option(
    "--explain", metavar="RULE", help="Explain one rule, by id or name, and exit.", shell_complete=words_of(_rules)
)
@click.option("-v", "--verbose", is_flag=True, help="Also fingerprints, and the rules that could not run.")
@click.option("-q", "--quiet", is_flag=True, help="Nothing but findings: no sum, no progress.")
def command(
    inputs: tuple[str, ...],
    jobs: int,
    format_: str,
    output: str | None,
    fail_on: Severity | None,
    expect: tuple[str, ...],
    baseline: str | None,
    config: str | None,
    profile: str | None,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    kernel: str | None,
    what_if: WhatIf,
    today: str | None,
    force: bool,
    list_rules: bool,
    explain: str | None,
    verbose: bool,
    quiet: bool,
) -> int:
    """Check each INPUT by rules: will Linux take these tables, will the nodes be removable, what is lost.

    INPUT is a machine description or anything that `memplan import` reads, or a folder of such; several sources of
    one machine are given with "+" between them (SRAT.aml+memmap.txt).

    Exit status: 0 clean; 1 findings at or over --fail-on; 2 for bad input, of which the rest is checked all the same.
    """
    if list_rules or explain is not None:
        from memplan.render.check_rules import explained, rule_list

        write_lines(rule_list() if explain is None else explained(explain), output)
        return 0
    if not inputs:
        raise UsageError("nothing to check: name at least one INPUT")
    from memplan.checks.expectations import read_expectations
    from memplan.checks.folders import expand
    from memplan.checks.report import Tally
    from memplan.checks.run import Options, check_inputs, make_baseline
    from memplan.machine.places import Place

    place = Place("--expect")
    options = Options(
        config,
        profile,
        kernel,
        fail_on,
        tuple(own for text in expect for own in read_expectations(text, place)),
        _day(today),
        force,
        _ids(select),
        _ids(ignore),
        changes(what_if.sets),
        what_if.cmdline,
        what_if.append,
    )
    inputs = tuple(expand(inputs))
    before = make_baseline(baseline, options) if baseline is not None else None
    tally = Tally()
    checked = check_inputs(inputs, options, jobs=jobs, baseline=before)
    reports = tally.watch(checked if quiet else _shown(checked, len(inputs)))
    write_lines(_lines(format_, reports, tally, verbose=verbose, quiet=quiet), output)
    for problem in tally.problems:
        tell(problem)
    return tally.status


def _day(text: str | None) -> datetime.date | None:
    import datetime

    try:
        return None if text is None else datetime.date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--today: found {text!r}, expected a day such as 2027-01-31") from None


def _ids(words: tuple[str, ...]) -> tuple[str, ...]:
    """The ids of the rules that the comma-separated `words` name; UsageError for one that names none."""
    from memplan.checks.rules import rules_named, unknown_rule

    found: dict[str, None] = {}
    for word in (own.strip() for text in words for own in text.split(",") if own.strip()):
        ids = rules_named(word)
        if not ids:
            raise UsageError(unknown_rule(word))
        found |= dict.fromkeys(ids)
    return tuple(found)


def _lines(format_: str, reports: Iterable[Report], tally: Tally, *, verbose: bool, quiet: bool) -> Iterable[str]:
    from memplan.checks.rules import all_rules

    rules = all_rules()
    if format_ == "json":
        from memplan.render.check_json import check_lines as json_lines

        return json_lines(reports, tally)
    if format_ == "junit":
        from memplan.render.check_junit import check_lines as junit_lines

        return junit_lines(reports, rules)
    if format_ == "sarif":
        from memplan.render.check_sarif import check_lines as sarif_lines

        return sarif_lines(reports, tally, rules)
    if format_ == "github":
        from memplan.render.check_github import check_lines as github_lines

        return github_lines(reports, rules)
    if format_ == "gitlab":
        from memplan.render.check_gitlab import check_lines as gitlab_lines

        return gitlab_lines(reports, rules)
    from memplan.render.check_text import check_lines as text_lines

    return text_lines(reports, tally, rules, verbose=verbose, quiet=quiet)


def _shown(reports: Iterator[Report], total: int) -> Iterable[Report]:
    """The same reports, with a bar on stderr that tells how far it is, if that is a terminal and there are many."""
    import sys

    if total < _MANY or not sys.stderr.isatty():
        return reports
    from rich.console import Console
    from rich.progress import track

    return track(reports, "checking", total, console=Console(stderr=True), transient=True)
