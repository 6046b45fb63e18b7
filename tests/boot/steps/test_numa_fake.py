"""numa=fake=: that real kernels' fake nodes are the planned ones is tested with their other lines; here the rules."""

import pytest

from memplan.boot.context import Boot
from memplan.boot.panic import BootPanic
from memplan.events import Change
from memplan.machine.model import CpuAffinity, Cpus, MemoryAffinity, Srat
from memplan.owner import Purpose
from memplan.units import GIB, MIB
from tests.boot.steps.single import warned
from tests.boot.steps.test_numa import KERNELS, booted, machine, messages

RAM = [(MIB, 3 * GIB), (4 * GIB, 6 * GIB)]
TWO = Srat(
    memory=(MemoryAffinity(0, 0, 3 * GIB), MemoryAffinity(1, 4 * GIB, 2 * GIB)),
    cpus=(CpuAffinity(0, 0), CpuAffinity(1, 1)),
)


def fake(version: str, option: str, srat: Srat | None = TWO, slit: tuple[tuple[int, ...], ...] = ()) -> Boot:
    return booted(version, machine(RAM, srat, Cpus(possible=2, present=2), f"numa=fake={option}", slit))


def parts(boot: Boot) -> dict[int | None, int]:
    sizes: dict[int | None, int] = {}
    for _, size, nid, _ in boot.memblock.memory:
        sizes[nid] = sizes.get(nid, 0) + (size >> 20)
    return sizes


@pytest.mark.parametrize("version", KERNELS)
@pytest.mark.parametrize("option", ["2", "3", "8", "512M", "1G", "5G"])
def test_fake_nodes_share_all_memory_and_never_two_machines_nodes(version: str, option: str) -> None:
    boot = fake(version, option)
    assert sum(parts(boot).values()) == 5 * 1024 - 1
    assert set(parts(boot)) == boot.nodes.possible
    if option.isdigit():
        # What is left of a machine's node and too small for one more goes to the last.
        assert boot.nodes.possible <= set(range(int(option)))
    ends = {0: 0, 1: 0}
    for base, size, nid, _ in boot.memblock.memory:
        physical = int(base >= 4 * GIB)
        assert nid is not None
        ends[physical] = base + size
    assert ends == {0: 3 * GIB, 1: 6 * GIB}


@pytest.mark.parametrize(("version", "first"), [("5.10", 1535), ("6.1", 1535), ("6.12", 1536)])
def test_uniform_parts_ignore_holes(version: str, first: int) -> None:
    # The hole is the first MiB; 6.12 begins with the first byte of RAM.
    assert parts(fake(version, "2U")) == {0: first, 1: 3071 - first, 2: 1024, 3: 1024}


def test_3_13_takes_the_number_of_a_uniform_split_for_a_plain_one() -> None:
    assert parts(fake("3.13", "2U")) == parts(fake("3.13", "2"))


@pytest.mark.parametrize("version", KERNELS)
@pytest.mark.parametrize("option", ["0", "", "0M", "nonsense"])
def test_what_can_not_be_made_is_not_made(version: str, option: str) -> None:
    assert parts(fake(version, option)) == {0: 3071, 1: 2048}


@pytest.mark.parametrize("version", KERNELS)
def test_small_sizes_grow(version: str) -> None:
    boot = fake(version, "1M")
    # 5 GiB less 1 MiB in as many nodes as there may be, or 32 MiB.
    least = -(-max(5119 * 256 // boot.kernel.max_numnodes * 4096, 32 * MIB) // (32 * MIB)) * 32
    assert warned(boot)[:1] == [f"Fake node size 1MB too small, increasing to {least}MB"]
    assert len(boot.nodes.possible) <= boot.kernel.max_numnodes


@pytest.mark.parametrize("version", KERNELS)
def test_cpus_go_to_the_first_fake_node_of_theirs(version: str) -> None:
    assert fake(version, "1G").nodes.apic_to_node == {0: 0, 1: 1}
    # All of the first node's memory goes to one fake node, that of the second to the next.
    assert fake(version, "4G").nodes.apic_to_node == {0: 0, 1: 1}
    assert fake(version, "4G", Srat(memory=TWO.memory, cpus=TWO.cpus[1:])).nodes.apic_to_node == {1: 0}


@pytest.mark.parametrize("version", KERNELS)
def test_distances_are_copied_and_made_anew(version: str) -> None:
    boot = fake(version, "1G", slit=((10, 30), (30, 10)))
    table = [e for e in boot.recorder.events if isinstance(e, Change) and e.owner.kind is Purpose.NUMA_DISTANCES]
    new = len(boot.nodes.possible) ** 2
    assert new > 4
    changes = [("reserve", 4), ("reserve", 4), ("free", 4), ("reserve", new), ("free", 4)]
    assert [(e.op, e.end - e.start) for e in table] == changes
    # Fake nodes take turns over the machine's.
    assert [boot.nodes.distances.between(0, other) for other in (0, 1, 2)] == [10, 30, 10]


def test_6_12_knows_no_fake_nodes_with_numa_off() -> None:
    def nodes(version: str) -> int:
        return len(booted(version, machine(RAM, TWO, cmdline="numa=off numa=fake=2")).nodes.possible)

    assert (nodes("6.1"), nodes("6.12")) == (2, 1)


def test_6_12_dies_of_a_domain_without_ram() -> None:
    window = MemoryAffinity(2, 8 * GIB, GIB, hotplug=True)
    three = Srat(memory=(*TWO.memory, window))
    assert fake("6.1", "2", three).nodes.possible == {0, 1}
    with pytest.raises(BootPanic, match="NULL pointer"):
        fake("6.12", "2", three)
    # With distances between the machine's nodes there is something to read.
    boot = fake("6.12", "2", three, slit=((10, 20, 20), (20, 10, 20), (20, 20, 10)))
    assert boot.nodes.possible == {0, 1, 2}
    assert boot.nodes.node_to_pxm == {0: 0, 1: 1, 2: 2}


@pytest.mark.parametrize("version", ["5.10", "6.1"])
def test_a_uniform_part_may_be_a_hole(version: str) -> None:
    """A block of 4 GiB of which two are RAM: its third and fourth quarter are nodes all the same."""
    srat = Srat(
        memory=(MemoryAffinity(0, 0, GIB), MemoryAffinity(1, 4 * GIB, 4 * GIB), MemoryAffinity(2, 8 * GIB, GIB))
    )
    ram = [(MIB, GIB), (4 * GIB, 6 * GIB), (8 * GIB, 9 * GIB)]
    boot = booted(version, machine(ram, srat, cmdline="numa=fake=4U"))
    told = [text for text in messages(boot) if text.startswith("Faking node")]
    parts = [(nid * 256 * MIB, 256) for nid in range(4)]
    parts += [(4 * GIB + part * GIB, 1024) for part in range(4)]
    parts += [(8 * GIB + part * 256 * MIB, 256) for part in range(4)]
    assert told == [
        f"Faking node {nid} at [mem {start:#018x}-{start + size * MIB - 1:#018x}] ({size}MB)"
        for nid, (start, size) in enumerate(parts)
    ]
