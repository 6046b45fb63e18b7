"""Speed as ratios: what memplan may cost beside what python and its libraries cost.

Measured so that a busy machine gives the same answer as an idle one: by the processor time that the work itself took,
not by the clock on the wall; the two sides of a ratio in turns, so that both meet the same caches and clock rates; and
the least of several runs for each, since what else runs on a machine can only add to a time.
"""

from __future__ import annotations

import compileall
import gc
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

import memplan
from memplan.cli import ALLOCATIONS_BETWEEN_COLLECTIONS
from memplan.history import history, newest, versions_between
from memplan.kernel.load import find_kernel, kernel_of
from memplan.machine.load import load_machine
from memplan.memblock.memblock import Memblock
from memplan.report.film import film
from memplan.report.page import Shown, page_text
from memplan.sweep.case import Case, run_case
from memplan.sweep.kaslr import sweep_kaslr
from memplan.sweep.span import Span
from memplan.sweep.values import sweep_span

if TYPE_CHECKING:
    from collections.abc import Callable

    from memplan.kernel.model import Kernel
    from memplan.machine.model import Machine

BIN = Path(sys.executable).parent
GIB, MIB = 1 << 30, 1 << 20
ROUNDS = 15


def spent() -> float:
    """Seconds of processor time of this process, and of its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def seconds(run: Callable[[], object], rounds: int = 1) -> float:
    """The processor time of one call, in the cheapest of so many."""

    def once() -> float:
        start = spent()
        run()
        return spent() - start

    return min(once() for _ in range(rounds))


def ratio(one: Callable[[], object], other: Callable[[], object], rounds: int = ROUNDS) -> float:
    """The least time of `one` over the least of `other`, taken in turns after a first call that isn't counted."""
    one()
    other()
    pairs = [(seconds(one), seconds(other)) for _ in range(rounds)]
    return min(a for a, _ in pairs) / min(b for _, b in pairs)


def process(*words: str | Path) -> Callable[[], object]:
    """A call that runs a program to its end."""
    return lambda: subprocess.run([str(word) for word in words], check=True, capture_output=True)


def machine_text(
    nodes: int, size: int, *, entries: int = 0, cmdline: str = "movable_node", pse: bool = True, cpus: int = 0
) -> str:
    """A description of `nodes` nodes of `size` bytes each, hot-pluggable but the first, from 4 GiB on.

    Each has so many `cpus`, or the machine has one.  `entries` more e820 entries are cut out of the last node's RAM.
    """
    low = 3 * GIB
    total = nodes * size
    lines = [f"cmdline: {cmdline}", "kernel: {build: '6.12'}"]
    lines += ["cpus: {pse: false, gbpages: false}"] if not pse else []
    lines += [f"cpus: {{possible: {nodes * cpus}, present: {nodes * cpus}}}"] if cpus else []
    lines += [
        "e820:",
        "  - {start: 0x0, end: 0x9fbff, type: usable}",
        "  - {start: 0x9fc00, end: 0xfffff, type: reserved}",
    ]
    lines += [f"  - {{start: 0x100000, end: {low - 1:#x}, type: usable}}"]
    lines += ["  - {start: 0xfe000000, end: 0xffffffff, type: reserved}"]
    end = 4 * GIB + total
    if entries:
        at = end - entries * 2 * MIB
        lines += [f"  - {{start: {4 * GIB:#x}, end: {at - 1:#x}, type: usable}}"]
        kinds = ("usable", "reserved")
        lines += [
            f"  - {{start: {at + i * 2 * MIB:#x}, end: {at + (i + 1) * 2 * MIB - 1:#x}, type: {kinds[i % 2]}}}"
            for i in range(entries)
        ]
    else:
        lines += [f"  - {{start: {4 * GIB:#x}, end: {end - 1:#x}, type: usable}}"]
    lines += ["srat:", "  memory:", f"    - {{pxm: 0, base: 0, length: {4 * GIB:#x}}}"]
    for nid in range(nodes):
        hot = "true" if nid else "false"
        base = 4 * GIB + nid * size
        lines += [f"    - {{pxm: {nid}, base: {base:#x}, length: {size:#x}, hotplug: {hot}}}"]
    lines += ["  cpus:"] if cpus else []
    lines += [f"    - {{apic_id: {cpu}, pxm: {cpu // cpus}}}" for cpu in range(nodes * cpus)]
    return "\n".join(lines) + "\n"


class Deaf:
    """A listener that does nothing."""

    def changed(
        self, op: str, base: int, size: int, count: int, descending: bool, _nid: int | None, _flags: int
    ) -> None:
        """A change."""

    def message(self, text: str, warning: bool) -> None:
        """A line."""

    def array_growth(self, name: str) -> None:
        """An array grows."""

    def array_grown(self) -> None:
        """It has grown."""


