"""crashkernel= in each syntax (Documentation/admin-guide/kdump/kdump.rst): how much is reserved, and what is said."""

from __future__ import annotations

import pytest

from memplan.events import Message
from memplan.owner import Purpose
from memplan.plan import Plan
from memplan.units import GIB, MIB
from tests.boot.steps.single import EMPTY, boot_of, changes, ran, told, warned
from tests.boot.steps.test_areas import plan, taken

#: The machine has 2 GiB below 4 GiB and 12 above.
IN_USE = "crashkernel reservation failed - memory is in use."


def sizes(plan: Plan) -> tuple[int, int]:
    """MiB of the crash kernel and of its low part."""
    high, low = (taken(plan, kind) for kind in (Purpose.CRASH_KERNEL, Purpose.CRASH_KERNEL_LOW))
    return sum(end - start for start, end in high) // MIB, sum(end - start for start, end in low) // MIB


def complaints(plan: Plan) -> list[str]:
    """What is said of it, without the lines that tell what was reserved."""
    told = [event.text for event in plan.events if isinstance(event, Message)]
    words = [text for text in told if "crashkernel" in text or "crahskernel" in text]
    return [text for text in words if "Reserving" not in text and " reserved: " not in text]


RANGES = [
    ("1G-:256M", 256),
    ("512M-2G:64M,2G-:128M", 128),
    ("512M-2G:64M,2G-15G:128M", 128),
    ("512M-14G:64M,14G-15G:96M", 96),
    ("512M-20G:64M,2G-:128M", 64),
    ("0-:64M", 64),
    ("64M", 64),
    ("64M crashkernel=128M", 128),
    ("64M quiet", 64),
]


@pytest.mark.parametrize("kernel", ["4.4", "5.10", "6.1", "6.12"])
@pytest.mark.parametrize(("value", "size"), RANGES)
def test_sizes_by_the_machine_s(kernel: str, value: str, size: int) -> None:
    found = plan(f"crashkernel={value}", kernel=kernel)
    if value.startswith("512M-14G") and kernel in ("4.4", "5.10"):
        # What a PC lacks below 1 MiB counts only since 6.0, which rounds the total up to 128 MiB.
        size = 64
    assert sizes(found) == (size, 0)
    assert complaints(found) == []
    assert not any("crashkernel" in message.text for message in found.warnings)


@pytest.mark.parametrize("kernel", ["5.10", "6.1", "6.12"])
@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x", "crashkernel: memory value expected"),
        ("", "crashkernel: memory value expected"),
        ("64Mx", "crashkernel: unrecognized char: x"),
        ("64M,what", "crashkernel: unrecognized char: ,"),
        ("1G-2G", "crashkernel: unrecognized char: -"),
        ("x:64M", "crashkernel: Memory value expected"),
        ("1G:64M", "crashkernel: '-' expected"),
        ("1G-x:64M", "crashkernel: Memory value expected"),
        ("2G-1G:64M", "crashkernel: end <= start"),
        ("2G-2G:64M", "crashkernel: end <= start"),
        ("1G-2Gx:64M", "crashkernel: ':' expected"),
        ("1G-:", "crashkernel: Memory value expected"),
        ("1G-:20G", "crashkernel: invalid size"),
        ("1G-2G:64M,x:1M", "crashkernel: Memory value expected"),
        ("1G-:64M@", "crahskernel: Memory value expected after '@'"),
    ],
)
def test_what_is_no_size(kernel: str, value: str, text: str) -> None:
    found = plan(f"crashkernel={value}", kernel=kernel)
    assert sizes(found) == (0, 0)
    assert complaints(found) == [text]
    assert [e.warning for e in found.events if isinstance(e, Message) and e.text == text] == [True]


@pytest.mark.parametrize(("kernel", "told"), [("4.4", False), ("4.13", False), ("5.10", True), ("6.12", True)])
def test_no_range_that_holds_the_machine(kernel: str, told: bool) -> None:
    """It is told since 4.15."""
    found = plan("crashkernel=512M-2G:64M,2G-4G:128M", kernel=kernel)
    assert sizes(found) == (0, 0)
    assert complaints(found) == ["crashkernel size resulted in zero bytes"] * told


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("crashkernel=1G,high", (1024, 256)),
        ("crashkernel=1G,high crashkernel=0,low", (1024, 0)),
        ("crashkernel=1G,high crashkernel=128M,low", (1024, 128)),
        ("crashkernel=128M,low", (0, 0)),
        ("crashkernel=0,high", (0, 0)),
        ("crashkernel=64M crashkernel=1G,high", (64, 0)),
        ("crashkernel=1G,high crashkernel=64M", (64, 0)),
        ("crashkernel=1G,high crashkernel=2G,high", (2048, 256)),
        # More than lies below 4 GiB goes above, with a low part beside it.
        ("crashkernel=3G", (3072, 256)),
        ("swiotlb=524288 crashkernel=1G,high", (1024, 1024 + 8)),
    ],
)
@pytest.mark.parametrize("kernel", ["5.10", "6.1", "6.12"])
def test_high_and_low_parts(kernel: str, words: str, expected: tuple[int, int]) -> None:
    found = plan(words, kernel=kernel)
    assert sizes(found) == expected
    high = taken(found, Purpose.CRASH_KERNEL)
    assert all((start >= 4 * GIB) == (expected[0] > 64) for start, _ in high)
    assert all(end <= 4 * GIB and start % (16 * MIB) == 0 for start, end in taken(found, Purpose.CRASH_KERNEL_LOW))


