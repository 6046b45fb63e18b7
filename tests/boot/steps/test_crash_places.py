"""Where the crash kernel lies, against a search that tries one address after the other, in each version's order."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memplan.boot.context import Boot
from memplan.events import Change, Refused
from memplan.machine.model import Cpus
from memplan.owner import Purpose
from memplan.units import GIB, KIB, MIB, TIB
from tests.boot.steps.single import EMPTY, boot_of, changes, ran, told, warned

#: RAM and reservations come in so many bytes; crash kernels are aligned to twice as many.
UNIT = 8 * MIB
ALIGN = 16 * MIB
VERSIONS = ("3.13", "4.2", "4.4", "4.13", "5.0", "5.2", "5.10", "6.1", "6.8", "6.12")

Range = tuple[int, int]


class Wish(NamedTuple):
    """MiB; the form is plain, @ (at `offset`), or high, with or without a size for the low part."""

    form: str
    size: int
    offset: int
    low: int | None


wishes = st.builds(
    Wish,
    st.sampled_from(("plain", "@", "high")),
    st.integers(1, 600) | st.sampled_from((16, 64, 256, 2048)),
    st.sampled_from((1, 16, 24, 160, 1000, 1024, 4096, 4104, 5000)),
    st.none() | st.sampled_from((0, 16, 80, 300)),
)


class Model:
    """Free memory by units, and what a version does with it."""

    def __init__(self, version: str, ram: set[int], taken: set[int], total: int) -> None:
        self.at = VERSIONS.index(version)
        self.free = ram - taken
        self.total = total
        self.warnings: list[str] = []
        self.lines: list[str] = []
        #: Size, alignment and limits of each search.
        self.searches: list[tuple[int, int, int, int]] = []

    def since(self, version: str) -> bool:
        return self.at >= VERSIONS.index(version)

    def search(self, size: int, low: int, high: int, align: int = ALIGN) -> Range | None:
        """The highest place; memory of one range, as RAM has no node here."""
        self.searches.append((size, align, low, high))
        for start in range((min(high, 8 * GIB) - size) // align * align, max(low, 1) - 1, -align):
            if start and set(range(start // UNIT, -(-(start + size) // UNIT))) <= self.free:
                return start, start + size
        return None

    def take(self, found: Range | None) -> Range | None:
        if found:
            self.free -= set(range(found[0] // UNIT, -(-found[1] // UNIT)))
        return found

    def old(self, wish: Wish) -> tuple[Range | None, Range | None]:
        size = wish.size * MIB
        if wish.form == "@":
            place = wish.offset * MIB
            found = self.search(size, place, place + size, MIB)
            if not found:
                self.warnings.append("crashkernel reservation failed - memory is in use.")
                return None, None
        else:
            found = None
            if wish.form == "plain":
                found = self.search(size, ALIGN, 4 * GIB if self.since("5.2") else 896 * MIB)
            if wish.form == "high" or (self.since("5.2") and not found):
                found = self.search(size, ALIGN, 64 * TIB)
            if not found:
                self.warnings.append("crashkernel reservation failed - No suitable area found.")
                return None, None
        self.take(found)
        where = f"{wish.size}MB of memory at {found[0] // MIB}MB for crashkernel (System RAM: {self.total // MIB}MB)"
        if found[0] < 4 * GIB or wish.low == 0:
            self.lines.append(f"Reserving {where}")
            return found, None
        low_size = (wish.low or (256 if self.since("4.2") else 72)) * MIB
        low = self.take(self.search(low_size, 0 if self.since("4.13") else low_size, 4 * GIB))
        if not low and self.since("4.4"):
            text = f"Cannot reserve {low_size // MIB}MB crashkernel low memory, please try smaller size."
            self.warnings.append(text)
            return None, None
        if not low and wish.low:
            self.warnings.append("crashkernel low reservation failed - No suitable area found.")
        self.lines.append(f"Reserving {where}")
        if low:
            text = f"Reserving {low_size // MIB}MB of low memory at {low[0] // MIB}MB for crashkernel"
            self.lines.insert(0 if self.since("4.4") else 1, text)
        return found, low

    def new(self, wish: Wish) -> tuple[Range | None, Range | None]:
        size, low_size = wish.size * MIB, 256 * MIB
        if self.since("6.12") and size >= self.total:
            return None, None
        lower, upper = (0, 4 * GIB), (4 * GIB, 64 * TIB)
        if wish.form == "@":
            place = wish.offset * MIB
            found = self.search(size, place, place + size)
            if not found:
                self.warnings.append("crashkernel reservation failed - memory is in use.")
                return None, None
            low_size = 0
        else:
            order = (upper, lower) if wish.form == "high" else (lower, upper)
            found = self.search(size, *order[0]) or self.search(size, *order[1])
            if not found:
                self.warnings.append(f"cannot allocate crashkernel (size:{size:#x})")
                return None, None
        if wish.form == "high" and wish.low is not None:
            low_size = wish.low * MIB
        self.take(found)
        low = None
        if found[0] >= 4 * GIB and low_size:
            low = self.take(self.search(low_size, 0, 4 * GIB))
            if not low:
                self.warnings.append(f"cannot allocate crashkernel low memory (size:{low_size:#x}).")
                return None, None
            span = f"{low[0]:#010x} - {low[1]:#010x} ({low_size // MIB} MB)"
            self.lines.append(f"crashkernel low memory reserved: {span}")
        self.lines.append(f"crashkernel reserved: {found[0]:#018x} - {found[1]:#018x} ({wish.size} MB)")
        return found, low


@settings(deadline=None, derandomize=True, max_examples=300)
@given(
    st.sampled_from(VERSIONS),
    st.lists(st.tuples(st.integers(16, 512), st.integers(1, 130)), max_size=3),
    st.integers(0, 250),
    st.lists(st.tuples(st.integers(2, 760), st.integers(1, 30)), max_size=8),
    wishes,
)
def test_the_crash_kernel_lies_where_a_search_by_hand_finds_it(
    version: str, low: list[Range], high: int, reserved: list[Range], wish: Wish
) -> None:
    ram = {unit for first, count in low for unit in range(first, min(first + count, 512))} | set(range(512, 512 + high))
    ram |= {2, 3}
    taken = {unit for first, count in reserved for unit in range(first, first + count)}
    words = {"plain": f"{wish.size}M", "@": f"{wish.size}M@{wish.offset}M", "high": f"{wish.size}M,high"}[wish.form]
    cmdline = f"crashkernel={words}" + (f" crashkernel={wish.low}M,low" if wish.low is not None else "")
    kernel = {f"config.{name}": True for name in ("KEXEC", "KEXEC_CORE", "CRASH_RESERVE")}
    boot = boot_of(version, EMPTY._replace(cmdline=cmdline), *((u * UNIT, u * UNIT + UNIT) for u in ram), facts=kernel)
    for unit in taken:
        boot.memblock.reserve(unit * UNIT, UNIT)
    boot.recorder.events.clear()
    model = Model(version, ram, taken, len(ram) * UNIT)
    main, part = (model.new if version in ("6.8", "6.12") else model.old)(wish)
    ran(boot, "reserve_crashkernel")
    assert left(boot, Purpose.CRASH_KERNEL) == main
    assert left(boot, Purpose.CRASH_KERNEL_LOW) == part
    assert warned(boot) == model.warnings
    asked = [event.request for event in boot.recorder.events if isinstance(event, Change | Refused) and event.request]
    assert [(own.size, own.align, own.min_addr, own.max_addr) for own in asked] == model.searches
    assert [text.split(" (System low")[0].split(" (low RAM")[0] for text in told(boot) if text not in warned(boot)] == (
        model.lines
    )


def left(boot: Boot, kind: Purpose) -> Range | None:
    """What is taken and not given back."""
    kept: list[Range] = []
    for op, start, end in changes(boot, kind):
        (kept.append if op == "reserve" else kept.remove)((start, end))
    assert len(kept) <= 1
    return kept[0] if kept else None


@pytest.mark.parametrize(("version", "told_of"), [("5.0", "System low RAM: 3071MB"), ("5.10", "low RAM limit: 4096MB")])
@pytest.mark.parametrize("high", [4, 12])
def test_what_is_told_of_low_memory(version: str, told_of: str, high: int) -> None:
    """All RAM below 4 GiB; or (since 5.10) RAM, at most 4 GiB."""
    ram = ((MIB, 3 * GIB), (4 * GIB, (4 + high) * GIB))
    boot = boot_of(version, EMPTY._replace(cmdline="crashkernel=64M,high"), *ram, facts={"config.KEXEC_CORE": True})
    ran(boot, "reserve_crashkernel")
    assert next(text for text in told(boot) if "of low memory" in text).endswith(f"for crashkernel ({told_of})")
    small = boot_of(
        "5.10",
        EMPTY._replace(cmdline="crashkernel=64M,high"),
        *((16 * MIB, GIB), (4 * GIB, 5 * GIB)),
        facts={"config.KEXEC_CORE": True},
    )
    assert told(ran(small, "reserve_crashkernel"))[0].endswith("(low RAM limit: 2032MB)")


@pytest.mark.parametrize(("version", "high"), [("5.2", True), ("5.3", False), ("6.12", False)])
@pytest.mark.parametrize("words", ["64M,high", "2G"])
def test_memory_above_64_tebibytes(version: str, high: bool, words: str) -> None:
    """With page tables of five levels 5.2 takes what is there, later versions end at 64 TiB."""
    kernel = {f"config.{name}": True for name in ("KEXEC_CORE", "CRASH_RESERVE", "X86_5LEVEL")}
    machine = EMPTY._replace(cmdline=f"crashkernel={words}", cpus=Cpus(la57=True))
    boot = boot_of(version, machine, (MIB, GIB), (8 * GIB, 16 * GIB), (70 * TIB, 71 * TIB), facts=kernel)
    ran(boot, "reserve_crashkernel")
    (place,) = [start for op, start, _ in changes(boot, Purpose.CRASH_KERNEL) if op == "reserve"]
    assert (place >= 64 * TIB) is high


@pytest.mark.parametrize(("version", "ignored"), [("4.16", False), ("4.17", True), ("6.12", True)])
def test_a_paravirtual_domain_gets_none(version: str, ignored: bool) -> None:
    machine = EMPTY._replace(cmdline="crashkernel=64M", hypervisor="xen-pv")
    facts = {"config.KEXEC_CORE": True, "config.CRASH_RESERVE": True}
    boot = ran(boot_of(version, machine, facts=facts), "reserve_crashkernel")
    assert bool(changes(boot)) is not ignored
    assert ("Ignoring crashkernel for a Xen PV domain" in told(boot)) is ignored


@pytest.mark.parametrize(
    ("version", "option"), [("4.2", "KEXEC"), ("4.3", "KEXEC_CORE"), ("6.8", "KEXEC_CORE"), ("6.9", "CRASH_RESERVE")]
)
def test_the_option_that_it_needs(version: str, option: str) -> None:
    names = ("KEXEC", "KEXEC_CORE", "CRASH_RESERVE")
    for wanted in (True, False):
        facts = {f"config.{name}": (name == option) is wanted for name in names}
        boot = boot_of(version, EMPTY._replace(cmdline="crashkernel=64M"), facts=facts)
        assert bool(changes(ran(boot, "reserve_crashkernel"))) is wanted


@pytest.mark.parametrize(
    ("version", "total", "size"),
    [
        ("5.19", 2 * GIB - 4 * KIB, 64),
        ("5.19", 2 * GIB, 96),
        ("6.0", 2 * GIB - 128 * MIB, 64),
        ("6.0", 2 * GIB - 128 * MIB + 4 * KIB, 96),
        ("6.0", 2 * GIB, 96),
    ],
)
def test_a_range_of_sizes_begins_with_its_first_byte(version: str, total: int, size: int) -> None:
    """Since 6.0 all RAM is rounded up to 128 MiB before it is compared."""
    machine = EMPTY._replace(cmdline="crashkernel=1G-2G:64M,2G-:96M")
    boot = ran(boot_of(version, machine, (0, total), facts={"config.KEXEC_CORE": True}), "reserve_crashkernel")
    assert [(end - start) // MIB for _, start, end in changes(boot)] == [size]


@pytest.mark.parametrize(("version", "named"), [("4.2", True), ("4.2", False), ("4.3", True), ("3.13", True)])
def test_a_low_part_without_room_costs_the_crash_kernel_nothing_up_to_4_3(version: str, named: bool) -> None:
    """Where the command line names it, its lack is told."""
    cmdline = "crashkernel=64M,high" + " crashkernel=512M,low" * named
    facts = {"config.KEXEC": True, "config.KEXEC_CORE": True}
    boot = boot_of(version, EMPTY._replace(cmdline=cmdline), (MIB, 128 * MIB), (4 * GIB, 5 * GIB), facts=facts)
    ran(boot, "reserve_crashkernel")
    assert left(boot, Purpose.CRASH_KERNEL) == (5 * GIB - 64 * MIB, 5 * GIB)
    assert left(boot, Purpose.CRASH_KERNEL_LOW) is None
    assert warned(boot) == ["crashkernel low reservation failed - No suitable area found."] * named
