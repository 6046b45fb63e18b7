"""How much can be added after boot: each bound by itself, and the least of them.

What can't be known (how much of the kernel's memory is in use when a memory map is wanted) makes a bound one that is
never reached, and is said so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from memplan.hotadd import zones
from memplan.hotadd.memory import MAP_SHARE, MOST_MOVABLE, MOVABLE
from memplan.hotadd.replay import build_of, run
from memplan.hotadd.running import Running
from memplan.hotadd.scenario import Add, Scenario
from memplan.hotadd.settings import settings_of
from memplan.hotadd.start import start_of
from memplan.ranges import RangeSet
from memplan.units import PAGE_SHIFT, size_text

if TYPE_CHECKING:
    from memplan.hotadd.place import Window
    from memplan.hotadd.start import Start
    from memplan.kernel.model import Kernel
    from memplan.machine.model import Machine
    from memplan.plan import Plan


class HowMuchBound(NamedTuple):
    """One bound: `dimms` of the size asked for (None: it sets none), whether it is `hard`, and why.

    A bound that is not hard is one of good sense: more can be added, but not used as it is meant.
    """

    name: str
    dimms: int | None
    hard: bool
    why: str


class HowMuch(NamedTuple):
    """The answer for DIMMs of `size` bytes: at most `dimms` (None: nothing bounds them); `refused` says why none.

    `movable` is how many of them can be movable, and so go again for certain (None: nothing bounds them).
    """

    machine_name: str
    kernel: str
    kernel_version: str
    cmdline: str
    size: int
    pxm: int | None
    dimms: int | None
    movable: int | None
    bounds: tuple[HowMuchBound, ...]
    refused: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def bytes(self) -> int | None:
        """What the DIMMs hold; None where nothing bounds them."""
        return None if self.dimms is None else self.dimms * self.size


def how_much(
    machine: Machine, kernel: Kernel, plan: Plan, scenario: Scenario, size: int, pxm: int | None = None
) -> HowMuch:
    """The most DIMMs of `size` bytes for domain `pxm` that `machine` takes after the boot that `plan` tells of.

    Of `scenario` only the hypervisor's limits count.
    """
    start = start_of(plan, machine, kernel)
    settings = settings_of(kernel, machine.cmdline)
    dropped = _dropped(start, size)
    address = start.window + _first_outside(dropped) * size if dropped else None
    trial = scenario._replace(steps=(Add(size, pxm, address),))
    running = Running(start, kernel.rules.hotplug, settings, trial, build_of(kernel))
    first = run(running)[0]
    head = (plan.machine_name, plan.kernel, plan.kernel_version, machine.cmdline, size, pxm)
    warnings = (
        *(f"not modelled: {text}" for text in plan.limits),
        *settings.notes,
        *([start.total_note] if start.total_note else ()),
        *running.warnings,
    )
    if not first.accepted or first.dimm is None:
        return HowMuch(*head, 0, 0, (), first.reason, warnings)
    blocks = running.memory.of_dimm(0)
    movable = zones.valid_zones(running.memory, running.rules, running.settings, blocks[0])[0] == MOVABLE
    hosts = blocks[0].online and not movable
    bounds = [
        _by_hypervisor(running.window, scenario, size),
        _by_srat(machine, start, size),
        _by_address(start, kernel, size),
        _by_map(start, size, on_memory=bool(blocks[0].map_pages), hosts=hosts),
    ]
    hard = [bound.dimms for bound in bounds if bound.hard and bound.dimms is not None]
    dimms = min(hard, default=None)
    sense, most = _by_ratio(start, running, size, movable=movable)
    limits = [count for count in (dimms, most) if count is not None]
    return HowMuch(*head, dimms, min(limits, default=None), (*bounds, sense), "", warnings)


def _by_hypervisor(window: Window, scenario: Scenario, size: int) -> HowMuchBound:
    counts = []
    texts = []
    if window.limit is not None:
        counts.append(window.limit // size)
        texts.append(f"maxmem leaves {size_text(window.limit)} beside the RAM at boot")
    if scenario.slots is not None:
        counts.append(scenario.slots)
        texts.append(f"{scenario.slots} slots")
    if not counts:
        return HowMuchBound("hypervisor", None, True, "its limits are not known here: --maxmem and --slots tell them")
    return HowMuchBound("hypervisor", min(counts), True, "; ".join(texts))


def _by_srat(machine: Machine, start: Start, size: int) -> HowMuchBound:
    """What firmware has marked for it: more than a hypervisor's window has never room."""
    srat = machine.srat
    entries = [entry for entry in srat.memory if entry.enabled and entry.hotplug] if srat is not None else []
    ram = RangeSet(start.ram)
    room = sum(high - low for entry in entries for low, high in ram.outside(entry.base, entry.base + entry.length))
    if not room:
        return HowMuchBound("SRAT", None, False, "no range without RAM is marked hot-pluggable; Linux does not mind")
    return HowMuchBound("SRAT", room // size, False, f"{room >> 20}M without RAM are marked hot-pluggable")


def _by_address(start: Start, kernel: Kernel, size: int) -> HowMuchBound:
    limit, why = 1 << start.address_bits, f"{start.address_bits} bits of physical address"
    if start.direct_map_end is not None:
        limit, why = min(limit, start.direct_map_end), "the direct map as KASLR has sized it at boot"
        if kernel.rules.hotplug.address_limit != "direct map":
            why += ", which this version does not look at: what is added above overwrites other mappings"
    places = max(0, limit - start.window) // size
    lost = sum(high - low for low, high in _dropped(start, size).within(0, places))
    why += f": from {start.window:#x} to {limit:#x}"
    if lost:
        why += f", without {lost} whose places overlap what is reserved there: they are dropped without a word"
    return HowMuchBound("address space", places - lost, True, why)


def _dropped(start: Start, size: int) -> RangeSet:
    """Which DIMMs, put in a row from the window's start, overlap what is reserved there."""
    base = start.window
    return RangeSet(
        (max(low - base, 0) // size, -(-(high - base) // size)) for low, high in start.reserved if high > base
    )


def _first_outside(numbers: RangeSet) -> int:
    """The lowest number that is not among `numbers`."""
    return next((high for low, high in numbers if low == 0), 0)


def _by_map(start: Start, size: int, *, on_memory: bool, hosts: bool) -> HowMuchBound:
    need = size // MAP_SHARE
    kernel = start.kernel_memory if start.total is None else min(start.total, start.kernel_memory)
    if on_memory:
        return HowMuchBound("memory map", None, True, "each block holds its own memory map")
    if hosts:
        return HowMuchBound(
            "memory map",
            None if need <= kernel else 0,
            True,
            f"{size_text(need)} a DIMM; each may lie in the DIMM before, which then can't go before the next one",
        )
    return HowMuchBound(
        "memory map",
        kernel // need,
        True,
        f"{size_text(need)} a DIMM out of the kernel's {_mib(kernel)}, were all of it free: what is in use lowers the "
        "number; at which DIMM an allocation fails can't be told, and the machine may die of it",
    )


def _by_ratio(start: Start, running: Running, size: int, *, movable: bool) -> tuple[HowMuchBound, int | None]:
    """The bound for movable memory, and the number of DIMMs that can be movable (None: no bound)."""
    settings = running.settings
    if settings.policy == "auto-movable":
        before = Running(start, running.rules, settings, running.scenario, running.build)
        nids = (None, running.dimms[0].node.nid) if settings.numa_aware and running.dimms[0].node else (None,)
        rooms = [zones.room(before.memory, settings, nid) for nid in nids]
        left = min(room.left for room in rooms) << PAGE_SHIFT
        return (
            HowMuchBound(
                "ratio",
                left // size,
                False,
                f"auto_movable_ratio={settings.ratio} leaves {_mib(left)} to be movable; more goes to kernel zones",
            ),
            left // size,
        )
    if not movable and settings.online_type() != "online_movable":
        text = "added memory goes to kernel zones: all of it can be used for anything, and none is sure to go again"
        return HowMuchBound("ratio", None, False, text), 0
    kernel = start.kernel_memory
    here = sum(zone.present for zone in start.zones if zone.name == MOVABLE) << PAGE_SHIFT
    left = max(0, MOST_MOVABLE * kernel - here)
    return (
        HowMuchBound(
            "ratio",
            left // size,
            False,
            f"more movable memory than {MOST_MOVABLE} times the kernel's ({_mib(kernel)}) starves the kernel while "
            "most of it is free; nothing in this policy stops that",
        ),
        None,
    )


def _mib(size: int) -> str:
    return f"{size >> 20}M"
