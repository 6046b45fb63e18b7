"""Remedies that can be said exactly are tried: what stood in the way is gone."""

import re
import tempfile
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

import memplan
from memplan.boot.context import Boot
from memplan.boot.remedies import Remedies, sentence
from memplan.errors import InputError, NotCoveredError
from memplan.firmware.combine import import_files
from memplan.kernel.load import find_kernel, override
from memplan.machine.alteration import Alteration, options_changed
from memplan.machine.cmdline import CommandLine
from memplan.machine.model import Cpus, E820Entry, Initrd, KernelImage, Machine, MemoryAffinity, Srat
from memplan.owner import CRASH_KERNEL, Owner, Purpose
from memplan.plan import Blocker, Plan, Reservation
from memplan.ranges import RangeSet
from memplan.units import GIB, MIB
from tests.boot.steps.single import EMPTY, boot_of
from tests.reports.logs import DATA, report

RAM = (E820Entry(0, 640 * 1024, 1), E820Entry(MIB, 3 * GIB, 1), E820Entry(4 * GIB, 9 * GIB, 1))


def machine(cmdline: str, hot: tuple[int, int] = (4 * GIB, 9 * GIB), **fields: Any) -> Machine:
    """Node 0 below, and node 1 hot-pluggable in `hot`."""
    parts = [(0, hot[0], 0), (*hot, 1), (hot[1], 9 * GIB, 0)]
    memory = tuple(MemoryAffinity(pxm, a, b - a, hotplug=pxm == 1) for a, b, pxm in parts if a < b)
    plain = Machine(e820=RAM, cmdline=cmdline, srat=Srat(memory), kernel=KernelImage("6.12"))
    return plain._replace(**fields)


def blockers(plan: Plan) -> list[Blocker]:
    return [own for verdict in plan.verdicts if verdict.hotplug for own in verdict.blockers]


def tried(subject: Machine, kinds: set[Purpose]) -> Machine:
    """`subject` with the change that the first blocker of `kinds` comes with."""
    own = next(own for own in blockers(memplan.simulate(subject)) if own.owner.kind in kinds)
    assert own.remedy.change is not None
    return own.remedy.change.applied(subject)


@pytest.mark.parametrize(
    ("subject", "kind"),
    [
        (machine("", cpus=Cpus(pse=False, gbpages=False)), Purpose.PAGE_TABLES),
        (machine(""), Purpose.MEMORY_MAP),
        (machine("movable_node", (GIB, 2 * GIB), initrd=Initrd(GIB + 64 * MIB, 32 * MIB)), Purpose.INITRD),
        (machine("crashkernel=256M", (2 * GIB, 3 * GIB)), Purpose.CRASH_KERNEL),
        (machine("", (2 * GIB, 3 * GIB)), Purpose.SWIOTLB),
        (
            machine("movable_node", (GIB, 2 * GIB), kernel=KernelImage("6.12", GIB + 16 * MIB, True)),
            Purpose.KERNEL_IMAGE,
        ),
    ],
)
def test_the_change_moves_it_away(subject: Machine, kind: Purpose) -> None:
    kinds = set(CRASH_KERNEL) if kind in CRASH_KERNEL else {kind}
    after = memplan.simulate(tried(subject, kinds))
    assert after.end.completed
    assert not any(own.owner.kind in kinds for own in blockers(after))


def test_no_change_is_offered_where_only_firmware_can() -> None:
    remedies = Remedies(Boot(machine(""), find_kernel("6.12")), RangeSet([(4 * GIB, 9 * GIB)]), ())
    assert remedies.remedy(Owner(Purpose.ACPI_TABLE, detail="SRAT"), hotplug=True).change is None
    assert "firmware" in remedies.remedy(Owner(Purpose.EFI_TABLE, detail="ESRT"), hotplug=True).text


RANGES = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12)).map(lambda own: (own[0], sum(own))), max_size=5)


