"""Holds a plan against the log of a real boot, fact by fact, and explains the first difference of each kind.

A fact is a thing that both tell: a change of memblock's arrays, a region of a dump, a node's NODE_DATA, a zone.  A log
with ``memblock=debug`` tells all of them in their order; an ordinary log tells fewer, and those are compared kind by
kind.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, NamedTuple

from memplan.causes import Context, likely_cause, other_build, other_options
from memplan.errors import InputError
from memplan.events import Change, Checkpoint, Message
from memplan.klog.facts import DUMP_HEAD, UNORDERED, Fact, line_facts, read_facts
from memplan.owner import Purpose
from memplan.units import GIB, KIB, PAGE_SIZE, U64_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from memplan.events import Event
    from memplan.firmware.source import Source
    from memplan.kernel.model import Kernel
    from memplan.klog.boot import BootLines
    from memplan.klog.facts import Told
    from memplan.klog.layout import Line
    from memplan.machine.model import E820Entry, Machine
    from memplan.plan import Plan

#: Kinds that a log of a whole boot has whenever the plan has them; of others, lines may have been left out of it.
_ALWAYS = frozenset(("crash kernel", "CMA", "movable zone", "total", "end"))
#: What the hash tables are called, whose buckets have 8 bytes.
_HASHES = {Purpose.PID_HASH: "PID", Purpose.DENTRY_HASH: "dentry", Purpose.INODE_HASH: "inode"}
#: How many facts tell where a log begins that lacks its head.
_ALIGNMENT = 200
#: How many facts of a plan are looked at: so many more than twice the log's, or so many where the log lacks its head.
_MORE, _MOST = 1000, 500_000
#: Up to so many pairs the facts behind a difference are matched in their order, else one by one.
_MATCHED = 4_000_000


@dataclass(frozen=True, slots=True)
class Difference:
    """The first fact that differs: what the kernel did, what the plan says (None: nothing more), and why, likely."""

    index: int
    kernel: Fact | None
    plan: Fact | None
    cause: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """A fact of which a plan can't tell where it lies, and what nobody told that decides it."""

    kernel: Fact
    plan: Fact | None
    reason: str


class Pair(NamedTuple):
    """A fact as the kernel tells it and as the plan does; None where the other side has one more."""

    kernel: Fact | None
    plan: Fact | None

    @property
    def equal(self) -> bool:
        """Whether both tell the same."""
        return self.kernel is not None and self.plan is not None and self.kernel.key == self.plan.key


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far plan and log agree: `equal` of `total` facts, by kind in `kinds` (kind, equal, total).

    `differences` has the first one of each kind, in the plan's order.  `pairs` are all facts that were compared, side
    by side.  `unknown` facts are counted nowhere, and are no pairs.
    """

    release: str
    kernel: str
    debug: bool
    equal: int
    total: int
    kinds: tuple[tuple[str, int, int], ...]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]
    pairs: tuple[Pair, ...]
    unknown: tuple[Unknown, ...] = ()

    @property
    def first(self) -> Difference | None:
        """The first difference of all."""
        return self.differences[0] if self.differences else None

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.differences


def verify(
    log: Path, machine: Machine | None = None, *, kernel: str | Kernel | None = None, boot: int = 0
) -> Comparison:
    """Plan the boot that the file `log` tells of, and compare.

    The machine is `machine`, or else what the log itself says of firmware and loader; the kernel build is `kernel`,
    or else the machine's.  `boot` says which of several boots in the log is meant (from 1; 0: the first), which is the
    one that an import takes.  Raises InputError for a log that can't be used, and what `memplan.simulate` raises.
    """
    from memplan.boot.replay import replay
    from memplan.kernel.load import kernel_of

    logged = read_logged(log, machine, kernel=kernel, boot=boot)
    return logged.held_against(replay(logged.machine, kernel_of(logged.machine.kernel, kernel)))


class Logged(NamedTuple):
    """A boot that a log tells of, and the machine that booted; `notes` is what its import remarks."""

    source: Source
    boot: BootLines | None
    machine: Machine
    notes: tuple[str, ...]
    #: Firmware's memory map of the log, where the machine is not the log's own.
    e820: tuple[E820Entry, ...]

    def held_against(self, plan: Plan) -> Comparison:
        """`plan`, which is the machine's, compared with what the log tells; errors as in :func:`verify`."""
        from memplan.klog.boots import lines_of
        from memplan.klog.layout import kernel_lines

        lines: Iterable[Line] = kernel_lines(self.source)
        if self.boot is not None:
            lines = lines_of(lines, self.boot)
        context = Context(self.machine, self.e820, _uncovered(self.boot))
        return compare(((line.number, line.text) for line in lines), plan, context=context, source=self.source.name)


