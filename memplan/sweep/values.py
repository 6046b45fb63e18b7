"""All values of one thing between two limits: where the plan's answer changes, exact to the step.

Replays compute with the value as an unknown, so every value between the limits is answered for: the place of the image,
place or size of the initrd, or a number in a boot option, which is read as any number there is.  What can't be computed
with so is planned value by value, and where that would be too many, at some of them (see :class:`Swept`).
"""

from __future__ import annotations

import re
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from memplan.errors import InputError, NotCoveredError
from memplan.kaslr.places import Area, Places
from memplan.machine.alteration import options_changed
from memplan.machine.assignment import steps_of
from memplan.machine.load import initrd_overlaps
from memplan.progress import unheard
from memplan.sweep.outcome import Outcomes, crash_place, outcome_of
from memplan.sweep.settings import changed, is_field
from memplan.sweep.span import SIZES
from memplan.sweep.ways import stretches, ways
from memplan.units import standing_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from memplan.kernel.model import Kernel
    from memplan.machine.document import Path
    from memplan.machine.model import Machine
    from memplan.progress import Progress
    from memplan.sweep.outcome import Outcome
    from memplan.sweep.span import Span

#: So many values are planned one by one; of more only some are.
_MOST_PLANNED = 1024
#: So many ways of a boot are replayed at most to tell of all values; where there are more, only some are planned.
_MOST_WAYS = 1000
#: The tries among more values, before it is looked at more closely where the answer changes.
_TRIES = 256
#: Options of which steps read all numbers, but those before a colon, by memparse and leading_number.
_READ_AS_NUMBERS = SIZES | {"dhash_entries", "ihash_entries", "maxcpus", "nr_cpus", "possible_cpus", "swiotlb"}
#: Fields of which any number is good: what is loaded, and what firmware has put, may lie anywhere.
_ANYWHERE = re.compile(r"kernel\.load_address|initrd\.(?:start|size)|(?:acpi\.tables|setup_data)\[\d+\]\.address")
#: Numbers in what a kernel or an error says, which differ with the value.
_NUMBERS = re.compile(r"(?:0x)?[0-9a-f]*[0-9][0-9a-f]*")


class _Answer(NamedTuple):
    """What a sweep tells of a value, without addresses; or why there is no plan."""

    removable: tuple[int, ...] = ()
    crash_kernel: str = "none"
    crash_low: bool = False
    death: str = ""
    problem: str = ""

    @classmethod
    def of(cls, outcome: Outcome) -> _Answer:
        death = _NUMBERS.sub("#", outcome.death)
        return cls(outcome.removable, crash_place(outcome), outcome.crash_low is not None, death)


#: The first and the last of values with one answer, and that.
_Part: TypeAlias = tuple[int, int, _Answer]


class Segment(NamedTuple):
    """The values of a span from `low` to `high`, both included, with one answer.

    That is an `outcome`, the one at `high`; or None, and the `problem` says why there is no plan.
    """

    low: int
    high: int
    outcome: Outcome | None
    problem: str = ""


class Swept(NamedTuple):
    """The segments of a span in order, which together are all its values.

    `exact` says whether all values are answered for.  Where it is false, only some were planned, at even distances and
    ever closer where the answer changes: a change that is taken back in between is not seen.
    """

    segments: tuple[Segment, ...]
    exact: bool


def sweep_span(machine: Machine, kernel: Kernel, span: Span, progress: Progress = unheard) -> Swept:
    """What becomes of `machine` with each value of `span`; `progress` hears how far it is.

    Raises UsageError for a name that is none, InputError for values that can't be.
    """
    values = _Values(machine, kernel, span, progress)
    parts = values.computed()
    exact = parts is not None or (span.high - span.low) // span.step < _MOST_PLANNED
    if parts is None:
        parts = list(values.planned(range(span.low, span.high + 1, span.step)) if exact else values.sampled())
    return Swept(tuple(values.segment(*part) for part in _joined(parts)), exact)


class _TooMany(Exception):
    """More ways than can be waited for."""