@given(RANGES, RANGES, RANGES, st.integers(1, 8), st.sampled_from((1, 2, 4)), st.integers(0, 50), st.integers(0, 50))
def test_the_highest_free_place_that_stays_is_found(
    ram: list[tuple[int, int]],
    marked: list[tuple[int, int]],
    taken: list[tuple[int, int]],
    size: int,
    align: int,
    low: int,
    high: int,
) -> None:
    """Held against trying each place."""
    memory = [(start, end - start, 0, 0) for start, end in RangeSet(ram)]
    memblock = SimpleNamespace(memory=memory, reserved_ranges=lambda: list(RangeSet(taken)))
    remedies = Remedies(cast(Boot, SimpleNamespace(memblock=memblock)), RangeSet(marked), ())

    def fits(place: int) -> bool:
        return all(
            low <= at < high
            and any(start <= at < end for start, end in ram)
            and not any(start <= at < end for start, end in (*marked, *taken))
            for at in range(place, place + size)
        )

    expected = max((place for place in range(0, 60, align) if fits(place)), default=None)
    assert remedies._room(size, align, low, high) == expected


def test_options_are_changed_before_the_words_of_init() -> None:
    text = 'quiet crashkernel=1G crashkernel=8M,low root="a b" -- init-word'
    assert options_changed(text, ("nokaslr",), ("crashkernel",)) == 'quiet root="a b" nokaslr -- init-word'
    assert options_changed("log-buf-len=1M", (), ("log_buf_len",)) == ""
    assert Alteration(add=("x",)).applied(machine("")).cmdline == "x"


# -- no advice that is followed already ----------------------------------------------------------------------------

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
REPORTS = sorted(DATA.glob("*.log.xz"))


@cache
def real_machine(path: Path) -> Machine | None:
    """The machine of a description, or of a boot log; None where the log alone does not tell it."""
    if path.suffix == ".yaml":
        return memplan.load_machine(path)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "boot.log"
        log.write_text(report(path.name.removesuffix(".log.xz")))
        try:
            return import_files([log])[0]
        except InputError:
            return None


def planned(path: Path, options: str = "") -> tuple[Machine, Plan]:
    own = real_machine(path)
    if own is None:
        pytest.skip("the log alone tells of no machine")
    subject = own._replace(cmdline=f"{own.cmdline} {options}".strip())
    try:
        return subject, memplan.simulate(subject)
    except NotCoveredError as error:
        pytest.skip(str(error))


def all_blockers(plan: Plan) -> list[Blocker]:
    return [own for verdict in plan.verdicts for own in verdict.blockers]


@pytest.mark.parametrize("options", ["", "movable_node", "movable_node swiotlb=noforce nokaslr", "kernelcore=50%"])
@pytest.mark.parametrize("path", [*EXAMPLES, *REPORTS], ids=lambda path: path.name)
def test_no_advice_is_followed_already(path: Path, options: str) -> None:
    subject, plan = planned(path, options)
    options_given = CommandLine(plan.cmdline)
    marks = RangeSet((e.base, e.base + e.length) for e in subject.srat.memory if e.hotplug) if subject.srat else ()
    for verdict in plan.verdicts:
        for blocker in verdict.blockers:
            text = blocker.remedy.text
            if options_given.has("movable_node"):
                assert not re.search("boot with movable_node|: movable_node$", text), text
            if options_given.has("nokaslr"):
                assert "nokaslr" not in text
            if options_given.last("swiotlb") == "noforce":
                assert "noforce" not in text
            if verdict.hotplug:
                assert marks
                assert "mark the" not in text


@pytest.mark.parametrize("path", [*EXAMPLES, *REPORTS], ids=lambda path: path.name)
def test_a_change_that_is_offered_changes_something_and_is_not_offered_again(path: Path) -> None:
    own, plan = planned(path)
    for change in {blocker.remedy.change for blocker in all_blockers(plan)} - {None}:
        assert change is not None
        after = change.applied(own)
        assert after != own
        offered = {blocker.remedy.change for blocker in all_blockers(memplan.simulate(after))}
        assert change not in offered or change.applied(after) != after


