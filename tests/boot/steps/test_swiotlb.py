"""swiotlb= and log_buf_len= (Documentation/admin-guide/kernel-parameters.txt): what each takes, and in which pieces."""

from __future__ import annotations

import pytest

import memplan
from memplan.boot.panic import BootPanic
from memplan.events import Call, Change, Message
from memplan.kernel.load import find_kernel
from memplan.machine.model import Cpus
from memplan.owner import Purpose
from memplan.plan import Plan
from memplan.units import GIB, KIB, MIB
from tests.boot.steps.single import EMPTY, boot_of, changes, ran, told, warned
from tests.boot.steps.test_areas import machine, plan, said, taken


def size(plan: Plan, kind: Purpose) -> int:
    return sum(end - start for start, end in taken(plan, kind))


@pytest.mark.parametrize("kernel", ["3.13", "5.10", "6.1", "6.12"])
@pytest.mark.parametrize(
    ("words", "mib"),
    [
        ("", 64),
        ("swiotlb=65536", 128),
        ("swiotlb=force", 64),
        ("swiotlb=65536,force", 128),
        ("swiotlb=65500", 128),
        ("iommu=off", 0),
        ("iommu=soft", 64),
        ("iommu=off,soft", 64),
        ("iommu=usedac,off", 64),
        ("swiotlb=force iommu=off", 64),
        ("swiotlb=65536 swiotlb=force", 128),
        ("swiotlb=word", 64),
    ],
)
def test_how_large_the_bounce_buffer_is(kernel: str, words: str, mib: int) -> None:
    """Slots are 2 KiB, rounded up to 128 of them; the machine has memory above 4 GiB."""
    found = plan(words, kernel=kernel)
    assert size(found, Purpose.SWIOTLB) == mib * MIB
    assert all(end <= 4 * GIB for _, end in taken(found, Purpose.SWIOTLB))


@pytest.mark.parametrize("kernel", ["3.13", "6.12"])
@pytest.mark.parametrize(("words", "mib"), [("", 0), ("swiotlb=force", 64), ("iommu=soft", 64), ("swiotlb=65536", 0)])
def test_without_memory_above_4g_it_has_to_be_asked_for(kernel: str, words: str, mib: int) -> None:
    assert size(plan(words, (3 * GIB, 3 * GIB + MIB), kernel=kernel), Purpose.SWIOTLB) == mib * MIB


@pytest.mark.parametrize(("kernel", "expected"), [("3.13", 64 * MIB), ("5.10", 4 * KIB), ("6.1", 0), ("6.12", 0)])
def test_noforce(kernel: str, expected: int) -> None:
    """Unknown to 3.13; one slot, which takes a page, from 4.10 on; and nothing at all since 5.13."""
    assert size(plan("swiotlb=noforce", kernel=kernel), Purpose.SWIOTLB) == expected


def test_tables_beside_it() -> None:
    old = plan("swiotlb=65536", kernel="3.13")
    assert size(old, Purpose.SWIOTLB_OVERFLOW) == 32 * KIB
    assert size(old, Purpose.SWIOTLB_LIST) == 65536 * 4
    assert size(old, Purpose.SWIOTLB_ADDRESSES) == 65536 * 8
    newer = plan("swiotlb=65536", kernel="5.10")
    assert size(newer, Purpose.SWIOTLB_OVERFLOW) == size(newer, Purpose.SWIOTLB_SIZES) == 0
    assert size(newer, Purpose.SWIOTLB_ADDRESSES) == 65536 * 8
    sized = plan("swiotlb=65536", kernel="5.12")
    assert size(sized, Purpose.SWIOTLB_SIZES) == size(sized, Purpose.SWIOTLB_ADDRESSES) == 65536 * 8
    header, slots = (size(plan("swiotlb=65536", kernel=kernel), Purpose.SWIOTLB_SLOTS) for kernel in ("5.13", "5.15"))
    # The header makes it a page more.
    assert header == slots + 4096 == 65536 * memplan.find_kernel("5.15").fact("struct.io_tlb_slot") + 4096
    newest = plan("swiotlb=65536", kernel="6.12")
    assert size(newest, Purpose.SWIOTLB_LIST) == 0
    assert size(newest, Purpose.SWIOTLB_SLOTS) == 65536 * memplan.find_kernel("6.12").fact("struct.io_tlb_slot")


