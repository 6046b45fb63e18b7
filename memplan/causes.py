"""Why a plan differs from a boot's log: another machine, options, a fact of the build, a place that is not known."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from memplan.kaslr.places import knows_free_memory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memplan.klog.facts import Fact, Told
    from memplan.machine.model import E820Entry, Machine
    from memplan.plan import Plan

#: Kinds of facts whose first two numbers are a range, of which the last byte is told.
_RANGES = ("reserve", "free", "add", "NODE_DATA", "swiotlb", "initrd moved")
#: Kinds of facts that are found from the top of RAM downwards, wherever there is room.
_PLACES = ("NODE_DATA", "swiotlb", "initrd moved", "crash kernel")
#: Kinds of facts that memblock=debug alone tells.
_MEMBLOCK = ("reserve", "free", "add", "remove", "memory", "reserved")
#: How far to look for one side's next fact in the other.
_AHEAD = 3
#: The parts of the per-CPU line, and what decides each.
_PERCPU = (
    ("pages a CPU", "its sizes"),
    ("static", "image.percpu_static"),
    ("reserved", "config.MODULES"),
    ("dynamic", "this version's rule for the dynamic part"),
    ("unit", "the number of CPUs and their nodes"),
)


class Context(NamedTuple):
    """What a plan was made of: the machine, and the map that the log itself tells (() where it has none).

    `uncovered` is the log's release where its version has no rules, so that another one's were taken.
    """

    machine: Machine
    log_e820: tuple[E820Entry, ...] = ()
    uncovered: str = ""

    @property
    def other_machine(self) -> bool:
        """Whether the log's map has another first and last entry, or other sizes, than the machine's."""
        theirs = [(e.start, e.end) for e in self.log_e820 if e.type == 1]
        ours = [(e.start, e.end) for e in self.machine.e820 if e.type == 1]
        return bool(theirs) and bool(ours) and (theirs[-1] != ours[-1] or abs(len(theirs) - len(ours)) > 2)

    @property
    def unknown_places(self) -> str:
        """Which places nobody told, and what may lie elsewhere by that; "" where all are known."""
        unknown = []
        if self.machine.kernel.randomized and self.machine.kernel.load_address is None:
            unknown.append("where KASLR put the kernel image, so its page tables may lie elsewhere")
        efi = self.machine.efi
        if efi is not None and not efi.descriptors:
            unknown.append("firmware's EFI memory map (efi=debug prints it), so what boot services keep is left out")
        elif efi is not None and efi.memmap is None:
            unknown.append("where the EFI memory map lies")
        return "; ".join(unknown)

    def unknown_place(self, theirs: Fact, ours: Fact | None) -> str:
        """Why nobody can tell whether the fact should be as the plan has it; "" where it should.

        It does not where only its place differs, and the RAM above it may be taken by what is not told.
        """
        if theirs.kind == "crash kernel" and "crashkernel=auto" in self.machine.cmdline.split():
            return "how much crashkernel=auto takes, which is a patch of distributions' own"
        if theirs.kind == "reserved memory" and self.machine.kernel.randomized:
            return "which random places KASLR has chosen, on which page tables depend"
        if self.uncovered:
            return f"how Linux {self.uncovered} sets memory up: its boot is not covered"
        efi = self.machine.efi
        if (
            ours is None
            or theirs.kind != ours.kind
            or theirs.kind not in _PLACES
            or efi is None
            or knows_free_memory(efi)
        ):
            return ""
        (place, *rest), (own, *own_rest) = _place_first(theirs), _place_first(ours)
        if rest != own_rest or not place < own:
            return ""
        return "firmware's EFI memory map (efi=debug prints it), whose boot services may keep RAM above it"


def _place_first(fact: Fact) -> tuple[int, ...]:
    """The number that is the fact's place, and behind it what of the fact is no place."""
    first, second = (int(value) for value in fact.values[:2])
    return (first, second) if fact.kind == "crash kernel" else (first, second - first)


def other_build(log: Told, plan: Plan) -> bool:
    """Whether the plan was made with other facts than those of the log's build."""
    return bool(log.release) and plan.build != log.release


