"""Where the kernel image can lie, by what was allocated after it: the places that lead to a log's NODE_DATA.

Page tables come from the image's own brk unless they are for the RAM around it, so the image's place decides how many
pages lie above the first NODE_DATA.  Of all places that KASLR chooses from few kinds are left.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from memplan.boot.context import Boot
from memplan.boot.panic import BootPanic
from memplan.boot.replay import run
from memplan.boot.steps.numa import initmem_init
from memplan.errors import NotCoveredError
from memplan.sweep.ways import stretches, ways

if TYPE_CHECKING:
    from collections.abc import Mapping

    from memplan.kaslr.places import Places
    from memplan.kernel.model import Kernel
    from memplan.machine.model import Machine

#: So many entries of the machine's map and SRAT are gone through in all ways together; what else there may be, is left
#: alone, as are machines of more entries than a real one has.
_MOST_ENTRIES, _LARGEST = 5000, 2000


class Fit(NamedTuple):
    """The places that fit what is known best: `slots` of all, the `lowest` and the `highest`, and how many facts fit.

    `usual` says whether the usual place, at which a plan takes the image to lie, fits as well as those.
    """

    lowest: int
    highest: int
    slots: int
    fitting: int
    usual: bool


class Shift(NamedTuple):
    """At `slots` of the places a node's NODE_DATA lies so many bytes higher than planned (less than 0: lower)."""

    nid: int
    distance: int
    slots: int


def fit(machine: Machine, kernel: Kernel, node_data: Mapping[int, int], places: Places) -> Fit | None:
    """Those of `places` for the image with which most of `node_data` (node: where its NODE_DATA begins) lie as they do.

    None where no place fits any of them.
    """

    def fitting(address: int | None) -> int:
        boot = _at(machine, kernel, address)
        own = {} if boot is None else boot.nodes.node_data
        return sum(nid in own and own[nid][0] == start for nid, start in node_data.items())

    found = list(islice(ways(fitting, places), _most_ways(machine)))
    most = max((way.result for way in found), default=0)
    if not most:
        return None
    best = [(start, end) for start, end, result in stretches(found, places) if result == most]
    slots = sum(end - start for start, end in best) // places.align
    highest = max(end for _, end in best) - places.align
    return Fit(min(start for start, _ in best), highest, slots, most, fitting(None) >= most)


def shifts(machine: Machine, kernel: Kernel, places: Places) -> list[Shift]:
    """Where else than planned the nodes' NODE_DATA lie with the image at `places`, the likeliest first."""
    planned = _at(machine, kernel, None)
    if planned is None:
        return []
    own = {nid: start for nid, (start, end) in planned.nodes.node_data.items() if start < end}

    def starts(address: int) -> tuple[int, ...]:
        boot = _at(machine, kernel, address)
        return () if boot is None else tuple(int(boot.nodes.node_data[nid][0]) for nid in own)

    found = list(islice(ways(starts, places), _most_ways(machine)))
    counts: Counter[tuple[int, int]] = Counter()
    for start, end, result in stretches(found, places):
        for nid, place in zip(own, result, strict=False):
            counts[nid, place - own[nid]] += (end - start) // places.align
    return [Shift(nid, by, slots) for (nid, by), slots in counts.most_common() if by]


def _most_ways(machine: Machine) -> int:
    """How many ways are tried: a replay takes as long as the machine has entries."""
    entries = len(machine.e820) + (len(machine.srat.memory) if machine.srat is not None else 0)
    return 0 if entries > _LARGEST else max(2, _MOST_ENTRIES // max(entries, 25))


def _at(machine: Machine, kernel: Kernel, address: int | None) -> Boot | None:
    """The boot with the image at `address` (None: at its usual place), run till the nodes have their NODE_DATA.

    None where it does not come so far.
    """
    if address is not None:
        machine = machine._replace(kernel=machine.kernel._replace(load_address=address))
    boot = Boot(machine, kernel)
    try:
        for step in run(boot):
            if step.run is initmem_init:
                return boot
    except (BootPanic, NotCoveredError):
        pass
    return None
