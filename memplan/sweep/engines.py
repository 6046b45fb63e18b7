"""Who works a sweep's cases out: this process, several of them, or a cluster; the records come in the cases' order."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from memplan.errors import UsageError
from memplan.progress import unheard
from memplan.sweep.case import run_case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from memplan.progress import Progress
    from memplan.sweep.case import Case, Record

#: So many cases are given to the cluster ahead of the one whose record is waited for.
_AHEAD = 1000


def run_here(
    cases: Sequence[Case],
    jobs: int,
    progress: Progress = unheard,
    done: Callable[[Case, Record], None] = unheard,
) -> Iterator[Record]:
    """The records of `cases`, worked out by `jobs` processes.

    `progress` hears how far a case is in this process; `done` gets each record as soon as it is there, in any order.
    """
    if jobs == 1 or len(cases) < 2:
        for case in cases:
            record = run_case(case, progress)
            done(case, record)
            yield record
        return
    from memplan.workers import spread

    yield from spread(run_case, cases, jobs, _lost, done)


def _lost(case: Case, status: int) -> Record:
    how = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
    error = f"a worker died while planning it ({how})"
    return {"machine": case.machine, "kernel": case.kernel, "settings": dict(case.settings), "error": error}


def run_on_dask(
    cases: Sequence[Case], scheduler: str, done: Callable[[Case, Record], None] = unheard
) -> Iterator[Record]:
    """The records of `cases`, worked out by the workers of the dask scheduler at the address `scheduler`.

    Descriptions are read by the workers, so their paths must mean the same there.  A case whose worker dies is given to
    another one.  `done` gets each record before it comes.  Raises UsageError where dask.distributed is missing or
    nobody answers.
    """
    try:
        distributed: Any = import_module("distributed")
    except ImportError:
        raise UsageError("--engine dask needs dask.distributed: pip install 'memplan[dask]'") from None
    try:
        client = distributed.Client(scheduler, timeout=10, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UsageError(f"--scheduler {scheduler}: no dask scheduler answers ({error})") from None
    with client:
        for start in range(0, len(cases), _AHEAD):
            part = cases[start : start + _AHEAD]
            for case, future in zip(part, client.map(run_case, part, pure=False, retries=3), strict=True):
                record = future.result()
                done(case, record)
                yield record
