"""A real boot's log as a test's truth: what memblock held at a moment, and every change that followed."""

import lzma
import re
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

from memplan.boot.context import Boot
from memplan.events import Change, Refused
from memplan.kernel.load import find_kernel
from memplan.machine.model import Cpus, KernelImage, Machine
from memplan.units import PAGE_SIZE

LOGS = Path(__file__).parent / "logs"
BUILDS = {
    "3.13": "lab-3.13.10",
    "5.10": "lab-5.10.89",
    "6.1": "debian-6.1.0-55-amd64",
    "6.12": "debian-6.12.107+deb12-amd64",
}
_STAMP = re.compile(r"^\[[^]]*\] ?")
_CHANGE = re.compile(r"memblock_(add|reserve|remove|free|phys_free):?\s+\[(0x\w+)-(0x\w+)\] ([\w.]+)")
_REQUEST = re.compile(r"memblock_(?:phys_)?alloc\w*: .* ([\w.]+)\+0x")
_REGION = re.compile(
    r"\s(memory|reserved)\[\S+\]\s+\[(0x\w+)-(0x\w+)\], \S+ bytes(?: on node (\d+))?(?: flags: (\w+))?"
)
_NODE_DATA = re.compile(r"NODE_DATA(?:\((\d+)\) allocated)? \[mem (0x\w+)-(0x\w+)\]")
_SETUP_NODE = re.compile(r"Initmem setup node (\d+) ")


class Event(NamedTuple):
    """One change of an array, with the function that asked for it."""

    op: str
    start: int
    end: int
    asker: str


class BootLog:
    """The log `name` (in tests/boot/logs), cut at its memblock dumps."""

    def __init__(self, name: str) -> None:
        self.version = name.rsplit("-", 1)[1]
        text = lzma.decompress((LOGS / f"{name}.log.xz").read_bytes()).decode()
        self.lines = [_STAMP.sub("", line) for line in text.splitlines()]
        self.cmdline = next(line for line in self.lines if "ommand line: " in line).split("ommand line: ")[1]
        self.dumps = [i for i, line in enumerate(self.lines) if line.startswith("MEMBLOCK configuration")]
        found = (re.search(r"last_pfn = (0x\w+) max_arch_pfn = (0x\w+)", line) for line in self.lines)
        pfns = [(int(m[1], 16), int(m[2], 16)) for m in found if m]
        self.max_pfn, self.max_low_pfn = pfns[0][0], pfns[-1][0]
        self.la57 = pfns[0][1] == 1 << 40

    def events(self, start: int, end: int) -> list[Event]:
        """The changes in lines ``[start, end)``; an allocation's are the allocating function's."""
        events, asker = [], ""
        for line in self.lines[start:end]:
            if request := _REQUEST.match(line):
                asker = request[1]
            elif change := _CHANGE.match(line.lstrip()):
                op = change[1].removeprefix("phys_")
                last = int(change[3], 16) + (self.version != "3.13")
                own = change[4] != "memblock_alloc_range_nid"
                events.append(Event(op, int(change[2], 16), last, change[4] if own else asker))
                asker = ""
        return events

    def requests(self, start: int, end: int) -> list[str]:
        """The allocation lines among lines ``[start, end)``, without the name of the caller."""
        return [line.rsplit(" ", 1)[0] for line in self.lines[start:end] if _REQUEST.match(line)]

    def regions(self, dump: int) -> dict[str, list[tuple[int, int, int | None, int]]]:
        """The two arrays of a dump."""
        arrays: dict[str, list[tuple[int, int, int | None, int]]] = {"memory": [], "reserved": []}
        for line in self.lines[self.dumps[dump] + 1 :]:
            region = _REGION.search(line)
            if region:
                nid = None if region[4] is None else int(region[4])
                arrays[region[1]].append((int(region[2], 16), int(region[3], 16) + 1, nid, int(region[5] or "0", 16)))
            elif ".cnt" not in line and "size =" not in line:
                break
        return arrays

    def node_data(self) -> dict[int, tuple[int, int]]:
        """Where each node's NODE_DATA lies."""
        places: dict[int, tuple[int, int]] = {}
        setup = 0
        for line in self.lines:
            if node := _SETUP_NODE.match(line):
                setup = int(node[1])
            elif data := _NODE_DATA.search(line):
                nid = setup if data[1] is None else int(data[1])
                places.setdefault(nid, (int(data[2], 16), int(data[3], 16) + 1))
        return places

    def boot(self, dump: int, *, gbpages: bool = True) -> Boot:
        """A boot whose memblock holds what the log's dump shows."""
        kernel = find_kernel(BUILDS[self.version])
        machine = Machine(
            e820=(),
            cmdline=self.cmdline,
            cpus=Cpus(possible=2, la57=self.la57, gbpages=gbpages),
            kernel=KernelImage(randomized="nokaslr" not in self.cmdline),
        )
        boot = Boot(machine, kernel)
        boot.max_pfn, boot.max_low_pfn = self.max_pfn, self.max_low_pfn
        arrays = self.regions(dump)
        for start, end, nid, flags in arrays["memory"]:
            boot.memblock.add(start, end - start)
            if nid is not None:
                boot.memblock.set_node(start, end - start, nid)
            if flags & 1:
                boot.memblock.mark_hotplug(start, end - start)
        for start, end, _, _ in arrays["reserved"]:
            boot.memblock.reserve(start, end - start)
        boot.memblock.kernel_end = boot.params.kernel_end
        boot.memblock.movable_node = boot.params.movable_node
        boot.memblock.current_limit = self.max_pfn * PAGE_SIZE
        places = self.node_data()
        boot.nodes = SimpleNamespace(node_data=places, online=sorted(places))  # type: ignore[assignment]
        boot.recorder.events.clear()
        return boot


def one_by_one(boot: Boot) -> list[tuple[str, int, int]]:
    """The changes that `boot` recorded, each run taken apart into its single blocks."""
    single: list[tuple[str, int, int]] = []
    for event in boot.recorder.events:
        if isinstance(event, Change):
            size = (event.end - event.start) // event.count
            places = [event.start + index * size for index in range(event.count)]
            single += [(event.op, at, at + size) for at in (reversed(places) if event.descending else places)]
    return single


def requests(boot: Boot) -> list[str]:
    """The allocation lines that `boot` recorded, without the names of callers, one for each request."""
    found: list[str] = []
    for event in boot.recorder.events:
        if isinstance(event, Change | Refused) and event.request:
            line = boot.wording.request(event.request, event.caller)
            times = event.count if isinstance(event, Change) else 1
            found += [line.rsplit(" ", 1)[0]] * times if line else []
    return found
