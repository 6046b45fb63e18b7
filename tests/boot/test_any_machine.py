"""Any machine that can be described has a plan: nothing breaks, and what is reserved has an owner."""

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import memplan
from memplan.events import Checkpoint
from memplan.machine.model import (
    Acpi,
    AcpiTable,
    CpuAffinity,
    Cpus,
    E820Entry,
    Initrd,
    KernelImage,
    Machine,
    MemoryAffinity,
    Srat,
)
from memplan.plan import Plan
from memplan.render.plan_json import plan_lines
from memplan.render.report import plan_report
from memplan.render.terminal import report_lines
from memplan.render.trace import trace_lines

MIB, GIB = 1 << 20, 1 << 30
OPTIONS = (
    "movable_node",
    "nokaslr",
    "kernelcore=30%",
    "kernelcore=1G",
    "kernelcore=mirror",
    "movablecore=2G",
    "crashkernel=256M",
    "crashkernel=1G,high",
    "crashkernel=64M,low",
    "crashkernel=512M-2G:64M,2G-:128M@16M",
    "mem=3G",
    "memmap=64M$1G",
    "memmap=1G!5G",
    "memmap=exactmap memmap=640K@0 memmap=2G@1M",
    "hugepagesz=1G hugepages=3",
    "hugetlb_cma=2G",
    "cma=256M",
    "numa=off",
    "numa=fake=4",
    "numa=fake=512M",
    "numa=fake=2U",
    "acpi=off",
    "log_buf_len=16M",
    "swiotlb=noforce",
    "swiotlb=65536",
    "reserve_mem=4M:4096:x",
    "debug_pagealloc=on",
    "no5lvl",
    "unknown_word",
    "hashdist=0",
)


@st.composite
def machines(draw: st.DrawFn) -> Machine:
    """RAM below and above 4 GiB with holes, nodes that fit it well or badly, tables and an initrd somewhere."""
    low = draw(st.integers(96, 3072)) * MIB + draw(st.sampled_from((0, 0x1000, 0xFE0000)))
    high = draw(st.integers(0, 40)) * 512 * MIB
    e820 = [
        E820Entry(0, 0x9FC00, 1),
        E820Entry(0x9FC00, MIB, 2),
        E820Entry(MIB, low, 1),
        E820Entry(0xFFFC0000, 4 * GIB, 2),
    ]
    if high:
        cut = draw(st.integers(0, high // MIB)) * MIB
        e820.append(E820Entry(4 * GIB, 4 * GIB + cut, 1))
        e820.append(E820Entry(4 * GIB + cut, 4 * GIB + high, draw(st.sampled_from((1, 2, 7, 0xEFFFFFFF)))))
    end = 4 * GIB + high if high else low
    count = draw(st.integers(0, 6))
    edges = sorted(draw(st.lists(st.integers(1, end // (16 * MIB)), min_size=count, max_size=count)))
    cuts = [0, *(edge * 16 * MIB for edge in edges), end]
    memory = [
        MemoryAffinity(draw(st.integers(0, 9)), a, b - a, draw(st.integers(0, 9)) > 0, draw(st.booleans()))
        for a, b in itertools.pairwise(cuts)
    ]
    possible = draw(st.integers(1, 40))
    cpus = [CpuAffinity(cpu, draw(st.integers(0, 9))) for cpu in range(draw(st.integers(0, possible)))]
    srat = draw(st.sampled_from((None, Srat(tuple(memory), tuple(cpus)))))
    where = low - 2 * MIB
    initrd = draw(st.sampled_from((None, Initrd(where - 8 * MIB, 8 * MIB))))
    return Machine(
        e820=tuple(entry for entry in e820 if entry.start < entry.end),
        cmdline=" ".join(draw(st.lists(st.sampled_from(OPTIONS), max_size=4, unique=True))),
        srat=srat,
        acpi=Acpi(tables=(AcpiTable("FACP", where, 276), AcpiTable("SRAT", where + 0x1000, 400)), hpet=True),
        cpus=Cpus(
            possible=possible,
            present=possible,
            pse=draw(st.integers(0, 9)) > 0,
            gbpages=draw(st.booleans()),
            la57=draw(st.booleans()),
        ),
        kernel=KernelImage(draw(st.sampled_from(("3.13", "5.10", "6.1", "6.12")))),
        initrd=initrd,
    )


def covered(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        elif start < end:
            joined.append((start, end))
    return joined


def last_checkpoint(plan: Plan) -> Checkpoint:
    return [event for event in plan.events if isinstance(event, Checkpoint)][-1]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(machines(), st.sampled_from((None, True, False)))
def test_what_is_reserved_has_an_owner(machine: Machine, bottom_up: bool | None) -> None:
    try:
        plan = memplan.simulate(machine, bottom_up=bottom_up)
    except memplan.NotCoveredError:
        return
    last = last_checkpoint(plan)
    assert covered([(r.start, r.end) for r in plan.reservations]) == covered([(r.start, r.end) for r in last.reserved])
    assert all(str(r.owner) and r.step for r in plan.reservations)
    assert all(0 <= zone.present <= zone.spanned for zone in plan.zones)
    assert all(v.blocks <= v.total_blocks and v.reason for v in plan.verdicts)
    for nid in {nid for nid, _, _ in plan.movable} | {v.nid for v in plan.verdicts}:
        blocks = sum((end - start) // plan.block_size for own, start, end in plan.movable if own == nid)
        assert sum(v.blocks for v in plan.verdicts if v.nid == nid) == blocks
    ram = covered([(r.start, r.end) for r in last.memory])
    assert all(any(a <= start and end <= b for a, b in ram) for _, start, end in plan.movable)
    assert plan.end.completed or (plan.end.step and plan.end.text and plan.end.cause)
    assert list(plan_lines(plan))
    assert list(trace_lines(plan, everything=True))
    assert list(report_lines(plan_report(plan, verbose=True), terminal=False))


def test_a_count_below_zero_is_no_number_of_pages() -> None:
    machine = Machine(
        e820=(
            E820Entry(0, 0x9FC00, 1),
            E820Entry(MIB, 96 * MIB, 1),
            E820Entry(4 * GIB, 4 * GIB + 512 * MIB, 1),
        ),
        cmdline="kernelcore=mirror",
        srat=Srat(
            (
                MemoryAffinity(0, 0, 16 * MIB),
                MemoryAffinity(1, 16 * MIB, 4 * GIB),
                MemoryAffinity(0, 4 * GIB + 16 * MIB, 496 * MIB),
            )
        ),
        kernel=KernelImage("5.10"),
    )
    with pytest.raises(memplan.NotCoveredError, match="kernelcore=mirror on nodes that lie in one another"):
        memplan.simulate(machine)
