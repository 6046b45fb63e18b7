"""One machine through the versions: where the verdict changes, and which rules make it change.

Every version whose rules or facts differ from those of the one before is planned, so no change is missed.  At a change
the rules that differ are narrowed down to a set from which none can be left out: with these alone of the newer version,
the older one gives the newer verdict.
"""

from __future__ import annotations

from functools import cache
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from memplan.boot.limits import limits
from memplan.boot.parameters import Parameters
from memplan.boot.replay import replay
from memplan.errors import NotCoveredError, UsageError
from memplan.kernel.distributions import target_of
from memplan.kernel.load import find_kernel
from memplan.kernel.resolve import all_rules, resolve, resolve_steps
from memplan.kernel.rules import OLDEST
from memplan.kernel.version import KernelVersion
from memplan.progress import unheard
from memplan.sweep.wants import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from memplan.kernel.model import Kernel
    from memplan.machine.model import Machine
    from memplan.progress import Progress
    from memplan.sweep.wants import Want

#: What stands for all facts of a build among the things that may make a change.
FACTS = "facts"


class Cause(NamedTuple):
    """A thing that differs between two versions: a rule with its values, a step, or the facts of the builds.

    `what` says what it is about, `commit` what brought the newer value ("" where that isn't known).
    """

    name: str
    what: str
    before: str
    after: str
    commit: str


class Stretch(NamedTuple):
    """Versions from `first` to `last` with one verdict; `met` tells whether they give what is wanted.

    `causes` are why the first one differs from the version before it (empty for the first stretch).  `problem` says why
    there is no verdict, `limits` what these versions are asked for and no plan replays.
    """

    first: str
    last: str
    verdict: Verdict | None
    met: bool | None
    causes: tuple[Cause, ...] = ()
    problem: str = ""
    limits: tuple[str, ...] = ()


class Build(NamedTuple):
    """A kernel, and the name by which it was asked for."""

    name: str
    kernel: Kernel


class _Planned(NamedTuple):
    name: str
    kernel: Kernel
    verdict: Verdict | None
    met: bool | None
    problem: str


def versions_between(first: str, last: str) -> list[str]:
    """The kernels to plan from `first` to `last`: all releases between two releases, else just the two.

    Raises UsageError where the first is the later one, or there are no rules for it.
    """
    try:
        ends = [KernelVersion.parse(name) for name in (first, last)]
    except UsageError:
        return [first, last]
    if ends[0].release < OLDEST:
        raise UsageError(f"no rules for Linux {first}; there are rules for {OLDEST} and later")
    if ends[0].release > ends[1].release or (ends[0].release == ends[1].release and _after(ends[0], ends[1])):
        raise UsageError(f"--from {first} is later than --to {last}")
    names = [first]
    release = ends[0].release
    while release < ends[1].release:
        release = release.next
        names.append(str(release))
    if names[-1] != last:
        names[-1 if len(names) > 1 else len(names) :] = [last]
    return names


def _after(one: KernelVersion, other: KernelVersion) -> bool:
    """Whether of one release's versions the first is the later one; a bare release may be any of them."""
    return one.sublevel is not None and other.sublevel is not None and one.sublevel > other.sublevel


def newest() -> str:
    """The newest release with rules."""
    return str(all_rules().versions.newest)


def history(
    machine: Machine, names: Sequence[str], wants: Sequence[Want] = (), progress: Progress = unheard
) -> list[Stretch]:
    """The stretches of `names` (kernels, oldest first) with one verdict each, or with one answer to `wants`.

    `progress` hears the share of `names` that is done, and of all plans, also those that look for a change's causes.
    """
    share = 0.0
    replays = count()

    def plan(name: str, kernel: Kernel) -> _Planned:
        progress(share, next(replays))
        return _planned(machine, name, kernel, wants)

    stretches: list[Stretch] = []
    before: _Planned | None = None
    known: _Planned | None = None
    for at, name in enumerate(names):
        kernel, share = find_kernel(name), at / len(names)
        if before is not None and _alike(before.kernel, kernel):
            planned = before._replace(name=name, kernel=kernel)
        else:
            planned = plan(name, kernel)
        left_out = (*map(str, limits(Parameters(machine, kernel))), *_unknown(kernel))
        if before is not None and _answer(planned, wants) == _answer(before, wants):
            every = dict.fromkeys((*stretches[-1].limits, *left_out))
            stretches[-1] = stretches[-1]._replace(last=name, limits=tuple(every))
        else:
            changed = known is not None and not planned.problem and _answer(planned, wants) != _answer(known, wants)
            causes = _causes(plan, known, planned, wants) if known is not None and changed else ()
            stretches.append(Stretch(name, name, planned.verdict, planned.met, causes, planned.problem, left_out))
        before = planned
        known = known if planned.problem else planned
    return stretches


def _planned(machine: Machine, name: str, kernel: Kernel, wants: Sequence[Want]) -> _Planned:
    try:
        plan = replay(machine, kernel)
    except NotCoveredError as error:
        return _Planned(name, kernel, None, None, str(error))
    met = all(want.is_met(plan) for want in wants) if wants else None
    return _Planned(name, kernel, Verdict.of(plan), met, "")


def _unknown(kernel: Kernel) -> Iterator[str]:
    """What a version that came later than all rules may do."""
    if kernel.rules.version.release > all_rules().versions.newest:
        yield f"what Linux does otherwise after {newest()}, the newest release whose rules are known"


