"""All values of one thing between two limits: where the plan's answer changes, exact to the step.

The image's and the initrd's place and the initrd's size are computed with as unknowns, so every value between the
limits is answered for.  Values of boot options are text: they are tried, at values ever closer to each other wherever
the answer changes.  A crash kernel of a smaller size finds room wherever one of a larger size does, so between two
sizes that go to one place every size does; of other options a change that is taken back within a 64th of the range can
stay unseen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from memplan.errors import UsageError
from memplan.kaslr.places import Area, Places
from memplan.sweep.outcome import outcome_of
from memplan.units import MIB, PAGE_SIZE, memparse, size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from memplan.kernel.model import Kernel
    from memplan.machine.model import Machine
    from memplan.sweep.outcome import Outcome

#: Fields with which a replay can compute as an unknown.
_UNKNOWNS = ("initrd.start", "kernel.load_address")
#: The tries of an option before it is looked at more closely where the answer changes.
_TRIES = 64


class Span(NamedTuple):
    """All values of `name` from `low` to `high`, both included, `step` apart; `suffix` stands behind each (",high")."""

    name: str
    low: int
    high: int
    step: int
    suffix: str = ""

    def text(self, value: int) -> str:
        """A value as it is written in a setting."""
        return f"{value:#x}" if "." in self.name else size_text(value) + self.suffix


class Segment(NamedTuple):
    """The values of `span` from `low` to `high`, both included, which have one `outcome`."""

    span: Span
    low: int
    high: int
    outcome: Outcome

    def record(self) -> dict[str, Any]:
        """The segment as JSON has it."""
        from memplan.sweep.case import outcome_record

        return {
            "from": self.low,
            "to": self.high,
            "from_text": self.span.text(self.low),
            "to_text": self.span.text(self.high),
            **outcome_record(self.outcome),
        }


def read_span(name: str, text: str) -> Span | None:
    """The span that `text` (``128M..8G``, ``1G..4G..64M``, ``128M..8G,high``) means; None for anything else.

    Raises UsageError for limits that are none.
    """
    body, comma, suffix = text.partition(",")
    if ".." not in body:
        return None
    parts = body.split("..")
    numbers = [memparse(part) for part in parts]
    usual = PAGE_SIZE if name in _UNKNOWNS else MIB
    if len(parts) not in (2, 3) or any(rest or not part for part, (_, rest) in zip(parts, numbers, strict=True)):
        raise UsageError(f"{name}={text}: a range is written like 128M..8G, or with its step like 128M..8G..16M")
    low, high, step = (*(number for number, _ in numbers), usual)[:3]
    if low > high or not step:
        raise UsageError(f"{name}={text}: a range goes from its lower limit to the higher one")
    return Span(name, low, low + (high - low) // step * step, step, comma + suffix)


def sweep_span(machine: Machine, kernel: Kernel, span: Span) -> list[Segment]:
    """The segments of `span`, in order."""
    if span.name in _UNKNOWNS and not span.step & (span.step - 1) and not span.low % span.step:
        return list(_joined(span, _all(machine, kernel, span)))
    from memplan.sweep.settings import changed

    def outcome(value: int) -> Outcome:
        return outcome_of(changed(machine, ((span.name, span.text(value)),)), kernel)

    return list(_joined(span, _tried(span, outcome)))


def _all(machine: Machine, kernel: Kernel, span: Span) -> Iterator[tuple[int, int, Outcome]]:
    """All values but those that would put image and initrd over each other."""
    from memplan.sweep.ways import stretches, ways

    initrd, image_size = machine.initrd, kernel.fact("image.end")
    if span.name == "kernel.load_address":
        size, taken = image_size, (initrd.start, initrd.start + initrd.size) if initrd is not None else None
    elif initrd is None:
        raise UsageError("the machine has no initrd whose place could be varied")
    else:
        load = machine.kernel.load_address
        start = kernel.fact("image.load_address") if load is None else load
        size, taken = initrd.size, (start, start + image_size)

    def placed(address: int) -> Machine:
        if span.name == "kernel.load_address":
            return machine._replace(kernel=machine.kernel._replace(load_address=address))
        assert initrd is not None
        return machine._replace(initrd=initrd._replace(start=address))

    areas = tuple(_areas(span, size, taken))
    if not areas:
        return
    places = Places("boot loader", span.step, size, areas)
    found = list(ways(lambda amount: _plain(outcome_of(placed(amount), kernel)), places))
    for start, end, outcome in sorted(stretches(found, places), key=lambda own: own[0]):
        yield start, end - span.step, outcome


def _areas(span: Span, size: int, taken: tuple[int, int] | None) -> Iterator[Area]:
    """The values of `span` at which `size` bytes do not touch what is `taken`."""
    behind = span.high + span.step
    parts = [(span.low, behind)]
    if taken is not None:
        # The last value below, and the first one above what is taken.
        below = span.low + max(0, (taken[0] - size - span.low) // span.step + 1) * span.step
        above = span.low + max(0, -(-(taken[1] - span.low) // span.step)) * span.step
        parts = [(span.low, min(below, behind)), (max(above, span.low), behind)] if below < above else parts
    for low, high in parts:
        if low < high:
            yield Area(low, (high - low) // span.step)


def _plain(outcome: Outcome) -> Outcome:
    """`outcome` with numbers of the example instead of amounts that depend on the unknown."""

    def plain(held: tuple[int, int] | None) -> tuple[int, int] | None:
        return None if held is None else (cast("int", _value(held[0])), cast("int", _value(held[1])))

    return outcome._replace(crash_kernel=plain(outcome.crash_kernel), crash_low=plain(outcome.crash_low))


def _value(number: object) -> object:
    return getattr(number, "value", number)


def _tried(span: Span, outcome: Callable[[int], Outcome]) -> Iterator[tuple[int, int, Outcome]]:
    """Tries at even distances, and between two with different answers half-way until they are a step apart."""
    count = (span.high - span.low) // span.step
    numbers = sorted({index * count // _TRIES for index in range(_TRIES + 1)})
    left = numbers[0]
    answers = {left: outcome(span.low)}
    for right in numbers[1:]:
        answers[right] = outcome(span.low + right * span.step)
        pending = [(left, right)]
        while pending:
            low, high = pending.pop()
            if high - low < 2 or _key(answers[low]) == _key(answers[high]):
                continue
            middle = (low + high) // 2
            answers[middle] = outcome(span.low + middle * span.step)
            pending += [(low, middle), (middle, high)]
        left = right
    order = sorted(answers)
    for at, index in enumerate(order):
        behind = order[at + 1] if at + 1 < len(order) else index + 1
        same = at + 1 < len(order) and _key(answers[index]) == _key(answers[behind])
        last = behind - 1 if same else index
        yield span.low + index * span.step, span.low + last * span.step, answers[index]


def _key(outcome: Outcome) -> tuple[object, ...]:
    """What of an outcome a sweep tells: not the very addresses."""
    from memplan.sweep.case import crash_place

    return outcome.removable, crash_place(outcome), outcome.crash_low is not None, outcome.death


def _joined(span: Span, parts: Iterator[tuple[int, int, Outcome]]) -> Iterator[Segment]:
    """Neighbours with the same answer as one segment."""
    segment: Segment | None = None
    for low, high, outcome in parts:
        if segment is not None and segment.high + span.step == low and _key(segment.outcome) == _key(outcome):
            segment = segment._replace(high=high)
            continue
        if segment is not None:
            yield segment
        segment = Segment(span, low, high, outcome)
    if segment is not None:
        yield segment