@pytest.mark.parametrize(
    ("words", "cpus", "areas", "mib", "told"),
    [
        ("", 2, 2, 64, ["area num 2."]),
        ("", 3, 4, 64, ["area num 4."]),
        ("", 512, 512, 128, ["area num 512.", "SWIOTLB bounce buffer size roundup to 128MB"]),
        ("swiotlb=,8", 2, 8, 64, ["area num 8."]),
        ("swiotlb=32768,5", 2, 8, 64, ["area num 8."]),
        ("swiotlb=40000,4", 2, 4, 128, ["area num 4.", "SWIOTLB bounce buffer size roundup to 128MB"]),
        ("swiotlb=128,4", 2, 4, 1, ["area num 4.", "SWIOTLB bounce buffer size roundup to 1MB"]),
        ("swiotlb=32768,8,force", 2, 8, 64, ["area num 8."]),
    ],
)
def test_areas(words: str, cpus: int, areas: int, mib: int, told: list[str]) -> None:
    """A power of two, one for each CPU where none is named; the buffer has a segment for each at the least."""
    own = machine(words)._replace(cpus=Cpus(possible=cpus, present=2, gbpages=True))
    found = memplan.simulate(own, kernel="6.12")
    assert size(found, Purpose.SWIOTLB) == mib * MIB
    assert size(found, Purpose.SWIOTLB_AREAS) == areas * memplan.find_kernel("6.12").fact("struct.io_tlb_area")
    texts = [text for text in said(found, "software IO TLB: ") if "area num" in text or "roundup" in text]
    assert texts == [f"software IO TLB: {text}" for text in told]


@pytest.mark.parametrize("kernel", ["5.10", "6.12"])
def test_a_buffer_for_which_there_is_no_room(kernel: str) -> None:
    """More than the 2 GiB below 4 GiB: refused, or since 6.0 made smaller by halves."""
    found = plan("swiotlb=1048576", kernel=kernel)
    warned = [e.text for e in found.events if isinstance(e, Message) and e.warning and "TLB" in e.text]
    assert len(warned) == 1
    if kernel == "5.10":
        assert size(found, Purpose.SWIOTLB) == size(found, Purpose.SWIOTLB_LIST) == 0
    else:
        assert size(found, Purpose.SWIOTLB) == GIB
        assert "software IO TLB: SWIOTLB bounce buffer size adjusted 1048576 -> 524288 slabs" in said(found, "adjusted")
        assert size(found, Purpose.SWIOTLB_AREAS) == 2 * memplan.find_kernel("6.12").fact("struct.io_tlb_area")


@pytest.mark.parametrize("kernel", ["3.13", "5.10", "6.12"])
@pytest.mark.parametrize(
    ("value", "kib"),
    [
        ("16M", 16384),
        ("3M", 4096),
        ("1", 0),
        ("0", 0),
        ("128K", 128),
        ("129K", 256),
        ("256K", 256),
        ("257K", 512),
        ("", 0),
    ],
)
def test_a_log_buffer_of_one_s_own(kernel: str, value: str, kib: int) -> None:
    """Rounded up to a power of two; one that is no larger than the built-in one is not taken."""
    build = memplan.find_kernel(kernel)
    built_in = 1 << build.fact("config.LOG_BUF_SHIFT")
    found = plan(f"log_buf_len={value}", kernel=kernel)
    expected = kib * KIB if kib * KIB > built_in else 0
    assert size(found, Purpose.LOG_BUFFER) == expected
    if kernel != "3.13":
        assert size(found, Purpose.LOG_DESCRIPTORS) == expected // 32 * build.fact("struct.prb_desc")
        assert size(found, Purpose.LOG_INFOS) == expected // 32 * build.fact("struct.printk_info")


@pytest.mark.parametrize("cpus", [1, 2, 9, 10, 16, 17, 18, 32, 33, 34, 64, 65, 128, 512])
def test_a_log_buffer_for_many_cpus(cpus: int) -> None:
    """4 KiB for each CPU but the first, where these are more than half of the buffer; 3.17 on."""
    build = memplan.find_kernel("6.12")
    base, each = (1 << build.fact(f"config.{name}") for name in ("LOG_BUF_SHIFT", "LOG_CPU_MAX_BUF_SHIFT"))
    extra = (cpus - 1) * each
    own = machine("")._replace(cpus=Cpus(possible=cpus, present=1, gbpages=True))
    expected = 1 << (extra + base - 1).bit_length() if extra > base // 2 else 0
    assert size(memplan.simulate(own, kernel="6.12"), Purpose.LOG_BUFFER) == expected
    assert size(memplan.simulate(own, kernel="3.13"), Purpose.LOG_BUFFER) == 0
    given = own._replace(cmdline="nokaslr log_buf_len=1M")
    assert size(memplan.simulate(given, kernel="6.12"), Purpose.LOG_BUFFER) == MIB


