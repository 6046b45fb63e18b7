"""What a sweep asks of each case: which nodes are removable, where the crash kernel lies, whether the boot dies."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from memplan.boot.blocks import movable_ranges
from memplan.boot.context import Boot
from memplan.boot.panic import BootPanic
from memplan.boot.record import Recorder
from memplan.boot.replay import in_step, run
from memplan.boot.steps.numa import accept_nodes, bring_nodes_up, find_nodes, initmem_init
from memplan.boot.steps.page_tables import Mapper, init_mem_mapping
from memplan.events import Change
from memplan.owner import Purpose
from memplan.sweep.rest import Rest, Told, first_step
from memplan.sweep.state import State
from memplan.sweep.vague import Undecided
from memplan.sweep.ways import Begun
from memplan.units import GIB

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from memplan.boot.results import ZoneLayout
    from memplan.kernel.model import Kernel
    from memplan.machine.model import Machine
    from memplan.sweep.rest import End


class Outcome(NamedTuple):
    """One case's answer: the nodes of the plan's `movable`, the crash kernel's ranges, and the kernel's last words.

    `crash_low` is the part that goes with a crash kernel above 4 GiB.  A range is None where there is none.
    """

    removable: tuple[int, ...]
    crash_kernel: tuple[int, int] | None
    crash_low: tuple[int, int] | None
    death: str = ""


def crash_place(outcome: Outcome) -> str:
    """Where the crash kernel has its memory: "low", "high" (with a low part or without one), or "none"."""
    if outcome.crash_kernel is None:
        return "none"
    return "low" if outcome.crash_kernel[1] <= 4 * GIB else "high"


def outcome_of(machine: Machine, kernel: Kernel) -> Outcome:
    """The outcome of `machine` booting `kernel`, as its plan has it; NotCoveredError where there is none."""
    return _to_its_end(_Replay().begun(machine, kernel))


def rough_outcome(machine: Machine, kernel: Kernel) -> Outcome:
    """As :func:`outcome_of`, without a look at where in memory that stays the last part of the boot has its blocks.

    Raises Undecided where that does not do.
    """
    return _to_its_end(_Replay(lambda boot: _with_end(boot, Rest(boot).end())).begun(machine, kernel))


class Ends:
    """What the last parts of boots lead to, each replayed once for all boots that hand over the same to it.

    The boots are those of one machine but for numbers that are vague in `common`.
    """

    def __init__(self, common: Machine) -> None:
        self._common = common
        self._found: dict[Hashable, End | None] = {}
        self._layouts: dict[Hashable, ZoneLayout] = {}

    def before_nodes(self, boot: Boot) -> End | None:
        """As :meth:`of`, for a boot whose nodes get their NODE_DATA next."""
        return self._of(boot, Told.BEFORE_NODES)

    def of(self, boot: Boot) -> End | None:
        """What `boot` comes to, by as little as tells; None where what is the same for others does not tell."""
        late = (Told.SIZE, Told.KNOWN_PLACES, Told.REGIONS)
        return next((end for told in late if (end := self._of(boot, told)) is not None), None)

    def _of(self, boot: Boot, told: Told) -> End | None:
        try:
            rest = Rest(boot, self._common, told)
            key = rest.key
            if key not in self._found:
                self._found[key] = None
                self._found[key] = rest.end()
            end = self._found[key]
            return rest.own_end(end, self._layouts) if end is not None else None
        except Undecided:
            return None


class Outcomes:
    """Outcomes of machines that stand for many; the last part of the boot is replayed exactly where it has to be.

    Where all are one machine but for numbers, `common` is that machine with those numbers vague.
    """

    #: Where the rough replay did not do so many times more often than it did, it is tried no more.
    _PATIENCE = 2

    def __init__(self, kernel: Kernel, common: Machine | None = None) -> None:
        self._kernel = kernel
        self._ends = Ends(common) if common is not None else None
        self._undecided = 0
        self._replay = _Replay(self._rough, self._rougher)

    def of(self, machine: Machine) -> Outcome:
        """As :func:`outcome_of`."""
        return _to_its_end(self.begun(machine))

    def begun(self, machine: Machine) -> Begun[Outcome] | Outcome:
        """As :meth:`of`, up to where the direct map begins to be made."""
        return self._replay.begun(machine, self._kernel)

    def _rougher(self, boot: Boot) -> Outcome | None:
        end = self._ends.before_nodes(boot) if self._ends is not None else None
        try:
            return _with_end(boot, end) if end is not None else None
        except Undecided:
            return None

    def _rough(self, boot: Boot) -> Outcome | None:
        if self._undecided >= self._PATIENCE:
            return None
        try:
            end = self._ends.of(boot) if self._ends is not None else None
            outcome = _with_end(boot, end if end is not None else Rest(boot).end())
        except Undecided:
            self._undecided += 1
            return None
        self._undecided -= 1
        return outcome


def _unknown(_: Boot) -> None:
    """What has no guess."""


class _Replay:
    """A boot in parts, each of which goes on with what the one before it holds.

    It has an outcome before its last steps where `guess` knows it, and before nodes get their NODE_DATA where `early`
    does.
    """

    def __init__(
        self, guess: Callable[[Boot], Outcome | None] = _unknown, early: Callable[[Boot], Outcome | None] = _unknown
    ) -> None:
        self._guess = guess
        self._early = early

    def begun(self, machine: Machine, kernel: Kernel) -> Begun[Outcome] | Outcome:
        """The boot of `machine` up to where the direct map begins to be made."""
        boot = Boot(machine, kernel, recorder=Recorder(tells=False))
        names = boot.rules.steps
        mapping = names.index(init_mem_mapping.__name__)
        try:
            deque(run(boot, names[:mapping]), maxlen=0)
            mapper = in_step(boot, names[mapping], Mapper)
        except BootPanic as panic:
            return _outcome(boot, panic.text)
        return _at_end_of_part(self._map, boot, mapper)

    def _map(self, boot: Boot, mapper: Mapper) -> Begun[Outcome]:
        """The next part of the direct map."""
        more = in_step(boot, init_mem_mapping.__name__, lambda _: mapper.go_on())
        return _at_end_of_part(self._map, boot, mapper) if more else _at_end_of_part(self._find_nodes, boot)

    def _find_nodes(self, boot: Boot) -> Begun[Outcome]:
        names = boot.rules.steps
        mapping, nodes = map(names.index, (init_mem_mapping.__name__, initmem_init.__name__))
        deque(run(boot, names[mapping + 1 : nodes]), maxlen=0)
        in_step(boot, names[nodes], find_nodes)
        return _at_end_of_part(self._end, boot)

    def _end(self, boot: Boot) -> Outcome:
        names = boot.rules.steps
        nodes, rest = names.index(initmem_init.__name__), first_step(names)
        in_step(boot, names[nodes], accept_nodes)
        outcome = self._early(boot)
        if outcome is not None:
            return outcome
        in_step(boot, names[nodes], bring_nodes_up)
        deque(run(boot, names[nodes + 1 : rest]), maxlen=0)
        outcome = self._guess(boot)
        if outcome is not None:
            return outcome
        deque(run(boot, names[rest:]), maxlen=0)
        return _outcome(boot, "")


def _at_end_of_part(go_on: Callable[..., Begun[Outcome] | Outcome], *held: Any) -> Begun[Outcome]:
    """A replay that has come to what is `held`, a boot and more, and goes on from there."""
    state: State | None = None

    def come_to() -> Hashable | None:
        nonlocal state
        state = State(*held)
        return state.key

    def next_part() -> Begun[Outcome] | Outcome:
        own = held if state is None else state.copy()
        try:
            return go_on(*own)
        except BootPanic as panic:
            return _outcome(own[0], panic.text)

    return Begun(come_to, next_part)


def _to_its_end(found: Begun[Outcome] | Outcome) -> Outcome:
    while isinstance(found, Begun):
        found = found.go_on()
    return found


def _with_end(boot: Boot, end: End) -> Outcome:
    """The outcome of `boot` with such a rest; Undecided where blocks of that may lie in what can be movable."""
    boot.zones = end.zones
    for zone in boot.zones.zones:
        start, stop = zone.span
        if zone.name == "Movable" and any(low < stop and high > start for low, high in end.touched):
            raise Undecided
    return _outcome(boot, "")


def _outcome(boot: Boot, death: str) -> Outcome:
    removable = () if death else tuple(sorted({nid for nid, _, _ in movable_ranges(boot)}))
    return Outcome(removable, _held(boot, Purpose.CRASH_KERNEL), _held(boot, Purpose.CRASH_KERNEL_LOW), death)


def _held(boot: Boot, purpose: Purpose) -> tuple[int, int] | None:
    """The range that was last reserved for `purpose` and not given back."""
    held: tuple[int, int] | None = None
    for event in boot.recorder.events:
        if isinstance(event, Change) and event.owner.kind is purpose:
            held = (event.start, event.end) if event.op == "reserve" else None
    return held
