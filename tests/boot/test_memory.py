"""What a kernel was given and can't use (3.13 returns addresses of upward searches through an int), and not given."""

from pathlib import Path

import pytest

import memplan
from memplan.boot.panic import BootPanic
from memplan.errors import NotCoveredError
from memplan.events import Checkpoint, Refused
from memplan.machine.model import E820Entry, KernelImage, Machine
from memplan.owner import Purpose
from memplan.plan import Plan
from memplan.units import GIB, MIB, PAGE_SIZE, U64_MAX
from tests.boot.steps.single import EMPTY, boot_of, changes

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


# -- callers that can't go on without memory ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "caller", "text"),
    [
        ("3.13", "setup_command_line", "bootmem alloc of 100 bytes failed!"),
        (
            "3.14",
            "setup_command_line",
            "memblock_virt_alloc_try_nid: Failed to allocate 100 bytes align=0x40 nid=1 from=0x1000 max_addr=0x2000",
        ),
        # What is in arch/x86 stayed with bootmem's calls till 4.19.
        ("4.19", "io_apic_init_mappings", "bootmem alloc of 100 bytes failed!"),
        (
            "4.20",
            "io_apic_init_mappings",
            "memblock_alloc_try_nid: Failed to allocate 100 bytes align=0x40 nid=1 from=0x1000 max_addr=0x2000",
        ),
        ("5.10", "setup_command_line", "setup_command_line: Failed to allocate 100 bytes align=0x40"),
        ("6.12", "io_apic_init_mappings", "io_apic_init_mappings: Failed to allocate 100 bytes align=0x40"),
    ],
)
def test_each_version_says_in_its_own_words_that_there_is_no_memory(version: str, caller: str, text: str) -> None:
    """The panic of the allocation itself up to 5.0, of its caller since then."""
    boot = boot_of(version, EMPTY, (MIB, GIB), reserved=((MIB, GIB),))
    with pytest.raises(BootPanic) as panic:
        boot.memory.alloc_or_panic(
            100, owner=Purpose.COMMAND_LINE, caller=caller, min_addr=0x1000, max_addr=0x2000, nid=1
        )
    assert panic.value.text == text
    assert "no free memory is left" in panic.value.cause
    with pytest.raises(BootPanic) as anywhere:
        boot.memory.alloc_or_panic(100, owner=Purpose.COMMAND_LINE, caller=caller)
    assert anywhere.value.text == text.replace("nid=1 from=0x1000 max_addr=0x2000", "nid=-1 from=0x0 max_addr=0x0")
    (first, second) = [event for event in boot.recorder.events if isinstance(event, Refused)]
    assert (first.request.min_addr, first.request.max_addr, first.request.nid) == (0x1000, 0x2000, 1)
    assert (second.request.size, second.request.align, second.request.nid) == (100, 64, None)


@pytest.mark.parametrize("version", ["3.13", "4.4", "4.19", "5.10", "6.12"])
def test_free_pages_are_whole(version: str) -> None:
    boot = boot_of(version, EMPTY, (MIB, 2 * MIB), reserved=((MIB + 5, MIB + 6), (2 * MIB - 4097, 2 * MIB - 4096)))
    assert boot.memory.free_pages() == 256 - 2
    assert list(boot.memory.free_gaps()) == [
        (MIB, MIB + 5),
        (MIB + 6, 2 * MIB - 4097),
        (2 * MIB - 4096, 2 * MIB),
    ]


@pytest.mark.parametrize(("version", "limit"), [("3.13", 0), ("4.4", 0), ("6.12", 0), ("6.12", GIB // 2)])
def test_blocks_that_are_asked_for_in_one_go(version: str, limit: int) -> None:
    """As many as there is room for; the rest is refused."""
    boot = boot_of(version, EMPTY, (MIB, MIB + 10 * PAGE_SIZE, 0), (GIB, GIB + 3 * PAGE_SIZE, 1))
    got = boot.memory.alloc_run(
        20, PAGE_SIZE, PAGE_SIZE, owner=Purpose.PERCPU, caller="pcpu_fc_alloc", nid=1, max_addr=limit, raw=True
    )
    assert got == (10 if limit else 13)
    assert len(changes(boot)) == got
    assert [type(event) for event in boot.recorder.events].count(Refused) == 1
    first = changes(boot)[0]
    assert first[1] == (MIB + 9 * PAGE_SIZE if limit else GIB + 2 * PAGE_SIZE)


def test_what_was_written_over_is_not_guessed_about() -> None:
    """3.13, upwards: an address of 4 GiB and more loses what lies above 32 bits, and may name free memory."""
    subject = EMPTY._replace(cmdline="movable_node")
    start = 4 * GIB + 64 * MIB
    ram = ((MIB, 32 * MIB), (64 * MIB, 66 * MIB), (start, start + GIB))
    boot = boot_of("3.13", subject, *ram, reserved=((MIB, 32 * MIB),))
    boot.memblock.bottom_up = True
    boot.memblock.kernel_end = 66 * MIB
    found = boot.memory.alloc_base(MIB, 4096, owner=Purpose.LOG_BUFFER, caller="setup_log_buf")
    assert found == 64 * MIB
    with pytest.raises(NotCoveredError, match="it writes to 0x4000000 instead, which is in use"):
        boot.memory.alloc_base(MIB, 4096, owner=Purpose.LOG_BUFFER, caller="setup_log_buf")
