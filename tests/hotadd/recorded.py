"""Recorded runs: a real kernel's log up to its boot's end, then what it did with memory that came and went.

After LAB-BEGIN each line is a record: ``step N WHAT``, ``blocks FIRST-LAST NODE STATE ZONES``, ``total MemTotal …``, as
read from sysfs and procfs after each step that looks.
"""

from __future__ import annotations

import lzma
import re
from itertools import count
from pathlib import Path
from typing import NamedTuple

from memplan.hotadd.scenario import Offline, Remove, Scenario, Target, load_scenario
from memplan.hotadd.start import Start, StartBlock, StartZone
from memplan.kernel.model import Kernel
from memplan.kernel.resolve import load_rules
from memplan.units import GIB, PAGE_SHIFT, round_up

RUNS = Path(__file__).parent / "runs"
NAMES = sorted(path.name.removesuffix(".log.xz") for path in RUNS.glob("*.log.xz"))

_BLOCKS = re.compile(r"blocks (\d+)-(\d+) node(\d+) (\S+) (.+)")
_ZONE = re.compile(r"zone (\d+) (\w+) start (\d+) spanned (\d+) present (\d+)")
_SRAT = re.compile(r"SRAT: Node (\d+) PXM (\d+) \[mem 0x([0-9a-f]+)-0x([0-9a-f]+)\]")
_SRAT_CPU = re.compile(r"SRAT: PXM (\d+) -> APIC 0x\w+ -> Node (\d+)")
_E820 = re.compile(r"BIOS-e820: \[mem 0x([0-9a-f]+)-0x([0-9a-f]+)\] (.+)")
_NODE = re.compile(r"  node +(\d+): \[mem 0x([0-9a-f]+)-0x([0-9a-f]+)\]")


class Look(NamedTuple):
    """What was seen at one step: `blocks` as (number, node, state, zones), MemTotal and the map in bytes."""

    blocks: tuple[tuple[int, int, str, tuple[str, ...]], ...]
    total: int
    map_bytes: int | None


class StepRecord(NamedTuple):
    """The records of one step."""

    number: int
    lines: tuple[str, ...]
    look: Look | None

    @property
    def dimm(self) -> int | None:
        """Where the hypervisor put the DIMM that the step adds."""
        found = next((re.match(r"qemu dimm d\d+ addr (\S+)", line) for line in self.lines if "qemu dimm" in line), None)
        return None if found is None or found[1] == "none" else int(found[1], 16)


class Recorded(NamedTuple):
    """One run."""

    name: str
    release: str
    cmdline: str
    boot: str
    steps: tuple[StepRecord, ...]
    block_size: int
    scenario: Scenario


def load(name: str) -> Recorded:
    """The run of that name."""
    text = lzma.decompress((RUNS / f"{name}.log.xz").read_bytes()).decode("utf-8", "replace")
    boot, _, records = text.partition("LAB-BEGIN")
    steps = []
    for part in re.split(r"^(?=step )", records, flags=re.MULTILINE)[1:]:
        lines = tuple(part.splitlines())
        steps.append(StepRecord(int(lines[0].split()[1]), lines, _look(lines)))
    size = re.search(r"^block_size (\S+)", records, re.MULTILINE)
    release = re.search(r"Linux version (\S+)", boot)
    cmdline = re.search(r"Command line: (.*)", boot)
    assert size
    assert release
    assert cmdline
    scenario = load_scenario(str(RUNS / f"{name}.case.yaml"))
    return Recorded(name, release[1], cmdline[1], boot, tuple(steps), int(size[1], 16), scenario)


def _look(lines: tuple[str, ...]) -> Look | None:
    total = next((int(line.split()[2]) << 10 for line in lines if line.startswith("total ")), None)
    if total is None:
        return None
    mapped = next((int(line.split()[2]) << 12 for line in lines if line.startswith("vmstat nr_memmap_pages ")), None)
    blocks = []
    for found in filter(None, map(_BLOCKS.fullmatch, lines)):
        for number in range(int(found[1]), int(found[2]) + 1):
            blocks.append((number, int(found[3]), found[4], tuple(found[5].split())))
    return Look(tuple(blocks), total, mapped)


