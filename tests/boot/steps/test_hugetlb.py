"""Gigantic pages taken in bulk: all is as if they were taken one by one."""

import pytest

import memplan
from memplan.boot.context import Boot
from memplan.boot.steps import hugetlb
from memplan.events import Change, Checkpoint, Message
from memplan.machine.model import Cpus, Machine
from memplan.owner import Purpose
from memplan.plan import Plan
from memplan.units import GIB, MIB, PAGE_SHIFT
from tests.boot.steps.single import boot_of, changes, ran
from tests.boot.steps.single import warned as warned_of
from tests.boot.steps.test_areas import machine as areas
from tests.boot.steps.test_areas import plan, said, taken
from tests.sweep.machines import kernel_of, machine


def large(cmdline: str, nodes: int) -> Machine:
    """Nodes of 300 GiB, whose pages fill the built-in array of reservations more than once."""
    own = machine(cmdline, nodes=nodes, hot=False)
    assert own.srat is not None
    size = 300 * GIB
    return own._replace(
        e820=(own.e820[0], own.e820[1]._replace(end=nodes * size - 5 * MIB)),
        srat=own.srat._replace(
            memory=tuple(entry._replace(base=nid * size, length=size) for nid, entry in enumerate(own.srat.memory))
        ),
        initrd=None,
    )


def blocks(plan: Plan) -> list[tuple[object, ...]]:
    """Every change block by block, and what is printed on the way."""
    found: list[tuple[object, ...]] = []
    for event in plan.events:
        if isinstance(event, Change):
            found += [(event.op, start, end, event.owner) for start, end in event.blocks()]
        elif isinstance(event, Message):
            found.append((event.text,))
        elif isinstance(event, Checkpoint):
            found.append((event.memory, event.reserved, event.reserved_size, event.reserved_cnt))
    return found


