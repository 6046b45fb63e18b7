"""A plan held against logs of real boots: whole, ordinary, truncated, altered, and of builds that aren't known."""

import lzma
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import memplan
from memplan.errors import InputError
from memplan.events import Message
from memplan.firmware.combine import import_files
from memplan.kernel.load import find_kernel
from memplan.kernel.shipped import kernel_file
from memplan.plan import End, Plan
from memplan.verification import Comparison, compare, verify

LOGS = Path(__file__).parent / "boots"
STAMP = re.compile(r"^\[ *\d+\.\d+\] ?")
#: What memblock=debug alone prints.
DEBUG = re.compile(r"^(?:memblock_|   memblock_|MEMBLOCK| (?:memory|reserved)(?:\.cnt|\[| size))")
ORDINARY = [
    (
        "hot3-of-4-3.13",
        {"mapping", "hash table", "NODE_DATA", "zone", "node range", "percpu", "total", "reserved memory"},
    ),
    ("cma-hot-5.10", {"CMA", "NODE_DATA", "zone", "movable zone", "node range", "percpu", "total", "reserved memory"}),
    (
        "movablecore-uneven-3.13",
        {
            "mapping",
            "hash table",
            "NODE_DATA",
            "zone",
            "movable zone",
            "node range",
            "percpu",
            "total",
            "reserved memory",
        },
    ),
    ("two-nodes-6.1", {"NODE_DATA", "zone", "node range", "percpu", "total", "reserved memory"}),
    (
        "crash-high-6.12",
        {"hash table", "NODE_DATA", "crash kernel", "zone", "node range", "percpu", "total", "reserved memory"},
    ),
    ("acpi-off-6.12", {"hash table", "NODE_DATA", "zone", "node range", "percpu", "total", "reserved memory"}),
]


def lines_of(name: str) -> list[str]:
    return [STAMP.sub("", line) for line in lzma.open(LOGS / f"{name}.log.xz", "rt").read().splitlines()]


def file_of(folder: Path, lines: list[str]) -> Path:
    path = folder / "boot.log"
    path.write_text("\n".join(lines) + "\n")
    return path


def place(lines: list[str], pattern: str) -> int:
    return next(number for number, line in enumerate(lines) if re.search(pattern, line))


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return lines_of("two-nodes-6.1")