def start_of(run: Recorded) -> Start:
    """The state after boot as the run's first look shows it, with the DIMMs that were there by then taken away."""
    first = next(step for step in run.steps if step.look is not None)
    added = [(step.dimm, size) for step, size in _added(run, first.number)]
    zones = [
        StartZone(int(nid), name, int(start), int(start) + int(spanned), int(present), int(present))
        for nid, name, start, spanned, present in (
            found.groups() for found in filter(None, map(_ZONE.match, first.lines))
        )
    ]
    pages = run.block_size >> PAGE_SHIFT
    assert first.look is not None
    blocks = []
    for number, nid, state, names in first.look.blocks:
        if any(at is not None and at <= number * run.block_size < at + size for at, size in added):
            assert state == "offline"
            continue
        touched = tuple(
            z.name
            for z in zones
            if z.nid == nid and z.start_pfn < (number + 1) * pages > 0 < z.end_pfn - number * pages
        )
        only = None if names == ("none",) else names[0]
        blocks.append(StartBlock(number, nid, True, only, touched, pages))
    e820 = [
        (int(a, 16), int(b, 16) + 1, kind.strip() in ("usable", "System RAM")) for a, b, kind in _E820.findall(run.boot)
    ]
    ram = tuple((start, end) for start, end, usable in e820 if usable)
    reserved = [(start, end) for start, end, usable in e820 if not usable]
    found = re.search(r"memmap=256M\$0x100000000", run.cmdline)
    if found:
        reserved.append((4 * GIB, 4 * GIB + (256 << 20)))
    srat = [(int(nid), int(pxm)) for nid, pxm, _, _ in _SRAT.findall(run.boot)]
    cpus = [(int(nid), int(pxm)) for pxm, nid in _SRAT_CPU.findall(run.boot)]
    domains = {pxm: nid for nid, pxm in (*srat, *cpus)} or {}
    for nid in map(int, re.findall(r"Initmem setup node (\d+) as memoryless", run.boot)):
        if nid not in domains.values():
            # Later kernels don't print the domains of CPUs.
            domains[next(pxm for pxm in count() if pxm not in domains)] = nid
    ranges = tuple((int(a, 16), int(b, 16) + 1, int(nid)) for nid, a, b in _NODE.findall(run.boot))
    return Start(
        block_size=run.block_size,
        blocks=tuple(blocks),
        zones=tuple(zones),
        domains=domains,
        possible=frozenset(domains.values()) or frozenset((0,)),
        ranges=ranges,
        fallback=srat[0][0] if srat else 0,
        ram=ram,
        reserved=tuple(reserved),
        cpu_nodes=frozenset(),
        window=round_up(max(4 * GIB, *(end for _, end in ram)), GIB),
        address_bits=52,
        direct_map_end=None,
        total=first.look.total,
    )


def _added(run: Recorded, before: int) -> list[tuple[StepRecord, int]]:
    from memplan.hotadd.scenario import Add

    pairs = zip(run.steps, run.scenario.steps, strict=False)
    return [(record, step.size) for record, step in pairs if isinstance(step, Add) and record.number < before]


def with_outcomes(run: Recorded) -> Scenario:
    """The run's scenario with what chance decided: which blocks did not go off-line when they were asked to."""
    steps = list(run.scenario.steps)
    for record in run.steps:
        step = steps[record.number]
        if isinstance(step, Offline):
            steps[record.number] = step._replace(stuck=tuple(_refused(record)))
        elif isinstance(step, Remove) and any("still there" in line for line in record.lines):
            steps[record.number] = step._replace(stuck=tuple(_failed(record, run.block_size)))
        elif isinstance(step, Remove):
            steps[record.number] = step._replace(stuck=())
    return run.scenario._replace(steps=tuple(steps[: len(run.steps)]))


def _refused(record: StepRecord) -> list[Target]:
    numbers = [int(line.split()[1]) for line in record.lines if line.startswith("tried") and " -> online" in line]
    return [Target(None, number, number) for number in numbers]


def _failed(record: StepRecord, block_size: int) -> list[Target]:
    numbers = {int(n) for line in record.lines for n in re.findall(r"memory memory(\d+): Offline failed", line)}
    if not numbers:
        pfns = {int(p, 16) for line in record.lines for p in re.findall(r"pfn:(?:0x)?([0-9a-f]+)", line)}
        numbers = {pfn << PAGE_SHIFT >> (block_size.bit_length() - 1) for pfn in pfns}
    return [Target(None, number, number) for number in sorted(numbers)]


#: What Debian's names of kernels don't say.
_VERSIONS = {"5.10.0-46-amd64": "5.10.262", "6.1.0-55-amd64": "6.1.192"}
_BY_THEMSELVES = {"MHP_DEFAULT_ONLINE_TYPE_ONLINE_AUTO": True, "CPUMASK_OFFSTACK": True}
#: What of each build's configuration counts here.
_CONFIG = {
    "4.19.72": {"CPUMASK_OFFSTACK": True},
    "6.12.107": {"MEMORY_HOTPLUG_DEFAULT_ONLINE": True, "CPUMASK_OFFSTACK": True},
    "6.16.12": _BY_THEMSELVES,
    "6.17.13": _BY_THEMSELVES,
    "6.18.15": _BY_THEMSELVES,
    "6.19.14": _BY_THEMSELVES,
    "7.0.13": _BY_THEMSELVES,
    "7.1.13": _BY_THEMSELVES,
    "7.2.13": _BY_THEMSELVES,
    "7.3.4": _BY_THEMSELVES,
}


def kernel_of(release: str) -> Kernel:
    """The kernel of a run: the rules of its version, and the few facts of its build that count."""
    version = _VERSIONS.get(release, release.partition("+")[0])
    always = {"ACPI_HOTPLUG_MEMORY": True, "MEMORY_HOTREMOVE": True, "MHP_MEMMAP_ON_MEMORY": True}
    facts = {f"config.{name}": value for name, value in (always | _CONFIG.get(version, {})).items()}
    return Kernel(release, version, release, facts, {}, load_rules(version))
