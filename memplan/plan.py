"""The plan: what one boot did to memory, and what follows from it.  Immutable; all that is shown comes from here.

Addresses and sizes are in bytes and ranges half-open ``[start, end)``; a name that ends in ``pfn`` counts pages.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

Op: TypeAlias = Literal["add", "reserve", "remove", "free"]


class Region(NamedTuple):
    """A region of one of the two arrays; `nid` is None where it has no node."""

    start: int
    end: int
    nid: int | None
    flags: int


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one of the arrays: what the line ``memblock_<op>: [start-end] caller`` says.

    `owner` is what the memory is for, `step` the boot step that asked, `caller` the symbol that the kernel
    prints.  A run of `count` equal requests of ``size = (end - start) / count`` bytes that were taken one beside
    the other (downwards where `descending`) is one change.  `request` is the allocation line that precedes each
    of them, without its caller's offset ("" where there is none).  `logged` is False before memblock=debug is
    parsed; `node` is the node on which the range lies, where known.
    """

    op: Op
    start: int
    end: int
    step: str
    owner: str
    caller: str
    count: int = 1
    descending: bool = True
    request: str = ""
    logged: bool = True
    before_srat: bool = True


class Request(NamedTuple):
    """An allocation line with nothing behind it: a request that failed."""

    text: str
    step: str
    owner: str
    logged: bool = True


class Message(NamedTuple):
    """A line that the kernel prints, word for word (a `warning` where it tells of trouble)."""

    text: str
    step: str
    warning: bool = False
    logged: bool = True


class Checkpoint(NamedTuple):
    """Both arrays at one moment; `dumped` where the kernel prints them ("MEMBLOCK configuration:")."""

    name: str
    step: str
    memory: tuple[Region, ...]
    reserved: tuple[Region, ...]
    memory_size: int
    reserved_size: int
    memory_cnt: int
    reserved_cnt: int
    dumped: bool


Event: TypeAlias = Change | Request | Message | Checkpoint


class Reservation(NamedTuple):
    """A part of reserved memory and who has it at the hand-over to the page allocator."""

    start: int
    end: int
    nid: int | None
    owner: str
    step: str
    before_srat: bool


class TableRun(NamedTuple):
    """Page-table pages of one `level` (p4d, pud, pmd, pte) made while one range was mapped.

    `source` is "brk" or "memblock"; the pages lie in ``[start, end)`` (together with those of other levels).
    """

    level: str
    source: str
    start: int
    end: int
    pages: int
    nid: int | None


class Mapping(NamedTuple):
    """A piece of the direct map: ``[start, end)`` mapped with pages of `page_size` bytes."""

    start: int
    end: int
    page_size: int


class PageTables(NamedTuple):
    """The direct map's tables: which pages, where from, and what they map.  `levels` is 4 or 5."""

    levels: int
    direct_map_base: int
    runs: tuple[TableRun, ...]
    mappings: tuple[Mapping, ...]

    def pages(self, source: str | None = None) -> int:
        """How many table pages there are, of one source or of all."""
        return sum(r.pages for r in self.runs if source in (None, r.source))


class Zone(NamedTuple):
    """A zone of a node: spanned pages ``[start_pfn, start_pfn + spanned)``, of which `present` are RAM."""

    nid: int
    name: str
    start_pfn: int
    spanned: int
    present: int


class Node(NamedTuple):
    """A NUMA node at boot: `online` where it has NODE_DATA, its RAM in bytes, its NODE_DATA's place."""

    nid: int
    pxm: int | None
    online: bool
    ranges: tuple[tuple[int, int], ...]
    hotplug: bool
    node_data: tuple[int, int] | None
    cpus: tuple[int, ...]

    @property
    def memory(self) -> int:
        """The node's RAM in bytes."""
        return sum(end - start for start, end in self.ranges)


class Blocker(NamedTuple):
    """A reservation that keeps a range from being movable, and what would move it away."""

    start: int
    end: int
    owner: str
    step: str
    remedy: str


class Verdict(NamedTuple):
    """Whether a range of a node can be movable.

    `start_pfn` is where ZONE_MOVABLE begins in it (None: nowhere); `blocks` of the `total_blocks` memory blocks
    can go off-line.  `reason` is one sentence; `blockers` name what stands in the way.  It is `unmarked` where
    the node has lost its hot-plug marks, and nothing but that keeps it from being movable.
    """

    nid: int
    start: int
    end: int
    hotplug: bool
    movable: bool
    start_pfn: int | None
    blocks: int
    total_blocks: int
    reason: str
    blockers: tuple[Blocker, ...] = ()
    unmarked: bool = False


class End(NamedTuple):
    """How the boot ended: `completed`, or else the step it died in, the kernel's words and the cause."""

    completed: bool
    step: str = ""
    text: str = ""
    cause: str = ""


class Plan(NamedTuple):
    """One replayed boot.

    `trace_style` and `free_line` say how this version words its memblock lines; `movable` holds the ranges
    ``(nid, start, end)`` of ZONE_MOVABLE that can go off-line.
    """

    machine_name: str
    kernel: str
    kernel_version: str
    kernel_notes: tuple[str, ...]
    trace_style: str
    cmdline: str
    bottom_up: bool
    events: tuple[Event, ...]
    reservations: tuple[Reservation, ...]
    page_tables: PageTables
    nodes: tuple[Node, ...]
    zones: tuple[Zone, ...]
    movable_start_pfn: tuple[tuple[int, int], ...]
    block_size: int
    verdicts: tuple[Verdict, ...]
    movable: tuple[tuple[int, int, int], ...]
    end: End
    free_line: str = "memblock_free"

    @property
    def warnings(self) -> tuple[Message, ...]:
        """The warnings that the kernel would print, in order."""
        return tuple(e for e in self.events if isinstance(e, Message) and e.warning)

    def checkpoint(self, name: str) -> Checkpoint | None:
        """The checkpoint of that name, if the boot came so far."""
        return next((e for e in self.events if isinstance(e, Checkpoint) and e.name == name), None)