# -- what is offered, and when -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("load", "randomized", "hot", "moves"),
    [
        (32 * MIB, True, (GIB, 2 * GIB), True),
        (16 * MIB, True, (GIB, 2 * GIB), False),
        (None, True, (GIB, 2 * GIB), False),
        (32 * MIB, False, (GIB, 2 * GIB), False),
        # The usual place is hot-pluggable itself, were it only in its last byte.
        (GIB, True, (16 * MIB, 20 * MIB), False),
        (GIB, True, (16 * MIB - 4096, 16 * MIB), True),
    ],
)
def test_the_kernel_goes_back_to_its_usual_place(
    load: int | None, randomized: bool, hot: tuple[int, int], moves: bool
) -> None:
    subject = machine("", kernel=KernelImage("6.12", load, randomized))
    remedies = Remedies(Boot(subject, find_kernel("6.12")), RangeSet([hot]), ())
    for kind in (Purpose.KERNEL_IMAGE, Purpose.BRK):
        change = remedies.remedy(Owner(kind), hotplug=True).change
        assert change == (Alteration(add=("nokaslr",), usual_place=True) if moves else None)


@pytest.mark.parametrize(
    ("kind", "cmdline", "version", "hotplug", "change"),
    [
        (Purpose.SWIOTLB, "", "6.12", True, Alteration(add=("swiotlb=noforce",))),
        (Purpose.SWIOTLB, "swiotlb=noforce", "6.12", True, None),
        (Purpose.SWIOTLB, "swiotlb=force", "6.12", False, Alteration(add=("swiotlb=noforce",))),
        (Purpose.SWIOTLB, "", "3.13", True, None),
        (Purpose.RESERVE_MEM, "reserve_mem=1M:4K:x", "6.12", False, Alteration(drop=("reserve_mem",))),
        (Purpose.PAGE_TABLES, "", "6.12", False, Alteration(add=("movable_node",))),
        (Purpose.PAGE_TABLES, "movable_node", "6.12", True, None),
        (Purpose.NODE_DATA, "", "6.12", True, Alteration(add=("movable_node",))),
        (Purpose.NODE_DATA, "", "6.12", False, None),
        (Purpose.NODE_DATA, "", "3.13", True, None),
        (Purpose.ACPI_TABLE, "", "6.12", True, None),
        (Purpose.LOW_PAGES, "", "6.12", True, None),
    ],
)
def test_options_that_are_offered(
    kind: Purpose, cmdline: str, version: str, hotplug: bool, change: Alteration | None
) -> None:
    remedies = Remedies(Boot(machine(cmdline), find_kernel(version)), RangeSet([(4 * GIB, 9 * GIB)]), ())
    assert remedies.remedy(Owner(kind), hotplug=hotplug).change == change


def test_without_hot_plug_movable_node_is_not_offered() -> None:
    kernel = override(find_kernel("6.12"), {"config.MEMORY_HOTPLUG": False})
    remedies = Remedies(Boot(machine(""), kernel), RangeSet([(4 * GIB, 9 * GIB)]), ())
    assert remedies.remedy(Owner(Purpose.PAGE_TABLES), hotplug=True).change is None