@pytest.mark.parametrize("kernel", ["5.10.89", "6.1.192", "6.12.107", "6.18.8", "7.3.4"])
@pytest.mark.parametrize(
    ("words", "nodes"),
    [
        ("hugepages=200", 1),
        ("hugepages=400", 1),
        ("hugepages=1:150,0:7", 2),
        ("hugepages=1:400", 2),
        ("hugepages=9", 2),
        ("hugepages=260 kernelcore=100300M", 1),
        ("hugepages=1:270,0:280 movablecore=90500M", 2),
    ],
)
def test_in_bulk_and_one_by_one(kernel: str, words: str, nodes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    own = large(f"hugepagesz=1G {words}", nodes)
    bulk = memplan.simulate(own, kernel=kernel_of(kernel))
    monkeypatch.setattr(hugetlb._Gigantic, "_take_alone", lambda *_: (0, 0))
    single = memplan.simulate(own, kernel=kernel_of(kernel))
    assert blocks(bulk) == blocks(single)
    assert bulk.reservations == single.reservations
    assert sum(1 for event in single.events if isinstance(event, Change) and event.owner.kind.name == "GIGANTIC_PAGES")


# -- which words count (Documentation/admin-guide/mm/hugetlbpage.rst) ------------------------------------------------

AGAIN = "hugepages= specified twice without interleaving hugepagesz=, ignoring"


def follows(count: int) -> str:
    return f"HugeTLB: hugepages={count} does not follow a valid hugepagesz, ignoring"


def warned(plan: Plan, word: str) -> list[str]:
    return [event.text for event in plan.events if isinstance(event, Message) and event.warning and word in event.text]


def pages(plan: Plan) -> int:
    return sum(end - start for start, end in taken(plan, Purpose.GIGANTIC_PAGES)) // GIB


@pytest.mark.parametrize(
    ("words", "count", "told"),
    [
        ("hugepagesz=1G hugepages=2", 2, []),
        ("hugepages=3", 0, []),
        ("hugepagesz=2M hugepages=3", 0, []),
        ("hugepagesz=2M hugepages=3 hugepagesz=1G hugepages=2", 2, []),
        ("hugepagesz=1G hugepages=2 hugepagesz=2M hugepages=3", 2, []),
        ("default_hugepagesz=1G hugepages=3", 3, []),
        ("hugepages=3 default_hugepagesz=1G", 3, []),
        ("hugepages=3 default_hugepagesz=2M", 0, []),
        # The first count was for the default size, whichever that is; the second is for the size that is it now.
        ("hugepages=3 default_hugepagesz=1G hugepages=2", 5, []),
        ("default_hugepagesz=1G hugepagesz=1G hugepages=2", 2, []),
        ("hugepagesz=1G default_hugepagesz=1G hugepages=2", 2, []),
        ("hugepagesz=1G hugepages=2 hugepages=3", 2, [f"HugeTLB: {AGAIN} hugepages=3"]),
        ("hugepages=2 hugepages=3", 0, [f"HugeTLB: {AGAIN} hugepages=3"]),
        (
            "hugepagesz=1G hugepages=2 hugepagesz=1G hugepages=3",
            2,
            ["HugeTLB: hugepagesz=1G specified twice, ignoring", follows(3)],
        ),
        (
            "default_hugepagesz=1G hugepages=2 hugepagesz=1G hugepages=1",
            2,
            ["HugeTLB: hugepagesz=1G specified twice, ignoring", follows(1)],
        ),
        ("hugepagesz=4M hugepages=2", 0, ["HugeTLB: unsupported hugepagesz=4M", follows(2)]),
        ("hugepagesz=1G hugepagesz=4M hugepages=2", 0, ["HugeTLB: unsupported hugepagesz=4M", follows(2)]),
        ("hugepagesz=4M hugepages=2 hugepagesz=1G hugepages=3", 3, ["HugeTLB: unsupported hugepagesz=4M", follows(2)]),
        ("hugepagesz=2G hugepages=1", 0, ["HugeTLB: unsupported hugepagesz=2G", follows(1)]),
        ("default_hugepagesz=4M hugepages=2", 0, ["HugeTLB: unsupported default_hugepagesz=4M", follows(2)]),
        (
            "default_hugepagesz=1G default_hugepagesz=2M hugepages=2",
            0,
            ["HugeTLB: default_hugepagesz previously specified, ignoring 2M", follows(2)],
        ),
        ("hugepagesz=1G hugepages=0:2", 2, []),
        ("hugepagesz=1G hugepages=0:2,", 2, []),
        ("hugepagesz=1G hugepages=1:2", 0, ["HugeTLB: Invalid hugepages parameter 1:2"]),
        ("hugepagesz=1G hugepages=0:2,1:1", 0, ["HugeTLB: Invalid hugepages parameter 0:2,1:1"]),
        ("hugepagesz=1G hugepages=0:", 0, ["HugeTLB: Invalid hugepages parameter 0:"]),
        ("hugepagesz=1G hugepages=0:2,3", 0, ["HugeTLB: Invalid hugepages parameter 0:2,3"]),
        ("hugepagesz=1G hugepages=x", 0, ["HugeTLB: Invalid hugepages parameter x"]),
        ("hugepagesz=1G hugepages=x hugepages=2", 2, ["HugeTLB: Invalid hugepages parameter x"]),
        ("hugepagesz=1G hugepages=0", 0, []),
    ],
)
def test_words_since_5_8(words: str, count: int, told: list[str]) -> None:
    found = plan(words, kernel="6.12")
    assert (pages(found), said(found, "HugeTLB")) == (count, told)
    assert warned(found, "HugeTLB") == told


@pytest.mark.parametrize(
    ("words", "count", "told"),
    [
        ("hugepagesz=1G hugepages=2", 2, []),
        ("hugepages=3", 0, []),
        ("default_hugepagesz=1G hugepages=2", 0, []),
        ("hugepagesz=4M hugepages=2", 0, ["hugepagesz: Unsupported page size 4 M"]),
        ("hugepagesz=1G hugepagesz=4M hugepages=2", 2, ["hugepagesz: Unsupported page size 4 M"]),
        ("hugepagesz=1G hugepagesz=1G hugepages=1", 1, ["hugepagesz= specified twice, ignoring"]),
        ("hugepagesz=1G hugepages=2 hugepages=3", 2, [AGAIN]),
        ("hugepagesz=1G hugepages=2 hugepagesz=2M hugepages=3", 2, []),
        ("hugepagesz=1G hugepages=0:2", 0, []),
        ("hugepagesz=1G hugepages=2x", 2, []),
        ("hugepagesz=1G hugepages=x", 0, []),
    ],
)
def test_words_until_5_7(words: str, count: int, told: list[str]) -> None:
    found = plan(words, kernel="5.4.0")
    assert (pages(found), said(found, "hugepages")) == (count, told)
    assert warned(found, "hugepages") == told


@pytest.mark.parametrize(
    ("kernel", "words"),
    [(kernel, words) for kernel in ("6.1", "6.12", "lab-6.18.8") for words in ("hugepages=20", "hugepages=0:20")]
    + [("5.10", "hugepages=20")],
)
def test_as_many_as_there_is_room_for(kernel: str, words: str) -> None:
    """16 GiB less the hole: eleven of the twelve above 4 GiB at most, and none fits below."""
    found = plan(f"hugepagesz=1G {words}", kernel=kernel)
    count = pages(found)
    assert 10 <= count <= 12
    where = " node0" if ":" in words else ""
    text = f"HugeTLB: allocating 20 of page size 1.00 GiB failed{where}.  Only allocated {count} hugepages."
    assert said(found, "HugeTLB") == [text]
    assert [event.warning for event in found.events if isinstance(event, Message) and event.text == text] == [True]


def test_without_pages_of_that_size_there_are_none() -> None:
    own = areas("hugepagesz=1G hugepages=2")
    found = memplan.simulate(own._replace(cpus=Cpus(possible=2, gbpages=False)), kernel="6.12")
    assert pages(found) == 0
    assert said(found, "HugeTLB") == ["HugeTLB: unsupported hugepagesz=1G", follows(2)]


# -- turns over nodes, and pages out of areas --------------------------------------------------------------------------

GIGANTIC = Machine((), cpus=Cpus(gbpages=True))
THREE = ((4 * GIB, 8 * GIB, 0), (8 * GIB, 12 * GIB, 1), (12 * GIB, 16 * GIB, 2))


def places(boot: Boot) -> list[int]:
    """The GiB at which pages were taken, in their order."""
    return [start // GIB for op, start, _ in changes(boot, Purpose.GIGANTIC_PAGES) if op == "reserve"]


@pytest.mark.parametrize("version", ["3.13", "5.10", "6.1", "6.12", "6.18"])
@pytest.mark.parametrize(
    ("count", "expected"), [(1, [7]), (5, [7, 11, 15, 6, 10]), (12, [7, 11, 15, 6, 10, 14, 5, 9, 13, 4, 8, 12])]
)
def test_nodes_take_turns(version: str, count: int, expected: list[int]) -> None:
    boot = boot_of(version, GIGANTIC._replace(cmdline=f"hugepagesz=1G hugepages={count}"), *THREE)
    assert places(ran(boot, "parse_hugepages")) == expected
    assert warned_of(boot) == []


@pytest.mark.parametrize("version", ["5.10", "6.1", "6.12", "6.18"])
def test_a_node_that_is_full_has_its_turn_all_the_same(version: str) -> None:
    """Memory of any node does where the node has none, so that all of it is taken in the end."""
    machine = GIGANTIC._replace(cmdline="hugepagesz=1G hugepages=12")
    boot = boot_of(version, machine, *THREE, reserved=((8 * GIB, 11 * GIB),))
    ran(boot, "parse_hugepages")
    assert sorted(places(boot)) == [4, 5, 6, 7, 11, 12, 13, 14, 15]
    text = "HugeTLB: allocating 12 of page size 1.00 GiB failed.  Only allocated 9 hugepages."
    assert warned_of(boot) == [text]


@pytest.mark.parametrize(
    ("words", "expected", "failed"),
    [
        ("1:2,0:1", [7, 11, 10], []),
        ("2:1", [15], []),
        ("0:6", [7, 6, 5, 4], [(6, 0, 4)]),
        ("0:5,2:5", [7, 6, 5, 4, 15, 14, 13, 12], [(5, 0, 4), (5, 2, 4)]),
        ("0:0,1:1", [11], []),
    ],
)
def test_nodes_that_are_named(words: str, expected: list[int], failed: list[tuple[int, int, int]]) -> None:
    """In the order of their numbers, and from nowhere else."""
    boot = boot_of("6.18", GIGANTIC._replace(cmdline=f"hugepagesz=1G hugepages={words}"), *THREE)
    assert places(ran(boot, "parse_hugepages")) == expected
    assert warned_of(boot) == [
        f"HugeTLB: allocating {count} of page size 1.00 GiB failed node{nid}.  Only allocated {got} hugepages."
        for count, nid, got in failed
    ]


@pytest.mark.parametrize(
    ("words", "failed"),
    [
        ("3", []),
        ("4", ["4 of page size 1.00 GiB failed.  Only allocated 3 hugepages."]),
        ("0:2,1:1", []),
        ("0:3", ["3 of page size 1.00 GiB failed node0.  Only allocated 2 hugepages."]),
        ("0:2,1:2", ["2 of page size 1.00 GiB failed node1.  Only allocated 1 hugepages."]),
        ("2:1", ["1 of page size 1.00 GiB failed node2.  Only allocated 0 hugepages."]),
    ],
)
@pytest.mark.parametrize("only", [True, False])
def test_pages_of_the_areas_alone(words: str, failed: list[str], only: bool) -> None:
    cmdline = f"{'hugetlb_cma_only=on ' * only}hugepagesz=1G hugepages={words}"
    areas_taken = (4 * GIB, 6 * GIB), (8 * GIB, 9 * GIB + MIB)
    boot = boot_of("6.18", GIGANTIC._replace(cmdline=cmdline), *THREE, reserved=areas_taken)
    boot.hugetlb_areas = {0: [(4 * GIB, 5 * GIB), (5 * GIB, 6 * GIB)], 1: [(8 * GIB, 9 * GIB + MIB)]}
    boot.hugetlb_cma = True
    ran(boot, "parse_hugepages")
    assert places(boot) == []
    skipped = ["HugeTLB: hugetlb_cma is enabled, skip boot time allocation"]
    assert warned_of(boot) == ([f"HugeTLB: allocating {text}" for text in failed] if only else skipped)


def test_a_kernel_without_huge_pages_reads_none_of_it() -> None:
    machine = GIGANTIC._replace(cmdline="hugepagesz=1G hugepages=2")
    boot = ran(boot_of("6.12", machine, *THREE, facts={"config.HUGETLBFS": False}), "parse_hugepages")
    assert (places(boot), warned_of(boot)) == ([], [])


@pytest.mark.parametrize(
    ("version", "words", "name"),
    [
        ("4.19", "2", "memblock_virt_alloc_try_nid_raw"),
        ("5.10", "2", "memblock_alloc_try_nid_raw"),
        ("6.12", "2", "memblock_alloc_try_nid_raw"),
        ("6.12", "0:1", "memblock_alloc_try_nid_raw"),
        ("6.18", "2", "memblock_alloc_try_nid_raw"),
        ("6.18", "0:1", "memblock_alloc_exact_nid_raw"),
    ],
)
@pytest.mark.parametrize("nodes", [1, 2])
def test_what_the_log_calls_a_gigantic_page_s_allocation(version: str, words: str, name: str, nodes: int) -> None:
    boot = boot_of(version, GIGANTIC._replace(cmdline=f"hugepagesz=1G hugepages={words}"), *THREE[:nodes])
    ran(boot, "parse_hugepages")
    asked = [event.request for event in boot.recorder.events if isinstance(event, Change) and event.request]
    assert {boot.wording.request(request, "").split(":")[0] for request in asked} == {name}


def zoned(version: str, machine: Machine, *ram: tuple[int, int, int]) -> Boot:
    """A boot whose zones are laid out, with NODE_DATA elsewhere."""
    boot = boot_of(version, machine, *ram)
    boot.nodes.node_data = dict.fromkeys(boot.nodes.possible, (GIB, GIB + MIB))
    ran(boot, "free_area_init")
    boot.recorder.events.clear()
    return boot


@pytest.mark.parametrize(("words", "exact"), [("2", 0), ("0:2", 1)])
def test_how_a_gigantic_page_is_asked_for_since_7_3(words: str, exact: int) -> None:
    """By a call of its own, which marks it; a node that has none is left for any, as the reservation then says."""
    machine = GIGANTIC._replace(cmdline=f"hugepagesz=1G hugepages={words}")
    boot = zoned("7.3", machine, (4 * GIB, 5 * GIB, 0), (8 * GIB, 9 * GIB, 1))
    boot.nodes.online = {0}
    ran(boot, "parse_hugepages")
    asked = f"memblock_alloc_hugetlb: {GIB} bytes, nid={{}}, exact_nid={exact} alloc_bootmem_huge_page"
    taken = "__memblock_reserve: [{:#018x}-{:#018x}] nid={} flags=a0 memblock_alloc_hugetlb"
    lines = [line for event in boot.recorder.events for line in boot.wording.lines(event)]
    assert lines[:2] == [asked.format(0), taken.format(4 * GIB, 5 * GIB - 1, 0)]
    assert lines[2:] == (
        [asked.format(0), "HugeTLB: allocating 2 of page size 1.00 GiB failed node0.  Only allocated 1 hugepages."]
        if exact
        else [asked.format(0), taken.format(8 * GIB, 9 * GIB - 1, -1)]
    )


def test_mirrored_memory_is_not_spent_on_gigantic_pages_since_7_3() -> None:
    for version, place in (("7.2", 4), ("7.3", 5)):
        machine = GIGANTIC._replace(cmdline="hugepagesz=1G hugepages=1")
        boot = zoned(version, machine, (4 * GIB, 6 * GIB, 0))
        boot.memblock.mirrored_kernelcore = True
        boot.memblock.mark_mirror(4 * GIB, GIB)
        assert places(ran(boot, "parse_hugepages")) == [place]


@pytest.mark.parametrize(
    ("words", "expected", "freed"),
    [
        # ZONE_MOVABLE begins in the middle of the third GiB of node 0, and of the second one of node 1.
        ("3", [7, 11, 6], {1: 0, 0: 1}),
        ("8", [7, 11, 6, 10, 5, 9, 4, 8], {0: 1, 1: 1}),
        ("0:2", [7, 6], {0: 1}),
        ("0:1,1:3", [7, 11, 10, 9], {1: 1}),
        ("1:2", [11, 10], {}),
    ],
)
def test_pages_in_two_zones_are_given_back_since_7_3(words: str, expected: list[int], freed: dict[int, int]) -> None:
    crossing = {0: 6, 1: 9}
    for version in ("7.2", "7.3"):
        machine = GIGANTIC._replace(cmdline=f"hugepagesz=1G hugepages={words}")
        boot = zoned(version, machine, *THREE[:2])
        zones = boot.zones
        half = GIB // 2 >> PAGE_SHIFT
        zones.zones = [
            part
            for zone in zones.zones
            for start in [(crossing[zone.nid] << 18) + half]
            for part in (
                zone._replace(spanned=start - zone.start_pfn),
                zone._replace(name="Movable", start_pfn=start, spanned=zone.start_pfn + zone.spanned - start),
            )
        ]
        ran(boot, "parse_hugepages")
        assert places(boot) == expected
        back = [start // GIB for op, start, _ in changes(boot, Purpose.GIGANTIC_PAGES) if op == "free"]
        kept = [nid for nid in sorted(freed) if freed[nid]] if version == "7.3" else []
        assert back == [crossing[nid] for nid in kept]
        said = [text for text in warned_of(boot) if "cross-zone" in text]
        assert said == [f"HugeTLB: freed 1 cross-zone hugepages of size 1.00 GiB on node {nid}." for nid in kept]


def test_that_pages_are_skipped_is_told_once() -> None:
    words = "hugepages=3 default_hugepagesz=1G hugepages=2"
    boot = boot_of("6.12", GIGANTIC._replace(cmdline=words), *THREE)
    boot.hugetlb_cma = True
    ran(boot, "parse_hugepages")
    assert (places(boot), warned_of(boot)) == ([], ["HugeTLB: hugetlb_cma is enabled, skip boot time allocation"])
