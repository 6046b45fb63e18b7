"""Where KASLR may put the kernel, against the places at which real kernels were found and against the walk itself."""

import lzma
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memplan.errors import NotCoveredError
from memplan.firmware.combine import import_files
from memplan.kaslr.choice import possible_places
from memplan.kaslr.options import MemoryOptions, memory_options
from memplan.kaslr.places import Area, disjoint
from memplan.kernel.builds import with_rules
from memplan.kernel.load import find_kernel
from memplan.kernel.model import Kernel
from memplan.kernel.resolve import load_rules
from memplan.machine.model import (
    E820Entry,
    Efi,
    EfiRange,
    Initrd,
    KernelImage,
    Machine,
    MemoryAffinity,
    SetupData,
    Srat,
)
from memplan.units import GIB, MIB, SIZE_2M

DATA = Path(__file__).parent / "data"
#: The map of a machine of 8 GiB in QEMU.
PC = (
    E820Entry(0, 0x9FC00, 1),
    E820Entry(0x9FC00, 0xA0000, 2),
    E820Entry(MIB, 0xBFFE0000, 1),
    E820Entry(0xBFFE0000, 0xC0000000, 2),
    E820Entry(4 * GIB, 0x240000000, 1),
)
#: Builds that booted: what of them decides where they may lie.
BUILDS = {
    "4.19.72": {"image.init_size": 0x1130000, "image.output_len": 0x10D6BC4, "image.total_size": 0xE2C000},
    "5.15.135": {"image.init_size": 0x29AB000, "image.output_len": 0x28DD0B4, "image.total_size": 0x1E2C000},
}


def build(version: str) -> Kernel:
    """The build of that name, or that of 6.12 with another's facts under its version's rules."""
    if version not in BUILDS:
        return find_kernel(version)
    return with_facts(with_rules(find_kernel("debian-6.12.107+deb12-amd64"), version), **BUILDS[version])


def with_facts(kernel: Kernel, **facts: int | bool) -> Kernel:
    return kernel._replace(facts={**kernel.facts, **facts})


def rules_of(version: str, **facts: int | bool) -> Kernel:
    """A build of 16 MiB under the rules of `version`."""
    kernel = with_rules(find_kernel("lab-5.10.89"), version)
    return with_facts(kernel, **{"image.output_len": 16 * MIB, "image.total_size": 15 * MIB, **facts})