class _Values:
    """The values of one thing of one machine, planned or computed with."""

    def __init__(self, machine: Machine, kernel: Kernel, span: Span, progress: Progress) -> None:
        #: How many ways are replayed at most from here on.
        self._ways_left = _MOST_WAYS
        self._machine = machine
        self._kernel = kernel
        self._span = span
        self._outcomes = Outcomes(kernel)
        self._progress = progress
        self._replays = 0
        for value in (span.low, span.high):
            # Names and forms that are none are refused; that of two things one lies on the other depends on the value.
            if self._is_anywhere and initrd_overlaps(self._placed(value)):
                continue
            self._changed(value)

    def planned(self, values: Iterable[int]) -> Iterator[_Part]:
        """Each value by itself."""
        for value in values:
            self._hear((value - self._span.low) / self._length)
            yield value, value, self._planned(value)

    def sampled(self) -> Iterator[_Part]:
        """Values at even distances, and between two with different answers half-way until they are a step apart."""
        span = self._span
        count = (span.high - span.low) // span.step
        order = [index * count // _TRIES for index in range(_TRIES + 1)]
        answers = {}
        for number, index in enumerate(order):
            self._hear(number / len(order) / 2)
            answers[index] = self._planned(span.low + index * span.step)
        pending = list(pairwise(reversed(order)))
        while pending:
            high, low = pending.pop()
            if high - low > 1 and answers[low] != answers[high]:
                self._hear((1 + low / count) / 2)
                middle = (low + high) // 2
                answers[middle] = self._planned(span.low + middle * span.step)
                pending += [(high, middle), (middle, low)]
        for index, behind in pairwise([*sorted(answers), count + 1]):
            yield span.low + index * span.step, span.low + (behind - 1) * span.step, answers[index]

    def computed(self) -> list[_Part] | None:
        """All values, computed with as unknowns; None where that can't be done, or takes too long."""
        try:
            return self._computed()
        except _TooMany:
            return None

    def _computed(self) -> list[_Part] | None:
        span = self._span
        if is_field(span.name):
            if not self._is_anywhere:
                return None
            return list(self._parts(span.low, span.high, lambda value: self._answer(self._placed(value))))
        if span.name not in _READ_AS_NUMBERS or span.suffix.startswith(":"):
            return None
        parts: list[_Part] = []
        for low, high in span.by_length():
            # A 0 is told by its digit here and there.
            parts += self._with_option(low, high) if low else self.planned([0])
        return parts

    def segment(self, low: int, high: int, answer: _Answer) -> Segment:
        """The segment of the values from `low` to `high`, which have that answer."""
        if answer.problem:
            return Segment(low, high, None, self._problem(high))
        outcome = outcome_of(self._changed(high), self._kernel)
        assert _Answer.of(outcome) == answer, f"{self._span.text(high)} is planned otherwise than computed"
        return Segment(low, high, outcome)

    def _hear(self, share: float) -> None:
        self._progress(share, self._replays)
        self._replays += 1

    @property
    def _length(self) -> int:
        return self._span.high - self._span.low + self._span.step

    # -- values that are known ----------------------------------------------------------------------------------

    def _changed(self, value: int) -> Machine:
        return changed(self._machine, ((self._span.name, self._span.text(value)),))

    def _planned(self, value: int) -> _Answer:
        try:
            return _Answer.of(outcome_of(self._changed(value), self._kernel))
        except (InputError, NotCoveredError) as error:
            return _no_answer(error)

    def _problem(self, value: int) -> str:
        try:
            outcome_of(self._changed(value), self._kernel)
        except (InputError, NotCoveredError) as error:
            return str(error)
        return ""

    # -- values that are computed with --------------------------------------------------------------------------

    def _parts(self, low: int, high: int, answer: Callable[[int], _Answer]) -> Iterator[_Part]:
        """All values from `low` to `high` by their answers, which `answer` computes."""
        span = self._span
        places = Places("boot loader", span.stride, 0, (Area(low, (high - low) // span.stride + 1),))
        rest = low % span.step
        only = {} if span.stride == span.step else {span.step: (rest, rest + span.stride)}
        first, length = (low - span.low) / self._length, (high - low + span.step) / self._length
        heard = ways(answer, places, only, lambda share: self._hear(first + share * length))
        found = list(islice(heard, self._ways_left))
        self._ways_left -= len(found)
        if not self._ways_left:
            raise _TooMany
        for start, end, own in sorted(stretches(found, places), key=lambda part: part[0]):
            within = span.within(start, end)
            if within is not None:
                yield *within, own

    @property
    def _is_anywhere(self) -> bool:
        name = self._span.name
        return _ANYWHERE.fullmatch(name) is not None and _reaches(self._machine, steps_of(name))

    def _placed(self, value: int) -> Machine:
        """The machine with the number of that field."""
        return cast("Machine", _with(self._machine, steps_of(self._span.name), value))

    def _with_option(self, low: int, high: int) -> Iterator[_Part]:
        """The option's numbers from `low` to `high`: they have as many digits, so the command lines have one length."""
        span = self._span
        digits = len(span.number(low))

        def answer(value: int) -> _Answer:
            with standing_in(value >> span.shift, digits) as number:
                word = f"{span.name}={span.prefix}{number}{span.unit}{span.suffix}"
                cmdline = options_changed(self._machine.cmdline, (word,), (span.name,))
                return self._answer(self._machine._replace(cmdline=cmdline))

        yield from self._parts(low, high, answer)

    def _answer(self, machine: Machine) -> _Answer:
        if names := initrd_overlaps(machine):
            return _Answer(problem=f"the initrd overlaps {names[0]}")
        try:
            return _Answer.of(self._outcomes.of(machine))
        except NotCoveredError as error:
            return _no_answer(error)


def _reaches(owner: Any, path: Path) -> bool:
    """Whether `owner`, a part of a machine, has something at `path`."""
    for step in path:
        if owner is None or (isinstance(step, int) and step >= len(owner)):
            return False
        owner = owner[step] if isinstance(step, int) else getattr(owner, step)
    return True


def _with(owner: Any, path: Path, value: int) -> Any:
    """`owner`, a part of a machine, with another value at `path`."""
    if not path:
        return value
    step, own = path[0], owner[path[0]] if isinstance(path[0], int) else getattr(owner, path[0])
    changed_own = _with(own, path[1:], value)
    if isinstance(step, int):
        return (*owner[:step], changed_own, *owner[step + 1 :])
    return owner._replace(**{step: changed_own})


def _no_answer(error: InputError | NotCoveredError) -> _Answer:
    return _Answer(problem=_NUMBERS.sub("#", str(error)))


def _joined(parts: Iterable[_Part]) -> Iterator[_Part]:
    """Neighbours with the same answer as one part."""
    last: _Part | None = None
    for part in parts:
        if last is not None and last[2] == part[2]:
            last = last[0], part[1], last[2]
            continue
        if last is not None:
            yield last
        last = part
    if last is not None:
        yield last
