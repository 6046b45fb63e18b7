"""Holds a plan against the log of a real boot, fact by fact, and explains the first difference.

A fact is a thing that both tell: a change of memblock's arrays, a region of a dump, a node's NODE_DATA, a zone.  A log
with ``memblock=debug`` tells all of them in their order; an ordinary log tells fewer, and those are compared kind by
kind.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from memplan.errors import InputError
from memplan.plan import Change, Checkpoint, Message
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
_RELEASE = re.compile(r"Linux version (\d+\.\d\S*)")
_DUMP_HEAD = "MEMBLOCK configuration"
_CMDLINE = re.compile(r"(?:Kernel c|C)ommand line: (.*)")
_LOST = re.compile(r"^\*\* (\d+) (?:printk )?messages (?:dropped|suppressed)")
_DEAD = re.compile(r"Kernel panic - not syncing|PANIC: early exception")
#: Kinds of facts whose first two numbers are a range.
_RANGES = ("reserve", "free", "add", "NODE_DATA")
#: How many facts tell where a log begins that lacks its head, and how far to look for one side's next fact in the
#: other.
_ALIGNMENT, _AHEAD = 200, 3
#: How many facts of a plan are looked at: so many more than twice the log's, or so many where the log lacks its head.
_MORE, _MOST = 1000, 500_000
#: Up to so many pairs the facts behind a difference are matched in their order, else one by one.
_MATCHED = 4_000_000


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


class _Log(NamedTuple):
    """What a log tells: `complete` where it comes to the hand-over of memory, `dropped` lines that the kernel lost."""

    release: str
    version: str
    cmdline: str | None
    facts: list[Fact]
    complete: bool
    dropped: int


def verify(log: Path, machine: Machine | None = None, *, kernel: str | Kernel | None = None) -> Comparison:
    """Plan the boot that the file `log` tells of, and compare.

    The machine is `machine`, or else what the log itself says of firmware and loader; the kernel build is `kernel`,
    or else the machine's.  Raises InputError for a log that can't be used, and what `memplan.simulate` raises.
    """
    import memplan
    from memplan.firmware.source import open_source
    from memplan.klog.layout import kernel_lines

    source = open_source(log)
    if machine is None:
        from memplan.firmware.combine import import_files

        machine = import_files([log])[0]
    plan = memplan.simulate(machine, kernel=kernel)
    return compare(
        ((line.number, line.text) for line in kernel_lines(source)),
        plan,
        randomized=machine.kernel.randomized,
        source=source.name,
    )


def compare(
    lines: Iterable[tuple[int, str]], plan: Plan, *, randomized: bool = False, source: str = "the log"
) -> Comparison:
    """Compare the kernel's own `lines` (number in the log, text without stamps) with `plan`.

    A log may lack its head (a ring buffer that has wrapped) and its tail.  `randomized` says that KASLR was on: what
    depends on places that it picks at random is left out where it differs.  Raises InputError where the log tells
    nothing that a plan tells too.
    """
    log = _read(lines)
    if not log.facts:
        raise InputError.single(
            source,
            "tells nothing that a plan tells too: no memblock lines, no zones, no Memory: line",
            hint="take it from the boot's start, best with memblock=debug",
        )
    debug = any(fact.kind in ("reserve", "add") for fact in log.facts)
    notes = _notes(log, plan, debug)
    planned = list(islice(_plan_facts(plan, debug), 2 * len(log.facts) + _MORE if log.release else _MOST))
    if not debug:
        return _by_kind(log, plan, planned, notes)
    if not log.release:
        start = _beginning(log.facts, planned)
        notes.append(
            "the log lacks its head, and nothing in it stands in the plan"
            if start is None
            else f"the log lacks its head; it is compared from the plan's fact {start + 1} on"
        )
        planned = planned[start or 0 :]
    if not log.complete:
        planned = planned[: len(log.facts)]
    result = _in_order(log, plan, log.facts, planned, notes)
    random_from = _first_random(plan, planned) if randomized else len(planned)
    if result.first is None or result.first.index < random_from:
        return result
    notes.append(
        "KASLR was on: what is allocated from the CPU entry areas on depends on random places and is left out "
        "(nokaslr makes it comparable)"
    )
    return _in_order(log, plan, log.facts[:random_from], planned[:random_from], notes)


def _read(lines: Iterable[tuple[int, str]]) -> _Log:
    """The facts of the boot that an import takes: the first one with its memory map, as it was printed last."""
    release, version, cmdline, mapped, dropped = "", "", None, False, 0
    facts: list[Fact] = []
    for number, text in lines:
        if found := _RELEASE.match(text):
            if mapped and text.strip() != version:
                break
            release, version, cmdline, mapped, dropped, facts = found[1], text.strip(), None, False, 0, []
        elif cmdline is None and (found := _CMDLINE.match(text)):
            cmdline = found[1].strip()
        elif found := _LOST.search(text):
            dropped += int(found[1])
        mapped = mapped or "e820: [mem" in text or "physical RAM map" in text
        facts += [fact._replace(line=number) for fact in _line_facts(text)]
        if facts and facts[-1].kind in ("total", "end"):
            return _Log(release, version, cmdline, facts, True, dropped)
    return _Log(release, version, cmdline, facts, False, dropped)


def _notes(log: _Log, plan: Plan, debug: bool) -> list[str]:
    notes = []
    if not log.complete:
        notes.append("the log ends before the hand-over to the page allocator; it is compared that far")
    if not debug:
        notes.append("the log was made without memblock=debug: only what an ordinary log says is compared")
    if log.dropped:
        notes.append(f"the kernel lost {log.dropped} lines of this log, so facts are missing in it (log_buf_len=16M)")
    if _other_build(log, plan):
        notes.append(f"planned with the facts of {plan.kernel}, not with those of {log.release}'s own build")
    if other := _other_options(log, plan):
        notes.append(other)
    return notes


def _other_build(log: _Log, plan: Plan) -> bool:
    """Whether the plan was made with other facts than those of the log's build."""
    if not log.release or (log.release in plan.kernel and log.release != plan.kernel):
        return False
    from memplan.kernel.load import match_release

    return match_release(log.release, log.version) != (plan.kernel, "")


