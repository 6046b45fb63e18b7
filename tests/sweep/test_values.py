"""Values between two limits: each has the answer that planning it gives, and together the segments have them all."""

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memplan.errors import InputError, UsageError
from memplan.kernel.load import find_kernel
from memplan.kernel.model import Kernel
from memplan.machine.model import Initrd, Machine
from memplan.sweep import values
from memplan.sweep.outcome import outcome_of
from memplan.sweep.settings import changed
from memplan.sweep.span import Span, read_span
from memplan.sweep.values import Swept, _Answer, sweep_span
from memplan.units import GIB, KIB, MIB, PAGE_SIZE
from tests.sweep.machines import BUILD, kernel_of, machine


def span_of(text: str) -> Span:
    name, _, values = text.partition("=")
    span = read_span(name, values)
    assert span is not None
    return span


def planned(own: Machine, kernel: Kernel, span: Span, value: int) -> _Answer | None:
    """The answer by planning that value; None where there can't be such a machine."""
    try:
        return _Answer.of(outcome_of(changed(own, ((span.name, span.text(value)),)), kernel))
    except InputError:
        return None


def by_value(swept: Swept, span: Span) -> dict[int, _Answer | None]:
    """The answer of every value; each is in one segment, and the segments are in order."""
    assert [swept.segments[0].low, swept.segments[-1].high] == [span.low, span.high]
    assert all(one.high + span.step == other.low for one, other in pairwise(swept.segments))
    return {
        value: None if own.outcome is None else _Answer.of(own.outcome)
        for own in swept.segments
        for value in range(own.low, own.high + 1, span.step)
    }


def answers(own: Machine, kernel: Kernel, text: str) -> set[_Answer | None]:
    """The answers to a span, each held against planning the value."""
    span = span_of(text)
    swept = sweep_span(own, kernel, span)
    assert swept.exact
    found = by_value(swept, span)
    assert found == {value: planned(own, kernel, span, value) for value in found}
    return set(found.values())


SMALL = machine("movable_node", nodes=3)
UNMARKED = machine("", nodes=3, hot=False)


@pytest.mark.parametrize(
    ("own", "version", "text", "least"),
    [
        (SMALL, "6.12", "crashkernel=540M..740M..4M", 2),
        (SMALL, "6.12", "crashkernel=4M..2G..43M,high", 2),
        (SMALL, "6.12", "crashkernel=64M@16M..1200M..24M", 2),
        (SMALL, "5.10", "crashkernel=0..1100M..23M", 2),
        (SMALL, "3.13", "crashkernel=520M..720M..5M", 2),
        (UNMARKED, "6.12", "crashkernel=1G-64G:100M..3G..61M", 2),
        (UNMARKED, "6.12", "mem=64M..3200M..157M", 2),
        (SMALL, "5.15", "mem=900M..3200M..159M", 3),
        (SMALL, "6.12", "mem=2080M..2190M", 2),
        (machine("movable_node", nodes=4), "6.12", "memmap=3110M..3220M", 2),
        (UNMARKED, "6.1", "kernelcore=2290M..2315M", 3),
        (machine("", nodes=5, hot=False), "4.19", "kernelcore=64M..5100M..101M", 2),
        (UNMARKED, "6.12", "movablecore=680M..800M", 3),
        (UNMARKED, "6.12", "movablecore=0..100%", 3),
        (machine("", nodes=7, hot=False), "3.13", "movablecore=1G..7G..149M", 3),
        (SMALL, "6.12", "memmap=1M$1M..3100M..73M", 1),
        (SMALL, "6.12", "memmap=300M@2900M..8G..223M", 1),
        (UNMARKED, "6.12", "reserve_mem=1M..3G..113M:4096:trace", 1),
        (machine("kernelcore=50%", hot=False), "6.12", "cma=4M..2G..73M", 1),
        (machine("kernelcore=50%", hot=False), "6.12", "cma=64M@16M..3G..113M", 1),
        (machine("kernelcore=50%", nodes=5, hot=False), "6.12", "hugetlb_cma=0:1G..3G..97M", 1),
        (machine("kernelcore=50%", hot=False), "6.1", "log_buf_len=4K..1G..47M", 1),
        (SMALL, "6.12", "reservelow=0..900K..25K", 1),
        (SMALL, "6.12", "swiotlb=1..900000..30011", 1),
        (SMALL, "6.12", "nr_cpus=0..12", 1),
        (SMALL, "6.12", "maxcpus=0..12", 1),
        (SMALL, "6.12", "possible_cpus=1..12", 1),
        (SMALL, "6.12", "dhash_entries=1..90000000..3000017", 1),
        (SMALL, "6.12", "ihash_entries=1..90000000..3000017", 1),
        (SMALL, "6.12", "hugepages=0..9", 1),
        (SMALL, "6.12", "initrd.start=0x1000000..3060M..72M", 3),
        (SMALL, "6.12", "initrd.size=1M..2400M..61M", 3),
        (SMALL, "6.12", "kernel.load_address=0x1000000..3000M..128M", 3),
        (SMALL, "6.12", "acpi.tables[0].address=0x1000000..3G..77M", 3),
    ],
)
def test_every_value_one_by_one(own: Machine, version: str, text: str, least: int) -> None:
    assert len(answers(own, kernel_of(version), text)) >= least


