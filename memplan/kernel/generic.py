"""Facts of kernels of which no build is known: those of the nearest builds of a distribution's kind.

What the version and the configuration decide is computed for that very version; what only a build can tell (the
image's size, above all) is taken from the nearest one, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from memplan.kernel.facts import FactValue
from memplan.kernel.model import Kernel
from memplan.kernel.rules import Rules
from memplan.kernel.structures import decided_sizes, node_data_size
from memplan.kernel.version import Release
from memplan.units import MIB

#: A build for as many CPUs and with modules is of a distribution's kind.
_DISTRIBUTION_CPUS = 256
#: What distributions' kernels had set while there was such an option: (the option, the first release with it, the
#: first one without it, its value).  Their successors are in the builds that are known.
_OPTIONS_OF_OLD: tuple[tuple[str, str, str, FactValue], ...] = (
    ("ACPI_INITRD_TABLE_OVERRIDE", "3.8", "4.7", True),
    ("DEBUG_RODATA", "2.6", "4.11", True),
    ("DIRECT_GBPAGES", "3.13", "4.1", True),
    ("MOVABLE_NODE", "3.8", "4.13", True),
    ("X86_RESERVE_LOW", "2.6", "5.13", 64),
    ("MEMCG_KMEM", "3.8", "6.11", True),
    ("PAGE_TABLE_ISOLATION", "4.15", "6.9", True),
    ("KVM_GUEST", "3.13", "9.0", True),
)
#: Options that came later than 3.13, of those that change a boot: (the option, the first release with it).
_OPTIONS_SINCE = (
    ("AMD_MEM_ENCRYPT", "4.14"),
    ("CRASH_RESERVE", "6.9"),
    ("DEFERRED_STRUCT_PAGE_INIT", "4.2"),
    ("EFI_SOFT_RESERVE", "5.5"),
    ("KFENCE", "5.12"),
    ("KFENCE_NUM_OBJECTS", "5.12"),
    ("KFENCE_SAMPLE_INTERVAL", "5.12"),
    ("LOG_CPU_MAX_BUF_SHIFT", "3.17"),
    ("LRU_GEN", "6.1"),
    ("NUMA_KEEP_MEMINFO", "5.7"),
    ("PAGE_EXTENSION", "3.19"),
    ("RANDOMIZE_BASE", "3.14"),
    ("RANDOMIZE_MEMORY", "4.8"),
    ("RANDOMIZE_MEMORY_PHYSICAL_PADDING", "4.8"),
    ("UNACCEPTED_MEMORY", "6.5"),
    ("X86_5LEVEL", "4.14"),
    ("X86_DIRECT_GBPAGES", "4.1"),
    ("ZONE_DEVICE", "4.3"),
)


#: The builds that are known, nearest to a release first.
Builds = Callable[[Release], Iterator[Kernel]]
#: So many builds show by how much images differ.
_COMPARED = 3
#: What only a build tells, and no version decides.
_GUESSED = ("struct.zone", "struct.pglist_data", "image.real_mode_size", "image.percpu_static")


class Generic(NamedTuple):
    """Facts and their sources, the words of the command line that are known, and the note for the reader."""

    facts: dict[str, FactValue]
    sources: dict[str, str]
    options: frozenset[str] | None
    note: str


def generic(name: str, rules: Rules, builds: Builds) -> Generic:
    """What is taken for a kernel `name` of `rules`, after the nearest of `builds`."""
    release = rules.version.release
    near = list(islice(filter(_of_a_distribution, builds(release)), _COMPARED))
    base = near[0]
    facts = dict(base.facts)
    sources = {fact: f"{base.name}: {source}" for fact, source in base.sources.items()}
    same = base.rules.version.release == release
    if not same:
        sources |= dict.fromkeys(_with_options_of(release, facts), f"as distributions set it in Linux {release}")
        decided = decided_sizes(rules.structs, facts)
        for fact in (*decided, "struct.zone", "struct.pglist_data"):
            facts.pop(fact, None)
        found = complete(facts, rules, builds)
        facts |= found.facts
        sources |= found.sources
    ends = [build.fact("image.end") for build in near]
    away = abs(base.rules.version.release.ordinal - release.ordinal)
    but = "" if same else f", {away} release{'s' if away != 1 else ''} away, but for those that the version decides"
    note = (
        f"no build of {name} is known: its image, sizes and options are those of Debian's {base.release}{but}; its "
        f"image has {_mib(ends[0])} here, and those of the builds nearest to it have {_mib(min(ends))} to "
        f"{_mib(max(ends))}, so places may be off by as much (memplan kernel learns a build from its vmlinuz)"
    )
    return Generic(facts, {fact: sources[fact] for fact in facts}, base.options, note)


class Completed(NamedTuple):
    """Facts that a build did not tell, their sources, and which of them are only those of another build."""

    facts: dict[str, FactValue]
    sources: dict[str, str]
    guesses: tuple[str, ...]
    like: str


def complete(facts: Mapping[str, FactValue], rules: Rules, builds: Builds) -> Completed:
    """What `facts` lack of a kernel of `rules`: computed, or those of the nearest of `builds` that is like it.

    Structures that this version does not have come out with size 0, also where `facts` know better.
    """
    added: dict[str, FactValue] = {}
    sources: dict[str, str] = {}
    for name, size in decided_sizes(rules.structs, facts).items():
        if name not in facts or not size:
            added[name] = size
            sources[name] = f"computed for Linux {rules.version}" if size else f"no such structure in {rules.version}"
    lacking = [name for name in _GUESSED if name not in facts]
    if not lacking:
        return Completed(added, sources, (), "")
    lru_gen = facts.get("config.LRU_GEN") is True
    near = builds(rules.version.release)
    like = next(build for build in near if build.config("LRU_GEN") == lru_gen)
    for name in lacking:
        if name != "struct.pglist_data":
            added[name], sources[name] = like.fact(name), f"that of {like.name}, as nothing tells it"
    if "struct.pglist_data" in lacking:
        node_data = node_data_size(rules.structs, {**facts, **added}, like.rules.structs, like.facts)
        added["struct.pglist_data"] = like.fact("struct.pglist_data") if node_data is None else node_data
        sources["struct.pglist_data"] = f"computed for the configuration, after {like.name}"
    return Completed(added, sources, tuple(lacking), like.name)


def _of_a_distribution(build: Kernel) -> bool:
    cpus = build.facts.get("config.NR_CPUS")
    return isinstance(cpus, int) and cpus >= _DISTRIBUTION_CPUS and build.config("MODULES")


def _with_options_of(release: Release, facts: dict[str, FactValue]) -> list[str]:
    """Makes the options in `facts` those of `release`; the names of the facts that it set."""
    set_here = []
    for option, first, last, value in _OPTIONS_OF_OLD:
        name = f"config.{option}"
        if not Release.parse(first) <= release < Release.parse(last):
            facts.pop(name, None)
        elif name not in facts:
            facts[name] = value
            set_here.append(name)
    for option, first in _OPTIONS_SINCE:
        if release < Release.parse(first):
            facts.pop(f"config.{option}", None)
    return set_here


def _mib(size: int) -> str:
    return f"{round(size / MIB)} MiB"
