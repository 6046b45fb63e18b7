"""Plans made by hand, and plans read back from what a real kernel printed."""

from __future__ import annotations

import lzma
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from memplan.events import Call, Change, Checkpoint, Event, Message, Op, Refused, Region, Request
from memplan.kernel.resolve import load_rules
from memplan.owner import Owner, Purpose
from memplan.plan import End, MappedRange, Node, PageTables, Plan, Reservation, TableRun, Verdict, Zone
from memplan.units import GIB, MIB, SIZE_2M
from memplan.wording import Wording

LOGS = Path(__file__).parent / "logs"
IMAGE, MAP = Owner(Purpose.KERNEL_IMAGE), Owner(Purpose.MEMORY_MAP, 0)
VERSIONS = ("3.13", "5.10", "6.1", "6.12")

_EVENT = re.compile(r"\s*memblock_(add|reserve|remove|free|phys_free): \[(\w+)-(\w+)\] (\S+)")
_REQUEST = re.compile(r"(\w+): (\d+) bytes align=(\w+)(?: nid=(-?\d+))? from=(\w+) max_addr=(\w+) (\S+)")
_TOTAL = re.compile(r" memory size = (\w+) reserved size = (\w+)")
_COUNT = re.compile(r" (memory|reserved)\.cnt  = (\w+)")
_REGION = re.compile(r" (memory|reserved)\[\w+\]\t\[(\w+)-(\w+)\], \w+ bytes(?: on node (\d+))?(?: flags: (\w+))?")


def log_lines(version: str) -> list[str]:
    """The lines of a real boot that belong to a trace, without time stamps and callers' offsets."""
    text = lzma.decompress((LOGS / f"hot1-4level-{version}.log.xz").read_bytes()).decode()
    lines = (re.sub(r"^\[ *\d+\.\d+\] ", "", line) for line in text.splitlines())
    wanted = re.compile(r"\s*memblock_|MEMBLOCK| (memory|reserved)[ .\[]")
    return [re.sub(r"\+0x\w+/0x\w+$", "", line) for line in lines if wanted.match(line)]


def log_plan(version: str) -> Plan:
    """The plan whose trace those lines are: the numbers of each line taken apart."""
    return a_plan(
        events=tuple(_log_events(log_lines(version), half_open=version == "3.13")),
        wording=wording(version)._replace(callers={}, request_callers={}),
    )


def wording(version: str) -> Wording:
    """What that version prints."""
    return Wording.of(load_rules(version))


def called(text: str) -> Owner:
    """An owner that reports call `text`."""
    return Owner(Purpose.EFI_TABLE, detail=text)


def _log_events(lines: list[str], *, half_open: bool) -> Iterable[Event]:
    asked: tuple[Request, str] | None = None
    for index, line in enumerate(lines):
        if line == "MEMBLOCK configuration:":
            yield _checkpoint(lines[index + 1 :])
        elif found := _EVENT.match(line):
            op = "free" if found[1] == "phys_free" else found[1]
            end = int(found[3], 16) + (0 if half_open else 1)
            request, caller = asked or (None, found[4])
            yield Change(cast("Op", op), int(found[2], 16), end, "step", called("owner"), caller, request=request)
            asked = None
        elif found := _REQUEST.fullmatch(line):
            if asked:
                yield Refused(asked[0], "step", called("owner"), asked[1])
            size, align, low, high = (int(found[index], 0) for index in (2, 3, 5, 6))
            nid = None if found[4] in (None, "-1") else int(found[4])
            asked = Request(Call(found[1]), size, align, low, high, nid), found[7]
    if asked:
        yield Refused(asked[0], "step", called("owner"), asked[1])


def _checkpoint(lines: list[str]) -> Checkpoint:
    totals = _TOTAL.fullmatch(lines[0])
    assert totals
    counts = {}
    arrays: dict[str, list[Region]] = {"memory": [], "reserved": []}
    for line in lines[1:]:
        if count := _COUNT.fullmatch(line):
            counts[count[1]] = int(count[2], 16)
        elif region := _REGION.fullmatch(line):
            nid = None if region[4] is None else int(region[4])
            arrays[region[1]].append(Region(int(region[2], 16), int(region[3], 16) + 1, nid, int(region[5] or "0", 16)))
        else:
            break
    return Checkpoint(
        "dump",
        "step",
        tuple(arrays["memory"]),
        tuple(arrays["reserved"]),
        int(totals[1], 16),
        int(totals[2], 16),
        counts["memory"],
        counts["reserved"],
        True,
    )


def a_plan(**fields: Any) -> Plan:
    """A small whole plan: node 0 with the kernel, node 1 (hot-pluggable, from 6 to 10 GiB) free.  `fields` replace."""
    plan = Plan(
        machine_name="two-nodes",
        kernel="6.12",
        kernel_version="6.12",
        kernel_notes=("generic: values of Debian 12",),
        wording=wording("6.12"),
        cmdline="movable_node",
        bottom_up=True,
        events=(
            Change("reserve", 16 * MIB, 48 * MIB, "reserve_kernel_image", IMAGE, "setup_arch", logged=False),
            Message("a word of warning", "initmem_init", warning=True),
            Change(
                "reserve",
                6 * GIB - 8 * SIZE_2M,
                6 * GIB,
                "sparse_init",
                MAP,
                "vmemmap_alloc_block_buf",
                count=8,
                request=Request(Call.TRY_NID_RAW, SIZE_2M, SIZE_2M, count=8),
                before_srat=False,
            ),
        ),
        reservations=(
            Reservation(16 * MIB, 48 * MIB, 0, IMAGE, "reserve_kernel_image", True),
            Reservation(6 * GIB - 8 * SIZE_2M, 6 * GIB, 0, MAP, "sparse_init", False),
        ),
        page_tables=PageTables(
            4,
            0xFFFF888000000000,
            (
                TableRun("pud", "brk", 48 * MIB, 48 * MIB + 0x2000, 2, 0),
                TableRun("pmd", "memblock", 50 * MIB, 50 * MIB + 0x3000, 3, 0),
            ),
            (MappedRange(0, 2 * MIB, 4096), MappedRange(2 * MIB, GIB, SIZE_2M), MappedRange(GIB, 10 * GIB, GIB)),
        ),
        nodes=(
            Node(0, 0, True, ((0, 3 * GIB), (4 * GIB, 6 * GIB)), False, (6 * GIB - 0x5000, 6 * GIB), (0,)),
            Node(1, 1, True, ((6 * GIB, 10 * GIB),), True, None, (1,)),
        ),
        zones=(
            Zone(0, "DMA32", 0x1000, 0xFF000, 0xBF000),
            Zone(0, "Normal", 0x100000, 0x80000, 0x80000),
            Zone(1, "Movable", 0x180000, 0x100000, 0x100000),
        ),
        movable_start_pfn=((1, 0x180000),),
        block_size=128 * MIB,
        verdicts=(
            Verdict(0, 0, 3 * GIB, False, False, None, 0, 24, "not hot-pluggable"),
            Verdict(0, 4 * GIB, 6 * GIB, False, False, None, 0, 16, "not hot-pluggable"),
            Verdict(1, 6 * GIB, 10 * GIB, True, True, 0x180000, 32, 32, "nothing unmovable lies in it"),
        ),
        movable=((1, 6 * GIB, 10 * GIB),),
        end=End(True),
    )
    return plan._replace(**fields)