def test_alternating_answers_are_all_seen() -> None:
    """A crash kernel at a place of its own must be aligned to 16 MiB there: two changes for each of them."""
    span = span_of("crashkernel=64M@64M..400M")
    swept = sweep_span(SMALL, BUILD, span)
    assert len(swept.segments) == 43
    assert all(own.low == own.high for own in swept.segments if own.outcome and own.outcome.crash_kernel)


def test_thresholds_in_a_large_range() -> None:
    span = span_of("crashkernel=128M..2T")
    swept = sweep_span(SMALL, BUILD, span)
    (fits,) = [own.high for own in swept.segments if own.outcome and own.outcome.crash_kernel]
    for value, there in ((fits, "low"), (fits + MIB, "none")):
        answer = planned(SMALL, BUILD, span, value)
        assert answer is not None
        assert answer.crash_kernel == there


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_of_any_range_ends_and_borders_are_as_planned(data: st.DataObject) -> None:
    own = data.draw(st.sampled_from([SMALL, UNMARKED, machine("kernelcore=40%", nodes=4, hot=False, hole=True)]))
    kernel = kernel_of(data.draw(st.sampled_from(["3.13", "4.14", "5.4", "6.1", "6.12", "7.1", "7.3"])))
    low, step = data.draw(st.integers(1, 1 << 20)) * KIB, data.draw(st.integers(1, 1 << 16)) * KIB
    name, suffix = data.draw(st.sampled_from([("crashkernel", ""), ("crashkernel", ",high"), ("mem", ""), ("cma", "")]))
    span = Span(name, low, low + data.draw(st.integers(0, 16)) * step, step, suffix=suffix)
    found = by_value(sweep_span(own, kernel, span), span)
    for value in data.draw(st.lists(st.sampled_from(sorted(found)), min_size=1, max_size=6)):
        assert found[value] == planned(own, kernel, span, value), span.text(value)


def test_where_there_are_too_many_ways_some_values_are_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    span = span_of("initrd.start=0..2G")
    every = sweep_span(SMALL, BUILD, span)
    assert every.exact
    monkeypatch.setattr(values, "_MOST_WAYS", 3)
    some = sweep_span(SMALL, BUILD, span)
    assert not some.exact
    assert [some.segments[0].low, some.segments[-1].high] == [span.low, span.high]
    for segment in some.segments:
        assert segment.outcome == next(own.outcome for own in every.segments if own.high == segment.high)


def test_values_that_are_too_many_to_plan_and_not_computed_with_are_told_to_be_inexact() -> None:
    for name, exact in (("nosuch", False), ("nr_cpus", True)):
        assert sweep_span(SMALL, BUILD, Span(name, 1, 1025, 1)).exact is exact


def test_what_is_not_exact_is_looked_at_closely_where_the_answer_changes() -> None:
    span = Span("e820[1].end", 900 * MIB, 1900 * MIB, 4 * KIB)
    swept = sweep_span(SMALL, BUILD, span)
    assert not swept.exact
    assert len(swept.segments) > 1
    for one, other in pairwise(swept.segments):
        for value, own in ((one.high, one), (other.low, other)):
            assert own.outcome is not None
            assert planned(SMALL, BUILD, span, value) == _Answer.of(own.outcome)