@pytest.mark.parametrize("kernel", ["4.4", "5.10", "6.1", "6.12"])
@pytest.mark.parametrize("value", ["64M@256M", "1G-:64M@256M"])
def test_a_place_of_one_s_own(kernel: str, value: str) -> None:
    found = plan(f"crashkernel={value}", kernel=kernel)
    assert taken(found, Purpose.CRASH_KERNEL) == [(256 * MIB, 320 * MIB)]
    assert complaints(found) == []
    # The kernel itself lies from 16 MiB on.
    used = plan("crashkernel=64M@32M", kernel=kernel)
    assert sizes(used) == (0, 0)
    assert complaints(used) == [IN_USE]


def test_where_there_is_no_room() -> None:
    low = plan("crashkernel=1G,high crashkernel=2G,low", kernel="6.12")
    assert sizes(low) == (0, 0)
    assert complaints(low) == ["cannot allocate crashkernel low memory (size:0x80000000)."]
    whole = plan("crashkernel=13G", kernel="6.12")
    assert sizes(whole) == (0, 0)
    assert complaints(whole) == ["cannot allocate crashkernel (size:0x340000000)"]
    assert complaints(plan("crashkernel=13G", kernel="6.1")) == [
        "crashkernel reservation failed - No suitable area found."
    ]
    # As much as there is, or more, isn't even tried.
    assert complaints(plan("crashkernel=20G", kernel="6.12")) == []


def test_what_is_told_of_what_was_reserved() -> None:
    ((start, _),) = taken(plan("crashkernel=256M", kernel="6.1"), Purpose.CRASH_KERNEL)
    told = [event.text for event in plan("crashkernel=256M", kernel="6.1").events if isinstance(event, Message)]
    assert f"Reserving 256MB of memory at {start // MIB}MB for crashkernel (System RAM: 14335MB)" in told
    found = plan("crashkernel=1G,high", kernel="6.12")
    told = [event.text for event in found.events if isinstance(event, Message)]
    ((start, end),) = taken(found, Purpose.CRASH_KERNEL)
    ((low, low_end),) = taken(found, Purpose.CRASH_KERNEL_LOW)
    assert f"crashkernel low memory reserved: {low:#010x} - {low_end:#010x} (256 MB)" in told
    assert f"crashkernel reserved: {start:#018x} - {end:#018x} (1024 MB)" in told


@pytest.mark.parametrize(("kernel", "expected"), [("5.10", (1024, 256)), ("6.1", (1024, 256)), ("6.12", (0, 0))])
def test_a_low_part_that_is_malformed(kernel: str, expected: tuple[int, int]) -> None:
    """It counts as none up to 6.6; later versions then reserve nothing at all."""
    text = "crashkernel: memory value expected"
    found = plan("crashkernel=1G,high crashkernel=x,low", kernel=kernel)
    assert sizes(found) == expected
    assert complaints(found) == [text]
    assert [message.text for message in found.warnings if "crashkernel" in message.text] == [text]


def test_memory_of_which_none_is_left_is_tried_down_to_a_page() -> None:
    """crashkernel=N,cma: half as much each time; an area comes in 2 MiB at the least."""
    machine = EMPTY._replace(cmdline="crashkernel=16M crashkernel=64M,cma")
    facts = {f"config.{name}": True for name in ("CRASH_RESERVE", "CMA")}
    boot = boot_of("6.18", machine, (MIB, GIB), reserved=((MIB, GIB),), facts=facts)
    ran(boot, "reserve_crashkernel")
    assert changes(boot) == []
    sizes = [64, 32, 16, 8, 4, *[2] * 10]
    assert warned(boot) == [
        "cannot allocate crashkernel (size:0x1000000)",
        *(f"cma: Failed to reserve {size} MiB" for size in sizes),
        "crashkernel CMA reservation failed: 64 MB requested, 0 MB reserved in 0 ranges",
    ]


@pytest.mark.parametrize(("gaps", "reserved", "ranges"), [(1, 16, 1), (2, 32, 2), (4, 64, 4), (6, 64, 4)])
def test_areas_of_a_crash_kernel_are_four_at_most(gaps: int, reserved: int, ranges: int) -> None:
    """Gaps of 16 MiB, one of them for the crash kernel itself: 64 MiB and 32 fit nowhere, 16 in each."""
    machine = EMPTY._replace(cmdline="crashkernel=16M crashkernel=64M,cma")
    facts = {f"config.{name}": True for name in ("CRASH_RESERVE", "CMA")}
    ram = [(start * 64 * MIB, start * 64 * MIB + 16 * MIB) for start in range(1, gaps + 2)]
    boot = ran(boot_of("6.18", machine, *ram, facts=facts), "reserve_crashkernel")
    own = [(start, end) for _, start, end in changes(boot, Purpose.CRASH_KERNEL_CMA)]
    assert len(own) == ranges
    assert sum(end - start for start, end in own) == reserved * MIB
    last = told(boot)[-1]
    if reserved == 64:
        assert last == "crashkernel CMA reserved: 64 MB in 4 ranges"
        assert last not in warned(boot)
    else:
        text = f"64 MB requested, {reserved} MB reserved in {ranges} ranges"
        assert warned(boot)[-1] == f"crashkernel CMA reservation failed: {text}"