def other_options(log: Told, plan: Plan) -> str:
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


def likely_cause(
    log: Told, plan: Plan, logged: Sequence[Fact], planned: Sequence[Fact], at: int, context: Context | None
) -> str:
    """What most likely explains the difference at `at`."""
    theirs, ours = (side[at] if at < len(side) else None for side in (logged, planned))
    if context is not None and context.other_machine:
        return "another machine: the log's memory map is not that of the description"
    if other_options(log, plan):
        return "the boot options differ (see the note)"
    if ours is not None and ours.kind == "end":
        return f"the plan ends in {plan.end.step}: {plan.end.cause or plan.end.text}"
    if theirs is not None and theirs.kind == "end":
        return "the kernel died here, which the plan does not foresee: a fact of the machine, or a rule"
    if log.dropped:
        return "a line that the log lacks, as the kernel lost some"
    if other_build(log, plan) and any(fact is not None and fact.kind in _MEMBLOCK for fact in (theirs, ours)):
        return f"sizes of {log.release}, which differ from those of {plan.kernel} (memplan kernel learns them)"
    unknown = f"; not known: {context.unknown_places}" if context is not None and context.unknown_places else ""
    if theirs is None:
        return f"the kernel did nothing more: an option or a fact of the machine that the plan takes for given{unknown}"
    if ours is None:
        return f"a step that the plan lacks, or an option that it does not know{unknown}"
    if theirs.key in [fact.key for fact in planned[at + 1 : at + 1 + _AHEAD]]:
        return f"the plan's {ours.owner or ours.kind} ({ours.step}) did not happen: a fact of the machine, or an option"
    if ours.key in [fact.key for fact in logged[at + 1 : at + 1 + _AHEAD]]:
        return "the kernel did one thing more: an unknown option, or a fact that the machine lacks"
    if theirs.kind == ours.kind:
        return _changed(log, plan, theirs, ours, context)
    return f"a rule of Linux {plan.kernel_version}{unknown}"


def _changed(log: Told, plan: Plan, theirs: Fact, ours: Fact, context: Context | None) -> str:
    """Why one fact has other numbers."""
    what = ours.owner or ours.kind
    if theirs.kind in _RANGES:
        (a, b), (c, d) = (tuple(int(value) for value in fact.values[:2]) for fact in (theirs, ours))
        if b - a != d - c:
            named = " (struct.pglist_data)" if theirs.kind == "NODE_DATA" else ""
            whose = f"the kernel's build{named}"
            if other_build(log, plan):
                whose += f", which is not {plan.kernel} (memplan kernel learns it)"
            return f"the size of {what}, {b - a + 1} bytes instead of {d - c + 1}: a fact of {whose}, or of the machine"
        moved = f"the place of {what}, {abs(a - c)} bytes {'lower' if a < c else 'higher'} than planned"
        if context is not None and context.unknown_places:
            return f"{moved}; not known: {context.unknown_places}"
        return f"{moved}: a rule of Linux {plan.kernel_version}, or a range reserved that the machine lacks"
    if theirs.kind == "percpu":
        parts = [
            f"{part} ({cause})"
            for (part, cause), x, y in zip(_PERCPU, theirs.values, ours.values, strict=True)
            if x != y
        ]
        return f"sizes of the per-CPU area: {', '.join(parts)}"
    if theirs.kind == "crash kernel":
        same = theirs.values[1:] == ours.values[1:]
        place = context.unknown_places if context is not None else ""
        if same and place:
            return f"the crash kernel's place; not known: {place}"
        part = "place" if same else "size"
        return f"the crash kernel's {part}: a rule of Linux {plan.kernel_version}, or what it makes of the option"
    if theirs.kind in ("memory", "node range", "total"):
        return f"the machine's RAM or its nodes ({theirs.kind}): a fact of the machine"
    if theirs.kind == "hash table":
        return "the size of a hash table: the RAM that is left when it is made, or an option"
    return f"a rule of Linux {plan.kernel_version}"