@pytest.mark.parametrize(
    ("kind", "cmdline", "marked", "text"),
    [
        (Purpose.NODE_DATA, "", False, "mark the node hot-pluggable in the SRAT and boot with movable_node"),
        (Purpose.NODE_DATA, "movable_node", False, "the node's own memory: mark the node hot-pluggable in the SRAT"),
        (Purpose.NODE_DATA, "movable_node", True, "keep the node free of what takes its hot-plug marks off"),
        (Purpose.PERCPU, "", True, "boot with movable_node: its CPUs' areas go elsewhere"),
        (Purpose.COMMAND_LINE, "", False, "mark the range hot-pluggable in the SRAT and boot with movable_node: the"),
        (Purpose.LOG_BUFFER, "", False, "a smaller log_buf_len, or allocate bottom-up until the SRAT is read"),
        (Purpose.LOG_BUFFER, "movable_node", False, "a smaller log_buf_len, or more room between the kernel image"),
        (Purpose.PAGE_TABLES, "movable_node", False, "more room between the kernel image and the hot-pluggable memory"),
        (Purpose.SWIOTLB, "", False, "it must lie below 4 GiB: let a node that stays have memory there, or boot with"),
        (Purpose.GIGANTIC_PAGES, "hugepages=3", False, "later through sysfs, or name the nodes that stay: hugepages="),
        (Purpose.GIGANTIC_PAGES, "hugepages=0:3", False, "later through sysfs, or name other nodes: hugepages=node:"),
        (Purpose.HUGETLB_CMA, "hugetlb_cma=3G", False, "name the nodes that stay: hugetlb_cma=node:size"),
        (Purpose.HUGETLB_CMA, "hugetlb_cma=0:3G", False, "name other nodes: hugetlb_cma=node:size"),
        (Purpose.KERNEL_IMAGE, "", False, "(nokaslr, or the loader's choice of address)"),
        (Purpose.KERNEL_IMAGE, "nokaslr", False, "(the loader's choice of address)"),
    ],
)
def test_what_is_missing_is_named(kind: Purpose, cmdline: str, marked: bool, text: str) -> None:
    assert text in sentence(Owner(kind), CommandLine(cmdline), marked=marked)


# -- the changes themselves ------------------------------------------------------------------------------------------


def change(
    owner: Purpose,
    size: int,
    marked: list[tuple[int, int]],
    *ram: tuple[int, int],
    version: str = "6.12",
    words: str = "",
) -> Alteration | None:
    """What is to be changed for `size` bytes of `owner` that lie in what is marked."""
    boot = boot_of(version, EMPTY._replace(cmdline=words), *(ram or ((MIB, 8 * GIB),)))
    taken = [Reservation(3 * GIB, 3 * GIB + size, 1, Owner(owner), "step", False)] * bool(size)
    low = Reservation(GIB, GIB + MIB, 0, Owner(Purpose.CRASH_KERNEL_LOW), "step", False)
    return Remedies(boot, RangeSet(marked), [*taken, low]).remedy(Owner(owner), hotplug=True).change


@pytest.mark.parametrize(
    ("size", "marked", "place"),
    [
        (100 * MIB, [(2 * GIB, 8 * GIB)], 2 * GIB - 112 * MIB),
        (96 * MIB, [(2 * GIB, 8 * GIB)], 2 * GIB - 96 * MIB),
        (96 * MIB, [(2 * GIB - MIB, 8 * GIB)], 2 * GIB - 112 * MIB),
        # Below 4 GiB alone, and from 16 MiB on.
        (96 * MIB, [(3 * GIB, 3 * GIB + MIB)], 4 * GIB - 96 * MIB),
        (96 * MIB, [(112 * MIB, 8 * GIB)], 16 * MIB),
        (96 * MIB, [(112 * MIB - 1, 8 * GIB)], None),
        (96 * MIB, [(0, 4 * GIB)], None),
        (0, [(2 * GIB, 8 * GIB)], None),
    ],
)
def test_a_place_for_the_crash_kernel_in_memory_that_stays(
    size: int, marked: list[tuple[int, int]], place: int | None
) -> None:
    """A multiple of 16 MiB; what lies below 4 GiB beside it is not counted."""
    expected = Alteration(add=(f"crashkernel={size:#x}@{place:#x}",), drop=("crashkernel",)) if place else None
    assert change(Purpose.CRASH_KERNEL, size, marked) == expected


