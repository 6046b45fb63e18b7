"""Areas that may be used until they are needed: hugetlb_cma=, crashkernel=N,cma, kexec hand-over's scratch areas."""

from __future__ import annotations

import pytest

from memplan.boot.replay import replay
from memplan.errors import NotCoveredError
from memplan.events import Change, Message
from memplan.kernel.load import find_kernel
from memplan.kernel.model import Kernel
from memplan.machine.model import E820_RAM, Cpus, E820Entry, Machine
from memplan.owner import Purpose
from memplan.plan import Plan
from memplan.units import GIB, MIB


def machine(cmdline: str, *ram: tuple[int, int]) -> Machine:
    ranges = ((0, 640 * 1024), (MIB, 2 * GIB), *(ram or ((4 * GIB, 16 * GIB),)))
    entries = tuple(E820Entry(start, end, E820_RAM) for start, end in ranges)
    return Machine(e820=entries, cmdline=f"nokaslr {cmdline}", cpus=Cpus(possible=2, gbpages=True))


def plan(cmdline: str, *ram: tuple[int, int], kernel: str = "lab-6.18.8") -> Plan:
    return replay(machine(cmdline, *ram), find_kernel(kernel))


def taken(plan: Plan, kind: Purpose) -> list[tuple[int, int]]:
    """What was reserved for that purpose and not given back."""
    return [(one.start, one.end) for one in plan.reservations if one.owner.kind is kind]


def said(plan: Plan, word: str) -> list[str]:
    return [event.text for event in plan.events if isinstance(event, Message) and word in event.text]


def test_an_area_of_several_ranges() -> None:
    """No gap holds 6 GiB; the ranges are the node's largest above 4 GiB, upwards."""
    gaps = plan("hugetlb_cma=6G", (4 * GIB, 8 * GIB), (9 * GIB, 13 * GIB))
    assert said(gaps, "cma: Reserved") == ["cma: Reserved 6144 MiB in 2 ranges"]
    assert sum(end - start for start, end in taken(gaps, Purpose.HUGETLB_CMA)) == 6 * GIB
    assert all(start >= 4 * GIB for start, _ in taken(gaps, Purpose.HUGETLB_CMA))
    whole = plan("hugetlb_cma=6G")
    assert said(whole, "cma: Reserved") == ["cma: Reserved 6144 MiB in 1 range"]
    assert len(taken(whole, Purpose.HUGETLB_CMA)) == 1


def test_pages_out_of_an_area() -> None:
    """The area is reserved once; pages out of it are marked, and take nothing else."""
    only = plan("hugetlb_cma=3G hugetlb_cma_only=on hugepagesz=1G hugepages=4")
    assert not taken(only, Purpose.GIGANTIC_PAGES)
    text = "HugeTLB: allocating 4 of page size 1.00 GiB failed.  Only allocated 3 hugepages."
    assert said(only, "HugeTLB") == [text]
    skipped = plan("hugetlb_cma=3G hugepagesz=1G hugepages=4")
    assert said(skipped, "HugeTLB") == ["HugeTLB: hugetlb_cma is enabled, skip boot time allocation"]


def test_nodes_that_hugetlb_cma_may_not_name() -> None:
    wrong = plan("hugetlb_cma=0:2G,1:512M,3:1G")
    assert said(wrong, "hugetlb_cma:") == [
        "hugetlb_cma: invalid node 1 specified",
        "hugetlb_cma: invalid node 3 specified",
        "hugetlb_cma: reserved 2048 MiB on node 0",
    ]
    small = plan("hugetlb_cma=0:512M hugepagesz=1G hugepages=1")
    assert said(small, "hugetlb_cma:") == ["hugetlb_cma: cma area of node 0 should be at least 1024 MiB"]
    assert len(taken(small, Purpose.GIGANTIC_PAGES)) > 0


