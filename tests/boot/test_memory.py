"""What a kernel was given and can't use (3.13 returns addresses of upward searches through an int), and not given."""

from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import memplan
from memplan.boot.context import Boot
from memplan.boot.memory import Memory
from memplan.boot.panic import BootPanic
from memplan.boot.record import Recorder
from memplan.errors import NotCoveredError
from memplan.events import Call, Change, Checkpoint, Message, Refused, Request
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


def test_areas_that_nobody_writes_to_may_be_anywhere() -> None:
    """3.13, upwards: a contiguous area at 3 GiB is noted at the address that is left of it, and the boot goes on."""
    boot = boot_of("3.13", EMPTY._replace(cmdline="movable_node"), (MIB, 32 * MIB), (3 * GIB, 4 * GIB - MIB))
    boot.memblock.bottom_up = True
    boot.memblock.kernel_end = 32 * MIB
    found = boot.memory.alloc_range_nid(64 * MIB, MIB, 0, 0, None, owner=Purpose.CMA, caller="setup_arch")
    assert found == U64_MAX + 1 - GIB
    with pytest.raises(BootPanic, match="early exception 0e"):
        boot.memory.phys_alloc(64 * MIB, MIB, owner=Purpose.INITRD, caller="setup_arch")


@pytest.mark.parametrize("version", ["3.13", "5.10", "6.12"])
def test_what_is_asked_for_prefers_mirrored_memory_where_there_is_any(version: str) -> None:
    boot = boot_of(version, EMPTY._replace(cmdline="kernelcore=mirror"))
    boot.memblock.mirrored_kernelcore = True
    flags = []
    for _ in range(2):
        boot.memory.alloc(100, owner=Purpose.COMMAND_LINE, caller="setup_command_line")
        (event,) = [event for event in boot.recorder.events if isinstance(event, Change)]
        assert event.request is not None
        flags.append(event.request.flags)
        boot.memblock.mark_mirror(GIB, MIB)
        boot.recorder.events.clear()
    assert flags == [0, 2]


@pytest.mark.parametrize(
    ("high", "end"), [(0, GIB), (GIB // 2, GIB // 2), (GIB - 1, GIB - 1), (GIB, GIB), (2 * GIB, GIB)]
)
def test_bootmem_s_searches_end_at_the_lower_limit(high: int, end: int) -> None:
    """On the node from the goal on, on any, and then both from the start of memory on."""
    boot = boot_of("3.13", EMPTY, (MIB, 2 * GIB))
    boot.memblock.current_limit = GIB
    request = Request(Call.BOOTMEM, 100, 64, 16 * MIB, high, 1)
    assert [(own.start, own.end, own.nid, own.exact) for own in boot.memory.searches(request)] == [
        (16 * MIB, end, 1, True),
        (16 * MIB, end, None, True),
        (0, end, 1, True),
        (0, end, None, True),
    ]


@pytest.mark.parametrize(
    ("version", "call", "panics", "name"),
    [
        ("3.14", "alloc", False, "memblock_virt_alloc_try_nid_nopanic"),
        ("3.14", "alloc", True, "memblock_virt_alloc_try_nid"),
        ("4.19", "alloc", False, "memblock_virt_alloc_try_nid_nopanic"),
        ("4.20", "alloc", False, "memblock_alloc_try_nid_nopanic"),
        ("5.10", "alloc", False, "memblock_alloc_try_nid"),
        ("4.19", "raw", False, "memblock_virt_alloc_try_nid_raw"),
        ("5.10", "raw", False, "memblock_alloc_try_nid_raw"),
        ("5.10", "exact", False, "memblock_alloc_exact_nid_raw"),
        ("6.12", "run", False, "memblock_alloc_try_nid"),
        ("6.12", "raw run", False, "memblock_alloc_try_nid_raw"),
        ("6.12", "exact run", False, "memblock_alloc_exact_nid_raw"),
    ],
)
def test_the_names_of_calls(version: str, call: str, panics: bool, name: str) -> None:
    boot = boot_of(version)
    how = {word: True for word in ("raw", "exact") if word in call}
    if call.endswith("run"):
        boot.memory.alloc_runs(2, 128, 64, nid=0, owner=Purpose.KFENCE_POOL, caller="kfence", **how)
    else:
        how |= {"panics": True} if panics else {}
        boot.memory.alloc(100, 64, nid=0, owner=Purpose.KFENCE_POOL, caller="kfence", **how)
    (event,) = [event for event in boot.recorder.events if isinstance(event, Change)]
    assert event.request is not None
    assert boot.wording.request(event.request, "").split(":")[0] == name
    assert event.request.align == 64


@pytest.mark.parametrize(("most", "refusals"), [(2, 1), (3, 0), (4, 0)])
def test_one_block_too_few_is_a_refusal(most: int, refusals: int) -> None:
    boot = boot_of("6.12", EMPTY, (MIB, MIB + most * PAGE_SIZE))
    boot.memory.alloc_run(3, PAGE_SIZE, PAGE_SIZE, owner=Purpose.PERCPU, caller="pcpu_fc_alloc")
    assert [type(event) for event in boot.recorder.events].count(Refused) == refusals


def test_lines_of_a_growing_array_are_memblock_debug_s() -> None:
    """They are printed with memblock=debug alone, but for what tells of trouble; other lines always are."""
    recorder = Recorder()
    recorder.message("before", False)
    recorder.array_growth("reserved")
    recorder.message("growing", False)
    recorder.message("failed", True)
    recorder.array_growth("memory")
    recorder.array_grown()
    recorder.message("still growing", False)
    recorder.array_grown()
    recorder.message("after", False)
    recorder.logged = True
    recorder.array_growth("reserved")
    recorder.message("growing with memblock=debug", False)
    told = [(event.text, event.warning, event.logged) for event in recorder.events if isinstance(event, Message)]
    assert told == [
        ("before", False, True),
        ("growing", False, False),
        ("failed", True, True),
        ("still growing", False, False),
        ("after", False, True),
        ("growing with memblock=debug", False, True),
    ]


# -- the searches that are said to have been made --------------------------------------------------------------------

VERSIONS = ("3.13", "3.18", "4.4", "4.19", "5.10", "6.12")
parts = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 20)), max_size=4)


