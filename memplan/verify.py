"""Holds a plan against the log of a real boot, fact by fact, and explains the first difference.

A fact is a thing that both tell: a change of memblock's arrays, a region of a dump, a node's NODE_DATA, a zone.  A log
with ``memblock=debug`` tells all of them in their order; an ordinary log tells fewer, and those are compared kind by
kind.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from memplan.plan import Change, Checkpoint, Message
from memplan.render.trace import single_ranges
from memplan.units import KIB, PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from memplan.kernel.model import Kernel
    from memplan.machine.model import Machine
    from memplan.plan import Event, Plan

_CHANGE = re.compile(
    r"memblock_(add|reserve|remove|free|phys_free):?\s+\[(0x[0-9a-f]+)-(0x[0-9a-f]+)\](?: flags 0x\w+)?(?: ([\w.]+))?"
)
_DUMPED = re.compile(
    r"^\s(memory|reserved)\[0x[0-9a-f]+\]\s+\[(0x[0-9a-f]+)-(0x[0-9a-f]+)\],? 0x[0-9a-f]+ bytes"
    r"(?: on node (\d+))?(?: flags: (0x[0-9a-f]+))?"
)
_ZONE = re.compile(r"^\s+(DMA32|DMA|Normal|Device|Movable)\s+(?:\[mem (0x[0-9a-f]+)-(0x[0-9a-f]+)\]|empty)")
_MOVABLE = re.compile(r"^\s+Node (\d+): (0x[0-9a-f]+)\s*$")
_NODE_RANGE = re.compile(r"^\s+node\s+(\d+): \[mem (0x[0-9a-f]+)-(0x[0-9a-f]+)\]")
_NODE_DATA = re.compile(r"NODE_DATA(?:\(\d+\) allocated)? \[mem (0x[0-9a-f]+)-(0x[0-9a-f]+)\]")
_PERCPU = re.compile(r"(?:percpu|PERCPU): Embedded (\d+) pages/cpu.*? s(\d+) r(\d+) d(\d+) u(\d+)")
_CRASH = re.compile(r"crashkernel (?:low memory )?reserved: (0x[0-9a-f]+) - (0x[0-9a-f]+)")
_CRASH_OLD = re.compile(r"Reserving (\d+)MB of (?:low )?memory at (\d+)MB for crashkernel")
_MEMORY = re.compile(r"^Memory: \d+[Kk]/(\d+)[Kk] available")
_RELEASE = re.compile(r"Linux version (\S+)")
_DUMP_HEAD = "MEMBLOCK configuration"
#: How many facts must agree to find where a log begins that lacks its head.
_ALIGNMENT = 3


class Fact(NamedTuple):
    """One comparable thing: its `kind` and numbers, and where it comes from.

    `line` counts from 1 in the log (0 in a plan); `step` and `owner` are known in a plan alone.
    """

    kind: str
    values: tuple[int | str, ...]
    text: str
    line: int = 0
    step: str = ""
    owner: str = ""

    @property
    def key(self) -> tuple[str, tuple[int | str, ...]]:
        """What is compared."""
        return self.kind, self.values


@dataclass(frozen=True, slots=True)
class Difference:
    """The first fact that differs: what the kernel did, what the plan says (None: nothing more), and why, likely."""

    index: int
    kernel: Fact | None
    plan: Fact | None
    cause: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far plan and log agree: `equal` of `total` facts, by kind in `kinds` (kind, equal, total)."""

    release: str
    kernel: str
    debug: bool
    equal: int
    total: int
    kinds: tuple[tuple[str, int, int], ...]
    first: Difference | None
    notes: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return self.first is None


def verify(log: Path, machine: Machine | None = None, *, kernel: str | Kernel | None = None) -> Comparison:
    """Plan the boot that the file `log` tells of, and compare.

    The machine is `machine`, or else what the log itself says of firmware and loader; the kernel build is `kernel`,
    or else the machine's.  Raises InputError for a log that can't be used, and what `memplan.simulate` raises.
    """
    import memplan
    from memplan.firmware.dmesg import boot_lines
    from memplan.firmware.source import open_source

    if machine is None:
        from memplan.firmware.combine import import_files

        machine = import_files([log])[0]
    return compare(boot_lines(open_source(log)), memplan.simulate(machine, kernel=kernel))


