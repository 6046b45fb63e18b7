"""Values between two limits: the answers' borders, against planning the values around them."""

from itertools import pairwise

import pytest

from memplan.errors import UsageError
from memplan.sweep.outcome import outcome_of
from memplan.sweep.settings import changed
from memplan.sweep.values import Span, read_span, sweep_span
from memplan.units import GIB, MIB, PAGE_SIZE
from tests.sweep.machines import BUILD, machine


@pytest.mark.parametrize("suffix", ["", ",high"])
def test_the_largest_crash_kernel_that_fits(suffix: str) -> None:
    own = machine("movable_node", nodes=3)
    segments = sweep_span(own, BUILD, Span("crashkernel", 64 * MIB, 4 * GIB, MIB, suffix))
    assert [segments[0].low, segments[-1].high] == [64 * MIB, 4 * GIB]
    assert all(one.high + MIB == other.low for one, other in pairwise(segments))
    fits = [one.high for one in segments if one.outcome.crash_kernel][-1]
    for size, there in ((fits, True), (fits + MIB, False)):
        outcome = outcome_of(changed(own, (("crashkernel", f"{size // MIB}M{suffix}"),)), BUILD)
        assert (outcome.crash_kernel is not None) == there


@pytest.mark.parametrize(("name", "low"), [("initrd.start", 600 * MIB), ("kernel.load_address", 400 * MIB)])
def test_every_place_of_initrd_and_image(name: str, low: int) -> None:
    own = machine("movable_node", nodes=3)._replace(srat=machine(nodes=3).srat)
    step = 4 * MIB if name == "initrd.start" else 2 * MIB
    span = Span(name, low, low + 1600 * MIB, step)
    segments = sweep_span(own, BUILD, span)
    assert len(segments) > 1
    for value in range(span.low, span.high + 1, 7 * step):
        image, initrd = (16 * MIB, value) if name == "initrd.start" else (value, 700 * MIB)
        apart = image + BUILD.fact("image.end") <= initrd or initrd + 20 * MIB <= image
        found = [one for one in segments if one.low <= value <= one.high]
        assert len(found) == apart
        if not apart:
            continue
        (there,) = found
        outcome = outcome_of(changed(own, ((name, hex(value)),)), BUILD)
        assert (outcome.removable, outcome.death) == (there.outcome.removable, there.outcome.death), hex(value)


def test_options_are_looked_at_ever_closer() -> None:
    own = machine("", nodes=3, hot=False)
    segments = sweep_span(own, BUILD, Span("kernelcore", 64 * MIB, 3 * GIB, MIB))
    for one, other in pairwise(segments):
        for size, segment in ((one.high, one), (other.low, other)):
            outcome = outcome_of(changed(own, (("kernelcore", f"{size // MIB}M"),)), BUILD)
            assert outcome.removable == segment.outcome.removable
    assert len(segments) > 1


def test_how_ranges_are_written() -> None:
    assert read_span("crashkernel", "128M..8G") == Span("crashkernel", 128 * MIB, 8 * GIB, MIB)
    assert read_span("crashkernel", "128M..8G..16M,high") == Span("crashkernel", 128 * MIB, 8 * GIB, 16 * MIB, ",high")
    assert read_span("initrd.start", "0x1000000..1G") == Span("initrd.start", 16 * MIB, GIB, PAGE_SIZE)
    assert read_span("movable_node", "on,off") is None
    for bad in ("8G..1G", "1G..", "..1G", "1G..2G..0", "1G..2Q", "1..2..3..4"):
        with pytest.raises(UsageError):
            read_span("crashkernel", bad)