def test_a_log_buffer_of_which_a_part_finds_no_room_is_given_back() -> None:
    found = plan("log_buf_len=2G", (3 * GIB, 3 * GIB + MIB), kernel="6.12")
    assert size(found, Purpose.LOG_BUFFER) == 0
    (text,) = said(found, "log_buf_len:")
    assert text.endswith("bytes not available")


# -- the step on its own -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", ["3.13", "5.10", "6.12"])
@pytest.mark.parametrize(("pages", "wanted"), [(0, False), (1, True)])
def test_the_first_page_above_4g_counts(kernel: str, pages: int, wanted: bool) -> None:
    boot = boot_of(kernel, EMPTY, (MIB, GIB), (3 * GIB, 4 * GIB + pages * 4096))
    assert bool(changes(ran(boot, "swiotlb_init"))) is wanted
    off = boot_of(kernel, EMPTY, (MIB, GIB), (3 * GIB, 5 * GIB), facts={"config.SWIOTLB": False})
    assert changes(ran(off, "swiotlb_init")) == []


@pytest.mark.parametrize(
    ("kernel", "room", "cpus", "tried", "areas"),
    [
        ("6.12", 64 * MIB, 2, [], 2),
        ("6.12", 64 * MIB - 4 * KIB, 2, [64], 2),
        ("6.12", 9 * MIB, 2, [64, 32, 16], 2),
        ("6.12", MIB, 2, [64, 32, 16, 8, 4, 2], 2),
        ("6.12", MIB - 4 * KIB, 2, [64, 32, 16, 8, 4, 2, 1], 0),
        # An area has a segment of 256 KiB at the least.
        ("6.12", 2 * MIB, 512, [128, 64, 32, 16, 8, 4], 8),
        ("6.12", 4 * MIB, 512, [128, 64, 32, 16, 8], 16),
    ],
)
def test_it_is_made_smaller_by_halves(kernel: str, room: int, cpus: int, tried: list[int], areas: int) -> None:
    """Down to 1 MiB; `room` is what is free below 4 GiB."""
    machine = EMPTY._replace(cpus=Cpus(possible=cpus, present=1))
    boot = boot_of(kernel, machine, (GIB, GIB + room), (4 * GIB, 5 * GIB))
    ran(boot, "swiotlb_init")
    sizes = [(end - start) // KIB for _, start, end in changes(boot, Purpose.SWIOTLB)]
    started = 128 if cpus == 512 else 64
    left = started >> len(tried)
    assert sizes == [left * 1024] * bool(areas)
    assert [int(text.rpartition("allocate ")[2].split()[0]) >> 20 for text in warned(boot)] == tried
    told_of = [text for text in told(boot) if "adjusted" in text]
    slots = started * 512, left * 512
    text = f"software IO TLB: SWIOTLB bounce buffer size adjusted {slots[0]} -> {slots[1]} slabs"
    assert told_of == [text] * bool(tried and areas)
    each = boot.kernel.fact("struct.io_tlb_area")
    assert [end - start for _, start, end in changes(boot, Purpose.SWIOTLB_AREAS)] == [areas * each] * bool(areas)


@pytest.mark.parametrize("kernel", ["3.13", "5.10", "5.15", "6.0"])
def test_before_6_2_there_is_one_try(kernel: str) -> None:
    boot = boot_of(kernel, EMPTY, (GIB, GIB + 63 * MIB), (4 * GIB, 5 * GIB))
    ran(boot, "swiotlb_init")
    assert changes(boot) == []
    assert len(warned(boot)) == 1


@pytest.mark.parametrize(("version", "dies"), [("3.14", True), ("4.4", True), ("4.19", True), ("5.10", False)])
def test_only_an_early_log_buffer_that_finds_no_room_ends_the_boot(version: str, dies: bool) -> None:
    """setup_log_buf(1) panics up to 4.20; a later one, for many CPUs, is just not made."""
    full = ((MIB, GIB),)
    facts = {"config.LOG_BUF_SHIFT": 17, "config.LOG_CPU_MAX_BUF_SHIFT": 12}
    own = EMPTY._replace(cmdline="log_buf_len=16M", cpus=Cpus(possible=64))
    early = boot_of(version, own, (MIB, GIB), reserved=full, facts=facts)
    if dies:
        with pytest.raises(BootPanic, match="Failed to allocate 16777216 bytes"):
            ran(early, "setup_log_buf_early")
    else:
        ran(early, "setup_log_buf_early")
        assert warned(early) == ["log_buf_len: 16777216 bytes not available"]
    late = ran(boot_of(version, own, (MIB, GIB), reserved=full, facts=facts), "setup_log_buf")
    assert not late.new_log_buf
    assert changes(late) == []


@pytest.mark.parametrize("version", ["3.13", "5.10", "6.12"])
def test_the_buffer_ends_below_the_last_byte_of_32_bits(version: str) -> None:
    """0xffffffff is the limit itself, so that the last page below 4 GiB is out of reach; tables may lie higher."""
    boot = ran(boot_of(version, EMPTY, (MIB, 8 * GIB), facts={"config.SWIOTLB": True}), "swiotlb_init")
    end = 4 * GIB - 4 * KIB
    assert changes(boot, Purpose.SWIOTLB) == [("reserve", end - 64 * MIB, end)]
    asked = {
        event.owner.kind: (event.request.align, event.request.max_addr)
        for event in boot.recorder.events
        if isinstance(event, Change) and event.request
    }
    assert asked.pop(Purpose.SWIOTLB) == (4096, 4 * GIB - 1)
    if version == "3.13":
        assert asked.pop(Purpose.SWIOTLB_OVERFLOW) == (4096, 4 * GIB - 1)
    areas = {Purpose.SWIOTLB_AREAS: (64, 0)} if version == "6.12" else {}
    assert areas.items() <= asked.items()
    assert {limits for kind, limits in asked.items() if kind not in areas} == {(4096, 0)}


@pytest.mark.parametrize(
    ("version", "early", "late"),
    [
        ("3.13", Call.BASE, None),
        ("3.16", Call.TRY_NID, None),
        ("3.18", Call.TRY_NID, Call.TRY_NID_NOPANIC),
        ("4.19", Call.TRY_NID, Call.TRY_NID_NOPANIC),
        ("5.10", Call.TRY_NID, Call.TRY_NID),
    ],
)
def test_how_a_log_buffer_is_asked_for(version: str, early: Call, late: Call | None) -> None:
    facts = {"config.LOG_BUF_SHIFT": 17, "config.LOG_CPU_MAX_BUF_SHIFT": 12}
    own = EMPTY._replace(cmdline="log_buf_len=16M", cpus=Cpus(possible=64))
    for step, call in (("setup_log_buf_early", early), ("setup_log_buf", late)):
        steps = find_kernel(version).rules.steps
        assert (step in steps) is (call is not None)
        if call is not None:
            boot = ran(boot_of(version, own, facts=facts), step)
            asked = [event.request for event in boot.recorder.events if isinstance(event, Change) and event.request]
            assert {request.call for request in asked} == {call}
            assert boot.new_log_buf


@pytest.mark.parametrize(
    ("version", "words", "taken_size"),
    [
        ("5.10", "swiotlb=force swiotlb=noforce", 0),
        # The one slot that it leaves stays one.
        ("5.10", "swiotlb=noforce swiotlb=force", 4 * KIB),
        ("6.12", "swiotlb=force swiotlb=noforce", 0),
        ("6.12", "swiotlb=noforce swiotlb=force", 0),
        ("3.13", "swiotlb=noforce swiotlb=force", 64 * MIB),
        # What begins with a word counts as it since 7.3.
        ("7.2", "swiotlb=force,track_hiwater", 0),
        ("7.3", "swiotlb=force,track_hiwater", 64 * MIB),
        ("7.3", "swiotlb=32768,4,forced", 64 * MIB),
        ("7.3", "swiotlb=noforce,track_hiwater swiotlb=force", 0),
        ("7.3", "swiotlb=track_hiwater", 0),
        ("7.3", "swiotlb=for", 0),
    ],
)
def test_the_last_of_force_and_noforce_without_memory_above_4g(version: str, words: str, taken_size: int) -> None:
    boot = ran(boot_of(version, EMPTY._replace(cmdline=words), facts={"config.SWIOTLB": True}), "swiotlb_init")
    assert sum(end - start for _, start, end in changes(boot, Purpose.SWIOTLB)) == taken_size