def engine(regions: int) -> Memblock:
    """A memblock whose reserved array has that many regions, spread over its memory."""
    kernel = find_kernel("6.12")
    block = Memblock(kernel.rules.memblock, max_numnodes=kernel.max_numnodes, listener=Deaf())
    block.add(0, 1 << 44)
    block.allow_resize()
    block.current_limit = 1 << 44
    for index in range(regions):
        block.reserve((index + 1) << 30, 1 << 20)
    return block


def operations(regions: int) -> Callable[[], object]:
    """A call that allocates, frees, reserves and frees again, many times, at that many regions."""
    block = engine(regions)
    rng = random.Random(regions)

    def run() -> None:
        for _ in range(300):
            found = block.phys_alloc_range(4096, 4096, 0, 1 << 44)
            block.free(found, 4096)
            at = (rng.randrange(regions) << 30) + (512 << 20)
            block.reserve(at, 4096)
            block.free(at, 4096)

    return run


def show(what: str, value: float, limit: float, unit: str = "x") -> bool:
    """Print one measurement beside its limit; whether it holds."""
    print(f"{what:68} {value:8.2f} {unit:3} (at most {limit:g})")
    return value <= limit


def sweeps(eight: Machine, folder: Path) -> list[tuple[str, Callable[[], object], Callable[[], object], float]]:
    """What all places of KASLR, and all versions, may cost beside one plan of the machine."""
    kernel = find_kernel("debian-6.12.107+deb12-amd64")
    generic = find_kernel("4.19.72")
    old = generic._replace(facts={**kernel.facts, **generic.facts})
    large, marked, full, fewer, manned = (
        folder / f"{name}.yaml" for name in ("nodes", "marked", "full", "fewer", "manned")
    )
    large.write_text(machine_text(64, 1000 * GIB, cmdline="quiet"))
    marked.write_text(machine_text(64, 1000 * GIB))
    full.write_text(machine_text(64, 1024 * GIB))
    fewer.write_text(machine_text(16, 1000 * GIB))
    manned.write_text(machine_text(64, 1000 * GIB, cpus=8))
    nodes, movable, no_room, sixteen, with_cpus = map(load_machine, (large, marked, full, fewer, manned))

    def one(machine: Machine, kernel: Kernel = kernel) -> Callable[[], object]:
        return lambda: memplan.simulate(machine, kernel=kernel)

    def every_mib() -> object:
        return sweep_span(eight, kernel, Span("mem", GIB, 24 * GIB, MIB))

    names = versions_between("3.13", newest())
    return [
        ("every place of KASLR, 8 nodes / one plan", lambda: sweep_kaslr(eight, kernel), one(eight), 50),
        ("every place of KASLR, 64 TiB and 64 nodes / one plan", lambda: sweep_kaslr(nodes, kernel), one(nodes), 8),
        ("the same with movable_node / one plan", lambda: sweep_kaslr(movable, kernel), one(movable), 20),
        ("the same, 1 TiB more than node 0 has maps for", lambda: sweep_kaslr(no_room, kernel), one(no_room), 25),
        ("the same, 8 CPUs on each node", lambda: sweep_kaslr(with_cpus, kernel), one(with_cpus), 20),
        ("every place of 4.19, 8 nodes / one plan", lambda: sweep_kaslr(eight, old), one(eight, old), 80),
        ("every place of 4.19, 64 nodes / one plan", lambda: sweep_kaslr(nodes, old), one(nodes, old), 25),
        ("the same with movable_node", lambda: sweep_kaslr(movable, old), one(movable, old), 180),
        ("the same, 16 nodes with movable_node", lambda: sweep_kaslr(sixteen, old), one(sixteen, old), 180),
        ("history over all versions, 8 nodes / one plan", lambda: history(eight, names), one(eight), 250),
        ("mem= by MiB from 1 GiB to 24 GiB, 8 nodes / one plan", every_mib, one(eight), 1500),
    ]


def fleet(eight: Machine, folder: Path) -> list[tuple[str, Callable[[], object], Callable[[], object], float]]:
    """What a file costs in a check, and a case in a sweep, beside one plan of the machine."""
    file = folder / "eight.yaml"
    kernel = find_kernel(eight.kernel.build)
    cases = [Case(str(file), None, (("crashkernel", f"{size}M"),)) for size in range(100, 120)]

    def plans() -> None:
        for _ in cases:
            memplan.simulate(eight, kernel=kernel)

    return [
        ("check of a description of 8 nodes / one plan", lambda: [memplan.check(file) for _ in cases], plans, 2),
        ("a case of a sweep, 8 nodes / one plan", lambda: [run_case(case) for case in cases], plans, 1),
    ]