def _answer(planned: _Planned, wants: Sequence[Want]) -> object:
    return (planned.met if wants else planned.verdict, planned.problem)


def _alike(one: Kernel, other: Kernel) -> bool:
    """Whether nothing that a boot depends on differs."""
    same = other.rules._replace(version=one.rules.version, doubts=one.rules.doubts)
    return one.facts == other.facts and one.rules == same


# -- why ---------------------------------------------------------------------------------------------------------------


def _causes(
    plan: Callable[[str, Kernel], _Planned], before: _Planned, after: _Planned, wants: Sequence[Want]
) -> tuple[Cause, ...]:
    wanted = _answer(after, wants)
    ends = Build(before.name, before.kernel), Build(after.name, after.kernel)
    found = causes(*ends, lambda kernel: _answer(plan(before.name, kernel), wants) == wanted)
    return tuple(_differences(*ends)) if found is None else found


def causes(before: Build, after: Build, gives_it: Callable[[Kernel], bool]) -> tuple[Cause, ...] | None:
    """A smallest set of what differs between two kernels with which the first one gives what the second one does.

    `gives_it` tells that of a kernel that is the first one but for some things of the second.  None where not even
    all that differs makes the first give it.
    """
    by_name = {cause.name: cause for cause in _differences(before, after)}

    @cache
    def enough(names: tuple[str, ...]) -> bool:
        return gives_it(_mixed(before, after, frozenset(names)))

    names = tuple(by_name)
    return tuple(by_name[name] for name in minimal(names, enough)) if enough(names) else None


def minimal(items: Sequence[str], holds: Callable[[tuple[str, ...]], bool]) -> tuple[str, ...]:
    """A part of `items` for which `holds` is true, and from which no item can be left out.

    `holds` is true of all items; it may be asked about the same ones again.  Halves are tried first, then what remains
    without one part or another.
    """
    left, parts = tuple(items), 2
    while len(left) > 1:
        size = -(-len(left) // parts)
        pieces = [left[at : at + size] for at in range(0, len(left), size)]
        rests = [tuple(item for item in left if item not in piece) for piece in pieces]
        smaller = next((own for own in (*pieces, *rests) if len(own) < len(left) and holds(own)), None)
        if smaller is not None:
            parts = 2 if smaller in pieces else max(parts - 1, 2)
            left = smaller
        elif parts >= len(left):
            break
        else:
            parts = min(2 * parts, len(left))
    return () if len(left) == 1 and holds(()) else left


def _differences(before: Build, after: Build) -> list[Cause]:
    one, other = target_of(before.kernel), target_of(after.kernel)
    rules, later = resolve(one.version, one.overlay), resolve(other.version, other.overlay)
    found = [
        Cause(name, all_rules().rules[name].what, _shown(rules[name].value), _shown(own.value), own.change.commit)
        for name, own in later.items()
        if own.value != rules[name].value
    ]
    orders = [[step for step, _ in resolve_steps(own.version, own.overlay)] for own in (one, other)]
    there = [{id(step) for step in order} for order in orders]
    moved = {step.name: step for order in orders for step in order if (id(step) in there[0]) != (id(step) in there[1])}
    for name in sorted(moved):
        is_there = [any(step.name == name for step in order) for order in orders]
        words = ["runs" if own else "is not there" for own in is_there]
        if all(is_there):
            words = ["runs at its old place", "runs at its new place"]
        found.append(Cause(f"step {name}", "a step of the boot", words[0], words[1], moved[name].commit))
    if before.kernel.facts != after.kernel.facts:
        note = "sizes and options of the builds whose facts are taken"
        found.append(Cause(FACTS, note, "of one build", "of another", ""))
    return found


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, str) else str(value)


def _mixed(before: Build, after: Build, names: frozenset[str]) -> Kernel:
    """The older kernel with these things of the newer one."""
    rules = before.kernel.rules
    build = (after if FACTS in names else before).kernel
    facts = dict(build.facts)
    groups: dict[str, dict[str, Any]] = {"": {}, "memblock": {}, "hotplug": {}}
    for name in names:
        if name == FACTS or name.startswith("step "):
            continue
        group, _, own = name.rpartition(".")
        if group not in groups:
            # A structure's size by version: what a kernel without a build of its own takes for a fact.
            facts[name] = after.kernel.facts.get(name, facts.get(name, 0))
            continue
        source = getattr(after.kernel.rules, group) if group else after.kernel.rules
        groups[group][own] = getattr(source, own)
    rules = rules._replace(
        **groups[""],
        memblock=rules.memblock._replace(**groups["memblock"]),
        hotplug=rules.hotplug._replace(**groups["hotplug"]),
        steps=tuple(_steps(before, after, names)),
    )
    return before.kernel._replace(rules=rules, facts=facts, options=build.options)


def _steps(older: Build, newer: Build, names: frozenset[str]) -> Iterator[str]:
    """The steps of the older version, but of those in `names` the newer version's, in the order that all have."""
    there = []
    for build in (older, newer):
        own = target_of(build.kernel)
        there.append({id(step) for step, _ in resolve_steps(own.version, own.overlay)})
    for step in all_rules().steps:
        if id(step) in there[f"step {step.name}" in names]:
            yield step.name
