"""Why a plan differs from a log: one cause for each way in which two boots can part, the nearest one first."""

from __future__ import annotations

from pathlib import Path

import pytest

import memplan
from memplan.causes import Context, likely_cause
from memplan.klog.facts import Fact, Told
from memplan.machine.model import E820Entry, Efi, EfiRange, KernelImage, Machine

MACHINE = memplan.load_machine(Path(__file__).parents[1] / "examples" / "hotplug-nodes.yaml")
PLAN = memplan.simulate(MACHINE)
RANDOM = MACHINE._replace(kernel=KernelImage(MACHINE.kernel.build, randomized=True))
#: An EFI machine whose firmware's map nobody has told.
NO_EFI_MAP = MACHINE._replace(efi=Efi())
PERCPU = Fact("percpu", (64, 200704, 8192, 53248, 262144), "", owner="first chunk")


def cause(theirs: Fact | None, ours: Fact | None, machine: Machine | None = None, **told: object) -> str:
    log = Told("", "", PLAN.cmdline, [], complete=True, dropped=0)._replace(**told)  # type: ignore[arg-type]
    context = None if machine is None else Context(machine)
    sides = [[] if own is None else [own] for own in (theirs, ours)]
    return likely_cause(log, PLAN, sides[0], sides[1], 0, context)


def fact(kind: str, *values: int | str, owner: str = "") -> Fact:
    return Fact(kind, values, "", owner=owner)


def test_what_one_side_alone_has() -> None:
    own = fact("zone", "Normal", 0, 1)
    assert cause(None, own).startswith("the kernel did nothing more: an option or a fact of the machine")
    assert cause(own, None) == "a step that the plan lacks, or an option that it does not know"
    told = cause(own, None, RANDOM)
    assert told.endswith("; not known: where KASLR put the kernel image, so its page tables may lie elsewhere")
    assert "EFI memory map (efi=debug prints it), so what boot services keep is left out" in cause(
        own, None, NO_EFI_MAP
    )
    mapped = MACHINE._replace(efi=Efi(descriptors=(EfiRange(0, 4096, 7),)))
    assert cause(own, None, mapped).endswith("; not known: where the EFI memory map lies")


def test_two_facts_of_other_kinds_part_by_a_rule() -> None:
    told = cause(fact("zone", "Normal", 0, 1), fact("total", 4096))
    assert told == f"a rule of Linux {PLAN.kernel_version}"


@pytest.mark.parametrize(
    ("kind", "theirs", "ours", "told"),
    [
        ("reserve", (0x1000, 0x2FFF), (0x1000, 0x1FFF), "the size of x, 8192 bytes instead of 4096: a fact of the"),
        ("NODE_DATA", (0, 0x1FFF, 1), (0, 0xFFF, 1), "of the kernel's build (struct.pglist_data), or of the machine"),
        ("reserve", (0x1000, 0x1FFF), (0x3000, 0x3FFF), "the place of x, 8192 bytes lower than planned: a rule"),
        ("free", (0x5000, 0x5FFF), (0x3000, 0x3FFF), "the place of x, 8192 bytes higher than planned: a rule"),
        ("crash kernel", (1 << 20, 64), (2 << 20, 64), "the crash kernel's place: a rule of Linux"),
        ("crash kernel", (1 << 20, 64), (1 << 20, 32), "the crash kernel's size: a rule of Linux"),
        ("hash table", ("PID", 4096), ("PID", 8192), "the size of a hash table: the RAM that is left when it is made"),
        ("total", (1,), (2,), "the machine's RAM or its nodes (total): a fact of the machine"),
        ("zone", ("Normal", 1), ("Normal", 2), f"a rule of Linux {PLAN.kernel_version}"),
    ],
)  # fmt: skip
def test_one_fact_with_other_numbers(
    kind: str, theirs: tuple[int | str, ...], ours: tuple[int | str, ...], told: str
) -> None:
    assert told in cause(fact(kind, *theirs), fact(kind, *ours, owner="x"))


def test_places_that_nobody_told_are_the_cause_of_other_places_alone() -> None:
    for kind in ("reserve", "crash kernel"):
        moved = cause(fact(kind, 0x1000, 0x1FFF), fact(kind, 0x3000, 0x3FFF if kind == "reserve" else 0x1FFF), RANDOM)
        assert moved.endswith("; not known: where KASLR put the kernel image, so its page tables may lie elsewhere")
    resized = cause(fact("crash kernel", 0x1000, 1), fact("crash kernel", 0x1000, 2), RANDOM)
    assert "not known" not in resized


def test_the_parts_of_the_percpu_line_that_differ_are_named() -> None:
    other = PERCPU._replace(values=(65, *PERCPU.values[1:4], 524288))
    assert cause(other, PERCPU) == (
        "sizes of the per-CPU area: pages a CPU (its sizes), unit (the number of CPUs and their nodes)"
    )


def test_a_build_that_is_not_the_log_s_is_named_beside_the_size() -> None:
    resized = fact("swiotlb", 0, 0x1FFF), fact("swiotlb", 0, 0xFFF, owner="bounce buffers")
    told = cause(*resized, release="5.4.0-1-local", version="Linux version 5.4.0-1-local (a@b)")
    assert f"a fact of the kernel's build, which is not {PLAN.kernel} (memplan kernel learns it)" in told
    assert "learns it" not in cause(*resized)


def test_an_older_release_than_any_that_is_covered() -> None:
    context = Context(MACHINE, uncovered="2.6.32")
    told = context.unknown_place(fact("zone", "DMA", 0, 1), None)
    assert told == "how Linux 2.6.32 sets memory up: its boot is not covered"
    assert Context(MACHINE).unknown_place(fact("zone", "DMA", 0, 1), None) == ""


def test_what_no_plan_can_foresee_is_no_difference() -> None:
    auto = Context(MACHINE._replace(cmdline="crashkernel=auto"))
    crash = fact("crash kernel", 0x1000, 64)
    assert auto.unknown_place(crash, None).startswith("how much crashkernel=auto takes")
    assert Context(MACHINE).unknown_place(crash, None) == ""
    reserved = fact("reserved memory", 5)
    assert Context(RANDOM).unknown_place(reserved, reserved).startswith("which random places KASLR has chosen")
    assert Context(MACHINE).unknown_place(reserved, reserved) == ""


def test_only_what_lies_lower_can_be_pushed_down_by_what_firmware_keeps() -> None:
    context = Context(NO_EFI_MAP)
    high, low = fact("NODE_DATA", 0x9000, 0x9FFF, 0), fact("NODE_DATA", 0x5000, 0x5FFF, 0)
    assert "boot services may keep RAM above it" in context.unknown_place(low, high)
    assert context.unknown_place(high, low) == ""
    assert context.unknown_place(low._replace(values=(0x5000, 0x6FFF, 0)), high) == ""
    assert context.unknown_place(low, None) == ""
    assert Context(MACHINE).unknown_place(low, high) == ""


def test_another_machine_is_told_before_all_else() -> None:
    log_map = (E820Entry(0, 0x9FC00, 1), E820Entry(0x100000, 0x7FFFFFFF, 1))
    log = Told("", "", None, [], complete=True, dropped=0)
    told = likely_cause(log, PLAN, [fact("total", 1)], [fact("total", 2)], 0, Context(MACHINE, log_map))
    assert told == "another machine: the log's memory map is not that of the description"
    assert not Context(MACHINE, MACHINE.e820).other_machine
