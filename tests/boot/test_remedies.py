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
from memplan.boot.remedies import Remedies
from memplan.errors import InputError, NotCoveredError
from memplan.firmware.combine import import_files
from memplan.machine.alteration import Alteration, options_changed
from memplan.machine.cmdline import CommandLine
from memplan.machine.model import Cpus, E820Entry, Initrd, KernelImage, Machine, MemoryAffinity, Srat
from memplan.owner import CRASH_KERNEL, Owner, Purpose
from memplan.plan import Blocker, Plan
from memplan.ranges import RangeSet
from memplan.units import GIB, MIB
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
    from memplan.kernel.load import find_kernel

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