def test_values_with_which_there_is_no_plan_say_why() -> None:
    own = SMALL._replace(kernel=SMALL.kernel._replace(load_address=256 * MIB))
    swept = sweep_span(own, BUILD, span_of("initrd.start=100M..400M..4M"))
    assert [(one.low // MIB, one.high // MIB) for one in swept.segments if one.problem] == [(240, 256)]
    assert "overlaps the kernel" in swept.segments[1].problem


def test_values_that_can_not_be_are_refused() -> None:
    for text in ("crashkernel=1G..2G,nowhere", "swiotlb=1..5:x"):
        with pytest.raises(InputError, match="bad value"):
            sweep_span(SMALL, BUILD, span_of(text))
    with pytest.raises(InputError, match="unknown key"):
        sweep_span(SMALL, BUILD, span_of("initrd.begin=1..2"))
    with pytest.raises(InputError):
        sweep_span(SMALL._replace(initrd=None), BUILD, span_of("initrd.start=1G..2G"))


def test_how_ranges_are_written() -> None:
    assert read_span("crashkernel", "128M..8G") == Span("crashkernel", 128 * MIB, 8 * GIB, MIB)
    assert read_span("crashkernel", "128M..8G..16M,high") == Span(
        "crashkernel", 128 * MIB, 8 * GIB, 16 * MIB, "", ",high"
    )
    assert read_span("crashkernel", "256M@1G..4G") == Span("crashkernel", GIB, 4 * GIB, MIB, "256M@")
    assert read_span("hugetlb_cma", "0:1G..4G,1:2G") == Span("hugetlb_cma", GIB, 4 * GIB, MIB, "0:", ",1:2G")
    assert read_span("movablecore", "10%..90%") == Span("movablecore", 10, 90, 1, "", "%", plain=True)
    assert read_span("movablecore", "10..90..10%") == Span("movablecore", 10, 90, 10, "", "%", plain=True)
    assert read_span("log_buf_len", "16K..1M") == Span("log_buf_len", 16 * KIB, MIB, KIB)
    assert read_span("hugepages", "0..64") == Span("hugepages", 0, 64, 1, plain=True)
    # Plain numbers count what they are of, however round they are, unless they are a size's bytes.
    assert read_span("nr_cpus", "4096..8192") == Span("nr_cpus", 4096, 8192, 1, plain=True)
    assert read_span("swiotlb", "0x10000..262144") == Span("swiotlb", 65536, 262144, 1, plain=True)
    assert read_span("numa", "fake=4096..8192") == Span("numa", 4096, 8192, 1, "fake=", plain=True)
    assert read_span("mem", "1073741824..2147487744") == Span("mem", GIB, 2 * GIB + 4096, 4096, plain=True)
    assert read_span("initrd.size", "4096..65536") == Span("initrd.size", 4096, 65536, 4096, plain=True)
    assert read_span("initrd.start", "0x1000000..1G") == Span("initrd.start", 16 * MIB, GIB, PAGE_SIZE)
    assert read_span("initrd.start", "1G..0x4000000f..1M") == Span("initrd.start", GIB, GIB, MIB)
    assert read_span("movable_node", "on,off") is None
    for bad in ("8G..1G", "1G..", "..1G", "1G..2G..0", "1G..2Q", "1..2..3..4", "10%..90", "1G..2G..x"):
        with pytest.raises(UsageError):
            read_span("crashkernel", bad)


def test_each_count_between_round_numbers_is_answered_for() -> None:
    """All pages are of 4 KiB, but not all numbers of CPUs are multiples of 4096."""
    span = span_of("nr_cpus=4096..8192")
    swept = sweep_span(SMALL, BUILD, span)
    found = by_value(swept, span)
    assert swept.exact
    assert list(found) == list(range(4096, 8193))
    assert all(found[value] == planned(SMALL, BUILD, span, value) for value in (4096, 4097, 5000, 8191, 8192))


def test_a_span_writes_its_values_in_one_unit() -> None:
    span = Span("crashkernel", 128 * MIB, 2 * GIB, 64 * MIB, suffix=",high")
    assert [span.text(value) for value in (128 * MIB, GIB)] == ["128M,high", "1024M,high"]
    assert span.shown(GIB) == "1G,high"
    assert list(span.by_length()) == [(128 * MIB, 960 * MIB), (GIB, 2 * GIB)]
    assert list(Span("hugepages", 0, 12, 3).by_length()) == [(0, 0), (3, 9), (12, 12)]
    assert Span("initrd.start", 0, 9, 1).text(9) == "0x9"


@pytest.mark.parametrize("text", ["nr_cpus=1024..4096..1024", "hugepages=1024..4096", "numa=fake=1024..4096..1024"])
def test_numbers_without_a_unit_are_written_and_shown_without_one(text: str) -> None:
    """Linux reads nr_cpus=1K as one CPU, and numa=fake=1K as nodes of 1 KiB."""
    name, _, values = text.partition("=")
    span = read_span(name, values)
    assert span is not None
    head = "fake=" if "fake" in text else ""
    assert [span.text(value) for value in (1024, 4096)] == [f"{head}1024", f"{head}4096"]
    assert span.shown(4096) == f"{head}4096"


def test_kernels_without_a_build_are_swept_as_well() -> None:
    assert sweep_span(SMALL, find_kernel("6.12"), span_of("crashkernel=64M..128M")).exact


@pytest.mark.parametrize("values", ["1M..99999999999999999999G", "1.." + "9" * 5000, "1..16E", "1M..2M..0x" + "1" * 17])
def test_a_limit_that_linux_would_cut_is_none(values: str) -> None:
    with pytest.raises(UsageError, match="the limits and the step of a range have at most 64 bits"):
        read_span("crashkernel", values)


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("crashkernel=64M..4G", True),
        ("initrd.start=100M..400M..4M", True),
        ("hugepages=0..64", True),
        ("hugepages=0..4096..2", False),
    ],
)
def test_how_far_it_is_grows_with_each_plan(text: str, exact: bool) -> None:
    heard: list[tuple[float | None, int]] = []
    own = machine("movable_node", nodes=3)._replace(initrd=Initrd(100 * MIB, 8 * MIB))
    swept = sweep_span(own, BUILD, span_of(text), lambda share, replays: heard.append((share, replays)))
    assert swept == sweep_span(own, BUILD, span_of(text))
    assert swept.exact is exact
    shares = [share for share, _ in heard if share is not None]
    assert [replays for _, replays in heard] == list(range(len(shares)))
    assert shares[0] == 0
    assert shares == sorted(shares)
    assert shares[-1] < 1
