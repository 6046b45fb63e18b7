"""Memory that a kernel was given and can't use: 3.13 returns addresses of bottom-up searches through an int."""

from pathlib import Path

import pytest

import memplan
from memplan.events import Checkpoint
from memplan.machine.model import E820Entry, KernelImage, Machine
from memplan.plan import Plan
from memplan.units import GIB, MIB, U64_MAX

LOW = E820Entry(0, 640 * 1024, 1)


def machine(*ram: tuple[int, int], cmdline: str) -> Machine:
    entries = (LOW, *(E820Entry(start, end, 1) for start, end in ram))
    return Machine(e820=entries, cmdline=f"movable_node {cmdline}", kernel=KernelImage("3.13"))


def reserved(plan: Plan) -> list[tuple[int, int]]:
    last = [event for event in plan.events if isinstance(event, Checkpoint)][-1]
    return [(region.start, region.end) for region in last.reserved]


@pytest.mark.parametrize("size", ["1G", "512M"])
def test_a_block_above_2_gib_can_t_be_written_to(size: str) -> None:
    subject = machine((MIB, 512 * MIB), (2 * GIB, 3584 * MIB), (4 * GIB, 20 * GIB), cmdline=f"log_buf_len={size}")
    plan = memplan.simulate(subject)
    assert (plan.end.completed, plan.end.step) == (False, "setup_log_buf_early")
    assert plan.end.text == "PANIC: early exception 0e"
    assert "came out as 0xffffffff80000000" in plan.end.cause
    assert max(end for _, end in reserved(plan)) <= U64_MAX
    assert max(part.end for part in plan.reservations) == max(end for _, end in reserved(plan))


def test_a_block_below_2_gib_is_as_good_as_any() -> None:
    plan = memplan.simulate(machine((MIB, GIB), (4 * GIB, 20 * GIB), cmdline="log_buf_len=512M"))
    assert plan.end.completed
    taken = [part for part in plan.reservations if str(part.owner) == "log buffer"]
    assert [part.end - part.start for part in taken] == [512 * MIB]
    assert taken[0].end <= GIB


def test_later_versions_keep_all_bits() -> None:
    subject = machine((MIB, 512 * MIB), (2 * GIB, 3584 * MIB), (4 * GIB, 20 * GIB), cmdline="log_buf_len=1G")
    plan = memplan.simulate(subject, kernel="5.10")
    assert plan.end.completed
    assert any(part.start == 2 * GIB and str(part.owner) == "log buffer" for part in plan.reservations)


def test_a_place_in_use_is_not_guessed_about(tmp_path: Path) -> None:
    """The first free place lies above 4 GiB, and its lower 32 bits name memory that is reserved."""
    start = 4 * GIB + 16 * MIB
    subject = machine((MIB, 48 * MIB), (start, start + 4 * GIB), cmdline="log_buf_len=64M")
    with pytest.raises(memplan.NotCoveredError, match="it writes to 0x1000000 instead, which is in use"):
        memplan.simulate(subject)