def peak(*words: str | Path) -> float:
    """The most memory in MiB that a program takes.

    Asked of a small process that starts it: what is counted for a program begins with the memory of what started it.
    """
    ask = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)"
    ask += "; print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    return int(subprocess.check_output([sys.executable, "-c", ask, *map(str, words)])) / 1024


def hotadd(folder: Path, dimms: int) -> tuple[str | Path, ...]:
    """The command that adds so many DIMMs of 512 GiB, which are 4,096 memory blocks each."""
    guest = folder / "guest.yaml"
    guest.write_text(
        machine_text(4, 4 * GIB, cmdline="memhp_default_state=online memory_hotplug.online_policy=auto-movable")
    )
    return (BIN / "memplan", "hotadd", guest, *["--add", "512G"] * dimms)


def parsed(file: Path) -> Callable[[], object]:
    """A call in which the YAML parser goes through a file, and keeps nothing."""
    text = file.read_text()
    return lambda: deque(yaml.parse(text, yaml.CLoader), maxlen=0)


def page_beside_plan(huge: Path) -> float:
    """What a report's page takes more than the plan that it tells of, beside what YAML takes."""
    machine = load_machine(huge)
    build = kernel_of(machine.kernel)
    page = ratio(lambda: page_text([Shown(film(machine, build), "")], ""), parsed(huge), 5)
    return page - ratio(lambda: memplan.simulate(machine), parsed(huge), 5)


def slow(huge: Path, folder: Path) -> list[tuple[str, Callable[[], object], Callable[[], object], float]]:
    """Inputs that make much work, and what it may cost beside what can't be saved."""
    distances, overlaps = (folder / f"{name}.yaml" for name in ("distances", "overlaps"))
    rows = "\n".join(f"    - [{', '.join(['10'] * 1000)}]" for _ in range(1000))
    distances.write_text(f"{machine_text(8, 16 * GIB)}acpi:\n  slit:\n{rows}\n")
    entry = "    - {{pxm: {}, base: {:#x}, length: 2M, hotplug: true}}"
    entries = [entry.format(number % 8, 4 * GIB + number * MIB) for number in range(20_000)]
    head, _, _ = machine_text(8, 16 * GIB).partition("srat:")
    overlaps.write_text(f"{head}srat:\n  memory:\n" + "\n".join(entries) + "\n")
    added = {dimms: process(*hotadd(folder, dimms)) for dimms in (1, 128)}

    def planned() -> object:
        return memplan.simulate(load_machine(huge))

    return [
        ("10,000 e820 entries and 1,024 nodes / YAML", planned, parsed(huge), 16),
        ("check of a SLIT of 1,000 local nodes / YAML", lambda: memplan.check(distances), parsed(distances), 2.8),
        ("check of 20,000 SRAT entries, overlapping / YAML", lambda: memplan.check(overlaps), parsed(overlaps), 13),
        ("128 DIMMs of 4,096 blocks each are added / one", added[128], added[1], 2),
    ]


def main() -> int:
    """Measure all; exit status 1 where a limit is passed."""
    # As an installer does; an environment may keep python from caching what it compiles.
    compileall.compile_dir(Path(memplan.__file__).parent, quiet=1)
    # As the command does, or what keeps much memory would seem dearer than it is.
    gc.set_threshold(ALLOCATIONS_BETWEEN_COLLECTIONS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        eight = folder / "eight.yaml"
        eight.write_text(machine_text(8, 16 * GIB))
        imports = process(sys.executable, "-c", "import click, yaml, pydantic, rich")
        good = [
            show("simulate of 8 nodes / imports", ratio(process(BIN / "memplan", "simulate", eight), imports), 1.5),
            show(
                "memplan --help / python -c pass",
                ratio(process(BIN / "memplan", "--help"), process(sys.executable, "-c", "pass")),
                3,
            ),
            show("engine operation at 8192 regions / at 8", ratio(operations(8192), operations(8)), 2),
        ]
        small, large = folder / "small.yaml", folder / "large.yaml"
        small.write_text(machine_text(1, 64 * GIB, pse=False))
        large.write_text(machine_text(1, 64 << 40, pse=False))
        plans = [lambda path=path: memplan.simulate(load_machine(path)) for path in (large, small)]
        good.append(show("64 TiB with 4 KiB page tables / 64 GiB", ratio(plans[0], plans[1]), 1.5))
        huge = folder / "huge.yaml"
        huge.write_text(machine_text(1024, 4 * GIB, entries=10_000, cmdline="quiet"))
        good.append(show("a page of 10,000 e820 entries, without its plan / YAML", page_beside_plan(huge), 15))
        eighth = load_machine(eight)
        compared = [*sweeps(eighth, folder), *fleet(eighth, folder), *slow(huge, folder)]
        good += [show(what, ratio(run, plain, 3), limit) for what, run, plain, limit in compared]
        good.append(show("its peak memory", peak(*hotadd(folder, 128)), 40, "MiB"))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