class Layout(NamedTuple):
    """MiB: RAM in the upper half is node 1's; what is taken, hot-pluggable and mirrored, as (start, size)."""

    taken: list[tuple[int, int]]
    hotplug: list[tuple[int, int]]
    mirror: list[tuple[int, int]]
    bottom_up: bool

    def boot(self, version: str) -> Boot:
        boot = boot_of(version, EMPTY._replace(cmdline="movable_node"), (MIB, 32 * MIB, 0), (32 * MIB, 64 * MIB, 1))
        memblock = boot.memblock
        memblock.movable_node = memblock.mirrored_kernelcore = True
        memblock.bottom_up, memblock.kernel_end = self.bottom_up, 8 * MIB
        for start, size in self.taken:
            memblock.reserve(start * MIB, size * MIB)
        for start, size in self.hotplug:
            memblock.mark_hotplug(start * MIB, size * MIB)
        for start, size in self.mirror:
            memblock.mark_mirror(start * MIB, size * MIB)
        boot.recorder.events.clear()
        return boot


def asked(memory: Memory, call: str, size: int, low: int, high: int, nid: int) -> int:
    """The address that one of the ways to ask for memory gives."""
    align, owner, caller = 2 * MIB, Purpose.PERCPU, "pcpu_fc_alloc"
    if call == "range":
        return memory.phys_alloc_range(size, align, low, high or 64 * MIB, owner=owner, caller=caller)
    if call == "range on the node":
        return memory.alloc_range_nid(size, align, low, high, nid, owner=owner, caller=caller)
    if call == "base":
        return memory.alloc_base(size, align, owner=owner, caller=caller)
    if call in ("near the node", "on the node"):
        return memory.phys_alloc_try_nid(size, align, nid, any_node=call == "near the node", owner=owner, caller=caller)
    exact = call == "exact"
    return memory.alloc(
        size, align, min_addr=low, max_addr=high, nid=nid, raw=exact, exact=exact, owner=owner, caller=caller
    )


@settings(deadline=None, derandomize=True, max_examples=300)
@given(
    st.sampled_from(VERSIONS),
    st.builds(Layout, parts, parts, parts, st.booleans()),
    st.sampled_from(("range", "range on the node", "base", "near the node", "on the node", "alloc", "exact")),
    st.integers(1, 16 * 1024),
    st.sampled_from((0, 1, 16, 40)),
    st.sampled_from((0, 24, 48)),
    st.integers(0, 1),
)
def test_the_searches_of_a_request_find_what_it_got(
    version: str, layout: Layout, call: str, kib: int, low: int, high: int, nid: int
) -> None:
    """The first of them that finds a place finds the request's; where none does there was none."""
    if call == "base" and version != "3.13":
        call = "range"
    boot, twin = layout.boot(version), layout.boot(version)
    found = asked(boot.memory, call, kib * 1024, low * MIB, high * MIB, nid)
    requests = [e.request for e in boot.recorder.events if isinstance(e, Change | Refused) and e.request is not None]
    assert {request.exact for request in requests} == {call in ("range on the node", "on the node", "exact")}
    seen = [
        candidate.address
        for search in twin.memory.searches(requests[0])
        for candidate in twin.memblock.candidates(search)
        if candidate.address
    ]
    assert seen[:1] == [found] * bool(found)


@pytest.mark.parametrize("version", ["3.13", "5.10", "6.12"])
def test_a_block_anywhere_is_asked_for_without_limits(version: str) -> None:
    boot = boot_of(version)
    boot.memory.phys_alloc(4096, 4096, owner=Purpose.KVM_CLOCK, caller="kvmclock_init")
    boot.memory.phys_alloc_try_nid(4096, 4096, 0, any_node=True, owner=Purpose.NODE_DATA, caller="alloc_node_data")
    boot.memory.alloc_base(4096, 4096, owner=Purpose.LOG_BUFFER, caller="setup_log_buf")
    boot.memory.alloc(4096, owner=Purpose.COMMAND_LINE, caller="setup_command_line")
    boot.memory.alloc_run(2, 4096, 4096, owner=Purpose.PERCPU, caller="pcpu_fc_alloc")
    asked = [event.request for event in boot.recorder.events if isinstance(event, Change) and event.request]
    assert [(own.min_addr, own.max_addr) for own in asked] == [(0, 0)] * 5
