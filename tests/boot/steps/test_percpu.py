"""Per-CPU areas that are mapped page by page, against real boots of builds next to those that are known."""

import lzma
from pathlib import Path

import pytest

import memplan
from memplan.events import Change
from memplan.kernel.load import find_kernel, override
from memplan.machine.model import CpuAffinity as Cpu
from memplan.machine.model import Cpus, E820Entry, Machine, MemoryAffinity, Srat
from memplan.owner import Purpose
from memplan.units import GIB, KIB, MIB, TIB
from memplan.verification import verify

LOGS = Path(__file__).parent / "percpu"
BOOTS = [
    ("by-pages-6.12", "debian-6.12.107+deb12-amd64", "total"),
    ("no-memory-6.1", "debian-6.1.0-55-amd64", "end"),
]


@pytest.mark.parametrize(("name", "kernel", "last"), BOOTS)
def test_a_boot_with_mapped_areas_is_equal(name: str, kernel: str, last: str, tmp_path: Path) -> None:
    log = tmp_path / "boot.log"
    log.write_bytes(lzma.decompress((LOGS / f"{name}.log.xz").read_bytes()))
    result = verify(log, kernel=kernel)
    assert result.same, result.first
    assert (last, 1, 1) in result.kinds


@pytest.mark.parametrize(("la57", "embedded"), [(False, False), (True, True)])
def test_nodes_too_far_apart_for_the_vmalloc_area_can_not_be_embedded(la57: bool, embedded: bool) -> None:
    far = 25 * TIB
    machine = Machine(
        (E820Entry(0, 2 * GIB, 1), E820Entry(far, far + 8 * GIB, 1)),
        srat=Srat((MemoryAffinity(0, 0, 2 * GIB), MemoryAffinity(1, far, 8 * GIB)), (Cpu(0, 0), Cpu(1, 1))),
        cpus=Cpus(2, 2, la57=la57),
    )
    plan = memplan.simulate(machine, kernel="debian-6.12.107+deb12-amd64")
    texts = [text for event in plan.events if "pages/cpu" in (text := getattr(event, "text", ""))]
    assert [text.startswith("percpu: Embedded") for text in texts] == [embedded]
    warnings = [warning.text for warning in plan.warnings]
    assert ("setup_percpu: auto allocator failed (-22), falling back to page size" in warnings) is not embedded
    assert any("too large for vmalloc space 0x1fffffffffff" in text for text in warnings) is not embedded


@pytest.mark.parametrize("ram", [2 * GIB, GIB])
@pytest.mark.parametrize("srat", [None, Srat((MemoryAffinity(0, 0, GIB // 2), MemoryAffinity(1, GIB // 2, 8 * GIB)))])
def test_eight_thousand_cpus_take_their_pages_in_runs(ram: int, srat: Srat | None) -> None:
    """Half a million pages, that of a boot for which they are not enough too: each node's are some runs."""
    machine = Machine(
        (E820Entry(0, 640 * KIB, 1), E820Entry(MIB, ram, 1)),
        cmdline="percpu_alloc=page",
        srat=srat,
        cpus=Cpus(possible=8192),
    )
    plan = memplan.simulate(machine, kernel="6.1")
    assert plan.end.completed == (ram == 2 * GIB)
    changes = [event for event in plan.events if isinstance(event, Change) and event.owner.kind is Purpose.PERCPU]
    pages = {op: sum(event.count for event in changes if event.op == op) for op in ("reserve", "free")}
    assert pages["reserve"] > 200_000
    assert pages["free"] == (0 if plan.end.completed else pages["reserve"])
    assert len(changes) < (100 if srat is None else 25_000)


@pytest.mark.parametrize(
    ("version", "option", "sizes"),
    [
        ("6.8", "RANDOM_KMALLOC_CACHES", "r8192 d114688"),  # as Ubuntu 24.04 prints
        ("6.5", "RANDOM_KMALLOC_CACHES", "r8192 d28672"),
        ("6.12", "MEM_ALLOC_PROFILING", "r65536 d28672"),
        ("6.8", "MEM_ALLOC_PROFILING", "r8192 d28672"),
        ("6.18", "MEM_ALLOC_PROFILING", "r8192 d28672"),
    ],
)
def test_options_that_want_more_per_cpu_memory(version: str, option: str, sizes: str) -> None:
    kernel = override(find_kernel(version), {f"config.{option}": True})
    e820 = E820Entry(0, 640 * KIB, 1), E820Entry(MIB, 2 * GIB, 1)
    plan = memplan.simulate(Machine(e820), kernel=kernel)
    (line,) = [text for event in plan.events if "pages/cpu" in (text := getattr(event, "text", ""))]
    assert sizes in line
