"""``memplan sweep``: many cases at once."""

from __future__ import annotations

import os
import sys
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import click

from memplan.cli.bar import Bar
from memplan.cli.options import format_option, kernel_option, output_option
from memplan.cli.output import write_lines
from memplan.cli.streams import tell
from memplan.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from memplan.progress import Progress
    from memplan.sweep.case import Case, Record


@click.command("sweep")
@click.argument("machines", metavar="MACHINE...", nargs=-1, required=True, type=click.Path())
@click.option("--kaslr", is_flag=True, help="Every place of the image that KASLR may choose.")
@click.option(
    "--vary",
    "varied",
    metavar="NAME=VALUES",
    multiple=True,
    help="Values for a boot option or a field: a,b,c, on,off, or a range such as 128M..8G.",
)
@kernel_option("A kernel to plan with; once for each.", multiple=True)
@format_option("table", "json", "ndjson")
@click.option("-j", "--jobs", type=click.IntRange(1, 1024), default=1, show_default=True, help="Processes to use.")
@click.option("--engine", type=click.Choice(["local", "dask"]), default="local", show_default=True, help="Who works.")
@click.option("--scheduler", metavar="ADDRESS", help="The dask scheduler, such as tcp://head:8786.")
@click.option("--resume", metavar="FILE", type=click.Path(dir_okay=False), help="Keep results in FILE and go on there.")
@output_option
def command(
    machines: tuple[str, ...],
    kaslr: bool,
    varied: tuple[str, ...],
    kernels: tuple[str, ...],
    format_: str,
    jobs: int,
    engine: str,
    scheduler: str | None,
    resume: str | None,
    output: str | None,
) -> int:
    """Plan every case: all places of KASLR, all values of options and sizes, all machines and kernels.

    Cases are the combinations of MACHINEs, kernels and values.  Results arrive as they are found, in the cases' order.
    Exit status: 0; 2 for bad input, and where a case can't be planned (the others are, all the same).
    """
    if (engine == "dask") != (scheduler is not None):
        raise UsageError("--engine dask and --scheduler ADDRESS go together")
    if jobs > 1 or scheduler is not None:
        _refuse_pipes(machines)
    if resume is not None and output is not None and os.path.realpath(output) == os.path.realpath(resume):
        raise UsageError(f"--output {output}: is the file in which --resume keeps the results")
    cases = list(_cases(machines, kernels, varied, kaslr=kaslr))
    tally = _Tally()
    with Bar("sweeping") as bar:
        watch = _Watch(bar, len(cases), output)
        records = tally.watch(watch.records(_records(cases, jobs, scheduler, resume, watch.case)))
        write_lines(_lines(cases, records, format_), output, as_they_come=format_ != "json")
    return 2 if tally.failed else 0


def _refuse_pipes(machines: Sequence[str]) -> None:
    from memplan.files import is_pipe

    for path in filter(is_pipe, machines):
        raise UsageError(f"{path}: is a pipe, which only one process can read: save it to a file, or leave --jobs out")


class _Tally:
    """Why cases could not be planned: told once each, and whether there was any."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    @property
    def failed(self) -> bool:
        """Whether a case could not be planned."""
        return bool(self._told)

    def watch(self, records: Iterable[Record]) -> Iterator[Record]:
        """The same records."""
        for record in records:
            if (error := record.get("error", "")) and error not in self._told:
                self._told.add(error)
                tell(error)
            yield record


def _cases(machines: Sequence[str], kernels: Sequence[str], varied: Sequence[str], *, kaslr: bool) -> Iterator[Case]:
    from memplan.sweep.case import Case
    from memplan.sweep.span import read_span

    spans, values, names = [], [], set()
    for text in varied:
        name, equals, choices = text.partition("=")
        if not name or not equals or not choices:
            raise UsageError(
                f"--vary {text}: expected NAME=VALUES, such as crashkernel=128M..8G or movable_node=on,off"
            )
        own = name.replace("-", "_")
        if own in names:
            raise UsageError(f"--vary {text}: {name} is varied already; all its values go into one --vary")
        names.add(own)
        span = read_span(name, choices)
        if span is not None:
            spans.append(span)
        else:
            values.append([(name, choice) for choice in choices.split(",")])
    if len(spans) > 1 or (spans and kaslr):
        raise UsageError("one range at a time: the places of KASLR, or one --vary with two dots")
    for machine, kernel, settings in product(machines, kernels or (None,), product(*values)):
        yield Case(machine, kernel, tuple(settings), kaslr, spans[0] if spans else None)


class _Watch:
    """Shows on a bar how many of the cases are done, and how far the one is that this process plans."""

    def __init__(self, bar: Bar, total: int, output: str | None) -> None:
        self._bar = bar
        self._total = total
        self._done = 0
        self._in_the_way = output in (None, "-") and sys.stdout.isatty()
        if total > 1:
            self.case(0.0, 0)

    def case(self, share: float | None, replays: int) -> None:
        """Hears how far the case in hand is."""
        if self._total == 1:
            self._bar.plans(share, replays)
        else:
            self._bar.show((self._done + (share or 0.0)) / self._total, f"{self._done:,} of {self._total:,} cases")

    def records(self, records: Iterable[Record]) -> Iterator[Record]:
        """The same records."""
        for record in records:
            self._done += 1
            if self._in_the_way:
                self._bar.hide()
            yield record
            if self._done < self._total:
                self.case(0.0, 0)


def _records(
    cases: Sequence[Case], jobs: int, scheduler: str | None, resume: str | None, progress: Progress
) -> Iterator[Record]:
    from memplan.sweep.engines import run_here, run_on_dask
    from memplan.sweep.journal import Journal

    work: Callable[..., Iterator[Record]] = (
        partial(run_here, jobs=jobs, progress=progress)
        if scheduler is None
        else partial(run_on_dask, scheduler=scheduler)
    )
    if resume is None:
        yield from work(cases)
        return
    with Journal(resume) as journal:
        known = [journal.done(case) for case in cases]
        left = [case for case, record in zip(cases, known, strict=True) if record is None]
        rest = work(left, done=journal.keep)
        for record in known:
            yield next(rest) if record is None else record


def _lines(cases: Sequence[Case], records: Iterable[Record], format_: str) -> Iterator[str]:
    import json

    from memplan.render.sweep import case_lines
    from memplan.render.sweep_json import json_record, sweep_document

    if format_ == "json":
        yield from json.dumps(sweep_document(list(records)), indent=2).splitlines()
        return
    for index, (case, record) in enumerate(zip(cases, records, strict=True)):
        if format_ == "ndjson":
            yield json.dumps(json_record(record))
            continue
        if index:
            yield ""
        if len(cases) > 1 or "error" not in record:
            # Why the only case can't be planned has been told.
            yield from case_lines(case, record, titled=len(cases) > 1)