def _other_options(log: _Log, plan: Plan) -> str:
    """How the boot options of log and plan differ; "" where they don't, or the log doesn't tell them."""
    if log.cmdline is None:
        return ""
    theirs, ours = Counter(log.cmdline.split()), Counter(plan.cmdline.split())
    words = [("the log alone has", theirs - ours), ("the plan alone has", ours - theirs)]
    return (
        "boot options differ: " + "; ".join(f"{who} {' '.join(more)}" for who, more in words if more)
        if (theirs != ours)
        else ""
    )


def _first_random(plan: Plan, planned: Sequence[Fact]) -> int:
    """The index of the first fact that may depend on the random places of the CPU entry areas."""
    return next((index for index, fact in enumerate(planned) if fact.step in plan.random_steps), len(planned))


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
    elif _DEAD.search(text):
        yield Fact("end", (), text)


def _plan_facts(plan: Plan, debug: bool) -> Iterator[Fact]:
    """The plan's facts in their order; without `debug` only those that an ordinary log tells."""
    for event in plan.events:
        if debug or isinstance(event, Message):
            yield from _event_facts(event, plan)
    if plan.end.completed:
        total = sum(zone.present for zone in plan.zones) * PAGE_SIZE // KIB
        yield Fact("total", (total,), f"Memory: …/{total}K available", 0, plan.last_step, "")
    else:
        yield Fact("end", (), plan.end.text, 0, plan.end.step, "")


def _event_facts(event: Event, plan: Plan) -> Iterator[Fact]:
    wording = plan.wording
    if isinstance(event, Change):
        if not event.logged or not wording.tells(event.op):
            return
        for start, end in event.blocks():
            last = wording.last(end)
            text = f"{event.op} [{start:#x}-{last:#x}] {wording.caller(event)}"
            yield Fact(event.op, (start, last), text, 0, event.step, str(event.owner))
    elif isinstance(event, Checkpoint):
        if event.dumped:
            yield Fact("dump", (), _DUMP_HEAD, 0, event.step)
            for kind, regions in (("memory", event.memory), ("reserved", event.reserved)):
                for r in regions:
                    nid, flags = -1 if r.nid is None else r.nid, 0 if wording.ranges == "half-open" else r.flags
                    text = f"{kind} [{r.start:#x}-{r.end - 1:#x}] node {nid} flags {flags:#x}"
                    yield Fact(kind, (r.start, r.end - 1, nid, flags), text, 0, event.step)
    elif isinstance(event, Message):
        for fact in _line_facts(event.text):
            yield fact._replace(step=event.step)


def _beginning(logged: Sequence[Fact], planned: Sequence[Fact]) -> int | None:
    """Where in the plan a log without its head begins: what most of its first facts agree on; None for nowhere."""
    times = Counter(fact.key for fact in planned)
    places = {fact.key: index for index, fact in enumerate(planned) if times[fact.key] == 1}
    head = enumerate(logged[:_ALIGNMENT])
    votes = Counter(places[fact.key] - index for index, fact in head if fact.key in places)
    return max(votes.most_common(1)[0][0], 0) if votes else None