@pytest.mark.parametrize(("version", "align"), [("5.10", 4 * MIB), ("6.12", 2 * MIB)])
def test_a_place_for_contiguous_memory_with_both_ends(version: str, align: int) -> None:
    found = change(Purpose.CMA, 64 * MIB, [(2 * GIB - MIB, 8 * GIB)], version=version)
    start = 2 * GIB - 64 * MIB - align
    assert found == Alteration(add=(f"cma={64 * MIB:#x}@{start:#x}-{start + 64 * MIB:#x}",), drop=("cma",))
    low = change(Purpose.CMA, 64 * MIB, [(64 * MIB + align, 8 * GIB)], version=version)
    assert low == Alteration(add=(f"cma={64 * MIB:#x}@{align:#x}-{align + 64 * MIB:#x}",), drop=("cma",))
    assert change(Purpose.CMA, 64 * MIB, [(64 * MIB + align - 1, 8 * GIB)], version=version) is None


@pytest.mark.parametrize(
    ("marked", "start"),
    [
        ([(GIB, 8 * GIB)], GIB - 0x3000),
        ([(GIB + 1, 8 * GIB)], GIB - 0x2000),
        ([(3 * GIB, 4 * GIB)], 2 * GIB - 0x3000),
    ],
)
def test_a_place_for_the_initrd_behind_the_kernel_and_below_2_gib(marked: list[tuple[int, int]], start: int) -> None:
    boot = boot_of("6.12", EMPTY._replace(initrd=Initrd(5 * GIB, 0x2001)), (MIB, 8 * GIB))
    found = Remedies(boot, RangeSet(marked), ()).remedy(Owner(Purpose.INITRD), hotplug=True).change
    assert found == Alteration(initrd_start=start)
    end = boot.params.kernel_end
    full = Remedies(boot, RangeSet([(end + 0x2000, 8 * GIB)]), ()).remedy(Owner(Purpose.INITRD), hotplug=True)
    assert full.change is None
    room = Remedies(boot, RangeSet([(end + 0x2001, 8 * GIB)]), ()).remedy(Owner(Purpose.INITRD), hotplug=True)
    assert room.change == Alteration(initrd_start=end)


@pytest.mark.parametrize(
    ("owner", "words", "expected"),
    [
        (Purpose.RESERVE_MEM, "", Alteration(drop=("reserve_mem",))),
        (Purpose.SWIOTLB, "", Alteration(add=("swiotlb=noforce",))),
        (Purpose.SWIOTLB, "swiotlb=noforce", None),
        (Purpose.PAGE_TABLES, "", Alteration(add=("movable_node",))),
        (Purpose.PAGE_TABLES, "movable_node", None),
        (Purpose.MEMORY_MAP, "", Alteration(add=("movable_node",))),
        (Purpose.MEMORY_MAP, "movable_node", None),
        (Purpose.ACPI_TABLE, "", None),
    ],
)
def test_an_option_that_moves_it(owner: Purpose, words: str, expected: Alteration | None) -> None:
    assert change(owner, MIB, [(2 * GIB, 8 * GIB)], words=words) == expected


@pytest.mark.parametrize(
    ("image", "marked", "offered"),
    [
        (KernelImage(load_address=3 * GIB, randomized=True), [(2 * GIB, 8 * GIB)], True),
        (KernelImage(load_address=3 * GIB, randomized=False), [(2 * GIB, 8 * GIB)], False),
        (KernelImage(load_address=0x1000000, randomized=True), [(2 * GIB, 8 * GIB)], False),
        (KernelImage(randomized=True), [(2 * GIB, 8 * GIB)], False),
        (KernelImage(load_address=3 * GIB, randomized=True), [(0, 0x1000001), (2 * GIB, 8 * GIB)], False),
        (KernelImage(load_address=3 * GIB, randomized=True), [(0, 0x1000000), (2 * GIB, 8 * GIB)], True),
    ],
)
def test_kaslr_goes_where_the_kernel_s_usual_place_stays(
    image: KernelImage, marked: list[tuple[int, int]], offered: bool
) -> None:
    boot = boot_of("6.12", EMPTY._replace(kernel=image), (MIB, 8 * GIB))
    found = Remedies(boot, RangeSet(marked), ()).remedy(Owner(Purpose.KERNEL_IMAGE), hotplug=True).change
    assert found == (Alteration(add=("nokaslr",), usual_place=True) if offered else None)