def compare(lines: Iterable[tuple[int, str]], plan: Plan) -> Comparison:
    """Compare the kernel's own `lines` (number in the log, text without stamps) with `plan`."""
    release, logged, complete = "", [], False
    for number, text in lines:
        if not release and (found := _RELEASE.search(text)):
            release = found[1]
        logged += [fact._replace(line=number) for fact in _line_facts(text)]
        if _MEMORY.match(text):
            complete = True
            break
    debug = any(fact.kind in ("reserve", "add") for fact in logged)
    notes = [] if complete else ["the log ends before the hand-over to the page allocator; it is compared that far"]
    planned = list(_plan_facts(plan))
    if not debug:
        notes.append("the log was made without memblock=debug: only what an ordinary log says is compared")
        return _by_kind(release, plan, logged, planned, complete, notes)
    if not release:
        logged, planned, note = _aligned(logged, planned)
        notes.append(note)
    if not complete:
        planned = planned[: len(logged)]
    return _in_order(release, plan, logged, planned, notes)


def _line_facts(text: str) -> Iterator[Fact]:
    """What one of the kernel's lines tells; at most one fact."""
    if change := _CHANGE.search(text):
        op = "free" if change[1] == "phys_free" else change[1]
        yield Fact(op, (int(change[2], 16), int(change[3], 16)), text)
    elif text.startswith(_DUMP_HEAD):
        yield Fact("dump", (), text)
    elif dumped := _DUMPED.match(text):
        nid = int(dumped[4]) if dumped[4] else -1
        yield Fact(dumped[1], (int(dumped[2], 16), int(dumped[3], 16), nid, int(dumped[5] or "0", 16)), text)
    elif zone := _ZONE.match(text):
        yield Fact("zone", (zone[1], int(zone[2] or "0", 16), int(zone[3] or "0", 16)), text)
    elif movable := _MOVABLE.match(text):
        yield Fact("movable zone", (int(movable[1]), int(movable[2], 16)), text)
    elif node := _NODE_RANGE.match(text):
        yield Fact("node range", (int(node[1]), int(node[2], 16), int(node[3], 16)), text)
    elif data := _NODE_DATA.search(text):
        yield Fact("NODE_DATA", (int(data[1], 16), int(data[2], 16)), text)
    elif percpu := _PERCPU.search(text):
        yield Fact("percpu", tuple(int(number) for number in percpu.groups()), text)
    elif crash := _CRASH.search(text):
        yield Fact("crash kernel", (int(crash[1], 16), int(crash[2], 16)), text)
    elif crash := _CRASH_OLD.search(text):
        yield Fact("crash kernel", (int(crash[1]), int(crash[2])), text)
    elif memory := _MEMORY.match(text):
        yield Fact("total", (int(memory[1]),), text)


def _plan_facts(plan: Plan) -> Iterator[Fact]:
    for event in plan.events:
        yield from _event_facts(event, plan)
    if plan.end.completed:
        total = sum(zone.present for zone in plan.zones) * PAGE_SIZE // KIB
        yield Fact("total", (total,), f"Memory: …/{total}K available", 0, "memblock_free_all", "")


def _event_facts(event: Event, plan: Plan) -> Iterator[Fact]:
    old = plan.trace_style == "3.13"
    if isinstance(event, Change):
        if not event.logged or (old and event.op not in ("reserve", "free")):
            return
        for start, end in single_ranges(event):
            last = end if old else end - 1
            text = f"{event.op} [{start:#x}-{last:#x}] {event.caller}"
            yield Fact(event.op, (start, last), text, 0, event.step, event.owner)
    elif isinstance(event, Checkpoint):
        if event.dumped:
            yield Fact("dump", (), _DUMP_HEAD, 0, event.step)
            for kind, regions in (("memory", event.memory), ("reserved", event.reserved)):
                for r in regions:
                    nid, flags = -1 if r.nid is None else r.nid, 0 if old else r.flags
                    text = f"{kind} [{r.start:#x}-{r.end - 1:#x}] node {nid} flags {flags:#x}"
                    yield Fact(kind, (r.start, r.end - 1, nid, flags), text, 0, event.step)
    elif isinstance(event, Message):
        for fact in _line_facts(event.text):
            yield fact._replace(step=event.step)