def test_areas_for_the_crash_kernel() -> None:
    whole = plan("crashkernel=256M crashkernel=1G,cma")
    assert said(whole, "crashkernel CMA") == ["crashkernel CMA reserved: 1024 MB in 1 ranges"]
    assert [end - start for start, end in taken(whole, Purpose.CRASH_KERNEL_CMA)] == [GIB]
    assert [end - start for start, end in taken(whole, Purpose.CRASH_KERNEL)] == [256 * MIB]
    # Neither 100G nor 50G, 25G or 12.5G fit: there are areas of 6.25G and less, and four at most.
    parts = plan("crashkernel=256M crashkernel=100G,cma")
    text = "crashkernel CMA reservation failed: 102400 MB requested, "
    assert said(parts, "crashkernel CMA") == [f"{text}{6400 + 3200 + 1600 + 1600} MB reserved in 4 ranges"]


def test_which_lines_about_areas_tell_of_trouble() -> None:
    whole = plan("crashkernel=256M crashkernel=1G,cma hugetlb_cma=0:2G,1:1G")
    assert [message.text for message in whole.warnings] == ["hugetlb_cma: invalid node 1 specified"]
    parts = plan("crashkernel=256M crashkernel=100G,cma hugetlb_cma=0:512M")
    told = [message.text for message in parts.warnings]
    assert told[0] == "hugetlb_cma: cma area of node 0 should be at least 1024 MiB"
    # 100G, 50G, 25G, 12.5G and, in the end, one more area than there is room for.
    assert [text for text in told if text.startswith("cma: Failed")]
    assert told[-1].startswith("crashkernel CMA reservation failed: 102400 MB requested, ")


def test_a_version_that_does_not_know_the_suffix() -> None:
    assert said(plan("crashkernel=256M crashkernel=1G,cma", kernel="6.12"), "crashkernel") == [
        "crashkernel: unrecognized char: ,"
    ]


def test_the_suffix_without_an_area_allocator() -> None:
    kernel = find_kernel("lab-6.18.8")
    plain = replay(machine("crashkernel=256M crashkernel=1G,cma"), without(kernel, "CMA", "DMA_CMA"))
    assert said(plain, "CMA") == ["crashkernel CMA reservation not supported"]
    assert [message.text for message in plain.warnings] == ["crashkernel CMA reservation not supported"]


def without(kernel: Kernel, *options: str) -> Kernel:
    facts = {name: value for name, value in kernel.facts.items() if name.removeprefix("config.") not in options}
    return kernel._replace(facts=facts)


def test_scratch_areas() -> None:
    """By default twice what the kernel has reserved for itself; low, global and each node's, in 2 MiB units."""
    kernel = find_kernel("lab-6.18.8")
    kernel = kernel._replace(facts={**kernel.facts, "config.KEXEC_HANDOVER": True})
    assert not taken(replay(machine(""), kernel), Purpose.KHO_SCRATCH)
    fixed = replay(machine("kho=on kho_scratch=16M,64M,32M"), kernel)
    changes = [e for e in fixed.events if isinstance(e, Change) and e.owner.kind is Purpose.KHO_SCRATCH]
    assert [change.end - change.start for change in changes] == [48, 16 * MIB, 64 * MIB, 32 * MIB]
    assert changes[1].end <= 4 * GIB
    scaled = replay(machine("kho=on"), kernel)
    sizes = [e.end - e.start for e in scaled.events if isinstance(e, Change) and e.owner.kind is Purpose.KHO_SCRATCH]
    assert len(sizes) == 4
    assert all(size and size % (2 * MIB) == 0 for size in sizes[1:])
    full = replay(machine("kho=on kho_scratch=16M,64G,32M"), kernel)
    assert not taken(full, Purpose.KHO_SCRATCH)
    assert said(full, "KHO") == ["KHO: Failed to reserve scratch area, disabling kexec handover"]


def test_a_smaller_memory_map_is_not_replayed() -> None:
    with pytest.raises(NotCoveredError, match="hugetlb_free_vmemmap=on"):
        plan("hugetlb_free_vmemmap=on hugepagesz=1G hugepages=1")