def read_logged(
    log: Path, machine: Machine | None = None, *, kernel: str | Kernel | None = None, boot: int = 0
) -> Logged:
    """The boot that the file `log` tells of; arguments and errors as in :func:`verify`."""
    from memplan.firmware.source import open_source
    from memplan.klog.boots import boots_of, choose
    from memplan.klog.layout import kernel_lines

    source = replace(open_source(log), boot=boot, kernel=kernel)
    if machine is None:
        from memplan.firmware.combine import machine_of
        from memplan.firmware.dmesg import read_boot

        own, found = read_boot(source)
        imported = machine_of([found], kernel=kernel)
        return Logged(source, own, imported.machine, tuple(imported.notes), ())
    chosen = choose(boots_of(kernel_lines(source)), boot, source.name)
    e820 = tuple(chosen.maps["BIOS-e820"]) if chosen is not None else ()
    return Logged(source, chosen, machine, (), e820)


def _uncovered(boot: BootLines | None) -> str:
    """The release of a boot whose version is older than all that have rules; "" for any other."""
    from memplan.kernel.builds import is_older

    words = boot.version.split() if boot is not None else []
    return words[2] if len(words) > 2 and is_older(words[2]) else ""


def compare(
    lines: Iterable[tuple[int, str]], plan: Plan, *, context: Context | None = None, source: str = "the log"
) -> Comparison:
    """Compare the kernel's own `lines` (number in the log, text without stamps) with `plan`.

    A log may lack its head (a ring buffer that has wrapped) and its tail.  `context` tells what the plan was made of;
    where KASLR was on, what depends on places that it picks at random is left out where it differs.  Raises
    InputError where the log tells nothing that a plan tells too.
    """
    log = read_facts(lines)
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
        return _by_kind(log, plan, planned, notes, context)
    logged = [fact for fact in log.facts if fact.kind not in UNORDERED]
    planned = [fact for fact in planned if fact.kind not in UNORDERED]
    if not log.release:
        start = _beginning(logged, planned)
        notes.append(
            "the log lacks its head, and nothing in it stands in the plan"
            if start is None
            else f"the log lacks its head; it is compared from the plan's fact {start + 1} on"
        )
        planned = planned[start or 0 :]
    if not log.complete:
        planned = planned[: len(logged)]
    result = _in_order(log, plan, logged, planned, notes, context)
    random_from = _first_random(plan, planned) if context and context.machine.kernel.randomized else len(planned)
    if result.first is None or result.first.index < random_from:
        return result
    notes.append(
        "KASLR was on: what is allocated from the CPU entry areas on depends on random places and is left out "
        "(nokaslr makes it comparable)"
    )
    return _in_order(log, plan, logged[:random_from], planned[:random_from], notes, context)


def _notes(log: Told, plan: Plan, debug: bool) -> list[str]:
    notes = []
    if not log.complete:
        notes.append("the log ends before the hand-over to the page allocator; it is compared that far")
    if not debug:
        notes.append("the log was made without memblock=debug: only what an ordinary log says is compared")
    if log.dropped:
        notes.append(f"the kernel lost {log.dropped} lines of this log, so facts are missing in it (log_buf_len=16M)")
    if other_build(log, plan):
        notes.append(f"planned with the facts of {plan.kernel}, not with those of {log.release}'s own build")
    if other := other_options(log, plan):
        notes.append(other)
    return [*notes, *(f"not modelled: {text}" for text in plan.limits)]


def _first_random(plan: Plan, planned: Sequence[Fact]) -> int:
    """The index of the first fact that may depend on the random places of the CPU entry areas."""
    return next((index for index, fact in enumerate(planned) if fact.step in plan.random_steps), len(planned))