def _aligned(logged: list[Fact], planned: list[Fact]) -> tuple[list[Fact], list[Fact], str]:
    """Both from the place in the plan at which a log without its head begins."""
    head = [fact.key for fact in logged[:_ALIGNMENT]]
    keys = [fact.key for fact in planned]
    for start in range(len(keys)):
        if keys[start : start + len(head)] == head:
            return (
                logged,
                planned[start:],
                f"the log lacks its head; it is compared from the plan's fact {start + 1} on",
            )
    return logged, planned, "the log lacks its head, and its first facts stand nowhere in the plan"


def _in_order(
    release: str, plan: Plan, logged: Sequence[Fact], planned: Sequence[Fact], notes: list[str]
) -> Comparison:
    equal = sum(a.key == b.key for a, b in zip(logged, planned, strict=False))
    shorter = min(len(logged), len(planned))
    at = next((i for i in range(shorter) if logged[i].key != planned[i].key), shorter)
    first = None
    if at < max(len(logged), len(planned)):
        ours, theirs = (side[at] if at < len(side) else None for side in (planned, logged))
        first = Difference(at, theirs, ours, _cause(release, plan, logged, planned, at))
    kinds: dict[str, list[int]] = {}
    for index, fact in enumerate(logged):
        count = kinds.setdefault(fact.kind, [0, 0])
        count[0] += index < len(planned) and planned[index].key == fact.key
        count[1] += 1
    return Comparison(
        release,
        plan.kernel,
        True,
        equal,
        max(len(logged), len(planned)),
        tuple((kind, a, b) for kind, (a, b) in kinds.items()),
        first,
        tuple(notes),
    )


def _by_kind(
    release: str, plan: Plan, logged: Sequence[Fact], planned: Sequence[Fact], complete: bool, notes: list[str]
) -> Comparison:
    """An ordinary log: each kind on its own, kinds that it doesn't tell left out."""
    order = list(dict.fromkeys(fact.kind for fact in logged))
    kinds, first, position = [], None, 0
    for kind in order:
        theirs = [fact for fact in logged if fact.kind == kind]
        ours = [fact for fact in planned if fact.kind == kind]
        if not complete:
            ours = ours[: len(theirs)]
        total = max(len(theirs), len(ours))
        part = _in_order(release, plan, theirs, ours, [])
        kinds.append((kind, part.equal, total))
        if part.first is not None and first is None:
            first = Difference(position + part.first.index, part.first.kernel, part.first.plan, part.first.cause)
        position += total
    equal = sum(count for _, count, _ in kinds)
    return Comparison(release, plan.kernel, False, equal, position, tuple(kinds), first, tuple(notes))


def _cause(release: str, plan: Plan, logged: Sequence[Fact], planned: Sequence[Fact], at: int) -> str:
    """What most likely explains the difference at `at`."""
    if release and release not in plan.kernel:
        build = f"the log is of {release}, planned with {plan.kernel}: sizes of that build may differ (memplan kernel)"
    else:
        build = ""
    if at >= len(planned):
        if not plan.end.completed:
            return f"the plan ends in {plan.end.step}: {plan.end.text}"
        return build or "a step that the plan lacks, or an option that it does not know"
    if at >= len(logged):
        return "the kernel did nothing more: an option or a fact of the machine that the plan takes for given"
    theirs, ours = logged[at], planned[at]
    if theirs.key in [fact.key for fact in planned[at + 1 : at + 4]]:
        return f"the plan's {ours.owner or ours.kind} ({ours.step}) did not happen: a fact of the machine, or an option"
    if ours.key in [fact.key for fact in logged[at + 1 : at + 4]]:
        return build or "the kernel did one thing more: an unknown option, or a fact that the machine lacks"
    if theirs.kind == ours.kind and len(theirs.values) > 1 and theirs.kind in ("reserve", "free", "add", "NODE_DATA"):
        (a, b), (c, d) = theirs.values[:2], ours.values[:2]
        if isinstance(a, int) and isinstance(b, int) and isinstance(c, int) and isinstance(d, int) and b - a != d - c:
            return build or f"the size of {ours.owner or ours.kind}: a fact of the kernel build or of the machine"
        return build or f"the place of {ours.owner or ours.kind}: a rule, or a range reserved that the machine lacks"
    return build or "a rule of this kernel version"
