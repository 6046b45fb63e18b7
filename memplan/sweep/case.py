"""One case of a sweep: a machine, a kernel, and what is changed of them; and the record of what becomes of it."""

from __future__ import annotations

import shlex
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from memplan.boot.limits import limits
from memplan.boot.parameters import Parameters
from memplan.boot.unheeded import unheeded
from memplan.errors import MemplanError
from memplan.machine.cmdline import command_line
from memplan.machine.load import load_machine
from memplan.progress import unheard
from memplan.sweep.outcome import crash_place, outcome_of
from memplan.sweep.settings import changed, setting_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from memplan.kernel.model import Kernel
    from memplan.machine.model import Machine
    from memplan.progress import Progress
    from memplan.sweep.outcome import Outcome
    from memplan.sweep.span import Span
    from memplan.sweep.values import Segment

#: A record as JSON has it.
Record = dict[str, Any]
#: Descriptions that are kept in mind: cases of one machine come one after the other.
_KEPT = 4


class Case(NamedTuple):
    """What to plan: the description at the path `machine`, another `kernel` (None: its own), and `settings`.

    A setting is the path of a field or the name of a boot option, and its value.  `kaslr` asks for all places of the
    image, `span` for all values of one thing between two limits, instead of for one plan.
    """

    machine: str
    kernel: str | None = None
    settings: tuple[tuple[str, str], ...] = ()
    kaslr: bool = False
    span: Span | None = None


def run_case(case: Case, progress: Progress = unheard) -> Record:
    """The record of `case`; of one that can't be planned it says why.  `progress` hears how far it is."""
    record: Record = {"machine": case.machine, "kernel": case.kernel, "settings": dict(case.settings)}
    try:
        return {**record, **_answer(case, progress)}
    except MemplanError as error:
        return {**record, "error": str(error)}


def _answer(case: Case, progress: Progress) -> Record:
    machine = changed(loaded(case.machine), case.settings)
    kernel = kernel_of(machine, case.kernel)
    remarks = {
        "not_modelled": [str(limit) for limit in limits(Parameters(machine, kernel))],
        "unheeded_options": list(_unheeded(case, machine, kernel)),
    }
    return {**_swept(case, machine, kernel, progress), **{name: texts for name, texts in remarks.items() if texts}}


def _unheeded(case: Case, machine: Machine, kernel: Kernel) -> Iterator[str]:
    """What is to be said of the options that are varied, where the kernel does not know them."""
    varied = {name for name, _ in case.settings}
    if case.span is not None:
        varied.add(case.span.name)
        machine = machine._replace(cmdline=f"{machine.cmdline} {case.span.name}=")
    for own in unheeded(command_line(machine.cmdline), kernel):
        if own.name in varied:
            yield own.text


def _swept(case: Case, machine: Machine, kernel: Kernel, progress: Progress) -> Record:
    if case.kaslr:
        return _kaslr_record(case, machine, kernel, progress)
    if case.span is not None:
        from memplan.sweep.values import sweep_span

        swept = sweep_span(machine, kernel, case.span, progress)
        segments = [_segment_record(case, case.span, segment) for segment in swept.segments]
        return {"segments": segments, "exact": swept.exact}
    return {**outcome_record(outcome_of(machine, kernel)), "simulate": simulate_words(case)}


def _segment_record(case: Case, span: Span, segment: Segment) -> Record:
    record: Record = {
        "from": segment.low,
        "to": segment.high,
        "from_text": span.text(segment.low),
        "to_text": span.text(segment.high),
        **(outcome_record(segment.outcome) if segment.outcome is not None else {"error": segment.problem}),
    }
    return {**record, "simulate": simulate_words(case, {span.name: record["to_text"]})}


def _kaslr_record(case: Case, machine: Machine, kernel: Kernel, progress: Progress) -> Record:
    from memplan.sweep.kaslr import sweep_kaslr

    swept = sweep_kaslr(machine, kernel, progress)
    chosen = {} if swept.places.reason else {"kernel.randomized": "true"}
    return {
        "slots": swept.places.slots,
        "classes": [
            {
                "slots": own.slots,
                "ranges": [{"start": start, "end": end} for start, end in own.ranges],
                "removable": list(own.result.removable),
                "crash_kernel": own.result.crash_kernel,
                "example": own.ranges[0][0],
                "died": own.result.death or None,
                "simulate": simulate_words(case, {"kernel.load_address": f"{own.ranges[0][0]:#x}", **chosen}),
            }
            for own in swept.classes
        ],
        "chooser": swept.places.chooser,
        "reason": swept.places.reason,
        "notes": list(swept.places.notes),
        "replays": swept.replays,
    }


@lru_cache(_KEPT)
def loaded(path: str) -> Machine:
    """As :func:`memplan.machine.load.load_machine`, which for cases of one machine reads it once."""
    return load_machine(path)


def kernel_of(machine: Machine, name: str | None) -> Kernel:
    """The kernel that ``memplan simulate`` would take."""
    from memplan.kernel.load import find_kernel, override

    found = find_kernel(machine.kernel.build if name is None else name)
    return override(found, machine.kernel.overrides) if machine.kernel.overrides and name is None else found


def outcome_record(outcome: Outcome) -> Record:
    """An outcome as JSON has it."""
    return {
        "removable": list(outcome.removable),
        "crash_kernel": outcome.crash_kernel is not None,
        "crash_kernel_place": crash_place(outcome),
        "died": outcome.death or None,
    }


def simulate_words(case: Case, settings: Mapping[str, str] | None = None) -> str:
    """The command that shows the plan of `case`, with further `settings`; boot options as a whole command line."""
    every = {**dict(case.settings), **(settings or {})}
    words = ["memplan", "simulate", case.machine]
    words += ["--kernel", case.kernel] if case.kernel is not None else []
    own = loaded(case.machine)
    return shlex.join([*words, *setting_words(own, every.items())])