@pytest.mark.parametrize(
    ("version", "seen"),
    [
        ("4.19.72", 0x5B600000),
        ("lab-5.10.89", 0x1EBC00000),
        ("5.15.135", 0x17DA00000),
        ("debian-6.1.0-55-amd64", 0x1F4200000),
        ("debian-6.12.107+deb12-amd64", 0x1AF600000),
        # A second machine of that size, with an SRAT from its initrd.
        ("4.19.72", 0x1DC800000),
        ("lab-5.10.89", 0x1D1800000),
        ("5.15.135", 0x5F600000),
        ("debian-6.1.0-55-amd64", 0x131C00000),
        ("debian-6.12.107+deb12-amd64", 0x16F000000),
    ],
)
def test_kernels_were_found_at_one_of_the_places(version: str, seen: int) -> None:
    places = possible_places(Machine(PC, kernel=KernelImage(version)), build(version))
    assert places.holds(seen)
    assert not places.holds(seen + SIZE_2M // 2)
    assert places.chooser == "decompressor"


def test_places_worked_out_by_hand() -> None:
    kernel = find_kernel("lab-5.10.89")
    bare = possible_places(Machine(PC), kernel)
    assert bare.areas == (Area(0x2200000, 1510), Area(4 * GIB, 2552))
    assert not bare.holds(16 * MIB)
    stays = (MemoryAffinity(0, 0, 0xA0000), MemoryAffinity(0, MIB, 3 * GIB - MIB), MemoryAffinity(0, 4 * GIB, GIB))
    hot = MemoryAffinity(1, 5 * GIB, 4 * GIB, hotplug=True)
    marked = possible_places(Machine(PC, srat=Srat((*stays, hot))), kernel)
    assert marked.areas == (Area(0x2200000, 1510), Area(4 * GIB, 504))


@pytest.mark.parametrize(
    ("name", "kernel", "chooser"),
    [
        ("user-ovmf-4.19", build("4.19.72"), "decompressor"),
        ("ovmf-hot1-6.12", build("debian-6.12.107+deb12-amd64"), "EFI stub"),
    ],
)
def test_the_lowest_place_on_efi(name: str, kernel: Kernel, chooser: str, tmp_path: Path) -> None:
    """With nokaslr both kernels were found above what firmware held at 16 MiB; the log's map tells what it held."""
    log = tmp_path / "boot.log"
    log.write_bytes(lzma.decompress((DATA / f"{name}.log.xz").read_bytes()))
    machine = import_files([log])[0]
    assert machine.kernel.load_address == 0x1600000
    unplaced = machine._replace(kernel=KernelImage(randomized=True, load_address=0x1600000))
    places = possible_places(unplaced, kernel)
    assert (places.chooser, places.fixed) == (chooser, 0x1600000)


def test_places_of_the_first_versions_end_at_one_gib() -> None:
    machine = Machine(PC)
    assert possible_places(machine, rules_of("3.13.11")).reason == "this version has no KASLR"
    early = possible_places(machine, rules_of("3.14.79"))
    assert early.areas[-1].start + early.areas[-1].slots * SIZE_2M + early.size == GIB + SIZE_2M
    assert early.areas[0].start == 16 * MIB or early.areas[0].start > 16 * MIB
    lower = possible_places(machine, rules_of("4.4.155", **{"config.RANDOMIZE_BASE_MAX_OFFSET": 512 * MIB}))
    assert lower.slots < early.slots
    assert possible_places(machine, rules_of("4.8.17")).holds(8 * GIB)


def test_the_word_kaslr_is_needed_for_a_while() -> None:
    asleep = {"config.HIBERNATION": True}
    assert not possible_places(Machine(PC), rules_of("4.4.155", **asleep)).areas
    assert possible_places(Machine(PC, cmdline="kaslr nokaslr"), rules_of("4.4.155", **asleep)).areas
    assert possible_places(Machine(PC), rules_of("3.15.5", **asleep)).areas
    assert not possible_places(Machine(PC, cmdline="nokaslr"), rules_of("4.8.17", **asleep)).areas


def test_firmware_s_srat_counts_from_5_1_on() -> None:
    srat = Srat((MemoryAffinity(0, 0, 4 * GIB), MemoryAffinity(1, 4 * GIB, 5 * GIB, hotplug=True)))
    assert possible_places(Machine(PC, srat=srat), rules_of("5.0.1")).holds(5 * GIB)
    assert not possible_places(Machine(PC, srat=srat), rules_of("5.2.1")).holds(5 * GIB)
    assert possible_places(Machine(PC, srat=srat, cmdline="acpi=off"), rules_of("5.2.1")).holds(5 * GIB)
    all_marked = Srat((MemoryAffinity(0, 0, 9 * GIB, hotplug=True),))
    assert possible_places(Machine(PC, srat=all_marked), rules_of("6.4.0")).holds(5 * GIB)
    disabled = Srat((*srat.memory, MemoryAffinity(1, 4 * GIB, 5 * GIB, enabled=False)))
    assert possible_places(Machine(PC, srat=disabled), rules_of("6.4.0")).holds(5 * GIB)


def test_initrd_and_setup_data_are_avoided() -> None:
    machine = Machine(PC, initrd=Initrd(1 * GIB, 64 * MIB), setup_data=(SetupData(2 * GIB, 100),))
    places = possible_places(machine, rules_of("6.4.0"))
    for start, end in ((GIB, GIB + 64 * MIB), (2 * GIB, 2 * GIB + 116)):
        assert not any(places.holds(at) for at in range(start - 16 * MIB + SIZE_2M, end, SIZE_2M))
        assert places.holds(start - 16 * MIB)
    assert possible_places(machine, rules_of("3.16.0")).holds(512 * MIB)


@pytest.mark.parametrize(
    ("version", "cmdline", "expected"),
    [
        ("4.10.17", "memmap=1G$1G mem=4G", MemoryOptions()),
        ("4.11.0", "memmap=1G$1G memmap=1G$3G", MemoryOptions(((3 * GIB, 4 * GIB),))),
        ("4.11.0", "memmap=1G@1G,1M#3G mem=4G", MemoryOptions(((3 * GIB, 3 * GIB + MIB),))),
        ("4.13.4", "mem=2G mem=4G", MemoryOptions(limit=4 * GIB)),
        ("5.10.7", "mem=2G mem=4G", MemoryOptions(limit=2 * GIB)),
        ("6.12.0", "memmap=1G$0", MemoryOptions(limit=GIB)),
        ("6.12.0", "memmap=exactmap,1G$2G memmap=1G!5G", MemoryOptions(((5 * GIB, 6 * GIB),))),
        ("6.12.0", "mem=0 memmap=1G$2G", MemoryOptions()),
        ("6.12.0", "mem=nopentium memmap=1G$2G -- memmap=1G$4G", MemoryOptions(((2 * GIB, 3 * GIB),))),
        ("6.12.0", "hugepagesz=1G hugepages=3", MemoryOptions(spared=3)),
        ("6.12.0", "hugepagesz=1G hugepagesz=2M hugepages=3", MemoryOptions()),
        ("4.13.4", "hugepagesz=1G hugepages=3", MemoryOptions()),
        # Since 7.2 the number must be all of the value, or what was said before stays.
        ("7.1.5", "hugepagesz=1G hugepages=3 hugepages=0:2,1:2", MemoryOptions()),
        ("7.2.13", "hugepagesz=1G hugepages=3 hugepages=0:2,1:2", MemoryOptions(spared=3)),
        ("7.2.13", "hugepagesz=1G hugepages=3 hugepages=", MemoryOptions(spared=3)),
        ("7.2.13", "hugepagesz=1G hugepages=3x", MemoryOptions()),
        ("7.2.13", "hugepagesz=1G hugepages=3 hugepages=+2", MemoryOptions(spared=2)),
        ("7.1.5", "hugepagesz=1G hugepages=+2", MemoryOptions()),
        ("6.10.0", "efi_fake_mem=1G@2G:0x40000", MemoryOptions(((2 * GIB, 3 * GIB),))),
        ("6.10.0", "efi_fake_mem=1G@2G:0x10000", MemoryOptions()),
        ("6.12.0", "efi_fake_mem=1G@2G:0x40000", MemoryOptions()),
    ],
)
def test_options(version: str, cmdline: str, expected: MemoryOptions) -> None:
    assert memory_options(cmdline, load_rules(version)) == expected


def test_a_fifth_range_gives_kaslr_up_but_not_a_fifth_option() -> None:
    ranges = [f"1M${number}G" for number in range(1, 6)]
    rules = load_rules("6.12.0")
    assert memory_options("memmap=" + ",".join(ranges), rules).gives_up
    apart = memory_options(" ".join(f"memmap={own}" for own in ranges), rules)
    assert (apart.gives_up, len(apart.avoid)) == (False, 4)
    assert not possible_places(Machine(PC, cmdline="memmap=" + ",".join(ranges)), rules_of("6.4.0")).areas


def test_gigantic_pages_are_spared_from_low_to_high() -> None:
    machine = Machine(PC, cmdline="hugepagesz=1G hugepages=3")
    places = possible_places(machine, rules_of("6.4.0"))
    # [1G, 2G) of the low range, and two of the high range, are left to pages; 3G to 0xbffe0000 is the low range's tail.
    assert not places.holds(GIB)
    assert places.holds(2 * GIB)
    assert not places.holds(5 * GIB)
    assert places.holds(6 * GIB)
    old = possible_places(Machine(PC, cmdline="hugepagesz=1G hugepages=9"), rules_of("4.19.72"))
    assert old.holds(8 * GIB)
    assert not possible_places(Machine(PC, cmdline="hugepagesz=1G hugepages=9"), rules_of("6.4.0")).holds(8 * GIB)


def test_the_limit_of_mem() -> None:
    places = possible_places(Machine(PC, cmdline="mem=5G"), rules_of("6.4.0"))
    assert places.areas[-1].start + (places.areas[-1].slots - 1) * SIZE_2M == 5 * GIB - 16 * MIB
    assert possible_places(Machine(PC, cmdline="mem=24M"), rules_of("6.4.0")).reason
    assert possible_places(Machine(PC, cmdline="mem=5G"), rules_of("4.12.0")).holds(6 * GIB)


def efi(*ranges: EfiRange) -> Machine:
    return Machine(PC, efi=Efi(descriptors=ranges))


def test_mirrored_memory_comes_first() -> None:
    plain, mirrored = EfiRange(GIB, 2 * GIB, 7), EfiRange(4 * GIB, 5 * GIB, 7, 0x1000F)
    image = EfiRange(2 * GIB, 2 * GIB + 32 * MIB, 1)
    for version in ("6.4.0", "6.12.0"):
        assert {area.start for area in possible_places(efi(plain, image), rules_of(version)).areas} == {GIB}
        both = possible_places(efi(plain, image, mirrored), rules_of(version))
        assert {area.start for area in both.areas} == {4 * GIB}
    assert possible_places(efi(plain, mirrored), rules_of("4.13.4")).holds(6 * GIB)


def test_soft_reserved_and_hot_pluggable_memory_is_left_out() -> None:
    soft, hot = EfiRange(GIB, 2 * GIB, 7, 0x4000F), EfiRange(4 * GIB, 5 * GIB, 7, 0x10000F)
    image = EfiRange(2 * GIB, 2 * GIB + 32 * MIB, 1)
    on = {"config.EFI_SOFT_RESERVE": True}

    def starts(version: str, cmdline: str = "") -> set[int]:
        machine = efi(soft, image, hot)._replace(cmdline=cmdline)
        return {area.start for area in possible_places(machine, rules_of(version, **on)).areas}

    assert starts("6.12.0") == {4 * GIB}
    assert starts("6.12.0", "efi=nosoftreserve") == {GIB, 4 * GIB}
    assert starts("6.14.0", "efi=nosoftreserve") == {GIB}
    assert starts("6.4.0") == {4 * GIB}
    assert starts("4.19.72") == {GIB + 18 * MIB, 4 * GIB}


def test_words_that_fix_the_place_on_efi() -> None:
    free = efi(EfiRange(20 * MIB, GIB, 7))
    for cmdline, version, fixed in (
        ("mem=8G", "6.12.0", True),
        ("quiet memmap=1M$1G", "6.12.0", True),
        ("xmem=8G", "6.12.0", False),
        ("efi_fake_mem=1G@2G:0x40000", "6.10.0", True),
        ("efi_fake_mem=1G@2G:0x40000", "6.12.0", False),
        ("mem=8G", "6.9.0", False),
        ("nokaslr", "6.9.0", True),
    ):
        places = possible_places(free._replace(cmdline=cmdline), rules_of(version))
        assert (places.fixed == 20 * MIB and not places.areas) == fixed, cmdline


def test_places_below_16_mib_on_efi() -> None:
    low = efi(EfiRange(4 * MIB, 64 * MIB, 7))
    assert possible_places(low, rules_of("6.6.9")).areas == (Area(4 * MIB, 23),)
    assert possible_places(low, rules_of("6.8.0")).areas == (Area(4 * MIB, 17),)
    assert possible_places(low, rules_of("6.9.0")).areas == (Area(16 * MIB, 17),)


def test_what_is_not_known_is_told() -> None:
    unmapped = Machine(PC, efi=Efi())
    assert "EFI memory map" in possible_places(unmapped, rules_of("6.12.0")).unknown
    assert "firmware has loaded" in possible_places(efi(EfiRange(GIB, 2 * GIB, 7)), rules_of("5.15.135")).unknown
    bare = find_kernel("lab-5.10.89")
    facts = {name: value for name, value in bare.facts.items() if name != "image.output_len"}
    with pytest.raises(NotCoveredError, match="output_len"):
        possible_places(Machine(PC), bare._replace(facts=facts))
    handed = Machine(PC, setup_data=(SetupData(GIB, 100, type=10),))
    with pytest.raises(NotCoveredError, match="hand-over"):
        possible_places(handed, rules_of("6.18.8"))
    assert possible_places(handed, rules_of("6.14.0")).areas


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 40)), max_size=4),
    st.lists(st.tuples(st.integers(0, 90 << 20), st.integers(1, 30 << 20)), max_size=3),
)
def test_every_place_fits_and_every_fitting_place_is_one(
    ram: list[tuple[int, int]], avoid: list[tuple[int, int]]
) -> None:
    """By the definition: aligned, from 16 MiB on, with room in one entry of RAM, and clear of what is avoided."""
    entries, at = [], 16 * MIB
    for gap, size in ram:
        entries.append(E820Entry(at + gap * MIB // 2, at + gap * MIB // 2 + size * MIB, 1))
        at = entries[-1].end + MIB
    nodes = tuple(SetupData(16 * MIB + start, size) for start, size in avoid)
    kernel = rules_of("6.4.0", **{"image.output_len": 4 * MIB, "image.total_size": 4 * MIB, "image.init_size": 4096})
    kernel = with_facts(kernel, **{"image.input_data": 1})
    places = possible_places(Machine(tuple(entries), setup_data=nodes), kernel)
    barred = [(node.address, node.address + 16 + node.length) for node in nodes] + [(16 * MIB + 1, 16 * MIB + 4096)]
    for address in range(0, at + 4 * MIB, SIZE_2M):
        end = address + 4 * MIB
        fits = any(entry.start <= address and end <= entry.end for entry in entries) and address >= 16 * MIB
        free = not any(low < end and address < high for low, high in barred)
        assert places.holds(address) == (fits and free)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), max_size=6))
def test_counting_places_that_touch_ranges(ranges: list[tuple[int, int]]) -> None:
    cuts = sorted({(start, start + size) for start, size in ranges})
    apart: list[tuple[int, int]] = []
    for start, end in cuts:
        if not apart or start > apart[-1][1]:
            apart.append((start, end))
    places = possible_places(Machine(PC), rules_of("6.4.0"))
    places = places._replace(areas=disjoint([Area(0, 9), Area(20, 11), Area(22, 4)], 2), align=2, size=5)
    every = [area.start + index * 2 for area in places.areas for index in range(area.slots)]
    met = sum(any(low < at + 5 and at < high for low, high in apart) for at in every)
    assert places.touching(apart) == met