def _plan_facts(plan: Plan, debug: bool) -> Iterator[Fact]:
    """The plan's facts in their order; without `debug` only those that an ordinary log tells."""
    for event in plan.events:
        if debug or isinstance(event, Message):
            yield from _event_facts(event, plan)
    if not debug:
        yield from _owned_facts(plan)
    if plan.end.completed:
        total = sum(zone.present for zone in plan.zones) * PAGE_SIZE // KIB
        end = max((high for node in plan.nodes for _, high in node.ranges), default=0)
        text = f"Memory: …, {end // KIB - total}K absent"
        yield Fact("absent", (end // KIB - total,), text, 0, plan.last_step, "")
        taken = plan.reserved_pages * PAGE_SIZE // KIB
        yield Fact("reserved memory", (taken,), f"Memory: …, {taken}K reserved", 0, plan.last_step, "")
        yield Fact("total", (total,), f"Memory: …/{total}K available", 0, plan.last_step, "")
    else:
        yield Fact("end", (), plan.end.text, 0, plan.end.step, "")


def _owned_facts(plan: Plan) -> Iterator[Fact]:
    """What an ordinary log tells of single owners' memory after it was handed over."""
    gigantic = clock = 0
    clock_step = ""
    for event in plan.events:
        if not isinstance(event, Change) or event.op != "reserve":
            continue
        purpose, size = event.owner.kind, event.end - event.start
        if purpose is Purpose.SWIOTLB:
            text = f"software IO TLB: mapped [mem {event.start:#x}-{event.end - 1:#x}]"
            yield Fact("swiotlb", (event.start, event.end - 1), text, 0, event.step, str(event.owner))
        elif purpose in _HASHES:
            name = _HASHES[purpose]
            text = f"{name} hash table entries: {size // 8}"
            yield Fact("hash table", (name, size // 8), text, 0, event.step, str(event.owner))
        elif purpose is Purpose.KVM_CLOCK:
            clock, clock_step = event.start, event.step
        elif purpose is Purpose.GIGANTIC_PAGES:
            gigantic += size * event.count // GIB if event.count > 1 else size // GIB
    if clock:
        yield Fact("KVM clock", (clock,), f"kvm-clock: cpu 0, msr 0:{clock + 1:x}, primary cpu clock", 0, clock_step)
    if gigantic:
        yield Fact("gigantic pages", (gigantic,), f"HugeTLB: 1.00 GiB page size, pre-allocated {gigantic} pages", 0)


def _event_facts(event: Event, plan: Plan) -> Iterator[Fact]:
    wording = plan.wording
    if isinstance(event, Change):
        if not event.logged or not wording.tells(event.op):
            return
        for start, end in event.blocks():
            last = wording.last(end) & U64_MAX
            text = f"{event.op} [{start:#x}-{last:#x}] {wording.caller(event)}"
            yield Fact(event.op, (start, last), text, 0, event.step, str(event.owner))
    elif isinstance(event, Checkpoint):
        if event.dumped:
            yield Fact("dump", (), DUMP_HEAD, 0, event.step)
            for kind, regions in (("memory", event.memory), ("reserved", event.reserved)):
                for r in regions:
                    nid, flags = -1 if r.nid is None else r.nid, 0 if wording.ranges == "half-open" else r.flags
                    text = f"{kind} [{r.start:#x}-{r.end - 1:#x}] node {nid} flags {flags:#x}"
                    yield Fact(kind, (r.start, (r.end - 1) & U64_MAX, nid, flags), text, 0, event.step)
    elif isinstance(event, Message):
        for fact in line_facts(event.text):
            yield fact._replace(step=event.step)


def _beginning(logged: Sequence[Fact], planned: Sequence[Fact]) -> int | None:
    """Where in the plan a log without its head begins: what most of its first facts agree on; None for nowhere."""
    times = Counter(fact.key for fact in planned)
    places = {fact.key: index for index, fact in enumerate(planned) if times[fact.key] == 1}
    head = enumerate(logged[:_ALIGNMENT])
    votes = Counter(places[fact.key] - index for index, fact in head if fact.key in places)
    return max(votes.most_common(1)[0][0], 0) if votes else None


def _equal(logged: Sequence[Fact], planned: Sequence[Fact]) -> list[tuple[int, int]]:
    """The indices in the log and in the plan of the facts that both have, in the same order."""
    theirs, ours = [fact.key for fact in logged], [fact.key for fact in planned]
    both = min(len(theirs), len(ours))
    head = next((i for i in range(both) if theirs[i] != ours[i]), both)
    tail = next((i for i in range(both - head) if theirs[-1 - i] != ours[-1 - i]), both - head)
    end, our_end = len(theirs) - tail, len(ours) - tail
    if (end - head) * (our_end - head) <= _MATCHED:
        blocks = SequenceMatcher(None, theirs[head:end], ours[head:our_end], autojunk=False).get_matching_blocks()
        between = [(head + block.a + i, head + block.b + i) for block in blocks for i in range(block.size)]
    else:
        between = [(i, i) for i in range(head, min(end, our_end)) if theirs[i] == ours[i]]
    return [
        *((i, i) for i in range(head)),
        *between,
        *zip(range(end, len(theirs)), range(our_end, len(ours)), strict=True),
    ]


def _side_by_side(logged: Sequence[Fact], planned: Sequence[Fact], equal: Sequence[tuple[int, int]]) -> Iterator[Pair]:
    """All facts of both sides in their order, `equal` ones beside each other."""
    theirs = ours = 0
    for a, b in (*equal, (len(logged), len(planned))):
        yield from (Pair(*pair) for pair in zip_longest(logged[theirs:a], planned[ours:b]))
        if a < len(logged):
            yield Pair(logged[a], planned[b])
        theirs, ours = a + 1, b + 1


def _in_order(
    log: Told, plan: Plan, logged: Sequence[Fact], planned: Sequence[Fact], notes: list[str], context: Context | None
) -> Comparison:
    equal = _equal(logged, planned)
    shorter = min(len(logged), len(planned))
    at = next((i for i in range(shorter) if logged[i].key != planned[i].key), shorter)
    differences = []
    if at < max(len(logged), len(planned)):
        ours, theirs = (side[at] if at < len(side) else None for side in (planned, logged))
        differences.append(Difference(at, theirs, ours, likely_cause(log, plan, logged, planned, at, context)))
    had, found = Counter(fact.kind for fact in logged), Counter(logged[index].kind for index, _ in equal)
    return Comparison(
        log.release,
        plan.kernel,
        True,
        len(equal),
        max(len(logged), len(planned)),
        tuple((kind, found[kind], count) for kind, count in had.items()),
        tuple(differences),
        tuple(notes),
        tuple(_side_by_side(logged, planned, equal)),
    )


def _by_kind(log: Told, plan: Plan, planned: Sequence[Fact], notes: list[str], context: Context | None) -> Comparison:
    """An ordinary log: each kind on its own.

    A log that comes to the hand-over tells all kinds; a fragment tells those that it has, and of them perhaps only
    some that follow each other.
    """
    whole = log.complete and bool(log.release)
    if not log.release:
        notes.append("the log lacks its head: what it has is compared as a fragment")
    had = {fact.kind for fact in log.facts}
    order = dict.fromkeys(fact.kind for fact in (*log.facts, *(planned if whole else ())))
    kinds, differences, position, equal = [], [], 0, 0
    unknown: list[Unknown] = []
    pairs: list[Pair] = []
    for kind in order:
        if (kind not in had and kind not in _ALWAYS) or (kind == "reserved memory" and other_build(log, plan)):
            # The image counts as reserved, and another build's has another size.
            continue
        theirs = [fact for fact in log.facts if fact.kind == kind]
        ours = [fact for fact in planned if fact.kind == kind]
        if kind in ("swiotlb", "hash table", "KVM clock"):
            # Tables that wait for vmalloc, buffers that are found later and clocks in the image are not memblock's.
            names = {fact.values[0] for fact in ours}
            theirs = [fact for fact in theirs if ours and (kind != "hash table" or fact.values[0] in names)]
            ours = ours if theirs else []
        if not whole and len(ours) > len(theirs):
            start = _best_place(theirs, ours)
            ours = ours[start : start + len(theirs)]
        if context is not None and len(theirs) >= len(ours):
            apart = [
                Unknown(a, b, reason)
                for a, b in zip_longest(theirs, ours)
                if (b is None or a.key != b.key) and (reason := context.unknown_place(a, b))
            ]
            unknown += apart
            theirs = [fact for fact in theirs if all(fact is not own.kernel for own in apart)]
            ours = [fact for fact in ours if all(fact is not own.plan for own in apart)]
        if not theirs and not ours:
            continue
        part = _in_order(log, plan, theirs, ours, [], context)
        kinds.append((kind, part.equal, part.total))
        differences += [replace(own, index=position + own.index) for own in part.differences]
        pairs += part.pairs
        position += part.total
        equal += part.equal
    return Comparison(
        log.release,
        plan.kernel,
        False,
        equal,
        position,
        tuple(kinds),
        tuple(differences),
        tuple(notes),
        tuple(pairs),
        tuple(unknown),
    )


def _best_place(theirs: Sequence[Fact], ours: Sequence[Fact]) -> int:
    """Where in `ours` a fragment fits best; the first of such places."""
    last = len(ours) - len(theirs)
    same = [sum(a.key == b.key for a, b in zip(theirs, ours[at:], strict=False)) for at in range(last + 1)]
    return same.index(max(same))