def _equal(logged: Sequence[Fact], planned: Sequence[Fact]) -> list[int]:
    """The indices of the facts of the log that the plan has too, in the same order."""
    theirs, ours = [fact.key for fact in logged], [fact.key for fact in planned]
    both = min(len(theirs), len(ours))
    head = next((i for i in range(both) if theirs[i] != ours[i]), both)
    tail = next((i for i in range(both - head) if theirs[-1 - i] != ours[-1 - i]), both - head)
    end, our_end = len(theirs) - tail, len(ours) - tail
    same = [*range(head), *range(end, len(theirs))]
    if (end - head) * (our_end - head) <= _MATCHED:
        blocks = SequenceMatcher(None, theirs[head:end], ours[head:our_end], autojunk=False).get_matching_blocks()
        return same + [head + block.a + i for block in blocks for i in range(block.size)]
    return same + [i for i in range(head, min(end, our_end)) if theirs[i] == ours[i]]


def _in_order(log: _Log, plan: Plan, logged: Sequence[Fact], planned: Sequence[Fact], notes: list[str]) -> Comparison:
    equal = _equal(logged, planned)
    shorter = min(len(logged), len(planned))
    at = next((i for i in range(shorter) if logged[i].key != planned[i].key), shorter)
    first = None
    if at < max(len(logged), len(planned)):
        ours, theirs = (side[at] if at < len(side) else None for side in (planned, logged))
        first = Difference(at, theirs, ours, _cause(log, plan, logged, planned, at))
    had, found = Counter(fact.kind for fact in logged), Counter(logged[index].kind for index in equal)
    return Comparison(
        log.release,
        plan.kernel,
        True,
        len(equal),
        max(len(logged), len(planned)),
        tuple((kind, found[kind], count) for kind, count in had.items()),
        first,
        tuple(notes),
    )


def _by_kind(log: _Log, plan: Plan, planned: Sequence[Fact], notes: list[str]) -> Comparison:
    """An ordinary log: each kind on its own.

    A log that comes to the hand-over tells all kinds; one that ends before, or lacks its head, those that it has, and
    of them perhaps only the first, or the last.
    """
    whole = log.complete and bool(log.release)
    order = dict.fromkeys(fact.kind for fact in (*log.facts, *(planned if whole else ())))
    kinds, first, position, equal = [], None, 0, 0
    for kind in order:
        theirs = [fact for fact in log.facts if fact.kind == kind]
        ours = [fact for fact in planned if fact.kind == kind]
        if not whole:
            ours = ours[-len(theirs) :] if log.complete else ours[: len(theirs)]
        part = _in_order(log, plan, theirs, ours, [])
        kinds.append((kind, part.equal, part.total))
        if part.first is not None and first is None:
            first = Difference(position + part.first.index, part.first.kernel, part.first.plan, part.first.cause)
        position += part.total
        equal += part.equal
    return Comparison(log.release, plan.kernel, False, equal, position, tuple(kinds), first, tuple(notes))


def _cause(log: _Log, plan: Plan, logged: Sequence[Fact], planned: Sequence[Fact], at: int) -> str:
    """What most likely explains the difference at `at`."""
    theirs, ours = (side[at] if at < len(side) else None for side in (logged, planned))
    if _other_options(log, plan):
        return "the boot options differ (see the note)"
    if ours is not None and ours.kind == "end":
        return f"the plan ends in {plan.end.step}: {plan.end.cause or plan.end.text}"
    if theirs is not None and theirs.kind == "end":
        return "the kernel died here, which the plan does not foresee: a fact of the machine, or a rule"
    if log.dropped:
        return "a line that the log lacks, as the kernel lost some"
    if _other_build(log, plan):
        return f"sizes of {log.release}, which differ from those of {plan.kernel} (memplan kernel learns them)"
    if theirs is None:
        return "the kernel did nothing more: an option or a fact of the machine that the plan takes for given"
    if ours is None:
        return "a step that the plan lacks, or an option that it does not know"
    what = ours.owner or ours.kind
    if theirs.key in [fact.key for fact in planned[at + 1 : at + 1 + _AHEAD]]:
        return f"the plan's {what} ({ours.step}) did not happen: a fact of the machine, or an option"
    if ours.key in [fact.key for fact in logged[at + 1 : at + 1 + _AHEAD]]:
        return "the kernel did one thing more: an unknown option, or a fact that the machine lacks"
    if theirs.kind == ours.kind and theirs.kind in _RANGES:
        (a, b), (c, d) = (tuple(int(value) for value in fact.values[:2]) for fact in (theirs, ours))
        if b - a != d - c:
            return f"the size of {what}: a fact of the kernel build or of the machine"
        return f"the place of {what}: a rule, or a range reserved that the machine lacks"
    if theirs.kind == ours.kind == "percpu":
        return "a size of the per-CPU area: a fact of the kernel build, or the number of CPUs"
    if theirs.kind == ours.kind and theirs.kind in ("memory", "node range", "total"):
        return f"the machine's RAM or its nodes ({theirs.kind}): a fact of the machine"
    return "a rule of this kernel version"