@pytest.fixture(scope="module")
def plan(lines: list[str], tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return memplan.simulate(import_files([file_of(tmp_path_factory.mktemp("log"), lines)])[0])


def held(lines: list[str], plan: Plan) -> Comparison:
    return compare(enumerate(lines, 1), plan)


# -- logs as users have them ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "kinds"), ORDINARY)
def test_an_ordinary_log_is_equal_in_all_that_it_tells(name: str, kinds: set[str], tmp_path: Path) -> None:
    result = verify(file_of(tmp_path, [line for line in lines_of(name) if not DEBUG.match(line)]))
    assert result.same, result.first
    assert not result.debug
    assert {kind for kind, _, _ in result.kinds} == kinds
    assert all(equal == total for _, equal, total in result.kinds)
    assert result.equal == result.total == sum(total for _, _, total in result.kinds)
    assert any("without memblock=debug" in note for note in result.notes)


def test_an_ordinary_log_that_tells_of_less_than_the_plan_differs(tmp_path: Path) -> None:
    ordinary = [line for line in lines_of("crash-high-6.12") if not DEBUG.match(line)]
    result = verify(file_of(tmp_path, [line for line in ordinary if "crashkernel" not in line or "ommand" in line]))
    assert result.first is not None
    assert result.first.kernel is None
    assert result.first.plan is not None
    assert result.first.plan.kind == "crash kernel"


def test_lines_that_a_level_of_messages_hides_are_no_difference(lines: list[str], plan: Plan) -> None:
    ordinary = [line for line in lines if not DEBUG.match(line) and "percpu: Embedded" not in line]
    assert held(ordinary, plan).same


def test_a_log_is_read_as_syslog_and_terminals_give_it(lines: list[str], tmp_path: Path) -> None:
    result = verify(file_of(tmp_path, [f"Nov 23 00:56:11 host kernel: [    0.000000] {line}\r" for line in lines]))
    assert result.same
    assert result.debug


@pytest.mark.parametrize("last", [r"NODE_DATA\(1\)", "^Zone ranges", "percpu: Embedded", "mem auto-init"])
def test_a_log_without_its_tail_is_compared_as_far_as_it_goes(lines: list[str], last: str, tmp_path: Path) -> None:
    cut = lines[: place(lines, last)]
    result = verify(file_of(tmp_path, cut))
    assert result.same, result.first
    assert result.total == sum(DEBUG.match(line) is not None for line in cut if "[0x" in line) + sum(
        bool(re.search(r"^  (?:DMA|DMA32|Normal|Movable|Device) |^  node |NODE_DATA|percpu: Emb|^MEMBLOCK", line))
        for line in cut
    )
    assert "the log ends before the hand-over to the page allocator; it is compared that far" in result.notes


@pytest.mark.parametrize("first", ["MEMBLOCK config", r"NODE_DATA\(0\)", "^Zone ranges", "percpu: Embedded"])
@pytest.mark.parametrize("tail", [0, 20])
def test_a_log_without_its_head_is_compared_from_its_place_on(
    lines: list[str], plan: Plan, first: str, tail: int
) -> None:
    cut = lines[place(lines, first) : len(lines) - tail]
    result = held(cut, plan)
    assert result.same, result.first
    assert 10 < result.equal == result.total < 180
    assert any("lacks its head; it is compared from the plan's fact" in note for note in result.notes)


def test_a_difference_in_a_log_without_its_head_is_still_found(lines: list[str], plan: Plan) -> None:
    cut = lines[place(lines, r"NODE_DATA\(0\)") :]
    at = place(cut, "memblock_reserve")
    cut[at] = cut[at].replace("13fffffff", "13ffeffff")
    result = held(cut, plan)
    assert result.first is not None
    assert result.first.kernel is not None
    assert result.first.kernel.line == at + 1
    assert result.equal == result.total - 1


def test_an_ordinary_log_without_its_head_tells_the_last_of_each_kind(lines: list[str], plan: Plan) -> None:
    ordinary = [line for line in lines if not DEBUG.match(line)]
    result = held(ordinary[place(ordinary, r"NODE_DATA\(1\)") :], plan)
    assert result.same, result.first
    assert ("NODE_DATA", 1, 1) in result.kinds


def test_of_several_boots_in_one_log_the_first_whole_one_counts(lines: list[str], plan: Plan) -> None:
    other = [line.replace("6.1.0-55", "6.1.0-54").replace("0x000000013", "0x000000015") for line in lines]
    assert held([*lines, *other], plan).same
    cut = lines[: place(lines, "mem auto-init")]
    result = held([*cut, *other], plan)
    assert result.same
    assert len(result.notes) == 1
    shutting_down = ["Linux version 6.1.0-54-amd64 #1", "memblock_reserve: [0x0-0xfff] early"]
    assert held([*shutting_down, *lines], plan).same


def test_a_boot_that_a_second_console_prints_again_counts_once(lines: list[str], plan: Plan) -> None:
    result = held([*lines[: place(lines, "percpu: Emb")], *lines], plan)
    assert result.same
    assert result.notes == ()


def test_lost_lines_are_told(lines: list[str], plan: Plan) -> None:
    at = place(lines, r"NODE_DATA\(1\)")
    result = held([*lines[:at], "** 3 printk messages dropped **", *lines[at + 3 :]], plan)
    assert result.first is not None
    assert result.first.cause == "a line that the log lacks, as the kernel lost some"
    assert any("lost 3 lines" in note for note in result.notes)


@pytest.mark.parametrize("text", [[], ["hello"], ["Linux version 6.1.0-55-amd64 (x)", "Command line: quiet"]])
def test_a_log_that_tells_nothing_of_memory_is_an_error(text: list[str], plan: Plan) -> None:
    with pytest.raises(InputError, match="the log: tells nothing that a plan tells too"):
        held(text, plan)


def test_what_kaslr_makes_random_is_left_out(tmp_path: Path) -> None:
    log = file_of(tmp_path, lines_of("user-kaslr-hot-6.12"))
    result = verify(log)
    assert result.same, result.first
    assert any(note.startswith("KASLR was on") for note in result.notes)
    machine = import_files([log])[0]
    without = compare(enumerate(log.read_text().splitlines(), 1), memplan.simulate(machine))
    assert without.first is not None
    assert 80 < result.total <= without.first.index


def test_kaslr_of_older_kernels_leaves_nothing_out(tmp_path: Path) -> None:
    result = verify(file_of(tmp_path, lines_of("kaslr-8g-5.10")))
    assert result.same
    assert result.notes == ()
    assert result.kinds[-1] == ("total", 1, 1)


# -- differences and their causes ----------------------------------------------------------------------------------


def replaced(pattern: str, old: str, new: str) -> Callable[[list[str]], list[str]]:
    def change(lines: list[str]) -> list[str]:
        at = place(lines, pattern)
        assert old in lines[at]
        return [*lines[:at], lines[at].replace(old, new), *lines[at + 1 :]]

    return change


def dropped(pattern: str) -> Callable[[list[str]], list[str]]:
    return lambda lines: [line for number, line in enumerate(lines) if number != place(lines, pattern)]


def inserted(pattern: str, text: str) -> Callable[[list[str]], list[str]]:
    return lambda lines: [*lines[: place(lines, pattern)], text, *lines[place(lines, pattern) :]]


VMEMMAP = r"reserve: \[0x000000007de00000"
CHANGES = [
    (replaced(VMEMMAP, "7de00000", "7dc00000"), VMEMMAP.replace("de", "dc"), r"^the size of .*memory map"),
    (replaced(r"_DATA\(1\)", "[mem 0x13ffd5000-0x13fffffff]", "[mem 0x13ff00000-0x13ff2afff]"), "DATA.1", "place of"),
    (dropped(VMEMMAP), r"reserve: \[0x000000007ffd2000", "^the plan's .*memory map.* did not happen"),
    (inserted(VMEMMAP, "memblock_reserve: [0x7f000-0x7ffff] setup_arch"), "0x7f000-", "did one thing more"),
    (
        replaced("percpu: Emb", "s217088", "s217090"),
        "percpu: Emb",
        r"^sizes of .*: static \(image.percpu_static\)",
    ),
    (replaced(r"^  node   1", "bffdffff", "bffcffff"), "^  node   1", "^the machine's RAM or its nodes"),
    (replaced("^  Normal", "0x000000013fffffff", "0x000000014fffffff"), "^  Normal", "^a rule of Linux 6.1"),
    (replaced("^Memory:", "/4193784K", "/4193780K"), "^Memory:", r"RAM or its nodes \(total\)"),
    (replaced("ommand line:", "nokaslr", "nokaslr mem=2G nosuch"), "", ""),
]


@pytest.mark.parametrize(("change", "line", "cause"), CHANGES[:-1])
def test_the_first_difference_is_the_altered_line(
    lines: list[str], plan: Plan, change: Callable[[list[str]], list[str]], line: str, cause: str
) -> None:
    altered = change(lines)
    result = held(altered, plan)
    assert result.first is not None
    assert result.first.kernel is not None
    assert result.first.kernel.line == place(altered, line) + 1
    assert re.search(cause, result.first.cause), result.first
    assert result.equal == result.total - 1
    assert sum(total - equal for _, equal, total in result.kinds) in (0, 1)


def test_other_boot_options_are_the_cause_where_they_are(lines: list[str], plan: Plan) -> None:
    altered = CHANGES[-1][0](lines)
    equal = held(altered, plan)
    assert equal.same
    assert equal.notes == ("boot options differ: the log alone has mem=2G nosuch",)
    result = held(CHANGES[0][0](altered), plan)
    assert result.first is not None
    assert result.first.cause == "the boot options differ (see the note)"
    other = held(lines, plan._replace(cmdline=plan.cmdline + " quiet"))
    assert other.notes == ("boot options differ: the plan alone has quiet",)


def test_a_build_that_is_not_known_is_the_cause(lines: list[str], tmp_path: Path) -> None:
    unknown = [line.replace("6.1.0-55-amd64", "6.1.99-custom") for line in lines]
    result = verify(file_of(tmp_path, CHANGES[0][0](unknown)))
    assert result.first is not None
    assert result.first.cause.startswith("sizes of 6.1.99-custom, which differ from those of 6.1.99")
    assert "planned with the facts of 6.1.99, not with those of 6.1.99-custom's own build" in result.notes


def test_a_plan_with_the_facts_of_another_build_is_noted(lines: list[str], plan: Plan) -> None:
    other = [line.replace("6.1.0-55-amd64", "6.1.0-54-amd64") for line in lines]
    result = held(other, plan)
    assert any("not with those of 6.1.0-54-amd64's own build" in note for note in result.notes)


def test_a_build_that_was_learned_is_the_logs_own(lines: list[str], tmp_path: Path) -> None:
    """However its file is called, and although memplan does not know the release by itself."""
    text = Path(kernel_file("debian-6.1.0-55-amd64")).read_text(encoding="utf-8")
    for name in ("6.1.99-custom", "mine"):
        own = tmp_path / f"{name}.yaml"
        own.write_text(re.sub(r"(?m)^release: .*$", "release: 6.1.99-custom", text))
        log = file_of(tmp_path, [line.replace("6.1.0-55-amd64", "6.1.99-custom") for line in lines])
        assert verify(log, kernel=str(own)).notes == ()


def test_a_kernel_that_is_given_is_the_logs_from_the_image_on(tmp_path: Path) -> None:
    """Where the image lies is told by what lies behind it, so its size counts, not that of the nearest build."""
    own = "6.18.8-own"
    log = file_of(
        tmp_path, [line.replace("Linux version 6.18.8", f"Linux version {own}") for line in lines_of("cma-hot-6.18")]
    )
    kernel = find_kernel("lab-6.18.8")._replace(name=own, release=own)
    result = verify(log, kernel=kernel)
    assert (result.same, result.notes) == (True, ()), result.first


# -- boots that die ------------------------------------------------------------------------------------------------


def test_a_real_boot_that_died_is_equal_to_its_last_word(tmp_path: Path) -> None:
    log = tmp_path / "boot.log"
    log.write_bytes(lzma.decompress((LOGS.parent / "boot" / "logs" / "srat-overlap-fake-6.12.log.xz").read_bytes()))
    result = verify(log)
    assert result.same, result.first
    assert result.kinds[-1] == ("end", 1, 1)


def dying(plan: Plan, facts: int) -> Plan:
    """The plan of a boot that dies after `facts` events."""
    return plan._replace(
        events=plan.events[:facts], end=End(False, "sparse_init", "panic: no memory", "it is too small")
    )


def test_a_plan_that_dies_where_the_kernel_did_is_equal(lines: list[str], plan: Plan) -> None:
    at = place(lines, r"NODE_DATA\(0\)")
    texts = [event.text if isinstance(event, Message) else "" for event in plan.events]
    events = texts.index(lines[at].rstrip()) + 1
    log = [*lines[: at + 1], "Kernel panic - not syncing: no memory", *lines[at + 1 :]]
    result = held(log, dying(plan, events))
    assert result.same, result.first
    assert result.kinds[-1] == ("end", 1, 1)
    assert result.notes == ()


def test_a_kernel_that_dies_where_the_plan_goes_on_differs(lines: list[str], plan: Plan) -> None:
    at = place(lines, r"NODE_DATA\(0\)")
    result = held([*lines[: at + 1], "Kernel panic - not syncing: no memory"], plan)
    assert result.first is not None
    assert result.first.kernel is not None
    assert result.first.kernel.text == "Kernel panic - not syncing: no memory"
    assert result.first.cause.startswith("the kernel died here")


def test_a_plan_that_dies_where_the_kernel_goes_on_differs(lines: list[str], plan: Plan) -> None:
    result = held(lines, dying(plan, 40))
    assert result.first is not None
    assert result.first.plan is not None
    assert result.first.plan.text == "panic: no memory"
    assert result.first.cause == "the plan ends in sparse_init: it is too small"
