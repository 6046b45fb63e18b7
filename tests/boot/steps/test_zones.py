"""Zones: what real kernels printed of them, and where ZONE_MOVABLE must begin by the rules of four versions."""

import lzma
import re
from pathlib import Path

import pytest

import memplan
from memplan.boot.steps.zones import free_area_init
from memplan.firmware.combine import import_files
from memplan.machine.model import MemoryAffinity, Srat
from memplan.units import GIB, MIB, PAGE_SHIFT
from tests.boot import real
from tests.boot.steps.test_numa import KERNELS, booted, machine

ZONES = re.compile(
    r"Zone ranges:|  (DMA|DMA32|Normal|Device) +(empty|\[mem)|Movable zone start|  Node \d+: 0x|Early memory node"
    r"|  node +\d+: \[mem|On node \d+, zone"
)
ZONEINFO = re.compile(r"/proc/zoneinfo: +(Node (?P<nid>\d+), zone +(?P<name>\w+)|(?P<key>\w+):? +(?P<value>\d+))")
LOGS = Path(__file__).parent.parent / "logs"


@pytest.mark.parametrize("name", real.NAMES)
def test_the_kernel_says_of_its_zones_what_the_plan_says(name: str) -> None:
    told = [line for line in real.lines(name) if ZONES.match(line)]
    assert "Zone ranges:" in told
    assert real.printed(real.plan(name), ZONES) == told


@pytest.mark.parametrize("name", [name for name in real.NAMES if name.startswith("user-")])
def test_zones_have_the_size_that_user_space_sees(name: str) -> None:
    told: list[dict[str, int | str]] = []
    for line in real.lines(name):
        if not (found := ZONEINFO.match(line)):
            continue
        if found["name"]:
            told.append({"nid": int(found["nid"]), "name": found["name"]})
        else:
            told[-1][found["key"]] = int(found["value"])
    sizes = [(z["nid"], z["name"], z["start_pfn"], z["spanned"], z["present"]) for z in told if z.get("present")]
    assert sizes
    planned = real.plan(name).zones
    assert [(z.nid, z.name, z.start_pfn, z.spanned, z.present) for z in planned if z.present] == sizes


@pytest.mark.parametrize("name", ["srat-1m-short-6.12", "srat-1020k-short-6.1", "srat-overlap-fake-6.12"])
def test_srats_that_kill_the_kernel(name: str, tmp_path: Path) -> None:
    text = lzma.decompress((LOGS / f"{name}.log.xz").read_bytes()).decode()
    log = tmp_path / "boot.log"
    log.write_text(text)
    plan = memplan.simulate(import_files([log])[0])
    assert not plan.end.completed
    died = next(line for line in text.splitlines() if "RIP: 0010:" in line).partition("RIP: 0010:")[2].partition("+")[0]
    assert plan.end.step == {"numa_emulation": "initmem_init"}.get(died, died)
    assert plan.end.text in text
    told = [line.partition("] ")[2] for line in text.splitlines()]
    assert real.printed(plan, ZONES) == [line for line in told if ZONES.match(line)]


EVEN = [(MIB, 3 * GIB), (4 * GIB, 9 * GIB)]
SRAT_EVEN = Srat(
    memory=(
        MemoryAffinity(0, 0, 3 * GIB),
        MemoryAffinity(0, 4 * GIB, GIB),
        MemoryAffinity(1, 5 * GIB, 4 * GIB, hotplug=True),
    )
)


def movable(version: str, cmdline: str, srat: Srat = SRAT_EVEN) -> dict[int, int]:
    """Where ZONE_MOVABLE begins on each node, in MiB."""
    boot = booted(version, machine(EVEN, srat, cmdline=cmdline))
    free_area_init(boot)
    return {nid: pfn << PAGE_SHIFT >> 20 for nid, pfn in boot.zones.movable_start_pfn.items()}


@pytest.mark.parametrize("version", KERNELS)
@pytest.mark.parametrize("cmdline", ["", "kernelcore=100G", "movablecore=0"])
def test_without_a_reason_there_is_no_movable_zone(version: str, cmdline: str) -> None:
    found = movable(version, cmdline)
    # 3.13 lets ZONE_MOVABLE begin at the nodes' ends where kernelcore= asks for more than there is.
    assert found == ({0: 5120, 1: 9216} if version == "3.13" and "100G" in cmdline else {})


@pytest.mark.parametrize("version", KERNELS)
def test_movable_node_takes_what_is_marked(version: str) -> None:
    assert movable(version, "movable_node") == ({} if version == "3.13" else {1: 5120})
    # Sizes do not count beside it, but for 3.13.
    assert movable(version, "movable_node kernelcore=4G") == ({0: 4612, 1: 5636} if version == "3.13" else {1: 5120})


@pytest.mark.parametrize("version", KERNELS)
def test_kernelcore_counts_what_lies_below_the_highest_zone_first(version: str) -> None:
    # Each node shall give 3 GiB; what node 0 has below 4 GiB is 1 MiB less, which it gives above.
    assert movable(version, "kernelcore=6G") == {0: 4100, 1: 8192}
    # Node 0 gives its 3071 MiB below 4 GiB in any case.  Half of the other 1025 MiB is node 1's share; the other half
    # finds room on node 0 when what is left over is shared out again.  Both begin at the next 4 MiB.
    assert movable(version, "kernelcore=4G") == {0: 4612, 1: 5636}


@pytest.mark.parametrize(("version", "works"), [("3.13", False), ("5.10", True), ("6.1", True), ("6.12", True)])
def test_percent_is_of_all_memory(version: str, works: bool) -> None:
    by_share, by_size = movable(version, "kernelcore=50%"), movable(version, "kernelcore=4095M")
    assert bool(by_share) is works
    assert not works or set(by_share) == set(by_size) == {0, 1}


@pytest.mark.parametrize(("version", "starts"), [("5.10", {0: 5120, 1: 9216}), ("6.1", {}), ("6.12", {})])
def test_a_movable_zone_that_begins_at_its_nodes_end_is_dropped_since_5_18(
    version: str, starts: dict[int, int]
) -> None:
    # One MiB less than all: node 0 keeps nothing, and the rest of node 1 is lost in rounding.
    assert movable(version, "kernelcore=8190M") == starts
