"""Runs a boot's steps and makes the plan of what they did."""

from __future__ import annotations

from bisect import bisect_left
from functools import lru_cache
from itertools import takewhile
from typing import TYPE_CHECKING, TypeVar

from memplan.boot.blocks import block_size, movable_ranges
from memplan.boot.context import Boot
from memplan.boot.ledger import reservations
from memplan.boot.limits import limits
from memplan.boot.panic import BootPanic
from memplan.boot.registry import find_step
from memplan.boot.unheeded import unheeded
from memplan.boot.verdicts import hotplug_ranges, verdicts
from memplan.errors import NotCoveredError
from memplan.events import Checkpoint
from memplan.kaslr.choice import possible_places
from memplan.memblock.memblock import MemblockPanic
from memplan.plan import End, Node, PageTables, Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from memplan.boot.registry import Step
    from memplan.events import Region
    from memplan.kaslr.places import Places
    from memplan.kernel.model import Kernel
    from memplan.machine.model import Machine
    from memplan.plan import TableRun

_Result = TypeVar("_Result")

#: Of so many versions' steps it is remembered which are random.
_VERSIONS_KEPT = 64


def run(boot: Boot, names: Sequence[str] | None = None) -> Iterator[Step]:
    """Runs the version's steps in order, or those of `names`, and yields after each.

    Whoever iterates can look at `boot`, or stop.  Raises BootPanic where the kernel dies; the step in which it does is
    ``boot.recorder.step``.
    """
    for name in boot.rules.steps if names is None else names:
        step = find_step(name)
        in_step(boot, name, step.run)
        yield step


def in_step(boot: Boot, name: str, action: Callable[[Boot], _Result]) -> _Result:
    """What `action` gives as the step of that name; where memblock itself can't go on, the kernel dies in it."""
    boot.recorder.step = name
    try:
        return action(boot)
    except MemblockPanic as panic:
        raise BootPanic(str(panic), "memblock itself can't go on") from panic


def replay(machine: Machine, kernel: Kernel, *, bottom_up: bool | None = None) -> Plan:
    """The plan of `machine` booting `kernel`.

    `bottom_up` forces the direction of the allocations before the SRAT is read (None: as movable_node says).
    Raises NotCoveredError where the boot needs something that isn't replayed.
    """
    return played(Boot(machine, kernel, bottom_up=bottom_up))


def played(boot: Boot, watch: Callable[[Step], None] | None = None) -> Plan:
    """The plan of `boot`, which has not begun yet; `watch` is called after each step and may look at `boot`.

    Raises NotCoveredError where the boot needs something that isn't replayed.
    """
    end = End(True)
    try:
        for step in run(boot):
            if watch is not None:
                watch(step)
    except BootPanic as panic:
        end = End(False, boot.recorder.step, panic.text, panic.cause)
        boot.recorder.checkpoint("end", boot.memblock, dumped=False)
    return _plan(boot, end)


def _plan(boot: Boot, end: End) -> Plan:
    last = next(event for event in reversed(boot.recorder.events) if isinstance(event, Checkpoint))
    taken = reservations(boot.recorder.events, last.memory)
    size = block_size(boot)
    movable = tuple(movable_ranges(boot)) if end.completed else ()
    return Plan(
        machine_name=boot.machine.name,
        kernel=boot.kernel.name,
        kernel_version=boot.kernel.version,
        kernel_notes=boot.kernel.notes,
        wording=boot.wording,
        cmdline=boot.machine.cmdline,
        bottom_up=boot.bottom_up,
        events=tuple(boot.recorder.events),
        reservations=taken,
        page_tables=PageTables(
            boot.params.levels,
            boot.params.direct_map_base,
            tuple(_with_node(run, last.memory) for run in boot.direct_map.table_runs),
            tuple(boot.direct_map.mappings),
        ),
        nodes=_nodes(boot) if end.completed else (),
        zones=tuple(boot.zones.zones) if end.completed else (),
        movable_start_pfn=tuple(sorted(boot.zones.movable_start_pfn.items())) if end.completed else (),
        block_size=size,
        verdicts=verdicts(boot, taken, movable, size) if end.completed else (),
        movable=movable,
        end=end,
        limits=tuple(map(str, limits(boot.params))),
        random_steps=_random_steps(boot.rules.steps),
        domains=tuple(sorted(boot.nodes.pxm_to_node.items())) if end.completed else (),
        possible_nodes=tuple(sorted(boot.nodes.possible)) if end.completed else (),
        unheeded=tuple(each.text for each in unheeded(boot.cmdline, boot.kernel)),
        srat=boot.nodes.srat,
        kaslr=_kaslr(boot),
        build=boot.kernel.own_release,
    )


def _with_node(run: TableRun, memory: Sequence[Region]) -> TableRun:
    """`run` with the node of its pages; none where they lie in several, or in no RAM that has one."""
    index = bisect_left(memory, run.start, key=lambda region: region.end - 1)
    nodes = {region.nid for region in takewhile(lambda region: region.start < run.end, memory[index:])}
    return run._replace(nid=nodes.pop() if len(nodes) == 1 else None)


def _kaslr(boot: Boot) -> Places | None:
    """Where KASLR may put the kernel; None where it is not built in, or a fact is missing to tell."""
    if not boot.kernel.config("RANDOMIZE_BASE"):
        return None
    try:
        return possible_places(boot.machine, boot.kernel)
    except NotCoveredError:
        return None


@lru_cache(_VERSIONS_KEPT)
def _random_steps(steps: tuple[str, ...]) -> frozenset[str]:
    """Those of `steps`, a version's, from the first one on in whose allocations KASLR has a say."""
    first = next((index for index, name in enumerate(steps) if find_step(name).random), len(steps))
    return frozenset(steps[first:])


def _nodes(boot: Boot) -> tuple[Node, ...]:
    nodes = boot.nodes
    ranges: dict[int, list[tuple[int, int]]] = {nid: [] for nid in sorted(nodes.online)}
    for base, size, nid, _ in boot.memblock.memory:
        ranges.setdefault(nid or 0, []).append((base, base + size))
    marks = hotplug_ranges(boot)
    domains = nodes.node_to_pxm
    cpus: dict[int, list[int]] = {}
    for cpu, nid in enumerate(nodes.cpu_to_node):
        cpus.setdefault(nid, []).append(cpu)
    return tuple(
        Node(
            nid,
            domains.get(nid),
            nid in nodes.node_data,
            tuple(own),
            any(_meets(marks, start, end) for start, end in own),
            _allocated(nodes.node_data.get(nid)),
            tuple(cpus.get(nid, ())),
        )
        for nid, own in sorted(ranges.items())
    )


def _allocated(place: tuple[int, int] | None) -> tuple[int, int] | None:
    """The place of a NODE_DATA; None where there is none, or where it is part of the image."""
    return place if place and place[0] < place[1] else None


def _meets(ranges: list[tuple[int, int]], start: int, end: int) -> bool:
    """Whether one of the sorted `ranges` overlaps ``[start, end)``."""
    index = bisect_left(ranges, (end, 0)) - 1
    return index >= 0 and ranges[index][1] > start
